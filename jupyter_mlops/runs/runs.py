"""Several runs as a value, and the sweep they may belong to. Returned by ``execute`` and ``search``."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, overload

from ..charts import Figure
from ..errors import BadInput, NotFound, close_matches
from ..value import Value
from .comparing import drawing
from .comparing.comparison import Comparison, compared, compared_closely
from .comparing.importance import Importance, importance_of
from .run import Run, best_of, courses_of, histories_of

if TYPE_CHECKING:
    from .comparing.leaderboard import Leaderboard

KINDS = ("parallel", "bar", "line", "scatter", "importance")


class Searching(Protocol):
    """What can say which runs fit a filter; runs that came from a project carry it along."""

    def search(
        self,
        where: str = "",
        order_by: str | Sequence[str] | None = None,
        limit: int | None = 50,
        experiment: str | None = None,
    ) -> Runs: ...

    def sweeps(self, experiment: str | None = None, limit: int = 50) -> tuple[Sweep, ...]: ...

    def await_end(self, runs: Runs, timeout: str | float | None) -> Runs: ...


@dataclass(frozen=True, slots=True)
class Sweep(Value):
    """What one ``execute`` asked for: ``size`` parameter sets of a notebook, and which metric decides."""

    id: str
    experiment: str
    notebook: str
    size: int
    status: str
    metric: str | None
    goal: str | None
    at: str
    ended_at: str | None
    actor: str
    search: str = "grid"
    executor: str = "local"
    detached: bool = False

    @property
    def ref(self) -> str:
        """How to name it."""
        return self.id

    @property
    def path(self) -> str:
        """Where the page shows it."""
        return f"runs?sweep={self.id}"

    def to_dict(self) -> dict[str, Any]:
        """Return the sweep as JSON-ready types."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True, repr=False)
