"""Drawings: pictures of several runs, each with the words for who cannot see it. Called by ``Runs.plot``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from ...charts import Figure, bar, line, parallel, scatter
from ...errors import NotFound, close_matches
from ..plain import jsonable
from ..run import Run

if TYPE_CHECKING:
    from ..points import MetricPoint

MOST_AXES = 9  # of parameters: more would not fit beside each other
MOST_COURSES = 50  # runs whose curves are drawn
COURSE = 400  # points of a curve
_NAMED = 3  # parameters that stand in the name of a curve
_TOP = 3  # best runs that keep a colour where there are many

Histories = Mapping[str, "Sequence[MetricPoint]"]


def parallel_of(runs: Sequence[Run], metric: str, names: Sequence[str], best: Run | None) -> Figure:
    """Return one line a run over the parameters that differ, and the metric."""
    shown = names[:MOST_AXES]
    measured = [run for run in runs if metric in run.metrics]
    lines = {
        run.id: [*(drawn(run.parameters.get(name)) for name in shown), run.metrics[metric]]
        for run in measured
    }
    left_out = f"{len(shown)} of {len(names)} parameters" if len(shown) < len(names) else ""
    return parallel(
        f"{_title(runs, metric)} by parameters",
        [*shown, metric],
        lines,
        color_by=metric,
        highlight=[best.id] if best else [],
        subtitle=left_out,
        alt=f"Parallel coordinates: {metric} of {_count(measured)} over {', '.join(shown)}."
        f"{told(best, metric, shown)}",
    )


def bars_of(runs: Sequence[Run], metric: str, names: Sequence[str], best: Run | None) -> Figure:
    """Return one bar a run."""
    measured = [run for run in runs if metric in run.metrics]
    values = [run.metrics[metric] for run in measured]
    return bar(
        _title(runs, metric),
        [run.id for run in measured],
        values,
        y_label=metric,
        highlight=[best.id] if best else [],
        alt=f"Bar chart: {metric} of {_count(measured)}{_range(values)}.{told(best, metric, names)}",
    )


def curves_of(
    runs: Sequence[Run], metric: str, names: Sequence[str], best: Sequence[Run], histories: Histories
) -> Figure:
    """Return the course of ``metric`` in each run that logged it; the ``best`` ones stand out among many."""
    # the best first: they head the legend, and of very many they are drawn
    ranked = {run.id: run for run in (*best, *runs) if run.id in histories}
    measured = list(ranked.values())[:MOST_COURSES]
    labels = {run.id: label(run, names) for run in measured}
    courses = {
        labels[run.id]: (
            [point.step for point in histories[run.id]],
            [point.value for point in histories[run.id]],
        )
        for run in measured
    }
    few = len(measured) <= 8
    # where nothing says which are best, the first ones: whoever ordered them meant something
    top = [run for run in best if run.id in labels][:_TOP] or measured[:_TOP]
    left_out = sum(metric in run.metrics for run in runs) - len(measured)
    first = best[0] if best else None
    return line(
        _title(runs, metric),
        courses,
        y_label=metric,
        highlight=[] if few else [labels[run.id] for run in top],
        subtitle=f"first {MOST_COURSES} of {MOST_COURSES + left_out} runs" if left_out else "",
        alt=f"Line chart: the course of {metric} in {_count(measured)}.{told(first, metric, names)}",
    )


def scatter_of(runs: Sequence[Run], metric: str, parameter: str, best: Run | None) -> Figure:
    """Return one point a run: the parameter against the metric."""
    measured = [run for run in runs if metric in run.metrics and parameter in run.parameters]
    others = [run for run in measured if best is None or run.id != best.id]
    points = {"runs": _points(others, parameter, metric)} if others else {}
    if best is not None and parameter in best.parameters:
        points[f"best: {best.id}"] = _points([best], parameter, metric)
    values = [run.metrics[metric] for run in measured]
    return scatter(
        f"{_title(runs, metric)} by {parameter}",
        points,
        x_log=_spreads([run.parameters[parameter] for run in measured]),
        x_label=parameter,
        y_label=metric,
        highlight=[name for name in points if name != "runs"],
        alt=f"Scatter plot: {metric} against {parameter} in {_count(measured)}{_range(values)}."
        f"{told(best, metric, [parameter])}",
    )


def known_parameter(runs: Sequence[Run], parameter: str | None, names: Sequence[str]) -> str:
    """Return the parameter to draw: the one asked for, else the first in which the runs differ."""
    known = list(dict.fromkeys(name for run in runs for name in run.parameters))
    if parameter is None:
        if not known:
            raise NotFound("these runs have no parameter to draw", "parameters come from the parameters cell")
        return names[0] if names else known[0]
    if parameter not in known:
        hint = close_matches(parameter, known, f"they have {', '.join(known) or 'none'}")
        raise NotFound(f"no run here has a parameter '{parameter}'", hint)
    return parameter


def label(run: Run, names: Sequence[str]) -> str:
    """Return the name of a run's curve: its id, and the parameters in which it differs from the others."""
    values = [f"{name} {_said(run.parameters[name])}" for name in names[:_NAMED] if name in run.parameters]
    return " · ".join([run.id, *values])


def told(best: Run | None, metric: str, names: Sequence[str]) -> str:
    """Return what the best run reached and with what, as a sentence; nothing where none is best."""
    if best is None:
        return ""
    given = ", ".join(f"{name} {_said(best.parameters[name])}" for name in names if name in best.parameters)
    return f" Best is {best.id}: {metric} {best.metrics[metric]:.4g}{f' with {given}' if given else ''}."


def drawn(value: Any) -> Any:
    """Return a parameter's value as a figure can place it."""
    return value if value is None or isinstance(value, bool | int | float | str) else repr(jsonable(value))


def _said(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(drawn(value))


def _points(runs: Sequence[Run], parameter: str, metric: str) -> tuple[list[Any], list[float]]:
    return [drawn(run.parameters[parameter]) for run in runs], [run.metrics[metric] for run in runs]


def _spreads(values: Sequence[Any]) -> bool:
    """Return whether values such as 0.01, 0.1, 1, 10 would lie on one heap on a plain axis."""
    numbers = [
        v for v in values if isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v)
    ]
    if len(numbers) < max(len(values), 3) or min(numbers) <= 0:
        return False
    low, high = min(numbers), max(numbers)
    return high / low >= 50 and (median(numbers) - low) / (high - low) < 0.2


def _title(runs: Sequence[Run], metric: str) -> str:
    experiments = {run.experiment for run in runs}
    return f"{experiments.pop()}: {metric}" if len(experiments) == 1 else metric


def _count(runs: Sequence[Run]) -> str:
    return "1 run" if len(runs) == 1 else f"{len(runs):,} runs"


def _range(values: Sequence[float]) -> str:
    finite = [value for value in values if math.isfinite(value)]
    return f", from {min(finite):.4g} to {max(finite):.4g}" if finite else ", none of them finite"
