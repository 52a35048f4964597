"""Spreads: how the values of a column lie in all rows of two tables. Filled by ``rows``, judged by ``shift``.

Tables in memory are measured exactly. A value that stayed takes no part in the gap of two tables with as many
values, so a column costs about what changed in it. Tables that are compared in parts are counted between
edges, the same on both sides, which bounds the memory; what comes of that is an estimate and says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from ...statistics import FEW_VALUES, MOST_CATEGORIES, are_whole, few_integers, kolmogorov_smirnov
from .tally import Samples

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    Numbers = npt.NDArray[np.float64]
    Rows = Any
    Pair = tuple[pl.Series, pl.Series]

EDGES = 4096  # between which numbers are counted where they do not fit into memory
_NAME, _BEFORE, _AFTER = "name", "before", "after"


@dataclass(frozen=True, slots=True)
class Categories:
    """How often each category is there on both sides; ``rest`` are the values of categories beyond the most.

    ``names_rows`` says that nearly every row has a category of its own.
    """

    names: tuple[str, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    rest: tuple[int, int] = (0, 0)
    names_rows: bool = False

    @property
    def sizes(self) -> tuple[int, int]:
        """How many values there are on each side."""
        return sum(self.before) + self.rest[0], sum(self.after) + self.rest[1]


@dataclass(frozen=True, slots=True)
class Gap:
    """The largest gap between the shares of two sets of numbers, and what says whether it means anything."""

    statistic: float
    sizes: tuple[int, int]
    constant: bool = False
    counts_rows: bool = False


@dataclass(frozen=True, slots=True)
class Spread:
    """What was measured over all rows of a column: categories or the gap of numbers, or neither."""

    categories: Categories | None = None
    gap: Gap | None = None
    estimate: bool = False


class Spreads(Protocol):
    """Takes the columns of both tables, whole or in parts, and says in the end how their values lie."""

    def take(self, before: int, after: int, values: Pair, gone: Rows, new: Rows) -> None:
        """Look at a column of both sides; all rows but ``gone`` and ``new`` have a partner of equal value."""
        ...

    def of_column(self, before: int) -> Spread | None:
        """Return what was measured of a column, by its place in the first table."""
        ...


@dataclass(frozen=True, slots=True)
class WholeSpreads:
    """Measures columns that are in memory."""

    samples: tuple[Samples, Samples]
    found: dict[int, Spread] = field(default_factory=dict)

    def take(self, before: int, after: int, values: Pair, gone: Rows, new: Rows) -> None:
        """Measure a column; one that is the same on both sides has no shift."""
        if not len(gone) and not len(new):
            return
        kinds = {kind_of(one.dtype) for one in values}
        some = [
            each.of_column(place, one.dtype)
            for each, place, one in zip(self.samples, (before, after), values, strict=True)
        ]
        changed = values[0].gather(gone), values[1].gather(new)
        if kinds == {"categories"}:
            self.found[before] = Spread(ranked(_counted(values[0], *changed)))
        elif kinds == {"numbers"}:
            heads = sorted_numbers(some[0]), sorted_numbers(some[1])
            if len(heads[0]) and len(heads[1]) and few_integers(*heads) is not None:
                few = _few(values[0], *changed)
                if few is not None:
                    self.found[before] = Spread(few)
                    return
            self.found[before] = Spread(gap=_gap(values, changed, heads))

    def of_column(self, before: int) -> Spread | None:
        return self.found.get(before)


@dataclass(slots=True)
class _Cells:
    """How many numbers of each side are equal to an edge, or between two."""

    edges: Numbers
    counts: tuple[Numbers, Numbers]
    low: float = float("inf")
    high: float = float("-inf")

    def add(self, values: Pair) -> None:
        import numpy as np

        for numbers, counts in zip(map(sorted_numbers, values), self.counts, strict=True):
            if not len(numbers):
                continue
            self.low, self.high = min(self.low, float(numbers[0])), max(self.high, float(numbers[-1]))
            ends = [np.searchsorted(numbers, self.edges, side=side) for side in ("left", "right")]
            edges = np.concatenate([[0], np.ravel(ends, order="F"), [len(numbers)]])
            counts += edges[1:] - edges[:-1]


class BinnedSpreads:
    """Counts columns of which only parts are in memory, by edges and categories taken from samples."""

    def __init__(self, samples: tuple[Samples, Samples]) -> None:
        self._samples = samples
        self._cells: dict[int, _Cells] = {}
        self._heads: dict[int, tuple[Numbers, Numbers]] = {}
        self._categories: dict[int, Categories] = {}

    def take(self, before: int, after: int, values: Pair, gone: Rows, new: Rows) -> None:
        """Count the values of a part."""
        kinds = {kind_of(one.dtype) for one in values}
        if kinds == {"numbers"}:
            if before not in self._cells:
                self._cells[before] = self._edged(before, after, values)
            self._cells[before].add(values)
        elif kinds == {"categories"}:
            known = self._categories.get(before) or self._named(before, after, values)
            self._categories[before] = _added(known, values)

    def of_column(self, before: int) -> Spread | None:
        """Return the estimate of a column."""
        import numpy as np

        if before in self._categories:
            return Spread(self._categories[before], estimate=True)
        cells = self._cells.get(before)
        if cells is None:
            return None
        left, right = cells.counts
        sizes = int(left.sum()), int(right.sum())
        if not all(sizes):
            return Spread(gap=Gap(0.0, sizes), estimate=True)
        heads = self._heads[before]
        if few_integers(*heads) is not None and not (left[::2].any() or right[::2].any()):
            names = tuple(f"{edge:.0f}" for edge in cells.edges)
            was, is_now = (tuple(int(count) for count in side[1::2]) for side in (left, right))
            return Spread(Categories(names, was, is_now), estimate=True)
        statistic = float(np.abs(np.cumsum(left) / sizes[0] - np.cumsum(right) / sizes[1]).max())
        rising = all(_rises(head) for head in heads)
        numbered = rising and all(cells.high - cells.low < 3 * size for size in sizes)
        return Spread(gap=Gap(statistic, sizes, cells.low == cells.high, numbered), estimate=True)

    def _some(self, before: int, after: int, values: Pair) -> list[pl.Series]:
        return [
            each.of_column(place, one.dtype)
            for each, place, one in zip(self._samples, (before, after), values, strict=True)
        ]

    def _edged(self, before: int, after: int, values: Pair) -> _Cells:
        import numpy as np

        heads = tuple(map(sorted_numbers, self._some(before, after, values)))
        self._heads[before] = heads[0], heads[1]
        both = np.sort(np.concatenate(heads))
        at = np.linspace(0, max(len(both) - 1, 0), min(EDGES, len(both))).astype(int)
        edges = np.unique(both[at])
        return _Cells(edges, (np.zeros(2 * len(edges) + 1), np.zeros(2 * len(edges) + 1)))

    def _named(self, before: int, after: int, values: Pair) -> Categories:
        counts = [counts_of(some) for some in self._some(before, after, values)]
        known = ranked(_both(counts[0], counts[1]))
        nothing = (0,) * len(known.names)
        return Categories(known.names, nothing, nothing, (0, 0), known.names_rows)


def kind_of(kind: pl.DataType) -> str:
    """Return how the values of a type are compared as a distribution."""
    import polars as pl

    if kind in (pl.String, pl.Categorical, pl.Enum, pl.Boolean):
        return "categories"
    if kind.is_numeric() or kind == pl.Duration:
        return "numbers"
    return "times" if kind in (pl.Date, pl.Datetime) else "other"


def sorted_numbers(values: pl.Series) -> Numbers:
    """Return the finite values as numbers, sorted."""
    import polars as pl

    return pl.Series(_finite(values)).sort().to_numpy()


def counts_of(values: pl.Series) -> pl.DataFrame:
    """Return how often each value is there, categories under their texts."""
    import polars as pl

    counted = values.drop_nulls().rename(_NAME).value_counts(name="count")
    if not counted[_NAME].dtype.is_float():
        counted = counted.with_columns(pl.col(_NAME).cast(pl.String))
    return counted.with_columns(pl.col("count").cast(pl.Int64))


def ranked(both: pl.DataFrame) -> Categories:
    """Return the categories that are most frequent, and what the others add up to."""
    import polars as pl

    sizes = int(both[_BEFORE].sum()), int(both[_AFTER].sum())
    if not all(sizes):
        return Categories((), (), (), sizes)
    # ranked by both sides together: the choice tells nothing about their difference
    share = pl.col(_BEFORE) / sizes[0] + pl.col(_AFTER) / sizes[1]
    top = both.sort(-share, _NAME).head(MOST_CATEGORIES)
    kept = [tuple(int(count) for count in top[side]) for side in (_BEFORE, _AFTER)]
    distinct = [int((both[side] > 0).sum()) for side in (_BEFORE, _AFTER)]
    names_rows = any(
        many > MOST_CATEGORIES and many >= 0.9 * size for many, size in zip(distinct, sizes, strict=True)
    )
    rest = sizes[0] - sum(kept[0]), sizes[1] - sum(kept[1])
    return Categories(tuple(top[_NAME].to_list()), kept[0], kept[1], rest, names_rows)


def categories_of(before: Mapping[str, int] | pl.Series, after: Mapping[str, int] | pl.Series) -> Categories:
    """Return the categories of two samples, counted already or not."""
    import polars as pl

    sides = [
        counts_of(side)
        if isinstance(side, pl.Series)
        else pl.DataFrame(
            {_NAME: list(side), "count": list(side.values())}, schema={_NAME: pl.String, "count": pl.Int64}
        )
        for side in (before, after)
    ]
    return ranked(_both(sides[0], sides[1]))


def _both(before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    zero = pl.lit(0, pl.Int64)
    return (
        pl.concat(
            [
                before.select(_NAME, pl.col("count").alias(_BEFORE), zero.alias(_AFTER)),
                after.select(_NAME, zero.alias(_BEFORE), pl.col("count").alias(_AFTER)),
            ]
        )
        .group_by(_NAME)
        .agg(pl.col(_BEFORE).sum(), pl.col(_AFTER).sum())
    )


def _counted(whole: pl.Series, gone: pl.Series, new: pl.Series) -> pl.DataFrame:
    """Return how often each value is there before and after: only what went and came is counted again."""
    import polars as pl

    before = counts_of(whole)
    after = pl.concat(
        [before, counts_of(gone).with_columns(-pl.col("count")), counts_of(new)], how="vertical"
    )
    both = _both(before, after)
    return both.filter((pl.col(_BEFORE) > 0) | (pl.col(_AFTER) > 0))


def _few(values: pl.Series, gone: pl.Series, new: pl.Series) -> Categories | None:
    """Return both sides as categories where together they hold a handful of integers."""
    import polars as pl

    counted = _counted(*(pl.Series(_finite(side) + 0.0) for side in (values, gone, new)))
    if counted.height > FEW_VALUES or not are_whole(counted[_NAME].to_numpy()):
        return None
    names = [f"{value:.0f}" for value in counted[_NAME].to_list()]
    return ranked(counted.with_columns(pl.Series(_NAME, names, pl.String)))


def _added(known: Categories, values: Pair) -> Categories:
    sides = []
    for place, (one, sofar) in enumerate(zip(values, (known.before, known.after), strict=True)):
        counted = counts_of(one)
        by_name = dict(counted.filter(counted[_NAME].is_in(list(known.names))).iter_rows())
        kept = tuple(count + by_name.get(name, 0) for name, count in zip(known.names, sofar, strict=True))
        more = known.rest[place] + int(counted["count"].sum()) - sum(by_name.values())
        sides.append((kept, more))
    (before, one_rest), (after, other_rest) = sides
    return Categories(known.names, before, after, (one_rest, other_rest), known.names_rows)


def _gap(
    values: Pair,
    changed: Pair,
    heads: tuple[Numbers, Numbers],
) -> Gap:
    import numpy as np

    before, after = map(_finite, values)
    sizes = len(before), len(after)
    if not all(sizes):
        return Gap(0.0, sizes)
    low, high = min(before.min(), after.min()), max(before.max(), after.max())
    numbered = all(map(_rises, heads)) and all(_numbered(side) for side in (before, after))
    gone, new = (np.sort(_finite(side)) for side in changed)
    if 4 * (len(gone) + len(new)) > sum(sizes):
        both = (sorted_numbers(side) for side in values)
        statistic = kolmogorov_smirnov(*both, is_sorted=True, exact=False).statistic
    else:
        statistic = _gap_of_changes(values[0], gone, new, sizes)
    return Gap(statistic, sizes, bool(low == high), numbered)


def _gap_of_changes(whole: pl.Series, gone: Numbers, new: Numbers, sizes: tuple[int, int]) -> float:
    """Return the gap: between two changed values both shares only rise together, so it is largest at one."""
    import numpy as np

    places = np.union1d(gone, new)
    if not len(places):
        return 0.0
    widest = 0.0
    # with as many values on both sides, those that stayed cancel out
    stayed = sorted_numbers(whole) if sizes[0] != sizes[1] else None
    for side in ("left", "right"):
        went, came = np.searchsorted(gone, places, side=side), np.searchsorted(new, places, side=side)
        below = went if stayed is None else np.searchsorted(stayed, places, side=side)
        gaps = below / sizes[0] - (below - went + came) / sizes[1]
        widest = max(widest, float(np.abs(gaps).max()))
    return widest


def _finite(values: pl.Series) -> Numbers:
    import numpy as np
    import polars as pl

    physical = values.to_physical() if values.dtype.is_temporal() else values
    numbers = physical.drop_nulls().cast(pl.Float64).to_numpy()
    if physical.dtype.is_integer():
        return numbers
    finite = np.isfinite(numbers)
    return numbers if finite.all() else numbers[finite]


def _rises(head: Numbers) -> bool:
    """Say whether the numbers of a sample may count rows: whole ones, each there once."""
    import numpy as np

    return len(head) > MOST_CATEGORIES and bool(np.all(head[1:] > head[:-1])) and are_whole(head)


def _numbered(numbers: Numbers) -> bool:
    import polars as pl

    reach = float(numbers.max()) - float(numbers.min())
    return reach < 3 * len(numbers) and are_whole(numbers) and pl.Series(numbers).n_unique() == len(numbers)
