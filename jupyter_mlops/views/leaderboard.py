"""How many runs are seen at once: ranked, with what they measured, what they differ in, and what failed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..runs import Leaderboard, Run, RunError, Runs
from ..runs.comparing.leaderboard import Order
from ..runs.comparing.leaderboard import ranked as ordered
from . import formats
from .dispatch import Column, listed, listing, tabled, view, when
from .view import Block, Cell, Facts, Heading, Picture, Table, Text, Tone, View, facts

TONES: dict[str, Tone] = {
    "finished": "good",
    "failed": "bad",
    "stopped": "muted",
    "pruned": "muted",
    "queued": "muted",
}
_MOST_METRICS, _MOST_PARAMETERS, _MOST_FAILURES = 4, 8, 5
_MOST_OF_ALL = 4  # of parameters and of metrics, where runs of several experiments stand together
_FACTS = ("actor", "notebook", "sweep", "kind", "note")  # that are columns only where they were asked for
_MOST_CURVES = 12
_QUEUED = (
    "Queued: `mlops worker` executes it, here or wherever the project is; "
    "in Python, .wait(timeout) waits for it. `mlops runs stop {id}` takes it back."
)
_ENDED = ("finished", "failed", "stopped", "pruned")


@view.register
def _(value: Runs) -> View:
    return view_of_runs(value)


@view.register
def _(value: Leaderboard) -> View:
    runs = value.runs
    total = formats.count(len(runs), "run")
    if value.total is None:
        total = f"the first {total}"
    elif value.total > len(runs):
        total = f"{formats.number(len(runs))} of {formats.count(value.total, 'run')}"
    title = f"leaderboard of {total}" if runs else "no runs"
    said = [title]
    if value.order is not None:
        said.append(f"{value.order.by}, {'largest' if value.order.descending else 'smallest'} first")
    if value.where:
        said.append(f"where {value.where}")
    picked = {run.id for run in value.picked}
    if picked:
        said.append(f"{formats.number(len(picked))} picked")
    if not runs:
        empty = "No run fits the filter." if value.where else "`mlops run NOTEBOOK` makes one."
        return View(title, " · ".join(said), "plain", (Text(empty, "muted"),), value.path)
    said += tally(runs)
    metric = value.order.name if value.order and value.order.group == "metrics" else runs.metric
    return View(title, " · ".join(said), "plain", blocks_of(runs, metric, picked, runs), value.path)


@listing("runs", Run)
def _runs(items: Sequence[Run]) -> View:
    if not items:
        return listed("run", items, (), empty="`mlops run NOTEBOOK` makes one", path="runs")
    title = formats.count(len(items), "run")
    return View(title, " · ".join([title, *tally(items)]), "plain", blocks_of(items), "runs")


def view_of_runs(value: Runs, seconds_left: float | None = None, order: Order | None = None) -> View:
    """Return how runs are seen, those of a sweep while it runs too: then with what is done and what is left.

    Without ``seconds_left`` the time left is told from the runs that have ended, without ``order`` the best
    of a sweep come first.
    """
    runs, sweep = tuple(value), value.sweep
    if sweep is None:
        if not runs:
            return View("no runs", "no runs", path="runs")
        title = formats.count(len(runs), "run")
        return View(title, " · ".join([title, *tally(runs)]), "plain", blocks_of(runs, among=value), "runs")
    title, metric = f"sweep {sweep.id}", value.metric
    ranked = best_first(runs, metric, value.goal)
    running = sweep.status == "running"
    summary = [title, *(_progress(value, seconds_left) if running else [_size(value)])]
    best = ranked[0] if ranked and metric and _known(ranked[0], metric) else None
    if best is not None and metric:
        summary.append(f"best {best.id}, {metric} {formats.metric(best.metrics[metric])}")
    summary += [part for part in tally(runs) if not running or not part.endswith(("running", "queued"))]
    if running:
        # what happens now stands on top, the ranking below it
        ranked = (
            *(r for r in ranked if r.status == "running"),
            *(r for r in ranked if r.status != "running"),
        )
    if order is not None:
        ranked = ordered(runs, order)
    shown = [run for run in ranked if not running or run.status != "queued"]
    blocks: tuple[Block, ...] = blocks_of(shown, metric, among=value)
    if running and sweep.detached and not any(run.status == "running" for run in runs):
        blocks = (Text(_QUEUED.format(id=sweep.id), "muted"), *(blocks if shown else ()))
    finished = [run for run in runs if run.status == "finished"]
    if not running and metric and finished and not any(metric in run.metrics for run in finished):
        logged = ", ".join(dict.fromkeys(name for run in finished for name in run.metrics))
        blocks = (Text(f"no run logged '{metric}'; they logged {logged or 'nothing'}", "bad"), *blocks)
    if not running and metric and len(finished) > 1 and value.varying and metric in value.metric_names:
        blocks = (*blocks, Picture(value.plot("parallel")))
    tone: Tone = "bad" if value.failed else "good" if len(finished) == len(runs) else "plain"
    return View(title, " · ".join(summary), "plain" if running else tone, blocks, sweep.path)


def board_of(
    runs: Sequence[Run], metric: str | None = None, picked: Iterable[str] = (), among: Runs | None = None
) -> Table:
    """Return the table of ``runs``, the ``metric`` that decides first; they are shown ``among`` others."""
    chosen = set(picked)
    most = 0 if len(_among(runs, among)) == 1 else _MOST_PARAMETERS
    columns = [column for _, column in columns_of(runs, metric, _MOST_METRICS, most, among)]
    if chosen:
        columns[0] = Column("run", lambda run: Cell(f"{'✓ ' * (run.id in chosen)}{run.id}", link=run.path))
    table = tabled(runs, columns)
    return replace(table, keys=tuple(run.id for run in runs[: len(table.rows)]))


def blocks_of(
    runs: Sequence[Run], metric: str | None = None, picked: Iterable[str] = (), among: Runs | None = None
) -> tuple[Block, ...]:
    """Return the table of ``runs``, what a single one was set to, and what failed."""
    said: list[Block] = [board_of(runs, metric, picked, among)]
    if len(runs) == len(_among(runs, among)) == 1 and runs[0].parameters:
        # nothing tells it apart from others: all of them may be of interest
        said += [Heading("Parameters"), parameters_of(runs[0])]
    return (*said, *failures(runs))


def parameters_of(run: Run) -> Facts:
    """Return what a run was set to."""
    return facts(*((name, formats.parameter(one)) for name, one in run.parameters.items()))


def columns_of(
    runs: Sequence[Run],
    metric: str | None,
    most_metrics: int,
    most_parameters: int,
    among: Runs | None = None,
) -> list[tuple[str, Column]]:
    """Return the columns that tell ``runs`` apart, each with the order it stands for; empty for none.

    What says which run it is comes first, then what was asked for, what decides, and the others: those that
    most of the runs have before those of a few. ``among`` are the runs of which these are shown.
    """
    among = _among(runs, among)
    ranked = runs if metric is not None else ()
    first = [*([f"metrics.{metric}"] if metric else []), *among.asked]
    first += [f"metrics.{name}" for name in among.deciding]
    others = _others(among, first, most_metrics, most_parameters)
    columns = [
        Column("run", lambda run: Cell(run.id, link=run.path)),
        Column("status", _status, order="attributes.status"),
    ]
    times = [Column("took", took, numeric=True, order="attributes.duration")]
    if metric is None:
        # they stand as they came: when that was says more than any number
        columns += [
            Column("experiment", lambda run: run.experiment, order="attributes.experiment"),
            Column("started (UTC)", lambda run: when(run.started_at), order="attributes.started_at"),
            *times,
        ]
        times = []
    elif len({run.experiment for run in among}) > 1:
        columns.append(Column("experiment", lambda run: run.experiment, order="attributes.experiment"))
    known = {column.order for column in (*columns, *times)}
    for part in dict.fromkeys((*first, *others)):
        if part not in known and (made := _part(part, among, ranked if part == f"metrics.{metric}" else ())):
            columns.append(made)
    if metric is not None:
        columns.append(Column("error", error_cell))
    columns += times
    return [(column.order, column) for column in columns]


def _status(run: Run) -> Cell:
    """Return how a run ended; of one that failed, the way to where it did."""
    failed = run.error is not None and run.info.executed_digest is not None
    link = notebook_path(run) if failed else ""
    return Cell(state_of(run), TONES.get(run.status, "plain"), link=link)


def _part(part: str, runs: Sequence[Run], ranked: Sequence[Run]) -> Column | None:
    """Return the column of one part of runs, such as ``tags.team``; None for what is no column."""
    group, _, name = part.partition(".")
    match group:
        case "metrics":
            return metric_column(name, ranked)
        case "parameters":
            return parameter_column(name, runs)
        case "tags":
            return Column(name, lambda run: run.tags.get(name, ""), order=part)
        case "inputs":
            return Column(name, lambda run: run.inputs.get(name, ""))
        case "attributes" if name in _FACTS:
            return Column(name, lambda run: getattr(run, name) or "")
    return None


def _others(runs: Runs, first: Sequence[str], most_metrics: int, most_parameters: int) -> list[str]:
    """Return the parts nobody asked for that tell runs apart: what most of the runs have comes first."""
    several = len({run.experiment for run in runs}) > 1
    if several:
        # what only one of them has finds room in a list of its own
        most_metrics, most_parameters = min(most_metrics, _MOST_OF_ALL), min(most_parameters, _MOST_OF_ALL)
    metrics = list(dict.fromkeys(name for run in runs for name in run.metrics))
    # how a model does on what it was fitted on says less than anything else that was measured
    metrics.sort(key=lambda name: (-sum(name in run.metrics for run in runs), name.startswith("train")))
    parameters = sorted(varying(runs), key=lambda name: -sum(name in run.parameters for run in runs))
    chosen = [f"parameters.{name}" for name in parameters[:most_parameters]]
    room = most_metrics - sum(part.startswith("metrics.") for part in dict.fromkeys(first))
    measured = [f"metrics.{name}" for name in metrics if f"metrics.{name}" not in first][: max(room, 0)]
    if not several:
        return [*chosen, *measured]
    having = {f"metrics.{name}": sum(name in run.metrics for run in runs) for name in metrics}
    having |= {f"parameters.{name}": sum(name in run.parameters for run in runs) for name in parameters}
    parts = [*chosen, *measured]
    shared = [part for part in parts if having[part] > 1]
    return sorted(shared if len(shared) > 1 else parts, key=lambda part: -having[part])


def _among(runs: Sequence[Run], among: Runs | None) -> Runs:
    if among is not None:
        return among
    return runs if isinstance(runs, Runs) else Runs(tuple(runs))


def failures(runs: Sequence[Run]) -> tuple[Block, ...]:
    """Return what failed and where, errors of a kind once: no failed run hides behind a long table."""
    kinds: dict[tuple[int | None, str], list[tuple[Run, RunError]]] = {}
    for run in runs:
        if run.status == "failed" and run.error is not None:
            kinds.setdefault((run.error.cell, run.error.name), []).append((run, run.error))
    if not kinds:
        return ()
    failed = sum(map(len, kinds.values()))
    blocks: list[Block] = [Heading(f"{formats.count(failed, 'run')} failed")]
    for alike in list(kinds.values())[:_MOST_FAILURES]:
        run, error = alike[0]
        others = [one.id for one, _ in alike[1:]]
        more = ", ".join(others[:8])
        if len(others) > 8:
            more += f" and {formats.number(len(others) - 8)} more"
        blocks.append(
            facts(
                (
                    error.place or "outside of cells",
                    Cell(formats.shortened(f"{error.name}: {error.message}".rstrip(": "), 300), "bad"),
                ),
                ("code", Cell(formats.shortened(failing_line(error), 120), "code")),
                ("in", Cell(f"run {run.id}", link=run.path)),
                ("executed notebook", executed_cell(run)),
                ("also in", Cell(more, "muted")),
            )
        )
    if len(kinds) > _MOST_FAILURES:
        blocks.append(Text(f"… and {formats.count(len(kinds) - _MOST_FAILURES, 'other error')}", "muted"))
    return tuple(blocks)


def executed_cell(run: Run) -> Cell:
    """Return the way to the notebook as it was executed: a link where the page is, else what to type."""
    if run.info.executed_digest is None:
        return Cell("")
    return Cell(f"mlops runs notebook {run.id}", "code", link=notebook_path(run))


def failing_line(error: RunError) -> str:
    """Return the line of the cell that failed, as its traceback says; nothing where that cannot be told."""
    lines = [line.strip() for line in error.source.strip().split("\n") if line.strip()]
    marked = [
        line
        for line in formats.clean(error.traceback, lines=True).split("\n")
        if "---->" in line or "--> " in line
    ]
    for line in marked:
        words = line.partition(">")[2].strip().partition(" ")[2].strip()
        if words and words in lines:
            return words
    return lines[0] if len(lines) == 1 else ""


def notebook_path(run: Run) -> str:
    """Return where the page shows the executed notebook, at the cell that failed."""
    return f"runs/{run.id}/notebook"


def error_cell(run: Run) -> Cell:
    """Return why a run failed, linked to its executed notebook."""
    if run.error is None:
        return Cell("")
    where = f"{run.error.place} · " if run.error.place else ""
    said = f"{run.error.name}: {run.error.message}".rstrip(": ").partition("\n")[0]
    path = notebook_path(run) if run.info.executed_digest else run.path
    return Cell(formats.shortened(f"{where}{said}", 160), "bad", link=path)


def state_of(run: Run) -> str:
    """Return a run's status in words; one that was stopped as hopeless was pruned."""
    return "pruned" if run.status == "stopped" and run.pruned is not None else run.status


