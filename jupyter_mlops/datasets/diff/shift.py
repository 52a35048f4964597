"""Shifts: how the distribution of a column changed between two versions. Called by ``comparison``.

The same tests, policy and floors as drift has, over all rows; only the pictures of large tables are drawn
from evenly spaced rows. Times, keys and texts that name their rows differ by nature, so they get a picture
and no verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ...statistics import (
    DriftPolicy,
    Evidence,
    binned_shares,
    chi_square,
    count_rows,
    cramers_v,
    few_integers,
    gap_probability,
    kolmogorov_smirnov,
    missing_share,
    pooled,
)
from .spread import Categories, Gap, Spread, categories_of, kind_of, sorted_numbers
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
    spread: Spread | None,
) -> Tested:
    """Compare two samples of a column; ``missing`` of ``rows`` are counted over all of it.

    ``spread`` is what was measured over all rows, None where the samples are all rows. ``exact`` says whether
    to compute exact probabilities, None those of small samples.
    """
    absent = missing_share(missing, rows, policy)
    if absent is not None and not absent.effect:
        absent = None
    kinds = kind_of(before.dtype), kind_of(after.dtype)
    if kinds[0] != kinds[1] or kinds[0] == "other":
        status = "not compared" if kinds[0] == kinds[1] else "type changed"
        return Tested(Shift(status), missing=absent)
    if kinds[0] == "categories":
        counted = spread.categories if spread is not None else None
        found = _categories(counted or categories_of(before, after), policy)
    else:
        found = _measured(before, after, kinds[0], policy, exact, spread)
    is_estimate = spread is not None and spread.estimate and found.shift.effect is not None
    return replace(found, shift=replace(found.shift, estimate=is_estimate), missing=absent)


def _measured(
    before: pl.Series,
    after: pl.Series,
    kind: str,
    policy: DriftPolicy,
    exact: bool | None,
    spread: Spread | None,
) -> Tested:
    left, right = sorted_numbers(before), sorted_numbers(after)
    if not len(left) or not len(right):
        return Tested(Shift("no values"))
    if kind == "times":
        return Tested(Shift("times", distribution=_times(left, right, before.dtype)))
    if spread is not None and spread.categories is not None:
        return _categories(spread.categories, policy)
    if spread is not None and spread.gap is not None:
        return _numeric(left, right, policy, exact, spread.gap)
    few = few_integers(left, right)
    if few is not None:
        return _categories(categories_of(*few), policy)
    return _numeric(left, right, policy, exact, None)


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


def _numeric(
    before: Numbers, after: Numbers, policy: DriftPolicy, exact: bool | None, gap: Gap | None
) -> Tested:
    shape = _histogram(before, after)
    if gap is None:
        constant = bool(before[0] == before[-1] == after[0] == after[-1])
        numbered = count_rows(before) and count_rows(after)
        gap = Gap(0.0, (len(before), len(after)), constant, numbered)
        measured = False
    else:
        measured = True
    if gap.constant:
        return Tested(Shift("constant", distribution=shape))
    if gap.counts_rows:
        return Tested(Shift("identifier", distribution=shape))
    least = min(gap.sizes)
    if least < policy.least_rows:
        return Tested(Shift("too few rows", distribution=shape))
    if measured:
        statistic, p_value = gap.statistic, gap_probability(gap.statistic, *gap.sizes)
    else:
        found = kolmogorov_smirnov(before, after, is_sorted=True, exact=exact)
        statistic, p_value = found.statistic, found.p_value
    shift = Shift(
        "too few rows",
        method="Kolmogorov-Smirnov",
        effect=statistic,
        floor=policy.numeric_floor,
        p_value=p_value,
        distribution=shape,
    )
    if least < policy.enough_rows:
        return Tested(shift)
    return Tested(shift, Evidence(p_value, statistic, policy.numeric_floor))


def _categories(counted: Categories, policy: DriftPolicy) -> Tested:
    import numpy as np

    sizes = counted.sizes
    if not all(sizes):
        return Tested(Shift("no values"))
    shape = _drawn(counted)
    if len(counted.names) == 1 and not any(counted.rest):
        return Tested(Shift("constant", distribution=shape))
    if counted.names_rows:
        return Tested(Shift("identifier"))
    rows = [
        [*side, rest] if any(counted.rest) else side
        for side, rest in zip((counted.before, counted.after), counted.rest, strict=True)
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


def _drawn(counted: Categories) -> Distribution:
    names = list(counted.names[:_DRAWN])
    sides = [
        [count / size for count in side[:_DRAWN]]
        for side, size in zip((counted.before, counted.after), counted.sizes, strict=True)
    ]
    if len(counted.names) > len(names) or any(counted.rest):
        names.append("other")
        for side in sides:
            side.append(max(0.0, 1.0 - sum(side)))
    return Distribution(tuple(sides[0]), tuple(sides[1]), labels=tuple(names))


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
