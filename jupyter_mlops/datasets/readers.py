"""Readers: which files load as tables, by the end of their name. The one registry for reading data files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from .version import Form

if TYPE_CHECKING:
    import polars as pl


SUFFIXES = (".csv", ".tsv", ".parquet", ".pq", ".jsonl", ".ndjson")


class Reader(Protocol):
    """Reads one kind of file as a table."""

    @property
    def suffixes(self) -> tuple[str, ...]:
        """How the names of such files end."""
        ...

    @property
    def seekable(self) -> bool:
        """Whether it reads parts of an open file, so that nothing else need be there."""
        ...

    @property
    def dates_as_objects(self) -> bool:
        """Whether pandas shall get dates as Python objects, as they were in a committed DataFrame."""
        ...

    def names(self, path: Path) -> list[str]:
        """Return the names of the columns from the beginning of the file, or its end."""
        ...

    def form(self, file: Path | BinaryIO, schema: Any) -> Form:
        """Return the form of the file, all of it read; raises ``BadInput`` if it is no such file."""
        ...

    def scan(self, path: Path, form: Form) -> pl.LazyFrame:
        """Return the file as a query that may be evaluated in pieces."""
        ...

    def batches(
        self, file: Path | BinaryIO, form: Form, columns: Sequence[str] | None = None
    ) -> tuple[Any, Iterator[Any]]:
        """Return the Arrow schema of the file and its record batches, one at a time."""
        ...

    def arrow(self, file: Path | BinaryIO, form: Form, columns: Sequence[str] | None = None) -> Any:
        """Return the file, or some columns of it, as an Arrow table."""
        ...

    def polars(self, file: Path | BinaryIO, form: Form, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Return the file, or some columns of it, as a polars DataFrame."""
        ...


def is_table(name: str) -> bool:
    """Return whether files that are named so load as tables."""
    return name.lower().endswith(SUFFIXES)


def reader_for(name: str) -> Reader | None:
    """Return the reader of files that are named so, or ``None`` for what is no table."""
    if not is_table(name):
        return None
    from .csv_file import CSVFile
    from .json_lines import JSONLines
    from .parquet import Parquet

    readers: tuple[Reader, ...] = (CSVFile(), Parquet(), JSONLines())
    return next((reader for reader in readers if name.lower().endswith(reader.suffixes)), None)


__all__ = ["Form", "Reader", "is_table", "reader_for"]
