"""Verbs of datasets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from ..people import Role
from ..project import Project
from ..value import Listing
from .table import verb
from .words import ALIAS, DATA_REF, DATASET, FILE, TABLE


@verb("data commit", role=Role.CONTRIBUTOR)
@click.argument("name", type=DATASET)
@click.argument("source", type=TABLE)
@click.option("-m", "--message", default="", help="What is new in this version.")
@click.option(
    "--key", "key", multiple=True, metavar="COLUMN", help="Column that identifies a row; may be repeated."
)
@click.option(
    "--parent", "parents", multiple=True, type=DATA_REF, metavar="REF", help="A version this came from."
)
def commit(
    project: Project, name: str, source: Any, message: str, key: tuple[str, ...], parents: tuple[str, ...]
) -> Any:
    """Make SOURCE (a file, a folder, or a table in a variable) the next version of dataset NAME."""
    return project.datasets.commit(name, source, message=message, key=list(key) or None, parents=parents)


@verb("data list", role=Role.VIEWER, alone=True, chat=True)
def list_(project: Project) -> Any:
    """List the datasets."""
    return Listing("datasets", project.datasets.list())


@verb("data versions", role=Role.VIEWER, chat=True)
@click.argument("name", type=DATASET)
def versions(project: Project, name: str) -> Any:
    """List the versions of dataset NAME."""
    return Listing("versions", project.datasets.versions(name))


@verb("data show", role=Role.VIEWER, chat=True)
@click.argument("ref", type=DATA_REF)
def show(project: Project, ref: str) -> Any:
    """Show one version: its size, its columns and a small profile of each."""
    return project.datasets.get(ref).describe()


@verb("data alias", role=Role.CONTRIBUTOR)
@click.argument("ref", type=DATA_REF)
@click.argument("alias", type=ALIAS)
def alias(project: Project, ref: str, alias: str) -> Any:
    """Point ALIAS of the dataset at the version REF."""
    return project.datasets.alias(ref, alias)


@verb("data checkout", role=Role.VIEWER)
@click.argument("ref", type=DATA_REF)
@click.option("--to", "path", type=FILE, metavar="PATH", help="Where to; else its own name, here.")
def checkout(project: Project, ref: str, path: str | None) -> Any:
    """Write the version REF as files, byte for byte."""
    version = project.datasets.get(ref)
    return replace(version, note=f"written to {version.checkout(path)}")
