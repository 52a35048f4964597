"""Verbs of runs."""

from __future__ import annotations

import sys
from typing import Any

import click

from ..errors import BadInput
from ..people import Role
from ..project import Project
from . import outcome
from .table import verb
from .words import EXPERIMENT, GRID, INPUT, NOTEBOOK, PARAMETER, RUN_REF

_RESUME = "what was recorded is kept; `mlops runs resume EXPERIMENT@latest` executes what is missing"


@verb("run", role=Role.CONTRIBUTOR, outcome=outcome.of_execution, interrupted=_RESUME)
@click.argument("notebook", type=NOTEBOOK, required=False)
@click.option("-p", "parameters", multiple=True, type=PARAMETER, metavar="KEY=VALUE", help="Set a parameter.")
@click.option(
    "--input", "inputs", multiple=True, type=INPUT, metavar="KEY=REF", help="Fix a dataset it reads."
)
@click.option("--grid", multiple=True, type=GRID, metavar="KEY=A,B,…", help="Try each of these values.")
@click.option(
    "--space",
    multiple=True,
    type=PARAMETER,
    metavar="KEY=LOW:HIGH[:log]",
    help="Draw from a range, or from A,B,…",
)
@click.option(
    "--search", type=click.Choice(("grid", "random", "optuna")), default="grid", help="How sets are found."
)
@click.option("--trials", type=click.IntRange(1), help="How many sets a random or optuna search tries.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="The same seed draws the same sets.")
@click.option("--maximize", metavar="METRIC", help="The best run has the largest of it.")
@click.option("--minimize", metavar="METRIC", help="The best run has the smallest of it.")
@click.option(
    "--experiment", type=EXPERIMENT, metavar="NAME", help="Where the runs belong; else the notebook's name."
)
@click.option("--workers", type=click.IntRange(1, 64), help="How many run at a time.")
@click.option("--executor", metavar="NAME", help="Where: local, or an installed one such as dask.")
@click.option("--limit", metavar="TIME", help="A run that takes longer fails: 30s, 10m, 2h.")
@click.option(
    "--retries",
    type=click.IntRange(0, 10),
    default=1,
    show_default=True,
    help="How often a run is tried again whose kernel died.",
)
@click.option("--prune/--no-prune", default=None, help="Whether to stop runs that are worse than the median.")
@click.option("--cold", is_flag=True, help="Start every kernel anew.")
@click.option(
    "--like", type=RUN_REF, metavar="RUN", help="Execute RUN again, with all that was kept, and compare."
)
@click.option("--detach", is_flag=True, help="Queue the runs for `mlops worker`, and return at once.")
@click.option("--yes", is_flag=True, help="Do not ask, however many runs it are.")
def run(
    project: Project,
    notebook: str | None,
    parameters: tuple[tuple[str, Any], ...],
    inputs: tuple[tuple[str, Any], ...],
    grid: tuple[tuple[str, Any], ...],
    space: tuple[tuple[str, Any], ...],
    search: str,
    trials: int | None,
    seed: int | None,
    maximize: str | None,
    minimize: str | None,
    experiment: str | None,
    workers: int | None,
    executor: str | None,
    limit: str | None,
    retries: int,
    prune: bool | None,
    cold: bool,
    like: str | None,
    detach: bool,
    yes: bool,
) -> Any:
    """Execute NOTEBOOK once, or once for each parameter set of a search; with --like, a run once more."""
    given: dict[str, Any] = {
        "parameters": _once("-p", parameters),
        "inputs": _once("--input", inputs),
        "grid": _once("--grid", grid) or None,
        "space": _once("--space", space) or None,
        "search": search,
        "trials": trials,
        "seed": seed,
        "maximize": maximize,
        "minimize": minimize,
        "experiment": experiment,
        "workers": workers,
        "executor": executor,
        "limit": limit,
        "retries": retries,
        "prune": prune,
        "cold": cold,
        "like": like,
        "wait": not detach,
    }
    try:
        runs = project.runs.execute(notebook, confirm=yes, **given)
    except BadInput as error:
        if yes or not getattr(error, "confirmable", False) or not sys.stdin.isatty():
            raise
        if not click.confirm(f"{error.message}: execute them all?", err=True):
            raise
        runs = project.runs.execute(notebook, confirm=True, **given)
    return project.runs.reproduction(runs[0]) if like is not None and not detach else runs


def _once(option: str, pairs: tuple[tuple[str, Any], ...]) -> dict[str, Any]:
    given = dict(pairs)
    if len(given) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in given if keys.count(key) > 1)
        raise BadInput(f"{option} gives {twice} twice", f"write {option} {twice}=… once")
    return given


