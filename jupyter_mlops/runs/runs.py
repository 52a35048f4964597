"""Several runs as a value, and the sweep they may belong to. Returned by ``execute`` and ``search``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

from ..charts import Figure, bar, line, parallel
from ..errors import BadInput, NotFound, close_matches
from ..value import Value
from .comparison import Comparison, compared
from .plain import jsonable
from .run import Run, best_of


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
    """Runs in order: those of a sweep by parameter set, those of a search as asked for."""

    items: tuple[Run, ...]
    sweep: Sweep | None = None

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
        """Return the runs side by side: what they share and in what they differ."""
        return compared(self.items)

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

    def plot(self, kind: str | None = None, metric: str | None = None) -> Figure:
        """Return a picture: ``parallel`` (parameters to metric), ``bar`` (by run) or ``line`` (course)."""
        metric = metric or self.metric or next(iter(self.metric_names), None)
        if metric is None:
            raise NotFound("these runs have no metric to draw", "log one with log_metric")
        if metric not in self.metric_names:
            raise NotFound(
                f"no run here has a metric '{metric}'",
                close_matches(metric, self.metric_names, f"they have {', '.join(self.metric_names)}"),
            )
        measured = [run for run in self.items if metric in run.metrics]
        best = best_of(self.items, metric, self.goal or "maximize") if self.goal else None
        highlight = [best.id] if best else []
        what = f"{self.items[0].experiment}: {metric}"
        if kind in (None, "parallel"):
            axes = [*self.varying, metric]
            lines = {
                run.id: [*(_drawn(run.parameters.get(name)) for name in self.varying), run.metrics[metric]]
                for run in measured
            }
            return parallel(f"{what} by parameters", axes, lines, color_by=metric, highlight=highlight)
        if kind == "bar":
            values = [run.metrics[metric] for run in measured]
            return bar(what, [run.id for run in measured], values, y_label=metric, highlight=highlight)
        if kind == "line":
            courses = {}
            for run in measured:
                points = run.history(metric)
                courses[run.id] = ([p.step for p in points], [p.value for p in points])
            return line(what, courses, y_label=metric, highlight=highlight)
        raise BadInput(f"{kind!r} is no kind of picture of runs", "parallel, bar or line")

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
    if maximize and minimize:
        raise BadInput("a sweep is decided by one metric", "give maximize or minimize, not both")
    if maximize:
        return maximize, "maximize"
    return (minimize, "minimize") if minimize else (None, None)


def _drawn(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | str) else repr(jsonable(value))
