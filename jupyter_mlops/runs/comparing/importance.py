"""Importance: which parameters a metric depends on, told from runs that tried them. Made by ``Runs``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...charts import Figure, bar
from ...errors import NotFound
from ...value import Value
from ..plain import jsonable
from ..run import Run

METHOD = "permutation importance over a random forest"
FEWEST, FEWEST_A_PARAMETER = 10, 3
_MOST_RUNS, _TREES, _REPEATS = 2_000, 100, 5
_LEAST_SCORE = 0.1


@dataclass(frozen=True, slots=True)
class Share:
    """How much of what the parameters explain is explained by this one, 0 to 1, and how far that varies."""

    parameter: str
    share: float
    spread: float


@dataclass(frozen=True, slots=True)
class Importance(Value):
    """Which parameters mattered for a metric.

    A random forest learns the metric from the parameters; then each parameter's values are shuffled among
    the runs, and what the forest's predictions lose by that is the parameter's share (permutation importance,
    as in scikit-learn). ``score`` is how well the forest predicts runs that it has not seen: 1 perfectly, 0
    not at all. ``doubt`` says why not to trust it, empty where there is no such reason; with too few runs
    there are no parts.
    """

    metric: str
    runs: int
    parts: tuple[Share, ...] = ()
    score: float | None = None
    doubt: str = ""
    method: str = METHOD

    @property
    def shares(self) -> Mapping[str, float]:
        """The share of each parameter, the largest first."""
        return {part.parameter: part.share for part in self.parts}

    @property
    def trusted(self) -> bool:
        """Whether there is no reason to doubt it."""
        return not self.doubt

    def plot(self) -> Figure:
        """Return a bar for each parameter; raises ``NotFound`` where there are too few runs to say."""
        if not self.parts:
            raise NotFound(f"what {self.metric} depends on cannot be told: {self.doubt}", "execute more runs")
        first = self.parts[0]
        told = f"{first.parameter} explains most, {first.share:.0%}"
        alt = f"Bar chart: what {self.metric} depends on over {self.runs} runs; {told}. {self.doubt}"
        return bar(
            f"What {self.metric} depends on",
            [part.parameter for part in self.parts],
            [round(part.share, 4) for part in self.parts],
            horizontal=True,
            y_label="share of what the parameters explain",
            subtitle=self.doubt or f"{self.method}, {self.runs} runs, R² {self.score:.2f}",
            alt=alt.strip(),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-ready types."""
        return {
            "metric": self.metric,
            "runs": self.runs,
            "parts": [
                {"parameter": part.parameter, "share": part.share, "spread": part.spread}
                for part in self.parts
            ],
            "score": jsonable(self.score),
            "doubt": self.doubt,
            "method": self.method,
        }


def importance_of(runs: Sequence[Run], metric: str) -> Importance:
    """Return which parameters ``metric`` depends on, over the finished runs with a finite value of it."""
    measured = [
        run for run in runs if run.status == "finished" and math.isfinite(run.metrics.get(metric, math.nan))
    ]
    columns = _columns(measured)
    count = len(measured)
    least = max(FEWEST, FEWEST_A_PARAMETER * len(columns))
    if not columns:
        return Importance(metric, count, doubt="the finished runs differ in no parameter")
    if count < least:
        among = f"{len(columns)} parameters" if len(columns) > 1 else "one parameter"
        return Importance(
            metric, count, doubt=f"{count} finished runs are too few for {among}; it takes {least}"
        )
    values = [run.metrics[metric] for run in measured]
    if min(values) == max(values):
        return Importance(metric, count, doubt=f"{metric} is the same in all of them")
    every = max(count // _MOST_RUNS, 1)
    parts, score = _learned({name: column[::every] for name, column in columns.items()}, values[::every])
    doubt = ""
    if score < _LEAST_SCORE or not any(part.share for part in parts):
        doubt = f"the parameters say little about {metric}: unseen runs are predicted with R² {score:.2f}"
    return Importance(metric, count, parts, score, doubt)


def _learned(columns: Mapping[str, list[float]], values: Sequence[float]) -> tuple[tuple[Share, ...], float]:
    import numpy
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance

    table = numpy.column_stack(list(columns.values()))
    # with fixed seeds: the same runs say the same thing every time
    forest = RandomForestRegressor(n_estimators=_TREES, oob_score=True, random_state=0).fit(table, values)
    shuffled = permutation_importance(forest, table, values, n_repeats=_REPEATS, random_state=0)
    means = numpy.clip(shuffled.importances_mean, 0, None)
    whole = float(means.sum()) or 1.0
    parts = [
        Share(name, float(mean) / whole, float(spread) / whole)
        for name, mean, spread in zip(columns, means, shuffled.importances_std, strict=True)
    ]
    return tuple(sorted(parts, key=lambda part: -part.share)), float(forest.oob_score_)


def _columns(runs: Sequence[Run]) -> dict[str, list[float]]:
    """Return each parameter that varies as numbers; texts and lists by their place among the values tried."""
    names = dict.fromkeys(name for run in runs for name in run.parameters)
    columns = {}
    for name in names:
        values = [run.parameters.get(name) for run in runs]
        if len({repr(value) for value in values}) < 2:
            continue
        if all(
            value is None or (isinstance(value, int | float) and not isinstance(value, bool))
            for value in values
        ):
            finite = [float(v) if v is not None and math.isfinite(v) else math.nan for v in values]
            columns[name] = finite
        else:
            places = {text: place for place, text in enumerate(sorted({repr(value) for value in values}))}
            columns[name] = [float(places[repr(value)]) for value in values]
    return columns
