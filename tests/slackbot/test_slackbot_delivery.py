"""Each fact has one message, whatever breaks between the bot and Slack."""

from __future__ import annotations

import asyncio
import itertools
import json
import multiprocessing
import os
import random
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

from jupyter_mlops.errors import BadConfig, NotFound
from jupyter_mlops.project import Project, open_project
from slackbot.app import Access, access, serve
from slackbot.delivery import Outbox, drop, pending, retry, status_notes
from slackbot.simulator import Simulator
from tests.slackbot.conftest import Running, until


async def test_an_alert_is_posted_with_its_button(bot: Running, raise_alert: Callable[..., Any]) -> None:
    alert = raise_alert(bot.project)
    await bot.start()
    delivery = await bot.settled(f"alert:{alert.id}")
    (message,) = bot.messages("ml-oncall")
    assert (message.channel, message.ts) == (delivery.channel_id, delivery.ts)
    assert alert.title in message.body["text"]
    assert "alerts_acknowledge" in json.dumps(message.body["blocks"])
    assert message.body["metadata"]["event_payload"] == {"outbox_id": delivery.id}


@pytest.mark.parametrize("fault", ["drop_reply", "error_500", "rate_limit"])
async def test_a_failing_slack_still_gets_one_message(
    bot: Running, raise_alert: Callable[..., Any], fault: str
) -> None:
    getattr(bot.simulator.faults, fault)("chat.postMessage", times=2)
    alert = raise_alert(bot.project)
    await bot.start()
    await bot.settled(f"alert:{alert.id}")
    assert len(bot.messages("ml-oncall")) == 1


async def test_lost_replies_of_every_method_leave_one_message_each(
    sqlite_bot: Running, raise_alert: Callable[..., Any]
) -> None:
    for method in ("conversations.list", "conversations.history", "chat.postMessage", "chat.update"):
        sqlite_bot.simulator.faults.drop_reply(method)
        sqlite_bot.simulator.faults.error_500(method)
    alerts = [raise_alert(sqlite_bot.project, key=f"drift:{number}") for number in range(3)]
    await sqlite_bot.start()
    for alert in alerts:
        await sqlite_bot.settled(f"alert:{alert.id}")
    sqlite_bot.project.alerts.acknowledge(alerts[0].id)
    await sqlite_bot.settled(f"alert:{alerts[0].id}")
    assert [len(sqlite_bot.messages("ml-oncall", alert.id)) for alert in alerts[1:]] == [1, 1]
    assert len(sqlite_bot.messages("ml-oncall")) == 3


async def test_a_doubt_survives_a_busy_history(sqlite_bot: Running, raise_alert: Callable[..., Any]) -> None:
    # the reply is lost, and looking into the channel is refused for now: it must look again, not post again
    sqlite_bot.simulator.faults.drop_reply("chat.postMessage")
    sqlite_bot.simulator.faults.rate_limit("conversations.history", times=2)
    alert = raise_alert(sqlite_bot.project)
    await sqlite_bot.start()
    await sqlite_bot.settled(f"alert:{alert.id}")
    assert len(sqlite_bot.messages("ml-oncall")) == 1


async def test_messages_wait_while_slack_is_away(bot: Running, raise_alert: Callable[..., Any]) -> None:
    await bot.simulator.unplug()
    await bot.start(wait=False)
    alert = raise_alert(bot.project)
    await bot.settled(f"alert:{alert.id}", "pending")
    assert pending(bot.project.store).total == 1
    assert any("1 message for Slack wait" in note for note in status_notes(bot.project))
    await bot.simulator.plug_in()
    await bot.settled(f"alert:{alert.id}")
    assert len(bot.messages("ml-oncall")) == 1
    assert status_notes(bot.project) == []


async def test_messages_wait_when_slack_goes_away_meanwhile(
    sqlite_bot: Running, raise_alert: Callable[..., Any]
) -> None:
    await sqlite_bot.start()
    await sqlite_bot.simulator.unplug()
    alert = raise_alert(sqlite_bot.project)
    waiting = await sqlite_bot.settled(f"alert:{alert.id}", "pending")
    await sqlite_bot.simulator.plug_in()
    sent = await sqlite_bot.settled(f"alert:{alert.id}")
    assert waiting.ts is None
    assert sent.ts is not None
    assert len(sqlite_bot.messages("ml-oncall")) == 1


