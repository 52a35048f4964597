"""The channels: names from mlops.toml to Slack's ids. Used by delivery."""

from __future__ import annotations

import re

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from . import texts
from .refusal import word_of

_ID = re.compile(r"[CGD][A-Z0-9]{6,}")


class NoChannel(Exception):
    """The workspace has no such channel, or the bot cannot see it."""


class Channels:
    """Finds channels by name and remembers them; ids never change, names may."""

    def __init__(self, client: AsyncWebClient) -> None:
        self._client = client
        self._ids: dict[str, str] = {}

    async def find(self, name: str) -> str:
        """Return the id of the channel ``name`` (with or without its ``#``); raises ``NoChannel``."""
        bare = name.removeprefix("#")
        if _ID.fullmatch(bare):
            return bare
        if bare not in self._ids:
            try:
                await self._read("public_channel,private_channel")
            except SlackApiError as error:
                if word_of(error) != "missing_scope":
                    raise
                await self._read("public_channel")
        if bare not in self._ids:
            raise NoChannel(texts.refusal("channel_not_found", name))
        return self._ids[bare]

    def forget(self) -> None:
        """Ask Slack anew next time."""
        self._ids.clear()

    async def _read(self, types: str) -> None:
        cursor = ""
        while True:
            page = await self._client.conversations_list(
                types=types, exclude_archived=True, limit=200, cursor=cursor
            )
            self._ids.update({channel["name"]: channel["id"] for channel in page["channels"]})
            cursor = (page.get("response_metadata") or {}).get("next_cursor") or ""
            if not cursor:
                return
