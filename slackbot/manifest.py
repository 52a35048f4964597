"""The manifest: what a Slack workspace must know to have the bot as an app. For ``mlops slack manifest``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jupyter_mlops.value import Value
from jupyter_mlops.views import view
from jupyter_mlops.views.view import Text, View

from .listeners.commands import COMMAND

SCOPES = (
    "channels:history",  # to look whether a message arrived whose answer was lost
    "channels:read",  # to find the channels of mlops.toml by name
    "chat:write",
    "commands",
    "files:write",  # pictures
    "groups:history",
    "groups:read",
    "metadata.message:read",
    "users:read",
    "users:read.email",  # who is whom in [people]
)


@dataclass(frozen=True, slots=True)
class Manifest(Value):
    """The app as Slack's form "From a manifest" takes it."""

    document: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return the manifest as JSON-ready types."""
        return dict(self.document)


def manifest() -> Manifest:
    """Return the manifest of the bot: one command, buttons, Socket Mode, and no more rights than it uses."""
    return Manifest(
        {
            "_metadata": {"major_version": 2, "minor_version": 0},
            "display_information": {
                "name": "MLOps",
                "description": "Shows runs, collects approvals, raises drift alerts",
            },
            "features": {
                "bot_user": {"display_name": "mlops", "always_online": True},
                "slash_commands": [
                    {
                        "command": COMMAND,
                        "description": "See and decide what your models wait for",
                        "usage_hint": "help | status | runs | models | approvals | approve ID",
                        "should_escape": False,
                    }
                ],
            },
            "oauth_config": {"scopes": {"bot": list(SCOPES)}},
            "settings": {
                "interactivity": {"is_enabled": True},
                "org_deploy_enabled": False,
                "socket_mode_enabled": True,
                "token_rotation_enabled": False,
            },
        }
    )


@view.register
def _(value: Manifest) -> View:
    return View("The app's manifest", blocks=(Text(json.dumps(value.to_dict(), indent=2), "code"),))