async def test_what_happened_before_and_while_the_bot_was_away_is_told_once(
    bot: Running, raise_alert: Callable[..., Any]
) -> None:
    first = raise_alert(bot.project)
    await bot.start()
    await bot.settled(f"alert:{first.id}")
    await bot.stop()
    second = raise_alert(bot.project, key="drift:august")
    bot.project.alerts.acknowledge(first.id)
    await bot.start()
    await bot.settled(f"alert:{first.id}")
    await bot.settled(f"alert:{second.id}")
    messages = bot.messages("ml-oncall")
    assert len(messages) == 2
    assert "acknowledged by ann@example.com" in json.dumps(messages[0].body)
    assert '"actions"' not in json.dumps(messages[0].body)


async def test_two_bots_share_one_chat(bot: Running, raise_alert: Callable[..., Any]) -> None:
    other = Running(bot.project, bot.simulator)
    alerts = [raise_alert(bot.project, key=f"drift:{number}") for number in range(4)]
    await asyncio.gather(bot.start(), other.start())
    for alert in alerts:
        await bot.settled(f"alert:{alert.id}")
    await other.stop()
    assert len(bot.messages("ml-oncall")) == 4


async def test_a_channel_that_slack_does_not_know_is_given_up_until_an_operator_retries(
    sqlite_bot: Running, raise_alert: Callable[..., Any]
) -> None:
    channel = sqlite_bot.simulator.workspace.channel_by_name("ml-oncall")
    assert channel is not None
    sqlite_bot.simulator.workspace.remove_member(channel.id, sqlite_bot.simulator.workspace.bot.id)
    alert = raise_alert(sqlite_bot.project)
    await sqlite_bot.start()
    dead = await sqlite_bot.settled(f"alert:{alert.id}", "dead")
    assert "not_in_channel" in dead.error
    assert any("given up" in note for note in status_notes(sqlite_bot.project))
    sqlite_bot.simulator.workspace.add_channel("ml-oncall", [sqlite_bot.simulator.workspace.bot.id])
    retry(sqlite_bot.project, dead.id)
    await sqlite_bot.settled(f"alert:{alert.id}")
    assert len(sqlite_bot.messages("ml-oncall")) == 1
    with pytest.raises(NotFound, match="no message that was given up"):
        drop(sqlite_bot.project, dead.id)


async def test_a_message_that_somebody_removed_is_posted_anew_with_the_next_news(
    sqlite_bot: Running, raise_alert: Callable[..., Any]
) -> None:
    alert = raise_alert(sqlite_bot.project)
    await sqlite_bot.start()
    gone = await sqlite_bot.settled(f"alert:{alert.id}")
    sqlite_bot.simulator.workspace.remove_message(gone.channel_id or "", gone.ts or "")
    sqlite_bot.project.alerts.acknowledge(alert.id)
    anew = await sqlite_bot.settled(f"alert:{alert.id}")
    assert anew.ts != gone.ts
    assert anew.id != gone.id
    assert len(sqlite_bot.messages("ml-oncall")) == 1


async def test_many_alerts_keep_to_one_post_a_second(
    sqlite_bot: Running, raise_alert: Callable[..., Any]
) -> None:
    # the simulator answers 429 to who posts faster, so a polite bot is never told to wait
    alerts = [raise_alert(sqlite_bot.project, key=f"drift:{number}") for number in range(8)]
    await sqlite_bot.start()
    deliveries = [await sqlite_bot.settled(f"alert:{alert.id}") for alert in alerts]
    times = [float(delivery.ts or 0) for delivery in deliveries]
    assert times == sorted(times)
    assert all(later - earlier > 0.9 for earlier, later in itertools.pairwise(times))
    assert len(sqlite_bot.messages("ml-oncall")) == 8


def _serve(root: str, given: tuple[str, str, str]) -> None:
    with open_project(root, "ann@example.com") as project:
        asyncio.run(serve(project, Access(*given), settle=0.3))


async def test_a_bot_killed_at_random_moments_posts_each_fact_once(
    bot: Running, raise_alert: Callable[..., Any]
) -> None:
    # slow answers make it likely that death comes between a post and its reply
    chance = random.Random(7)
    bot.simulator.faults.latency("chat.postMessage", seconds=0.2, times=1_000)
    given = (bot.simulator.api_url, bot.simulator.bot_token, bot.simulator.app_token)
    alerts = [raise_alert(bot.project, key=f"drift:{number}") for number in range(5)]
    spawn = multiprocessing.get_context("spawn")
    kills = 0
    while kills < 4:
        process = spawn.Process(target=_serve, args=(str(bot.project.root), given), daemon=True)
        process.start()
        await asyncio.sleep(0.8 + chance.random() * 1.5)
        os.kill(process.pid or 0, signal.SIGKILL)
        await asyncio.to_thread(process.join)
        kills += 1
    await bot.start()
    for alert in alerts:
        await bot.settled(f"alert:{alert.id}")
    counts = [len(bot.messages("ml-oncall", alert.id)) for alert in alerts]
    assert counts == [1] * 5


