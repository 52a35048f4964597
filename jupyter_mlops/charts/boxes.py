"""The drawer of graphs: boxes from left to right, each to the right of what leads to it."""

from __future__ import annotations

from collections.abc import Sequence

from .axes import Drawing, Spec
from .figure import Figure, GraphNode
from .palette import ACCENT, INKS, MUTED, PALETTE, labels, shortened

BOX_HEIGHT, ROW, GAP = 40, 54, 40
NARROWEST, WIDEST = 104, 200
LETTER, SMALL = 7.9, 6.2  # pixels of a letter of a label and of what is below it, on average
MOST = 60
_CURVE = 16  # points of an edge
_SWEEPS = 6
_COLORS = {"data": PALETTE[0], "run": PALETTE[1], "sweep": PALETTE[1], "model": PALETTE[2]}


def boxes(figure: Figure, theme: str) -> Drawing:
    """Draw a graph: a box a node, coloured at its edge by its kind, and a curve for each edge."""
    inks = INKS[theme]
    nodes = figure.nodes[:MOST]
    edges = [(a, b) for a, b in figure.edges if a < len(nodes) and b < len(nodes) and a != b]
    place = _placed(len(nodes), edges)
    names = labels([node.label for node in nodes], 26)
    abouts = [_about(node) for node in nodes]
    longest = max(
        max(len(name) * LETTER, len(about) * SMALL) for name, about in zip(names, abouts, strict=True)
    )
    width = min(max(NARROWEST, round(longest) + 26), WIDEST)
    across = max((column for column, _ in place), default=0) * (width + GAP) + width
    down = max((row for _, row in place), default=0) * ROW + BOX_HEIGHT
    shown = [
        {
            "x": column * (width + GAP),
            "x2": column * (width + GAP) + width,
            "y": row * ROW,
            "y2": row * ROW + BOX_HEIGHT,
            "bar": column * (width + GAP) + 4,
            "text": column * (width + GAP) + 14,
            "name": node.label,
            "label": shortened(name, int((width - 22) / LETTER)),
            "about": _cut(about, int((width - 22) / SMALL)),
            "kind": node.kind,
            "color": _COLORS.get(node.kind, MUTED),
            "first": row * ROW + (16 if about else 21),
            "second": row * ROW + 30,
            "top": node.name in figure.highlight,
        }
        for node, name, about, (column, row) in zip(nodes, names, abouts, place, strict=True)
    ]
    lines, heads = _curves(edges, shown)
    x: Spec = {"type": "quantitative", "axis": None, "scale": {"domain": [0, across], "nice": False}}
    y: Spec = {"type": "quantitative", "axis": None, "scale": {"domain": [down, 0], "nice": False}}

    def at(x_field: str, y_field: str) -> Spec:
        return {"x": {"field": x_field, **x}, "y": {"field": y_field, **y}}

    span = {**at("x", "y"), "x2": {"field": "x2"}, "y2": {"field": "y2"}}
    own: Spec = {"field": "color", "type": "nominal", "scale": None, "legend": None}
    ground = inks.background if inks.background != "transparent" else None
    outline = {"condition": {"test": "datum.top", "value": ACCENT}, "value": inks.faint}
    layers: list[Spec] = []
    if lines:
        drawn = {"type": "line", "strokeWidth": 1.4, "color": inks.faint, "strokeOpacity": 0.75}
        detail = {"detail": {"field": "edge", "type": "nominal"}, "order": {"field": "step"}}
        layers.append({"data": {"values": lines}, "mark": drawn, "encoding": {**at("x", "y"), **detail}})
        tip = {"type": "point", "shape": "triangle-right", "filled": True, "size": 42, "opacity": 0.9}
        layers.append(
            {"data": {"values": heads}, "mark": {**tip, "color": inks.faint}, "encoding": at("x", "y")}
        )
    if ground:
        hidden = {"type": "rect", "cornerRadius": 6, "color": ground}
        layers.append({"data": {"values": shown}, "mark": hidden, "encoding": span})
    layers += [
        {
            "data": {"values": shown},
            "mark": {"type": "rect", "cornerRadius": 6, "fillOpacity": 0.1},
            "encoding": {
                **span,
                "color": own,
                "stroke": outline,
                "strokeWidth": {"condition": {"test": "datum.top", "value": 2.2}, "value": 0.8},
                "tooltip": [{"field": "kind", "title": "is"}, {"field": "name"}, {"field": "about"}],
            },
        },
        {
            "data": {"values": shown},
            "mark": {"type": "rect", "cornerRadiusTopLeft": 5, "cornerRadiusBottomLeft": 5},
            "encoding": {**span, "x2": {"field": "bar"}, "color": own},
        },
        {
            "data": {"values": shown},
            "mark": {"type": "text", "align": "left", "baseline": "middle", "fontSize": 12, "fontWeight": 600}
            | {"color": inks.ink},
            "encoding": {**at("text", "first"), "text": {"field": "label"}},
        },
        {
            "data": {"values": [box for box in shown if box["about"]]},
            "mark": {"type": "text", "align": "left", "baseline": "middle", "fontSize": 10.5}
            | {"color": inks.faint},
            "encoding": {**at("text", "second"), "text": {"field": "about"}},
        },
    ]
    note = f"first {MOST} of {len(figure.nodes):,}" if len(figure.nodes) > MOST else ""
    return Drawing({"width": across, "height": down, "layer": layers}, note)


