"""Profiles: what each column of a table holds, in a few numbers. Computed once, when a version is committed.

A table that fits in memory with ease is profiled exactly. Totals of a bigger one are computed in pieces, and
what needs the values side by side is of evenly spaced rows, the same ones every time.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from .scanned import in_small_pieces
from .version import Column, ColumnProfile, Scalar

if TYPE_CHECKING:
    import polars as pl

EXACT_ROWS = 1_000_000
EXACT_BYTES = 64 << 20
_BINS = 20
_TOP = 10
_TEXT = 80
_NO_FRACTION = re.compile(r"\.0+(?=$|[+-])")
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@in_small_pieces()
def profiled(
    table: pl.LazyFrame, columns: Sequence[Column], rows: int, size: int
) -> tuple[ColumnProfile, ...]:
    """Return the profile of each column of ``table``, which has ``rows`` rows in ``size`` bytes."""
    sampled = 0
    step = max(1, math.ceil(rows / EXACT_ROWS), math.ceil(size / EXACT_BYTES))
    if step == 1:
        sample = table.collect(engine="streaming")
        totals = {series.name: _totals_of(series) for series in sample}
    else:
        totals = _totals(table, table.collect_schema())
        sample = _every(table, step)
        sampled = sample.height
    return tuple(
        _column(column, sample.get_column(column.name), totals[column.name], rows, sampled)
        for column in columns
    )


def _every(table: pl.LazyFrame, step: int) -> pl.DataFrame:
    import polars as pl

    schema = table.collect_schema()
    index = next(name for number in range(len(schema) + 1) if (name := f"row {number}") not in schema)
    sample = table.with_row_index(index).filter(pl.col(index) % step == 0).drop(index)
    # texts are views that would keep the bytes of every row alive; these are copies
    texts = [position for position, kind in enumerate(schema.dtypes()) if kind == pl.String]
    copies = [pl.concat_str(pl.nth(position), pl.lit("")) for position in texts]
    return sample.with_columns(copies).collect(engine="streaming")


def _totals(table: pl.LazyFrame, schema: pl.Schema) -> dict[str, dict[str, Any]]:
    """Return missing, distinct, min, max and mean by column, in one pass over the table."""
    import polars as pl

    wanted: list[pl.Expr] = []
    for position, kind in enumerate(schema.dtypes()):
        value = pl.nth(position)  # by name, a column called * would be all of them
        missing = value.is_null().sum()
        if kind.is_float():
            missing += value.is_nan().sum()
            value = value.fill_nan(None)
        asked = {"missing": missing}
        if _has_distinct(kind):
            there = value.cast(pl.String) if kind in (pl.Categorical, pl.Enum) else value
            asked["distinct"] = there.drop_nulls().approx_n_unique()
        if kind.is_numeric() or kind == pl.Boolean:
            finite = pl.when(value.is_finite()).then(value) if kind.is_float() else value
            asked["mean"] = finite.cast(pl.Float64).mean()
            if kind.is_numeric():
                asked |= {"min": finite.min(), "max": finite.max()}
        elif kind.is_temporal():
            asked |= {"min": value.min(), "max": value.max()}
        wanted.extend(expression.alias(f"{position} {label}") for label, expression in asked.items())
    row = table.select(wanted).collect(engine="streaming")
    totals: dict[str, dict[str, Any]] = {name: {} for name in schema}
    names = list(schema)
    for series in row:
        number, _, label = series.name.partition(" ")
        totals[names[int(number)]][label] = series
    return totals


def _totals_of(values: pl.Series) -> dict[str, Any]:
    """Return the same of one column in memory, all of it exact."""
    import polars as pl

    kind = values.dtype
    values = values.alias("value")  # a name such as ^a$ would be taken for a pattern
    there = values.fill_nan(None).drop_nulls() if kind.is_float() else values.drop_nulls()
    found: dict[str, pl.Series] = {"missing": pl.Series([len(values) - len(there)])}
    if _has_distinct(kind):
        found["distinct"] = pl.Series([there.n_unique()])
    if kind.is_numeric() or kind == pl.Boolean:
        finite = there.filter(there.is_finite()) if kind.is_float() else there
        found["mean"] = pl.Series([finite.cast(pl.Float64).mean()], dtype=pl.Float64)
        there = finite
    if kind.is_numeric() or kind.is_temporal():
        found |= _ends(there)
    return found


def _ends(there: pl.Series) -> dict[str, pl.Series]:
    """Return the least and the greatest value, each as a series of its own type."""
    import polars as pl

    if not len(there):
        empty = pl.Series([None], dtype=there.dtype)
        return {"min": empty, "max": empty}
    return {"min": there.slice(there.arg_min() or 0, 1), "max": there.slice(there.arg_max() or 0, 1)}


def _has_distinct(kind: pl.DataType) -> bool:
    import polars as pl

    return not kind.is_nested() and kind not in (pl.Binary, pl.Null, pl.Object)


def _column(
    column: Column, values: pl.Series, totals: dict[str, Any], rows: int, sampled: int
) -> ColumnProfile:
    import polars as pl

    kind = values.dtype
    values = values.alias("value")
    shape: dict[str, Any] = {}
    there = values.fill_nan(None).drop_nulls() if kind.is_float() else values.drop_nulls()
    if kind.is_numeric():
        low, high = _number(totals["min"]), _number(totals["max"])
        numbers = there.cast(pl.Float64)
        numbers = numbers.filter(numbers.is_finite())
        shape = {"min": low, "max": high, "mean": _number(totals["mean"])}
        if low is not None and high is not None and len(numbers):
            shape["quantiles"] = _quantiles(numbers)
            edges = _edges(low, high, whole=kind.is_integer())
            if counts := _counts(numbers, edges):
                shape |= {"edges": edges, "counts": counts}
    elif kind == pl.Boolean:
        shape = {"mean": _number(totals["mean"]), "top": _top(there)}
    elif kind in (pl.Date, pl.Datetime):
        shape = {"min": _text(totals["min"]), "max": _text(totals["max"])} | _dates(there, totals)
    elif kind.is_temporal():
        shape = {"min": _text(totals["min"]), "max": _text(totals["max"])}
    elif kind in (pl.String, pl.Categorical, pl.Enum):
        shape = {"top": _top(there)}
    distinct = totals.get("distinct")
    return ColumnProfile(
        column.name,
        column.type,
        missing=int(totals["missing"].item()),
        distinct=None if distinct is None else min(int(distinct.item()), rows),
        sampled=sampled,
        **shape,
    )


def _quantiles(numbers: pl.Series) -> tuple[float, ...]:
    found = tuple(float(numbers.quantile(at, "linear") or 0.0) for at in _QUANTILES)
    return found if all(map(math.isfinite, found)) else ()  # between extremes they overflow


def _number(total: pl.Series) -> int | float | None:
    """Return a total as a plain number; infinities, which JSON cannot say, as none."""
    value = total.item()
    if value is None or isinstance(value, int):
        return value
    number = float(value)
    return number if math.isfinite(number) else None


def _text(total: pl.Series) -> str | None:
    return _iso(total)[0] if not total.null_count() else None  # Python has no dates before the year 1


def _iso(moments: pl.Series) -> list[str]:
    return [_NO_FRACTION.sub("", text) for text in moments.dt.to_string("iso")]


def _edges(low: float, high: float, *, whole: bool) -> tuple[float, ...]:
    """Return the edges of at most twenty bins of equal width; of whole numbers, every bin holds as many."""
    if whole:
        count = int(high) - int(low) + 1
        # the number of bins for which the last one is most nearly full: a short one looks like a drop
        _, _, step = min(
            (bins * step - count, -bins, step)
            for step in {-(-count // most) for most in range(_BINS // 2, _BINS + 1)}
            for bins in [-(-count // step)]
        )
        return tuple(range(int(low), int(low) + step * -(-count // step) + 1, step))
    width = (high - low) / _BINS
    if not width:
        return low - 0.5, high + 0.5
    if not math.isfinite(width):
        return ()
    return (*(float(low + width * step) for step in range(_BINS)), float(high))


def _counts(numbers: pl.Series, edges: tuple[float, ...]) -> tuple[int, ...]:
    import numpy as np

    if not edges or any(before >= after for before, after in pairwise(edges)):
        return ()
    counts, _ = np.histogram(numbers.to_numpy(), bins=np.array(edges))
    return tuple(int(count) for count in counts)


def _dates(there: pl.Series, totals: dict[str, Any]) -> dict[str, tuple[Scalar, ...]]:
    """Return the histogram of a column of dates or moments, its edges as ISO texts."""
    import polars as pl

    if not len(there) or totals["min"].null_count():
        return {}
    low, high = (int(totals[name].to_physical().item()) for name in ("min", "max"))
    edges = _edges(low, high, whole=True)
    counts = _counts(there.to_physical().cast(pl.Float64), edges)
    if not counts:
        return {}
    moments = pl.Series(edges, dtype=there.to_physical().dtype).cast(there.dtype)
    return {"edges": tuple(_iso(moments)), "counts": counts}


def _top(there: pl.Series) -> tuple[tuple[str, int], ...]:
    import polars as pl

    texts = there.cast(pl.String).rename("value")
    counted = texts.value_counts(name="count").sort(["count", "value"], descending=[True, False]).head(_TOP)
    return tuple(
        (text if len(text) <= _TEXT else text[: _TEXT - 1] + "…", int(count))
        for text, count in counted.iter_rows()
    )
