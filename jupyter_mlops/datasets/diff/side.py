"""Sides: the two tables that are compared, read a column at a time or in pieces. Made for every comparison.

Inside, a column is known by its place, because its name may be anything: ``*`` and ``^a$`` mean something to
polars, and ``code`` may be a column of ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import polars as pl

PIECE = 1 << 18
_LOOKED_AT = 1 << 14
_FEW = 20  # rows that are read one by one


class Rows(Protocol):
    """Some rows of a table, all or a part of them."""

    @property
    def height(self) -> int:
        """How many rows."""
        ...

    def column(self, place: int) -> pl.Series:
        """Return one column of these rows."""
        ...

    def type(self, place: int) -> pl.DataType:
        """Return the type of one column."""
        ...

    def positions(self) -> Any:
        """Return where in their table these rows are, or None for a whole table."""
        ...


@dataclass(frozen=True, eq=False)
class Side:
    """One whole table: a query that can be evaluated again and again; a small one is in memory.

    ``parquet`` is the file that is queried, if it is one of those.
    """

    lazy: pl.LazyFrame
    height: int
    frame: pl.DataFrame | None = None
    parquet: Path | None = None

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The columns' names."""
        return tuple(self.lazy.collect_schema().names())

    @cached_property
    def types(self) -> tuple[pl.DataType, ...]:
        """The columns' types."""
        return tuple(self.lazy.collect_schema().dtypes())

    def columns(self, places: Sequence[int]) -> pl.LazyFrame:
        """Return a query for some columns, each named by its place."""
        import polars as pl

        return self.lazy.select([pl.nth(place).alias(str(place)) for place in places])

    def column(self, place: int) -> pl.Series:
        """Return one column, all of it, in as many chunks as it was read."""
        if self.frame is not None:
            return self.frame.to_series(place)
        return self.columns([place]).collect(engine="streaming").to_series()

    def type(self, place: int) -> pl.DataType:
        """Return the type of one column."""
        return self.types[place]

    def positions(self) -> None:
        """Return None: every row is where it is."""
        return

    def pieces(self, places: Sequence[int], rows: int = PIECE) -> Iterator[tuple[int, pl.DataFrame]]:
        """Return some columns in pieces of ``rows`` rows, each with the position of its first row."""
        start = 0
        for piece in self._pieces(places, rows):
            yield start, piece
            start += piece.height

    def _pieces(self, places: Sequence[int], rows: int) -> Iterator[pl.DataFrame]:
        if self.frame is not None or self.parquet is None:
            yield from self.columns(places).collect_batches(chunk_size=rows, maintain_order=True)
            return
        from ..parquet import pieces

        types: Any = {str(place): self.types[place] for place in places}
        for piece in pieces(self.parquet, places, rows):
            piece.columns = list(types)
            yield piece.cast(types)

    def rows(self, positions: Sequence[int]) -> list[tuple[Any, ...]]:
        """Return a few whole rows."""
        if self.frame is not None:
            return [self.frame.row(position) for position in positions]
        if len(positions) > _FEW:
            return self._gathered(positions)
        return [self.lazy.slice(position, 1).collect().row(0) for position in positions]

    def _gathered(self, positions: Sequence[int]) -> list[tuple[Any, ...]]:
        """Return many rows out of one pass over the table."""
        import numpy as np

        wanted = np.asarray(sorted(positions))
        found: dict[int, tuple[Any, ...]] = {}
        for start, piece in self.pieces(range(len(self.names))):
            low, high = np.searchsorted(wanted, (start, start + piece.height))
            some = wanted[low:high]
            found.update(zip(some.tolist(), piece[some - start].rows(), strict=True))
        return [found[position] for position in positions]

    @cached_property
    def widths(self) -> tuple[float, ...]:
        """The bytes that a value of each column takes in memory, judged by the first rows."""
        head = self.lazy.head(_LOOKED_AT).collect()
        return tuple(max(float(one.estimated_size()) / max(head.height, 1), 1.0) for one in head)


@dataclass(frozen=True, eq=False)
class Part:
    """The rows of a table that fell into one partition, in memory, with their positions in their table."""

    frame: pl.DataFrame
    at: Any

    @property
    def height(self) -> int:
        return self.frame.height

    def column(self, place: int) -> pl.Series:
        return self.frame[str(place)]

    def type(self, place: int) -> pl.DataType:
        return self.frame.schema[str(place)]

    def positions(self) -> Any:
        return self.at
