"""What the simulator's tests share: people, a clock, clients, and a real Bolt app to connect."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from slackbot.simulator import Simulator

ANN = {"email": "ann@example.com", "name": "Ann Lee"}
BO = {"email": "bo@example.com", "name": "Bo Berg"}


class Clock:
    """Time that passes only when a test says so."""

    def __init__(self) -> None:
        self.now = 1_750_000_000.0

    def __call__(self) -> float:
        return self.now


def client_of(simulator: Simulator, token: str | None = None) -> AsyncWebClient:
    # no retry handlers: what the simulator answers is what a test sees
    return AsyncWebClient(
        token=simulator.bot_token if token is None else token, base_url=simulator.api_url, retry_handlers=[]
    )


@asynccontextmanager
async def connected(simulator: Simulator, app: AsyncApp) -> AsyncIterator[AsyncSocketModeHandler]:
    """Connect a Bolt app over Socket Mode for a while."""
    before = simulator.socket_mode.connections
    handler = AsyncSocketModeHandler(app, simulator.app_token, ping_interval=0.2)
    await handler.connect_async()
    await until(lambda: simulator.socket_mode.connections > before)
    try:
        yield handler
    finally:
        await handler.close_async()


def new_app(simulator: Simulator) -> AsyncApp:
    """Return a Bolt app whose client talks to the simulator; its listeners are a test's to add."""
    quiet = logging.getLogger("quiet bolt")
    quiet.setLevel(logging.CRITICAL)
    return AsyncApp(client=client_of(simulator), signing_secret=simulator.signing_secret, logger=quiet)


async def until(holds: Callable[[], Any], seconds: float = 10.0) -> Any:
    """Wait until something is so, and return it."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        if time.monotonic() > deadline:
            pytest.fail(f"this did not become so within {seconds:g} s")
        await asyncio.sleep(0.01)
    return found


async def error_of(call: Awaitable[Any]) -> str:
    """Return the error that the Web API answers to a call."""
    with pytest.raises(SlackApiError) as caught:
        await call
    error: str = caught.value.response["error"]
    return error
