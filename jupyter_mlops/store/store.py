"""The store: opens the database, frames transactions, appends events. Made by ``Project``."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..errors import Failed
from .dialect import Dialect, text_row
from .events import GENESIS, AuditReport, Event, canonical, chained_hash, event_from, verified
from .migrate import migrate
from .postgresql import PostgreSQLEngine
from .sqlite import SQLiteEngine

Row = dict[str, Any]
_PAGE = 2_000


class Transaction:
    """One open write: executes portable SQL and appends the event that tells of it."""

    def __init__(self, store: Store, connection: Any, actor: str, proof: str) -> None:
        self._store, self._connection = store, connection
        self.actor, self.proof = actor, proof
        self.at = store.now()
        self.changes = 0
        self.events = 0

    def execute(self, sql: str, **parameters: Any) -> int:
        """Execute one statement and return how many rows it changed."""
        self.changes += 1
        return int(self._store.engine.execute(self._connection, sql, parameters).rowcount)

    def many(self, sql: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Execute one statement for each of ``rows``."""
        self.changes += len(rows)
        self._store.engine.execute_many(self._connection, sql, rows)

    def insert(self, table: str, **values: Any) -> None:
        """Insert one row; ``table`` and the column names come from the code, never from a user."""
        columns = ", ".join(values)
        marks = ", ".join(f":{name}" for name in values)
        self.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", **values)  # noqa: S608 names are ours

    def all(self, sql: str, **parameters: Any) -> list[Row]:
        """Return every row of a query, as seen inside this transaction."""
        return self._store.engine.dicts(self._connection, sql, parameters)

    def one(self, sql: str, **parameters: Any) -> Row | None:
        """Return the first row of a query, or ``None``."""
        rows = self.all(sql, **parameters)
        return rows[0] if rows else None

    def locked(self, sql: str, **parameters: Any) -> Row | None:
        """Return the first row of a query; nobody else changes it before this write has ended."""
        return self.one(sql + self._store.engine.row_lock, **parameters)

    def describe(self, kind: str, id: str, text: str, part: str = "") -> None:
        """Make the thing ``id`` findable by the words of ``text``.

        With a ``part``, what was said of that part before is forgotten; else it adds to what was said.
        """
        dialect = self._store.dialect
        if part:
            statement, parameters = dialect.forget_text(kind, id, part)
            self.execute(statement, **parameters)
        row = text_row(kind, id, part, text)
        if row["words"]:
            self.execute(dialect.insert_text, **row)

    def event(self, verb: str, about: str, /, **data: Any) -> int:
        """Append one event to the chain and return its number; it stands or falls with this transaction."""
        head = self.one("SELECT seq, hash FROM chain WHERE id = 1")
        prev, seq = (head["hash"], int(head["seq"]) + 1) if head else (GENESIS, 1)
        text = canonical(data)
        digest = chained_hash(prev, seq, self.at, self.actor, self.proof, verb, about, text)
        self.insert(
            "events",
            seq=seq,
            at=self.at,
            actor=self.actor,
            proof=self.proof,
            verb=verb,
            about=about,
            data=text,
            prev=prev,
            hash=digest,
        )
        self.execute("UPDATE chain SET seq = :seq, hash = :hash WHERE id = 1", seq=seq, hash=digest)
        self.events += 1
        return seq


