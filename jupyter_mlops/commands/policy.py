"""Verbs of the policy."""

from __future__ import annotations

from typing import Any

from ..config import read_config
from ..people import Role
from ..project import Project
from . import outcome
from .table import verb


@verb("policy show", role=Role.VIEWER, alone=True)
def show(project: Project) -> Any:
    """Show the policy in force, and whether the file says something else."""
    return project.policies.show()


@verb("policy apply", role=Role.ADMIN, outcome=outcome.of_policy)
def apply(project: Project) -> Any:
    """Put the policy of mlops.toml in force; a looser one needs the approvals that the old one asked for."""
    return project.policies.apply(read_config(project.root).policy)
