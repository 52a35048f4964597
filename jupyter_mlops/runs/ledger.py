"""The ledger: writes what happens to runs and sweeps, with its events. Used by every service of this ring.

A sweep ends in the transaction that ends its last run: ``sweep.finished`` is said once, never too early.
"""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..datasets import DatasetVersion
from ..errors import Conflict, NotFound
from ..people import Members, Role
from ..store import Store, Transaction
from .artifact import Artifact
from .capture import GitState
from .plain import dumps, jsonable
from .plan import FixedInput, Plan
from .run import RunError, best_of
from .shelf import GONE, Shelf

ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
_STILL_OPEN = (
    "SELECT experiment, notebook, sweep FROM runs WHERE id = :id AND status IN ('queued', 'running')"
)
_LEFT_OF_SWEEP = "SELECT id FROM runs WHERE sweep = :id AND status IN ('queued', 'running') ORDER BY position"
_QUEUE_AGAIN = (
    "UPDATE runs SET status = 'queued', error = NULL, ended_at = NULL, host = :host, "
    "git_commit = :git_commit, git_dirty = :git_dirty WHERE id = :id"
)
_METRICS_TOLD = 20


@dataclass(frozen=True, slots=True)
class Kept:
    """Digests of what a run leaves behind when it ends."""

    executed: str | None = None
    sources: str | None = None
    environment: str | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """A run of a sweep that is to be executed: its place in the plan and what is injected."""

    id: str
    position: int
    injected: Mapping[str, Any]


