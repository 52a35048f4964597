"""``%%mlops track EXPERIMENT``: record one cell as a run. Called by the cell magic."""

from __future__ import annotations

from typing import Any

import click
from IPython.core.error import UsageError

from ..commands import Session
from ..commands.words import EXPERIMENT, INPUT
from ..errors import BadInput
from ..people import Role


@click.command("track")
@click.argument("experiment", type=EXPERIMENT)
@click.option("--input", "inputs", multiple=True, type=INPUT, metavar="KEY=REF", help="A dataset it reads.")
@click.pass_context
def track_command(context: click.Context, experiment: str, inputs: tuple[tuple[str, Any], ...]) -> Any:
    """Record the cell below as a run of EXPERIMENT."""
    return experiment, dict(inputs)


def track(shell: Any, session: Session, words: list[str], cell: str) -> Any:
    """Execute ``cell`` inside a run and return the run; a cell that fails is a failed run, and raises."""
    if words[:1] != ["track"]:
        raise BadInput("a cell can only be tracked", "%%mlops track EXPERIMENT [--input KEY=REF]")
    try:
        asked = track_command.main(words[1:], prog_name="%%mlops track", standalone_mode=False, obj=session)
    except click.UsageError as error:
        raise UsageError(error.format_message()) from None
    if isinstance(asked, int):  # --help was shown
        return None
    experiment, inputs = asked
    project = session.open()
    project.people.require(Role.CONTRIBUTOR)
    run = None
    try:
        with project.runs.start(experiment, inputs=inputs, code=cell) as run:
            shell.run_cell(cell, store_history=False).raise_error()
    except KeyboardInterrupt:
        raise
    except (Exception, SystemExit) as error:
        if run is None:
            raise
        if not isinstance(error, SystemExit) or error.code:
            # the cell's own traceback stands above already
            raise UsageError(f"run {run.id} failed: {type(error).__name__}: {error}") from None
    return project.runs.get(run.id)
