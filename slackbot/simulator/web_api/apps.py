"""Methods about the app itself: ``auth.test``, ``apps.connections.open`` and ``blocks.validate``."""

from __future__ import annotations

import json

from ... import limits
from .. import blockkit
from ..arguments import Arguments
from ..refusal import JSON, Refusal
from ..slack import Slack

SCOPES = (
    "app_mentions:read,channels:history,channels:read,chat:write,commands,files:write,im:history,im:write,"
    "metadata.message:read,reactions:write,users:read,users:read.email"
)
"""The scopes that the bot token has, as Slack reports them in a header."""


def test_auth(slack: Slack, arguments: Arguments) -> JSON:
    """Tell whose token was used."""
    identity = slack.workspace.identity
    return {
        "url": f"{slack.base_url}/",
        "team": identity.team_name,
        "user": slack.workspace.bot.name,
        "team_id": identity.team_id,
        "user_id": identity.bot_user_id,
        "bot_id": identity.bot_id,
        "is_enterprise_install": False,
    }


def open_connection(slack: Slack, arguments: Arguments) -> JSON:
    """Give out a ticket for one Socket Mode connection."""
    socket_url = slack.base_url.replace("http", "ws", 1)
    app_id = slack.workspace.identity.app_id
    return {"url": f"{socket_url}/link/?ticket={slack.socket_mode.ticket()}&app_id={app_id}"}


def validate(slack: Slack, arguments: Arguments) -> JSON:
    """Check blocks, a message or a view without sending anything."""
    given = [name for name in ("blocks", "message", "view") if name in arguments]
    if len(given) != 1:
        raise Refusal("invalid_arguments", "must provide exactly one of `blocks`, `view`, or `message`")
    name = given[0]
    if len(json.dumps(arguments.values[name], ensure_ascii=False)) > limits.VALIDATE_CHARACTERS:
        raise Refusal("invalid_arguments", f"[ERROR] too long [json-pointer:/{name}]")
    value = arguments.json(name, f"invalid_{name}")
    file_exists = slack.workspace.has_image
    if name == "view":
        problems = blockkit.check_view(value, file_exists, at="")
    else:
        if name == "message":
            if not isinstance(value, dict):
                raise Refusal("invalid_message")
            value = value.get("blocks", [])
        at = "/blocks" if name == "message" else ""
        problems = blockkit.check_blocks(value, "message", file_exists, at=at)
    if problems:
        raise Refusal(f"invalid_{name}", errors=[problem.to_dict() for problem in problems])
    return {}
