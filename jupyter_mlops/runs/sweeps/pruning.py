"""Pruning: whether a run of a sweep is hopeless, judged while it runs. Asked by ``report`` in its kernel."""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..plain import clean

if TYPE_CHECKING:
    from ..run import Run
    from ..shelf import Shelf

MEDIAN = "median"
OBJECTIVE = "objective"
_BETWEEN_LOOKS = 1.0
_BEFORE_JUDGING = 5  # finished runs, as Optuna's median pruner has it


class Pruned(Exception):
    """Raised by ``report`` in a run that is hopeless: the run ends as stopped, and counts as tried."""


class Judge:
    """Compares what a run reports with the finished runs of its sweep, from step ``after`` on."""

    def __init__(
        self, shelf: Shelf, run: str, sweep: str | None, metric: str, goal: str, after: int = 0
    ) -> None:
        self.metric = metric
        self._shelf = shelf
        self._run = run
        self._sweep = sweep
        self._goal = goal
        self._after = after
        self._others: dict[str, dict[int, float]] = {}
        self._mine: dict[int, float] = {}
        self._looked = -math.inf

    def judge(self, value: float, step: int) -> None:
        """Take note of ``value``; raise ``Pruned`` if the run is hopeless, after that is recorded."""
        if self._sweep is None:
            return
        self._mine[step] = value
        if step < self._after:
            return
        self._look()
        if len(self._others) < _BEFORE_JUDGING or not self._is_hopeless(step):
            return
        reason = clean(f"pruned at step {step}: {self.metric} {value:.6g} is worse than the median there")
        with self._shelf.store.bookkeeping() as tx:  # no fact of its own: the run's end tells it
            tx.execute(
                "UPDATE runs SET pruned_step = :step, reason = :reason WHERE id = :id AND status = 'running'",
                id=self._run,
                step=step,
                reason=reason,
            )
        raise Pruned(reason)

    def _look(self) -> None:
        """Read the courses of runs that finished since; a course does not change any more then."""
        if time.monotonic() - self._looked < _BETWEEN_LOOKS:
            return
        self._looked = time.monotonic()
        rows = self._shelf.store.all(
            "SELECT id FROM runs WHERE sweep = :sweep AND status = 'finished'", sweep=self._sweep
        )
        if fresh := [row["id"] for row in rows if row["id"] not in self._others]:
            courses = self._shelf.histories(fresh, self.metric)
            self._others |= {id: {p.step: p.value for p in courses.get(id, ())} for id in fresh}

    def _is_hopeless(self, step: int) -> bool:
        others = [course[step] for course in self._others.values() if step in course]
        return is_hopeless(list(self._mine.values()), others, self._goal)


def is_hopeless(mine: Sequence[float], others: Sequence[float], goal: str) -> bool:
    """Return whether the best of ``mine`` so far is worse than the median of what others had at this step.

    The rule of Optuna's ``MedianPruner``. Not Optuna itself, as importing it takes a kernel longer than many
    runs take in all; a test holds the two against each other.
    """
    known = [value for value in others if not math.isnan(value)]
    if not known:
        return False
    seen = [value for value in mine if not math.isnan(value)]
    if not seen:
        return True
    middle = statistics.median(known)
    return max(seen) < middle if goal == "maximize" else min(seen) > middle


def judge_of(run: Run) -> Judge:
    """Return who judges ``run``: by the metric of its sweep, where runs of it may be pruned."""
    shelf: Any = run._bound()
    row = shelf.store.one("SELECT request, metric, goal FROM sweeps WHERE id = :id", id=run.sweep) or {}
    request = json.loads(row["request"]) if row else {}
    metric = row.get("metric") or OBJECTIVE
    sweep = run.sweep if request.get("pruner") else None
    return Judge(shelf, run.id, sweep, metric, row.get("goal") or "", request.get("prune_after", 0))
