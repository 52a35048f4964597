"""Two-sample tests, distances and the drift policy: pure functions over arrays, without project or store."""

from __future__ import annotations

from .distances import jensen_shannon, population_stability, wasserstein
from .policy import DriftPolicy, Evidence
from .samples import (
    FEW_VALUES,
    MOST_CATEGORIES,
    are_whole,
    binned_shares,
    count_rows,
    few_integers,
    missing_share,
)
from .tests import (
    Outcome,
    benjamini_hochberg,
    chi_square,
    cramers_v,
    gap_probability,
    kolmogorov_smirnov,
    pooled,
    two_proportions,
)

__all__ = [
    "FEW_VALUES",
    "MOST_CATEGORIES",
    "DriftPolicy",
    "Evidence",
    "Outcome",
    "are_whole",
    "benjamini_hochberg",
    "binned_shares",
    "chi_square",
    "count_rows",
    "cramers_v",
    "few_integers",
    "gap_probability",
    "jensen_shannon",
    "kolmogorov_smirnov",
    "missing_share",
    "pooled",
    "population_stability",
    "two_proportions",
    "wasserstein",
]
