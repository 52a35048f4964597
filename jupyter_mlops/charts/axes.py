"""Scales, domains and rules: the parts of a plot that its kinds share. Called by the drawers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from .figure import Figure, Point
from .palette import INKS, NAME, TICK, axis_title, labels

Spec = dict[str, Any]

WIDTH, HEIGHT = 560, 300


@dataclass(frozen=True, slots=True)
class Drawing:
    """The body of a specification, and a note of what it left out."""

    body: Spec
    note: str = ""


def places(figure: Figure) -> dict[str, str]:
    """Return the label of each text on the x axis, in the order in which they first come."""
    if figure.x_type != "category":
        return {}
    names = list(dict.fromkeys(x for one in figure.series for x in one.x if isinstance(x, str)))
    return dict(zip(names, labels(names, TICK), strict=True))


def x_place(x: Point, figure: Figure, known: dict[str, str]) -> Point:
    """Return where ``x`` stands: a number, a label, or milliseconds; None where a logarithm has no place."""
    if figure.x_type == "time" and isinstance(x, str):
        moment = datetime.fromisoformat(x)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    if isinstance(x, str):
        return known[x]
    return None if figure.x_log and x is not None and x <= 0 else x


def y_place(y: Point, figure: Figure) -> float | int | None:
    """Return the height of ``y``; None where there is none, or a logarithm has no place for it."""
    if not isinstance(y, (int, float)):
        return None
    return None if figure.y_log and y <= 0 else y


def x_type(figure: Figure) -> Spec:
    """Return the Vega-Lite type of the x axis."""
    return {"type": {"number": "quantitative", "category": "nominal", "time": "temporal"}[figure.x_type]}


def x_channel(figure: Figure, values: Sequence[Any], known: dict[str, str]) -> Spec:
    """Return the encoding of x for curves and points."""
    channel: Spec = {"field": "x", **x_type(figure), "title": axis_title(figure.x_label)}
    if figure.x_type == "category":
        crowded = any(len(label) > max(6, 90 // max(len(known), 1)) for label in known.values())
        names = {"labelOverlap": True, "labelLimit": 110, "labelAngle": -35 if crowded else 0}
        return {**channel, "sort": list(known.values()), "axis": names, "scale": {"padding": 0.5}}
    axis: Spec = {"grid": figure.kind == "scatter" and not figure.x_log, "tickCount": 8, "labelOverlap": True}
    if figure.x_type == "time":
        # in UTC: the same picture in every time zone
        return {**channel, "axis": axis, "scale": {"type": "utc"}}
    whole = [value for value in values if isinstance(value, int)]
    if whole and len(whole) == len(values) and max(whole) - min(whole) <= 10 and not figure.x_log:
        axis |= {"values": list(range(min(whole), max(whole) + 1)), "format": "d"}  # there is no half step
    space = scale(values, levels(figure, "x"), figure.x_log, room=0.04 if figure.kind == "scatter" else 0)
    return {**channel, "axis": axis, "scale": space}


def y_channel(figure: Figure, values: Sequence[Any]) -> Spec:
    """Return the encoding of y for curves and points."""
    space = scale(values, levels(figure, "y"), figure.y_log)
    return amount_channel(figure, {**space, "nice": True})


def amount_channel(figure: Figure, space: Spec) -> Spec:
    """Return the encoding of the amounts, on the given scale."""
    title = axis_title(figure.y_label, figure.units)
    return {"field": "y", "type": "quantitative", "title": title, "axis": {"tickCount": 5}, "scale": space}


def levels(figure: Figure, axis: str) -> list[float]:
    """Return the values of the rules of ``axis``: a plot has to reach them."""
    return [rule.value for rule in figure.rules if rule.axis == axis]


def scale(values: Sequence[Any], also: Sequence[float], log: bool, room: float = 0) -> Spec:
    """Return a scale over ``values`` and ``also``, with ``room``, a share of the span, on both sides."""
    if log:
        positive = [value for value in [*values, *also] if value is not None and value > 0] or [1]
        low, high = min(positive), max(positive)
        reach = (high / low) ** (room + 0.02) if low < high else 10
        return {"type": "log", "domain": [low / reach, high * reach], "nice": False}
    low, high = span(values, also)
    pad = (high - low) * room
    return {"domain": [low - pad, high + pad], "nice": False, "zero": False}


def span(values: Sequence[Any], also: Sequence[float], from_zero: bool = False) -> tuple[float, float]:
    """Return the range to cover; never of zero width, where a single point would have no place."""
    known = [value for value in [*values, *also, *([0] if from_zero else [])] if value is not None]
    low, high = (min(known), max(known)) if known else (0, 1)
    if low == high:
        pad = abs(low) * 0.1 or 1
        return (low, high + pad) if from_zero else (low - pad, high + pad)
    return low, high


def rules(figure: Figure, theme: str, axis: str, lies: bool = False) -> list[Spec]:
    """Draw the rules of one axis, each with its label at its end; lying bars have their amounts on x."""
    chosen = [rule for rule in figure.rules if rule.axis == axis]
    if not chosen:
        return []
    upright = (axis == "x") != lies
    records = [
        {"at": rule.value, "label": label}
        for rule, label in zip(chosen, labels([rule.label for rule in chosen], NAME), strict=True)
    ]
    at: Spec = {"field": "at", "type": "quantitative"}
    place = {"x": at} if upright else {"y": at}
    ink = INKS[theme].ink
    dashes: Spec = {"type": "rule", "strokeDash": [5, 4], "strokeWidth": 1.2, "color": ink, "opacity": 0.8}
    words: Spec = {"type": "text", "color": ink, "fontSize": 11, "baseline": "bottom"}
    words |= {"align": "left", "y": -3} if upright else {"align": "right", "dy": -4, "x": "width"}
    return [
        {"data": {"values": records}, "mark": dashes, "encoding": place},
        {"data": {"values": records}, "mark": words, "encoding": {**place, "text": {"field": "label"}}},
    ]


def haloed(records: list[Spec], mark: Spec, encoding: Spec, theme: str) -> list[Spec]:
    """Draw texts, set apart from what lies behind them where the ground has a colour."""
    ground = INKS[theme].background
    plain: Spec = {"data": {"values": records}, "mark": mark, "encoding": encoding}
    if ground == "transparent":
        return [plain]
    halo = {**mark, "color": ground, "stroke": ground, "strokeWidth": 4, "strokeJoin": "round"}
    return [{**plain, "mark": halo}, plain]
