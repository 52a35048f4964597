"""Shifts: how the distribution of a column changed between two versions. Called by ``comparison``.

The same tests, policy and floors as drift has, over evenly spaced rows of each version. Times, keys and texts
that name their rows differ by nature, so they get a picture and no verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ...statistics import (
    DriftPolicy,
    Evidence,
    chi_square,
    cramers_v,
    kolmogorov_smirnov,
    pooled,
    two_proportions,
)
from .value import Distribution, Shift

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    Numbers = npt.NDArray[np.float64]

_FEW_VALUES = 5  # integers with no more values than this are categories, as they are for drift
_MOST_CATEGORIES = 50
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
    absent = _missing_share(missing, rows, policy)
    kinds = _kind(before.dtype), _kind(after.dtype)
    if kinds[0] != kinds[1] or kinds[0] == "other":
        status = "not compared" if kinds[0] == kinds[1] else "type changed"
        return Tested(Shift(status), missing=absent)
    if kinds[0] == "categories":
        return replace(_categories(_counts(before), _counts(after), policy), missing=absent)
    left, right = _numbers(before), _numbers(after)
    if not len(left) or not len(right):
        return Tested(Shift("no values"), missing=absent)
    few = _few_integers(left, right) if kinds[0] == "numbers" else None
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


def _missing_share(missing: tuple[int, int], rows: tuple[int, int], policy: DriftPolicy) -> Evidence | None:
    if not any(missing) or min(rows) < policy.enough_rows:
        return None
    effect = abs(missing[0] / rows[0] - missing[1] / rows[1])
    if not effect:
        return None
    found = two_proportions(missing[0], rows[0], missing[1], rows[1])
    return Evidence(found.p_value, effect, policy.missing_floor)


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
    if _numbered(before) and _numbered(after):
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


def _numbered(numbers: Numbers) -> bool:
    """Say whether the numbers count rows: whole, each once, close together."""
    import numpy as np

    close = float(numbers[-1]) - float(numbers[0]) < 3 * len(numbers)
    each_once = bool(np.all(numbers[1:] > numbers[:-1]))
    return len(numbers) > _MOST_CATEGORIES and close and each_once and _are_whole(numbers)


def _are_whole(numbers: Numbers) -> bool:
    import numpy as np

    return bool(np.all(numbers == np.floor(numbers)))


def _few_integers(before: Numbers, after: Numbers) -> tuple[dict[str, int], dict[str, int]] | None:
    """Return both sides as categories where together they hold a handful of whole numbers."""
    import numpy as np

    values = np.unique(np.concatenate([_some(before), _some(after)]))
    if len(values) > _FEW_VALUES or not _are_whole(values):
        return None
    values = np.union1d(before, after)
    if len(values) > _FEW_VALUES or not _are_whole(values):
        return None
    sides = [{f"{value:.0f}": int((side == value).sum()) for value in values} for side in (before, after)]
    return sides[0], sides[1]


def _some(numbers: Numbers) -> Numbers:
    return numbers[:: max(1, len(numbers) // 50)]


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
        len(side) > _MOST_CATEGORIES and len(side) >= 0.9 * size
        for side, size in zip((before, after), sizes, strict=True)
    ):
        return Tested(Shift("identifier"))
    kept, rest = ranked[:_MOST_CATEGORIES], ranked[_MOST_CATEGORIES:]
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
    """Return both sides' shares in bins over the middle 99 %; the tails join the outermost bins."""
    import numpy as np

    ends = [
        (float(side[int(0.005 * (len(side) - 1))]), float(side[int(np.ceil(0.995 * (len(side) - 1)))]))
        for side in (before, after)
    ]
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)
    reach = high - low
    if not np.isfinite(reach):  # from one end of the floats to the other
        return None
    if reach <= _BINS and _are_whole(before) and _are_whole(after):
        edges = np.arange(low - 0.5, high + 1)
    else:
        edges = np.linspace(low, high, _BINS + 1) if reach > 0 else np.array([low, high])
    shares = [
        np.diff(np.concatenate([[0], np.searchsorted(side, edges[1:-1], side="right"), [len(side)]]))
        / len(side)
        for side in (before, after)
    ]
    return Distribution(tuple(shares[0].tolist()), tuple(shares[1].tolist()), edges=tuple(edges.tolist()))


def _times(before: Numbers, after: Numbers, kind: Any) -> Distribution | None:
    import polars as pl

    shape = _histogram(before, after)
    if shape is None:
        return None
    whole = pl.Series([int(edge) for edge in shape.edges])
    moments = (whole.cast(pl.Int32) if kind == pl.Date else whole).cast(kind)
    return replace(shape, edges=tuple(moments.dt.to_string("iso").to_list()))