class Ledger:
    """Writes in the name of the project's actor."""

    def __init__(self, store: Store, people: Members, shelf: Shelf) -> None:
        self._store = store
        self._people = people
        self._shelf = shelf

    @property
    def _here(self) -> str:
        return self._shelf.liveness.here

    def new_id(self) -> str:
        """Return a random id that no run and no sweep has."""
        while True:
            id = "".join(secrets.choice(ALPHABET) for _ in range(8))
            taken = "SELECT id FROM runs WHERE id = :id UNION SELECT id FROM sweeps WHERE id = :id"
            if self._store.one(taken, id=id) is None:
                return id

    def begin_tracked(
        self,
        id: str,
        experiment: str,
        parameters: Mapping[str, Any],
        inputs: Mapping[str, FixedInput],
        git: GitState,
    ) -> None:
        """Record a run of the caller's own code, running from now on."""
        with self._people.write(Role.CONTRIBUTOR) as tx:
            self._insert_run(tx, id, experiment, "tracked", "running", git)
            self._insert_parts(tx, id, parameters, inputs)
            tx.event("run.started", f"run:{id}", experiment=experiment, notebook=None, sweep=None)

    def begin_sweep(
        self,
        id: str,
        experiment: str,
        plan: Plan,
        notebook_digest: str,
        metric: str | None,
        goal: str | None,
        git: GitState,
    ) -> list[Member]:
        """Record a sweep with all its runs, queued."""
        members = [Member(self.new_id(), position, injected) for position, injected in enumerate(plan.sets())]
        with self._people.write(Role.CONTRIBUTOR) as tx:
            tx.insert(
                "sweeps",
                id=id,
                experiment=experiment,
                notebook=plan.notebook.name,
                notebook_digest=notebook_digest,
                request=plan.request(),
                metric=metric,
                goal=goal,
                size=len(members),
                status="running",
                host=self._here,
                at=tx.at,
                actor=tx.actor,
            )
            self._queue(tx, id, experiment, plan, notebook_digest, git, members)
            tx.event(
                "sweep.started",
                f"sweep:{id}",
                experiment=experiment,
                notebook=plan.notebook.name,
                size=len(members),
            )
        return members

    def reopen_sweep(self, id: str, plan: Plan, git: GitState) -> list[Member]:
        """Record that a sweep goes on, and return its parameter sets without a finished run, queued anew.

        The caller holds the sweep's lock, and no process of it lives any more.
        """
        with self._people.write(Role.CONTRIBUTOR) as tx:
            sweep = self._sweep(tx, id)
            rows = tx.all(
                "SELECT id, position, status, started_at FROM runs WHERE sweep = :id ORDER BY number", id=id
            )
            finished = {row["position"] for row in rows if row["status"] == "finished"}
            newest = {row["position"]: row for row in rows}
            sets = plan.sets()
            missing = [position for position in range(len(sets)) if position not in finished]
            if not missing and sweep["status"] == "finished":
                return []
            tx.execute("UPDATE sweeps SET status = 'stopped' WHERE id = :id", id=id)
            members, fresh = [], []
            for position in missing:
                row = newest[position]
                if row["started_at"] is None:
                    tx.execute(_QUEUE_AGAIN, id=row["id"], host=self._here, **_columns(git))
                    members.append(Member(row["id"], position, sets[position]))
                    continue
                if row["status"] == "running":
                    self._close(tx, row["id"], "failed", GONE)
                members.append(Member(self.new_id(), position, sets[position]))
                fresh.append(members[-1])
            tx.execute(
                "UPDATE sweeps SET status = 'running', ended_at = NULL, host = :host WHERE id = :id",
                id=id,
                host=self._here,
            )
            tx.event(
                "sweep.resumed",
                f"sweep:{id}",
                experiment=sweep["experiment"],
                notebook=sweep["notebook"],
                size=len(sets),
                missing=len(missing),
            )
            self._queue(tx, id, sweep["experiment"], plan, sweep["notebook_digest"], git, fresh)
            self._end_sweep_if_done(tx, id)
        return members

    def begin_member(self, id: str) -> bool:
        """Record that a queued run runs; return whether it may: somebody may have stopped it meanwhile."""
        with self._people.write(Role.CONTRIBUTOR) as tx:
            row = tx.one("SELECT experiment, notebook, sweep, status FROM runs WHERE id = :id", id=id)
            if row is None or row["status"] != "queued":
                return False
            tx.execute("UPDATE runs SET status = 'running', started_at = :at WHERE id = :id", id=id, at=tx.at)
            tx.event(
                "run.started",
                f"run:{id}",
                experiment=row["experiment"],
                notebook=row["notebook"],
                sweep=row["sweep"],
            )
        return True

    def end(
        self,
        id: str,
        status: str,
        error: RunError | None = None,
        reason: str = "",
        kept: Kept | None = None,
    ) -> bool:
        """Record that a run ended.

        Return whether it had not ended before. Who may start a run may see it end.
        """
        with self._people.write(Role.NONE) as tx:
            return self._close(tx, id, status, error, reason, kept)

    def stop_sweep(self, id: str, reason: str, role: Role) -> bool:
        """Record that a sweep and what is left of it was stopped; return whether it was running."""
        with self._people.write(role) as tx:
            return self._stop_sweep(tx, id, reason)

    def stop_run(self, id: str, reason: str) -> bool:
        """Record that somebody stopped a run; return whether it was running or queued."""
        with self._people.write(Role.OPERATOR) as tx:
            return self._close(tx, id, "stopped", None, reason)

    def settle(self) -> int:
        """Record as ended what killed processes left behind, and return how many runs that were."""
        if not self._shelf.gone():
            return 0
        count = 0
        with self._people.write(Role.CONTRIBUTOR) as tx:
            # read again inside: somebody else may have settled or resumed
            gone = self._shelf.gone()
            sweeps = {}
            for id in gone:
                row = tx.one("SELECT sweep FROM runs WHERE id = :id", id=id)
                if row and row["sweep"]:
                    sweeps[row["sweep"]] = True
            for sweep in sweeps:
                self._interrupt(tx, sweep, "its process was killed")
            for id, (status, error) in gone.items():
                reason = error.message if status == "stopped" else ""
                count += self._close(tx, id, status, error if status == "failed" else None, reason)
        return count

    def points(self, id: str, values: Mapping[str, float], step: int | None) -> None:
        """Append one value to each of the metrics of a running run.

        Points are no facts: no event tells of them.
        """
        with self._store.bookkeeping() as tx:
            # also takes the row, so that two processes of one run number their points one after the other
            if not tx.execute("UPDATE runs SET number = number WHERE id = :id AND status = 'running'", id=id):
                raise self._over(id)
            for name, value in values.items():
                last = tx.one(
                    "SELECT step FROM run_metrics WHERE run = :id AND name = :name", id=id, name=name
                )
                point = tx.one(
                    "SELECT MAX(position) AS last FROM metric_points WHERE run = :id AND name = :name",
                    id=id,
                    name=name,
                )
                position = 0 if point is None or point["last"] is None else int(point["last"]) + 1
                at_step = step if step is not None else int(last["step"]) + 1 if last else 0
                stored = None if math.isnan(value) else value
                tx.insert(
                    "metric_points",
                    run=id,
                    name=name,
                    position=position,
                    step=at_step,
                    value=stored,
                    at=tx.at,
                )
                tx.execute(
                    "INSERT INTO run_metrics (run, name, value, step) VALUES (:run, :name, :value, :step) "
                    "ON CONFLICT (run, name) DO UPDATE SET value = :value, step = :step",
                    run=id,
                    name=name,
                    value=stored,
                    step=at_step,
                )

    def parameters(self, id: str, values: Mapping[str, Any]) -> None:
        """Add parameters to a running run; raises ``Conflict`` if one is known with another value."""
        with self._people.write(Role.CONTRIBUTOR) as tx:
            self._still_running(tx, id)
            known = {
                row["name"]: json.loads(row["value"])
                for row in tx.all("SELECT name, value FROM run_parameters WHERE run = :id", id=id)
            }
            for name, value in values.items():
                if name in known and jsonable(known[name]) != jsonable(value):
                    raise Conflict(
                        f"parameter {name} of run {id} is {known[name]!r} already, not {value!r}",
                        "log what changes during a run as a metric",
                    )
            fresh = {name: value for name, value in values.items() if name not in known}
            if fresh:
                self._insert_parts(tx, id, fresh, {})
                tx.event("run.recorded", f"run:{id}", what="parameters", names=sorted(fresh))

    def tags(self, id: str, values: Mapping[str, str]) -> None:
        """Set tags of a running run; a tag that is set again changes."""
        with self._people.write(Role.CONTRIBUTOR) as tx:
            self._still_running(tx, id)
            for name, value in values.items():
                tx.execute(
                    "INSERT INTO run_tags (run, name, value) VALUES (:run, :name, :value) "
                    "ON CONFLICT (run, name) DO UPDATE SET value = :value",
                    run=id,
                    name=name,
                    value=value,
                )
            tx.event("run.recorded", f"run:{id}", what="tags", tags=dict(values))

    def input(self, id: str, name: str, version: DatasetVersion) -> str:
        """Record a version that a running run read and return the name it is recorded under."""
        with self._people.write(Role.CONTRIBUTOR) as tx:
            self._still_running(tx, id)
            rows = tx.all("SELECT name, ref FROM run_inputs WHERE run = :id", id=id)
            known = {row["name"]: row["ref"] for row in rows}
            if version.ref in known.values():
                return str(next(key for key, ref in known.items() if ref == version.ref))
            chosen = version.ref if name in known else name
            tx.insert("run_inputs", run=id, name=chosen, ref=version.ref, digest=version.digest)
            tx.event(
                "run.recorded",
                f"run:{id}",
                what="input",
                name=chosen,
                ref=version.ref,
                digest=version.digest,
            )
        return chosen

    def output(self, id: str, version: DatasetVersion) -> None:
        """Record a version that a running run committed."""
        with self._people.write(Role.CONTRIBUTOR) as tx:
            self._still_running(tx, id)
            known = tx.one(
                "SELECT ref FROM run_outputs WHERE run = :id AND ref = :ref", id=id, ref=version.ref
            )
            if known is None:
                tx.insert("run_outputs", run=id, ref=version.ref, digest=version.digest)
                tx.event("run.recorded", f"run:{id}", what="output", ref=version.ref, digest=version.digest)

    def artifact(self, id: str, artifact: Artifact, free: bool) -> Artifact:
        """Record an artifact whose bytes are stored; ``free`` finds another name where that one is taken."""
        with self._people.write(Role.CONTRIBUTOR) as tx:
            self._still_running(tx, id)
            taken = {row["name"] for row in tx.all("SELECT name FROM run_artifacts WHERE run = :id", id=id)}
            if free and artifact.name in taken:
                artifact = replace(artifact, name=_another(artifact.name, taken))
            tx.execute(
                "DELETE FROM run_artifacts WHERE run = :id AND name = :name", id=id, name=artifact.name
            )
            tx.insert(
                "run_artifacts",
                run=id,
                name=artifact.name,
                kind=artifact.kind,
                digest=artifact.digest,
                bytes=artifact.bytes,
                detail=json.dumps(jsonable(artifact.detail), ensure_ascii=False),
            )
            tx.event(
                "run.recorded",
                f"run:{id}",
                what="artifact",
                name=artifact.name,
                kind=artifact.kind,
                digest=artifact.digest,
            )
        return artifact

    def is_running(self, id: str) -> bool:
        """Return whether a run is recorded as running."""
        row = self._store.one("SELECT status FROM runs WHERE id = :id", id=id)
        return row is not None and row["status"] == "running"

    def _queue(
        self,
        tx: Transaction,
        sweep: str,
        experiment: str,
        plan: Plan,
        notebook_digest: str,
        git: GitState,
        members: Iterable[Member],
    ) -> None:
        for member in members:
            self._insert_run(
                tx,
                member.id,
                experiment,
                "notebook",
                "queued",
                git,
                sweep=sweep,
                position=member.position,
                notebook=plan.notebook.name,
                notebook_digest=notebook_digest,
            )
            effective = plan.effective(member.injected)
            self._insert_parts(tx, member.id, effective, plan.inputs_of(member.injected))

    def _insert_run(
        self,
        tx: Transaction,
        id: str,
        experiment: str,
        kind: str,
        status: str,
        git: GitState,
        **more: Any,
    ) -> None:
        last = tx.one("SELECT MAX(number) AS number FROM runs")
        tx.insert(
            "runs",
            id=id,
            number=int((last or {}).get("number") or 0) + 1,
            experiment=experiment,
            kind=kind,
            status=status,
            host=self._here,
            actor=tx.actor,
            proof=tx.proof,
            at=tx.at,
            started_at=tx.at if status == "running" else None,
            **_columns(git),
            **more,
        )

    @staticmethod
    def _insert_parts(
        tx: Transaction, id: str, parameters: Mapping[str, Any], inputs: Mapping[str, FixedInput]
    ) -> None:
        for name, value in parameters.items():
            number = value if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
            tx.insert(
                "run_parameters",
                run=id,
                name=name,
                value=dumps(value),
                number=None if math.isnan(number) or abs(number) > 1e300 else float(number),
            )
        for name, fixed in inputs.items():
            tx.insert("run_inputs", run=id, name=name, ref=fixed.ref, digest=fixed.digest)

    def _close(
        self,
        tx: Transaction,
        id: str,
        status: str,
        error: RunError | None,
        reason: str = "",
        kept: Kept | None = None,
    ) -> bool:
        row = tx.one(_STILL_OPEN, id=id)
        if row is None:
            return False
        tx.execute(
            "UPDATE runs SET status = :status, error = :error, ended_at = :at, executed_digest = :executed, "
            "source_digest = :sources, environment_digest = :environment WHERE id = :id",
            id=id,
            status=status,
            error=None if error is None else json.dumps(error.to_dict(), ensure_ascii=False),
            at=tx.at,
            executed=kept.executed if kept else None,
            sources=kept.sources if kept else None,
            environment=kept.environment if kept else None,
        )
        told = {name: row[name] for name in ("experiment", "notebook", "sweep")}
        if status == "finished":
            told["metrics"] = self._metrics(tx, id)
        elif status == "failed":
            told |= {"error": str(error or ""), "cell": error.cell if error else None}
        else:
            told["reason"] = reason
        tx.event(f"run.{status}", f"run:{id}", **told)
        if row["sweep"]:
            self._end_sweep_if_done(tx, row["sweep"])
        return True

    @staticmethod
    def _metrics(tx: Transaction, id: str) -> dict[str, Any]:
        rows = tx.all(
            "SELECT name, value FROM run_metrics WHERE run = :id ORDER BY name LIMIT :most",
            id=id,
            most=_METRICS_TOLD,
        )
        return {row["name"]: jsonable(row["value"]) for row in rows}

    def _stop_sweep(self, tx: Transaction, id: str, reason: str) -> bool:
        if not self._interrupt(tx, id, reason):
            return False
        for row in tx.all(_LEFT_OF_SWEEP, id=id):
            self._close(tx, row["id"], "stopped", None, reason)
        return True

    def _interrupt(self, tx: Transaction, id: str, reason: str) -> bool:
        sweep = self._sweep(tx, id)
        if sweep["status"] != "running":
            return False
        tx.execute("UPDATE sweeps SET status = 'stopped', ended_at = :at WHERE id = :id", id=id, at=tx.at)
        tx.event(
            "sweep.stopped",
            f"sweep:{id}",
            experiment=sweep["experiment"],
            notebook=sweep["notebook"],
            reason=reason,
        )
        return True

    def _end_sweep_if_done(self, tx: Transaction, id: str) -> None:
        sweep = self._sweep(tx, id)
        if sweep["status"] != "running" or tx.one(_LEFT_OF_SWEEP, id=id):
            return
        tx.execute("UPDATE sweeps SET status = 'finished', ended_at = :at WHERE id = :id", id=id, at=tx.at)
        runs = self._shelf.runs(self._shelf.ids_of_sweep(id))
        metric, goal = sweep["metric"], sweep["goal"]
        best = best_of(runs, metric, goal) if metric and goal else None
        tx.event(
            "sweep.finished",
            f"sweep:{id}",
            experiment=sweep["experiment"],
            notebook=sweep["notebook"],
            size=int(sweep["size"]),
            **{
                status: sum(run.status == status for run in runs)
                for status in ("finished", "failed", "stopped")
            },
            best=best.id if best else None,
            metric=metric,
            goal=goal,
            value=best.metrics[metric] if best else None,
        )

    @staticmethod
    def _sweep(tx: Transaction, id: str) -> dict[str, Any]:
        row = tx.one("SELECT * FROM sweeps WHERE id = :id", id=id)
        if row is None:
            raise NotFound(f"there is no sweep '{id}'")
        return row

    def _still_running(self, tx: Transaction, id: str) -> None:
        row = tx.one("SELECT status FROM runs WHERE id = :id", id=id)
        if row is None or row["status"] != "running":
            raise self._over(id)

    def _over(self, id: str) -> Conflict:
        row = self._store.one("SELECT status FROM runs WHERE id = :id", id=id)
        state = row["status"] if row else "gone"
        return Conflict(f"run {id} is {state}; nothing can be recorded any more", "start another run")


def _columns(git: GitState) -> dict[str, Any]:
    return {"git_commit": git.commit, "git_dirty": None if git.dirty is None else int(git.dirty)}


def _another(name: str, taken: set[str]) -> str:
    stem, dot, suffix = name.rpartition(".")
    for number in range(2, len(taken) + 3):
        candidate = f"{stem}-{number}{dot}{suffix}" if stem else f"{name}-{number}"
        if candidate not in taken:
            return candidate
    return name
