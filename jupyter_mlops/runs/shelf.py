"""The shelf: reads runs and sweeps from the store as values. Used by every service of this ring."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from ..objects import Objects
from ..store import Store
from .artifact import Artifact, LoadModel
from .journal import Journal
from .liveness import Liveness
from .points import MetricPoint
from .run import Run, RunError, RunInfo
from .runs import Sweep

_CHUNK = 400
Row = Mapping[str, Any]
GONE = RunError(None, "ProcessEnded", "the process that executed it was killed, or the machine was restarted")
NEVER_STARTED = RunError(
    None, "NeverStarted", "the process that executed its sweep was killed before its turn"
)


class Shelf:
    """Everything that is known of runs, for reading. What a killed process left behind is shown as ended."""

    def __init__(
        self, store: Store, objects: Objects, liveness: Liveness, load_model: LoadModel | None
    ) -> None:
        self.store = store
        self.objects = objects
        self.liveness = liveness
        self.load_model = load_model
        self.journal = Journal(store, liveness.journals)

    def runs(
        self, ids: Sequence[str], gone: Mapping[str, tuple[str, RunError]] | None = None
    ) -> tuple[Run, ...]:
        """Return the runs with these ids, in this order; ``gone`` is what ``gone()`` returned just now."""
        self.journal.caught_up()
        found: dict[str, Run] = {}
        gone = self.gone() if gone is None else gone
        for chunk in _chunks(ids):
            marks, given = listed(chunk)
            rows = self.store.all(f"SELECT * FROM runs WHERE id IN ({marks})", **given)  # noqa: S608 marks
            parts = {table: self._parts(table, columns, marks, given) for table, columns in _PARTS.items()}
            for row in rows:
                found[row["id"]] = self._run(row, parts, gone)
        return tuple(found[id] for id in ids if id in found)

    def sweeps(self, where: str = "", **parameters: Any) -> tuple[Sweep, ...]:
        """Return the sweeps that fit ``where``, a piece of our own SQL."""
        rows = self.store.all(f"SELECT * FROM sweeps {where}", **parameters)  # noqa: S608 text of ours
        return tuple(self._sweep(row) for row in rows)

    def ids_of_sweep(self, sweep: str) -> list[str]:
        """Return the newest run of each parameter set of a sweep, in order."""
        rows = self.store.all(
            "SELECT id, position FROM runs WHERE sweep = :sweep ORDER BY position, number", sweep=sweep
        )
        return list({row["position"]: row["id"] for row in rows}.values())

    def gone(self) -> dict[str, tuple[str, RunError]]:
        """Return the runs whose process is gone though they count as open: what they ended as, and why."""
        first = self._judged(self._open_runs())
        if not first:
            return {}
        # a run may have ended, and its process gone, between reading the row and looking at the lock
        still = {row["id"] for row in self._open_runs()}
        return {id: ended for id, ended in first.items() if id in still}

    def history(self, run: str, metric: str, most: int | None = None) -> tuple[MetricPoint, ...]:
        """Return the logged values of a metric in order, thinned to about ``most`` with extremes kept."""
        return self.journal.history(run, metric, most)

    def histories(
        self, runs: Sequence[str], metric: str, most: int | None = None
    ) -> dict[str, tuple[MetricPoint, ...]]:
        """Return the logged values of a metric of many runs, each thinned to about ``most``."""
        return self.journal.histories(runs, metric, most)

    def roots(self) -> Iterator[tuple[str, str, bool]]:
        """Yield all stored bytes that runs need: whose they are, their digest, whether that is a tree's."""
        for column, tree in _KEPT.items():
            for row in self.store.all(f"SELECT id, {column} AS digest FROM runs WHERE {column} IS NOT NULL"):  # noqa: S608 ours
                yield f"run:{row['id']}", row["digest"], tree
        for row in self.store.all("SELECT id, notebook_digest FROM sweeps"):
            yield f"sweep:{row['id']}", row["notebook_digest"], False
        for row in self.store.all("SELECT run, kind, digest, detail FROM run_artifacts"):
            yield f"run:{row['run']}", row["digest"], row["kind"] in _TREES
            if "picture" in (detail := json.loads(row["detail"])):
                yield f"run:{row['run']}", detail["picture"]["digest"], False
        for table in ("run_inputs", "run_outputs"):
            for row in self.store.all(f"SELECT DISTINCT ref, digest FROM {table}"):  # noqa: S608 ours
                yield f"data:{row['ref']}", row["digest"], True

    def notebook(self, digest: str) -> dict[str, Any]:
        """Return a stored notebook."""
        return dict(json.loads(self.objects.read(digest)))

    def sources(self, digest: str) -> dict[str, str]:
        """Return stored source files by path."""
        return {
            entry.path: self.objects.read(entry.digest).decode("utf-8", "replace")
            for entry in self.objects.tree(digest)
        }

    def environment(self, digest: str) -> dict[str, Any]:
        """Return a stored description of an environment."""
        return dict(json.loads(self.objects.read(digest)))

    def repeats(self, run: str) -> tuple[str, ...]:
        """Return the ids of the runs that were executed like ``run``, the earliest first."""
        rows = self.store.all("SELECT id FROM runs WHERE like_run = :run ORDER BY number", run=run)
        return tuple(row["id"] for row in rows)

    def now(self) -> datetime:
        """Return the moment by the store's clock."""
        return self.store.moment()

    def _open_runs(self) -> list[dict[str, Any]]:
        return self.store.all(
            "SELECT id, sweep, status FROM runs WHERE status IN ('queued', 'running') AND host = :here",
            here=self.liveness.here,
        )

    def _judged(self, rows: Iterable[Row]) -> dict[str, tuple[str, RunError]]:
        alive: dict[str, bool] = {}
        found = {}
        for row in rows:
            sweep = row["sweep"]
            if sweep and sweep not in alive:
                alive[sweep] = self.liveness.held(sweep)
            if sweep and alive[sweep]:
                continue
            if row["status"] == "queued":
                found[row["id"]] = ("stopped", NEVER_STARTED)
            elif not self.liveness.held(row["id"]):
                found[row["id"]] = ("failed", GONE)
        return found

    def _parts(
        self, table: str, columns: str, marks: str, given: Mapping[str, Any]
    ) -> dict[str, list[dict[str, Any]]]:
        rows = self.store.all(
            f"SELECT run, {columns} FROM {table} WHERE run IN ({marks})",  # noqa: S608 ours
            **given,
        )
        grouped: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            grouped.setdefault(row["run"], []).append(row)
        return grouped

    def _run(
        self,
        row: Row,
        parts: Mapping[str, Mapping[str, list[dict[str, Any]]]],
        gone: Mapping[str, tuple[str, RunError]],
    ) -> Run:
        id = row["id"]
        status, error = row["status"], error_from(row["error"])
        if id in gone:
            status, error = gone[id]

        def part(table: str, key: str = "name") -> list[dict[str, Any]]:
            return sorted(parts[table].get(id, []), key=lambda each: str(each[key]))

        return Run(
            id=id,
            number=int(row["number"]),
            experiment=row["experiment"],
            status=status,
            actor=row["actor"],
            proof=row["proof"],
            kind=row["kind"],
            created_at=row["at"],
            sweep=row["sweep"],
            position=None if row["position"] is None else int(row["position"]),
            error=error,
            parameters={each["name"]: json.loads(each["value"]) for each in part("run_parameters")},
            metrics={each["name"]: _number(each["value"]) for each in part("run_metrics")},
            tags={each["name"]: each["value"] for each in part("run_tags")},
            inputs={each["name"]: each["ref"] for each in part("run_inputs")},
            outputs=tuple(each["ref"] for each in part("run_outputs", "ref")),
            artifacts={each["name"]: self.artifact(each) for each in part("run_artifacts")},
            notebook=row["notebook"],
            started_at=row["started_at"],
            ended_at=row["ended_at"],
            like=row["like_run"],
            info=RunInfo(
                row["git_commit"],
                None if row["git_dirty"] is None else bool(row["git_dirty"]),
                row["notebook_digest"],
                row["executed_digest"],
                row["source_digest"],
                row["environment_digest"],
                str(row["host"]).partition(":")[0],
            ),
            _details=self,
        )

    def artifact(self, row: Row) -> Artifact:
        """Return the artifact that a row of the store describes."""
        detail = json.loads(row["detail"])
        return Artifact(row["name"], row["kind"], row["digest"], int(row["bytes"]), detail, self)

    def _sweep(self, row: Row) -> Sweep:
        status = row["status"]
        if status == "running" and row["host"] == self.liveness.here and not self.liveness.held(row["id"]):
            again = self.store.one("SELECT status FROM sweeps WHERE id = :id", id=row["id"])
            status = "stopped" if again is None or again["status"] == "running" else again["status"]
        return Sweep(
            id=row["id"],
            experiment=row["experiment"],
            notebook=row["notebook"],
            size=int(row["size"]),
            status=status,
            metric=row["metric"],
            goal=row["goal"],
            at=row["at"],
            ended_at=row["ended_at"],
            actor=row["actor"],
        )


_KEPT = {
    "notebook_digest": False,
    "executed_digest": False,
    "source_digest": True,
    "environment_digest": False,
}
_TREES = ("folder", "model")
_PARTS = {
    "run_parameters": "name, value",
    "run_metrics": "name, value",
    "run_tags": "name, value",
    "run_inputs": "name, ref",
    "run_outputs": "ref",
    "run_artifacts": "name, kind, digest, bytes, detail",
}


def listed(values: Sequence[Any], prefix: str = "i") -> tuple[str, dict[str, Any]]:
    """Return the marks and parameters of ``IN (…)`` for ``values``."""
    names = [f"{prefix}{number}" for number in range(len(values))]
    return ", ".join(f":{name}" for name in names), dict(zip(names, values, strict=True))


def error_from(text: str | None) -> RunError | None:
    """Return the error that was stored as ``text``."""
    return RunError(**json.loads(text)) if text else None


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), _CHUNK):
        yield ids[start : start + _CHUNK]
