"""The embedded engine: one SQLite file in WAL mode. Used by ``Store``."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..errors import BadInput, StoreFailed
from .dialect import SQLiteDialect

# Below this version two connections that write and checkpoint at the same instant can corrupt the file.
_WAL_RESET_FIXED = (3, 51, 3)
_NETWORK_FILE_SYSTEMS = (
    "nfs",
    "cifs",
    "smb",
    "9p",
    "fuse.sshfs",
    "gluster",
    "fuse.gluster",
    "lustre",
    "drvfs",
)
_BUSY_SECONDS = 60.0
_POLL_SECONDS = 0.002
_WORKING_SPACE = 1 << 20
_PRAGMAS = (
    "synchronous=FULL",
    "fullfsync=ON",
    "foreign_keys=ON",
    "cache_size=-16000",  # KiB a connection, as needed: the indexes of 100,000 runs are beyond the usual 2 MB
    "wal_autocheckpoint=4000",  # pages: runs write the same few again and again, which are then copied once
)


class SQLiteEngine:
    """Opens connections to one SQLite file and frames its write transactions."""

    dialect = SQLiteDialect()
    row_lock = ""  # a write excludes all others

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        refuse_network_file_system(self.path.parent)
        self.serialised = sqlite3.sqlite_version_info < _WAL_RESET_FIXED

    def connect(self) -> sqlite3.Connection:
        try:
            # one connection a thread; closing them all at the end happens in another thread
            connection = sqlite3.connect(
                self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            with self._alone():
                if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                    # only for a new file: it imports pandas, which takes longer than most commands
                    import sqlite_utils

                    sqlite_utils.Database(connection).enable_wal()
            connection.row_factory = _as_dict  # after sqlite-utils, which reads its rows by position
            for pragma in _PRAGMAS:
                connection.execute(f"PRAGMA {pragma}")
        except sqlite3.Error as error:
            raise self.translated(error) from error
        return connection

    def close(self, connection: sqlite3.Connection) -> None:
        with self._alone():  # the last close checkpoints
            connection.close()

    def execute(
        self, connection: sqlite3.Connection, sql: str, parameters: Mapping[str, Any]
    ) -> sqlite3.Cursor:
        try:
            return connection.execute(sql, parameters)
        except sqlite3.Error as error:
            raise self.translated(error) from error

    def dicts(
        self, connection: sqlite3.Connection, sql: str, parameters: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        cursor = self._cursor(connection, sql, parameters)
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def tuples(
        self, connection: sqlite3.Connection, sql: str, parameters: Mapping[str, Any]
    ) -> list[tuple[Any, ...]]:
        return self._cursor(connection, sql, parameters).fetchall()

    def _cursor(
        self, connection: sqlite3.Connection, sql: str, parameters: Mapping[str, Any]
    ) -> sqlite3.Cursor:
        cursor = connection.cursor()
        cursor.row_factory = None  # a factory is called for each row, and takes longer than the row
        try:
            return cursor.execute(sql, parameters)
        except sqlite3.Error as error:
            raise self.translated(error) from error

    def execute_many(
        self, connection: sqlite3.Connection, sql: str, rows: Sequence[Mapping[str, Any]]
    ) -> None:
        try:
            connection.executemany(sql, rows)
        except sqlite3.Error as error:
            raise self.translated(error) from error

    @contextmanager
    def transaction(self, connection: sqlite3.Connection, *, chained: bool) -> Iterator[None]:
        """Frame a write: immediate, because a deferred read-then-write fails at once when another wrote."""
        with self._alone():
            self.execute(connection, "BEGIN IMMEDIATE", {})
            try:
                yield
                self.execute(connection, "COMMIT", {})
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def protect(self, table: str) -> list[str]:
        """Return the statements that make ``table`` append-only."""
        return [
            f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            for verb in ("UPDATE", "DELETE")
        ]

    def translated(self, error: Exception) -> StoreFailed:
        text = (error.strerror if isinstance(error, OSError) else None) or str(error)
        if "full" in text or "No space" in text or ("disk I/O" in text and self._disk_is_full()):
            hint = "the disk is full: free some space and repeat; nothing was lost"
        elif "locked" in text:
            hint = "another process holds the store for very long; repeat when it is done"
        elif "readonly" in text or "unable to open" in text or isinstance(error, OSError):
            hint = f"check that {self.path.parent} exists and that you may write there"
        else:
            hint = "see `mlops audit verify`"
        return StoreFailed(f"the store {self.path.name} could not be used: {text}", hint)

    def _disk_is_full(self) -> bool:
        # SQLite maps its shared memory, and says of that only that it failed
        with suppress(OSError):
            return shutil.disk_usage(self.path.parent).free < _WORKING_SPACE
        return False

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self.serialised:
            yield
            return
        with _locked(Path(f"{self.path}.lock"), self.translated):
            yield


@contextmanager
def _locked(path: Path, translated: Callable[[Exception], StoreFailed]) -> Iterator[None]:
    """Hold a lock between processes, which the system lets go of when its holder dies."""
    late = StoreFailed(
        f"the store {path.stem} is locked by another process for {_BUSY_SECONDS:g} s",
        "repeat when that process is done",
    )
    if os.name != "posix":
        from filelock import FileLock, Timeout

        try:
            with FileLock(path, timeout=_BUSY_SECONDS, poll_interval=_POLL_SECONDS):
                yield
        except Timeout:
            raise late from None
        return
    import fcntl  # filelock would do the same, and takes as long to import as a listing to make

    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise translated(error) from error
    try:
        end = time.monotonic() + _BUSY_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= end:
                    raise late from None
                time.sleep(_POLL_SECONDS)
            except OSError as error:
                raise translated(error) from error
        yield
    finally:
        os.close(descriptor)


def refuse_network_file_system(folder: Path) -> None:
    """Raise ``BadInput`` if ``folder`` lies on a file system where SQLite's WAL cannot work."""
    mounts = Path("/proc/self/mountinfo")
    if not mounts.exists():
        return
    found = ("", "")
    for line in mounts.read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        point = fields.split()[4].replace("\\040", " ")
        if folder.is_relative_to(point) and len(point) >= len(found[0]):
            found = (point, rest.split()[0])
    if found[1].startswith(_NETWORK_FILE_SYSTEMS):
        raise BadInput(
            f"{folder} is on a network file system ({found[1]}), where SQLite can lose data",
            'set [project] store = "env:MLOPS_STORE" and MLOPS_STORE=postgresql://…',
        )


def _as_dict(cursor: sqlite3.Cursor, row: tuple[Any, ...]) -> dict[str, Any]:
    return {column[0]: value for column, value in zip(cursor.description, row, strict=True)}
