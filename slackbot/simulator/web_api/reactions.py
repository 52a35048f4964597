"""The method ``reactions.add``."""

from __future__ import annotations

import re

from ..arguments import Arguments
from ..refusal import JSON, Refusal
from ..slack import Slack

_NAME = re.compile(r"[a-z0-9_+'-]{1,100}(::skin-tone-[2-6])?")


def add(slack: Slack, arguments: Arguments) -> JSON:
    """Add the bot's reaction to a message."""
    channel = slack.channel_for_app(arguments.text("channel"), by_id_only=True, error="channel_not_found")
    ts = arguments.ts("timestamp", "bad_timestamp") or ""
    message = slack.workspace.message(channel.id, ts)
    if message is None or message.only_for is not None:
        raise Refusal("message_not_found")
    name = arguments.text("name").strip(":")
    if not _NAME.fullmatch(name):
        raise Refusal("invalid_name")
    reactions: dict[str, list[str]] = dict(message.body.get("reactions", {}))
    bot = slack.workspace.bot.id
    if bot in reactions.get(name, ()):
        raise Refusal("already_reacted")
    reactions[name] = [*reactions.get(name, ()), bot]
    slack.change(message, {**message.body, "reactions": reactions})
    return {}
