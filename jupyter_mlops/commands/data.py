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
@click.option("--verify", is_flag=True, help="Read files that look unchanged, too.")
def commit(
    project: Project,
    name: str,
    source: Any,
    message: str,
    key: tuple[str, ...],
    parents: tuple[str, ...],
    verify: bool,
) -> Any:
    """Make SOURCE (a file, a folder, or a table in a variable) the next version of dataset NAME."""
    return project.datasets.commit(
        name, source, message=message, key=list(key) or None, parents=parents, verify=verify
    )


@verb("data list", role=Role.VIEWER, alone=True, chat=True)
@click.option("--all", "every", is_flag=True, help="Those whose versions were all removed, too.")
def list_(project: Project, every: bool) -> Any:
    """List the datasets."""
    found = project.datasets.list(removed=True)
    gone = [one.name for one in found if one.removed]
    if every or not gone:
        return Listing("datasets", found)
    return Listing("datasets", tuple(one for one in found if not one.removed), _not_shown(gone, "data list"))


@verb("data versions", role=Role.VIEWER, chat=True)
@click.argument("name", type=DATASET)
@click.option("--all", "every", is_flag=True, help="Those that were removed, too.")
def versions(project: Project, name: str, every: bool) -> Any:
    """List the versions of dataset NAME."""
    shown = project.datasets.versions(name, removed=every)
    if every:
        return Listing("versions", shown)
    found = project.datasets.versions(name, removed=True)
    gone = [f"v{one.number}" for one in reversed(found) if one.removed]
    numbers = {one.number for one in found}
    away = [f"v{number}" for number in range(1, max(numbers)) if number not in numbers]
    removed = _not_shown(gone, f"data versions {name}") if gone else ""
    said = (removed, f"Not pulled: {_named(away)}." if away else "")
    return Listing("versions", shown, " ".join(filter(None, said)))


def _not_shown(gone: list[str], shown_by: str) -> str:
    return f"Removed and not shown: {_named(gone)}. `mlops {shown_by} --all` shows removed ones, too."


def _named(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")


@verb("data show", role=Role.VIEWER, chat=True)
@click.argument("ref", type=DATA_REF)
def show(project: Project, ref: str) -> Any:
    """Show one version: its size, its files or columns and a small profile of each.

    REF is NAME@v2, NAME@ALIAS, or NAME for the latest version.
    """
    return project.datasets.get(ref).describe()


@verb("data diff", role=Role.VIEWER, chat=True)
@click.argument("before", metavar="A", type=DATA_REF)
@click.argument("after", metavar="B", type=DATA_REF)
@click.option(
    "--key", "key", multiple=True, metavar="COLUMN", help="Column that identifies a row; may be repeated."
)
@click.option(
    "--tolerance",
    type=float,
    metavar="SHARE",
    help="Numbers are equal that differ by no more than this share of them, such as 1e-9; below 1, by this.",
)
@click.option(
    "--rows",
    type=click.IntRange(1),
    default=10,
    show_default=True,
    metavar="N",
    help="How many changed, added and removed rows to show.",
)
@click.option("--all", "every", is_flag=True, help="Show all of them.")
def diff(
    project: Project,
    before: str,
    after: str,
    key: tuple[str, ...],
    tolerance: float | None,
    rows: int,
    every: bool,
) -> Any:
    """Compare version A with version B: files, columns, rows, changed values and shifts.

    A and B are NAME@v2, NAME@ALIAS, or NAME for the latest version.
    """
    kept = None if every else rows
    return project.datasets.diff(before, after, key=list(key) or None, tolerance=tolerance, rows=kept)


@verb("data alias", role=Role.CONTRIBUTOR)
@click.argument("ref", type=DATA_REF)
@click.argument("alias", type=ALIAS)
@click.option("--reason", default="", metavar="TEXT", help="Why it moves.")
@click.option("--remove", "away", is_flag=True, help="Take the alias away instead; REF is the dataset.")
def alias(project: Project, ref: str, alias: str, reason: str, away: bool) -> Any:
    """Point ALIAS of the dataset at the version REF.

    Aliases travel with push and pull; that one was taken away does not.
    """
    if away:
        return project.datasets.unalias(ref.partition("@")[0], alias, reason)
    return project.datasets.alias(ref, alias, reason)


@verb("data lineage", role=Role.VIEWER, chat=True)
@click.argument("ref", type=DATA_REF)
def lineage(project: Project, ref: str) -> Any:
    """Show what the version REF came from, and which runs, models and versions came of it."""
    return project.datasets.lineage(ref)


@verb("data checkout", role=Role.VIEWER, interrupted="what was there before is still there; repeat it")
@click.argument("ref", type=DATA_REF)
@click.option(
    "--to",
    "path",
    type=FILE,
    metavar="PATH",
    help="What to write; else its own name, here. A single file may go into an existing folder.",
)
@click.option("--link", is_flag=True, help="Share the bytes with the store: faster, and read-only.")
@click.option(
    "--force",
    is_flag=True,
    help="Replace what is there, too, if no version holds it; such files are moved to PATH.replaced.",
)
def checkout(project: Project, ref: str, path: str | None, link: bool, force: bool) -> Any:
    """Write the version REF as files, byte for byte.

    REF is NAME@v2, NAME@ALIAS, or NAME for the latest version.
    """
    version = project.datasets.get(ref)
    written = version.check_out(path, link=link, force=force)
    note = f"written to {written.path}"
    if written.aside is not None:
        named = ", ".join(name or written.path.name for name in written.files[:5])
        count = f"{len(written.files):,} file{'s' * (len(written.files) != 1)}"
        more = f" and {len(written.files) - 5:,} more" if len(written.files) > 5 else ""
        note += f"; {count} that no version holds moved to {written.aside}: {named}{more}"
    if link:
        note += "; linked files are read-only and shared: to change them, check out without --link"
    return replace(version, note=note)


@verb("data remove", role=Role.CONTRIBUTOR)
@click.argument("ref", type=DATA_REF)
@click.option("--reason", default="", metavar="TEXT", help="Why it goes.")
def remove(project: Project, ref: str, reason: str) -> Any:
    """Hide the version REF, which nothing may use; `data restore` brings it back."""
    return project.datasets.remove(ref, reason)


@verb("data restore", role=Role.CONTRIBUTOR)
@click.argument("ref", type=DATA_REF)
def restore(project: Project, ref: str) -> Any:
    """Bring the removed version REF back, while its bytes are there."""
    return project.datasets.restore(ref)