@verb("runs list", role=Role.VIEWER, alone=True, chat=True)
@click.option("--where", default="", metavar="FILTER", help="Such as: metrics.auc > 0.8 and parameters.C = 1")
@click.option("--order", "order_by", metavar="BY", help="Such as: metrics.auc desc")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="At most so many."
)
@click.option("--experiment", type=EXPERIMENT, metavar="NAME", help="Only of this experiment.")
def list_(project: Project, where: str, order_by: str | None, limit: int, experiment: str | None) -> Any:
    """List runs, newest first.

    A filter looks at metrics., parameters., tags., inputs. and at facts such as status, experiment, duration:
    `metrics.auc > 0.8 and not parameters.penalty in ('l1', 'l2')`. `text matches 'word beginn*'` finds words
    in names, notes, parameters, tags and errors. The whole grammar with examples: docs/search.md.
    """
    return project.runs.search(where=where, order_by=order_by, limit=limit, experiment=experiment)


@verb("runs show", role=Role.VIEWER, chat=True)
@click.argument("ref", type=RUN_REF)
def show(project: Project, ref: str) -> Any:
    """Show one run: what made it, what came of it, and where it failed."""
    return project.runs.get(ref)


@verb("runs notebook", role=Role.VIEWER)
@click.argument("ref", type=RUN_REF)
@click.option("--to", "path", default=".", show_default=True, metavar="PATH", help="A new file, or a folder.")
def notebook_(project: Project, ref: str, path: str) -> Any:
    """Write the notebook of a run as it was executed, with its outputs and where it failed."""
    run = project.runs.get(ref)
    run.checkout_notebook(path)
    return run


@verb("runs compare", role=Role.VIEWER)
@click.argument("a", type=RUN_REF)
@click.argument("b", type=RUN_REF)
def compare(project: Project, a: str, b: str) -> Any:
    """Compare two runs: metrics, parameters, inputs, environment, sources, notebooks cell by cell."""
    return project.runs.compare(a, b)


@verb("runs resume", role=Role.CONTRIBUTOR, outcome=outcome.of_runs)
@click.argument("ref", type=RUN_REF)
def resume(project: Project, ref: str) -> Any:
    """Execute what a sweep still lacks: runs that were stopped, killed, or never started."""
    return project.runs.resume(ref)


@verb("runs stop", role=Role.OPERATOR)
@click.argument("ref", type=RUN_REF)
@click.option("--reason", default="", help="Why.")
def stop(project: Project, ref: str, reason: str) -> Any:
    """Stop a run or a sweep."""
    return project.runs.stop(ref, reason=reason)


@verb("runs note", role=Role.CONTRIBUTOR)
@click.argument("ref", type=RUN_REF)
@click.argument("text")
def note(project: Project, ref: str, text: str) -> Any:
    """Write TEXT beside a run; an empty text takes the note away."""
    return project.runs.note(ref, text)


@verb("runs remove", role=Role.CONTRIBUTOR)
@click.argument("ref", type=RUN_REF)
@click.option("--reason", default="", metavar="TEXT", help="Why it goes.")
def remove(project: Project, ref: str, reason: str) -> Any:
    """Hide a run that no model was made from, or a sweep; `runs restore` brings it back."""
    return project.runs.remove(ref, reason=reason)


@verb("runs restore", role=Role.CONTRIBUTOR)
@click.argument("ref", type=RUN_REF)
def restore(project: Project, ref: str) -> Any:
    """Bring a removed run or sweep back, while its bytes are there."""
    return project.runs.restore(ref)