async def test_a_bot_killed_between_a_post_and_its_record_does_not_post_again(
    bot: Running, raise_alert: Callable[..., Any]
) -> None:
    bot.simulator.faults.latency("chat.postMessage", seconds=1.0)
    alert = raise_alert(bot.project)
    given = (bot.simulator.api_url, bot.simulator.bot_token, bot.simulator.app_token)
    process = multiprocessing.get_context("spawn").Process(
        target=_serve, args=(str(bot.project.root), given), daemon=True
    )
    process.start()
    store = bot.project.store
    await until(
        lambda: (
            store.has_table("slack_deliveries")
            and store.all("SELECT id FROM slack_deliveries WHERE sending_at IS NOT NULL")
        )
    )
    # whoever holds the row keeps the bot from writing down where its message is
    held = asyncio.Event()
    release = threading.Event()
    loop = asyncio.get_running_loop()

    def hold() -> None:
        with store.bookkeeping() as transaction:
            transaction.execute("UPDATE slack_deliveries SET channel = channel")
            loop.call_soon_threadsafe(held.set)
            release.wait(30)

    holding = asyncio.ensure_future(asyncio.to_thread(hold))
    await held.wait()
    await until(lambda: bot.messages("ml-oncall"))
    os.kill(process.pid or 0, signal.SIGKILL)
    await asyncio.to_thread(process.join)
    release.set()
    await holding
    await bot.start()
    delivery = await bot.settled(f"alert:{alert.id}")
    (message,) = bot.messages("ml-oncall")
    assert message.ts == delivery.ts


async def test_wrong_tokens_end_the_bot_with_one_clear_line(
    sqlite_project: Project, simulator: Simulator
) -> None:
    with pytest.raises(BadConfig, match="refuses the tokens: invalid_auth"):
        await serve(sqlite_project, Access(simulator.api_url, simulator.bot_token, "xapp-1-wrong"))


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, "SLACK_BOT_TOKEN holds no token"),
        ({"SLACK_BOT_TOKEN": "xoxb-1"}, "SLACK_APP_TOKEN holds no token"),
        ({"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xoxb-1"}, "SLACK_APP_TOKEN holds no token"),
        (
            {
                "SLACK_BOT_TOKEN": "xoxb-1",
                "SLACK_APP_TOKEN": "xapp-1",
                "SLACK_API_URL": "http://slack.example/api/",
            },
            "https only",
        ),
        (
            {
                "SLACK_BOT_TOKEN": "xoxb-1",
                "SLACK_APP_TOKEN": "xapp-1",
                "SLACK_API_URL": "http://127.0.0.1.evil.example/",
            },
            "https only",
        ),
    ],
)
def test_tokens_come_from_the_environment_and_go_to_https_only(
    environment: dict[str, str], words: str
) -> None:
    with pytest.raises(BadConfig, match=words):
        access(environment)


def test_a_local_slack_needs_no_https() -> None:
    tokens = {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1"}
    assert access(tokens).url == "https://slack.com/api/"
    assert (
        access({**tokens, "SLACK_API_URL": "http://127.0.0.1:8080/api"}).url == "http://127.0.0.1:8080/api/"
    )
    assert "xoxb-1" not in repr(access(tokens))


def test_a_project_that_no_bot_serves_says_nothing_of_slack(sqlite_project: Project) -> None:
    assert pending(sqlite_project.store).total == 0
    assert status_notes(sqlite_project) == []


def test_a_lost_lease_changes_nothing(team_project: Project, raise_alert: Callable[..., Any]) -> None:
    from slackbot import news
    from slackbot.delivery import migrate

    migrate(team_project.store)
    raise_alert(team_project)
    outbox = Outbox(team_project.store, lease_seconds=-1)
    outbox.follow(news.meaning(team_project.config.slack))
    late = outbox.claim()
    assert late is not None
    assert outbox.sending(late)
    assert outbox.recover() == 1
    again = outbox.claim()
    assert again is not None
    assert again.doubtful
    assert not outbox.sent(late, "C1", "1.1", late.news)
    assert outbox.sent(again, "C1", "2.2", again.news)
    found = outbox.about(late.subject)
    assert found is not None
    assert (found.state, found.ts) == ("sent", "2.2")