class Runs(Value, Sequence[Run]):
    """Runs in order: those of a sweep by parameter set, those of a search as asked for.

    ``asked`` are the parts of runs that a search looked at, ``metrics.auc``: whoever looks wants to see them.
    """

    items: tuple[Run, ...]
    sweep: Sweep | None = None
    searching: Searching | None = field(default=None, compare=False)
    asked: tuple[str, ...] = field(default=(), compare=False)

    @property
    def kind(self) -> str:
        """What is listed."""
        return "runs"

    @property
    def id(self) -> str | None:
        """The id of the sweep, or ``None`` where the runs are no sweep."""
        return self.sweep.id if self.sweep else None

    @property
    def path(self) -> str:
        """Where the page shows them."""
        return self.sweep.path if self.sweep else "runs"

    @property
    def metric(self) -> str | None:
        """The metric that decides, as declared."""
        return self.sweep.metric if self.sweep else None

    @property
    def goal(self) -> str | None:
        """``maximize`` or ``minimize``, as declared."""
        return self.sweep.goal if self.sweep else None

    @property
    def failed(self) -> tuple[Run, ...]:
        """The runs that failed."""
        return tuple(run for run in self.items if run.status == "failed")

    @property
    def finished(self) -> tuple[Run, ...]:
        """The runs that finished."""
        return tuple(run for run in self.items if run.status == "finished")

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Every metric that one of the runs has, in the order they appear."""
        return tuple(dict.fromkeys(name for run in self.items for name in run.metrics))

    @property
    def deciding(self) -> tuple[str, ...]:
        """The metrics that decide here: the sweep's, else those last declared for these experiments."""
        if self.sweep is not None or self.searching is None:
            return (self.metric,) if self.metric else ()
        newest: dict[str, str] = {}
        for sweep in self.searching.sweeps():
            if sweep.metric:
                newest.setdefault(sweep.experiment, sweep.metric)
        return tuple(
            dict.fromkeys(newest[e] for e in dict.fromkeys(r.experiment for r in self) if e in newest)
        )

    @property
    def courses(self) -> tuple[str, ...]:
        """The metrics that have a curve here: one of the runs logged them more than once."""
        return courses_of(self.items)

    @property
    def varying(self) -> tuple[str, ...]:
        """The parameters in which the runs differ."""
        names = dict.fromkeys(name for run in self.items for name in run.parameters)
        return tuple(n for n in names if len({repr(run.parameters.get(n)) for run in self.items}) > 1)

    def best(self, maximize: str | None = None, minimize: str | None = None) -> Run:
        """Return the best finished run by the metric named here or declared by the sweep.

        Raises ``BadInput`` where no metric is known, ``NotFound`` where no finished run has a
        finite value of it.
        """
        metric, goal = decision(maximize, minimize)
        if metric is None or goal is None:
            metric, goal = self.metric, self.goal
        if metric is None or goal is None:
            raise BadInput("which run is best was not declared", 'say best(maximize="auc") or minimize=')
        found = best_of(self.items, metric, goal)
        if found is None:
            known = self.metric_names
            hint = close_matches(metric, known, f"their metrics: {', '.join(known) or 'none'}")
            raise NotFound(f"no finished run here has a value of '{metric}'", hint)
        return found

    def compare(self) -> Comparison:
        """Return the runs side by side: in what they differ; two of them down to the cell."""
        if len(self.items) == 2 and all(run.is_read for run in self.items):
            return compared_closely(*self.items)
        return compared(self.items)

    def wait(self, timeout: str | float | None = None) -> Runs:
        """Return the runs once they have ended, or as they are after ``timeout`` ("2h", or seconds).

        A queued sweep ends when some `mlops worker` has executed it, wherever that works.
        """
        if self.searching is None:
            raise BadInput("these runs were not read from a project", "take them from project.runs")
        return self.searching.await_end(self, timeout)

    def where(self, filter: str) -> Runs:
        """Return those of the runs that fit a filter as ``search`` takes it: ``metrics.auc > 0.8``."""
        if self.searching is None:
            raise BadInput("these runs were not read from a project", "take them from project.runs")
        experiments = {run.experiment for run in self.items}
        only = experiments.pop() if len(experiments) == 1 else None
        fit = {run.id: run for run in self.searching.search(filter, None, None, only)}
        return Runs(tuple(fit[run.id] for run in self.items if run.id in fit), self.sweep, self.searching)

    def leaderboard(self, order_by: str | None = None, where: str = "") -> Leaderboard:
        """Return the runs ranked, by the metric that decides unless ``order_by`` says otherwise.

        In a notebook where the extension is loaded it has controls to sort, filter, pick and compare.
        """
        from .comparing.leaderboard import Leaderboard, Order, Within, order_of  # it is made of runs

        order = order_of(order_by, None, self) if order_by else None
        if order is None and self.metric:
            order = Order(f"metrics.{self.metric}", self.goal != "minimize")
        return Leaderboard(Within(self), order, where)

    def importance(self, metric: str | None = None) -> Importance:
        """Return which parameters ``metric`` depends on, and whether these runs are enough to say."""
        return importance_of(self.items, self._drawable(metric))

    def to_pandas(self) -> Any:
        """Return one row a run: id, status, duration, then parameters, metrics and tags under their names."""
        import pandas

        rows = [
            {
                "id": run.id,
                "experiment": run.experiment,
                "status": run.status,
                "started_at": run.started_at,
                "duration": run.duration,
                **{f"parameters.{name}": value for name, value in run.parameters.items()},
                **{f"metrics.{name}": value for name, value in run.metrics.items()},
                **{f"tags.{name}": value for name, value in run.tags.items()},
                **{f"inputs.{name}": ref for name, ref in run.inputs.items()},
            }
            for run in self.items
        ]
        return pandas.DataFrame(rows)

    def plot(
        self, kind: str | None = None, metric: str | None = None, parameter: str | None = None
    ) -> Figure:
        """Return a picture of ``metric``, by default the one that decides.

        Parameters
        ----------
        kind
            ``parallel``: every parameter that differs, to the metric. ``bar``: the metric of each run.
            ``line``: its course, step by step, by default of the first metric that has one. ``scatter``:
            one ``parameter`` against it. ``importance``: which parameters it depends on. By default
            ``parallel``; ``bar`` where no parameter differs.
        """
        if kind is not None and kind not in KINDS:
            raise BadInput(f"{kind!r} is no kind of picture of runs", ", ".join(KINDS))
        if kind == "line" and metric is None and self.items:
            metric = self.metric if self.metric in self.courses else next(iter(self.courses), None)
        metric = self._drawable(metric)
        ranked = self._ranked(metric)
        best = ranked[0] if ranked else None
        if kind == "bar" or (kind is None and not self.varying):
            return drawing.bars_of(self.items, metric, self.varying, best)
        if kind == "line":
            # which runs stand out is decided by the metric that decides, whatever is drawn of them
            ranked = ranked or (self._ranked(self.metric) if self.metric else [])
            histories = self._histories(metric, ranked)
            return drawing.curves_of(self.items, metric, self.varying, ranked, histories)
        if kind == "scatter":
            chosen = drawing.known_parameter(self.items, parameter, self.varying)
            return drawing.scatter_of(self.items, metric, chosen, best)
        if kind == "importance":
            return importance_of(self.items, metric).plot()
        return drawing.parallel_of(self.items, metric, self.varying, best)

    def _drawable(self, metric: str | None) -> str:
        """Return the metric to look at; raises ``NotFound`` where no run has it."""
        known = self.metric_names
        chosen = metric or (self.metric if self.metric in known else None) or next(iter(known), None)
        if chosen is None:
            raise NotFound("these runs have no metric to draw", "log one with log_metric")
        if chosen not in known:
            hint = close_matches(chosen, known, f"they have {', '.join(known)}")
            raise NotFound(f"no run here has a metric '{chosen}'", hint)
        return chosen

    def _ranked(self, metric: str) -> list[Run]:
        """Return the finished runs, best first; none where nothing says what is better."""
        if self.goal is None or metric != self.metric:
            return []
        sign = 1 if self.goal == "minimize" else -1
        measured = [run for run in self.finished if math.isfinite(run.metrics.get(metric, math.nan))]
        return sorted(measured, key=lambda run: (sign * run.metrics[metric], run.number))

    def _histories(self, metric: str, first: Sequence[Run]) -> drawing.Histories:
        ordered = {run.id: run for run in (*first, *self.items) if metric in run.metrics}
        measured = list(ordered.values())[: drawing.MOST_COURSES]
        return histories_of(measured, metric, drawing.COURSE)

    def to_dict(self) -> dict[str, Any]:
        """Return ``{"items": [...], "sweep": {...} or null}`` as JSON-ready types."""
        return {
            "items": [run.to_dict() for run in self.items],
            "sweep": self.sweep.to_dict() if self.sweep else None,
        }

    @overload
    def __getitem__(self, index: int) -> Run: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Run, ...]: ...
    def __getitem__(self, index: int | slice) -> Run | tuple[Run, ...]:
        return self.items[index]

    def __iter__(self) -> Iterator[Run]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        of = f" of sweep {self.sweep.id} ({self.sweep.status})" if self.sweep else ""
        return f"<{len(self.items)} runs{of}, {len(self.failed)} failed>"


def decision(maximize: str | None, minimize: str | None) -> tuple[str | None, str | None]:
    """Return the metric that decides and its goal; raises ``BadInput`` where both are asked for."""
    if maximize is not None and minimize is not None:
        raise BadInput("a sweep is decided by one metric", "give maximize or minimize, not both")
    if maximize is not None:
        return maximize, "maximize"
    return (minimize, "minimize") if minimize is not None else (None, None)
