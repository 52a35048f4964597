"""Distances between two distributions, as other tools report them. They measure; they do not test."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Numbers = npt.NDArray[np.float64]


def jensen_shannon(reference: Numbers, current: Numbers, base: float | None = None) -> float:
    """Return the Jensen-Shannon distance of two rows of shares or counts.

    ``base`` of the logarithm: None is e (at most 0.8326), 2 has the maximum 1. Tools differ, so a value
    without its base means nothing.
    """
    from scipy.spatial.distance import jensenshannon

    return float(jensenshannon(reference, current, base))


def population_stability(reference: Numbers, current: Numbers) -> float:
    """Return the population stability index of two rows of positive shares, by the reference's bins."""
    import numpy as np

    p, q = np.asarray(reference, dtype=float), np.asarray(current, dtype=float)
    return float(np.sum((q - p) * np.log(q / p)))


def wasserstein(reference: Numbers, current: Numbers) -> float:
    """Return the Wasserstein distance of two samples in standard deviations of the reference."""
    import numpy as np
    from scipy import stats

    # a constant reference would make every distance infinite
    spread = max(float(np.std(reference)), 1e-3)
    return float(stats.wasserstein_distance(reference, current)) / spread
