"""Actions: pressed buttons. What one says is but a question: the project is read anew before it is done."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError

from jupyter_mlops.errors import Conflict, NotFound, Refused
from jupyter_mlops.people import Actor
from jupyter_mlops.project import Project

from .. import news, texts
from ..blocks import Pressed, read_value, reason_modal
from ..bot import Bot
from ..inbox import Item
from ..users import Caller
from .commands import call

_CARD_SECONDS = 10.0
_ASKS = "reject"


def register(app: AsyncApp, bot: Bot) -> None:
    """Hear the buttons that the bot draws; any other is acknowledged and told that it is none of ours."""

    @app.action(re.compile(".*"))
    async def pressed(ack: Callable[..., Awaitable[Any]], body: dict[str, Any]) -> None:
        caller, action = Caller.of(body), body["actions"][0]
        container = body.get("container") or {}
        payload = {
            "action": action.get("action_id", ""),
            "value": action.get("value", ""),
            "user": caller.user,
            "team": caller.team,
            "user_team": caller.user_team,
            "channel": (body.get("channel") or {}).get("id") or container.get("channel_id", ""),
            "ts": (body.get("message") or {}).get("ts") or container.get("message_ts", ""),
            "private": bool(container.get("is_ephemeral")),
            "trigger_id": body.get("trigger_id", ""),
            "response_url": body.get("response_url", ""),
        }
        key = f"action:{caller.user}:{payload['channel']}:{payload['ts']}:{action.get('action_ts')}"
        await bot.receive(Item(key, "action", payload), ack)


async def handle(bot: Bot, payload: Mapping[str, Any]) -> None:
    """Do what a pressed button asks, or open the modal that asks why."""
    pressed = read_value(payload["value"], payload["action"])
    actor = await bot.actor(Caller(payload["user"], payload["team"], payload["user_team"]), afresh=True)
    await check_message(bot, payload, pressed)
    if pressed.verb == _ASKS:
        await _ask(bot, payload, pressed, actor)
    else:
        await bot.tell(payload, await bot.as_person(actor, doing(actor, pressed)))


async def check_message(bot: Bot, payload: Mapping[str, Any], pressed: Pressed) -> None:
    """Raise ``Refused`` unless the button was on the bot's own message about it, or on a private answer."""
    if payload["private"]:
        return
    deadline = time.monotonic() + _CARD_SECONDS
    while True:
        delivery = await bot.call(bot.outbox.about, pressed.subject)
        if delivery is None:
            raise Refused(texts.COPY)
        if delivery.ts is not None or time.monotonic() > deadline:
            break
        # a fast finger: Slack shows the message before its reply has told us where it is
        await asyncio.sleep(0.1)
    if (delivery.channel_id, delivery.ts) != (payload["channel"], payload["ts"]):
        raise Refused(texts.COPY)


def doing(actor: Actor, pressed: Pressed, reason: str = "") -> Callable[[Project], str]:
    """Return the function that does what was pressed, if what it was about is still the same, and says so."""

    def do(project: Project) -> str:
        check_stamp(project, pressed)
        why = [f"--reason={reason}"] if reason else []
        return texts.outcome(call(project, actor, [*pressed.verb.split(), *why, "--", pressed.id]))

    return do


def check_stamp(project: Project, pressed: Pressed) -> None:
    """Raise ``Conflict`` if the subject is not what the person had before their eyes."""
    try:
        now = news.stamp_of(project, pressed.subject)
    except NotFound as error:
        raise Refused(texts.NOT_OURS) from error
    if pressed.stamp != now:
        raise Conflict(texts.STALE)


async def _ask(bot: Bot, payload: Mapping[str, Any], pressed: Pressed, actor: Actor) -> None:
    def about(project: Project) -> str:
        check_stamp(project, pressed)
        refused = project.approvals.may_vote(pressed.id)
        if refused is not None:
            raise refused
        return texts.about(project.approvals.get(pressed.id))

    private = {
        "value": payload["value"],
        "action": payload["action"],
        **{name: payload[name] for name in ("channel", "ts", "private", "response_url")},
    }
    modal = reason_modal("Reject", await bot.as_person(actor, about), private)
    try:
        await bot.client.views_open(trigger_id=payload["trigger_id"], view=modal)
    except SlackApiError as error:
        raise Conflict(texts.TOO_SLOW) from error
