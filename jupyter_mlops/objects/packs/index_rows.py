"""The rows of the chunk index: put in, taken out, found elsewhere. Used by ``ChunkIndex``.

A digest is read from one place. What other packs hold too is noted beside, for when that place is lost.
"""

# ruff: noqa: S608 - nothing but question marks and names of tables is put into a statement

from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection, Iterator

from .pack import GROUP, Head, Pack

_MANY = 500
_COLUMNS = "digest, kind, pack, offset, length, size, start"
_Row = tuple[bytes, int, int, int, int, int, int]


def portions(digests: Collection[bytes]) -> Iterator[tuple[str, list[bytes]]]:
    """Yield ``digests`` sorted, as many at a time as one statement takes, with a question mark for each."""
    ordered = sorted(digests)
    for start in range(0, len(ordered), _MANY):
        some = ordered[start : start + _MANY]
        yield ",".join("?" * len(some)), some


def held(connection: sqlite3.Connection, digests: Collection[bytes], table: str = "blob") -> set[bytes]:
    """Return those of ``digests`` that ``table`` names."""
    found: set[bytes] = set()
    for marks, some in portions(digests):
        rows = connection.execute(f"SELECT digest FROM {table} WHERE digest IN ({marks})", some)
        found.update(row[0] for row in rows)
    return found


def inserted(connection: sqlite3.Connection, pack: Pack, replace: bool) -> None:
    """Put in what ``pack`` holds, but for records that were found damaged."""
    connection.execute(
        "INSERT OR IGNORE INTO pack(name, size, added) VALUES (?, ?, ?)", (pack.name, pack.size, time.time())
    )
    number = connection.execute("SELECT id FROM pack WHERE name = ?", (pack.name,)).fetchone()[0]
    bad = {row[0] for row in connection.execute("SELECT offset FROM spoiled WHERE pack = ?", (pack.name,))}
    rows: list[_Row] = []
    bases = []
    for offset, head in pack.records:
        if offset in bad:
            continue
        rows += _rows(number, offset, head)
        bases += [(digest, number, offset) for digest in head.bases]
    rows.sort()
    if replace:
        for marks, some in portions({row[0] for row in rows}):
            connection.execute(
                f"INSERT OR IGNORE INTO copy SELECT {_COLUMNS} FROM blob "
                f"WHERE pack != ? AND digest IN ({marks})",
                (number, *some),
            )
    elif connection.execute("SELECT 1 FROM base LIMIT 1").fetchone():
        # plain bytes are read rather than a delta; else two deltas may come to need each other
        for marks, some in portions({row[0] for row in rows if row[1] != GROUP}):
            where = f"WHERE kind = {GROUP} AND digest IN ({marks})"
            connection.execute(f"INSERT OR IGNORE INTO copy SELECT {_COLUMNS} FROM blob {where}", some)
            connection.execute(f"DELETE FROM blob {where}", some)
    before = connection.total_changes
    connection.executemany(
        f"INSERT OR {'REPLACE' if replace else 'IGNORE'} INTO blob VALUES (?, ?, ?, ?, ?, ?, ?)", rows
    )
    if connection.total_changes - before != len(rows):
        # another pack holds some of them too; that is worth knowing when one of the two is damaged or goes
        connection.executemany(
            "INSERT OR IGNORE INTO copy SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE NOT EXISTS "
            "(SELECT 1 FROM blob WHERE digest = ?1 AND pack = ?3 AND offset = ?4)",
            rows,
        )
    connection.executemany("INSERT OR IGNORE INTO base VALUES (?, ?, ?)", sorted(bases))


def _rows(number: int, offset: int, head: Head) -> Iterator[_Row]:
    start = 0
    for digest, size in head.members:
        yield digest, head.kind, number, offset, head.total, size, start
        start += size


def dropped(connection: sqlite3.Connection, number: int, offset: int) -> set[bytes]:
    """Forget one record and return what it held."""
    where = (number, offset)
    rows = connection.execute("SELECT digest FROM blob WHERE pack = ? AND offset = ?", where).fetchall()
    digests = {row[0] for row in rows}
    for table in ("blob", "copy", "base"):
        connection.execute(f"DELETE FROM {table} WHERE pack = ? AND offset = ?", where)
    promoted(connection, digests)
    return digests


def forgotten(connection: sqlite3.Connection, names: Collection[str]) -> None:
    """Take out all that is said of these packs."""
    for name in names:
        row = connection.execute("SELECT id FROM pack WHERE name = ?", (name,)).fetchone()
        if row is None:
            continue
        digests = {each[0] for each in connection.execute("SELECT digest FROM blob WHERE pack = ?", row)}
        for table in ("blob", "copy", "base"):
            connection.execute(f"DELETE FROM {table} WHERE pack = ?", row)
        connection.execute("DELETE FROM pack WHERE id = ?", row)
        connection.execute("DELETE FROM spoiled WHERE pack = ?", (name,))
        promoted(connection, digests)


def promoted(connection: sqlite3.Connection, digests: Collection[bytes]) -> None:
    """Read those of ``digests`` that are kept twice from their other place from now on."""
    for marks, some in portions(digests):
        connection.execute(
            f"INSERT OR IGNORE INTO blob SELECT {_COLUMNS} FROM copy WHERE digest IN ({marks}) "
            "ORDER BY digest, kind",
            some,
        )
        connection.execute(
            f"DELETE FROM copy WHERE digest IN ({marks}) AND EXISTS (SELECT 1 FROM blob WHERE "
            "blob.digest = copy.digest AND blob.pack = copy.pack AND blob.offset = copy.offset)",
            some,
        )
