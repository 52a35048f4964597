"""Pruning: whether a run of a sweep is hopeless, judged while it runs. Asked by ``report`` in its kernel."""

from __future__ import annotations

import json
import math
import time
from typing import TYPE_CHECKING, Any

from .plain import clean

if TYPE_CHECKING:
    from .run import Run
    from .shelf import Shelf

MEDIAN = "median"
OBJECTIVE = "objective"
_BETWEEN_LOOKS = 1.0
_BEFORE_JUDGING = 5  # as Optuna's median pruner has it: it imports slowly, so it is not asked before


class Pruned(Exception):
    """Raised by ``report`` in a run that is hopeless: the run ends as stopped, and counts as tried."""


class Judge:
    """Compares what a run reports with the finished runs of its sweep, by Optuna's median rule."""

    def __init__(self, shelf: Shelf, run: str, sweep: str | None, metric: str, goal: str) -> None:
        self.metric = metric
        self._shelf = shelf
        self._run = run
        self._sweep = sweep
        self._goal = goal
        self._others: dict[str, dict[int, float]] = {}
        self._mine: dict[int, float] = {}
        self._looked = -math.inf
        self._study: Any = None

    def judge(self, value: float, step: int) -> None:
        """Take note of ``value``; raise ``Pruned`` if the run is hopeless, after that is recorded."""
        if self._sweep is None:
            return
        self._mine[step] = value
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
            self._study = None

    def _is_hopeless(self, step: int) -> bool:
        from optuna.pruners import MedianPruner
        from optuna.trial import TrialState, create_trial

        from .optuna_search import new_study, quiet

        with quiet():
            if self._study is None:
                self._study = new_study(self._goal, pruner=MedianPruner(n_startup_trials=_BEFORE_JUDGING))
                for course in self._others.values():
                    last = course[max(course)] if course else math.nan
                    if not math.isnan(last):
                        self._study.add_trial(create_trial(value=last, intermediate_values=course))
            mine = create_trial(state=TrialState.RUNNING, intermediate_values=self._mine)
            return bool(self._study.pruner.prune(self._study, mine))


def judge_of(run: Run) -> Judge:
    """Return who judges ``run``: by the metric of its sweep, where runs of it may be pruned."""
    shelf: Any = run._bound()
    row = shelf.store.one("SELECT request, metric, goal FROM sweeps WHERE id = :id", id=run.sweep) or {}
    pruner = json.loads(row["request"]).get("pruner") if row else None
    metric = row.get("metric") or OBJECTIVE
    return Judge(shelf, run.id, run.sweep if pruner else None, metric, row.get("goal") or "")
