"""Passes: what lets the app answer an interaction for a short while: trigger ids and response URLs."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from .. import limits
from .refusal import Refusal


@dataclass(slots=True)
class Trigger:
    """Leave to open one modal for one person; ``view_id`` names the modal it was pressed in."""

    user: str
    view_id: str | None
    interaction: str
    expires: float
    used: bool = False


@dataclass(slots=True)
class ResponseURL:
    """Leave to answer in a channel a few times; ``ts`` names the message that was pressed, if one was."""

    user: str
    channel: str
    ts: str | None
    expires: float
    interaction: str
    uses: int = 0


@dataclass(slots=True)
class Passes:
    """Gives passes out and takes them back, by the clock."""

    clock: Callable[[], float]
    _triggers: dict[str, Trigger] = field(default_factory=dict)
    _response_urls: dict[str, ResponseURL] = field(default_factory=dict)

    def trigger(self, user: str, interaction: str, view_id: str | None = None) -> str:
        """Return a new trigger id."""
        self._forget_old()
        name = f"{secrets.randbelow(10**12)}.{secrets.randbelow(10**12)}.{secrets.token_hex(16)}"
        self._triggers[name] = Trigger(user, view_id, interaction, self.clock() + limits.TRIGGER_SECONDS)
        return name

    def find_trigger(self, name: str) -> Trigger:
        """Return a trigger that may still be exchanged, without exchanging it yet."""
        trigger = self._triggers.get(name)
        if trigger is None:
            raise Refusal("invalid_trigger_id")
        if trigger.used:
            raise Refusal("exchanged_trigger_id")
        if self.clock() > trigger.expires:
            raise Refusal("expired_trigger_id")
        return trigger

    def response_url(self, user: str, channel: str, ts: str | None, interaction: str) -> str:
        """Return the secret part of a new response URL."""
        self._forget_old()
        name = secrets.token_hex(20)
        expires = self.clock() + limits.RESPONSE_URL_SECONDS
        self._response_urls[name] = ResponseURL(user, channel, ts, expires, interaction)
        return name

    def find_response_url(self, name: str) -> ResponseURL:
        """Return what a response URL may still be used for, without counting a use yet."""
        found = self._response_urls.get(name)
        if found is None or self.clock() > found.expires:
            raise Refusal("expired_url", status=404)
        if found.uses >= limits.RESPONSE_URL_USES:
            raise Refusal("used_url", status=404)
        return found

    def _forget_old(self) -> None:
        # a day past the end nobody asks any more why it was refused
        now = self.clock() - 24 * 3600
        self._triggers = {name: trigger for name, trigger in self._triggers.items() if trigger.expires > now}
        self._response_urls = {name: url for name, url in self._response_urls.items() if url.expires > now}
