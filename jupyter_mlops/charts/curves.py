"""The drawer of line charts and scatter plots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .axes import HEIGHT, WIDTH, Drawing, Spec, places, rules, x_channel, x_place, x_type, y_channel, y_place
from .figure import Figure, Point
from .palette import ACCENT, MUTED, NAME, PALETTE, axis_title, labels

MOST_CURVES = 200
MOST_RECORDS = 12_000  # of all curves together: a notebook keeps in its file what it shows
MOST_POINTS = 1_500  # of one curve: a screen has no more columns
MOST_DOTS = 4_000
FEW_POINTS = 40  # up to here each point of a curve gets a dot


def curves(figure: Figure, theme: str) -> Drawing:
    """Draw a line chart or a scatter plot."""
    is_line = figure.kind == "line"
    shown = figure.series[:MOST_CURVES]
    total = sum(len(one.y) for one in shown)
    stride = max(1, -(-total // MOST_DOTS))
    most = max(100, min(MOST_POINTS, MOST_RECORDS // len(shown)))
    colors = _Colors([one.name for one in shown], figure.highlight)
    known = places(figure)
    records: list[Spec] = []
    dots: list[Spec] = []
    lost = 0
    for index, one in enumerate(shown):
        pairs = [(x_place(x, figure, known), y_place(y, figure)) for x, y in zip(one.x, one.y, strict=True)]
        lost += sum(value is not None for value in one.y) - sum(None not in pair for pair in pairs)
        kept = _thinned(pairs, most) if is_line else pairs[::stride]
        about = {
            "line": str(index),
            "series": colors.label(index),
            "name": one.name,
            "top": colors.is_top(index),
        }
        rows = [{**about, "x": x, "y": y} for x, y in kept if x is not None]
        records += rows
        every = not is_line or (len(pairs) <= FEW_POINTS and colors.is_top(index))
        dots += [row for row in rows if row["y"] is not None] if every else _alone(rows)
    shared: Spec = {
        "x": x_channel(figure, [row["x"] for row in records], known),
        "y": y_channel(figure, [row["y"] for row in records]),
        "color": colors.channel("stroke" if is_line else "circle"),
        "detail": {"field": "line", "type": "nominal"},
        "tooltip": [
            {"field": "name", "title": "name"},
            {"field": "x", "title": axis_title(figure.x_label) or "x", **x_type(figure)},
            {"field": "y", "type": "quantitative", "title": axis_title(figure.y_label) or "y"},
        ],
    }
    layers: list[Spec] = []
    if is_line:
        stroke = {"type": "line", "strokeWidth": 2, "strokeJoin": "round", "strokeCap": "round"}
        for top, opacity in ((False, 0.5), (True, 1)):
            some = [row for row in records if row["top"] is top]
            if some:
                layers.append(
                    {
                        "data": {"values": some},
                        "mark": {**stroke, "strokeOpacity": opacity},
                        "encoding": shared,
                    }
                )
    mark = {
        "type": "point",
        "filled": True,
        "fillOpacity": 1 if is_line else 0.75,
        "size": 34 if is_line else 48,
    }
    layers.append({"data": {"values": dots}, "mark": mark, "encoding": shared})
    layers += rules(figure, theme, "y") + rules(figure, theme, "x")
    notes = [
        f"first {MOST_CURVES} of {len(figure.series):,} lines" if len(figure.series) > MOST_CURVES else "",
        f"1 point in {stride} of {total:,}" if stride > 1 and not is_line else "",
        f"{lost:,} {'value has' if lost == 1 else 'values have'} no place on the log axis"
        if lost and (figure.x_log or figure.y_log)
        else "",
    ]
    return Drawing({"width": WIDTH, "height": HEIGHT, "layer": layers}, " · ".join(filter(None, notes)))


class _Colors:
    """Which colour, and which line of the legend, each series gets."""

    def __init__(self, names: Sequence[str], highlight: Sequence[str]) -> None:
        chosen = [index for index, name in enumerate(names) if name in highlight]
        if not chosen and len(names) <= len(PALETTE):
            chosen = list(range(len(names)))
        # more lines than a person can tell apart: those that matter keep a colour, the others are context
        self._chosen = chosen[: len(PALETTE)]
        rest = len(names) - len(self._chosen)
        self._rest = f"{rest} {'others' if self._chosen else 'lines'}"
        self._labels = labels(names, NAME)
        self._domain = [self._labels[index] for index in self._chosen] + ([self._rest] if rest else [])
        one_of_many = len(self._chosen) == 1 and rest
        self._range = ([ACCENT] if one_of_many else list(PALETTE[: len(self._chosen)])) + (
            [MUTED] if rest else []
        )

    def label(self, index: int) -> str:
        return self._labels[index] if index in self._chosen else self._rest

    def is_top(self, index: int) -> bool:
        return index in self._chosen

    def channel(self, symbol: str) -> Spec:
        legend: Spec | None = None
        if len(self._domain) > 1:
            on_top = sum(len(label) + 7 for label in self._domain) <= 80
            legend = {"title": None, "symbolType": symbol, "symbolOpacity": 1}
            legend["columnPadding"] = 28  # where it is shown, letters may be wider than where it was laid out
            legend |= {"orient": "top", "offset": 6} if on_top else {"orient": "bottom", "offset": 12}
            if not on_top:
                legend["columns"] = 4 if max(map(len, self._domain)) <= 14 else 2
        space = {"domain": self._domain, "range": self._range}
        return {"field": "series", "type": "nominal", "scale": space, "legend": legend}


def _alone(rows: Sequence[Spec]) -> list[Spec]:
    """Return the points without a neighbour: no line would show them."""
    return [
        row
        for before, row, after in zip([None, *rows[:-1]], rows, [*rows[1:], None], strict=True)
        if row["y"] is not None and all(near is None or near["y"] is None for near in (before, after))
    ]


def _thinned(pairs: list[tuple[Point, Any]], most: int) -> list[tuple[Point, Any]]:
    """Return about ``most`` points with the shape of all: the lowest and the highest of each stretch."""
    if len(pairs) <= most:
        return pairs
    size = -(-len(pairs) // (most // 2))
    kept = [0]
    for start in range(0, len(pairs), size):
        stretch = [
            place for place in range(start, min(start + size, len(pairs))) if pairs[place][1] is not None
        ]
        if stretch:
            lowest = min(stretch, key=lambda place: pairs[place][1])
            highest = max(stretch, key=lambda place: pairs[place][1])
            kept += sorted((lowest, highest))
    kept.append(len(pairs) - 1)
    return [pairs[place] for place in dict.fromkeys(kept)]
