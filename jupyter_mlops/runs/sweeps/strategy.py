"""The strategy of a sweep: which parameter sets it tries. Made by the plan, asked by the launch.

What it answers depends on what is recorded and on nothing else, so that a sweep goes on in any process.
"""

from __future__ import annotations

import itertools
import math
import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from ...errors import BadInput
from .space import Axes, Axis, Choice, axis_from

KINDS = ("grid", "list", "random", "optuna")
ADAPTIVE = ("optuna",)


@dataclass(frozen=True, slots=True)
class Trial:
    """What is recorded of one parameter set that was tried: ``state`` is running, finished, pruned or failed.

    ``value`` is the last one of the metric that decides, ``course`` all of them by step.
    """

    drawn: Mapping[str, Any]
    state: str
    value: float | None = None
    course: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Strategy:
    """How parameter sets are found: all combinations, a list of sets, by chance, or by what was learnt."""

    kind: str = "grid"
    axes: Axes = ()
    sets: tuple[Mapping[str, Any], ...] = ()
    trials: int | None = None
    seed: int = 0

    @property
    def size(self) -> int:
        """How many parameter sets there are; they are counted, not made."""
        if self.kind == "list":
            return len(self.sets)
        total = self.combinations
        if self.kind == "grid":
            return int(total or 0)
        wanted = self.trials or 0
        return min(wanted, total) if total is not None and self.kind == "random" else wanted

    @property
    def combinations(self) -> int | None:
        """How many different sets the axes have, or ``None`` where they are endless."""
        if not all(isinstance(axis, Choice) for _, axis in self.axes):
            return None
        return math.prod(len(axis.values) for _, axis in self.axes if isinstance(axis, Choice))

    @property
    def adaptive(self) -> bool:
        """Whether a set can depend on what came of earlier ones."""
        return self.kind in ADAPTIVE

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters that differ between the sets."""
        if self.kind == "list":
            return tuple(dict.fromkeys(name for each in self.sets for name in each))
        return tuple(name for name, _ in self.axes)

    def known(self) -> Iterator[dict[str, Any]]:
        """Yield the sets that are known before anything is executed, in order."""
        if self.kind == "list":
            yield from (dict(each) for each in self.sets)
        elif self.kind == "grid":
            yield from self._combinations()
        elif self.kind == "random":
            yield from self._drawn()

    def next(self, trials: Sequence[Trial], goal: str) -> dict[str, Any]:
        """Return the set to try after ``trials``: by what came of them."""
        from .optuna_search import suggested

        return suggested(self.axes, self.seed, trials, goal)

    def to_json(self) -> dict[str, Any]:
        """Return the strategy as it is remembered."""
        return {
            "kind": self.kind,
            "axes": [[name, axis.to_json()] for name, axis in self.axes],
            "sets": [dict(each) for each in self.sets],
            "trials": self.trials,
            "seed": self.seed,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Strategy:
        """Return the strategy that was remembered."""
        axes: list[tuple[str, Axis]] = [(name, axis_from(each)) for name, each in document["axes"]]
        sets = tuple(document["sets"])
        return cls(document["kind"], tuple(axes), sets, document["trials"], document["seed"])

    def _combinations(self) -> Iterator[dict[str, Any]]:
        names = [name for name, _ in self.axes]
        values = [axis.values for _, axis in self.axes if isinstance(axis, Choice)]
        for combination in itertools.product(*values):
            yield dict(zip(names, combination, strict=True))

    def _drawn(self) -> Iterator[dict[str, Any]]:
        total = self.combinations
        if total is not None and total < sys.maxsize:
            # none twice: an index stands for a combination
            for index in Random(self.seed).sample(range(total), self.size):  # noqa: S311 no secret
                yield self._numbered(index)
            return
        for position in range(self.size):
            chance = Random(f"{self.seed}:{position}")  # noqa: S311 no secret
            yield {name: axis.draw(chance) for name, axis in self.axes}

    def _numbered(self, index: int) -> dict[str, Any]:
        found = {}
        for name, axis in reversed(self.axes):
            if isinstance(axis, Choice):
                index, at = divmod(index, len(axis.values))
                found[name] = axis.values[at]
        return dict(reversed(found.items()))


def strategy_of(
    kind: str,
    axes: Axes,
    sets: Sequence[Mapping[str, Any]],
    trials: int | None,
    seed: int | None,
) -> Strategy:
    """Return the strategy of these parts; raises ``BadInput`` where one is missing or does not belong."""
    ranged = [name for name, axis in axes if not isinstance(axis, Choice)]
    if kind in ("grid", "list"):
        if trials is not None or seed is not None:
            what = "trials" if trials is not None else "seed"
            raise BadInput(
                f"a {kind} search has no {what}", "--search random or optuna (search='random') has"
            )
        if ranged:
            raise BadInput(
                f"{ranged[0]} is a range, which no grid can try in full",
                "add --search random --trials 20 (search='random', trials=20), or --search optuna",
            )
        return Strategy(kind, axes, tuple(sets))
    a_search = f"{'an' if kind == 'optuna' else 'a'} {kind} search"
    if not axes:
        raise BadInput(
            f"{a_search} has nothing to draw from",
            "add --space C=0.1:10:log (space={'C': (0.1, 10, 'log')}), or a grid",
        )
    if isinstance(trials, bool) or not isinstance(trials, int) or trials < 1:
        given = "" if trials is None else f", not {trials!r}"
        raise BadInput(f"{a_search} needs a number of trials{given}", "such as --trials 20 (trials=20)")
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32):
        raise BadInput(f"seed is {seed!r}", f"give a whole number from 0 to {2**32 - 1}")
    if kind == "optuna":
        from .optuna_search import check_installed

        check_installed()
    return Strategy(kind, axes, (), trials, secrets.randbits(32) if seed is None else seed)
