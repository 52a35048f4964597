"""Two-sample tests, distances and the drift policy: pure functions over arrays, without project or store."""

from __future__ import annotations

from .distances import jensen_shannon, population_stability, wasserstein
from .policy import DriftPolicy, Evidence
from .tests import (
    Outcome,
    benjamini_hochberg,
    chi_square,
    cramers_v,
    kolmogorov_smirnov,
    pooled,
    two_proportions,
)

__all__ = [
    "DriftPolicy",
    "Evidence",
    "Outcome",
    "benjamini_hochberg",
    "chi_square",
    "cramers_v",
    "jensen_shannon",
    "kolmogorov_smirnov",
    "pooled",
    "population_stability",
    "two_proportions",
    "wasserstein",
]
