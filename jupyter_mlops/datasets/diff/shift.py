"""Shifts: how the distribution of a column changed between two versions. Called by ``comparison``.

The same tests, policy and floors as drift has, over evenly spaced rows of each version. Times, keys and texts
that name their rows differ by nature, so they get a picture and no verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ...statistics import (
    MOST_CATEGORIES,
    DriftPolicy,
    Evidence,
    binned_shares,
    chi_square,
    count_rows,
    cramers_v,
    few_integers,
    kolmogorov_smirnov,
    missing_share,
    pooled,
)
from .value import Distribution, Shift

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    Numbers = npt.NDArray[np.float64]

_DRAWN = 12
_BINS = 20


@dataclass(frozen=True, slots=True)
class Tested:
    """One column before the verdict: its shift so far, and the tests that all columns together decide on."""

    shift: Shift
    values: Evidence | None = None
    missing: Evidence | None = None


def tested(
    before: pl.Series,
    after: pl.Series,
    missing: tuple[int, int],
    rows: tuple[int, int],
    policy: DriftPolicy,
    exact: bool | None,
) -> Tested:
    """Compare two samples of a column; ``missing`` of ``rows`` are counted over all of it.

    ``exact`` says whether to compute exact probabilities, None those of small samples.
    """
    absent = missing_share(missing, rows, policy)
    if absent is not None and not absent.effect:
        absent = None
    kinds = _kind(before.dtype), _kind(after.dtype)
    if kinds[0] != kinds[1] or kinds[0] == "other":
        status = "not compared" if kinds[0] == kinds[1] else "type changed"
        return Tested(Shift(status), missing=absent)
    if kinds[0] == "categories":
        return replace(_categories(_counts(before), _counts(after), policy), missing=absent)
    left, right = _numbers(before), _numbers(after)
    if not len(left) or not len(right):
        return Tested(Shift("no values"), missing=absent)
    few = few_integers(left, right) if kinds[0] == "numbers" else None
    if few is not None:
        return replace(_categories(*few, policy), missing=absent)
    if kinds[0] == "times":
        shape = _times(left, right, before.dtype)
        return Tested(Shift("times", distribution=shape), missing=absent)
    return replace(_numeric(left, right, policy, exact), missing=absent)


def verdicts(columns: Sequence[Tested], policy: DriftPolicy) -> list[Shift]:
    """Return the shift of each column, judged over all tests together."""
    batch = [one for each in columns for one in (each.values, each.missing) if one is not None]
    found = iter(policy.judge(batch))
    shifts = []
    for each in columns:
        shift = each.shift
        if each.values is not None:
            adjusted, alarm = next(found)
            shift = replace(shift, adjusted_p=adjusted, shifted=alarm, status="shifted" if alarm else "same")
        if each.missing is not None and next(found)[1]:
            shift = replace(shift, shifted=True, status="missing share")
        shifts.append(shift)
    return shifts


def _kind(kind: pl.DataType) -> str:
    import polars as pl

    if kind in (pl.String, pl.Categorical, pl.Enum, pl.Boolean):
        return "categories"
    if kind.is_numeric() or kind == pl.Duration:
        return "numbers"
    return "times" if kind in (pl.Date, pl.Datetime) else "other"


def _numbers(values: pl.Series) -> Numbers:
    import numpy as np
    import polars as pl

    physical = values.to_physical() if values.dtype.is_temporal() else values
    numbers = np.asarray(physical.cast(pl.Float64).drop_nulls().to_numpy(), dtype=float)
    numbers = numbers[np.isfinite(numbers)]
    return np.sort(numbers)


def _numeric(before: Numbers, after: Numbers, policy: DriftPolicy, exact: bool | None) -> Tested:
    shape = _histogram(before, after)
    if before[0] == before[-1] == after[0] == after[-1]:
        return Tested(Shift("constant", distribution=shape))
    if count_rows(before) and count_rows(after):
        return Tested(Shift("identifier", distribution=shape))
    least = min(len(before), len(after))
    if least < policy.least_rows:
        return Tested(Shift("too few rows", distribution=shape))
    found = kolmogorov_smirnov(before, after, is_sorted=True, exact=exact)
    shift = Shift(
        "too few rows",
        method="Kolmogorov-Smirnov",
        effect=found.statistic,
        floor=policy.numeric_floor,
        p_value=found.p_value,
        distribution=shape,
    )
    if least < policy.enough_rows:
        return Tested(shift)
    return Tested(shift, Evidence(found.p_value, found.statistic, policy.numeric_floor))


def _counts(values: pl.Series) -> dict[str, int]:
    import polars as pl

    texts = values.drop_nulls().cast(pl.String).rename("value")
    counted = texts.value_counts(name="count").sort(["count", "value"], descending=[True, False])
    return {text: int(count) for text, count in counted.iter_rows()}


def _categories(before: dict[str, int], after: dict[str, int], policy: DriftPolicy) -> Tested:
    import numpy as np

    sizes = sum(before.values()), sum(after.values())
    if not all(sizes):
        return Tested(Shift("no values"))
    # ranked by both sides together: the choice tells nothing about their difference
    shares = {
        name: before.get(name, 0) / sizes[0] + after.get(name, 0) / sizes[1] for name in {**before, **after}
    }
    ranked = sorted(shares, key=lambda name: (-shares[name], name))
    shape = _drawn(ranked, before, after, sizes)
    if len(ranked) == 1:
        return Tested(Shift("constant", distribution=shape))
    if any(
        len(side) > MOST_CATEGORIES and len(side) >= 0.9 * size
        for side, size in zip((before, after), sizes, strict=True)
    ):
        return Tested(Shift("identifier"))
    kept, rest = ranked[:MOST_CATEGORIES], ranked[MOST_CATEGORIES:]
    rows = [
        [side.get(name, 0) for name in kept] + ([sum(side.get(name, 0) for name in rest)] if rest else [])
        for side in (before, after)
    ]
    if min(sizes) < policy.least_rows:
        return Tested(Shift("too few rows", distribution=shape))
    counts = pooled(np.array(rows[0], dtype=float), np.array(rows[1], dtype=float))
    found, effect = chi_square(*counts), cramers_v(*counts)
    shift = Shift(
        "too few rows",
        method="chi-square",
        effect=effect,
        floor=policy.categorical_floor,
        p_value=found.p_value,
        distribution=shape,
    )
    if min(sizes) < policy.enough_rows or len(counts[0]) < 2:
        return Tested(shift)
    return Tested(shift, Evidence(found.p_value, effect, policy.categorical_floor))


def _drawn(
    ranked: Sequence[str], before: dict[str, int], after: dict[str, int], sizes: tuple[int, int]
) -> Distribution:
    kept = list(ranked[:_DRAWN])
    sides = [
        [side.get(name, 0) / size for name in kept] for side, size in zip((before, after), sizes, strict=True)
    ]
    if len(ranked) > len(kept):
        kept.append("other")
        for side in sides:
            side.append(max(0.0, 1.0 - sum(side)))
    return Distribution(tuple(sides[0]), tuple(sides[1]), labels=tuple(kept))


def _histogram(before: Numbers, after: Numbers) -> Distribution | None:
    found = binned_shares(before, after, _BINS)
    return None if found is None else Distribution(*found)


def _times(before: Numbers, after: Numbers, kind: Any) -> Distribution | None:
    import polars as pl

    shape = _histogram(before, after)
    if shape is None:
        return None
    whole = pl.Series([int(edge) for edge in shape.edges])
    moments = (whole.cast(pl.Int32) if kind == pl.Date else whole).cast(kind)
    return replace(shape, edges=tuple(moments.dt.to_string("iso").to_list()))
