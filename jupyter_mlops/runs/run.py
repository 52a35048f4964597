"""The run as a value: one execution with everything that is known of it. Read from the store by ``Shelf``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from ..charts import Figure, bar, line
from ..errors import NotFound, close_matches
from ..value import Value
from .artifact import Artifact, Keeper
from .plain import jsonable
from .points import MetricPoint as MetricPoint
from .written import Written

_SEED = re.compile(r"(?:^|_)(?:seed|random_state)$", re.IGNORECASE)
_COURSE = 1_000  # points of a curve that is drawn: a screen has no more columns
ENDED = ("finished", "failed", "stopped")
_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"


@dataclass(frozen=True, slots=True)
class RunError(Value):
    """Why a run failed.

    ``cell`` is the index of a cell in the notebook as written, from 0; ``None`` outside of cells.
    ``execution`` is the number that the executed notebook and the traceback give it: ``In [4]``.
    """

    cell: int | None
    name: str
    message: str
    traceback: str = ""
    source: str = ""
    execution: int | None = None

    def __str__(self) -> str:
        text = f"{self.name}: {self.message}" if self.message else self.name
        return f"{text} ({self.place})" if self.place else text

    @property
    def place(self) -> str:
        """Which cell it was, as people count them, from 1; empty outside of cells."""
        return "" if self.cell is None else f"cell {self.cell + 1}"

    def to_dict(self) -> dict[str, Any]:
        """Return the error as JSON-ready types."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What a run was made of: git's commit and whether files differed, digests of what is kept, the host."""

    commit: str | None = None
    dirty: bool | None = None
    notebook_digest: str | None = None
    executed_digest: str | None = None
    source_digest: str | None = None
    environment_digest: str | None = None
    host: str = ""


