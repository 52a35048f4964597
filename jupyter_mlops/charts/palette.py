"""Colours, inks and lengths of text: how every figure looks. Called by the drawers of ``vegalite``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

FONT = "system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', Arial, 'Liberation Sans', sans-serif"
PALETTE = ("#3b7dd8", "#e07b39", "#2fa37c", "#c05bb0", "#c9a227", "#49a8c9", "#d05353", "#8a6fd1")
ACCENT, MUTED = "#e0603a", "#9aa3af"
PAIR = (MUTED, PALETTE[0])  # what was, what is
TITLE_LETTER, SUBTITLE_LETTER = 10.2, 7.4  # the average width of their letters in a wide font
NAME, TICK = 34, 22  # letters of a name in a legend, and on an axis


@dataclass(frozen=True, slots=True)
class Inks:
    ink: str
    faint: str
    grid: str
    background: str


INKS = {
    # one grey for both grounds: contrast 4.3:1 on white and on JupyterLab's dark, the best one ink can have
    "auto": Inks("#777b83", "#777b83", "#88888840", "transparent"),
    "light": Inks("#1f2733", "#5c6673", "#e6e9ee", "#ffffff"),
    "dark": Inks("#e8eaee", "#a7afba", "#333944", "#17191d"),
}


def config(theme: str) -> dict[str, Any]:
    """Return the Vega-Lite configuration of ``theme``."""
    inks = INKS[theme]
    return {
        "background": inks.background,
        "font": FONT,
        "padding": 14,
        "view": {"stroke": None},
        "title": {
            "anchor": "start",
            "frame": "group",
            "color": inks.ink,
            "fontSize": 15,
            "fontWeight": 600,
            "offset": 14,
            "subtitleColor": inks.faint,
            "subtitleFontSize": 12,
            "subtitlePadding": 5,
        },
        "axis": {
            "labelColor": inks.faint,
            "titleColor": inks.ink,
            "labelFontSize": 11.5,
            "titleFontSize": 12,
            "titleFontWeight": 500,
            "titlePadding": 10,
            "gridColor": inks.grid,
            "domainColor": inks.faint,
            "tickColor": inks.faint,
            "labelLimit": 190,
            "titleLimit": 420,
        },
        "legend": {
            "labelColor": inks.ink,
            "titleColor": inks.faint,
            "labelFontSize": 12,
            "titleFontSize": 12,
            "titleFontWeight": 500,
            "labelLimit": 220,
            "titleLimit": 220,
            "symbolStrokeWidth": 2.5,
        },
        "text": {"color": inks.ink, "fontSize": 11.5},
    }


def shortened(text: str, most: int) -> str:
    """Return ``text`` without its middle where it is too long: names often differ at both ends."""
    if not text.strip():
        return ""
    if len(text) <= most:
        return text
    tail = (most - 1) // 3
    return f"{text[: most - 1 - tail].rstrip()}…{text[len(text) - tail :].lstrip()}"


def labels(names: Iterable[str], most: int) -> list[str]:
    """Return a label for each name: short, never blank, and different for each place in the list."""
    made: list[str] = []
    seen: dict[str, int] = {}
    for name in names:
        label = shortened(name, most) or "(blank)"
        seen[label] = seen.get(label, 0) + 1
        made.append(label if seen[label] == 1 else f"{label} ({seen[label]})")
    return made


def axis_title(label: str, units: str = "") -> str | None:
    """Return the title of an axis, with its unit; None draws none."""
    whole = f"{label} ({units})" if label and units else label or units
    return shortened(whole, 60) or None
