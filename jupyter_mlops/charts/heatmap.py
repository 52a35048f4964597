"""The drawer of heatmaps: a coloured field for each row and column, with its value in it."""

from __future__ import annotations

from .axes import Drawing, Spec
from .figure import Figure
from .palette import INKS, PALETTE, axis_title, labels, shortened

FIELD, NARROW, LEAST = 64, 22, 280  # the sides of a field, and the least width of the whole
MOST = 60
MOST_TEXTS = 20


def heatmap(figure: Figure, theme: str) -> Drawing:
    """Draw a heatmap: the darker a field, the larger its value."""
    inks = INKS[theme]
    rows = figure.series[:MOST]
    columns = [str(x) for x in (rows[0].x if rows else ())][:MOST]
    across = labels(columns, 14)
    down = labels([row.name for row in rows], 18)
    values = [y for row in rows for y in row.y[:MOST] if isinstance(y, int | float)]
    low, high = min([*values, 0.0]), max(values, default=1.0)
    texts = max(len(across), len(down)) <= MOST_TEXTS
    fields = [
        {
            "x": across[at],
            "y": name,
            "value": value,
            "text": _written(value),
            "strong": (value - low) / (high - low) > 0.55 if high > low else False,
        }
        for name, row in zip(down, rows, strict=True)
        for at, value in enumerate(row.y[:MOST])
        if isinstance(value, int | float)
    ]
    ground = "#ffffff" if inks.background == "transparent" else inks.background
    place: Spec = {
        "x": {
            "field": "x",
            "type": "nominal",
            "sort": across,
            "title": axis_title(figure.x_label),
            "axis": {"orient": "bottom", "labelAngle": 0 if texts else -45, "domain": False, "ticks": False},
        },
        "y": {
            "field": "y",
            "type": "nominal",
            "sort": down,
            "title": axis_title(figure.y_label),
            "axis": {"domain": False, "ticks": False},
        },
    }
    color: Spec = {
        "field": "value",
        "type": "quantitative",
        "legend": None if texts else {"title": axis_title(figure.units)},
        "scale": {
            "domain": [low, high if high > low else low + 1],
            "range": [ground, PALETTE[0]],
            "interpolate": "rgb",
        },
    }
    seen = [
        {"field": "y", "title": shortened(figure.y_label, 40) or "row"},
        {"field": "x", "title": shortened(figure.x_label, 40) or "column"},
        {"field": "value", "title": "value"},
    ]
    mark: Spec = {"type": "rect", "cornerRadius": 3, "stroke": inks.grid, "strokeWidth": 1}
    layers: list[Spec] = [{"mark": mark, "encoding": {**place, "color": color, "tooltip": seen}}]
    if texts:
        # on the strong colour, light letters; on the weak one, which is nearly the ground, dark ones
        weak = inks.ink if inks.background != "transparent" else "#1f2733"
        letters = {"condition": {"test": "datum.strong", "value": "#ffffff"}, "value": weak}
        layers.append(
            {
                "mark": {"type": "text", "fontSize": 12},
                "encoding": {**place, "text": {"field": "text"}, "color": letters},
            }
        )
    side = FIELD if max(len(across), len(down)) <= 8 else 42 if texts else NARROW
    left_out = max(len(figure.series), len(figure.series[0].x) if figure.series else 0) - MOST
    note = f"the first {MOST} of {MOST + left_out}" if left_out > 0 else ""
    body: Spec = {
        "width": max(side * len(across), LEAST),
        "height": min(side, 48) * max(len(down), 1),
        "data": {"values": fields},
        "layer": layers,
    }
    return Drawing(body, note)


def _written(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.3g}"
