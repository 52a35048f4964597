"""Tallies: what is counted while rows are compared. Filled by ``rows``, read by ``comparison``."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

EXAMPLES = 10
SAMPLE = 100_000
SAMPLED_VALUES = 20_000_000  # of a wide table, fewer rows


@dataclass(frozen=True, slots=True, order=True)
class CellChange:
    """One value that is another one now: the positions of its row in both tables, its key, both values."""

    before_at: int
    after_at: int = field(compare=False)
    key: tuple[Any, ...] = field(compare=False)
    before: Any = field(compare=False)
    after: Any = field(compare=False)


@dataclass(slots=True)
class CellTally:
    """The changed values of one column: how many, and the first of them in the order of their rows."""

    examples: int = EXAMPLES
    changed: int = 0
    first: list[CellChange] = field(default_factory=list)

    def add(self, changed: int, first: Iterable[CellChange]) -> None:
        """Count more changes, ``first`` being the first of them."""
        self.changed += changed
        self.first = heapq.nsmallest(self.examples, [*self.first, *first])


@dataclass(slots=True)
class Tally:
    """All that is counted over the rows of two tables; of each kind the first ``examples`` rows are kept."""

    examples: int = EXAMPLES
    matched: int = 0
    changed: int = 0
    removed: int = 0
    added: int = 0
    repeated: int = 0
    moved: bool = False
    tolerated: int = 0
    removed_at: list[int] = field(default_factory=list)
    added_at: list[int] = field(default_factory=list)
    cells: dict[int, CellTally] = field(default_factory=dict)
    # pairs of a removed and an added column that hold the same in every row so far
    renamed: set[tuple[int, int]] = field(default_factory=set)

    def take_removed(self, count: int, first: Iterable[int]) -> None:
        """Count removed rows; ``first`` are positions of the first of them."""
        self.removed += count
        self.removed_at = heapq.nsmallest(self.examples, [*self.removed_at, *first])

    def take_added(self, count: int, first: Iterable[int]) -> None:
        """Count added rows; ``first`` are positions of the first of them."""
        self.added += count
        self.added_at = heapq.nsmallest(self.examples, [*self.added_at, *first])


@dataclass(slots=True)
class Samples:
    """What is known of a table's columns: how much is missing, and the values of every ``step``th row."""

    step: int
    missing: dict[int, int] = field(default_factory=dict)
    values: dict[int, list[pl.Series]] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: int, columns: int) -> Samples:
        """Return empty samples for a table of this size."""
        most = max(1_000, min(SAMPLE, SAMPLED_VALUES // max(columns, 1)))
        return cls(max(1, -(-rows // most)))

    def take(self, place: int, start: int, values: pl.Series) -> None:
        """Look at the values of a column from the row ``start`` on."""
        missing = values.null_count()
        if values.dtype.is_float():
            missing += int(values.is_nan().sum())
        self.missing[place] = self.missing.get(place, 0) + missing
        # a copy: a view of texts would keep all of them in memory
        some = values.gather_every(self.step, -start % self.step).shrink_to_fit()
        self.values.setdefault(place, []).append(some)

    def of_column(self, place: int, kind: pl.DataType) -> pl.Series:
        """Return the values that stand for a column."""
        import polars as pl

        parts = self.values.get(place)
        return pl.concat(parts) if parts else pl.Series([], dtype=kind)
