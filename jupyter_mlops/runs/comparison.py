"""Runs side by side, row by row. Made by ``Runs.compare`` and ``Tracker.compare``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..value import Value
from .plain import jsonable
from .run import Run


@dataclass(frozen=True, slots=True)
class ComparedRow:
    """One thing about every run: a ``parameter``, ``input``, ``metric`` or ``fact``.

    ``None`` where a run has none.
    """

    group: str
    name: str
    values: tuple[Any, ...]
    differs: bool


@dataclass(frozen=True, slots=True)
class Comparison(Value):
    """Runs side by side: facts first, then parameters, inputs and metrics, each row with one value a run."""

    runs: tuple[Run, ...]
    rows: tuple[ComparedRow, ...]

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
        }


def compared(runs: tuple[Run, ...]) -> Comparison:
    """Put ``runs`` side by side."""
    facts: dict[str, Callable[[Run], Any]] = {
        "experiment": lambda run: run.experiment,
        "status": lambda run: run.status,
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
    return Comparison(runs, tuple(rows))


def _row(group: str, name: str, values: tuple[Any, ...]) -> ComparedRow:
    # repr: NaN differs from NaN, and 1 from True
    return ComparedRow(group, name, values, len({repr(value) for value in values}) > 1)
