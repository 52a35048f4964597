"""The known: which packs and refs a remote was last seen to hold. Used by ``RemoteObjects``.

A SQLite file that says again what the remote's index files say, so that only new ones are fetched. A remote's
files never change, so it is outdated only by what is new or gone; losing it costs fetching them again.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from blake3 import blake3

from ...errors import StoreFailed
from .. import full_disk
from ..durable import storing
from ..packs.pack import CHUNK, GROUP, HEADER, RECIPE, Head, records_in

_VERSION = 1
_MANY = 500
_TRAILER = struct.Struct("<QQ32s8s")
TRAILER = _TRAILER.size
_END = b"MLOPSEND"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS note(key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS pack(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, size INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS held(
    digest BLOB NOT NULL, pack INTEGER NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL,
    kind INTEGER NOT NULL, PRIMARY KEY (digest, pack, offset)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS base(
    pack INTEGER NOT NULL, offset INTEGER NOT NULL, digest BLOB NOT NULL,
    PRIMARY KEY (pack, offset, digest)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ref(name TEXT PRIMARY KEY, tag TEXT NOT NULL, body BLOB NOT NULL);
"""


class Held(NamedTuple):
    """A record of some pack, local or of a remote, in which a digest is."""

    pack: str
    offset: int
    length: int
    kind: int
    digest: bytes


class Listed(NamedTuple):
    """What a remote's pack holds: its name, its size, and where each record starts."""

    name: str
    size: int
    records: tuple[tuple[int, Head], ...]


def tail_size(trailer: bytes, size: int) -> int:
    """Return how long the footer and trailer of a pack of ``size`` bytes are; raises ``ValueError``."""
    if len(trailer) != _TRAILER.size:
        raise ValueError("its end is missing")
    offset, length, _, end = _TRAILER.unpack(trailer)
    if end != _END or offset + length + _TRAILER.size != size:
        raise ValueError("its end is missing")
    return int(length + _TRAILER.size)


def listed(name: str, size: int, tail: bytes) -> Listed:
    """Return what a pack holds by its footer and trailer; raises ``ValueError`` unless they are sound."""
    footer, trailer = tail[: -_TRAILER.size], tail[-_TRAILER.size :]
    if tail_size(trailer, size) != len(tail):
        raise ValueError("its end is missing")
    start, _, digest, _ = _TRAILER.unpack(trailer)
    if blake3(footer).digest() != digest:
        raise ValueError("its footer is damaged")
    records = records_in(footer)
    for offset, head in records:
        if offset < len(HEADER) or offset + head.total > start or head.kind not in (CHUNK, RECIPE, GROUP):
            raise ValueError("its footer names what cannot be there")
    return Listed(name, size, records)