def took(run: Run) -> str:
    """Return how long a run took, or takes so far."""
    return formats.duration(run.duration) if run.duration is not None else ""


def metric_column(name: str, ranked: Sequence[Run] = ()) -> Column:
    """Return the column of a metric; with the runs that it ranks, each value has a bar."""
    values = [run.metrics[name] for run in ranked if math.isfinite(run.metrics.get(name, math.nan))]
    low, high = (min(values), max(values)) if values else (0.0, 0.0)

    def show(run: Run) -> Cell:
        value = run.metrics.get(name)
        if value is None:
            return Cell("")
        share = None
        if len(values) > 1 and high > low and math.isfinite(value):
            # the worst keeps a little: no bar at all reads as no value
            share = 0.06 + 0.94 * (value - low) / (high - low)
        return Cell(formats.metric(value), share=share)

    return Column(name, show, numeric=True, order=f"metrics.{name}")


def parameter_column(name: str, runs: Sequence[Run]) -> Column:
    """Return the column of a parameter."""
    values = [run.parameters[name] for run in runs if name in run.parameters]
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return Column(
        name,
        lambda run: formats.parameter(run.parameters[name]) if name in run.parameters else "",
        numeric,
        f"parameters.{name}",
    )


def varying(runs: Sequence[Run]) -> list[str]:
    """Return the parameters in which the runs differ, of a single one all; what repeats another is left out.

    Runs of different notebooks do not differ in what only one of them has.
    """
    names = dict.fromkeys(name for run in runs for name in run.parameters)
    if len(runs) > 1:
        names = dict.fromkeys(name for name in names if _differ(runs, name))
    return [name for name in names if not _repeats(name, names, runs)]


