"""The drawers of bar charts, grouped bar charts and histograms."""

from __future__ import annotations

from itertools import pairwise

from .axes import HEIGHT, WIDTH, Drawing, Spec, amount_channel, haloed, levels, rules, span, y_place
from .figure import Figure, Point
from .palette import ACCENT, INKS, MUTED, NAME, PAIR, PALETTE, TICK, axis_title, labels

MOST_BARS = 30


def bars(figure: Figure, theme: str) -> Drawing:
    """Draw a bar chart or a grouped one, standing or lying."""
    lies = figure.horizontal
    along, across = ("y", "x") if lies else ("x", "y")
    names = figure.series[0].x
    shown = labels([str(name) for name in names[:MOST_BARS]], TICK)
    groups = labels([one.name for one in figure.series], NAME)
    grouped = figure.kind == "grouped_bar"
    records = [
        {
            "x": label,
            "y": value,
            "series": group,
            "name": str(name),
            "label": _written(value),
            "at": value or 0,
            "top": name in figure.highlight,
        }
        for group, one in zip(groups, figure.series, strict=True)
        for label, name, y in zip(shown, one.x, one.y, strict=False)
        for value in [y_place(y, figure)]
    ]
    written = len(records) <= (MOST_BARS if lies else 12)
    low, high = span([row["y"] for row in records], levels(figure, "y"), from_zero=True)
    room = (high - low) * 0.08 if written else 0
    amount = amount_channel(
        figure, {"domain": [low - room if low < 0 else low, high + room], "nice": not written}
    )
    category: Spec = {
        "field": "x",
        "type": "nominal",
        "sort": shown,
        "title": axis_title(figure.x_label),
        "axis": {"labelAngle": 0, "ticks": False, "labelPadding": 6, "labelLimit": 190 if lies else 110},
        "scale": {"paddingInner": 0.28 if grouped else 0.35, "paddingOuter": 0.2},
    }
    place: Spec = {along: category, across: amount}
    tooltip: list[Spec] = [{"field": "name", "title": "name"}]
    if grouped:
        place[f"{along}Offset"] = {"field": "series", "type": "nominal", "sort": groups}
        tooltip.append({"field": "series", "title": "group"})
        color = _group_color(groups)
    else:
        plain = MUTED if figure.highlight else PALETTE[0]
        color = {"condition": {"test": "datum.top", "value": ACCENT}, "value": plain}
    tooltip.append({"field": "y", "type": "quantitative", "title": axis_title(figure.y_label) or "value"})
    encoding = {**place, "color": color, "tooltip": tooltip}
    mark = {"type": "bar", "cornerRadiusEnd": 2}
    layers: list[Spec] = [{"data": {"values": records}, "mark": mark, "encoding": encoding}]
    layers += rules(figure, theme, "y", lies=lies)
    if written:
        at = {**place, across: {**amount, "field": "at"}, "text": {"field": "label"}}
        for down in (False, True):
            some = [row for row in records if str(row["label"]).startswith("-") is down]
            if some:
                words = {"type": "text", "color": INKS[theme].faint, "fontSize": 10 if grouped else 11}
                layers += haloed(some, {**words, **_beyond(lies, down)}, at, theme)
    if lies:
        step = 8 + 13 * len(groups) if grouped else 26
        size = {"width": WIDTH - 100, "height": max(60, step * len(shown))}
    else:
        step = 16 + 36 * len(groups) if grouped else 64
        size = {"width": min(WIDTH, max(180, step * len(shown))), "height": HEIGHT - 40}
    note = f"first {MOST_BARS} of {len(names):,}" if len(names) > MOST_BARS else ""
    return Drawing({**size, "layer": layers}, note)


