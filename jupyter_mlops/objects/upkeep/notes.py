"""The notes: what compaction has tried, what collection has condemned. Losing them costs time, never bytes.

Compaction, collection and verification take turns at them, and so at rewriting and checking packs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from ...errors import Conflict, StoreFailed
from .. import full_disk, locks

FOLDER, NAME = "upkeep", "notes.sqlite"
_SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS tried(
    older BLOB NOT NULL, newer BLOB NOT NULL, upto INTEGER, PRIMARY KEY (older, newer)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS condemned(digest BLOB PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
"""


class Notes:
    """What earlier upkeep left to be known."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def tried(self, older: bytes, newer: bytes) -> int | None:
        """Return up to which byte ``newer`` was compared with ``older``; ``None``: to its end."""
        row = self._connection.execute(
            "SELECT upto FROM tried WHERE older = ? AND newer = ?", (older, newer)
        ).fetchone()
        return 0 if row is None else row[0]

    def note_tried(self, older: bytes, newer: bytes, upto: int | None) -> None:
        """Note up to which byte ``newer`` was compared with ``older``; ``None``: to its end."""
        self._connection.execute("INSERT OR REPLACE INTO tried VALUES (?, ?, ?)", (older, newer, upto))

    def condemned(self) -> dict[bytes, float]:
        """Return the digests that nothing needed at the last collection, and since when."""
        return dict(self._connection.execute("SELECT digest, at FROM condemned"))

    def condemn(self, digests: Collection[bytes], at: float) -> None:
        """Note digests that nothing needs."""
        self._many(
            "INSERT OR IGNORE INTO condemned VALUES (?, ?)", ((digest, at) for digest in sorted(digests))
        )

    def pardon(self, digests: Collection[bytes]) -> None:
        """Forget that digests were condemned: something needs them again, or they are gone."""
        self._many("DELETE FROM condemned WHERE digest = ?", ((digest,) for digest in sorted(digests)))

    def _many(self, statement: str, rows: Iterator[tuple[object, ...]]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany(statement, rows)
        self._connection.execute("COMMIT")


@contextmanager
def alone(folder: Path, wait: float = 0.0) -> Iterator[Notes]:
    """Be the only one who compacts, collects or verifies the store in ``folder``; lends the notes.

    Raises ``Conflict`` if somebody else still does after ``wait`` seconds.
    """
    path = folder / FOLDER / NAME
    with ExitStack() as stack:
        try:
            stack.enter_context(locks.exclusive(path.parent, wait))
        except Conflict:
            raise Conflict(
                "the stored data is being compacted, collected or verified by another process",
                "try again when it is done",
            ) from None
        try:
            connection = stack.enter_context(closing(_opened(path)))
        except sqlite3.DatabaseError as error:
            _give_up_unless_damaged(path, error)
            _remove(path)
            try:
                connection = stack.enter_context(closing(_opened(path)))
            except sqlite3.DatabaseError as again:
                raise _unusable(path, again) from again
        try:
            yield Notes(connection)
        except sqlite3.DatabaseError as error:
            _give_up_unless_damaged(path, error)
            _remove(path)
            raise StoreFailed(f"{path} was damaged and is made again", "repeat the command") from error


def _opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=30, isolation_level=None)
    try:
        connection.executescript(_SCHEMA)
        for table in ("tried", "condemned"):
            connection.execute(f"SELECT * FROM {table} LIMIT 1").fetchall()  # noqa: S608 - fixed names
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection


def _give_up_unless_damaged(path: Path, error: sqlite3.Error) -> None:
    if full_disk.is_full(error, path) or full_disk.is_held(error):
        raise _unusable(path, error) from error


def _unusable(path: Path, error: sqlite3.Error) -> StoreFailed:
    return full_disk.failed(
        f"{path} cannot be used", error, path, "check the free space and who may write there"
    )


def _remove(path: Path) -> None:
    for each in path.parent.glob(f"{path.name}*"):
        each.unlink(missing_ok=True)
