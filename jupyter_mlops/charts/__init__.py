"""Figures as values, and their one Vega-Lite rendering for notebooks, pages, reports and Slack."""

from __future__ import annotations

from typing import Any

from .figure import (
    Figure,
    GraphNode,
    Rule,
    Series,
    bar,
    graph,
    grouped_bar,
    heatmap,
    histogram,
    line,
    parallel,
    scatter,
)

__all__ = [
    "Figure",
    "GraphNode",
    "Rule",
    "Series",
    "bar",
    "graph",
    "grouped_bar",
    "heatmap",
    "histogram",
    "line",
    "parallel",
    "png",
    "scatter",
    "svg",
    "vega_lite",
]


def vega_lite(figure: Figure, theme: str = "auto") -> dict[str, Any]:
    """Return ``figure`` as a Vega-Lite 5 specification with its data inside.

    ``theme`` "auto" is transparent and can be read on light and on dark; "light" and "dark" are opaque.
    """
    from . import vegalite  # most commands draw nothing

    return vegalite.vega_lite(figure, theme)


def svg(figure: Figure, theme: str = "auto") -> str:
    """Return ``figure`` as an SVG document."""
    from . import vegalite

    return vegalite.svg(figure, theme)


def png(figure: Figure, scale: float = 2.0, theme: str = "light") -> bytes:
    """Return ``figure`` as a PNG image with ``scale`` pixels to a unit; opaque unless ``theme`` is "auto"."""
    from . import vegalite

    return vegalite.png(figure, scale, theme)
