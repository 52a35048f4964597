"""Views: submitted modals, of which there is one, the reason for a rejection."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from slack_bolt.async_app import AsyncApp

from .. import texts
from ..blocks import REASON, read_value
from ..bot import Bot
from ..inbox import Item
from ..users import Caller
from .actions import check_message, doing


def register(app: AsyncApp, bot: Bot) -> None:
    """Hear the modal; one without a reason stays open and says so."""

    @app.view(REASON)
    async def submitted(ack: Callable[..., Awaitable[Any]], body: dict[str, Any]) -> None:
        caller, modal = Caller.of(body), body["view"]
        reason = str(modal["state"]["values"][REASON][REASON].get("value") or "").strip()
        if not reason:
            await ack(response_action="errors", errors={REASON: texts.EMPTY_REASON})
            return
        payload = {
            **json.loads(modal["private_metadata"]),
            "reason": reason,
            "user": caller.user,
            "team": caller.team,
            "user_team": caller.user_team,
        }
        await bot.receive(Item(f"view:{modal['id']}", "reason", payload), ack)


async def handle(bot: Bot, payload: Mapping[str, Any]) -> None:
    """Do what was asked before the modal, with the reason."""
    pressed = read_value(payload["value"], payload["action"])
    actor = await bot.actor(Caller(payload["user"], payload["team"], payload["user_team"]), afresh=True)
    await check_message(bot, payload, pressed)
    await bot.tell(payload, await bot.as_person(actor, doing(actor, pressed, payload["reason"])))
