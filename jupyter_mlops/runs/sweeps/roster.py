"""The roster: the runs of a sweep as they are queued, taken up, tried again. Used by launch and executions.

The store is the queue: whoever executes a sweep takes one run at a time from it, in one transaction, so that
threads, processes and machines can work at one sweep.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...people import Members, Role
from ...store import Store, Transaction
from ..finding import words
from ..ledger import Kept, Ledger
from ..run import RunError
from ..shelf import GONE, Shelf
from ..tracking.capture import GitState
from ..tracking.records import insert_parts
from .plan import Plan
from .strategy import Trial

_QUEUE_AGAIN = (
    "UPDATE runs SET status = 'queued', error = NULL, reason = '', ended_at = NULL, host = :host, "
    "git_commit = :git_commit, git_dirty = :git_dirty WHERE id = :id"
)
_FIRST_QUEUED = (
    "SELECT id, position, injected, tries, experiment, notebook FROM runs "
    "WHERE sweep = :sweep AND status = 'queued' ORDER BY position LIMIT 1"
)
_AT_WORK = (
    "SELECT sweep, position, injected, tries, git_commit, git_dirty, lease_token, lease_until FROM runs "
    "WHERE id = :id AND status = 'running'"
)
_TAKE = (
    "UPDATE runs SET status = 'running', started_at = :at, host = :host, worker = :worker, "
    "lease_token = :token, lease_until = :until WHERE id = :id"
)
_INSERTED = (
    *(
        "id",
        "number",
        "experiment",
        "sweep",
        "position",
        "kind",
        "notebook",
        "notebook_digest",
        "status",
        "host",
    ),
    *("actor", "proof", "at", "git_commit", "git_dirty", "injected", "like_run", "executor", "seconds_limit"),
    "tries",
)
_INSERT_RUN = f"INSERT INTO runs ({', '.join(_INSERTED)}) VALUES ({', '.join(f':{c}' for c in _INSERTED)})"  # noqa: S608 ours


@dataclass(frozen=True, slots=True)
class Member:
    """A run of a sweep that is to be executed: its place in the plan, what is injected, which try it is.

    ``token`` is that of the lease under which it was taken up.
    """

    id: str
    position: int
    injected: Mapping[str, Any]
    tries: int = 1
    token: str | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    """Who executes a run that may run anywhere, and until when, unless that is told again."""

    worker: str
    token: str
    until: str


class Roster:
    """Writes which runs a sweep has, in the name of the project's actor."""

    def __init__(self, store: Store, people: Members, shelf: Shelf, ledger: Ledger) -> None:
        self._store = store
        self._people = people
        self._shelf = shelf
        self._ledger = ledger

    def begin(
        self,
        id: str,
        experiment: str,
        plan: Plan,
        notebook_digest: str,
        git: GitState,
        detached: bool = False,
    ) -> None:
        """Record a sweep and queue all its runs that are known in advance."""
        sets = list(plan.known())
        ids = self._ledger.new_ids(len(sets))
        members = [Member(id, at, injected) for at, (id, injected) in enumerate(zip(ids, sets, strict=True))]
        with self._people.write(Role.CONTRIBUTOR) as tx:
            tx.insert(
                "sweeps",
                id=id,
                experiment=experiment,
                notebook=plan.notebook.name,
                notebook_digest=notebook_digest,
                request=plan.request(),
                metric=plan.metric,
                goal=plan.goal,
                size=plan.strategy.size,
                status="running",
                search=plan.strategy.kind,
                executor=plan.executor,
                detached=int(detached),
                host=self._shelf.liveness.here,
                at=tx.at,
                actor=tx.actor,
            )
            if detached and self._store.shared:
                # a worker on another machine has none of the bytes that are here
                tx.insert("queued_notebooks", sweep=id, notebook=plan.notebook.data)
            self._queue(tx, id, experiment, plan, notebook_digest, git, members)
            tx.event(
                "sweep.started",
                f"sweep:{id}",
                experiment=experiment,
                notebook=plan.notebook.name,
                size=plan.strategy.size,
                search=plan.strategy.kind,
            )

    def reopen(self, id: str, plan: Plan, git: GitState, detached: bool = False) -> int:
        """Record that a sweep goes on, with its parameter sets that have no end queued anew.

        Return how many are missing. The caller holds the sweep's lock, and no process of it lives any more.
        A run that was found hopeless has come to its end.
        """
        with self._people.write(Role.CONTRIBUTOR) as tx:
            sweep = self._ledger.sweep(tx, id)
            rows = tx.all(
                "SELECT id, position, status, started_at, injected, tries, pruned_step, removed_at FROM runs "
                "WHERE sweep = :id ORDER BY number",
                id=id,
            )
            newest = {row["position"]: row for row in rows}
            done = {row["position"] for row in rows if _settled(row)}
            # what somebody removed is not wanted
            done |= {position for position, row in newest.items() if row["removed_at"]}
            left = [row for position, row in sorted(newest.items()) if position not in done]
            missing = int(sweep["size"]) - len(newest) + len(left)
            if not missing and sweep["status"] == "finished":
                return 0
            # meanwhile, so that no run that is closed here ends the sweep
            tx.execute("UPDATE sweeps SET status = 'stopped' WHERE id = :id", id=id)
            known = None if all(row["injected"] for row in left) else list(plan.known())
            fresh = []
            ids = iter(self._ledger.new_ids(len(left)))
            for row in left:
                injected = json.loads(row["injected"]) if known is None else known[row["position"]]
                if row["started_at"] is None:
                    git_now = {"git_commit": git.commit, "git_dirty": _flag(git.dirty)}
                    tx.execute(_QUEUE_AGAIN, id=row["id"], host=self._shelf.liveness.here, **git_now)
                    continue
                if row["status"] == "running":
                    self._ledger.close(tx, row["id"], "failed", GONE)
                fresh.append(Member(next(ids), int(row["position"]), injected))
            tx.execute(
                "UPDATE sweeps SET status = 'running', ended_at = NULL, host = :host, detached = :detached "
                "WHERE id = :id",
                id=id,
                host=self._shelf.liveness.here,
                detached=int(detached),
            )
            tx.event(
                "sweep.resumed",
                f"sweep:{id}",
                experiment=sweep["experiment"],
                notebook=sweep["notebook"],
                size=int(sweep["size"]),
                missing=missing,
            )
            self._queue(tx, id, sweep["experiment"], plan, sweep["notebook_digest"], git, fresh)
            self._ledger.end_sweep_if_done(tx, id)
        return missing

    def take(self, sweep: str, plan: Plan, lease: Lease | None = None) -> Member | None:
        """Have the first queued run of a sweep run from now on; ``None``: nothing is queued."""
        if self._store.one(_FIRST_QUEUED, sweep=sweep) is None:
            return None
        with self._people.write(Role.CONTRIBUTOR) as tx:
            row = tx.one(_FIRST_QUEUED, sweep=sweep)
            if row is None:
                return None
            self._begin(tx, row, sweep, lease)
        position = int(row["position"])
        injected = json.loads(row["injected"]) if row["injected"] else list(plan.known())[position]
        return Member(row["id"], position, injected, int(row["tries"]), lease.token if lease else None)

    def add(self, sweep: str, plan: Plan, drawn: Mapping[str, Any], position: int, git: GitState) -> bool:
        """Queue one more run, at ``position``; return whether it was: somebody may have been quicker."""
        (id,) = self._ledger.new_ids(1)
        with self._people.write(Role.CONTRIBUTOR) as tx:
            row = self._ledger.sweep(tx, sweep)
            last = tx.one("SELECT MAX(position) AS last FROM runs WHERE sweep = :sweep", sweep=sweep)
            if row["status"] != "running" or (last and last["last"] is not None and last["last"] >= position):
                return False
            member = Member(id, position, {**plan.given, **drawn})
            self._queue(tx, sweep, row["experiment"], plan, row["notebook_digest"], git, [member])
            tx.event("run.queued", f"run:{id}", experiment=row["experiment"], sweep=sweep, position=position)
        return True

    def again(self, member: Member, plan: Plan, error: RunError, kept: Kept) -> bool:
        """Record that a run failed through no error of its notebook, and queue its parameters once more."""
        (id,) = self._ledger.new_ids(1)
        with self._people.write(Role.NONE) as tx:
            row = tx.one(_AT_WORK, id=member.id)
            if row is None or (member.token is not None and row["lease_token"] != member.token):
                return False
            self._once_more(tx, row, plan, Member(id, member.position, member.injected, member.tries + 1))
            self._ledger.close(tx, member.id, "failed", error, "tried again", kept)
        self._shelf.journal.forget(member.id)
        return True

    def put_back(
        self,
        run: str,
        plan: Plan | None,
        lease: Mapping[str, str],
        error: RunError | None,
        reason: str,
        failed: bool,
    ) -> bool:
        """Record that a run lost its worker, and queue its parameters once more; return whether it had.

        ``lease`` is what its columns must still hold. Where it ``failed``, that counts as a try. Without
        ``plan``, and where no tries are left, it has failed for good.
        """
        (id,) = self._ledger.new_ids(1)
        with self._people.write(Role.CONTRIBUTOR) as tx:
            row = tx.one(_AT_WORK, id=run)
            if row is None or any(row[name] != value for name, value in lease.items()):
                return False
            tries = int(row["tries"]) + failed
            again = plan is not None and tries <= plan.retries + 1
            if plan is not None and again:
                self._once_more(
                    tx, row, plan, Member(id, int(row["position"]), json.loads(row["injected"]), tries)
                )
            self._ledger.close(tx, run, "failed" if failed else "stopped", error, reason if again else "")
        self._shelf.journal.forget(run)
        return True

    def _once_more(self, tx: Transaction, row: Mapping[str, Any], plan: Plan, member: Member) -> None:
        """Queue the parameters of a run again, before it ends: the end of its last run ends a sweep."""
        sweep = self._ledger.sweep(tx, row["sweep"])
        if sweep["status"] == "running":
            git = GitState(row["git_commit"], None if row["git_dirty"] is None else bool(row["git_dirty"]))
            self._queue(tx, sweep["id"], sweep["experiment"], plan, sweep["notebook_digest"], git, [member])

    def left(self, sweep: str) -> int:
        """Return how many parameter sets of a sweep have not been taken up."""
        row = self._store.one(
            "SELECT s.size - COUNT(DISTINCT r.position) AS fresh, "
            "COUNT(CASE WHEN r.status = 'queued' THEN 1 END) AS queued FROM sweeps s "
            "LEFT JOIN runs r ON r.sweep = s.id WHERE s.id = :id GROUP BY s.size",
            id=sweep,
        )
        return int(row["fresh"]) + int(row["queued"]) if row else 0

    def is_open(self, sweep: str) -> bool:
        """Return whether a sweep counts as running: nobody stopped it."""
        row = self._store.one("SELECT status FROM sweeps WHERE id = :id", id=sweep)
        return row is not None and row["status"] == "running"

    def trials(self, sweep: str, names: Sequence[str], metric: str) -> list[Trial]:
        """Return what is recorded of each parameter set that was tried, in the order of asking."""
        rows = self._store.all(
            "SELECT r.id, r.position, r.status, r.injected, r.pruned_step, m.value FROM runs r "
            "LEFT JOIN run_metrics m ON m.run = r.id AND m.name = :metric WHERE r.sweep = :sweep "
            "ORDER BY r.number",
            sweep=sweep,
            metric=metric,
        )
        newest = {int(row["position"]): row for row in rows}
        pruned = [row["id"] for row in newest.values() if row["pruned_step"] is not None]
        courses = self._shelf.histories(pruned, metric) if pruned else {}
        return [
            Trial(
                {name: json.loads(row["injected"])[name] for name in names},
                _state(row),
                None if row["value"] is None else float(row["value"]),
                {int(point.step): point.value for point in courses.get(row["id"], ())},
            )
            for _, row in sorted(newest.items())
        ]

    def _begin(self, tx: Transaction, row: Mapping[str, Any], sweep: str, lease: Lease | None) -> None:
        tx.execute(
            _TAKE,
            id=row["id"],
            at=tx.at,
            host=self._shelf.liveness.here,
            worker=lease.worker if lease else None,
            token=lease.token if lease else None,
            until=lease.until if lease else None,
        )
        tx.event(
            "run.started",
            f"run:{row['id']}",
            experiment=row["experiment"],
            notebook=row["notebook"],
            sweep=sweep,
        )

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
        queued = list(members)
        last = tx.one("SELECT MAX(number) AS number FROM runs")
        number = int((last or {}).get("number") or 0) + 1
        shared = {
            "experiment": experiment,
            "sweep": sweep,
            "kind": "notebook",
            "status": "queued",
            "notebook": plan.notebook.name,
            "notebook_digest": notebook_digest,
            "host": self._shelf.liveness.here,
            "actor": tx.actor,
            "proof": tx.proof,
            "at": tx.at,
            "git_commit": git.commit,
            "git_dirty": _flag(git.dirty),
            "like_run": plan.like,
            "executor": plan.executor,
            "seconds_limit": plan.seconds,
        }
        tx.many(
            _INSERT_RUN,
            [
                {
                    **shared,
                    "id": member.id,
                    "number": number + at,
                    "position": member.position,
                    "injected": json.dumps(dict(member.injected), ensure_ascii=False),
                    "tries": member.tries,
                }
                for at, member in enumerate(queued)
            ],
        )
        for member in queued:
            parameters = plan.effective(member.injected)
            insert_parts(tx, member.id, parameters, plan.inputs_of(member.injected))
            words.of_run(tx, member.id, experiment, plan.notebook.name, parameters)


def _settled(row: Mapping[str, Any]) -> bool:
    return row["status"] == "finished" or (row["status"] == "stopped" and row["pruned_step"] is not None)


def _state(row: Mapping[str, Any]) -> str:
    if row["status"] == "stopped" and row["pruned_step"] is not None:
        return "pruned"
    if row["status"] == "queued":
        return "running"
    if row["status"] == "finished" and (row["value"] is None or not math.isfinite(float(row["value"]))):
        return "failed"
    return str(row["status"])


def _flag(value: bool | None) -> int | None:
    return None if value is None else int(value)
