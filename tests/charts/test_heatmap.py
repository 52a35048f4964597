"""A heatmap shows each row and column once, in the order given, with its value."""

from __future__ import annotations

import pytest

from jupyter_mlops.charts import heatmap, png, svg, vega_lite
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