def histogram(figure: Figure, theme: str) -> Drawing:
    """Draw given bins, names laid over each other, each with its outline."""
    edges = [float(edge) for edge in figure.series[0].x if isinstance(edge, (int, float))]
    if edges[0] == edges[-1]:  # a constant has no width to be drawn with
        edges = [edges[0] - 0.5 + place / (len(edges) - 1) for place in range(len(edges))]
    groups = labels([one.name for one in figure.series], NAME)
    boxes: list[Spec] = []
    outline: list[Spec] = []
    for index, (group, one) in enumerate(zip(groups, figure.series, strict=True)):
        heights = [y_place(value, figure) or 0 for value in one.y]
        boxes += [
            {"x": left, "x2": right, "y": height, "series": group, "name": one.name}
            for (left, right), height in zip(pairwise(edges), heights, strict=True)
        ]
        steps = [(edges[0], 0), *zip(edges, [*heights, heights[-1]], strict=True), (edges[-1], 0)]
        outline += [
            {"x": x, "y": y, "series": group, "line": str(index), "order": order}
            for order, (x, y) in enumerate(steps)
        ]
    pad = (edges[-1] - edges[0]) * 0.01
    x: Spec = {
        "field": "x",
        "type": "quantitative",
        "title": axis_title(figure.x_label),
        "axis": {"grid": False, "tickCount": 8, "labelOverlap": True},
        "scale": {"domain": [edges[0] - pad, edges[-1] + pad], "nice": False, "zero": False},
    }
    low, high = span([box["y"] for box in boxes], levels(figure, "y"), from_zero=True)
    y = amount_channel(figure, {"domain": [low, high], "nice": True})
    color = _group_color(groups)
    tooltip = [
        {"field": "name", "title": "name"},
        {"field": "x", "type": "quantitative", "title": "from"},
        {"field": "x2", "type": "quantitative", "title": "to"},
        {"field": "y", "type": "quantitative", "title": axis_title(figure.y_label) or "value"},
    ]
    ranges = {"x": x, "x2": {"field": "x2"}, "y": y, "y2": {"datum": 0}}
    line = {"field": "line", "type": "nominal"}
    order = {"field": "order", "type": "quantitative"}
    layers: list[Spec] = [
        {
            # one area, as boxes beside each other show their seams
            "data": {"values": outline},
            "mark": {"type": "area", "interpolate": "step-after", "orient": "vertical", "fillOpacity": 0.35},
            "encoding": {
                "x": x,
                "y": {**y, "stack": None},
                "y2": {"datum": 0},
                "color": color,
                "detail": line,
            },
        },
        {
            "data": {"values": boxes},
            "mark": {"type": "rect", "fillOpacity": 0},
            "encoding": {**ranges, "color": color, "tooltip": tooltip},
        },
        {
            "data": {"values": outline},
            "mark": {"type": "line", "interpolate": "step-after", "strokeWidth": 1.6, "strokeJoin": "miter"},
            "encoding": {"x": x, "y": y, "color": color, "detail": line, "order": order},
        },
    ]
    layers += rules(figure, theme, "y") + rules(figure, theme, "x")
    return Drawing({"width": WIDTH, "height": HEIGHT - 40, "layer": layers})


def _group_color(groups: list[str]) -> Spec:
    ramp = list(PAIR) if len(groups) == 2 else [PALETTE[index % len(PALETTE)] for index in range(len(groups))]
    legend = {"title": None, "orient": "top", "offset": 6, "symbolType": "square", "symbolOpacity": 1}
    return {
        "field": "series",
        "type": "nominal",
        "scale": {"domain": groups, "range": ramp},
        "legend": {**legend, "symbolStrokeWidth": 0} if len(groups) > 1 else None,
    }


def _beyond(lies: bool, down: bool) -> Spec:
    """Return how a text stands beyond the end of its bar."""
    if lies:
        return {"align": "right" if down else "left", "dx": -5 if down else 5, "baseline": "middle"}
    return {"baseline": "top" if down else "bottom", "dy": 4 if down else -4}


def _written(value: Point) -> str:
    if value is None:
        return "no value"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3g}"