class Known:
    """What one remote holds, as it was last seen. One thread at a time."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "known.sqlite"
        with storing():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            self._connection = self._opened()
        except sqlite3.DatabaseError:
            self._remove()
            self._connection = self._opened()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def note(self, key: str) -> str:
        """Return what was noted under ``key``, or nothing."""
        row = self._connection.execute("SELECT value FROM note WHERE key = ?", (key,)).fetchone()
        return str(row[0]) if row else ""

    def keep_note(self, key: str, value: str) -> None:
        """Note ``value`` under ``key``."""
        with self._writing():
            self._connection.execute("INSERT OR REPLACE INTO note VALUES (?, ?)", (key, value))

    def begin_anew(self, **notes: str) -> None:
        """Forget everything but ``notes``: this is another remote than before."""
        with self._writing():
            for table in ("note", "pack", "held", "base", "ref"):
                self._connection.execute(f"DELETE FROM {table}")  # noqa: S608 - fixed names
            self._connection.executemany("INSERT INTO note VALUES (?, ?)", notes.items())

    def packs(self) -> dict[str, int]:
        """Return every pack with its size."""
        return dict(self._connection.execute("SELECT name, size FROM pack"))

    def add(self, packs: Iterable[Listed]) -> None:
        """Take in packs of the remote with what they hold."""
        with self._writing():
            for pack in packs:
                row = self._connection.execute(
                    "INSERT INTO pack (name, size) VALUES (?, ?) ON CONFLICT (name) DO NOTHING RETURNING id",
                    (pack.name, pack.size),
                ).fetchone()
                if row is None:
                    continue  # another process was faster
                number = row[0]
                held = sorted(
                    (digest, number, offset, head.total, head.kind)
                    for offset, head in pack.records
                    for digest, _ in head.members
                )
                self._connection.executemany("INSERT OR IGNORE INTO held VALUES (?, ?, ?, ?, ?)", held)
                needed = [(number, offset, base) for offset, head in pack.records for base in head.bases]
                self._connection.executemany("INSERT OR IGNORE INTO base VALUES (?, ?, ?)", needed)

    def forget(self, names: Collection[str]) -> None:
        """Forget packs that are not there any more."""
        with self._writing():
            for name in names:
                row = self._connection.execute("SELECT id FROM pack WHERE name = ?", (name,)).fetchone()
                if row is not None:
                    for statement in (
                        "DELETE FROM held WHERE pack = ?",
                        "DELETE FROM base WHERE pack = ?",
                        "DELETE FROM pack WHERE id = ?",
                    ):
                        self._connection.execute(statement, row)

    def lacking(self, digests: Collection[bytes], plain: bool = False) -> set[bytes]:
        """Return those of ``digests`` that no pack holds, with ``plain`` none as a chunk of its own."""
        there: set[bytes] = set()
        only = f" AND kind = {CHUNK}" if plain else ""
        for marks, some in portions(digests):
            rows = self._connection.execute(
                f"SELECT digest FROM held WHERE digest IN ({marks}){only}",  # noqa: S608 - marks and a number
                some,
            )
            there.update(row[0] for row in rows)
        return set(digests) - there

    def find(self, digests: Collection[bytes]) -> dict[bytes, list[Held]]:
        """Return the records in which each of ``digests`` is, those that need no others first."""
        found: dict[bytes, list[Held]] = {}
        for marks, some in portions(digests):
            rows = self._connection.execute(
                "SELECT pack.name, offset, length, kind, digest FROM held JOIN pack ON pack.id = held.pack "  # noqa: S608
                f"WHERE digest IN ({marks})",
                some,
            )
            for row in rows:
                found.setdefault(row[4], []).append(Held(*row))
        for records in found.values():
            records.sort(key=lambda held: (held.kind == GROUP, held.kind, held.length, held.pack))
        return found

    def bases(self, held: Held) -> tuple[bytes, ...]:
        """Return the digests that a group needs to be decoded."""
        rows = self._connection.execute(
            "SELECT base.digest FROM base JOIN pack ON pack.id = base.pack "
            "WHERE pack.name = ? AND offset = ?",
            (held.pack, held.offset),
        )
        return tuple(row[0] for row in rows)

    def refs(self, folder: str) -> dict[str, tuple[str, bytes]]:
        """Return the tag and the content of every ref below ``folder`` that was read."""
        rows = self._connection.execute(
            "SELECT name, tag, body FROM ref WHERE substr(name, 1, ?) = ?", (len(folder) + 1, f"{folder}/")
        )
        return {name: (tag, body) for name, tag, body in rows}

    def keep_refs(self, refs: Iterable[tuple[str, str, bytes]], gone: Collection[str] = ()) -> None:
        """Take in refs: their name, tag and content. Those in ``gone`` are forgotten."""
        with self._writing():
            self._connection.executemany("DELETE FROM ref WHERE name = ?", [(name,) for name in gone])
            self._connection.executemany("INSERT OR REPLACE INTO ref VALUES (?, ?, ?)", refs)

    def _opened(self) -> sqlite3.Connection:
        with storing():
            connection = sqlite3.connect(self._path, timeout=30, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")  # losing it loses nothing
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, _VERSION):
                raise sqlite3.DatabaseError("made by another version")
            connection.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version={_VERSION}")
            connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            connection.close()
            raise self._unwritable(error, "check the free space and who may write there") from error
        except BaseException:
            connection.close()
            raise
        return connection

    def _remove(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                self._path.with_name(self._path.name + suffix).unlink()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                # SQLite may have rolled back by itself, as it does on a full disk
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise self._unwritable(error, "check the free space; the file may be deleted") from error

    def _unwritable(self, error: sqlite3.Error, hint: str) -> StoreFailed:
        return full_disk.failed(f"{self._path} cannot be written", error, self._path, hint)


def portions(digests: Collection[bytes]) -> Iterator[tuple[str, list[bytes]]]:
    """Yield ``digests`` in portions that one statement can take, with the marks for them."""
    ordered = sorted(digests)
    for at in range(0, len(ordered), _MANY):
        some = ordered[at : at + _MANY]
        yield ",".join("?" * len(some)), some
