"""Two samples of one column, made ready for the tests and for a picture. Called by drift and by comparisons.

Every function takes finite numbers, sorted, as 64-bit floats.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .policy import DriftPolicy, Evidence
from .tests import two_proportions

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Numbers = npt.NDArray[np.float64]

FEW_VALUES = 5  # integers with no more values than this are categories
MOST_CATEGORIES = 50  # more are added up as "other"


def are_whole(numbers: Numbers) -> bool:
    """Return whether all numbers are whole."""
    import numpy as np

    return bool(np.all(numbers == np.floor(numbers)))


def count_rows(numbers: Numbers) -> bool:
    """Return whether the numbers count rows one by one; measured integers repeat, or lie far apart."""
    import numpy as np

    return (
        len(numbers) > MOST_CATEGORIES
        and float(numbers[-1]) - float(numbers[0]) < 3 * len(numbers)
        and bool(np.all(numbers[1:] > numbers[:-1]))
        and are_whole(numbers)
    )


def few_integers(before: Numbers, after: Numbers) -> tuple[dict[str, int], dict[str, int]] | None:
    """Return both sides as counted categories where together they hold a handful of integers, else None."""
    import numpy as np

    steps = [np.flatnonzero(side[1:] != side[:-1]) + 1 for side in (before, after)]
    if max(map(len, steps)) >= FEW_VALUES:
        return None
    values = np.union1d(before[[0, *steps[0]]], after[[0, *steps[1]]])
    if len(values) > FEW_VALUES or not are_whole(values):
        return None
    left, right = (
        {f"{value:.0f}": count for value in values if (count := int((side == value).sum()))}
        for side in (before, after)
    )
    return left, right


def binned_shares(
    before: Numbers, after: Numbers, most_bins: int
) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]] | None:
    """Return both sides' shares in bins over the middle 99 %, and the bins' edges.

    The tails join the outermost bins. None where the range is wider than the floats are.
    """
    import numpy as np

    ends = [
        (float(side[int(0.005 * (len(side) - 1))]), float(side[int(np.ceil(0.995 * (len(side) - 1)))]))
        for side in (before, after)
    ]
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)
    reach = high - low
    if not np.isfinite(reach):
        return None
    if reach <= most_bins and are_whole(before) and are_whole(after):
        edges = np.arange(low - 0.5, high + 1)
    else:
        edges = np.linspace(low, high, most_bins + 1) if reach > 0 else np.array([low, high])
    left, right = (
        np.diff(np.concatenate([[0], np.searchsorted(side, edges[1:-1], side="right"), [len(side)]]))
        / len(side)
        for side in (before, after)
    )
    return tuple(left.tolist()), tuple(right.tolist()), tuple(edges.tolist())


def missing_share(missing: tuple[int, int], rows: tuple[int, int], policy: DriftPolicy) -> Evidence | None:
    """Return the test of the shares of missing values, None where nothing is missing or rows are too few."""
    if not any(missing) or min(rows) < policy.enough_rows:
        return None
    found = two_proportions(missing[0], rows[0], missing[1], rows[1])
    return Evidence(found.p_value, abs(missing[0] / rows[0] - missing[1] / rows[1]), policy.missing_floor)
