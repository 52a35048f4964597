"""The tests against independently computed values, and against their own promise: few false alarms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from jupyter_mlops.statistics import (
    benjamini_hochberg,
    chi_square,
    cramers_v,
    jensen_shannon,
    kolmogorov_smirnov,
    pooled,
    population_stability,
    two_proportions,
    wasserstein,
)

P = np.array([0.4, 0.3, 0.2, 0.1])
Q = np.array([0.3, 0.3, 0.2, 0.2])


def test_kolmogorov_smirnov_of_a_shifted_range():
    found = kolmogorov_smirnov(np.arange(1.0, 101), np.arange(11.0, 111), exact=False)
    assert found.statistic == pytest.approx(0.10)
    assert found.p_value == pytest.approx(0.6623112705, abs=1e-10)


@pytest.mark.parametrize("seed", range(30))
def test_kolmogorov_smirnov_agrees_with_scipy_on_ties_and_unequal_sizes(seed):
    rng = np.random.default_rng(seed)
    n, m = rng.integers(1, 60, size=2)
    reference, current = rng.integers(0, 8, size=n) / 2, rng.integers(0, 9, size=m) / 2
    expected = stats.ks_2samp(reference, current, method="exact")
    found = kolmogorov_smirnov(reference, current)

    assert found.statistic == pytest.approx(expected.statistic, abs=1e-12)
    assert found.p_value == pytest.approx(expected.pvalue, abs=1e-12)
    assert kolmogorov_smirnov(current, reference).statistic == pytest.approx(found.statistic, abs=1e-12)
    approximate = stats.ks_2samp(reference, current, method="asymp")
    assert kolmogorov_smirnov(reference, current, exact=False).p_value == pytest.approx(
        approximate.pvalue, abs=1e-9
    )


def test_kolmogorov_smirnov_of_a_million_rows_agrees_with_scipy():
    rng = np.random.default_rng(7)
    reference, current = rng.normal(size=1_000_000), rng.normal(0.004, size=999_999)
    expected = stats.ks_2samp(reference, current, method="asymp")
    found = kolmogorov_smirnov(reference, current)
    assert (found.statistic, found.p_value) == (
        pytest.approx(expected.statistic, abs=1e-12),
        pytest.approx(expected.pvalue, rel=1e-9),
    )


def test_chi_square_and_cramers_v_of_a_contingency_table():
    found = chi_square(1000 * P, 1000 * Q)
    assert found.statistic == pytest.approx(47.61904762, abs=1e-8)
    assert found.p_value == pytest.approx(2.5664598e-10, rel=1e-7)
    assert cramers_v(1000 * P, 1000 * Q) == pytest.approx(0.14939860, abs=1e-8)


def test_equal_shares_are_no_distance_and_disjoint_categories_are_all_of_it():
    assert cramers_v(np.array([50.0, 50]), np.array([500.0, 500])) == 0
    assert cramers_v(np.array([500.0, 0]), np.array([0, 500.0])) == pytest.approx(1, abs=0.01)
    assert cramers_v(np.array([5.0, 0]), np.array([0.0, 0])) == 0
    assert chi_square(np.array([5.0]), np.array([7.0])).p_value == 1


def test_rare_categories_are_added_up_and_no_row_is_lost():
    reference = np.array([100.0, 3, 80, 2, 1, 0])
    current = np.array([90.0, 2, 85, 3, 0, 0])
    left, right = pooled(reference, current)

    assert left.tolist() == [100, 80, 6]
    assert right.tolist() == [90, 85, 5]
    lonely = pooled(np.array([1000.0, 500, 1]), np.array([1000.0, 500, 0]))
    assert lonely[0].tolist() == [1000, 501]
    assert [part.sum() for part in pooled(np.array([2.0, 1]), np.array([1.0, 2]))] == [3, 3]
    assert len(pooled(np.array([2.0, 1]), np.array([1.0, 2]))[0]) == 1


def test_two_proportions():
    found = two_proportions(400, 1000, 450, 1000)
    assert found.statistic == pytest.approx(-2.26165636, abs=1e-8)
    assert found.p_value == pytest.approx(0.02371864, abs=1e-8)
    assert two_proportions(0, 100, 0, 50).p_value == 1
    assert two_proportions(50, 50, 20, 20).p_value == 1


def test_two_small_proportions_are_judged_exactly():
    expected = stats.fisher_exact([[0, 40], [3, 37]]).pvalue
    assert two_proportions(0, 40, 3, 40).p_value == pytest.approx(expected)


def test_benjamini_hochberg_in_any_order():
    p_values = [0.041, 0.001, 0.216, 0.008, 0.074, 0.039, 0.042, 0.205, 0.06, 0.212]
    expected = {0.001: 0.01, 0.008: 0.04, 0.06: 0.1, 0.074: 0.10571429}
    expected |= dict.fromkeys((0.039, 0.041, 0.042), 0.084) | dict.fromkeys((0.205, 0.212, 0.216), 0.216)

    assert benjamini_hochberg(p_values) == pytest.approx([expected[p] for p in p_values], abs=1e-8)
    assert benjamini_hochberg([]) == []
    assert benjamini_hochberg([0.03]) == [0.03]


def test_distances():
    assert population_stability(P, Q) == pytest.approx(0.09808292530, abs=1e-11)
    assert jensen_shannon(P, Q) == pytest.approx(0.10990281339, abs=1e-11)
    assert jensen_shannon(P, Q, base=2) == pytest.approx(0.13200673195, abs=1e-11)
    assert wasserstein(np.arange(1.0, 101), np.arange(11.0, 111)) == pytest.approx(0.34642748332, abs=1e-11)
    assert np.isfinite(wasserstein(np.ones(5), np.arange(5.0)))


def test_clean_samples_alarm_about_as_often_as_promised():
    rng = np.random.default_rng(0)
    shares = np.full(5, 0.2)
    categorical = [chi_square(*rng.multinomial(500, shares, size=2)).p_value < 0.05 for _ in range(1000)]
    numeric = [kolmogorov_smirnov(*rng.normal(size=(2, 200))).p_value < 0.05 for _ in range(1000)]

    assert 0.02 < np.mean(categorical) < 0.08
    assert 0.02 < np.mean(numeric) < 0.08
