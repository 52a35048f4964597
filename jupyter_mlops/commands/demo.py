"""Verbs that start more than one thing: the demo, and everything at once."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import click

from ..people import Role
from ..project import Project
from .session import Session
from .table import verb
from .words import FILE


@verb("demo", role=Role.NONE, project=False)
@click.argument("folder", default="mlops-demo", type=FILE)
def demo(session: Session, folder: str) -> Any:
    """Play the whole story on real flights in FOLDER, about a minute; interrupted, it goes on."""
    from ..demo import tell

    def say(text: str) -> None:
        if not session.as_json:
            click.secho(f"\n{text}", bold=True)

    def show(value: Any) -> None:
        from ..views import print_view, view

        if not session.as_json:
            click.echo()
            print_view(view(value))

    return tell(Path(folder).expanduser().resolve(), say, show)


@verb("up", role=Role.CONTRIBUTOR, interrupted="everything that it started has ended")
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=0, help="The page's port; 0 takes a free one."
)
def up(project: Project, port: int) -> Any:
    """Start worker, bot and page, and a local Slack where no Slack token is set; Ctrl-C ends them all."""
    from ..companions import Companions

    with Companions(project) as companions:
        simulator = None
        if not os.environ.get("SLACK_BOT_TOKEN"):
            simulator = companions.start_simulator()
            click.echo(f"chat   {simulator['url']}  (a local Slack; choose who you are at the top)")
        page = companions.start_page(port)
        companions.start_bot(simulator, page=f"{page['url']}mlops/")
        companions.start("worker", "worker")
        for name, link in page["links"].items():
            click.echo(f"page   {link}  ({name})")
        click.echo("Press Ctrl-C to end them.")
        while True:
            companions.check()
            time.sleep(0.5)
