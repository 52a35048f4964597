"""How runs and sweeps are seen: what made a run, what came of it, which is best, how two differ."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from ..runs import Artifact, Comparison, Run, RunError, Runs, Sweep
from . import formats
from .dispatch import Column, listed, listing, tabled, view, when
from .view import Block, Cell, Heading, Picture, Table, Text, Tone, View, facts, table

_TONES: dict[str, Tone] = {"finished": "good", "failed": "bad", "stopped": "muted", "queued": "muted"}
_MOST_LINES = 40
_MOST_METRICS, _MOST_PARAMETERS = 3, 8
_GROUPS = {"parameter": "Parameters", "input": "Inputs", "metric": "Metrics", "fact": "Facts"}


@view.register
def _(value: Run) -> View:
    title = f"run {value.id}"
    measured = [f"{name} {formats.metric(one)}" for name, one in list(value.metrics.items())[:2]]
    read = [f"input {ref}" for ref in list(value.inputs.values())[:2]]
    failed = [str(value.error)] if value.error else []
    summary = " · ".join([title, value.status, *failed, *measured, *read])
    blocks: list[Block] = []
    if value.error is not None:
        blocks += _error(value.error)
    blocks.append(_circumstances(value))
    if value.parameters:
        named = ((name, formats.plain(one)) for name, one in value.parameters.items())
        blocks += [Heading("Parameters"), facts(*named)]
    if value.metrics:
        blocks += [
            Heading("Metrics"),
            facts(*((name, formats.metric(one)) for name, one in value.metrics.items())),
        ]
    if value.artifacts:
        kept = ((one.name, one.kind, formats.size(one.bytes)) for one in value.artifacts.values())
        blocks += [Heading("Artifacts"), table(("artifact", "kind", "size"), kept, numeric=("size",))]
    return View(title, summary, _TONES.get(value.status, "plain"), tuple(blocks), value.path)


@view.register
def _(value: Runs) -> View:
    runs, metric = tuple(value), value.metric
    if value.sweep is None:
        if not runs:
            return View("no runs", "no runs", path="runs")
        title = formats.count(len(runs), "run")
        return View(title, " · ".join([title, *_tally(runs)]), "plain", (_leaderboard(runs),), "runs")
    sweep, title = value.sweep, f"sweep {value.sweep.id}"
    ranked = best_first(runs, metric, value.goal)
    summary = [title, f"{formats.count(len(runs), 'run')} of {sweep.notebook}"]
    best = ranked[0] if ranked and metric and _known(ranked[0], metric) else None
    if best is not None:
        summary.append(f"best {best.id}, {metric} {formats.metric(best.metrics[metric or ''])}")
    blocks: list[Block] = [_leaderboard(ranked, metric)]
    finished = [run for run in runs if run.status == "finished"]
    if metric and len(finished) > 1 and value.varying:
        blocks.append(Picture(value.plot("parallel")))
    tone: Tone = "bad" if value.failed else "good" if len(finished) == len(runs) else "plain"
    return View(title, " · ".join([*summary, *_tally(runs)]), tone, tuple(blocks), sweep.path)


@view.register
def _(value: Sweep) -> View:
    title = f"sweep {value.id}"
    told = facts(
        ("experiment", value.experiment),
        ("notebook", value.notebook),
        ("runs", formats.number(value.size)),
        ("status", Cell(value.status, _TONES.get(value.status, "plain"))),
        ("looks for", f"{value.goal} {value.metric}" if value.metric else ""),
        ("started", f"{formats.moment(value.at)} by {value.actor}"),
        ("took", formats.lasted(value.at, value.ended_at) if value.ended_at else ""),
    )
    summary = f"{title} · {value.status} · {formats.count(value.size, 'run')} of {value.notebook}"
    return View(title, summary, _TONES.get(value.status, "plain"), (told,), value.path)


@view.register
def _(value: RunError) -> View:
    return View(value.name, f"{value.name} · {value}", "bad", tuple(_error(value)))


@view.register
def _(value: Artifact) -> View:
    told = facts(
        ("kind", value.kind),
        ("size", formats.size(value.bytes)),
        ("digest", Cell(formats.digest(value.digest), "code")),
    )
    return View(value.name, f"{value.name} · {value.kind} · {formats.size(value.bytes)}", "plain", (told,))


@view.register
def _(value: Comparison) -> View:
    names = [run.id for run in value.runs]
    title = f"comparison of {' and '.join(names) if len(names) < 3 else formats.count(len(names), 'run')}"
    blocks: list[Block] = []
    differing = 0
    for group, rows in groupby(value.rows, key=lambda row: row.group):
        listed_rows = tuple(rows)
        different = [row for row in listed_rows if row.differs]
        differing += len(different)
        shown = different if group != "metric" else list(listed_rows)
        equal = [row for row in listed_rows if row not in shown]
        if not shown and not equal:
            continue
        blocks.append(Heading(_GROUPS.get(group, group)))
        if shown:
            blocks.append(_compared(names, shown, group))
        if equal:
            same = ", ".join(f"{row.name} {_shown(row.values[0], group)}" for row in equal)
            blocks.append(Text(f"Equal: {same}", "muted"))
    summary = f"{title} · {formats.count(differing, 'difference')}"
    return View(title, summary, "plain", tuple(blocks), "runs")


@listing("runs", Run)
def _runs(items: Sequence[Run]) -> View:
    if not items:
        return listed("run", items, (), empty="`mlops run NOTEBOOK` makes one", path="runs")
    title = formats.count(len(items), "run")
    return View(title, " · ".join([title, *_tally(items)]), "plain", (_leaderboard(items),), "runs")


@listing("sweeps", Sweep)
def _sweeps(items: Sequence[Sweep]) -> View:
    columns = (
        Column("sweep", lambda one: Cell(one.id, link=one.path)),
        Column("status", lambda one: Cell(one.status, _TONES.get(one.status, "plain"))),
        Column("runs", lambda one: formats.number(one.size), numeric=True),
        Column("experiment", lambda one: one.experiment),
        Column("notebook", lambda one: one.notebook),
        Column("looks for", lambda one: f"{one.goal} {one.metric}" if one.metric else ""),
        Column("started (UTC)", lambda one: when(one.at)),
        Column("by", lambda one: one.actor),
    )
    return listed("sweep", items, columns, empty="`mlops run NOTEBOOK --grid KEY=A,B` makes one", path="runs")


def best_first(runs: Sequence[Run], metric: str | None, goal: str | None) -> tuple[Run, ...]:
    """Return the runs ranked by ``metric``; those without it come last, in their order."""
    if not metric:
        return tuple(runs)
    sign = 1 if goal == "minimize" else -1
    ranked = sorted((run for run in runs if _known(run, metric)), key=lambda run: sign * run.metrics[metric])
    return (*ranked, *(run for run in runs if not _known(run, metric)))


def _known(run: Run, metric: str) -> bool:
    return run.status == "finished" and math.isfinite(run.metrics.get(metric, math.nan))


def _error(error: RunError) -> list[Block]:
    blocks: list[Block] = [Text(f"{error.name}: {error.message}".rstrip(": "), "bad")]
    if error.source.strip():
        heading = "What failed" if error.cell is None else f"Cell {error.cell} failed"
        blocks += [Heading(heading), Text(_tail(error.source), "code")]
    if error.traceback.strip():
        blocks += [Heading("Traceback"), Text(_tail(error.traceback), "code")]
    return blocks


def _tail(text: str) -> str:
    """Return the last lines of a long text: an error is named at its end."""
    lines = text.strip("\n").split("\n")
    left_out = len(lines) - _MOST_LINES
    return "\n".join(
        [f"… {formats.count(left_out, 'line')} more above", *lines[left_out:]] if left_out > 0 else lines
    )


def _circumstances(run: Run) -> Block:
    changed = ", with changes that were not committed" if run.info.dirty else ""
    return facts(
        ("experiment", run.experiment),
        ("sweep", Cell(run.sweep, link=f"runs?sweep={run.sweep}") if run.sweep else None),
        ("notebook", run.notebook),
        ("started", f"{formats.moment(run.started_at or run.created_at)} by {run.actor}"),
        ("took", formats.duration(run.duration) if run.duration is not None else ""),
        ("commit", f"{run.info.commit[:12]}{changed}" if run.info.commit else ""),
        *((f"input {name}", Cell(ref, link=_data_path(ref))) for name, ref in run.inputs.items()),
        *(("output", Cell(ref, link=_data_path(ref))) for ref in run.outputs),
        ("tags", ", ".join(f"{name}={one}" for name, one in run.tags.items())),
    )


def _data_path(ref: str) -> str:
    name, at, number = ref.partition("@v")
    return f"data/{name}/{number}" if at and number.isdigit() else ""


def _tally(runs: Sequence[Run]) -> list[str]:
    """Return how many of the runs are not simply finished."""
    states = ("failed", "running", "queued", "stopped")
    counts = ((sum(run.status == state for run in runs), state) for state in states)
    return [f"{formats.number(times)} {state}" for times, state in counts if times]


def _leaderboard(runs: Sequence[Run], metric: str | None = None) -> Table:
    measured = list(dict.fromkeys(name for run in runs for name in run.metrics))
    if metric in measured:
        measured = [metric, *(name for name in measured if name != metric)]
    columns = [
        Column("run", lambda run: Cell(run.id, link=run.path)),
        Column("status", lambda run: Cell(run.status, _TONES.get(run.status, "plain"))),
        *(_metric_column(name) for name in measured[:_MOST_METRICS]),
        *(_parameter_column(name, runs) for name in _varying(runs)[:_MOST_PARAMETERS]),
        Column("error", lambda run: Cell(str(run.error), "bad") if run.error else ""),
        Column(
            "took",
            lambda run: formats.duration(run.duration) if run.duration is not None else "",
            numeric=True,
        ),
    ]
    if len({run.experiment for run in runs}) > 1:
        columns.insert(2, Column("experiment", lambda run: run.experiment))
    if metric is None:
        columns.append(Column("started (UTC)", lambda run: when(run.started_at or run.created_at)))
    return tabled(runs, columns)


def _metric_column(name: str) -> Column:
    return Column(
        name, lambda run: formats.metric(run.metrics[name]) if name in run.metrics else "", numeric=True
    )


def _parameter_column(name: str, runs: Sequence[Run]) -> Column:
    values = [run.parameters[name] for run in runs if name in run.parameters]
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return Column(
        name, lambda run: formats.plain(run.parameters[name]) if name in run.parameters else "", numeric
    )


def _varying(runs: Sequence[Run]) -> list[str]:
    names = dict.fromkeys(name for run in runs for name in run.parameters)
    return [name for name in names if len({repr(_get(run.parameters, name)) for run in runs}) > 1]


def _get(known: Mapping[str, Any], name: str) -> Any:
    return known.get(name)


def _compared(names: Sequence[str], rows: Sequence[Any], group: str) -> Table:
    pair = group == "metric" and len(names) == 2
    made = []
    for row in rows:
        cells = [Cell(row.name), *(Cell(_shown(value, group)) for value in row.values)]
        if pair:
            cells.append(Cell(_difference(*row.values)))
        made.append(cells)
    columns = (group, *names, *(("difference",) if pair else ()))
    block = table(columns, made)
    return Table(
        block.columns, block.rows, frozenset(range(1, len(columns))) if group == "metric" else frozenset()
    )


def _difference(one: Any, other: Any) -> str:
    numbers = isinstance(one, int | float) and isinstance(other, int | float)
    return formats.signed(float(other) - float(one)) if numbers else ""


def _shown(value: Any, group: str) -> str:
    return formats.metric(value) if group == "metric" else formats.plain(value)
