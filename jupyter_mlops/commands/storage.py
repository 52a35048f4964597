"""Verbs of stored bytes: verify, compact, gc."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ..people import Role
from ..project import Project
from . import outcome
from .table import verb
from .words import DATA_REF

if TYPE_CHECKING:
    from ..automation.upkeep import Upkeep


@verb(
    "data verify",
    role=Role.VIEWER,
    outcome=outcome.of_check,
    interrupted="nothing was changed; `--sample` reads a part at a time, the least recently read first",
)
@click.argument("ref", type=DATA_REF, required=False)
@click.option("--quick", "level", flag_value="quick", help="Only the names and sizes of the packs.")
@click.option(
    "--sample", "level", flag_value="sample", help="Read a hundredth, the least recently read first."
)
@click.option(
    "--full", "level", flag_value="full", default=True, help="Read every byte; this is the default."
)
@click.option("--report-only", is_flag=True, help="Say what is wrong and change nothing.")
def verify(project: Project, ref: str | None, level: str, report_only: bool) -> Any:
    """Check that the stored bytes of everything, or of the version REF, are what was stored.

    Damaged packs are set aside, never deleted. What is lost comes from other packs, from files here that are
    as they were committed, or from remotes. Exits with 1 where damage was found, mended or not.
    """
    return _upkeep(project).verify(ref, level or "full", repair=not report_only)  # type: ignore[arg-type]  # flags


@verb("data compact", role=Role.CONTRIBUTOR)
@click.option("--seconds", type=click.FloatRange(0), help="Stop after so long; the next time goes on.")
def compact(project: Project, seconds: float | None) -> Any:
    """Keep near-equal versions as differences, each decoded and compared before the plain copy goes."""
    return _upkeep(project).compact(seconds)


@verb("data gc", role=Role.OPERATOR, interrupted="what is needed is all there; the same command goes on")
@click.option("--delete", is_flag=True, help="Do it; without, it only says what would go.")
@click.option(
    "--grace", default="24h", show_default=True, metavar="TIME", help="How long bytes stay unneeded."
)
@click.option("--undo", is_flag=True, help="Bring back what is still in the trash.")
def gc(project: Project, delete: bool, grace: str, undo: bool) -> Any:
    """Free the bytes that no version, run or model needs: condemned by one run, freed by a later one."""
    if undo and delete:
        raise click.UsageError("--undo and --delete are opposites")
    return _upkeep(project).undo() if undo else _upkeep(project).gc(delete, grace)


def _upkeep(project: Project) -> Upkeep:
    from ..automation.upkeep import Upkeep

    return Upkeep(project)
