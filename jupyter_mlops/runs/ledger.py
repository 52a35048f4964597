"""The ledger: writes what happens to runs and sweeps, with its events. Used by every service of this ring.

A sweep ends in the transaction that ends its last run: ``sweep.finished`` is said once, never too early.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import NotFound
from ..people import Members, Role
from ..store import Store, Transaction
from .capture import GitState
from .plain import jsonable
from .plan import FixedInput, Plan
from .records import insert_parts
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
            insert_parts(tx, id, parameters, inputs)
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
        self._shelf.journal.relieve(id)
        with self._people.write(Role.NONE) as tx:
            done = self._close(tx, id, status, error, reason, kept)
        if done:
            self._shelf.journal.forget(id)
        return done

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
                injected=json.dumps(dict(member.injected), ensure_ascii=False),
                like_run=plan.like,
            )
            effective = plan.effective(member.injected)
            insert_parts(tx, member.id, effective, plan.inputs_of(member.injected))

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
        self._shelf.journal.ingest(tx, id, last=True)
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


def _columns(git: GitState) -> dict[str, Any]:
    return {"git_commit": git.commit, "git_dirty": None if git.dirty is None else int(git.dirty)}
