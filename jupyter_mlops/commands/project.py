"""Verbs of the project as a whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from ..automation import overview
from ..config import FILE as FILE_NAME
from ..people import Role
from ..project import Project, init_project, set_whoami
from . import outcome
from .session import Session
from .table import verb
from .words import FILE


@verb("init", role=Role.NONE, project=False)
@click.argument("path", default=".", type=FILE)
def init(session: Session, path: str) -> Any:
    """Make PATH (else this folder) a project: writes mlops.toml, records its policy, makes you its admin."""
    there = (Path(path).expanduser() / FILE_NAME).exists()
    session.project, session.opened = init_project(Path(path), session.actor), True
    made, actor = session.project, session.project.actor
    file = f"{made.root.name}/{FILE_NAME} {'read' if there else 'written'}"
    said = f"{file}; you act as {actor.name} ({actor.source})"
    seen = overview(made)
    return replace(seen, notes=(said, *seen.notes))


@verb("status", role=Role.VIEWER, chat=True)
def status(project: Project) -> Any:
    """Show what waits for you, what runs, what is in production, what drifts."""
    return overview(project)


@verb("whoami", role=Role.NONE, chat=True)
@click.option("--set", "name", metavar="EMAIL", help="Be this person in this working copy from now on.")
def whoami(project: Project, name: str | None) -> Any:
    """Show who you are here, how that is known, and your role."""
    if name is not None:
        project.people.actor = set_whoami(project, name)
    return project.people.whoami()


@verb(
    "worker",
    role=Role.CONTRIBUTOR,
    outcome=outcome.of_runs,
    interrupted="what it executed then was stopped, and is queued again",
)
@click.option("--workers", type=click.IntRange(1, 64), help="How many runs it executes at a time.")
@click.option("--once", is_flag=True, help="End when nothing is left to execute.")
def worker(project: Project, workers: int | None, once: bool) -> Any:
    """Execute queued runs, and keep the records true: expired requests, runs whose process is gone."""
    from ..automation.worker import work

    return work(project, workers, once, lambda text: click.echo(text, err=True))
