"""Figures as values, and their one Vega-Lite rendering for notebooks, pages, reports and Slack."""

from __future__ import annotations

from .figure import (
    Figure,
    GraphNode,
    Rule,
    Series,
    bar,
    graph,
    grouped_bar,
    histogram,
    line,
    parallel,
    scatter,
)
from .vegalite import png, svg, vega_lite

__all__ = [
    "Figure",
    "GraphNode",
    "Rule",
    "Series",
    "bar",
    "graph",
    "grouped_bar",
    "histogram",
    "line",
    "parallel",
    "png",
    "scatter",
    "svg",
    "vega_lite",
]
