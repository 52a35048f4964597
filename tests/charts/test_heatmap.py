"""A heatmap shows each row and column once, in the order given, with its value."""

from __future__ import annotations

import re

import pytest

from jupyter_mlops.charts import heatmap, png, svg, vega_lite
from jupyter_mlops.charts.palette import shortened
from jupyter_mlops.errors import BadInput


def test_rows_and_columns_stand_in_the_order_given() -> None:
    figure = heatmap(
        "confusion", ["b", "a"], {"b": [3, 0], "a": [1, 5]}, x_label="predicted", y_label="actual"
    )
    spec = vega_lite(figure)
    assert [(one["y"], one["x"], one["value"]) for one in spec["data"]["values"]] == [
        ("b", "b", 3),
        ("b", "a", 0),
        ("a", "b", 1),
        ("a", "a", 5),
    ]
    assert spec["layer"][0]["encoding"]["x"]["sort"] == ["b", "a"]
    assert "from 0 to 5" in figure.alt
    assert "predicted" in svg(figure)


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(BadInput, match="row 'a' of 'confusion' has 1 values for 2 columns"):
        heatmap("confusion", ["a", "b"], {"a": [1]})


@pytest.mark.parametrize(
    "figure",
    [
        heatmap("nothing", [], {}),
        heatmap("one value", ["a"], {"a": [7]}),
        heatmap("gaps", ["a", "b"], {"a": [None, float("nan")], "b": [1, 2]}),
        heatmap("below zero", ["a", "b"], {"a": [-1.5, 2], "b": [0, 0.25]}),
        heatmap("very many", range(200), {str(row): range(200) for row in range(200)}),
        heatmap("outside", ["</svg>", 'datum.x"] + alert(1)'], {"<script>": [1, 2]}),
    ],
    ids=lambda figure: figure.title,
)
def test_every_heatmap_can_be_drawn(figure) -> None:
    for theme in ("auto", "light", "dark"):
        assert "<script>" not in svg(figure, theme)
    assert png(figure).startswith(b"\x89PNG")


def test_what_is_left_out_of_a_large_one_is_said() -> None:
    figure = heatmap("very many", range(70), {str(row): range(70) for row in range(70)})
    assert "the first 60 of 70" in vega_lite(figure)["title"]["subtitle"]


@pytest.mark.parametrize(
    "title", ["Confusion matrix, training", "A long title of a small matrix, which goes on"]
)
def test_the_title_of_a_small_one_is_whole_in_wide_letters_too(title: str) -> None:
    below = "what is said below the title " * 3
    drawn = svg(heatmap(title, ["a", "b"], {"a": [1, 2], "b": [3, 4]}, subtitle=below))
    wide, left = (int(re.search(found, drawn)[1]) for found in (r'width="(\d+)"', r"translate\((\d+),"))
    lines = {
        size: [re.sub("<[^>]*>", "", line) for line in re.split("(?=<tspan)", text) if line]
        for size in (15, 12)
        for text in re.findall(rf'<text[^>]*font-size="{size}px"[^>]*>(.*?)</text>', drawn)[-1:]
    }
    assert " ".join(lines[15]) == shortened(title, 64)
    # where letters are as wide as those of DejaVu Sans, the font of many browsers
    assert all(left + 10 * len(line) < wide for line in lines[15])
    assert all(left + 7.2 * len(line) < wide for line in lines[12])
