"""Readers: which files load as tables, by the end of their name. The one registry for reading data files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from .version import Column

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True)
class Form:
    """What a reader found out about a file at its commit, and needs to read it the same way ever after."""

    columns: tuple[Column, ...]
    rows: int
    options: Mapping[str, Any] = field(default_factory=dict)


class Reader(Protocol):
    """Reads one kind of file as a table."""

    @property
    def suffixes(self) -> tuple[str, ...]:
        """How the names of such files end."""
        ...

    @property
    def dates_as_objects(self) -> bool:
        """Whether pandas shall get dates as Python objects, as they were in a committed DataFrame."""
        ...

    def form(self, path: Path, schema: Any) -> Form:
        """Return the form of the file, all of it read; raises ``BadInput`` if it is no such file."""
        ...

    def scan(self, path: Path, form: Form) -> pl.LazyFrame:
        """Return the file as a query that may be evaluated in pieces."""
        ...

    def arrow(self, path: Path, form: Form) -> Any:
        """Return the file as an Arrow table."""
        ...

    def polars(self, path: Path, form: Form) -> pl.DataFrame:
        """Return the file as a polars DataFrame."""
        ...


def reader_for(name: str) -> Reader | None:
    """Return the reader of files that are named so, or ``None`` for what is no table."""
    from .csv_file import CSVFile
    from .json_lines import JSONLines
    from .parquet import Parquet

    readers: tuple[Reader, ...] = (CSVFile(), Parquet(), JSONLines())
    return next((reader for reader in readers if name.lower().endswith(reader.suffixes)), None)
