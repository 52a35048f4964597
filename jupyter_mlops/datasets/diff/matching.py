"""Matching: which row of the one table belongs to which row of the other. Called by ``rows``.

Rows are matched by one 64-bit code a row: the key itself where it is one column of integers or times, else a
hash of the key. A hash only proposes: the keys of the rows it brings together are compared afterwards, and if
two of them differ, every row gets an exact code instead.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    Positions = npt.NDArray[np.signedinteger[Any]]
    Mask = npt.NDArray[np.bool_]

_BLOCK = 1 << 18  # rows that are looked up at once, so that what is made meanwhile stays in the cache
_THREADS = 2
_DENSE = 3  # places in a table of positions for each row; above, a hash join is smaller


@dataclass(frozen=True, slots=True, eq=False)
class Matching:
    """Where each row of the first table is in the second one.

    ``at`` holds that position, -1 for a row without partner; ``in_place`` says that every row of both tables
    is where it was. ``repeated`` are the rows of either side whose key is there more than once on any side:
    they have no partner, and are to be counted.
    """

    at: Positions
    removed: Positions
    added: Positions
    repeated: tuple[Positions, Positions]
    in_place: bool

    @property
    def pairs(self) -> int:
        """How many rows have a partner."""
        return len(self.at) - len(self.removed) - len(self.repeated[0])


def matched(before: pl.DataFrame, after: pl.DataFrame) -> Matching:
    """Match rows by their keys: columns of the same types on both sides. Null is a key, and NaN too."""
    numbers = _numbers(before), _numbers(after)
    if numbers[0] is not None and numbers[1] is not None:
        return by_codes(numbers[0], numbers[1])
    found = by_codes(before.hash_rows().to_numpy(), after.hash_rows().to_numpy())
    if _agrees(found, before, after):
        return found
    return by_codes(*_exact(before, after))


def by_codes(before: Any, after: Any) -> Matching:
    """Match rows by one integer each."""
    import numpy as np

    if len(before) == len(after) and np.array_equal(before, after) and _rises(before):
        nothing = np.empty(0, np.int64)
        return Matching(np.arange(len(before)), nothing, nothing, (nothing, nothing), True)
    if not len(before) or not len(after):
        return _found(np.full(len(before), -1), len(after), *_repeated(before, after))
    low, high = min(before.min(), after.min()), max(before.max(), after.max())
    if int(high) - int(low) < _DENSE * (len(before) + len(after)):
        found = _by_table(before, after, low, int(high) - int(low) + 1)
        return _by_join(before, after) if found is None else found
    if _rises(before) and _rises(after):
        at = np.searchsorted(after, before)
        at[at == len(after)] = 0
        at[after[at] != before] = -1
        return _found(at, len(after), None, None)
    return _by_join(before, after)


def _by_table(before: Any, after: Any, low: Any, places: int) -> Matching | None:
    """Match integers that lie close together by looking each up in a table of positions.

    Returns None where one is there twice on a side.
    """
    import numpy as np

    kind = _position_type(len(after))
    table = np.full(places, -1, kind)
    at = np.empty(len(before), kind)

    def enter(start: int) -> None:
        some = after[start : start + _BLOCK] - low
        table[some] = np.arange(start, start + len(some), dtype=kind)

    def look_up(start: int) -> None:
        some = slice(start, start + _BLOCK)
        at[some] = table[before[some] - low]

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(enter, range(0, len(after), _BLOCK)))
        if int(np.count_nonzero(table >= 0)) < len(after):
            return None
        list(pool.map(look_up, range(0, len(before), _BLOCK)))
    found = _found(at, len(after), None, None)
    # a code that is there twice took one position twice, or finds another row in its place
    alone = before[found.removed] - low
    rows = np.arange(len(alone), dtype=kind)
    table[alone] = rows
    once = len(after) - len(found.added) == found.pairs and np.array_equal(table[alone], rows)
    return found if once else None


def _position_type(rows: int) -> Any:
    import numpy as np

    return np.int32 if rows < 1 << 31 else np.int64


def _by_join(before: Any, after: Any) -> Matching:
    masks = _repeated(before, after)
    return _found(_joined(before, after, *masks), len(after), *masks)


def _joined(before: Any, after: Any, once_more: Mask | None, after_more: Mask | None) -> Positions:
    """Return where the rows of ``before`` are in ``after`` by a hash join; rows masked have no partner."""
    import numpy as np
    import polars as pl

    sides = []
    for codes, mask, name in ((before, once_more, "before"), (after, after_more, "after")):
        side = pl.LazyFrame({"code": codes}).with_row_index(name)
        sides.append(side.filter(pl.Series(~mask)) if mask is not None else side)
    pairs = sides[0].join(sides[1], on="code").select("before", "after").collect(engine="streaming")
    at = np.full(len(before), -1, _position_type(len(after)))
    at[pairs["before"].to_numpy()] = pairs["after"].to_numpy()
    return at


def _repeated(before: Any, after: Any) -> tuple[Mask | None, Mask | None]:
    """Return which rows have a code that is there more than once on either side, or None for no row."""
    import polars as pl

    sides = pl.Series(before), pl.Series(after)
    several = [side.filter(side.is_duplicated()) for side in sides if side.n_unique() < len(side)]
    if not several:
        return None, None
    codes = pl.concat(several).unique()
    masks = [side.is_in(codes.implode()).to_numpy() for side in sides]
    return masks[0], masks[1]


def _found(at: Positions, others: int, more: Mask | None, others_more: Mask | None) -> Matching:
    import numpy as np

    alone = at < 0
    # rows without partner point to the place after the last
    taken = np.zeros(others + 1, np.bool_)
    taken[at] = True
    taken = taken[:-1]
    repeated = tuple(
        np.empty(0, np.int64) if mask is None else np.flatnonzero(mask) for mask in (more, others_more)
    )
    if more is not None:
        alone &= ~more
    if others_more is not None:
        taken |= others_more
    removed, added = np.flatnonzero(alone), np.flatnonzero(~taken)
    whole = not (len(removed) or len(added) or len(repeated[0]) or len(repeated[1]))
    in_place = whole and bool(np.array_equal(at, np.arange(len(at))))
    return Matching(at, removed, added, (repeated[0], repeated[1]), in_place)


def _numbers(keys: pl.DataFrame) -> Any:
    """Return the keys as integers where they are such by nature, without nulls, else None."""
    import polars as pl

    if keys.width != 1:
        return None
    key = keys.to_series()
    physical = key.dtype.is_integer() or key.dtype in (pl.Date, pl.Datetime, pl.Duration, pl.Time)
    if not physical or key.dtype in (pl.Int128, pl.UInt128) or key.null_count():
        return None
    numbers = key.to_physical()
    return (numbers if numbers.dtype == pl.UInt64 else numbers.cast(pl.Int64)).to_numpy()


def _rises(codes: Any) -> bool:
    import numpy as np

    # most tables that are not sorted show it at once
    return bool(np.all(codes[1:1000] > codes[:999][: len(codes[1:1000])])) and bool(
        np.all(codes[1:] > codes[:-1])
    )


def _agrees(found: Matching, before: pl.DataFrame, after: pl.DataFrame) -> bool:
    """Say whether rows with one hash have one key, too."""
    import numpy as np

    pairs = np.flatnonzero(found.at >= 0)
    there = found.at[pairs]
    whole = len(pairs) == len(found.at)
    for one, other in zip(before, after, strict=True):
        left = one if whole else one.gather(pairs)
        if left.ne_missing(other.gather(there)).any():
            return False
    for rows, keys in zip(found.repeated, (before, after), strict=True):
        some = keys[rows]
        if len(rows) and some.hash_rows().n_unique() != some.n_unique():
            return False
    return True


def _exact(before: pl.DataFrame, after: pl.DataFrame) -> tuple[Any, Any]:
    """Return one integer for each different key."""
    import polars as pl

    both = pl.concat([before, after])
    keys = both.unique().with_row_index("code of the key")
    codes = both.join(keys, on=both.columns, how="left", nulls_equal=True, maintain_order="left")
    numbers = codes["code of the key"].cast(pl.Int64).to_numpy()
    return numbers[: before.height], numbers[before.height :]
