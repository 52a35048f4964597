"""The stat cache: which content a file had when it was last read. Used by ``Snapshot``; may be lost.

A file's content is taken from here only while size, mtime, ctime, inode and mode are the same, and its last
change was well before it was read: within the tick of a file system's clock a second change leaves no trace.
A store through mmap into a page that is dirty already changes no time at all; for that there is ``verify``.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .folder import File

if TYPE_CHECKING:
    from ..objects import Objects

RACY = 2_000_000_000  # nanoseconds; the coarsest clock of a file system in use (FAT) ticks every two seconds
_WAIT = 5.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS folder (
  path BLOB PRIMARY KEY, state BLOB, node TEXT NOT NULL, size INTEGER NOT NULL, files INTEGER NOT NULL,
  era INTEGER NOT NULL, read_at INTEGER NOT NULL, entries TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS packs (
  id INTEGER PRIMARY KEY CHECK (id = 1), era INTEGER NOT NULL, names BLOB NOT NULL);
"""
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a folder: its state, its node, and whether all that was stored surely still is."""

    state: bytes | None
    node: str
    size: int
    files: int
    stored: bool


@dataclass(frozen=True, slots=True)
class Recalled:
    """What is known of a folder and all below it, by place."""

    era: int
    folders: dict[str, Known]


@dataclass(frozen=True, slots=True)
class Reading:
    """What was found out about a folder: its state, its node, and the content of every file."""

    place: str
    state: bytes
    node: str
    size: int
    files: int
    entries: Collection[tuple[File, str]]


class Seen:
    """The stat cache of one project."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._path = objects.folder / "seen.sqlite"

    def recall(self, top: str) -> Recalled:
        """Return what is known of ``top`` and all folders below it, without reading any file."""
        if not self._path.exists():
            return Recalled(0, {})
        folders = {}
        try:
            with self._opened() as connection:
                era, _, spoiled = self._era(connection)
                for path, state, node, size, files, then in connection.execute(
                    "SELECT path, state, node, size, files, era FROM folder"
                    " WHERE path = :top OR (path >= :low AND path < :high)",
                    _below(top),
                ):
                    known = Known(state, node, size, files, then == era and not spoiled)
                    folders[os.fsdecode(path)] = known
        except sqlite3.Error as error:
            self._give_up(error)
            return Recalled(0, {})
        return Recalled(era, folders)

    def entries(self, places: Collection[str]) -> dict[str, dict[str, tuple[File, str]]]:
        """Return for each of these folders the files whose content is known: state and address by name."""
        found: dict[str, dict[str, tuple[File, str]]] = {}
        if not self._path.exists():
            return found
        try:
            with self._opened() as connection:
                for place in places:
                    row = connection.execute(
                        "SELECT entries FROM folder WHERE path = ?", (os.fsencode(place),)
                    ).fetchone()
                    if row:
                        found[place] = {
                            name: ((name, *state), digest) for name, digest, *state in json.loads(row[0])
                        }
        except (sqlite3.Error, ValueError) as error:
            self._give_up(error)
            return {}
        return found

    def remember(
        self, top: str, era: int, started: int, read: Iterable[Reading], present: Collection[str]
    ) -> None:
        """Keep what was read since ``started``, and forget folders below ``top`` that are not ``present``.

        ``era`` is that of ``recall``: if stored bytes went away since, nothing of this is certain.
        """
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self._opened() as connection:
                connection.execute("BEGIN IMMEDIATE")
                now, names, spoiled = self._era(connection)
                connection.execute(
                    "INSERT OR REPLACE INTO packs VALUES (1, ?, ?)", (now, b"".join(sorted(names)))
                )
                if era in (0, now) and not spoiled:
                    connection.executemany(
                        "INSERT OR REPLACE INTO folder VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                        (_row(each, now, started) for each in read),
                    )
                here = {os.fsencode(place) for place in present}
                gone = connection.execute(
                    "SELECT path FROM folder WHERE path = :top OR (path >= :low AND path < :high)",
                    _below(top),
                ).fetchall()
                connection.executemany(
                    "DELETE FROM folder WHERE path = ?", [row for row in gone if row[0] not in here]
                )
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._give_up(error)

    def places_of(self, nodes: Collection[str]) -> Iterator[tuple[str, Path]]:
        """Yield files and folders that had these trees when they were last read, and may have others now."""
        wanted = set(nodes)
        if not wanted or not self._path.exists():
            return
        try:
            with self._opened() as connection:
                rows = connection.execute("SELECT node, path FROM folder").fetchall()
        except sqlite3.Error as error:
            self._give_up(error)
            return
        yield from ((node, Path(os.fsdecode(path))) for node, path in rows if node in wanted)

    def paths_of(self, digests: Collection[str]) -> Iterator[tuple[str, Path]]:
        """Yield paths that had these contents when they were last read, and may have others now."""
        wanted = set(digests)
        if not wanted or not self._path.exists():
            return
        try:
            with self._opened() as connection:
                rows = connection.execute("SELECT path, entries FROM folder").fetchall()
        except sqlite3.Error as error:
            self._give_up(error)
            return
        for path, entries in rows:
            place = Path(os.fsdecode(path))
            for name, digest, *_ in json.loads(entries):
                if digest in wanted:
                    yield digest, place if place.is_file() else place / name

    def _era(self, connection: sqlite3.Connection) -> tuple[int, set[bytes], bool]:
        """Return the present era, the packs that there are, and whether any of them is known to be damaged.

        An era lasts while no pack goes away. What was stored in an era is stored as long as it lasts, so that
        20,000 unchanged files need not be looked up one by one.
        """
        names = set(_packs(self._objects.folder / "packs"))
        row = connection.execute("SELECT era, names FROM packs").fetchone()
        if row is None:
            # a cache begun anew must not continue the count of the one before
            return time.time_ns(), names, False
        before = {row[1][start : start + 32] for start in range(0, len(row[1]), 32)}
        spoiled = bool(self._objects.index.spoiled())
        return (row[0] if before <= names else row[0] + 1), names, spoiled

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self._path, timeout=_WAIT, isolation_level=None)
        try:
            if connection.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.executescript(_SCHEMA)
                connection.execute(f"PRAGMA user_version = {_VERSION}")
            connection.execute("PRAGMA synchronous = NORMAL")
            yield connection
        finally:
            connection.close()

    def _give_up(self, error: Exception) -> None:
        """Begin anew where the file is no cache of ours; anything else is no reason to fail either."""
        if isinstance(error, sqlite3.OperationalError):
            return
        for suffix in ("", "-wal", "-shm"):
            with suppress(OSError):
                os.unlink(f"{self._path}{suffix}")


def _row(read: Reading, era: int, started: int) -> tuple[object, ...]:
    sure = [(file, digest) for file, digest in read.entries if max(file[3], file[4]) < started - RACY]
    state = read.state if len(sure) == len(read.entries) else None
    entries = json.dumps([(file[0], digest, *file[1:]) for file, digest in sure], separators=(",", ":"))
    return os.fsencode(read.place), state, read.node, read.size, read.files, era, started, entries


def _below(top: str) -> dict[str, bytes]:
    path = os.fsencode(top)
    return {"top": path, "low": path.rstrip(b"/") + b"/", "high": path.rstrip(b"/") + b"0"}


def _packs(folder: Path) -> Iterator[bytes]:
    with suppress(FileNotFoundError), os.scandir(folder) as shelves:
        for shelf in shelves:
            with suppress(NotADirectoryError, FileNotFoundError), os.scandir(shelf.path) as packs:
                for pack in packs:
                    with suppress(ValueError):
                        yield bytes.fromhex(pack.name.removesuffix(".pack"))
