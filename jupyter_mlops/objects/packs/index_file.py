"""The file of the chunk index: opened when needed, thrown away when it is broken. Used by ``ChunkIndex``.

Below it is SQLite, whose connections must not be carried across a fork and whose file may vanish at any time.
"""

from __future__ import annotations

import ctypes
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ...errors import StoreFailed
from .. import full_disk
from ..durable import storing

NAME = "index.sqlite"
_VERSION = 1
_PATIENCE = 30.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS pack(
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, size INTEGER NOT NULL, added REAL NOT NULL,
    verified REAL);
CREATE TABLE IF NOT EXISTS blob(
    digest BLOB PRIMARY KEY, kind INTEGER NOT NULL, pack INTEGER NOT NULL, offset INTEGER NOT NULL,
    length INTEGER NOT NULL, size INTEGER NOT NULL, start INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS copy(
    digest BLOB NOT NULL, kind INTEGER NOT NULL, pack INTEGER NOT NULL, offset INTEGER NOT NULL,
    length INTEGER NOT NULL, size INTEGER NOT NULL, start INTEGER NOT NULL,
    PRIMARY KEY (digest, pack, offset)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS base(
    digest BLOB NOT NULL, pack INTEGER NOT NULL, offset INTEGER NOT NULL,
    PRIMARY KEY (digest, pack, offset)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spoiled(
    pack TEXT NOT NULL, offset INTEGER NOT NULL, digest BLOB NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (digest, pack, offset)) WITHOUT ROWID;
"""
_T = TypeVar("_T")


class IndexFile:
    """One connection to the index in ``folder``; ``made`` is called when an empty one had to be made."""

    def __init__(self, folder: Path, made: Callable[[], object]) -> None:
        self._folder = folder
        self._path = folder / NAME
        self._made = made
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._opened: tuple[int, tuple[int, int]] | None = None
        self._owner = os.getpid()
        self._close: weakref.finalize[..., IndexFile] | None = None

    def read(self, ask: Callable[[sqlite3.Connection], _T], otherwise: _T) -> _T:
        """Return what ``ask`` finds out, or ``otherwise`` where nothing was ever stored."""
        with self._alone():
            if not self._path.exists() and not (self._folder / "packs").is_dir():
                return otherwise
            return self._tried(ask)

    def write(self, change: Callable[[sqlite3.Connection], object]) -> None:
        """Let ``change`` do its work in one transaction."""

        def within(connection: sqlite3.Connection) -> None:
            connection.execute("BEGIN IMMEDIATE")
            try:
                change(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

        with self._alone():
            self._tried(within)

    def _alone(self) -> threading.RLock:
        if os.getpid() != self._owner:
            # a thread that was not carried over by the fork may have held it
            self._lock, self._owner = threading.RLock(), os.getpid()
        return self._lock

    def _tried(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        try:
            return work(self._connected())
        except sqlite3.OperationalError as error:
            raise self._failed(error) from error
        except sqlite3.DatabaseError:
            self._discard()
        try:
            return work(self._connected())
        except sqlite3.DatabaseError as error:
            raise self._failed(error) from error

    def _connected(self) -> sqlite3.Connection:
        try:
            status = self._path.stat()
            now = (status.st_dev, status.st_ino)
        except FileNotFoundError:
            now = None
        mine = self._connection
        if mine is not None and self._opened is not None and self._opened == (os.getpid(), now):
            return mine
        self._let_go(lost=True)
        with storing():
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        connection = sqlite3.connect(
            self._path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
        )
        try:
            _use_log(connection)
            connection.execute("PRAGMA synchronous = NORMAL")
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, _VERSION):
                raise sqlite3.DatabaseError("the index is of another version")
            if version == 0:
                connection.execute("BEGIN IMMEDIATE")
                for statement in _SCHEMA.split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {_VERSION}")
                connection.execute("COMMIT")
            empty = not connection.execute("SELECT EXISTS (SELECT 1 FROM pack)").fetchone()[0]
            status = self._path.stat()
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        self._opened = (os.getpid(), (status.st_dev, status.st_ino))
        self._close = weakref.finalize(self, _closed, connection, os.getpid())
        if empty:
            self._made()
        return connection

    def _let_go(self, lost: bool = False) -> None:
        mine, close = self._connection, self._close
        self._connection = self._opened = self._close = None
        if mine is not None and close is not None:
            if lost:
                close.detach()
                _leave(mine)
            else:
                close()

    def _discard(self) -> None:
        """Remove a broken index; the next connection makes it again."""
        self._let_go()
        with storing():
            for suffix in ("", "-wal", "-shm"):
                self._path.with_name(NAME + suffix).unlink(missing_ok=True)

    def _failed(self, error: sqlite3.Error) -> StoreFailed:
        return full_disk.failed(
            "the index of the stored bytes cannot be used",
            error,
            self._path,
            "check the free space and who may write to .mlops",
        )


def _use_log(connection: sqlite3.Connection) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            # SQLite does not wait for another process that makes the same change to a new file
            if not full_disk.is_held(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _closed(connection: sqlite3.Connection, owner: int) -> None:
    if os.getpid() == owner:
        connection.close()
    else:
        _leave(connection)


def _leave(connection: sqlite3.Connection) -> None:
    """Never close a connection: SQLite would remove, by their names, files that are another's by now."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
