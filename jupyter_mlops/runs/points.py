"""Metric points: single values, and many of them as columns. Used by the journal, handed out by ``Run``."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

_BYTES = 24


class MetricPoint(NamedTuple):
    """One logged value of a metric, and the seconds since 1970 when it was logged.

    A tuple, because a history may have a million of them.
    """

    step: int
    value: float
    seconds: float

    @property
    def at(self) -> str:
        """When it was logged, in UTC."""
        return datetime.fromtimestamp(self.seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _whole() -> array[int]:
    return array("q")


def _real() -> array[float]:
    return array("d")


@dataclass(slots=True)
class Points:
    """Points of one metric in the order they were logged, by column."""

    steps: array[int] = field(default_factory=_whole)
    values: array[float] = field(default_factory=_real)
    seconds: array[float] = field(default_factory=_real)

    def __len__(self) -> int:
        return len(self.values)

    def append(self, step: int, value: float, seconds: float) -> None:
        """Add one point."""
        self.steps.append(step)
        self.values.append(value)
        self.seconds.append(seconds)

    def extend(self, other: Points) -> None:
        """Add the points of ``other``."""
        self.steps.extend(other.steps)
        self.values.extend(other.values)
        self.seconds.extend(other.seconds)

    def part(self, start: int, end: int) -> Points:
        """Return the points from ``start`` to before ``end``."""
        return Points(self.steps[start:end], self.values[start:end], self.seconds[start:end])

    def pack(self) -> bytes:
        """Return the columns one after the other, eight little-endian bytes a number."""
        columns = [array(c.typecode, c) for c in (self.steps, self.values, self.seconds)]
        return b"".join(_little(column).tobytes() for column in columns)

    @classmethod
    def unpack(cls, data: bytes) -> Points:
        """Return the points that ``pack`` wrote."""
        each = len(data) // _BYTES * 8
        points = cls()
        columns: tuple[array[int] | array[float], ...] = (points.steps, points.values, points.seconds)
        for number, column in enumerate(columns):
            column.frombytes(data[number * each : (number + 1) * each])
            _little(column)
        return points

    def thinned(self, most: int | None) -> Points:
        """Return at most about ``most`` of the points, in order.

        Kept are the first, the last, and the smallest and the largest of each of many equal stretches, so
        that a line through what is left looks like a line through all.
        """
        count = len(self)
        if most is None or count <= max(most, 4):
            return self
        stretches = max((most - 2) // 2, 1)
        kept = {0, count - 1}
        for number in range(stretches):
            start, end = number * count // stretches, (number + 1) * count // stretches
            stretch = self.values[start:end]
            numbers: Iterable[float] = stretch
            if stretch[0] != stretch[0]:  # a NaN in front would be called the smallest
                numbers = [value for value in stretch if value == value]
                if not numbers:
                    kept.add(start)
                    continue
            for extreme in (min(numbers), max(numbers)):
                kept.add(start + stretch.index(extreme))
        chosen = sorted(kept)
        return Points(
            array("q", (self.steps[index] for index in chosen)),
            array("d", (self.values[index] for index in chosen)),
            array("d", (self.seconds[index] for index in chosen)),
        )

    def listed(self) -> tuple[MetricPoint, ...]:
        """Return the points one by one."""
        return tuple(map(MetricPoint, self.steps, self.values, self.seconds))


def _little(column: array[int] | array[float]) -> array[int] | array[float]:
    if sys.byteorder == "big":
        column.byteswap()
    return column