def _differ(runs: Sequence[Run], name: str) -> bool:
    values = {repr(run.parameters[name]) for run in runs if name in run.parameters}
    having = {run.experiment for run in runs if name in run.parameters}
    return len(values) > 1 or any(name not in run.parameters for run in runs if run.experiment in having)


def _repeats(name: str, names: Iterable[str], runs: Sequence[Run]) -> bool:
    """Say whether it is what autologging found an estimator set to, by a parameter that is there as well."""
    plain = name.rpartition("__")[2]
    return (
        plain != name
        and plain in names
        and all(
            name not in run.parameters
            or (plain in run.parameters and run.parameters[plain] == run.parameters[name])
            for run in runs
        )
    )


def tally(runs: Sequence[Run]) -> list[str]:
    """Return how many of the runs are not simply finished."""
    states = ("failed", "running", "queued", "stopped", "pruned")
    counts = ((sum(state_of(run) == state for run in runs), state) for state in states)
    return [f"{formats.number(times)} {state}" for times, state in counts if times]


def best_first(runs: Sequence[Run], metric: str | None, goal: str | None) -> tuple[Run, ...]:
    """Return the runs ranked by ``metric``; those without it come last, in their order."""
    if not metric:
        return tuple(runs)
    sign = 1 if goal == "minimize" else -1
    ranked = sorted((run for run in runs if _known(run, metric)), key=lambda run: sign * run.metrics[metric])
    return (*ranked, *(run for run in runs if not _known(run, metric)))


