"""Verbs of approvals: look, and vote."""

from __future__ import annotations

from typing import Any

import click

from ..people import Role
from ..project import Project
from ..value import Listing
from .table import verb
from .words import APPROVAL


@verb("approvals list", role=Role.VIEWER, alone=True, chat=True)
@click.option("--all", "everything", is_flag=True, help="Also those that are decided.")
def list_(project: Project, everything: bool) -> Any:
    """List the requests that wait for a decision."""
    return Listing("approvals", project.approvals.list(state=None if everything else "pending"))


@verb("approvals show", role=Role.VIEWER, chat=True)
@click.argument("id", type=APPROVAL)
def show(project: Project, id: str) -> Any:
    """Show one request: what would change, its gates, its votes."""
    return project.approvals.get(id)


# who may vote is the alias's policy, which may name people; the service decides
@verb("approve", role=Role.VIEWER, chat=True)
@click.argument("id", type=APPROVAL)
@click.option("--reason", default="", help="Why.")
def approve(project: Project, id: str, reason: str) -> Any:
    """Vote for a request; the deciding vote moves the alias."""
    return project.approvals.approve(id, reason=reason)


@verb("reject", role=Role.VIEWER, chat=True)
@click.argument("id", type=APPROVAL)
@click.option("--reason", required=True, help="Why; it is required.")
def reject(project: Project, id: str, reason: str) -> Any:
    """Vote against a request, which ends it."""
    return project.approvals.reject(id, reason)


@verb("revoke", role=Role.VIEWER)
@click.argument("id", type=APPROVAL)
@click.option("--reason", default="", help="Why.")
def revoke(project: Project, id: str, reason: str) -> Any:
    """Take back one's own request."""
    return project.approvals.revoke(id, reason=reason)
