"""Verbs of Slack: the bot, a Slack to try it on, what is still to be told. Found by entry point."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from jupyter_mlops.commands import Session, verb
from jupyter_mlops.companions import SIMULATOR_FOLDER
from jupyter_mlops.lifeline import follow_parent
from jupyter_mlops.people import Role
from jupyter_mlops.project import Project
from jupyter_mlops.value import Listing
from jupyter_mlops.views.dispatch import Column, listed, listing, when
from jupyter_mlops.views.view import Cell, View

from . import delivery, texts

if TYPE_CHECKING:
    from .simulator import Simulator


@verb("slack run", role=Role.CONTRIBUTOR)
def run(project: Project) -> Any:
    """Run the bot: it tells the chat what happens here and does what people ask of it. Ctrl-C ends it."""
    # imported here because it takes half a second, and every other verb does without
    from .app import access, run

    follow_parent()
    given = access()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    run(project, given, on_ready=lambda: click.echo(texts.CONNECTED.format(url=given.url)))


@verb("slack simulate", role=Role.CONTRIBUTOR)
@click.option("--port", type=click.IntRange(0, 65_535), default=0, help="Its port; 0 takes a free one.")
def simulate(project: Project, port: int) -> Any:
    """Run a local Slack with this project's people and channels, to read, type and press in a browser."""
    from .simulator import run

    follow_parent()

    def ready(simulator: Simulator) -> None:
        click.echo(texts.SIMULATING.format(url=simulator.url))
        if not sys.stdout.isatty():
            return  # whoever started it reads the tokens from the folder; they belong in no log
        click.echo(
            f"SLACK_API_URL={simulator.api_url} SLACK_BOT_TOKEN={simulator.bot_token} "
            f"SLACK_APP_TOKEN={simulator.app_token} mlops slack run"
        )

    async def until_signal() -> None:
        folder = project.state / SIMULATOR_FOLDER
        channels = [name.removeprefix("#") for name in project.config.slack.channels]
        serving = asyncio.ensure_future(run(folder, _people(project), channels, port, ready))
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await serving

    asyncio.run(until_signal())


@verb("slack outbox", role=Role.VIEWER)
@click.option("--retry", metavar="ID", help="Try once more to send what was given up.")
@click.option("--drop", metavar="ID", help="Never send what was given up.")
def outbox(project: Project, retry: str | None, drop: str | None) -> Any:
    """List the messages that wait or were given up, and why."""
    delivery.migrate(project.store)
    if retry:
        return delivery.retry(project, retry)
    if drop:
        return delivery.drop(project, drop)
    return Listing("deliveries", delivery.Outbox(project.store).unfinished())


@verb("slack manifest", role=Role.NONE, project=False)
def manifest(session: Session) -> Any:
    """Show the manifest from which a Slack workspace makes the app; --json shows nothing else."""
    from .manifest import manifest

    return manifest()


@listing("deliveries", delivery.Delivery)
def _deliveries(items: Sequence[delivery.Delivery]) -> View:
    columns = (
        Column("id", lambda one: Cell(one.id[:8], "code")),
        Column("about", lambda one: one.subject),
        Column("channel", lambda one: one.channel),
        Column("state", lambda one: Cell(one.state, "bad" if one.state == "dead" else "warning")),
        Column("tries", lambda one: str(one.attempts), True),
        Column("since", lambda one: when(one.at)),
        Column("why", lambda one: one.error),
    )
    return listed("message", items, columns, empty="everything is told")


def _people(project: Project) -> list[dict[str, str]]:
    listed = project.people.policy.people
    names = (*listed.admin, *listed.approver, *listed.operator, *listed.contributor, *listed.viewer)
    return [
        {"email": name, "name": name.partition("@")[0].replace(".", " ").title()}
        for name in dict.fromkeys(names)
        if "@" in name
    ]