class Details(Keeper, Protocol):
    """Where a run finds what is too long to carry along."""

    def history(self, run: str, metric: str, most: int | None = None) -> tuple[MetricPoint, ...]: ...

    def histories(
        self, runs: Sequence[str], metric: str, most: int | None = None
    ) -> dict[str, tuple[MetricPoint, ...]]: ...

    def courses(self, runs: Sequence[str]) -> tuple[str, ...]: ...

    def notebook(self, digest: str) -> dict[str, Any]: ...

    def sources(self, digest: str) -> dict[str, str]: ...

    def environment(self, digest: str) -> dict[str, Any]: ...

    def repeats(self, run: str) -> tuple[str, ...]: ...

    def now(self) -> datetime: ...


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Run(Value):
    """One execution. Two values are equal when they are of the same run, whenever they were read.

    ``reason`` is why it was stopped, ``pruned`` the step at which it was found hopeless, ``limit`` how many
    seconds it may take, ``tries`` which try of its parameters it is, ``warm`` whether its kernel was ready,
    ``removed`` when it was removed, if it was.
    """

    id: str
    number: int
    experiment: str
    status: str
    actor: str
    proof: str
    kind: str
    created_at: str
    sweep: str | None = None
    position: int | None = None
    error: RunError | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    artifacts: Mapping[str, Artifact] = field(default_factory=dict)
    notebook: str | None = None
    started_at: str | None = None
    ended_at: str | None = None
    like: str | None = None
    tries: int = 1
    reason: str = ""
    pruned: int | None = None
    executor: str | None = None
    limit: float | None = None
    warm: bool | None = None
    why_cold: str = ""
    note: str = ""
    removed: str = ""
    info: RunInfo = field(default_factory=RunInfo)
    _details: Details | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name} {value:.4g}" for name, value in list(self.metrics.items())[:3])
        return f"<Run {self.id} of {self.experiment}: {self.status}{', ' + shown if shown else ''}>"

    @property
    def ref(self) -> str:
        """How to name it."""
        return self.id

    @property
    def path(self) -> str:
        """Where the page shows it."""
        return f"runs/{self.id}"

    @property
    def ended(self) -> bool:
        """Whether it is finished, failed or stopped."""
        return self.status in ENDED

    @property
    def is_read(self) -> bool:
        """Whether it was read from a project, so that histories, notebook and artifacts can be had."""
        return self._details is not None

    @property
    def duration(self) -> float | None:
        """How many seconds it took, or takes so far; ``None`` if it never started."""
        if self.started_at is None:
            return None
        if self.ended_at is not None:
            ended = moment(self.ended_at)
        elif self.status == "running" and self._details is not None:
            ended = self._details.now()
        else:
            return None
        return max((ended - moment(self.started_at)).total_seconds(), 0.0)

    @property
    def courses(self) -> tuple[str, ...]:
        """The metrics that have a curve: it logged them more than once."""
        return courses_of([self])

    def history(self, metric: str, points: int | None = None) -> tuple[MetricPoint, ...]:
        """Return every logged value of ``metric`` in order; raises ``NotFound`` if there is none.

        With ``points``, about so many: the first, the last and the extremes of each stretch, for a curve.
        """
        if metric not in self.metrics:
            known = close_matches(metric, self.metrics, f"it has {', '.join(self.metrics) or 'none'}")
            raise NotFound(f"run {self.id} has no metric '{metric}'", known)
        return self._bound().history(self.id, metric, points)

    def plot(self, metric: str | None = None) -> Figure:
        """Return the course of ``metric``, or of all logged more than once, else their last values."""
        courses = {
            name: ([p.step for p in points], [p.value for p in points])
            for name in ([metric] if metric else self.courses)
            for points in [self.history(name, points=_COURSE)]
        }
        if courses:
            return line(f"{metric or 'Metrics'} of run {self.id}", courses, y_label=metric or "")
        return bar(f"Metrics of run {self.id}", list(self.metrics), list(self.metrics.values()))

    def executed_notebook(self) -> dict[str, Any] | None:
        """Return the notebook with the outputs of this run, or ``None`` where no notebook was executed."""
        digest = self.info.executed_digest
        return self._bound().notebook(digest) if digest else None

    def checkout_notebook(self, path: str | Path = ".") -> Path:
        """Write the notebook with this run's outputs to ``path``, a file or a folder, and return the file.

        Raises ``NotFound`` where no notebook was executed, ``Conflict`` if something else is there.
        """
        return self.check_out_notebook(path).path

    def check_out_notebook(self, path: str | Path = ".", *, force: bool = False) -> Written:
        """Do what ``checkout_notebook`` does; with ``force`` what is there is moved to ``PATH.replaced``."""
        digest = self.info.executed_digest
        if digest is None:
            raise NotFound(f"run {self.id} executed no notebook", "it was recorded by hand, or never started")
        name = f"{Path(self.notebook or 'notebook').stem}-{self.id}.ipynb"
        return Artifact(name, "file", digest, 0, {}, self._bound()).check_out(path, force=force)

    def sources(self) -> dict[str, str]:
        """Return the project's own source files that the run used, by path."""
        digest = self.info.source_digest
        return self._bound().sources(digest) if digest else {}

    def environment(self) -> dict[str, Any]:
        """Return the interpreter and the installed distributions of the run."""
        digest = self.info.environment_digest
        return self._bound().environment(digest) if digest else {}

    @property
    def seeds(self) -> dict[str, Any]:
        """The parameters that say where random numbers begin: ``seed``, ``random_state``, ``split_seed``."""
        return {name: value for name, value in self.parameters.items() if _SEED.search(name)}

    def repeats(self) -> tuple[str, ...]:
        """Return the ids of the runs that were executed like this one, the earliest first."""
        return self._bound().repeats(self.id)

    def to_dict(self) -> dict[str, Any]:
        """Return the run as JSON-ready types."""
        return {
            "id": self.id,
            "number": self.number,
            "experiment": self.experiment,
            "sweep": self.sweep,
            "position": self.position,
            "kind": self.kind,
            "status": self.status,
            "error": self.error.to_dict() if self.error else None,
            "actor": self.actor,
            "proof": self.proof,
            "parameters": jsonable(self.parameters),
            "metrics": jsonable(self.metrics),
            "tags": dict(self.tags),
            "inputs": dict(self.inputs),
            "outputs": list(self.outputs),
            "artifacts": [artifact.to_dict() for artifact in self.artifacts.values()],
            "notebook": self.notebook,
            "note": self.note,
            "removed": self.removed or None,
            "like": self.like,
            "created_at": self.created_at,
            "started_at": self.started_at,
            "ended_at": self.ended_at,
            "duration": self.duration,
            **{
                name: getattr(self, name)
                for name in ("tries", "reason", "pruned", "executor", "limit", "warm", "why_cold")
            },
            "info": {name: getattr(self.info, name) for name in RunInfo.__slots__},
        }

    def _bound(self) -> Details:
        if self._details is None:
            raise TypeError(f"run {self.id} was not read from a project, so it has no details")
        return self._details


def moment(text: str) -> datetime:
    """Return the moment that the store wrote as ``text``."""
    return datetime.strptime(text, _TIME).replace(tzinfo=UTC)


def histories_of(runs: Sequence[Run], metric: str, points: int) -> dict[str, tuple[MetricPoint, ...]]:
    """Return the course of ``metric`` in each of ``runs``, in about so many points, read together."""
    if not runs:
        return {}
    return runs[0]._bound().histories([run.id for run in runs], metric, points)


def courses_of(runs: Sequence[Run]) -> tuple[str, ...]:
    """Return the metrics that one of ``runs`` logged more than once: they have a curve."""
    return runs[0]._bound().courses([run.id for run in runs]) if runs else ()


def best_of(runs: tuple[Run, ...], metric: str, goal: str) -> Run | None:
    """Return the finished run with the largest (or smallest) finite value, the earliest of equal ones."""
    measured = [
        run for run in runs if run.status == "finished" and math.isfinite(run.metrics.get(metric, math.nan))
    ]
    if not measured:
        return None
    sign = -1 if goal == "maximize" else 1
    return min(measured, key=lambda run: (sign * run.metrics[metric], run.number))
