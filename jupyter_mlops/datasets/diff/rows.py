"""Rows: which are new, gone or changed, and in which columns. Called for two tables, or two parts of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .alike import alike
from .matching import Matching, by_codes, matched
from .side import Rows
from .spread import Spreads
from .tally import CellChange, CellTally, Samples, Tally

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    Mask = npt.NDArray[np.bool_]

_BLOCK = 1 << 18  # rows compared at once: what is made of them stays in the cache
_MIX = 0x9E3779B97F4A7C15  # odd: multiplying by it loses no bit


@dataclass(frozen=True, slots=True)
class Shared:
    """A column that both tables have: its place in each."""

    name: str
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What is compared: the shared columns, the key among them, and columns that may have a new name.

    Without a key, rows are compared as a whole: each is there, or is not.
    """

    shared: tuple[Shared, ...]
    key: tuple[Shared, ...]
    renamed: tuple[tuple[int, int], ...] = ()
    tolerance: float | None = None
    threads: int = 2

    @property
    def compared(self) -> tuple[Shared, ...]:
        """The columns whose values may differ in rows that belong together."""
        return tuple(column for column in self.shared if column not in self.key)


def count_rows(
    before: Rows,
    after: Rows,
    plan: Plan,
    tally: Tally,
    samples: tuple[Samples, Samples] | None,
    spreads: Spreads | None,
    advance: Callable[[], None],
) -> None:
    """Compare the rows of both sides.

    What was found is added to ``tally``, what was seen to ``samples``, how it lies to ``spreads``.
    """
    import polars as pl

    keys: pl.DataFrame | None = None
    if plan.key:
        with ThreadPoolExecutor(plan.threads) as pool:
            sides = [
                pool.map(rows.column, [getattr(one, name) for one in plan.key])
                for rows, name in ((before, "before"), (after, "after"))
            ]
            keys, others = (
                pl.DataFrame([values.alias(str(number)) for number, values in enumerate(side)])
                for side in sides
            )
        found = matched(*_keys(keys, others))
    else:
        found = by_codes(_codes(before, after, plan.shared, 0), _codes(before, after, plan.shared, 1))
    advance()
    _count_matches(found, before, after, plan, tally)
    _Cells(before, after, found, plan, tally, keys, samples, spreads).count(advance)