def _about(node: GraphNode) -> str:
    return f"{node.kind} · {node.detail}" if node.detail else node.kind


def _cut(words: str, most: int) -> str:
    return words if len(words) <= most else words[: most - 1].rstrip() + "…"


def _curves(edges: Sequence[tuple[int, int]], boxes: Sequence[Spec]) -> tuple[list[Spec], list[Spec]]:
    """Return the points of each edge's curve, and where its head is."""
    lines: list[Spec] = []
    heads: list[Spec] = []
    for number, (a, b) in enumerate(edges):
        middle = BOX_HEIGHT / 2
        start = boxes[a]["x2"], boxes[a]["y"] + middle
        end = boxes[b]["x"] - 6, boxes[b]["y"] + middle
        bend = max((end[0] - start[0]) / 2, 24)
        for step in range(_CURVE + 1):
            t = step / _CURVE
            u = 1 - t
            x = (
                u**3 * start[0]
                + 3 * u * u * t * (start[0] + bend)
                + 3 * u * t * t * (end[0] - bend)
                + t**3 * end[0]
            )
            y = (u**3 + 3 * u * u * t) * start[1] + (3 * u * t * t + t**3) * end[1]
            lines.append({"edge": number, "step": step, "x": round(x, 1), "y": round(y, 1)})
        heads.append({"x": end[0] + 1, "y": end[1]})
    return lines, heads


def _placed(count: int, edges: Sequence[tuple[int, int]]) -> list[tuple[int, float]]:
    """Return the column and row of each node: columns by what leads to it, rows near its neighbours'."""
    edges = _forward(count, edges)
    column = [0] * count
    for _ in range(count):
        moved = False
        for a, b in edges:
            if column[b] <= column[a]:
                column[b], moved = column[a] + 1, True
        if not moved:
            break
    for node in reversed(range(count)):  # what leads to others stands just before them
        after = [column[b] for a, b in edges if a == node]
        if after and not any(b == node for _, b in edges):
            column[node] = min(after) - 1
    columns: dict[int, list[int]] = {}
    for node in range(count):
        columns.setdefault(column[node], []).append(node)
    near: list[list[int]] = [[] for _ in range(count)]
    for a, b in edges:
        near[a].append(b)
        near[b].append(a)
    tallest = max((len(members) for members in columns.values()), default=1)
    row = [0.0] * count

    def spread(members: list[int]) -> None:
        for index, node in enumerate(members):
            row[node] = index + (tallest - len(members)) / 2

    for members in columns.values():
        spread(members)
    for sweep in range(_SWEEPS):
        for place in sorted(columns, reverse=sweep % 2 == 1):
            members = columns[place]
            wanted = {
                node: sum(row[other] for other in near[node]) / len(near[node]) if near[node] else row[node]
                for node in members
            }
            members.sort(key=lambda node: (wanted[node], node))
            spread(members)
    return [(column[node], row[node]) for node in range(count)]


def _forward(count: int, edges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the edges without those that close a circle."""
    after: list[list[int]] = [[] for _ in range(count)]
    kept = []
    for a, b in edges:
        waiting, seen = [b], {b}
        while waiting:
            here = waiting.pop()
            for other in after[here]:
                if other not in seen:
                    seen.add(other)
                    waiting.append(other)
        if a not in seen:
            after[a].append(b)
            kept.append((a, b))
    return kept