def _progress(value: Runs, seconds_left: float | None) -> list[str]:
    """Return how far a running sweep is."""
    ended = [run for run in value if run.status in _ENDED]
    at_work = sum(run.status == "running" for run in value)
    asked = max(len(value), value.sweep.size if value.sweep else 0)
    parts = [f"{formats.number(len(ended))} of {formats.number(asked)} done"]
    if at_work:
        parts.append(f"{formats.number(at_work)} running")
    left = _seconds_left(value, ended, at_work) if seconds_left is None else seconds_left
    if left is not None and left >= 1:
        # it is a guess: tenths of a second would promise too much
        parts.append(f"about {formats.duration(left) if left >= 10 else f'{left:.0f} s'} left")
    return parts


def _seconds_left(value: Runs, ended: Sequence[Run], at_work: int) -> float | None:
    lasted = [run.duration for run in ended if run.duration]
    if not lasted or not at_work:
        return None
    mean = sum(lasted) / len(lasted)
    waiting = sum(run.status == "queued" for run in value)
    under_way = sum(max(mean - (run.duration or 0.0), 0.0) for run in value if run.status == "running")
    return (waiting * mean + under_way) / at_work


def _size(value: Runs) -> str:
    return f"{formats.count(len(value), 'run')} of {value.sweep.notebook if value.sweep else ''}"


def _known(run: Run, metric: str) -> bool:
    return run.status == "finished" and math.isfinite(run.metrics.get(metric, math.nan))
