"""Verbs of remotes: push, pull, and the places themselves."""

from __future__ import annotations

from typing import Any

import click

from ..people import Role
from ..project import Project
from ..value import Listing
from .table import verb
from .words import DATA_REF, FILE, REMOTE

_GOES_ON = "what was moved counts; the same command goes on from there"
_remote = click.option(
    "--remote", type=REMOTE, metavar="NAME", help="Which remote; else the default, or the only one."
)


@verb("data push", role=Role.CONTRIBUTOR, interrupted=_GOES_ON)
@click.argument("ref", type=DATA_REF, required=False)
@_remote
def push(project: Project, ref: str | None, remote: str | None) -> Any:
    """Bring to a remote what it lacks of REF: a version, all versions of a dataset, or everything.

    REF is NAME@v2, NAME@ALIAS, or NAME for all versions. The aliases of what is pushed go with it.
    """
    return project.datasets.push(ref, remote)


@verb("data pull", role=Role.VIEWER, interrupted=_GOES_ON)
@click.argument("ref", type=DATA_REF, required=False)
@_remote
def pull(project: Project, ref: str | None, remote: str | None) -> Any:
    """Fetch from a remote what is not here of REF: a version, all versions of a dataset, or everything.

    REF is NAME@v2, NAME@ALIAS, or NAME for all versions, as the remote calls them. Aliases come with it.
    """
    return project.datasets.pull(ref, remote)


@verb("data remote add", role=Role.CONTRIBUTOR)
@click.argument("name")
@click.argument("url", type=FILE)
def add(project: Project, name: str, url: str) -> Any:
    """Declare the remote NAME at URL, such as s3://bucket/prefix or a folder, and try whether it works."""
    return project.remotes.add(name, url)


@verb("data remote list", role=Role.VIEWER, alone=True)
def list_(project: Project) -> Any:
    """List the remotes."""
    return Listing("remotes", project.remotes.list())


@verb("data remote remove", role=Role.CONTRIBUTOR)
@click.argument("name", type=REMOTE)
def remove(project: Project, name: str) -> Any:
    """Forget the remote NAME; what it holds stays there."""
    return project.remotes.remove(name)
