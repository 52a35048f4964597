"""The chunk index: which pack holds a digest, and where. Made by ``Objects``; losing it loses nothing.

It is a SQLite file that says again what the packs say; a lost, broken or outdated one is made from them.
"""

# ruff: noqa: S608 - nothing but question marks and names of tables is put into a statement

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ...errors import Conflict, StoreFailed
from ..durable import make_durable, storing
from .index_file import IndexFile
from .index_rows import dropped, forgotten, held, inserted, portions
from .pack import Pack, pack_path, records_of, scanned

_NAMED = re.compile(r"[0-9a-f]{64}\.pack")
_PLACE = (
    "SELECT blob.digest, pack.name, blob.offset, blob.length, blob.size, blob.start, blob.kind "
    "FROM blob JOIN pack ON pack.id = blob.pack"
)


class Place(NamedTuple):
    """Where bytes are: pack, offset and length of the record; their size and start in what it decodes to."""

    pack: str
    offset: int
    length: int
    size: int
    start: int
    kind: int


class PackRow(NamedTuple):
    """A pack as the index knows it."""

    name: str
    size: int
    added: float
    verified: float | None


class ChunkIndex:
    """Finds digests in the packs of the store in ``folder``; for any thread, and after a fork."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = IndexFile(folder, self.adopt)

    # -- finding

    def has(self, digests: Collection[bytes]) -> set[bytes]:
        """Return those of ``digests`` that some pack holds."""

        return self._file.read(lambda connection: held(connection, digests), set())

    def find(self, digest: bytes) -> Place | None:
        """Return where ``digest`` is."""
        return self.many((digest,)).get(digest)

    def many(self, digests: Collection[bytes]) -> dict[bytes, Place]:
        """Return where each of ``digests`` is that some pack holds."""

        def ask(connection: sqlite3.Connection) -> dict[bytes, Place]:
            found: dict[bytes, Place] = {}
            for marks, some in portions(digests):
                for row in connection.execute(f"{_PLACE} WHERE blob.digest IN ({marks})", some):
                    found[row[0]] = Place(*row[1:])
            return found

        return self._file.read(ask, {})

    def every(self) -> Iterator[tuple[bytes, Place]]:
        """Yield every digest and where it is."""
        last = b""
        while True:
            rows: list[Any] = self._file.read(
                lambda connection, last=last: connection.execute(  # type: ignore[misc]
                    f"{_PLACE} WHERE blob.digest > ? ORDER BY blob.digest LIMIT 10000", (last,)
                ).fetchall(),
                [],
            )
            for row in rows:
                yield row[0], Place(*row[1:])
            if not rows:
                return
            last = rows[-1][0]

    def places(self, name: str) -> dict[bytes, Place]:
        """Return the digests that are read from the pack ``name``, and where they are in it."""
        rows: list[Any] = self._file.read(
            lambda connection: connection.execute(f"{_PLACE} WHERE pack.name = ?", (name,)).fetchall(), []
        )
        return {row[0]: Place(*row[1:]) for row in rows}

    def packs(self) -> tuple[PackRow, ...]:
        """Return every pack that is known, by name."""
        rows: list[Any] = self._file.read(
            lambda connection: connection.execute(
                "SELECT name, size, added, verified FROM pack ORDER BY name"
            ).fetchall(),
            [],
        )
        return tuple(PackRow(*row) for row in rows)

    def size(self, name: str) -> int | None:
        """Return how many bytes the pack ``name`` has, if it is known."""
        row = self._file.read(
            lambda connection: connection.execute("SELECT size FROM pack WHERE name = ?", (name,)).fetchone(),
            None,
        )
        return None if row is None else int(row[0])

    def bases(self) -> set[bytes]:
        """Return every digest that some group needs to be decoded."""
        rows: list[Any] = self._file.read(
            lambda connection: connection.execute("SELECT DISTINCT digest FROM base").fetchall(), []
        )
        return {row[0] for row in rows}

    def needs(self, digests: Collection[bytes]) -> set[bytes]:
        """Return those of ``digests`` that some group needs to be decoded."""

        return self._file.read(lambda connection: held(connection, digests, "base"), set())

    def spoiled(self) -> tuple[tuple[str, int, bytes], ...]:
        """Return the pack, offset and digest of every record that a read found damaged."""
        rows: list[Any] = self._file.read(
            lambda connection: connection.execute(
                "SELECT pack, offset, digest FROM spoiled ORDER BY pack, offset, digest"
            ).fetchall(),
            [],
        )
        return tuple(rows)

    def totals(self) -> tuple[int, int, int, int, int]:
        """Return how many packs, chunks and recipes there are, and the raw and stored bytes."""
        row = self._file.read(
            lambda connection: connection.execute(
                "SELECT (SELECT COUNT(*) FROM pack), COALESCE(SUM(kind != 1), 0), "
                "COALESCE(SUM(kind = 1), 0), "
                "COALESCE(SUM(CASE WHEN kind = 1 THEN 0 ELSE size END), 0), "
                "(SELECT COALESCE(SUM(size), 0) FROM pack) FROM blob"
            ).fetchone(),
            (0, 0, 0, 0, 0),
        )
        return int(row[0]), int(row[1]), int(row[2]), int(row[3]), int(row[4])

    def weights(self) -> dict[str, int]:
        """Return how many bytes of each pack are records that something is read from."""
        rows: list[Any] = self._file.read(
            lambda connection: connection.execute(
                "SELECT pack.name, SUM(length) "
                "FROM (SELECT DISTINCT pack, offset, length FROM blob) AS record "
                "JOIN pack ON pack.id = record.pack GROUP BY pack.name"
            ).fetchall(),
            [],
        )
        return dict(rows)

    # -- changing

    def publish(self, packs: Iterable[Pack], needed: Collection[bytes] = (), replace: bool = False) -> None:
        """Make what durable packs hold known, at once.

        Raises ``Conflict`` unless every digest in ``needed`` is held by some pack. With ``replace``, digests
        that are known already are read from these packs from now on.
        """
        packs = tuple(packs)

        def change(connection: sqlite3.Connection) -> None:
            if len(held(connection, needed)) != len(set(needed)):
                raise Conflict("stored bytes were removed while they were used", "repeat the command")
            for pack in packs:
                # the same content makes the same pack, in whose place there was a damaged one, perhaps
                connection.execute("DELETE FROM spoiled WHERE pack = ?", (pack.name,))
                inserted(connection, pack, replace)

        self._file.write(change)

    def adopt(self) -> int:
        """Take in packs that are not known yet and forget those that are gone; return how many there were.

        A process that was killed leaves whole packs behind that no index knows.
        """
        if not (self._folder / "packs").is_dir():
            return 0
        with storing():
            there = {entry.name[:-5]: entry for entry in _listed(self._folder)}
        known = {row.name for row in self.packs()}
        fresh, gone = there.keys() - known, known - there.keys()
        if not fresh and not gone:
            return 0
        packs = [pack for name in sorted(fresh) if (pack := self._examined(name)) is not None]
        with storing():
            # whoever renamed them may not have come to making that durable
            for folder in {pack_path(self._folder, pack.name).parent for pack in packs}:
                make_durable(folder)
            if packs:
                make_durable(self._folder / "packs")
        gone = {name for name in gone if not pack_path(self._folder, name).exists()}

        def change(connection: sqlite3.Connection) -> None:
            forgotten(connection, gone)
            for pack in packs:
                inserted(connection, pack, False)

        self._file.write(change)
        return len(packs) + len(gone)

    def forget(self, names: Iterable[str]) -> None:
        """Forget packs; what others hold too is read from there from now on."""
        names = tuple(names)
        self._file.write(lambda connection: forgotten(connection, names))

    def spoil(self, pack: str, offset: int) -> None:
        """Note that a record is damaged: what it held, and what needs that, is elsewhere or is missing."""

        def change(connection: sqlite3.Connection) -> None:
            row = connection.execute("SELECT id FROM pack WHERE name = ?", (pack,)).fetchone()
            if row is None:
                return
            digests = dropped(connection, int(row[0]), offset)
            at = time.time()
            connection.executemany(
                "INSERT OR REPLACE INTO spoiled VALUES (?, ?, ?, ?)",
                [(pack, offset, digest, at) for digest in digests],
            )
            for marks, some in portions(digests - held(connection, digests)):
                # what was written as a difference to these is lost with them
                for number, where in connection.execute(
                    f"SELECT DISTINCT pack, offset FROM base WHERE digest IN ({marks})", some
                ).fetchall():
                    dropped(connection, number, where)

        self._file.write(change)

    def verified(self, names: Iterable[str], at: float) -> None:
        """Note that packs were read and found sound."""
        rows = [(at, name) for name in names]
        self._file.write(
            lambda connection: connection.executemany("UPDATE pack SET verified = ? WHERE name = ?", rows)
        )

    def rebuild(self) -> None:
        """Make the index again from the packs."""
        packs = []
        if (self._folder / "packs").is_dir():
            with storing():
                names = sorted(entry.name[:-5] for entry in _listed(self._folder))
            packs = [pack for name in names if (pack := self._examined(name)) is not None]

        def change(connection: sqlite3.Connection) -> None:
            checked = dict(connection.execute("SELECT name, verified FROM pack WHERE verified IS NOT NULL"))
            for table in ("blob", "copy", "base", "pack"):
                connection.execute(f"DELETE FROM {table}")
            for pack in packs:
                inserted(connection, pack, False)
            connection.executemany(
                "UPDATE pack SET verified = ? WHERE name = ?", [(at, name) for name, at in checked.items()]
            )

        self._file.write(change)

    def reexamine(self, name: str) -> None:
        """Read again what the pack ``name`` holds, record by record: it is not what it was."""
        path = pack_path(self._folder, name)
        try:
            pack = scanned(path)[0]
        except FileNotFoundError:
            self.adopt()
            return
        except OSError as error:
            raise _unreadable(path, error) from error

        def change(connection: sqlite3.Connection) -> None:
            forgotten(connection, (name,))
            inserted(connection, pack, False)

        self._file.write(change)

    # -- the file

    def _examined(self, name: str) -> Pack | None:
        """Return what a pack holds, as far as it is sound; ``None`` if it is gone."""
        path = pack_path(self._folder, name)
        try:
            try:
                return records_of(path)
            except ValueError:
                return scanned(path)[0]
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreadable(path, error) from error


def _listed(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder / "packs") as folders:
        for each in folders:
            if each.is_dir(follow_symlinks=False):
                with os.scandir(each.path) as files:
                    yield from (file for file in files if _NAMED.fullmatch(file.name))


def _unreadable(path: Path, error: OSError) -> StoreFailed:
    return StoreFailed(
        f"{path} cannot be read: {error.strerror or error}",
        "check the disk and who may read it; then `mlops data verify`",
    )
