"""Two-sample tests: do a reference and a current sample come from one source? Called by ``monitoring``."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Numbers = npt.NDArray[np.float64]

EXACT_UP_TO = 10_000  # rows; above, the exact law costs more and says the same
LEAST_EXPECTED = 5.0  # counts; below, the chi-square law does not hold


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a test found: its statistic and the probability of one as large without any difference."""

    statistic: float
    p_value: float


def kolmogorov_smirnov(
    reference: Numbers, current: Numbers, *, is_sorted: bool = False, exact: bool | None = None
) -> Outcome:
    """Test whether two samples of finite numbers follow one distribution; D is their shares' largest gap.

    Parameters
    ----------
    is_sorted
        Both samples are sorted already.
    exact
        Use the exact law of D; by default up to 10,000 rows a sample.
    """
    import numpy as np
    from scipy import stats

    if not is_sorted:
        reference, current = np.sort(reference), np.sort(current)
    # D is symmetric: the smaller sample's points are looked up in the larger one
    few, many = sorted((reference, current), key=len)
    n, m = len(few), len(many)
    rank = np.arange(n)
    above = ((rank + 1) / n - np.searchsorted(many, few, side="right") / m).max()
    below = (np.searchsorted(many, few, side="left") / m - rank / n).max()
    statistic = float(max(above, below, 0.0))
    if statistic == 0.0:
        return Outcome(0.0, 1.0)
    if m <= EXACT_UP_TO if exact is None else exact:
        with warnings.catch_warnings():
            # where its sum underflows scipy takes the asymptotic law by itself and warns
            warnings.simplefilter("ignore", RuntimeWarning)
            return Outcome(statistic, float(stats.ks_2samp(few, many, method="exact").pvalue))
    return Outcome(statistic, gap_probability(statistic, n, m))


def gap_probability(statistic: float, rows: int, current_rows: int) -> float:
    """Return how probable a gap as large is without any difference, between samples of so many numbers.

    The one-sample law of an effective size (Smirnov 1948), as in scipy's asymptotic mode.
    """
    from scipy import stats

    if statistic == 0.0:
        return 1.0
    return float(stats.kstwo.sf(statistic, round(rows * current_rows / (rows + current_rows))))


def pooled(reference: Numbers, current: Numbers) -> tuple[Numbers, Numbers]:
    """Return two rows of category counts with the rare categories added up into one, the last.

    Rare is an expected count below 5 in either row. A single category may be left: nothing to test then.
    """
    import numpy as np

    table = np.array([reference, current], dtype=float)
    table = table[:, table.sum(axis=0) > 0]
    if not table.size:
        return table[0], table[1]
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    rare = expected.min(axis=0) < LEAST_EXPECTED
    if rare.any():
        # all the rare together may still be too few: then the next rarest joins them
        order = np.argsort(np.where(rare, -1.0, expected.min(axis=0)), kind="stable")
        count = int(rare.sum())
        while count < len(order) and expected[:, order[:count]].sum(axis=1).min() < LEAST_EXPECTED:
            count += 1
        other = table[:, order[:count]].sum(axis=1, keepdims=True)
        table = np.hstack([table[:, np.sort(order[count:])], other])
    return table[0], table[1]


def chi_square(reference: Numbers, current: Numbers) -> Outcome:
    """Test whether two rows of category counts have the same shares, by two-sample contingency.

    A one-sample test would take the reference for the truth: at 500 rows a side it alarms in a third of the
    cases where nothing changed.
    """
    import numpy as np
    from scipy import stats

    table = np.array([reference, current], dtype=float)
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2 or not table.sum(axis=1).all():
        return Outcome(0.0, 1.0)
    found = stats.chi2_contingency(table, correction=False)
    return Outcome(float(found.statistic), float(found.pvalue))


def cramers_v(reference: Numbers, current: Numbers) -> float:
    """Return how far two rows of category counts are apart, 0 to 1, corrected for the bias of small samples.

    Bergsma (2013), A bias-correction for Cramér's V and Tschuprow's T.
    """
    import numpy as np

    table = np.array([reference, current], dtype=float)
    table = table[:, table.sum(axis=0) > 0]
    total = table.sum()
    rows, columns = table.shape
    if columns < 2 or total <= 2 or not table.sum(axis=1).all():
        return 0.0
    phi = chi_square(table[0], table[1]).statistic / total
    phi = max(0.0, phi - (columns - 1) * (rows - 1) / (total - 1))
    columns_left = columns - (columns - 1) ** 2 / (total - 1)
    rows_left = rows - (rows - 1) ** 2 / (total - 1)
    smaller = min(columns_left, rows_left) - 1
    return min(1.0, float((phi / smaller) ** 0.5)) if smaller > 0 else 0.0


def two_proportions(hits: int, rows: int, current_hits: int, current_rows: int) -> Outcome:
    """Test whether two shares are one: z of the pooled share; for small counts Fisher's exact probability."""
    import numpy as np
    from scipy import stats

    share = (hits + current_hits) / (rows + current_rows)
    if share in (0.0, 1.0):
        return Outcome(0.0, 1.0)
    error = (share * (1 - share) * (1 / rows + 1 / current_rows)) ** 0.5
    z = (hits / rows - current_hits / current_rows) / error
    if min(share, 1 - share) * min(rows, current_rows) < LEAST_EXPECTED:
        table = np.array([[hits, rows - hits], [current_hits, current_rows - current_hits]])
        return Outcome(float(z), float(stats.fisher_exact(table).pvalue))
    return Outcome(float(z), float(2 * stats.norm.sf(abs(z))))


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Return the adjusted probabilities: rejecting those up to α keeps the share of false alarms below α.

    Benjamini and Hochberg (1995), Controlling the false discovery rate.
    """
    adjusted = [1.0] * len(p_values)
    least = 1.0
    for rank, place in reversed(
        list(enumerate(sorted(range(len(p_values)), key=p_values.__getitem__), start=1))
    ):
        least = min(least, p_values[place] * len(p_values) / rank)
        adjusted[place] = least
    return adjusted
