"""The drawer of parallel coordinates: what each run was given and what came of it, one line a run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

from .axes import WIDTH, Drawing, Spec, haloed
from .figure import Figure, Point
from .palette import ACCENT, INKS, MUTED, TICK, labels, shortened

HEIGHT = 280
MOST_LINES = 300
MOST_TICKS = 10
MISSING = -0.14  # where a run without a value crosses the axis: below it, told apart from the lowest value


@dataclass(frozen=True, slots=True)
class _Axis:
    """One upright axis: where each value stands on it, and the ticks beside it."""

    place: dict[Any, float]
    ticks: tuple[tuple[float, str], ...]
    has_missing: bool


def parallel(figure: Figure, theme: str) -> Drawing:
    """Draw parallel coordinates; the lines take their colour from their place on the axis ``color_by``."""
    inks = INKS[theme]
    # what comes later is drawn on top, so the highlighted lines come last
    ordered = sorted(figure.series, key=lambda one: one.name in figure.highlight)
    shown = ordered[-MOST_LINES:]
    axes = [_axis([one.y[index] for one in shown]) for index in range(len(figure.axes))]
    colored = figure.axes.index(figure.color_by) if figure.color_by in figure.axes else None
    heads = labels(figure.axes, 16)
    lines = [
        {
            "axis": index,
            "y": MISSING if value is None else axis.place[value],
            "line": number,
            "name": one.name,
            "label": heads[index],
            "value": "missing" if value is None else shortened(_written(value), TICK),
            "color": None if colored is None else axes[colored].place.get(one.y[colored]),
            "top": one.name in figure.highlight,
        }
        for number, one in enumerate(shown)
        for index, (axis, value) in enumerate(zip(axes, one.y, strict=True))
    ]
    low = MISSING if any(axis.has_missing for axis in axes) else 0
    x = _channel("axis", 0, max(len(axes) - 1, 1))
    y = _channel("y", low, 1)
    paint: Spec = {
        "field": "color",
        "type": "quantitative",
        "scale": {"scheme": "viridis", "domain": [0, 1], "reverse": theme != "dark"},
        "legend": None,  # the axis itself shows the colours
    }
    shared: Spec = {
        "x": x,
        "y": y,
        "detail": {"field": "line", "type": "nominal"},
        "order": {"field": "axis", "type": "quantitative"},
        "tooltip": [
            {"field": "name", "title": "run"},
            {"field": "label", "title": "axis"},
            {"field": "value", "title": "value"},
        ],
    }
    top = [row for row in lines if row["top"]]
    pale = [row for row in lines if not row["top"] and row["color"] is None]
    vivid = [row for row in lines if not row["top"] and row["color"] is not None]
    # "opacity" instead of "strokeOpacity" would cost the PNG an offscreen layer for each line
    opacity = (0.85 if len(shown) <= 40 else 0.5) * (0.75 if top else 1)
    layers: list[Spec] = [
        {
            "data": {"values": rows},
            "mark": {
                "type": "line",
                "interpolate": "monotone",
                "strokeCap": "round",
                "strokeWidth": width,
                "strokeOpacity": strength,
            },
            "encoding": {**shared, "color": color},
        }
        for rows, color, width, strength in (
            (pale, {"value": MUTED}, 1.8, opacity),
            (vivid, paint, 1.8, opacity),
            (top, {"value": ACCENT}, 3.6, 1),
        )
        if rows
    ]
    posts = [{"axis": index, "y": 0, "y2": 1} for index in range(len(axes)) if index != colored]
    upright = {"x": x, "y": y, "y2": {"field": "y2"}}
    mark: Spec = {"type": "rule", "strokeWidth": 1.4, "color": inks.faint}
    layers.append({"data": {"values": posts}, "mark": mark, "encoding": upright})
    if colored is not None:
        parts = [
            {"axis": colored, "y": part / 40, "y2": (part + 1) / 40, "color": (part + 0.5) / 40}
            for part in range(40)
        ]
        mark = {"type": "rule", "strokeWidth": 6}
        layers.append({"data": {"values": parts}, "mark": mark, "encoding": {**upright, "color": paint}})
    titles = [{"axis": index, "text": head} for index, head in enumerate(heads)]
    mark = {"type": "text", "y": -14, "fontSize": 12, "fontWeight": 600, "color": inks.ink}
    layers.append({"data": {"values": titles}, "mark": mark, "encoding": {"x": x, "text": {"field": "text"}}})
    ticks = [
        {"axis": index, "y": place, "text": text}
        for index, axis in enumerate(axes)
        for place, text in (*axis.ticks, *([(MISSING, "missing")] if axis.has_missing else []))
    ]
    mark = {"type": "text", "align": "left", "dx": 8, "fontSize": 11, "color": inks.ink}
    if inks.background == "transparent":
        mark["dy"] = 9  # without a halo, a line through the tick would strike the text out
    layers += haloed(ticks, mark, {"x": x, "y": y, "text": {"field": "text"}}, theme)
    width = max(WIDTH - 60, 118 * (len(axes) - 1))
    note = f"{MOST_LINES} of {len(ordered):,} lines" if len(ordered) > MOST_LINES else ""
    return Drawing({"width": width, "height": HEIGHT, "layer": layers}, note)


def _channel(field: str, low: float, high: float) -> Spec:
    space = {"domain": [low, high], "nice": False, "zero": False}
    return {"field": field, "type": "quantitative", "axis": None, "scale": space}


def _axis(values: list[Point]) -> _Axis:
    known = list(dict.fromkeys(value for value in values if value is not None))
    has_missing = None in values
    if any(isinstance(value, str) for value in known):
        return _named(known, has_missing)
    numbers = sorted(value for value in known if not isinstance(value, str))
    if len(numbers) < 2:
        return _Axis(
            dict.fromkeys(numbers, 0.5), tuple((0.5, _written(value)) for value in numbers), has_missing
        )
    low, high = numbers[0], numbers[-1]
    # 0.01, 0.1, 1, 10 would lie on one heap at the bottom; an outlier alone does not bend the axis
    log = low > 0 and high / low >= 50 and (median(numbers) - low) / (high - low) < 0.2
    if log:
        bottom, reach = math.log(low), math.log(high) - math.log(low)
        place = {value: (math.log(value) - bottom) / reach for value in numbers}
        between = [(0.5, f"{math.exp(bottom + reach / 2):.2g}")]
    else:
        place = {value: value / (high - low) - low / (high - low) for value in numbers}
        between = [(step / 4, f"{low + (high - low) * step / 4:.3g}") for step in (1, 2, 3)]
    if len(numbers) <= 6 and all(right - left >= 0.06 for left, right in pairwise(place.values())):
        ticks = [(place[value], _written(value)) for value in numbers]
    else:
        ticks = [(0.0, _written(low)), *between, (1.0, _written(high))]
    return _Axis(place, tuple(ticks), has_missing)


def _named(known: list[Any], has_missing: bool) -> _Axis:
    names = sorted(known, key=str)
    steps = max(len(names) - 1, 1)
    place = {name: index / steps if len(names) > 1 else 0.5 for index, name in enumerate(names)}
    written = labels([str(name) for name in names], 14)
    every = -(-len(names) // MOST_TICKS)
    ticks = list(zip(place.values(), written, strict=True))[::every]
    return _Axis(place, tuple(ticks), has_missing)


def _written(value: Point) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
