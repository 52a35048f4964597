"""False alarms and missed drifts of three ways to decide whether a column drifted; prints one table of each.

Each batch has 100 columns: 50 normal, 20 lognormal (sigma 2), 20 with 5 categories, 10 with 20. In the first
table no column changed, so every alarm is false. In the second the first 5 columns are shifted by so many
standard deviations.

* policy: ``mlops.drift`` with its defaults.
* p < .05: Kolmogorov-Smirnov or two-sample chi-square, column by column.
* switched: the method chosen by the size of the reference, as a widely used tool documents its defaults. Up
  to 1,000 rows Kolmogorov-Smirnov, or a one-sample chi-square, at p < 0.05; above, Wasserstein distance in
  standard deviations, or the Jensen-Shannon distance (base e), at 0.1. This is a re-implementation of what is
  documented, not a run of that tool.

Run: python benchmarks/drift.py [batches]
"""

from __future__ import annotations

import sys
import time

import numpy as np
import pandas as pd
from scipy import stats

from jupyter_mlops.monitoring.drift import drift
from jupyter_mlops.statistics import chi_square, jensen_shannon, kolmogorov_smirnov, wasserstein

NORMAL, HEAVY, FIVE, TWENTY = 50, 20, 20, 10
NUMBERS = NORMAL + HEAVY
SHIFTED = 5
METHODS = ("policy", "p < .05", "switched")


def batch(rng: np.random.Generator, rows: int, shift: float = 0.0) -> pd.DataFrame:
    """Return a table whose first columns are shifted, with every other column the same as ever."""
    numbers = np.hstack([rng.normal(size=(rows, NORMAL)), rng.lognormal(sigma=2, size=(rows, HEAVY))])
    numbers[:, :SHIFTED] += shift
    names = np.array([f"category {number}" for number in range(20)])
    categories = np.hstack([rng.integers(0, 5, (rows, FIVE)), rng.integers(0, 20, (rows, TWENTY))])
    labels = pd.DataFrame(names[categories], columns=range(NUMBERS, NUMBERS + FIVE + TWENTY)).astype(
        "category"
    )
    return pd.concat([pd.DataFrame(numbers), labels], axis="columns")


def by_policy(reference: pd.DataFrame, current: pd.DataFrame) -> list[bool]:
    return [column.drifted for column in drift(reference, current).columns.values()]


def by_significance(reference: pd.DataFrame, current: pd.DataFrame) -> list[bool]:
    return [
        kolmogorov_smirnov(reference[name].to_numpy(), current[name].to_numpy()).p_value < 0.05
        if name < NUMBERS
        else chi_square(*counts(reference[name], current[name])).p_value < 0.05
        for name in reference
    ]


def by_size(reference: pd.DataFrame, current: pd.DataFrame) -> list[bool]:
    few = len(reference) <= 1000
    alarms = []
    for name in reference:
        if name < NUMBERS:
            both = reference[name].to_numpy(), current[name].to_numpy()
            alarms.append(kolmogorov_smirnov(*both).p_value < 0.05 if few else wasserstein(*both) >= 0.1)
        else:
            before, after = counts(reference[name], current[name])
            expected = before / before.sum() * after.sum()
            alarms.append(
                stats.chisquare(after, expected).pvalue < 0.05
                if few
                else jensen_shannon(before, after) >= 0.1
            )
    return alarms


def counts(reference: pd.Series, current: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    both = [side.value_counts(sort=False) for side in (reference, current)]
    table = pd.concat(both, axis="columns").fillna(0).to_numpy(dtype=float)
    return table[:, 0], table[:, 1]


def measure(
    seed: int, batches: int, reference_rows: int, rows: int, shift: float
) -> list[tuple[float, float]]:
    """Return for each method the mean number of false alarms in a batch, and the share of shifts it found."""
    rng = np.random.default_rng(seed)
    alarms = np.zeros((len(METHODS), batches, NUMBERS + FIVE + TWENTY))
    for number in range(batches):
        reference, current = batch(rng, reference_rows), batch(rng, rows, shift)
        for method, judge in enumerate((by_policy, by_significance, by_size)):
            alarms[method, number] = judge(reference, current)
    first = SHIFTED if shift else 0
    return [(float(each[:, first:].sum(axis=1).mean()), float(each[:, :SHIFTED].mean())) for each in alarms]


def main() -> None:
    batches = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    start = time.perf_counter()
    print(f"False alarms per 100 clean columns (mean of {batches} batches, numpy {np.__version__})\n")
    print(f"{'reference':>10} {'current':>8}" + "".join(f"{method:>10}" for method in METHODS))
    for reference_rows in (1_000, 5_000, 20_000):
        for rows in (50, 200, 1_000, 5_000):
            found = measure(1, batches, reference_rows, rows, shift=0.0)
            print(
                f"{reference_rows:>10,} {rows:>8,}" + "".join(f"{alarms:>10.2f}" for alarms, _ in found),
                flush=True,
            )
    print("\nShare of shifted columns found / false alarms beside them, reference 5,000\n")
    print(f"{'shift':>10} {'current':>8}" + "".join(f"{method:>14}" for method in METHODS))
    for shift in (0.5, 0.3, 0.2):
        for rows in (200, 1_000, 5_000):
            found = measure(2, batches, 5_000, rows, shift)
            shown = "".join(f"{f'{share:.2f} / {alarms:.1f}':>14}" for alarms, share in found)
            print(f"{shift:>7} sd {rows:>8,}{shown}", flush=True)
    print(f"\n{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
