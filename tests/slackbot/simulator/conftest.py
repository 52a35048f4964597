"""A simulator that is started for one test, a client of its Web API, and people in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from slackbot.simulator import Person, Simulator

from .simulator_parts import ANN, BO, Clock, client_of


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def simulator(tmp_path: Path, clock: Clock) -> AsyncIterator[Simulator]:
    simulator = Simulator(
        tmp_path / "slack", users=[ANN, BO], channels=["churn"], clock=clock, events=["app_mention"]
    )
    await simulator.start()
    yield simulator
    await simulator.stop()


@pytest.fixture
def client(simulator: Simulator) -> AsyncWebClient:
    return client_of(simulator)


@pytest.fixture
async def ann(simulator: Simulator) -> AsyncIterator[Person]:
    async with Person(simulator.url, ANN["email"]) as person:
        yield person


@pytest.fixture
async def bo(simulator: Simulator) -> AsyncIterator[Person]:
    async with Person(simulator.url, BO["email"]) as person:
        yield person
