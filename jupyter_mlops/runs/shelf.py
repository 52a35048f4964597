"""The shelf: reads runs and sweeps from the store as values. Used by every service of this ring."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from ..objects import Objects
from ..store import Store
from .artifact import Artifact, LoadModel
from .liveness import Liveness
from .points import MetricPoint
from .run import Run, RunError, RunInfo, moment
from .runs import Sweep
from .tracking.journal import Journal

_CHUNK = 400
# so far the clocks of machines may differ: what is only shown may be late, and must not be wrong
_CLOCKS_APART = timedelta(minutes=1)
Row = Mapping[str, Any]
GONE = RunError(None, "ProcessEnded", "the process that executed it was killed, or the machine was restarted")
NEVER_STARTED = RunError(
    None, "NeverStarted", "the process that executed its sweep was killed before its turn"
)


LOST = RunError(None, "WorkerLost", "the worker that executed it was killed, or cannot be reached")
_OPEN_RUNS = (
    "SELECT r.id, r.sweep, r.status, r.host, r.worker, r.lease_until FROM runs r "
    "LEFT JOIN sweeps s ON s.id = r.sweep WHERE (r.status = 'running' AND "
    "(r.host = :here OR r.lease_until IS NOT NULL)) OR (r.status = 'queued' AND r.host = :here "
    "AND s.detached = 0)"
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
        return self._read(ids, self.gone() if gone is None else gone)

    def stored(self, id: str) -> Run:
        """Return a run of this process, whose beginning or end it has written, as that is stored."""
        return self._read([id], {})[0]

    def _read(self, ids: Sequence[str], gone: Mapping[str, tuple[str, RunError]]) -> tuple[Run, ...]:
        found: dict[str, Run] = {}
        for chunk in _chunks(ids):
            marks, given = listed(chunk)
            rows = self.store.all(f"SELECT * FROM runs WHERE id IN ({marks})", **given)  # noqa: S608 marks
            parts = self._parts(marks, given)
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
            "SELECT id, position FROM runs WHERE sweep = :sweep AND removed_at IS NULL "
            "ORDER BY position, number",
            sweep=sweep,
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

    def courses(self, runs: Sequence[str]) -> tuple[str, ...]:
        """Return the metrics that one of these runs logged more than once, by name."""
        return self.journal.repeated(runs)

    def roots(self, ids: Sequence[str] | None = None) -> Iterator[tuple[str, str, bool]]:
        """Yield all stored bytes that runs need: whose they are, their digest, whether that is a tree's.

        Of the runs with these ids; without, of all that were not removed.
        """
        if ids is None:
            yield from self._roots("r.removed_at IS NULL", {})
            for row in self.store.all(
                "SELECT s.id, s.notebook_digest FROM sweeps s WHERE s.status = 'running' OR EXISTS "
                "(SELECT 1 FROM runs r WHERE r.sweep = s.id AND r.removed_at IS NULL)"
            ):
                yield f"sweep:{row['id']}", row["notebook_digest"], False
            return
        for chunk in _chunks(ids):
            marks, given = listed(chunk)
            yield from self._roots(f"r.id IN ({marks})", given)

    def _roots(self, which: str, given: Mapping[str, Any]) -> Iterator[tuple[str, str, bool]]:
        for column, tree in _KEPT.items():
            kept = f"SELECT r.id, r.{column} FROM runs r WHERE r.{column} IS NOT NULL AND {which}"  # noqa: S608 ours
            for id, digest in self.store.rows(kept, **given):
                yield f"run:{id}", digest, tree
        of_run = f"t JOIN runs r ON r.id = t.run WHERE {which}"
        kept = f"SELECT t.run, t.kind, t.digest, t.detail FROM run_artifacts {of_run}"  # noqa: S608 ours
        for id, kind, digest, detail in self.store.rows(kept, **given):
            yield f"run:{id}", digest, kind in _TREES
            if "picture" in (known := json.loads(detail)):
                yield f"run:{id}", known["picture"]["digest"], False
        for table in ("run_inputs", "run_outputs"):
            kept = f"SELECT DISTINCT t.ref, t.digest FROM {table} {of_run}"  # noqa: S608 ours
            for ref, digest in self.store.rows(kept, **given):
                yield f"data:{ref}", digest, True

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
        """Return the open runs that can be judged here: queued ones of a detached sweep wait for anybody."""
        return self.store.all(_OPEN_RUNS, here=self.liveness.here)

    def _judged(self, rows: Iterable[Row]) -> dict[str, tuple[str, RunError]]:
        alive: dict[str, bool] = {}
        found = {}
        for row in rows:
            sweep, worker = row["sweep"], row["worker"]
            if row["lease_until"] is not None:
                # here, the worker's lock tells it at once; of other places, that it has not been heard of
                if row["host"] == self.liveness.here:
                    lost = not (self.liveness.held(worker) or self.liveness.held(row["id"]))
                else:
                    lost = moment(row["lease_until"]) + _CLOCKS_APART < self.store.moment()
                if lost:
                    found[row["id"]] = ("failed", LOST)
                continue
            if sweep and sweep not in alive:
                alive[sweep] = self.liveness.held(sweep)
            if sweep and alive[sweep]:
                continue
            if row["status"] == "queued":
                found[row["id"]] = ("stopped", NEVER_STARTED)
            elif not self.liveness.held(row["id"]):
                found[row["id"]] = ("failed", GONE)
        return found

    def _parts(self, marks: str, given: Mapping[str, Any]) -> _Parts:
        """Return what belongs to runs, in few queries: a database may be far away."""

        def rows(*tables: str) -> list[tuple[Any, ...]]:
            # sorted here: a database has its own idea of the order of texts
            several = " UNION ALL ".join(f"SELECT run, {each} WHERE run IN ({marks})" for each in tables)
            return sorted(self.store.rows(several, **given))

        parts = _Parts()
        parameters = rows("name, value FROM run_parameters")
        read = json.loads(f"[{','.join(row[2] for row in parameters)}]")
        for (run, name, _), value in zip(parameters, read, strict=True):
            parts.parameters[run][name] = value
        for run, name, value in rows("name, value FROM run_metrics"):
            parts.metrics[run][name] = math.nan if value is None else value
        for run, what, name, value, digest, size, detail in rows(
            "'tag', name, value, '', 0, '' FROM run_tags",
            "'input', name, ref, '', 0, '' FROM run_inputs",
            "'output', ref, '', '', 0, '' FROM run_outputs",
            "'artifact', name, kind, digest, bytes, detail FROM run_artifacts",
        ):
            match what:
                case "tag":
                    parts.tags[run][name] = value
                case "input":
                    parts.inputs[run][name] = value
                case "output":
                    parts.outputs[run].append(name)
                case "artifact":
                    parts.artifacts[run][name] = Artifact(name, value, digest, size, json.loads(detail), self)
        return parts

    def _run(self, row: Row, parts: _Parts, gone: Mapping[str, tuple[str, RunError]]) -> Run:
        id = row["id"]
        if id in gone:
            status, error = gone[id]
            given: RunError | None = error
        else:
            status, given = row["status"], error_from(row["error"])
        return Run(
            id=id,
            number=row["number"],
            experiment=row["experiment"],
            status=status,
            actor=row["actor"],
            proof=row["proof"],
            kind=row["kind"],
            created_at=row["at"],
            sweep=row["sweep"],
            position=row["position"],
            error=given,
            parameters=parts.parameters[id],
            metrics=parts.metrics[id],
            tags=parts.tags[id],
            inputs=parts.inputs[id],
            outputs=tuple(parts.outputs[id]),
            artifacts=parts.artifacts[id],
            notebook=row["notebook"],
            started_at=row["started_at"],
            ended_at=row["ended_at"],
            like=row["like_run"],
            tries=row["tries"],
            reason=row["reason"],
            pruned=row["pruned_step"],
            executor=row["executor"],
            limit=row["seconds_limit"],
            warm=None if row["warm"] is None else bool(row["warm"]),
            why_cold=row["why_cold"],
            note=row["note"] or "",
            removed=row["removed_at"] or "",
            info=RunInfo(
                row["git_commit"],
                None if row["git_dirty"] is None else bool(row["git_dirty"]),
                row["notebook_digest"],
                row["executed_digest"],
                row["source_digest"],
                row["environment_digest"],
                row["host"].partition(":")[0],
            ),
            _details=self,
        )

    def artifact(self, row: Row) -> Artifact:
        """Return the artifact that a row of the store describes."""
        detail = json.loads(row["detail"])
        return Artifact(row["name"], row["kind"], row["digest"], int(row["bytes"]), detail, self)

    def _sweep(self, row: Row) -> Sweep:
        status = row["status"]
        here = row["host"] == self.liveness.here and not row["detached"]
        if status == "running" and here and not self.liveness.held(row["id"]):
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
            search=row["search"],
            executor=row["executor"],
            detached=bool(row["detached"]),
        )


_KEPT = {
    "notebook_digest": False,
    "executed_digest": False,
    "source_digest": True,
    "environment_digest": False,
}
_TREES = ("folder", "model")


@dataclass(slots=True)
class _Parts:
    """What belongs to some runs, by run."""

    parameters: dict[str, dict[str, Any]] = field(default_factory=lambda: defaultdict(dict))
    metrics: dict[str, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))
    tags: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    inputs: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    outputs: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    artifacts: dict[str, dict[str, Artifact]] = field(default_factory=lambda: defaultdict(dict))


def listed(values: Sequence[Any], prefix: str = "i") -> tuple[str, dict[str, Any]]:
    """Return the marks and parameters of ``IN (…)`` for ``values``."""
    names = [f"{prefix}{number}" for number in range(len(values))]
    return ", ".join(f":{name}" for name in names), dict(zip(names, values, strict=True))


def error_from(text: str | None) -> RunError | None:
    """Return the error that was stored as ``text``."""
    return RunError(**json.loads(text)) if text else None


def _chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), _CHUNK):
        yield ids[start : start + _CHUNK]
