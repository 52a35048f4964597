"""Verbs of runs."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import click

from ..errors import BadInput, Conflict, NotFound, close_matches
from ..people import Role
from ..project import Project
from ..value import Listing
from . import outcome
from .table import verb
from .words import EXPERIMENT, FILE, GRID, INPUT, NOTEBOOK, PARAMETER, RUN_REF

_AS_BEFORE = "what was there before is still there; repeat it"
_to = click.option(
    "--to",
    "path",
    type=FILE,
    metavar="PATH",
    help="What to write; else its own name, here. A single file may go into an existing folder.",
)
_force = click.option(
    "--force", is_flag=True, help="Replace what is there, too; it is moved to PATH.replaced."
)


def _templates(arguments: Mapping[str, Any]) -> AbstractContextManager[None]:
    """Have templates import what a local sweep's runs will need."""
    given = arguments
    elsewhere = given["executor"] or given["detach"] or given["cold"] or given["like"]
    if elsewhere or not given["notebook"] or sys.platform != "linux":
        return nullcontext()
    size = given["trials"] or math.prod(len(values) for _, values in given["grid"])
    if size < 2:
        return nullcontext()
    from ..runs.execution.warm.ahead import begun

    return begun(given["notebook"], size, given["workers"])


@verb(
    "run",
    role=Role.CONTRIBUTOR,
    outcome=outcome.of_execution,
    ahead=_templates,
    interrupted="nothing was started",
)
@click.argument("notebook", type=NOTEBOOK, required=False)
@click.option("-p", "parameters", multiple=True, type=PARAMETER, metavar="KEY=VALUE", help="Set a parameter.")
@click.option(
    "-f",
    "--file",
    "file",
    type=FILE,
    metavar="PATH",
    help="Read parameters from a YAML or JSON file; -p wins over it.",
)
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
@click.option(
    "--prune-after",
    type=click.IntRange(0),
    default=0,
    metavar="STEP",
    help="Stop no run so before this step.",
)
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
    file: str | None,
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
    prune_after: int,
    cold: bool,
    like: str | None,
    detach: bool,
    yes: bool,
) -> Any:
    """Execute NOTEBOOK once, or once for each parameter set of a search; with --like, a run once more."""
    given: dict[str, Any] = {
        "parameters": {**(_read(file) if file else {}), **_once("-p", parameters)},
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
        "prune_after": prune_after,
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
            raise Conflict("nothing was started") from None
        runs = project.runs.execute(notebook, confirm=True, **given)
    return project.runs.reproduction(runs[0]) if like is not None and not detach else runs


def _read(file: str) -> dict[str, Any]:
    import yaml  # type: ignore[import-untyped]  # ships no types

    path = Path(file).expanduser()
    try:
        found = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} cannot be read as YAML: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise BadInput(f"{path} holds no parameters by name", "write one a line, such as C: 0.3")
    return found


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
    found = project.runs.search(where=where, order_by=order_by, limit=limit, experiment=experiment)
    if experiment is not None and not found:
        project.runs.check_experiment(experiment)
    return found


@verb("runs show", role=Role.VIEWER, chat=True)
@click.argument("ref", type=RUN_REF)
def show(project: Project, ref: str) -> Any:
    """Show one run: what made it, what came of it, and where it failed; of a sweep's id, all its runs."""
    return project.runs.named(ref)


@verb("runs sweeps", role=Role.VIEWER)
@click.option("--experiment", type=EXPERIMENT, metavar="NAME", help="Only of this experiment.")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="At most so many."
)
def sweeps(project: Project, experiment: str | None, limit: int) -> Any:
    """List sweeps, newest first; `runs show SWEEP` shows the runs of one."""
    found = project.runs.sweeps(experiment, limit)
    if experiment is not None and not found:
        project.runs.check_experiment(experiment)
    return Listing("sweeps", found)


@verb("runs artifacts", role=Role.VIEWER)
@click.argument("ref", type=RUN_REF)
def artifacts(project: Project, ref: str) -> Any:
    """List what a run keeps: files, folders, tables, figures, models; `runs artifact REF NAME` writes one."""
    return Listing("artifacts", tuple(project.runs.get(ref).artifacts.values()))


@verb("runs artifact", role=Role.VIEWER, interrupted=_AS_BEFORE)
@click.argument("ref", type=RUN_REF)
@click.argument("name")
@_to
@_force
def artifact(project: Project, ref: str, name: str, path: str | None, force: bool) -> Any:
    """Write the artifact NAME of a run as a file or folder, byte for byte."""
    run = project.runs.get(ref)
    if name not in run.artifacts:
        known = f"it has {', '.join(run.artifacts) or 'none'}"
        raise NotFound(f"run {run.id} has no artifact '{name}'", close_matches(name, run.artifacts, known))
    return run.artifacts[name].check_out(path, force=force)


@verb("runs notebook", role=Role.VIEWER, interrupted=_AS_BEFORE)
@click.argument("ref", type=RUN_REF)
@_to
@_force
def notebook_(project: Project, ref: str, path: str | None, force: bool) -> Any:
    """Write the notebook of a run as it was executed, with its outputs and where it failed."""
    return project.runs.get(ref).check_out_notebook(path or ".", force=force)


@verb("runs compare", role=Role.VIEWER)
@click.argument("refs", metavar="A B …", nargs=-1, required=True, type=RUN_REF)
def compare(project: Project, refs: tuple[str, ...]) -> Any:
    """Compare runs: metrics, parameters, inputs; two also by environment, sources, and cell by cell."""
    return project.runs.compare(*refs)


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
