"""The bot: what listeners need to act for a person. Made by the app, handed to every listener."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from jupyter_mlops.errors import MLOpsError
from jupyter_mlops.people import Actor
from jupyter_mlops.project import Project, open_project

from . import limits, texts
from .blocks import Message
from .blocks.words import escaped
from .courier import Courier
from .delivery import Outbox
from .inbox import Inbox, Item
from .users import Caller, Users, actor_of

_LOG = logging.getLogger("slackbot")
Result = TypeVar("Result")
Handler = Callable[["Bot", Mapping[str, Any]], Awaitable[None]]
TAKE_SECONDS = 1.0
"""How long an acknowledgement waits for the inbox: a busy store must not make Slack show an error."""


@dataclass
class Bot:
    """One project's bot, connected to one workspace."""

    project: Project
    client: AsyncWebClient
    users: Users
    inbox: Inbox
    outbox: Outbox
    courier: Courier
    pool: ThreadPoolExecutor
    link_to: Callable[[str], str]
    handlers: Mapping[str, Handler]
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def call(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Run ``function`` in one of the bot's threads; the store is never used from the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self.pool, function, *arguments)

    async def actor(self, caller: Caller, *, afresh: bool = False) -> Actor:
        """Return in whose name the caller acts; raises ``Refused`` for those who may do nothing."""
        email = await self.users.email(caller, afresh=afresh)
        return await self.call(actor_of, self.project.people, email)

    async def as_person(self, actor: Actor, function: Callable[[Project], Result]) -> Result:
        """Run ``function`` with the project opened in the name of ``actor``."""
        return await self.call(_with_project, self.project.root, actor, function)

    async def receive(self, item: Item, ack: Callable[..., Awaitable[Any]]) -> None:
        """Keep what somebody did, acknowledge it, and do it, once however often Slack delivers it."""
        taking = asyncio.ensure_future(self.call(self.inbox.take, item))
        try:
            await asyncio.wait({taking}, timeout=TAKE_SECONDS)
        finally:
            await ack()
        try:
            fresh = await taking
        except Exception:
            _LOG.exception("the inbox cannot be used")
            await self.tell(item.payload, texts.NOT_TAKEN)
            return
        if fresh:
            await self.handle(item)

    async def handle(self, item: Item) -> None:
        """Do what ``item`` says; whatever goes wrong is told to the person, and nothing escapes."""
        try:
            await self.handlers[item.kind](self, item.payload)
        except MLOpsError as error:
            await self.tell(item.payload, error.message, error.hint)
        except Exception:
            # an error that escapes would take the acknowledgement with it
            _LOG.exception("%s could not be handled", item.kind)
            await self.tell(item.payload, texts.BROKEN)
        self.courier.wake()
        try:
            await self.call(self.inbox.done, item)
        except Exception:
            # it will be done once more after a restart, and found done already
            _LOG.exception("the inbox cannot be used")

    async def catch_up(self) -> None:
        """Do what a bot that died was asked and had not done."""
        for item in await self.call(self.inbox.left_behind):
            await self.handle(item)

    async def tell(self, payload: Mapping[str, Any], line: str, hint: str = "") -> None:
        """Answer with one line that only the person sees."""
        words = f"{line} ({hint})" if hint else line
        await self.show(payload, Message(escaped(words, limits.FALLBACK_TEXT)))

    async def show(self, payload: Mapping[str, Any], message: Message) -> None:
        """Answer with a message that only the person sees: where they asked, while Slack takes answers."""
        content: dict[str, Any] = {"text": message.text}
        if message.blocks:
            content["blocks"] = message.blocks
        try:
            if payload.get("response_url"):
                webhook = AsyncWebhookClient(payload["response_url"], timeout=10, retry_handlers=[])
                answer = await webhook.send_dict(
                    {**content, "response_type": "ephemeral", "replace_original": False}
                )
                if answer.status_code != 200:
                    _LOG.warning("Slack did not take an answer: %s %s", answer.status_code, answer.body)
            elif payload.get("channel") and payload.get("user"):
                await self.client.chat_postEphemeral(
                    channel=payload["channel"], user=payload["user"], **content
                )
        except (SlackApiError, aiohttp.ClientError, TimeoutError, OSError) as error:
            _LOG.warning("an answer could not be given: %s", error)


def _with_project(root: Path, actor: Actor, function: Callable[[Project], Result]) -> Result:
    with open_project(root, actor) as project:
        return function(project)
