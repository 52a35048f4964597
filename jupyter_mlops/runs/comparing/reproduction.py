"""The reproduction: a run executed again, held against the original. Made by ``Repetition``."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ...value import Value
from ..plain import jsonable
from ..run import Run

Agreement = Literal["equal", "close", "different", "missing", "new", "ignored"]
TOLERANCE = 1e-6
_MOST_POINTS = 100_000
_TIMING = re.compile(r"(?:^|[._ ])(?:seconds|secs|ms|time|duration|elapsed|per_second)$", re.IGNORECASE)
_FACTS = ("python", "implementation", "executable", "platform", "machine", "cpus", "hashing", "hash_seed")


@dataclass(frozen=True, slots=True)
class Held:
    """One thing held against the other: ``original`` and ``repeated`` are values, digests or short texts."""

    name: str
    original: Any
    repeated: Any
    agreement: Agreement
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-ready types."""
        return {name: jsonable(getattr(self, name)) for name in self.__slots__}


@dataclass(frozen=True, slots=True, repr=False)
class Reproduction(Value):
    """A run that was executed like another, and whether what came of it agrees.

    ``asked`` says what was to be different. ``environment`` and ``code`` hold only what differs there;
    ``ignored`` says what in the cells' outputs was not compared.
    """

    original: Run
    run: Run
    asked: tuple[str, ...] = ()
    metrics: tuple[Held, ...] = ()
    cells: tuple[Held, ...] = ()
    outputs: tuple[Held, ...] = ()
    artifacts: tuple[Held, ...] = ()
    parameters: tuple[Held, ...] = ()
    environment: tuple[Held, ...] = ()
    code: tuple[Held, ...] = ()
    ignored: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """``identical``, ``agrees``, ``differs``, ``failed``, or how far the run is while it has not ended.

        A run agrees whose metrics are equal or close and whose dataset versions are equal; it is identical
        if so is everything else. One that fails where the original failed, with the same error, agrees.
        """
        if not self.run.ended:
            return self.run.status
        if self.run.status != self.original.status:
            return "differs" if self.run.status == "finished" else "failed"
        if _failure(self.run) != _failure(self.original):
            return "differs"
        judged = {one.agreement for one in (*self.metrics, *self.outputs)} - {"ignored"}
        if judged - {"equal", "close"}:
            return "differs"
        others = {one.agreement for one in (*self.cells, *self.artifacts, *self.parameters)} - {"ignored"}
        return "identical" if judged | others <= {"equal"} else "agrees"

    @property
    def agrees(self) -> bool:
        """Whether metrics and dataset versions are those of the original, within the tolerance."""
        return self.verdict in ("identical", "agrees")

    @property
    def kind(self) -> str:
        """What it is, for listings."""
        return "reproduction"

    @property
    def path(self) -> str:
        """Where the page shows it: beside each other."""
        return f"runs/{self.run.id}"

    def differing(self) -> tuple[Held, ...]:
        """Return what came out otherwise: metrics, dataset versions, artifacts, parameters and cells."""
        held = (*self.metrics, *self.outputs, *self.artifacts, *self.parameters, *self.cells)
        return tuple(one for one in held if one.agreement not in ("equal", "ignored"))

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-ready types; ``items`` holds the run, as every answer of ``run`` does."""
        groups = ("metrics", "cells", "outputs", "artifacts", "parameters", "environment", "code")
        return {
            "items": [self.run.to_dict()],
            "like": self.original.id,
            "verdict": self.verdict,
            "asked": list(self.asked),
            **{group: [one.to_dict() for one in getattr(self, group)] for group in groups},
            "ignored": list(self.ignored),
        }

    def __repr__(self) -> str:
        return f"<Reproduction of {self.original.id} by {self.run.id}: {self.verdict}>"


def held_against(
    original: Run,
    run: Run,
    *,
    asked: tuple[str, ...] = (),
    digests: tuple[Mapping[str, str], Mapping[str, str]] = ({}, {}),
    tolerance: float = TOLERANCE,
) -> Reproduction:
    """Hold ``run`` against ``original``; ``digests`` are those of the dataset versions that both wrote."""
    from .outputs import compared_cells

    cells, ignored = compared_cells(original, run)
    metrics = tuple(_metrics(original, run, tolerance))
    timing = [one.name for one in metrics if one.agreement == "ignored"]
    if timing:
        ignored = (*ignored, f"metrics that measure time: {', '.join(timing)}")
    return Reproduction(
        original,
        run,
        asked,
        metrics,
        cells,
        tuple(_by_digest(*digests)),
        tuple(
            _by_digest(
                {name: one.digest for name, one in original.artifacts.items()},
                {name: one.digest for name, one in run.artifacts.items()},
            )
        ),
        tuple(_parameters(original, run)),
        environment_differences(
            original.environment(), run.environment(), _executed(original), _executed(run)
        ),
        tuple(_code(original, run)),
        ignored,
    )


def environment_differences(
    one: Mapping[str, Any],
    other: Mapping[str, Any],
    ways: Mapping[str, Any] | None = None,
    other_ways: Mapping[str, Any] | None = None,
) -> tuple[Held, ...]:
    """Return in what two environments differ: interpreter, machine, then distributions by name."""
    if not one or not other:
        return (
            () if one == other else (Held("environment", bool(one), bool(other), "missing", "is not known"),)
        )
    left = {name: one.get(name) for name in _FACTS} | dict(ways or {})
    right = {name: other.get(name) for name in _FACTS} | dict(other_ways or {})
    found = [
        Held(name, left[name], right.get(name), "different")
        for name in left
        # what was not recorded then cannot be said to differ now
        if left[name] != right.get(name) and left[name] is not None and right.get(name) is not None
    ]
    had, has = one.get("distributions", {}), other.get("distributions", {})
    for name in sorted({*had, *has}, key=str.lower):
        if had.get(name) != has.get(name):
            found.append(Held(name, had.get(name), has.get(name), _agreement(had, has, name)))
    return tuple(found)


def _executed(run: Run) -> dict[str, Any]:
    kernel = None if run.warm is None else "warm" if run.warm else "cold"
    return {"executor": run.executor, "kernel": kernel}


def _metrics(original: Run, run: Run, tolerance: float) -> Iterable[Held]:
    for name in dict.fromkeys((*original.metrics, *run.metrics)):
        if name not in run.metrics:
            yield Held(name, original.metrics[name], None, "missing")
        elif name not in original.metrics:
            yield Held(name, None, run.metrics[name], "new")
        else:
            was, now = original.metrics[name], run.metrics[name]
            agreement, note = _numbers(was, now, tolerance), ""
            if agreement == "equal":
                agreement, note = _courses(original, run, name, tolerance)
            if agreement != "equal" and _TIMING.search(name):
                agreement, note = "ignored", "measures time"
            yield Held(name, was, now, agreement, note)


def _courses(original: Run, run: Run, name: str, tolerance: float) -> tuple[Agreement, str]:
    """Compare every logged value of a metric whose last values are equal."""
    was, now = original.history(name), run.history(name)
    if len(was) != len(now):
        return "different", f"{len(was):,} values then, {len(now):,} now"
    worst: Agreement = "equal"
    for left, right in zip(was[:_MOST_POINTS], now[:_MOST_POINTS], strict=True):
        found = _numbers(left.value, right.value, tolerance) if left.step == right.step else "different"
        if found == "different":
            return "different", f"the courses part at step {left.step}"
        worst = "close" if found == "close" else worst
    return worst, "" if worst == "equal" else "on the way"


def _numbers(was: float, now: float, tolerance: float) -> Agreement:
    if struct.pack("<d", was) == struct.pack("<d", now) or (math.isnan(was) and math.isnan(now)):
        return "equal"
    return "close" if math.isclose(was, now, rel_tol=tolerance, abs_tol=tolerance * 1e-3) else "different"


def _by_digest(was: Mapping[str, str], now: Mapping[str, str]) -> Iterable[Held]:
    for name in dict.fromkeys((*was, *now)):
        yield Held(name, was.get(name), now.get(name), _agreement(was, now, name))


def _agreement(was: Mapping[str, Any], now: Mapping[str, Any], name: str) -> Agreement:
    if name not in now:
        return "missing"
    if name not in was:
        return "new"
    return "equal" if was[name] == now[name] else "different"


def _parameters(original: Run, run: Run) -> Iterable[Held]:
    """Return the parameters in which the runs differ: those asked for, and those that the code logged."""
    was = {name: repr(value) for name, value in original.parameters.items()}
    now = {name: repr(value) for name, value in run.parameters.items()}
    for name in dict.fromkeys((*was, *now)):
        if (agreement := _agreement(was, now, name)) != "equal":
            yield Held(name, original.parameters.get(name), run.parameters.get(name), agreement)


def _code(original: Run, run: Run) -> Iterable[Held]:
    if original.info.notebook_digest != run.info.notebook_digest:
        yield Held("the notebook", original.info.notebook_digest, run.info.notebook_digest, "different")
    was, now = original.sources(), run.sources()
    for path in dict.fromkeys((*was, *now)):
        agreement = _agreement(was, now, path)
        if agreement == "different":
            yield Held(path, _lines(was[path]), _lines(now[path]), agreement)
        elif agreement == "new":
            yield Held(path, None, _lines(now[path]), agreement, "was not kept: the file of today was used")
        elif agreement == "missing":
            yield Held(path, _lines(was[path]), None, agreement, "was not imported")


def _lines(text: str) -> str:
    count = len(text.splitlines())
    return f"{count:,} line{'' if count == 1 else 's'}"


def _failure(run: Run) -> tuple[Any, ...] | None:
    return None if run.error is None else (run.error.name, run.error.cell)
