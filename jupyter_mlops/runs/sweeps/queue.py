"""The queue: runs that wait for a worker, and whose each one is that executes. Handed out by ``Tracker``.

A worker has a run under a lease that it renews while it lives. Whoever keeps the project's records takes runs
from workers that are gone: at once where the worker's lock here tells it, else once a lease was not renewed
for as long as leases last, by the watch of the one who looks. No clock is compared with another.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

from ...errors import MLOpsError, StoreFailed, Unreachable
from ...objects import Objects
from ...store import Store
from ..execution.notebook import parse_notebook
from ..shelf import LOST, Shelf
from .plan import Plan
from .roster import Lease, Roster
from .strategy import ADAPTIVE

LEASE_SECONDS = 30.0
_RENEWALS = 4  # so many in the time that a lease lasts
_WAITING = (
    "SELECT s.* FROM sweeps s WHERE s.detached = 1 AND s.status = 'running' "
    "AND (s.search = 'optuna' OR EXISTS (SELECT 1 FROM runs r WHERE r.sweep = s.id AND r.status = 'queued')) "
    "ORDER BY s.at, s.id"
)
_LEASED = (
    "SELECT r.id, r.sweep, r.host, r.worker, r.lease_token, r.lease_until FROM sweeps s "
    "JOIN runs r ON r.sweep = s.id AND r.status = 'running' "
    "WHERE s.detached = 1 AND s.status = 'running' AND r.lease_until IS NOT NULL"
)
_MINE = "SELECT id, sweep, lease_token FROM runs WHERE status = 'running' AND lease_token = :token"
_RENEW = "UPDATE runs SET lease_until = :until WHERE status = 'running' AND lease_token = :token"


class Shift:
    """The time in which one worker takes up runs. Made by ``Queue.shift``; threads share it."""

    def __init__(self, store: Store, worker: str, seconds: float) -> None:
        self.worker = worker
        self.token = secrets.token_hex(16)
        self._store = store
        self._seconds = seconds
        self._renewed = time.monotonic()
        self._over = threading.Event()

    def lease(self) -> Lease:
        """Return a lease that begins now."""
        return Lease(self.worker, self.token, self._until())

    def holds(self, run: str) -> bool:
        """Return whether a run is still ours: nobody stopped it or took it away.

        While the store does not answer it is, for as long as nobody else can have taken it.
        """
        try:
            row = self._store.one(
                "SELECT id FROM runs WHERE id = :id AND status = 'running' AND lease_token = :token",
                id=run,
                token=self.token,
            )
        except (Unreachable, StoreFailed):
            return time.monotonic() - self._renewed < self._seconds
        return row is not None

    def renewing(self) -> None:
        """Renew the leases of our runs until the shift is over."""
        while not self._over.wait(self._seconds / _RENEWALS):
            # what the store does not take now it gets the next time
            with suppress(Unreachable, StoreFailed):
                self.renew()

    def renew(self) -> None:
        """Renew the leases of our runs."""
        began = time.monotonic()
        if self._store.one(f"{_MINE} LIMIT 1", token=self.token) is not None:
            with self._store.bookkeeping() as tx:
                tx.execute(_RENEW, token=self.token, until=self._until())
        self._renewed = began

    def end(self) -> None:
        """Renew no more."""
        self._over.set()

    def _until(self) -> str:
        moment = self._store.moment() + timedelta(seconds=self._seconds)
        return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Queue:
    """The detached sweeps of one project and the workers that execute them, in the name of its actor."""

    def __init__(self, store: Store, objects: Objects, shelf: Shelf, roster: Roster) -> None:
        self._store = store
        self._objects = objects
        self._shelf = shelf
        self._roster = roster
        self._seen: dict[tuple[str, str], float] = {}

    def waiting(self) -> list[dict[str, Any]]:
        """Return the sweeps of which something is to be executed, the oldest first."""
        # of an adaptive one nothing is queued before it is asked for
        return [
            row
            for row in self._store.all(_WAITING)
            if row["search"] not in ADAPTIVE or self._roster.left(row["id"]) > 0
        ]

    def left(self, sweep: str) -> int:
        """Return how many runs of a sweep nobody has taken up."""
        return self._roster.left(sweep)

    @contextmanager
    def shift(self, seconds: float = LEASE_SECONDS) -> Iterator[Shift]:
        """Be a worker during the block, with leases of ``seconds``.

        What is executing at its end is recorded as stopped, and queued again as another run.
        """
        worker = f"worker-{secrets.token_hex(6)}"
        shift = Shift(self._store, worker, seconds)
        with self._shelf.liveness.hold(worker):
            renewing = threading.Thread(target=shift.renewing, name="mlops-leases", daemon=True)
            renewing.start()
            try:
                yield shift
            finally:
                shift.end()
                renewing.join()
                self._release(shift)
        self._shelf.liveness.forget(worker)

    def recover(self, seconds: float = LEASE_SECONDS) -> int:
        """Take runs from workers that are gone, and queue them again as other runs; return how many.

        A run that was tried as often as its sweep allows fails. Call it now and then: a lease elsewhere is
        over when it was seen unchanged for ``seconds``.
        """
        rows = self._store.all(_LEASED)
        now = time.monotonic()
        keys = [(row["id"], row["lease_until"]) for row in rows]
        self._seen = {key: self._seen.get(key, now) for key in keys}
        count = 0
        for row, key in zip(rows, keys, strict=True):
            if behind := self._left_behind(row):
                self._shelf.liveness.forget(row["worker"])
            if behind or now - self._seen[key] >= seconds:
                # unless it is renewed or ends meanwhile
                expected = {name: row[name] for name in ("lease_token", "lease_until")}
                plan = self._plan(row["sweep"])
                count += self._roster.put_back(
                    row["id"], plan, expected, LOST, "its worker was lost: queued again", failed=True
                )
        return count

    def notebook(self, sweep: Mapping[str, Any]) -> bytes:
        """Return the notebook of a sweep's row: from here, else as it was queued for other machines."""
        if not self._objects.has(sweep["notebook_digest"]):
            row = self._store.one("SELECT notebook FROM queued_notebooks WHERE sweep = :id", id=sweep["id"])
            if row is not None:
                self._objects.put_bytes(bytes(row["notebook"]))
        return self._objects.read(sweep["notebook_digest"])

    def _left_behind(self, row: Mapping[str, Any]) -> bool:
        """Whether the worker of a run was here, and it and the run's process are gone."""
        liveness = self._shelf.liveness
        here = row["host"] == liveness.here
        return here and not (liveness.held(row["worker"]) or liveness.held(row["id"]))

    def _plan(self, sweep: str) -> Plan | None:
        """Return the plan of a sweep, or nothing where its notebook is not to be had here."""
        row = self._store.one("SELECT * FROM sweeps WHERE id = :id", id=sweep)
        if row is None:
            return None
        try:
            return Plan.from_request(row["request"], parse_notebook(self.notebook(row), row["notebook"]))
        except MLOpsError:
            return None

    def _release(self, shift: Shift) -> None:
        """Put back what is still ours, however often it was tried: it did nothing wrong."""
        # where the store does not answer, the leases run out
        with suppress(Unreachable, StoreFailed):
            for row in self._store.all(_MINE, token=shift.token):
                plan = self._plan(row["sweep"])
                expected = {"lease_token": shift.token}
                reason = "its worker was stopped: queued again"
                self._roster.put_back(row["id"], plan, expected, None, reason, failed=False)