class Store:
    """All facts of one project. Reads see the last commit; writes take turns and need an event.

    Each thread has a connection of its own; after a fork the child opens new ones.
    """

    def __init__(self, url: str | Path, clock: Callable[[], datetime] | None = None) -> None:
        text = str(url)
        self.engine: SQLiteEngine | PostgreSQLEngine
        if text.startswith(("postgresql://", "postgres://")):
            self.engine = PostgreSQLEngine(text)
        else:
            self.engine = SQLiteEngine(Path(text))
        self._clock = clock or (lambda: datetime.now(UTC))
        # the moment in seconds since 1970: a tenth of the time where there is nothing to translate
        self.seconds: Callable[[], float] = time.time if clock is None else lambda: clock().timestamp()
        self._connections: dict[tuple[int, int], tuple[threading.Thread, Any]] = {}
        self._guard = threading.Lock()
        self._writing = threading.local()
        _stores.add(self)
        try:
            migrate(self, "jupyter_mlops", "jupyter_mlops.store.migrations")
        except BaseException:
            self.close()
            raise

    @property
    def shared(self) -> bool:
        """Whether processes on other machines read the same store."""
        return isinstance(self.engine, PostgreSQLEngine)

    @property
    def in_write(self) -> bool:
        """Whether this thread is inside a write."""
        return getattr(self._writing, "pid", None) == os.getpid()

    def now(self) -> str:
        """Return the moment as ISO 8601 in UTC with microseconds, which sorts as text."""
        return self.moment().strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def moment(self) -> datetime:
        """Return the moment as an aware datetime, from the store's clock."""
        return self._clock()

    def all(self, sql: str, **parameters: Any) -> list[Row]:
        """Return every row of a query; inside a write of this thread, as that write sees it."""
        return self.engine.dicts(self._connection(), sql, parameters)

    def rows(self, sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """Return every row of a query as a tuple: several times as fast where there are many."""
        return self.engine.tuples(self._connection(), sql, parameters)

    def one(self, sql: str, **parameters: Any) -> Row | None:
        """Return the first row of a query, or ``None``."""
        rows = self.all(sql, **parameters)
        return rows[0] if rows else None

    @property
    def dialect(self) -> Dialect:
        """What the store's engine writes differently."""
        return self.engine.dialect

    @contextmanager
    def write(self, actor: str, proof: str) -> Iterator[Transaction]:
        """Open the one way to change facts. Leaving it commits everything, an exception undoes everything.

        Raises ``Failed`` if facts were changed and no event tells of it.
        """
        with self._framed(actor, proof, chained=True) as transaction:
            yield transaction
            if transaction.changes and not transaction.events:
                raise Failed("a change of facts must append its event")

    @contextmanager
    def bookkeeping(self) -> Iterator[Transaction]:
        """Open a write for what is no fact: cursors, deliveries, leases, metric points."""
        with self._framed("", "", chained=False) as transaction:
            yield transaction

    @contextmanager
    def schema_change(self, key: int) -> Iterator[Callable[..., int]]:
        """Open a write for migrations; processes that open the same fresh database take turns."""
        with self._framed("", "", chained=False) as transaction:
            if isinstance(self.engine, PostgreSQLEngine):
                transaction.one("SELECT pg_advisory_xact_lock(:key)", key=key)
            yield transaction.execute

    def migrate(self, component: str, package: str) -> None:
        """Create or update the tables that another component keeps in this store."""
        migrate(self, component, package)

    def has_table(self, name: str) -> bool:
        """Return whether a table of that name exists."""
        if isinstance(self.engine, PostgreSQLEngine):
            row = self.one("SELECT to_regclass(:name) IS NOT NULL AS there", name=name)
        else:
            row = self.one(
                "SELECT COUNT(*) AS there FROM sqlite_master WHERE type = 'table' AND name = :name", name=name
            )
        return bool(row and row["there"])

    def events(self, since: int = 0, about: str | None = None, limit: int | None = None) -> Iterator[Event]:
        """Yield the events after number ``since`` in order, all of them or those ``about`` one thing."""
        for row in self._pages(since, about, limit):
            yield event_from(row)

    def verify(self) -> AuditReport:
        """Recompute the whole chain of events and compare it with what is stored."""
        head = self.one("SELECT seq, hash FROM chain WHERE id = 1") or {"seq": 0, "hash": GENESIS}
        return verified(self._pages(0, None, int(head["seq"]) or None), int(head["seq"]), head["hash"])

    def cursor(self, name: str) -> int:
        """Return the number of the last event that the follower ``name`` has taken."""
        row = self.one("SELECT seq FROM cursors WHERE name = :name", name=name)
        return int(row["seq"]) if row else 0

    @staticmethod
    def advance(transaction: Transaction, name: str, seq: int) -> None:
        """Move the follower ``name`` to ``seq`` inside the transaction that keeps what it made of it."""
        transaction.execute(
            "INSERT INTO cursors (name, seq) VALUES (:name, :seq) "
            "ON CONFLICT (name) DO UPDATE SET seq = :seq WHERE cursors.seq < :seq",
            name=name,
            seq=seq,
        )

    def close(self) -> None:
        """Close the connections of every thread."""
        with self._guard:
            connections, self._connections = self._connections, {}
        for (pid, _), (_, connection) in connections.items():
            if pid == os.getpid():
                self.engine.close(connection)

    def _pages(self, since: int, about: str | None, limit: int | None) -> Iterator[Row]:
        where = "seq > :since" + (" AND about = :about" if about is not None else "")
        left = limit
        while left is None or left > 0:
            size = _PAGE if left is None else min(_PAGE, left)
            parameters: Mapping[str, Any] = {"since": since, "size": size} | (
                {"about": about} if about else {}
            )
            rows = self.all(
                f"SELECT seq, at, actor, proof, verb, about, data, prev, hash FROM events "  # noqa: S608 fixed text
                f"WHERE {where} ORDER BY seq LIMIT :size",
                **parameters,
            )
            yield from rows
            if len(rows) < size:
                return
            since = int(rows[-1]["seq"])
            left = None if left is None else left - len(rows)

    @contextmanager
    def _framed(self, actor: str, proof: str, *, chained: bool) -> Iterator[Transaction]:
        if self.in_write:
            raise Failed("a write was opened inside another write")
        connection = self._connection()
        self._writing.pid = os.getpid()
        try:
            with self.engine.transaction(connection, chained=chained):
                yield Transaction(self, connection, actor, proof)
        finally:
            self._writing.pid = None

    def forked(self) -> None:
        """Begin anew in a child process, where no thread of the parent will ever give back its lock."""
        self._guard = threading.Lock()

    def _connection(self) -> Any:
        key = (os.getpid(), threading.get_ident())
        held = self._connections.get(key)
        # a connection must never be used across a fork, and thread numbers are used again
        if held is not None and held[0] is threading.current_thread():
            return held[1]
        connection = self.engine.connect()
        with self._guard:
            ended = [
                k for k, (thread, _) in self._connections.items() if k[0] == key[0] and not thread.is_alive()
            ]
            closing = [self._connections.pop(k)[1] for k in ended]
            self._connections[key] = (threading.current_thread(), connection)
        for old in closing:
            self.engine.close(old)
        return connection


_stores: weakref.WeakSet[Store] = weakref.WeakSet()


def _in_child() -> None:
    for store in list(_stores):
        store.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
