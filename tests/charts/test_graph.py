"""A graph is boxes from left to right: what leads to a thing stands left of it; all texts are plain data."""

from __future__ import annotations

import json

import pytest

from jupyter_mlops.charts import graph, png, svg, vega_lite
from jupyter_mlops.charts.boxes import _placed
from jupyter_mlops.errors import BadInput

NODES = {
    "raw": ("raw@v1", "data", "first export"),
    "run": ("7k3f9q2m", "run", ""),
    "clean": ("clean@v1", "data", ""),
    "model": ("churn@v1", "model", "from run 7k3f9q2m"),
}
EDGES = [("raw", "run"), ("run", "clean"), ("run", "model")]


def test_a_graph_is_a_value_with_a_text_for_those_who_cannot_see_it() -> None:
    figure = graph("Lineage", NODES, EDGES, highlight=["clean"])
    assert figure.alt == ("Graph of Lineage: raw@v1 to 7k3f9q2m, 7k3f9q2m to clean@v1, 7k3f9q2m to churn@v1.")
    document = json.loads(json.dumps(figure.to_dict()))
    assert document["nodes"][0] == {
        "name": "raw",
        "label": "raw@v1",
        "kind": "data",
        "detail": "first export",
    }
    assert document["edges"] == [[0, 1], [1, 2], [1, 3]]
    assert graph("Nothing", {}, []).alt == "Graph of Nothing: nothing."
    assert graph("One", {"a": ("a", "data", "")}, []).alt == "Graph of One: a alone."
    with pytest.raises(BadInput, match="an edge to 'b'"):
        graph("Broken", {"a": ("a", "data", "")}, [("a", "b")])


def test_every_box_is_drawn_with_its_texts() -> None:
    figure = graph("Lineage", NODES, EDGES, highlight=["clean"])
    for theme in ("auto", "light", "dark"):
        drawn = svg(figure, theme)
        assert all(word in drawn for word in ("raw@v1", "7k3f9q2m", "clean@v1", "churn@v1", "first export"))
    assert png(figure).startswith(b"\x89PNG")
    hostile = graph("</svg><script>", {"a": ("<script>alert(1)</script>", "data", "&\x1b")}, [("a", "a")])
    assert "<script>" not in svg(hostile)
    assert "no data" in svg(graph("Nothing", {}, []))


def test_a_graph_has_a_width_and_height_that_hold_it() -> None:
    chain = {str(n): (f"step {n}", "run", "") for n in range(5)}
    long = vega_lite(graph("Chain", chain, [(str(n), str(n + 1)) for n in range(4)]))
    fan = vega_lite(graph("Fan", chain, [("0", str(n)) for n in range(1, 5)]))
    assert long["width"] > fan["width"]
    assert fan["height"] > long["height"]


def test_what_leads_to_a_thing_stands_left_of_it_even_in_circles() -> None:
    place = _placed(4, [(0, 1), (1, 2), (0, 3), (3, 2)])
    assert [column for column, _ in place] == [0, 1, 2, 1]
    assert len(set(place)) == 4
    around = _placed(3, [(0, 1), (1, 2), (2, 0)])
    assert [column for column, _ in around] == [0, 1, 2]
