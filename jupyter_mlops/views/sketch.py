"""Sketches: figures in block characters, for places without pictures. Drawn by ``text``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..charts import Figure
from . import formats

_MOST_BARS, _MOST_GROUPS, _MOST_CURVES = 15, 8, 10


@dataclass(frozen=True, slots=True)
class Stroke:
    """One line of a sketch: a name, the heights or the length to draw after it, and the value in words."""

    name: str
    value: str
    length: float | None = None
    heights: tuple[float, ...] = ()
    curve: bool = False

    def drawn(self, room: int) -> str:
        """Return the stroke in at most ``room`` characters."""
        if self.length is not None:
            return "█" * round(self.length * room) or "▏"
        return formats.trend(self.heights, room) if self.curve else formats.sparkline(self.heights, room)


def sketch(figure: Figure) -> tuple[list[Stroke], int]:
    """Return the strokes of ``figure``, none where blocks cannot show it, and how many are left out."""
    if not figure.series:
        return [], 0
    places = len(figure.series[0].x)
    match figure.kind:
        case "bar":
            return list(_bars(figure, _MOST_BARS)), max(places - _MOST_BARS, 0)
        case "grouped_bar":
            return list(_bars(figure, _MOST_GROUPS)), max(places - _MOST_GROUPS, 0)
        case "histogram":
            return list(_histograms(figure)), 0
        case "line":
            return list(_curves(figure)), max(len(figure.series) - _MOST_CURVES, 0)
        case _:
            return [], 0


def _bars(figure: Figure, most: int) -> Iterator[Stroke]:
    top = max((abs(value) for one in figure.series for value in _numbers(one.y)), default=0.0) or 1.0
    for index, name in list(enumerate(figure.series[0].x))[:most]:
        for one in figure.series:
            value = one.y[index]
            length = abs(value) / top if isinstance(value, int | float) else 0.0
            label = f"{name} · {one.name}" if len(figure.series) > 1 else str(name)
            yield Stroke(label, formats.metric(value), length)


def _histograms(figure: Figure) -> Iterator[Stroke]:
    for one in figure.series:
        heights = tuple(value if isinstance(value, int | float) else 0.0 for value in one.y)
        ends = _numbers(one.x[:1] + one.x[-1:])
        if heights:
            yield Stroke(one.name, " to ".join(map(formats.metric, ends)), heights=heights)


def _curves(figure: Figure) -> Iterator[Stroke]:
    for one in figure.series[:_MOST_CURVES]:
        known = tuple(_numbers(one.y))
        if known:
            value = f"{formats.metric(known[0])} → {formats.metric(known[-1])}"
            yield Stroke(one.name, value, heights=known, curve=True)


def _numbers(values: Sequence[float | int | str | None]) -> list[float]:
    return [value for value in values if isinstance(value, int | float)]
