"""Verbs of models and their aliases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..errors import BadInput
from ..people import Role
from ..project import Project
from ..value import Listing
from . import outcome
from .table import verb
from .words import ALIAS, FILE, MODEL, MODEL_REF, RUN_OR_ESTIMATOR


@verb("models register", role=Role.CONTRIBUTOR)
@click.argument("name", type=MODEL)
@click.argument("source", type=RUN_OR_ESTIMATOR, metavar="RUN")
def register(project: Project, name: str, source: Any) -> Any:
    """Make the model that RUN logged (or a variable holds) the next version of model NAME."""
    return project.models.register(name, source)


@verb("models list", role=Role.VIEWER, alone=True, chat=True)
def list_(project: Project) -> Any:
    """List the models, with what their aliases point at."""
    return Listing("models", project.models.list())


@verb("models versions", role=Role.VIEWER, chat=True)
@click.argument("name", type=MODEL)
def versions(project: Project, name: str) -> Any:
    """List the versions of model NAME."""
    return Listing("model versions", project.models.versions(name))


@verb("models show", role=Role.VIEWER, chat=True)
@click.argument("ref", type=MODEL_REF)
def show(project: Project, ref: str) -> Any:
    """Show one version: its run, data, signature and aliases."""
    return project.models.get(ref)


@verb("models history", role=Role.VIEWER, chat=True)
@click.argument("name", type=MODEL)
@click.argument("alias", type=ALIAS)
@click.option("--at", metavar="TIME", help="Show who held the alias then, such as 2026-11-03.")
def history(project: Project, name: str, alias: str, at: str | None) -> Any:
    """List what ALIAS of model NAME has pointed at, newest first."""
    if at is not None:
        return project.models.get(f"{name}@{alias}", at=at)
    return Listing("alias moves", project.models.history(name, alias))


@verb("models gate", role=Role.VIEWER, outcome=outcome.of_check)
@click.argument("ref", type=MODEL_REF)
@click.option("--alias", required=True, type=ALIAS, help="The alias whose conditions to check.")
@click.option("--report", type=FILE, metavar="FILE", help="Also write the report here, as Markdown.")
def gate(project: Project, ref: str, alias: str, report: str | None) -> Any:
    """Check REF against the conditions for ALIAS, scored on the declared evaluation data."""
    result = project.models.gate(ref, alias)
    if report:
        from ..views import to_markdown, view

        try:
            Path(report).write_text(to_markdown(view(result)), "utf-8")
        except OSError as error:
            raise BadInput(f"the report cannot be written to {report}: {error.strerror}") from error
    return result


@verb("promote", role=Role.CONTRIBUTOR, outcome=outcome.of_request)
@click.argument("ref", type=MODEL_REF)
@click.argument("alias", type=ALIAS)
@click.option("--reason", default="", help="Why; shown to those who decide.")
@click.option("--wait", metavar="TIME", help="Wait for the decision, at most so long (2h, 30m).")
def promote(project: Project, ref: str, alias: str, reason: str, wait: str | None) -> Any:
    """Ask that ALIAS moves to REF; it moves at once where no approval is needed."""
    approval = project.models.promote(ref, alias, reason=reason)
    return approval.wait(wait) if wait else approval


@verb("rollback", role=Role.OPERATOR)
@click.argument("name", type=MODEL)
@click.argument("alias", type=ALIAS)
@click.option("--reason", default="", help="Why.")
def rollback(project: Project, name: str, alias: str, reason: str) -> Any:
    """Point ALIAS of model NAME back at the version that held it before."""
    return project.models.rollback(name, alias, reason=reason)
