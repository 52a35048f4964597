"""Verbs of the history."""

from __future__ import annotations

from collections import deque
from typing import Any

import click

from ..people import Role
from ..project import Project
from ..value import Listing
from . import outcome
from .table import verb


@verb("audit log", role=Role.VIEWER, alone=True)
@click.option(
    "--since", type=click.IntRange(0), default=0, metavar="NUMBER", help="Only events after this number."
)
@click.option("--about", metavar="THING", help="Only of one thing, such as model:fraud@v3.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="The newest so many.")
def log(project: Project, since: int, about: str | None, limit: int) -> Any:
    """List what happened: who did what to what, when."""
    return Listing("events", tuple(deque(project.events(since, about), maxlen=limit)))


@verb("audit verify", role=Role.VIEWER, outcome=outcome.of_check)
def verify(project: Project) -> Any:
    """Check that nothing in the history was altered, removed or reordered."""
    return project.audit.verify()
