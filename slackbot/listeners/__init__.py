"""The listeners: what the bot hears. Each parses, calls a verb, and shows what came of it."""

from __future__ import annotations

from collections.abc import Mapping

from slack_bolt.async_app import AsyncApp

from ..bot import Bot, Handler
from . import actions, commands, views

HANDLERS: Mapping[str, Handler] = {
    "command": commands.handle,
    "action": actions.handle,
    "reason": views.handle,
}
"""What is done about each kind of thing in the inbox."""


def register(app: AsyncApp, bot: Bot) -> None:
    """Let ``app`` hear for ``bot``."""
    commands.register(app, bot)
    actions.register(app, bot)
    views.register(app, bot)
