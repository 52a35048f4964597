"""A project whose people chat on a simulator, and a bot between the two that tests start, stop and kill."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlops.project import Project
from slackbot.app import Access, serve
from slackbot.delivery import Delivery, Outbox
from slackbot.simulator import Person, Simulator

ANN, BO, CY, DEE, EVE = (f"{name}@example.com" for name in ("ann", "bo", "cy", "dee", "eve"))
TEAM_POLICY = """
[project]
name = "churn"

[people]
viewer = ["dee@example.com"]
approver = ["Bo@Example.com", "cy@example.com"]
admin = ["ann@example.com"]

[aliases.challenger]

[aliases.production]
approvals = 1
identity = "verified"

[slack]
channel = "#churn"
approvals = "#ml-approvals"
alerts = "#ml-oncall"
"""


@pytest.fixture
def team_project(make_project: Callable[..., Project], store_url: str) -> Project:
    """A project of Ann's whose production alias asks for one verified approval; Eve is nobody in it."""
    return make_project(toml=TEAM_POLICY, store=store_url)


@pytest.fixture
def sqlite_project(make_project: Callable[..., Project]) -> Project:
    """The same on SQLite alone, for what does not depend on the store."""
    return make_project(toml=TEAM_POLICY)


@pytest.fixture
async def simulator(tmp_path: Path) -> AsyncIterator[Simulator]:
    people = [{"email": email, "name": email.partition("@")[0].title()} for email in (ANN, BO, CY, DEE, EVE)]
    simulator = Simulator(tmp_path / "slack", users=people, channels=["churn", "ml-approvals", "ml-oncall"])
    await simulator.start()
    yield simulator
    await simulator.stop()


class Running:
    """The bot of one project, which a test starts and ends."""

    def __init__(self, project: Project, simulator: Simulator) -> None:
        self.project, self.simulator = project, simulator
        self._task: asyncio.Task[None] | None = None

    async def start(self, *, wait: bool = True) -> None:
        """Start the bot; by default wait until it hears."""
        ready = asyncio.Event()
        given = Access(self.simulator.api_url, self.simulator.bot_token, self.simulator.app_token)
        self._task = asyncio.ensure_future(serve(self.project, given, settle=0.4, on_ready=ready.set))
        if wait:
            waiting = asyncio.ensure_future(ready.wait())
            await asyncio.wait({waiting, self._task}, return_when=asyncio.FIRST_COMPLETED, timeout=30)
            waiting.cancel()
            if self._task.done():
                self._task.result()
            assert ready.is_set()

    async def stop(self) -> None:
        """End it, as a signal would."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def settled(self, subject: str, state: str = "sent", timeout: float = 30.0) -> Delivery:
        """Return the delivery about ``subject`` once it is in ``state`` and shows the newest event."""
        outbox = Outbox(self.project.store)

        def found() -> Delivery | None:
            if not self.project.store.has_table("slack_deliveries"):
                return None
            delivery = outbox.about(subject)
            if delivery is None or delivery.state != state:
                return None
            newest = [event.seq for event in self.project.events(about=subject)][-1]
            return delivery if state != "sent" or delivery.shown >= newest else None

        return await until(found, timeout, f"{subject} {state}")

    def messages(self, channel: str, containing: str = "") -> list[Any]:
        """Return the messages of a channel that everybody sees and that mention something."""
        found = self.simulator.workspace.channel_by_name(channel)
        assert found is not None
        return [
            message
            for message in self.simulator.workspace.messages(found.id)
            if message.only_for is None and containing in str(message.body)
        ]


async def until(found: Callable[[], Any], timeout: float = 20.0, what: str = "it") -> Any:
    """Return what ``found`` finds as soon as it does."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if result := found():
            return result
        await asyncio.sleep(0.03)
    raise AssertionError(f"{what} did not come about within {timeout:g} s")


@pytest.fixture
async def bot(team_project: Project, simulator: Simulator) -> AsyncIterator[Running]:
    running = Running(team_project, simulator)
    yield running
    await running.stop()
    assert simulator.complaints == []


@pytest.fixture
async def sqlite_bot(sqlite_project: Project, simulator: Simulator) -> AsyncIterator[Running]:
    running = Running(sqlite_project, simulator)
    yield running
    await running.stop()
    assert simulator.complaints == []


@pytest.fixture
async def person(simulator: Simulator) -> AsyncIterator[Callable[[str], Person]]:
    """Sit somebody down at the simulator's page: ``person(BO)``."""
    people: list[Person] = []

    def sit(email: str) -> Person:
        people.append(Person(simulator.url, email))
        return people[-1]

    yield sit
    for one in people:
        await one.close()


@pytest.fixture
def raise_alert() -> Callable[..., Any]:
    """Raise an alert in a project, of a key and with a title."""

    def alert(project: Project, key: str = "drift:july", title: str = "flights@v2 drifted") -> Any:
        return project.alerts.open(
            key=key, title=title, about="data:flights@v2", report={"columns drifted": 3}
        )

    return alert


@pytest.fixture
def ask() -> Callable[..., Any]:
    """Register a new version of a model and ask for its promotion to production."""

    def promote(project: Project, seed: int = 0, reason: str = "it is better") -> Any:
        from sklearn.linear_model import LogisticRegression

        estimator = LogisticRegression(C=1.0 + seed).fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1])
        version = project.models.register("fraud", estimator)
        return project.models.promote(version.ref, "production", reason=reason)

    return promote
