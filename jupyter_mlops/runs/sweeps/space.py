"""The space of a search: what each parameter may be. Read by the plan, drawn from by a ``Strategy``."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from ...errors import BadInput
from ..execution.notebook import Parameter
from ..plain import plain
from .parameters import distinct, typed

_LOG = "log"
_HINT = "write LOW:HIGH, LOW:HIGH:log or A,B,C; in Python (low, high), (low, high, 'log') or a list"


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some values."""

    values: tuple[Any, ...]

    def draw(self, chance: Random) -> Any:
        """Return one of the values by chance."""
        return chance.choice(self.values)

    def to_json(self) -> dict[str, Any]:
        """Return the choice as it is remembered."""
        return {"values": list(self.values)}


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers between two, both included; with ``log``, each order of magnitude is as likely as another."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def draw(self, chance: Random) -> int | float:
        """Return a number between the ends by chance."""
        if self.whole and self.log:
            drawn = round(math.exp(chance.uniform(math.log(self.low - 0.5), math.log(self.high + 0.5))))
            return min(max(drawn, int(self.low)), int(self.high))
        if self.whole:
            return chance.randint(int(self.low), int(self.high))
        if self.log:
            value = math.exp(chance.uniform(math.log(self.low), math.log(self.high)))
        else:
            value = chance.uniform(self.low, self.high)
        return min(max(value, self.low), self.high)

    def to_json(self) -> dict[str, Any]:
        """Return the range as it is remembered."""
        return {"low": self.low, "high": self.high, "log": self.log, "whole": self.whole}


Axis = Choice | Range
Axes = tuple[tuple[str, Axis], ...]


def read_space(declared: Mapping[str, Parameter], space: Mapping[str, Any] | None) -> Axes:
    """Return what each name may be, typed by what the notebook declares; raises ``BadInput``."""
    return tuple((name, _axis(declared[name], given)) for name, given in (space or {}).items())


def axis_from(document: Mapping[str, Any]) -> Axis:
    """Return the choice or range that was remembered."""
    return Choice(tuple(document["values"])) if "values" in document else Range(**document)


def _axis(parameter: Parameter, given: Any) -> Axis:
    if isinstance(given, Choice | Range):
        return given
    if isinstance(given, str):
        ends = given.split(":")
        if parameter.type == "str" or len(ends) == 1:
            words = given.split(",")
            return Choice(distinct(parameter, words, "space"))
        return _range(parameter, ends, given)
    if isinstance(given, tuple) and len(given) in (2, 3) and not isinstance(given[0], str):
        return _range(parameter, list(given), given)
    if isinstance(given, Iterable) and not isinstance(given, bytes | Mapping):
        return Choice(distinct(parameter, given, "space"))
    raise BadInput(f"space {parameter.name} is {given!r}", _HINT)


def _range(parameter: Parameter, ends: list[Any], given: Any) -> Range:
    what = f"space {parameter.name}"
    log = len(ends) == 3
    if len(ends) not in (2, 3) or (log and str(ends[2]).strip().lower() != _LOG):
        raise BadInput(f"{what} is {given!r}, no range", _HINT)
    if parameter.type not in ("", "int", "float"):
        raise BadInput(
            f"{what} is a range, and {parameter.name} is no number", "give the values to choose from"
        )
    low, high = (
        typed(parameter, end.strip() if isinstance(end, str) else plain(end, what)) for end in ends[:2]
    )
    for end in (low, high):
        if isinstance(end, bool) or not isinstance(end, int | float) or not math.isfinite(end):
            raise BadInput(f"{what} is {given!r}, no range of numbers", _HINT)
    if low >= high:
        raise BadInput(f"{what} goes from {low:g} to {high:g}", "the first number must be the smaller one")
    if not math.isfinite(high - low):
        raise BadInput(f"{what} goes from {low:g} to {high:g}, too far to draw from", "give a smaller range")
    if log and low <= 0:
        raise BadInput(f"{what} is logarithmic and begins at {low:g}", "begin above 0")
    whole = isinstance(low, int) and isinstance(high, int)
    return Range(low, high, log, whole)
