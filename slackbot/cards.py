"""Cards: what the chat shows of a finished sweep, shorter than its page. Used by the news."""

from __future__ import annotations

import math
from typing import Any

from jupyter_mlops.errors import MLOpsError
from jupyter_mlops.views import formats
from jupyter_mlops.views.view import Block, Cell, Facts, Picture, Table, Tone, View

_RANKED = 5


def sweep_card(runs: Any) -> View:
    """Return the card of a finished sweep: what ran, the best run, how the others did, a picture."""
    sweep, finished, failed = runs.sweep, runs.finished, runs.failed
    best = _best(runs)
    if not finished:
        tone: Tone = "bad"
    else:
        tone = "warning" if failed else "good"
    counts = f"{len(finished)} of {formats.count(len(runs), 'run')} finished"
    if failed:
        counts += f", {len(failed)} failed"
    measured = _measured(best, sweep.metric)
    alone = len(runs) == 1
    summary = f"{counts}; best {sweep.metric} {measured} in run {best.id}" if best and measured else counts
    rows: list[tuple[str, Cell]] = [("notebook", Cell(sweep.notebook)), ("runs", Cell(counts))]
    blocks: list[Block] = []
    if best is not None:
        names = runs.varying or tuple(best.parameters)
        set_to = ", ".join(f"{name} = {formats.plain(best.parameters.get(name))}" for name in names)
        rows.append(("run" if alone else "best run", Cell(best.id, link=best.path)))
        if measured:
            rows.append((f"{sweep.metric} ({sweep.goal})", Cell(measured)))
        else:
            rows += [(name, Cell(formats.metric(value))) for name, value in best.metrics.items()]
        if set_to:
            rows.append(("parameters", Cell(set_to)))
        if best.inputs:
            rows.append(("data", Cell(", ".join(dict.fromkeys(best.inputs.values())))))
    if failed and failed[0].error:
        rows.append(("first failure", Cell(str(failed[0].error), "bad", link=failed[0].path)))
    rows += [("started by", Cell(sweep.actor)), ("sweep", Cell(sweep.id, "code"))]
    blocks.append(Facts(tuple(rows)))
    if len(finished) > 1 and sweep.metric:
        blocks.append(_ranking(runs))
    if len(finished) > 1 and runs.varying:
        blocks.append(Picture(runs.plot("parallel")))
    title = f"{'Run' if alone else 'Sweep'} finished: {sweep.experiment}"
    return View(title, summary, tone, tuple(blocks), sweep.path)


def _ranking(runs: Any) -> Table:
    metric = runs.sweep.metric
    measured = [run for run in runs.finished if math.isfinite(run.metrics.get(metric, math.nan))]
    measured.sort(key=lambda run: run.metrics[metric], reverse=runs.sweep.goal != "minimize")
    columns = ("run", *runs.varying, metric)
    rows = tuple(
        (
            Cell(run.id, link=run.path),
            *(Cell(formats.plain(run.parameters.get(name))) for name in runs.varying),
            Cell(formats.metric(run.metrics[metric])),
        )
        for run in measured[:_RANKED]
    )
    return Table(columns, rows, frozenset({len(columns) - 1}), len(runs) - len(rows))


def _best(runs: Any) -> Any:
    if len(runs) == 1:
        return runs.finished[0] if runs.finished else None
    if not runs.finished or not runs.metric:
        return None
    try:
        return runs.best()
    except MLOpsError:  # no run has the metric
        return None


def _measured(best: Any, metric: str | None) -> str:
    if best is None or metric is None or metric not in best.metrics:
        return ""
    return formats.metric(best.metrics[metric])
