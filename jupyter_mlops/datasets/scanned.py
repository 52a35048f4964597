"""Tables that are scanned: files read from end to end, as a polars query. Base of readers of text."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ..errors import Failed
from .version import Form

if TYPE_CHECKING:
    import polars as pl

_BATCH_ROWS = 65_536
_PIECE, _PIECE_BYTES = "POLARS_CSV_CHUNK_SIZE", 4_000_000
_began: list[int] = []  # the process whose threads polars started


def check_not_forked() -> None:
    """Raise ``Failed`` in a forked child of a process that read tables here: polars would wait for ever.

    Its threads stay behind in the parent, and it cannot start others.
    """
    if not _began:
        _began.append(os.getpid())
    elif _began[0] != os.getpid():
        raise Failed(
            "a forked process cannot read tables after its parent did",
            'start it with multiprocessing.get_context("spawn"), or load the table before and hand it over',
        )


@contextmanager
def in_small_pieces() -> Iterator[None]:
    """Let polars read text in small pieces meanwhile: else those of a big file take half a gigabyte."""
    if _PIECE in os.environ:  # the user's word, or that of another thread just now
        yield
        return
    os.environ[_PIECE] = str(_PIECE_BYTES)
    try:
        yield
    finally:
        os.environ.pop(_PIECE, None)


class Scanned(ABC):
    """Gives a file as batches, polars or Arrow, out of the query that ``scan`` makes of it."""

    seekable = False
    dates_as_objects = False

    @abstractmethod
    def scan(self, path: Path, form: Form) -> pl.LazyFrame:
        """Return the file as a query with the recorded types."""

    def batches(
        self, file: Path | BinaryIO, form: Form, columns: Sequence[str] | None = None
    ) -> tuple[Any, Iterator[Any]]:
        """Return the Arrow schema of the file and its record batches, one at a time."""
        import polars as pl

        table = self._chosen(file, form, columns)
        oldest = pl.CompatLevel.oldest()
        empty = pl.DataFrame(schema=table.collect_schema()).to_arrow(compat_level=oldest)

        def batches() -> Iterator[Any]:
            for frame in table.collect_batches(chunk_size=_BATCH_ROWS, engine="streaming"):
                yield from frame.to_arrow(compat_level=oldest).cast(empty.schema).to_batches()

        return empty.schema, batches()

    def polars(self, file: Path | BinaryIO, form: Form, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Return the file as a polars DataFrame."""
        return self._chosen(file, form, columns).collect(engine="streaming")

    def arrow(self, file: Path | BinaryIO, form: Form, columns: Sequence[str] | None = None) -> Any:
        """Return the file as an Arrow table."""
        import polars as pl

        return self.polars(file, form, columns).to_arrow(compat_level=pl.CompatLevel.oldest())

    def _chosen(self, file: Path | BinaryIO, form: Form, columns: Sequence[str] | None) -> pl.LazyFrame:
        table = self.scan(Path(str(file)), form)
        return table if columns is None else chosen(table, columns)


def chosen(table: pl.LazyFrame, columns: Sequence[str]) -> pl.LazyFrame:
    """Return some columns of a query, by their literal names."""
    import polars as pl

    places = {name: place for place, name in enumerate(table.collect_schema())}
    return table.select([pl.nth(places[name]) for name in columns])  # by name, * would be all of them
