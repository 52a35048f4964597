"""The ledger: writes what happens to runs and sweeps, with its events. Used by every service of this ring.

A sweep ends in the transaction that ends its last run: ``sweep.finished`` is said once, never too early.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import NotFound
from ..people import Members, Role
from ..store import Store, Transaction
from ..store.ids import new_id
from .finding import words
from .plain import jsonable
from .run import ENDED, RunError
from .shelf import LOST, Shelf, listed
from .sweeps.plan import FixedInput
from .sweeps.strategy import ADAPTIVE
from .tracking.capture import GitState
from .tracking.records import insert_parts

_STILL_OPEN = (
    "SELECT experiment, notebook, sweep, lease_token FROM runs "
    "WHERE id = :id AND status IN ('queued', 'running')"
)
_LEFT_OF_SWEEP = "SELECT id FROM runs WHERE sweep = :id AND status IN ('queued', 'running') ORDER BY position"
_ONE_LEFT = "SELECT id FROM runs WHERE sweep = :id AND status IN ('queued', 'running') LIMIT 1"
_NEWEST_OF_SWEEP = (
    "SELECT r.id, r.number, r.status, m.value FROM runs r LEFT JOIN run_metrics m "
    "ON m.run = r.id AND m.name = :metric WHERE r.sweep = :id AND r.number = "
    "(SELECT MAX(number) FROM runs WHERE sweep = :id AND position = r.position)"
)
_METRICS_TOLD = 20
_IDS_AT_ONCE = 400
_LENGTH = 8


@dataclass(frozen=True, slots=True)
class Kept:
    """Digests of what a run leaves behind when it ends."""

    executed: str | None = None
    sources: str | None = None
    environment: str | None = None
    warm: bool | None = None
    why_cold: str = ""


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
        return self.new_ids(1)[0]

    def new_ids(self, count: int) -> list[str]:
        """Return so many random ids that no run and no sweep has."""
        found: dict[str, None] = {}
        while len(found) < count:
            wanted = min(count - len(found), _IDS_AT_ONCE)
            drawn = {new_id(_LENGTH) for _ in range(wanted)} - found.keys()
            marks, given = listed(sorted(drawn))
            taken = self._store.all(
                f"SELECT id FROM runs WHERE id IN ({marks}) "  # noqa: S608 marks
                f"UNION SELECT id FROM sweeps WHERE id IN ({marks})",
                **given,
            )
            found |= dict.fromkeys(drawn - {row["id"] for row in taken})
        return list(found)

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
            last = tx.one("SELECT MAX(number) AS number FROM runs")
            tx.insert(
                "runs",
                id=id,
                number=int((last or {}).get("number") or 0) + 1,
                experiment=experiment,
                kind="tracked",
                status="running",
                host=self._here,
                actor=tx.actor,
                proof=tx.proof,
                at=tx.at,
                started_at=tx.at,
                **_columns(git),
            )
            insert_parts(tx, id, parameters, inputs)
            words.of_run(tx, id, experiment, None, parameters)
            tx.event("run.started", f"run:{id}", experiment=experiment, notebook=None, sweep=None)

    def end(
        self,
        id: str,
        status: str,
        error: RunError | None = None,
        reason: str = "",
        kept: Kept | None = None,
        token: str | None = None,
    ) -> bool:
        """Record that a run ended; with a ``token``, only while that is the token of its lease.

        Return whether it had not ended before. Who may start a run may see it end.
        """
        self._shelf.journal.relieve(id)
        with self._people.write(Role.NONE) as tx:
            done = self.close(tx, id, status, error, reason, kept, token)
        if done:
            self._shelf.journal.forget(id)
        return done

    def stop_sweep(self, id: str, reason: str, role: Role) -> bool:
        """Record that a sweep and what is left of it was stopped; return whether it was running."""
        with self._people.write(role) as tx:
            left = [row["id"] for row in tx.all(_LEFT_OF_SWEEP, id=id)]
            stopped = self._stop_sweep(tx, id, reason)
        for run in left if stopped else ():
            self._shelf.journal.forget(run)
        return stopped

    def stop_run(self, id: str, reason: str) -> bool:
        """Record that somebody stopped a run; return whether it was running or queued."""
        with self._people.write(Role.OPERATOR) as tx:
            stopped = self.close(tx, id, "stopped", None, reason)
        if stopped:
            self._shelf.journal.forget(id)
        return stopped

    def settle(self) -> int:
        """Record as ended what killed processes left behind, and return how many runs that were."""
        if not self._gone() and not self._abandoned():
            return 0
        count = 0
        with self._people.write(Role.CONTRIBUTOR) as tx:
            # read again inside: somebody else may have settled or resumed
            gone = self._gone()
            for sweep in self._abandoned():
                self._interrupt(tx, sweep, "its process was killed")
            for id, (status, error) in gone.items():
                reason = error.message if status == "stopped" else ""
                count += self.close(tx, id, status, error if status == "failed" else None, reason)
        return count

    def _gone(self) -> dict[str, tuple[str, RunError]]:
        """Return the runs whose process is gone; those that a worker had are the queue's to judge."""
        return {id: ended for id, ended in self._shelf.gone().items() if ended[1] is not LOST}

    def _abandoned(self) -> list[str]:
        """Return the sweeps that count as running though the process that executed them here is gone."""
        rows = self._store.all(
            "SELECT id FROM sweeps WHERE detached = 0 AND status = 'running' AND host = :here",
            here=self._here,
        )
        return [row["id"] for row in rows if not self._shelf.liveness.held(row["id"])]

    def is_running(self, id: str) -> bool:
        """Return whether a run is recorded as running."""
        row = self._store.one("SELECT status FROM runs WHERE id = :id", id=id)
        return row is not None and row["status"] == "running"

    def pruned(self, id: str) -> str:
        """Return why a run was found hopeless, or nothing if it was not."""
        row = self._store.one("SELECT reason, pruned_step FROM runs WHERE id = :id", id=id)
        return str(row["reason"]) if row and row["pruned_step"] is not None else ""

    def keep(self, id: str, kept: Kept) -> None:
        """Record how far a run came that somebody stops or has stopped."""
        with self._people.write(Role.NONE) as tx:
            found = tx.execute(
                "UPDATE runs SET executed_digest = :executed, source_digest = :sources, "
                "environment_digest = :environment, warm = :warm, why_cold = :why_cold "
                "WHERE id = :id AND status IN ('running', 'stopped') AND executed_digest IS NULL",
                id=id,
                executed=kept.executed,
                sources=kept.sources,
                environment=kept.environment,
                warm=None if kept.warm is None else int(kept.warm),
                why_cold=kept.why_cold,
            )
            if found:
                tx.event("run.recorded", f"run:{id}", what="notebook", digest=kept.executed)

    def close(
        self,
        tx: Transaction,
        id: str,
        status: str,
        error: RunError | None,
        reason: str = "",
        kept: Kept | None = None,
        token: str | None = None,
    ) -> bool:
        """Record inside a write that a run ended; return whether it had not ended before."""
        row = tx.one(_STILL_OPEN, id=id)
        if row is None or (token is not None and row["lease_token"] != token):
            return False
        tx.execute(
            "UPDATE runs SET status = :status, error = :error, reason = :reason, ended_at = :at, "
            # of a run that was stopped it may be known already
            "executed_digest = COALESCE(:executed, executed_digest), "
            "source_digest = COALESCE(:sources, source_digest), "
            "environment_digest = COALESCE(:environment, environment_digest), "
            "warm = COALESCE(:warm, warm), why_cold = COALESCE(:why_cold, why_cold), "
            "lease_token = NULL, lease_until = NULL, "
            # a notebook may go on although it was told that it is hopeless
            "pruned_step = CASE WHEN :status = 'stopped' THEN pruned_step END WHERE id = :id",
            id=id,
            status=status,
            error=None if error is None else json.dumps(error.to_dict(), ensure_ascii=False),
            at=tx.at,
            executed=kept.executed if kept else None,
            sources=kept.sources if kept else None,
            environment=kept.environment if kept else None,
            reason=reason,
            warm=None if kept is None or kept.warm is None else int(kept.warm),
            why_cold=kept.why_cold if kept else None,
        )
        words.of_error(tx, id, error)
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
            self.end_sweep_if_done(tx, row["sweep"])
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
            self.close(tx, row["id"], "stopped", None, reason)
        return True

    def _interrupt(self, tx: Transaction, id: str, reason: str) -> bool:
        sweep = self.sweep(tx, id)
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

    def end_sweep_if_done(self, tx: Transaction, id: str) -> None:
        """Record inside a write that a sweep is finished, if nothing of it is left to do."""
        row = tx.one("SELECT status, search, size FROM sweeps WHERE id = :id", id=id)
        if row is None or row["status"] != "running" or tx.one(_ONE_LEFT, id=id):
            return
        if row["search"] in ADAPTIVE:
            asked = tx.one("SELECT COUNT(DISTINCT position) AS asked FROM runs WHERE sweep = :id", id=id)
            if asked and int(asked["asked"]) < int(row["size"]):
                return
        tx.execute("UPDATE sweeps SET status = 'finished', ended_at = :at WHERE id = :id", id=id, at=tx.at)
        sweep = self.sweep(tx, id)
        ended = tx.all(_NEWEST_OF_SWEEP, id=id, metric=sweep["metric"] or "")
        counts = Counter(each["status"] for each in ended)
        best = _best(ended, sweep["goal"]) if sweep["metric"] else None
        tx.event(
            "sweep.finished",
            f"sweep:{id}",
            experiment=sweep["experiment"],
            notebook=sweep["notebook"],
            size=int(sweep["size"]),
            **{status: counts[status] for status in ENDED},
            best=best["id"] if best else None,
            metric=sweep["metric"],
            goal=sweep["goal"],
            value=float(best["value"]) if best else None,
        )

    @staticmethod
    def sweep(tx: Transaction, id: str) -> dict[str, Any]:
        """Return the row of a sweep, read inside a write."""
        row = tx.one("SELECT * FROM sweeps WHERE id = :id", id=id)
        if row is None:
            raise NotFound(f"there is no sweep '{id}'")
        return row


def _best(rows: Iterable[Mapping[str, Any]], goal: str | None) -> Mapping[str, Any] | None:
    measured = [
        row
        for row in rows
        if row["status"] == "finished" and row["value"] is not None and math.isfinite(float(row["value"]))
    ]
    sign = -1 if goal == "maximize" else 1
    return min(measured, key=lambda row: (sign * float(row["value"]), row["number"]), default=None)


def _columns(git: GitState) -> dict[str, Any]:
    return {"git_commit": git.commit, "git_dirty": None if git.dirty is None else int(git.dirty)}
