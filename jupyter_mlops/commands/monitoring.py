"""Verbs of drift and alerts."""

from __future__ import annotations

from typing import Any

import click

from ..errors import BadInput
from ..people import Role
from ..project import Project
from ..value import Listing
from . import outcome
from .table import verb
from .words import ALERT, DATA_REF_OR_TABLE


@verb("drift", role=Role.VIEWER, outcome=outcome.of_drift)
@click.argument("reference", type=DATA_REF_OR_TABLE)
@click.argument("current", type=DATA_REF_OR_TABLE)
@click.option("--column", "columns", multiple=True, metavar="NAME", help="Only this column; may be repeated.")
@click.option("--alert", is_flag=True, help="Raise an alert if it drifted.")
@click.option("--fail-on-drift", is_flag=True, help="Exit with 1 if it drifted.")
def drift(
    project: Project, reference: Any, current: Any, columns: tuple[str, ...], alert: bool, fail_on_drift: bool
) -> Any:
    """Compare version CURRENT with version REFERENCE, column by column."""
    report = project.drift(reference, current, columns=list(columns) or None)
    if alert and not (report.reference and report.current):
        raise BadInput("an alert is about versions, and a variable holds a table", "commit the table first")
    if alert and report.drifted:
        project.alerts.open(
            key=f"drift:{report.reference}:{report.current}",
            title=f"{report.current} drifted from {report.reference}",
            about=f"data:{report.current}",
            report=report.to_dict(),
        )
    return report


@verb("alerts list", role=Role.VIEWER, alone=True, chat=True)
@click.option("--all", "everything", is_flag=True, help="Also those that somebody took care of.")
def list_(project: Project, everything: bool) -> Any:
    """List what needs attention."""
    return Listing("alerts", project.alerts.list(state=None if everything else "open"))


@verb("alerts show", role=Role.VIEWER, chat=True)
@click.argument("id", type=ALERT)
def show(project: Project, id: str) -> Any:
    """Show one alert and the report behind it."""
    return project.alerts.get(id)


@verb("alerts acknowledge", role=Role.OPERATOR, chat=True)
@click.argument("id", type=ALERT)
def acknowledge(project: Project, id: str) -> Any:
    """Say that you take care of it."""
    return project.alerts.acknowledge(id)
