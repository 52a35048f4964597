"""The app: one project's bot on one workspace, over Socket Mode. Run by ``mlops slack run``."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import os
import signal
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from jupyter_mlops.errors import BadConfig
from jupyter_mlops.project import Project

from . import texts
from .bot import Bot
from .courier import SETTLE_SECONDS, Courier
from .delivery import LEASE_SECONDS, Outbox, backoff, migrate
from .inbox import Inbox
from .listeners import HANDLERS, register
from .refusal import word_of
from .users import Users

_LOG = logging.getLogger("slackbot")
_SDK_LOG = logging.getLogger("slackbot.sdk")
_THREADS = 6
# a third of a lease, so that a post is over, one way or the other, while its row is still ours
_TIMEOUT_SECONDS = int(LEASE_SECONDS / 3) - 1
_PING_SECONDS = 3.0
_SILENCE_SECONDS = 60.0
_WATCH_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Access:
    """Where Slack is, and the tokens for it."""

    url: str
    bot_token: str
    app_token: str

    def __repr__(self) -> str:
        return f"<Access to {self.url}>"  # tokens never reach a log


def access(environment: Mapping[str, str] = os.environ) -> Access:
    """Return the access that the environment gives; raises ``BadConfig`` that says what is missing.

    ``SLACK_API_URL`` leads to a local Slack instead of the real one; tokens leave this machine by https only.
    """
    tokens = []
    for variable, kind in (("SLACK_BOT_TOKEN", "xoxb-"), ("SLACK_APP_TOKEN", "xapp-")):
        token = environment.get(variable, "").strip()
        if not token.startswith(kind):
            raise BadConfig(texts.NOT_SET.format(variable=variable, kind=kind), texts.HOW_TO_TRY)
        tokens.append(token)
    url = environment.get("SLACK_API_URL", "").strip() or "https://slack.com/api/"
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts.hostname or "")):
        raise BadConfig(texts.BAD_API_URL.format(url=url))
    return Access(url.rstrip("/") + "/", *tokens)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def serve(
    project: Project,
    given: Access,
    *,
    settle: float = SETTLE_SECONDS,
    on_ready: Callable[[], None] | None = None,
) -> None:
    """Serve until cancelled: hear what people type and press, and carry the project's news into the chat.

    Where Slack does not answer, news are collected and wait. Raises ``BadConfig`` if Slack refuses a token.
    ``settle`` is how long a post without an answer may still appear before it is repeated.
    """
    pool = ThreadPoolExecutor(_THREADS, "slackbot")
    client = AsyncWebClient(
        token=given.bot_token,
        base_url=given.url,
        timeout=_TIMEOUT_SECONDS,
        # the client would repeat a post whose answer was lost, and sleep when Slack asks to wait
        retry_handlers=[],
    )
    try:
        await asyncio.get_running_loop().run_in_executor(pool, migrate, project.store)
        bot = _bot(project, client, pool, settle)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(bot.courier.follow())
            identity = await _authenticated(client, given)
            bot.users.team, bot.courier.bot_user = identity["team_id"], identity["user_id"]
            tasks.create_task(bot.courier.send())
            tasks.create_task(_hear(bot, given, identity, on_ready))
            tasks.create_task(bot.catch_up())
    except BaseExceptionGroup as group:
        raise _plain(group) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _plain(group: BaseExceptionGroup[Any]) -> BaseException:
    first = group.exceptions[0]
    return _plain(first) if isinstance(first, BaseExceptionGroup) else first


def _bot(project: Project, client: AsyncWebClient, pool: ThreadPoolExecutor, settle: float) -> Bot:
    outbox = Outbox(project.store)

    async def call(function: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(pool, function, *arguments)

    courier = Courier(project, client, call, link_to=link_to(), settle=settle, outbox=outbox)
    return Bot(
        project, client, Users(client), Inbox(project.store), outbox, courier, pool, link_to(), HANDLERS
    )


def link_to(environment: Mapping[str, str] = os.environ) -> Callable[[str], str]:
    """Return the function from a path of the page to its address: "" where ``MLOPS_PAGE_URL`` is not set."""
    base = environment.get("MLOPS_PAGE_URL", "").rstrip("/")
    return lambda path: f"{base}/{path}" if base and path else ""


async def _authenticated(client: AsyncWebClient, given: Access) -> dict[str, Any]:
    """Ask Slack who we are, as long as it takes to answer; a refused token is final."""
    attempt = 0
    while True:
        try:
            await client.apps_connections_open(app_token=given.app_token)
            answer = await client.auth_test()
        except SlackApiError as error:
            word = word_of(error)
            if word in (
                "invalid_auth",
                "not_authed",
                "account_inactive",
                "token_revoked",
                "not_allowed_token_type",
            ):
                raise BadConfig(
                    texts.REFUSED_TOKENS.format(error=word, url=given.url), texts.HOW_TO_TRY
                ) from None
        except (aiohttp.ClientError, TimeoutError, OSError):
            pass
        else:
            return {name: answer.get(name) for name in ("team_id", "user_id", "bot_id", "enterprise_id")}
        if not attempt:
            _LOG.warning(texts.UNREACHABLE.format(url=given.url))
        attempt += 1
        await asyncio.sleep(min(5.0, 0.2 + backoff(attempt)))


def _worth_saying(record: logging.LogRecord) -> bool:
    # the courier says once that Slack is away; the SDK says it every few seconds, with a traceback
    return not str(record.msg).startswith(("Failed to connect", "Failed to check the current session"))


_SDK_LOG.setLevel(logging.ERROR)
_SDK_LOG.addFilter(_worth_saying)


async def _hear(
    bot: Bot, given: Access, identity: Mapping[str, Any], on_ready: Callable[[], None] | None
) -> None:
    async def authorize(**_: Any) -> AuthorizeResult:
        return AuthorizeResult(
            enterprise_id=identity.get("enterprise_id"),
            team_id=identity["team_id"],
            bot_user_id=identity["user_id"],
            bot_id=identity.get("bot_id"),
            bot_token=given.bot_token,
        )

    # Socket Mode payloads are not signed: the app token is what vouches for them
    app = AsyncApp(
        client=bot.client, authorize=authorize, request_verification_enabled=False, logger=_SDK_LOG
    )
    register(app, bot)
    handler = AsyncSocketModeHandler(app, given.app_token, logger=_SDK_LOG, ping_interval=_PING_SECONDS)
    try:
        await handler.connect_async()  # type: ignore[no-untyped-call]  # the SDK's omission
        if on_ready is not None:
            on_ready()
        await _watch(handler)
    finally:
        await handler.close_async()  # type: ignore[no-untyped-call]


async def _watch(handler: AsyncSocketModeHandler) -> None:
    """Connect anew whenever the socket is gone or has been silent for long; it dies silently at times."""
    socket = handler.client
    while True:
        await asyncio.sleep(_WATCH_SECONDS)
        heard = socket.last_ping_pong_time
        silent = heard is not None and time.time() - heard > _SILENCE_SECONDS
        stopped = any(
            task is None or task.done() for task in (socket.message_receiver, socket.current_session_monitor)
        )
        if silent or stopped or socket.message_processor.done():
            _LOG.warning("the connection to Slack is dead; connecting anew")
            if socket.message_processor.done():
                socket.message_processor = asyncio.ensure_future(socket.process_messages())  # type: ignore[no-untyped-call]
            with contextlib.suppress(SlackApiError, aiohttp.ClientError, TimeoutError, OSError):
                socket.last_ping_pong_time = None
                await socket.connect_to_new_endpoint(force=True)


def run(project: Project, given: Access, on_ready: Callable[[], None] | None = None) -> None:
    """Serve until a signal ends it."""

    async def until_signal() -> None:
        serving = asyncio.ensure_future(serve(project, given, on_ready=on_ready))
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await serving

    asyncio.run(until_signal())
