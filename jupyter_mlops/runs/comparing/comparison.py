"""Runs side by side, row by row; of two runs also what made them differ. Made by ``Runs`` and ``Tracker``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ...charts import Figure, line
from ...errors import MLOpsError, NotFound, close_matches
from ...value import Value
from ..plain import jsonable
from ..run import Run, courses_of, histories_of
from .line_diff import Lines, line_diff, whole
from .notebook_diff import NotebookDiff, notebook_diff

COURSE = 400  # points of a curve that a picture shows
_MOST_COURSES = 6
_FACTS_OF_ENVIRONMENT = ("python", "implementation", "platform", "machine", "cpus", "hashing")


@dataclass(frozen=True, slots=True)
class ComparedRow:
    """One thing about every run: a ``parameter``, ``input``, ``metric``, ``environment`` or ``fact``.

    ``None`` where a run has none.
    """

    group: str
    name: str
    values: tuple[Any, ...]
    differs: bool


@dataclass(frozen=True, slots=True)
class SourceChange:
    """One of the project's source files that differs: its path and its changed lines."""

    path: str
    kind: Literal["added", "removed", "changed"]
    lines: Lines


@dataclass(frozen=True, slots=True)
class Course:
    """A metric logged more than once: steps and values of each run that has it, by its id."""

    metric: str
    curves: Mapping[str, tuple[tuple[int, ...], tuple[float, ...]]]


@dataclass(frozen=True, slots=True)
class Comparison(Value):
    """Runs side by side: facts first, then parameters, inputs and metrics, each row with one value a run.

    Of two runs also what differs in environment, sources and executed notebook; ``missing`` says what could
    not be looked at.
    """

    runs: tuple[Run, ...]
    rows: tuple[ComparedRow, ...]
    sources: tuple[SourceChange, ...] = ()
    notebook: NotebookDiff | None = None
    courses: tuple[Course, ...] = ()
    missing: tuple[str, ...] = field(default=())

    @property
    def differences(self) -> int:
        """In how many rows, sources and cells they differ."""
        cells = len(self.notebook.cells) if self.notebook else 0
        return sum(row.differs for row in self.rows) + len(self.sources) + cells

    def plot(self, metric: str | None = None) -> Figure:
        """Return the curves of ``metric``, else of the first one that was logged more than once."""
        known = {course.metric: course for course in self.courses}
        if not known:
            raise NotFound(
                "these runs logged no metric more than once", "log one with log_metric, step by step"
            )
        if metric is not None and metric not in known:
            raise NotFound(f"there is no curve of '{metric}' here", close_matches(metric, known))
        return curves_of(known[metric] if metric else next(iter(known.values())))

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as JSON-ready types."""
        return {
            "runs": [run.id for run in self.runs],
            "rows": [
                {
                    "group": row.group,
                    "name": row.name,
                    "values": jsonable(row.values),
                    "differs": row.differs,
                }
                for row in self.rows
            ],
            "sources": [
                {"path": one.path, "kind": one.kind, "lines": [f"{mark}{text}" for mark, text in one.lines]}
                for one in self.sources
            ],
            "notebook": self.notebook.to_dict() if self.notebook is not None else None,
            "missing": list(self.missing),
        }


def compared(runs: tuple[Run, ...]) -> Comparison:
    """Put ``runs`` side by side, by what every run carries along, and their curves where they can be had."""
    facts: dict[str, Callable[[Run], Any]] = {
        "experiment": lambda run: run.experiment,
        "status": lambda run: run.status,
        "error": lambda run: str(run.error) if run.error else None,
        "notebook": lambda run: run.notebook,
        "notebook content": lambda run: run.info.notebook_digest,
        "sources": lambda run: run.info.source_digest,
        "environment": lambda run: run.info.environment_digest,
        "git commit": lambda run: run.info.commit,
    }
    rows = [_row("fact", name, tuple(read(run) for run in runs)) for name, read in facts.items()]
    groups: dict[str, Callable[[Run], Mapping[str, Any]]] = {
        "parameter": lambda run: run.parameters,
        "input": lambda run: run.inputs,
        "metric": lambda run: run.metrics,
    }
    for group, of in groups.items():
        for name in dict.fromkeys(name for run in runs for name in of(run)):
            rows.append(_row(group, name, tuple(of(run).get(name) for run in runs)))
    read = all(run.is_read for run in runs)
    return Comparison(runs, tuple(rows), courses=tuple(_courses(runs)) if read else ())


def compared_closely(one: Run, other: Run) -> Comparison:
    """Put two runs side by side, down to their environments, sources, curves and executed notebooks."""
    plain = compared((one, other))
    missing: list[str] = []

    def read(what: str, of: Callable[[Run], Any]) -> tuple[Any, Any]:
        found = []
        for run in (one, other):
            try:
                found.append(of(run))
            except MLOpsError as error:  # bytes that are on another machine
                missing.append(f"the {what} of {run.id}: {error.message}")
                found.append(None)
        return found[0], found[1]

    environments = read("environment", Run.environment)
    sources = read("sources", Run.sources)
    notebooks = read("executed notebook", Run.executed_notebook)
    rows = [*plain.rows, *_environment_rows(*environments)]
    notebook = None
    if notebooks[0] is not None and notebooks[1] is not None:
        notebook = notebook_diff(*notebooks, names=(one.id, other.id))
    return Comparison(
        (one, other),
        tuple(rows),
        tuple(_source_changes(*sources)) if None not in sources else (),
        notebook,
        plain.courses,
        tuple(missing),
    )


def curves_of(course: Course) -> Figure:
    """Return the picture of a course: one line a run."""
    return line(course.metric, course.curves, y_label=course.metric)


def _courses(runs: tuple[Run, ...]) -> list[Course]:
    found = []
    for metric in courses_of(runs)[:_MOST_COURSES]:
        histories = histories_of(runs, metric, COURSE)
        curves = {
            run.id: (tuple(p.step for p in points), tuple(p.value for p in points))
            for run in runs
            if (points := histories.get(run.id))
        }
        found.append(Course(metric, curves))
    return found


def _environment_rows(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> list[ComparedRow]:
    """Return what differs between two environments; equal ones are hundreds of equal rows."""
    if not one or not other:
        return []
    pairs = [(name, one.get(name), other.get(name)) for name in _FACTS_OF_ENVIRONMENT]
    first, second = one.get("distributions") or {}, other.get("distributions") or {}
    pairs += [(name, first.get(name), second.get(name)) for name in sorted({*first, *second}, key=str.lower)]
    return [ComparedRow("environment", name, (a, b), True) for name, a, b in pairs if a != b]


def _source_changes(one: Mapping[str, str], other: Mapping[str, str]) -> list[SourceChange]:
    changes = []
    for path in sorted({*one, *other}):
        if path not in one:
            changes.append(SourceChange(path, "added", whole(other[path], "+")))
        elif path not in other:
            changes.append(SourceChange(path, "removed", whole(one[path], "-")))
        elif one[path] != other[path]:
            changes.append(SourceChange(path, "changed", line_diff(one[path], other[path])))
    return changes


def _row(group: str, name: str, values: tuple[Any, ...]) -> ComparedRow:
    # repr: NaN differs from NaN, and 1 from True
    return ComparedRow(group, name, values, len({repr(value) for value in values}) > 1)
