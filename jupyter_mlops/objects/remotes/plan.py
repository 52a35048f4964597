"""The plan: which records are to be moved between a store and a remote. Made for one upload or download."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence

from .known import Held


class Plan:
    """The records that are to be moved, each once, in the order in which they lie; kept on disk if many."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect("", isolation_level=None)  # a temporary file of SQLite's own
        self._connection.execute(
            "CREATE TABLE wanted(pack TEXT, offset INTEGER, length INTEGER, kind INTEGER, digest BLOB, "
            "PRIMARY KEY (pack, offset)) WITHOUT ROWID"
        )
        self._connection.execute(
            "CREATE TABLE recipe(digest BLOB PRIMARY KEY, place TEXT, record BLOB) WITHOUT ROWID"
        )

    def __enter__(self) -> Plan:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def add(self, records: Iterable[Held]) -> None:
        """Want ``records``, too."""
        self._connection.execute("BEGIN")
        self._connection.executemany("INSERT OR IGNORE INTO wanted VALUES (?, ?, ?, ?, ?)", records)
        self._connection.execute("COMMIT")

    def replace(self, records: Iterable[Held]) -> None:
        """Want ``records`` as they are here instead of as they are wanted so far."""
        self._connection.execute("BEGIN")
        self._connection.executemany("INSERT OR REPLACE INTO wanted VALUES (?, ?, ?, ?, ?)", records)
        self._connection.execute("COMMIT")

    def total(self) -> int:
        """Return how many bytes all of them are."""
        return int(self._connection.execute("SELECT COALESCE(SUM(length), 0) FROM wanted").fetchone()[0])

    def wants(self, record: Held) -> bool:
        """Return whether the record at that place is wanted."""
        return (
            self._connection.execute(
                "SELECT 1 FROM wanted WHERE pack = ? AND offset = ?", (record.pack, record.offset)
            ).fetchone()
            is not None
        )

    def records(self, *kinds: int) -> Iterator[Held]:
        """Yield the records of ``kinds`` in order."""
        among = ", ".join(str(int(kind)) for kind in kinds)
        last: Sequence[object] = ("", -1)
        while True:
            rows = self._connection.execute(
                f"SELECT * FROM wanted WHERE (pack, offset) > (?, ?) AND kind IN ({among}) "  # noqa: S608 - numbers
                "ORDER BY pack, offset LIMIT 2000",
                last,
            ).fetchall()
            for row in rows:
                yield Held(*row)
            if not rows:
                return
            last = rows[-1][:2]

    def keep_recipe(self, digest: bytes, place: str, record: bytes) -> None:
        """Keep the record of a file's recipe, and where it came from, until its chunks are here."""
        self._connection.execute("INSERT OR IGNORE INTO recipe VALUES (?, ?, ?)", (digest, place, record))

    def recipes(self) -> Iterator[tuple[bytes, str, bytes]]:
        """Yield the files of many chunks, each with where its recipe came from and the record of it."""
        last = b""
        while True:
            row = self._connection.execute(
                "SELECT digest, place, record FROM recipe WHERE digest > ? ORDER BY digest LIMIT 1", (last,)
            ).fetchone()
            if row is None:
                return
            yield row
            last = row[0]