def _keys(before: pl.DataFrame, after: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    import polars as pl

    sides: tuple[list[pl.Series], list[pl.Series]] = ([], [])
    for one, other in zip(before, after, strict=True):
        for side, values in zip(sides, alike(one, other), strict=True):
            side.append(values.alias(one.name))
    return pl.DataFrame(sides[0]), pl.DataFrame(sides[1])


def _codes(before: Rows, after: Rows, shared: Sequence[Shared], side: int) -> Any:
    """Return a hash of each whole row; rows that it brings together are compared all the same."""
    import numpy as np
    import polars as pl

    rows = (before, after)[side]
    codes = np.zeros(rows.height, np.uint64)
    for column in shared:
        one, other = (before, column.before), (after, column.after)
        if before.type(column.before) == after.type(column.after):
            mine = (one, other)[side]
            values = mine[0].column(mine[1])
            values = values.to_physical() if values.dtype == pl.Categorical else values
        else:
            values = alike(one[0].column(one[1]), other[0].column(other[1]))[side]
        codes ^= values.hash().to_numpy()
        codes *= np.uint64(_MIX)
        codes ^= codes >> np.uint64(32)
    return codes


def _count_matches(found: Matching, before: Rows, after: Rows, plan: Plan, tally: Tally) -> None:
    """Count what the matching alone tells: rows without partner, and rows whose key is there repeatedly."""
    tally.matched += found.pairs
    tally.take_removed(len(found.removed), _positions(before, found.removed[: tally.examples]))
    tally.take_added(len(found.added), _positions(after, found.added[: tally.examples]))
    if len(found.repeated[0]) or len(found.repeated[1]):
        removed, added, same, keys = _left_over(found.repeated, before, after, plan)
        tally.repeated += keys
        tally.matched += same
        tally.take_removed(len(removed), _positions(before, removed[: tally.examples]))
        tally.take_added(len(added), _positions(after, added[: tally.examples]))
    elif not tally.moved and found.pairs == len(found.at):
        here, there = before.positions(), after.positions()
        # rows in place in their parts may have changed places in their tables
        tally.moved = not found.in_place if here is None else bool((here != there[found.at]).any())


def _left_over(repeated: tuple[Any, Any], before: Rows, after: Rows, plan: Plan) -> tuple[Any, Any, int, int]:
    """Count rows with repeated keys as multisets.

    Returns the positions of rows that the other side has not, or not as often, how many rows have an equal
    one, and how many keys are repeated.
    """
    import numpy as np
    import polars as pl

    key = [str(place) for place, column in enumerate(plan.shared) if column in plan.key]
    sides: tuple[list[pl.Series], list[pl.Series]] = ([], [])
    for place, column in enumerate(plan.shared):
        both = alike(
            before.column(column.before).gather(repeated[0]), after.column(column.after).gather(repeated[1])
        )
        for side, values in zip(sides, both, strict=True):
            side.append(values.alias(str(place)))
    frames = [
        pl.DataFrame(columns).with_columns(
            pl.Series("row", rows, pl.Int64), pl.lit(sign, pl.Int64).alias("sign")
        )
        for columns, rows, sign in zip(sides, repeated, (1, -1), strict=True)
    ]
    names = [str(place) for place in range(len(plan.shared))]
    rows_of_both = pl.concat(frames)
    keys = rows_of_both.select(key or names).n_unique()
    uneven = (
        rows_of_both.lazy()
        .group_by(names)
        .agg(pl.col("row"), pl.col("sign"), pl.col("sign").sum().alias("balance"))
        .filter(pl.col("balance") != 0)
        .select("row", "sign", "balance")
        .with_row_index("group")
        .explode("row", "sign")
        .filter(pl.col("sign") == pl.col("balance").sign())
        # of equal rows the last ones are taken for the additional ones
        .sort("row", descending=True)
        .filter(pl.int_range(pl.len()).over("group") < pl.col("balance").abs())
        .collect()
    )
    rows, signs = uneven["row"].to_numpy(), uneven["sign"].to_numpy()
    removed, added = np.sort(rows[signs > 0]), np.sort(rows[signs < 0])
    return removed, added, len(repeated[0]) - len(removed), keys


def _positions(rows: Rows, places: Any) -> list[int]:
    at = rows.positions()
    return [int(place) for place in (places if at is None else at[places])]


class _Cells:
    """Compares the columns of rows that belong together."""

    def __init__(
        self,
        before: Rows,
        after: Rows,
        found: Matching,
        plan: Plan,
        tally: Tally,
        keys: pl.DataFrame | None,
        samples: tuple[Samples, Samples] | None,
        spreads: Spreads | None,
    ) -> None:
        self._spreads = spreads
        self._before, self._after, self._found = before, after, found
        self._plan, self._tally, self._keys, self._samples = plan, tally, keys, samples

    def count(self, advance: Callable[[], None]) -> None:
        """Count the values that differ, and the rows in which any does."""
        import numpy as np

        changed = np.zeros(self._before.height, np.bool_)
        with ThreadPoolExecutor(self._plan.threads) as pool:
            for differs, tolerated in pool.map(self._compared, self._plan.compared):
                changed |= differs
                self._tally.tolerated += tolerated
                advance()
        rows = np.flatnonzero(changed)
        if self._plan.key:
            self._tally.changed += len(rows)
        else:
            # two rows with one hash and different values: neither is in the other table
            self._tally.matched -= len(rows)
            self._tally.take_removed(len(rows), _positions(self._before, rows[: self._tally.examples]))
            self._tally.take_added(
                len(rows), _positions(self._after, self._found.at[rows[: self._tally.examples]])
            )
            self._tally.cells.clear()
        for pair in self._plan.renamed:
            if pair in self._tally.renamed and not self._is_same(*pair):
                self._tally.renamed.discard(pair)

    def _compared(self, column: Shared) -> tuple[Mask, int]:
        import numpy as np

        one, other = self._before.column(column.before), self._after.column(column.after)
        if self._samples is not None:
            self._samples[0].take(column.before, 0, one)
            self._samples[1].take(column.after, 0, other)
        if not self._found.in_place:
            other = other.rechunk()
        differs = self._differs(one, other, self._plan.tolerance)
        rows = np.flatnonzero(differs)
        # what is equal within a tolerance is another value all the same
        others = rows if self._plan.tolerance is None else np.flatnonzero(self._differs(one, other, None))
        if self._spreads is not None:
            gone = np.concatenate([self._found.removed, self._found.repeated[0], others])
            new = np.concatenate([self._found.added, self._found.repeated[1], self._found.at[others]])
            self._spreads.take(column.before, column.after, (one, other), gone, new)
        here = rows[: self._tally.examples]
        there = self._found.at[here]
        keys = self._keys[here].rows() if self._keys is not None else [()] * len(here)
        first = map(
            CellChange,
            _positions(self._before, here),
            _positions(self._after, there),
            keys,
            one.gather(here).to_list(),
            other.gather(there).to_list(),
        )
        self._tally.cells.setdefault(column.before, CellTally(self._tally.examples)).add(len(rows), first)
        return differs, len(others) - len(rows)

    def _differs(self, one: pl.Series, other: pl.Series, tolerance: float | None) -> Mask:
        """Say for each row on the first side whether it has a partner that holds another value."""
        import numpy as np

        differs = np.zeros(len(one), np.bool_)
        if not self._found.pairs:
            return differs
        tolerant = tolerance is not None and one.dtype.is_numeric() and other.dtype.is_numeric()
        left, right = alike(one, other)
        placed, plain = self._placed(right), self._placed(other)
        for start in range(0, len(left), _BLOCK):
            some = slice(start, start + _BLOCK)
            mask = left.slice(start, _BLOCK).ne_missing(placed(start))
            if tolerant and tolerance is not None and mask.any():
                mask &= ~_close(one.slice(start, _BLOCK), plain(start), tolerance)
            differs[some] = mask.to_numpy()
        if self._found.pairs < len(self._found.at):
            differs &= self._found.at >= 0
        return differs

    def _placed(self, values: pl.Series) -> Callable[[int], pl.Series]:
        """Return what gives the other side's values, a block in the order of this one's rows.

        Where there is no partner, it gives any value.
        """
        import polars as pl

        at, kind = self._found.at, values.dtype
        if self._found.in_place:
            return lambda start: values.slice(start, _BLOCK)
        plain = kind.is_integer() or kind.is_float()
        if plain and kind not in (pl.Int128, pl.UInt128) and not values.null_count():
            # numpy takes twice as fast, and lets another thread run meanwhile
            numbers = values.to_numpy()
            return lambda start: pl.Series(numbers.take(at[start : start + _BLOCK]))
        whole = values.rechunk()
        return lambda start: whole.gather(at[start : start + _BLOCK])

    def _is_same(self, before: int, after: int) -> bool:
        one, other = self._before.column(before), self._after.column(after)
        return not self._differs(one, other, self._plan.tolerance).any()


def _close(one: pl.Series, other: pl.Series, tolerance: float) -> pl.Series:
    """Say where numbers differ by no more than ``tolerance``, or that share of numbers above 1."""
    import polars as pl

    pair = pl.DataFrame([one.cast(pl.Float64).alias("a"), other.cast(pl.Float64).alias("b")])
    a, b = pl.col("a"), pl.col("b")
    allowed = tolerance * pl.max_horizontal(a.abs(), b.abs(), pl.lit(1.0))
    near = (a - b).abs() <= allowed
    return pair.select((near & a.is_finite() & b.is_finite()).fill_null(False)).to_series()
