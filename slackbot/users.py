"""The users: who of the workspace is whom in the project. Asked by every listener before anything else."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from jupyter_mlops.errors import Refused, Unreachable
from jupyter_mlops.people import Actor, Members, Role

from . import texts

_REMEMBERED_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Caller:
    """Who did something in Slack, as the payload says, which Slack vouches for."""

    user: str
    team: str
    user_team: str

    @classmethod
    def of(cls, body: dict[str, Any]) -> Caller:
        """Return who sent a command, an action or a modal."""
        user = body.get("user") or {}
        team = body.get("team_id") or (body.get("team") or {}).get("id") or user.get("team_id") or ""
        return cls(body.get("user_id") or user.get("id") or "", team, user.get("team_id") or team)


class Users:
    """Maps users to email addresses, as Slack's administrators see them. Knows nobody it was not told of."""

    def __init__(self, client: AsyncWebClient, team: str = "") -> None:
        self._client = client
        self.team = team
        self._remembered: dict[str, tuple[float, str]] = {}

    async def email(self, caller: Caller, *, afresh: bool) -> str:
        """Return the email address of the caller; ``afresh`` trusts no memory, for what changes something.

        Raises ``Refused`` for whom the bot does nothing, and ``Unreachable`` where Slack does not say.
        """
        if not self.team or caller.team != self.team or caller.user_team != self.team:
            raise Refused(texts.OTHER_TEAM)
        known = self._remembered.get(caller.user)
        if known is not None and not afresh and time.monotonic() - known[0] < _REMEMBERED_SECONDS:
            return known[1]
        self._remembered.pop(caller.user, None)
        email = self._checked(await self._info(caller.user))
        self._remembered[caller.user] = (time.monotonic(), email)
        return email

    async def _info(self, user: str) -> dict[str, Any]:
        try:
            answer = await self._client.users_info(user=user)
        except (SlackApiError, aiohttp.ClientError, TimeoutError, OSError) as error:
            # not knowing who it is means doing nothing
            raise Unreachable(texts.CANNOT_ASK_SLACK) from error
        return dict(answer["user"])

    def _checked(self, info: dict[str, Any]) -> str:
        if info.get("deleted"):
            raise Refused(texts.DEACTIVATED)
        if info.get("is_bot") or info.get("is_workflow_bot"):
            raise Refused(texts.NO_PERSON)
        if info.get("team_id") != self.team or info.get("is_stranger"):
            raise Refused(texts.OTHER_TEAM)
        email = (info.get("profile") or {}).get("email") or ""
        if not email or info.get("is_email_confirmed") is False:
            raise Refused(texts.NO_EMAIL)
        return str(email)


def actor_of(people: Members, email: str) -> Actor:
    """Return whom the policy in force knows by ``email``, spelt as there; raises ``Refused`` for others."""
    listed = people.policy.people
    names = (*listed.viewer, *listed.contributor, *listed.operator, *listed.approver, *listed.admin)
    for name in names:
        # one person is one actor however Slack spells them, or they could vote twice
        if name.casefold() == email.casefold() and people.role_of(name) is not Role.NONE:
            return Actor(name, "slack", "Slack")
    raise Refused(texts.UNKNOWN_USER.format(name=email))
