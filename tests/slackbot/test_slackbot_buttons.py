"""A pressed button does what it says for who may, once, and nothing for anybody or anything else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from jupyter_mlops.project import Project
from slackbot.blocks import read_value
from slackbot.simulator import Person, Simulator
from tests.slackbot.conftest import ANN, BO, CY, DEE, EVE, Running, until

Sit = Callable[[str], Person]


async def card(bot: Running, person: Person, approval: Any) -> dict[str, Any]:
    """Return the message that asks for the approval, as a person sees it."""
    await bot.settled(f"approval:{approval.id}")
    return await person.wait_for_message("ml-approvals", lambda message: approval.id in json.dumps(message))


async def answer(person: Person, interaction: str) -> str:
    """Return what the bot answered the person privately."""
    deadline = asyncio.get_running_loop().time() + 20
    while asyncio.get_running_loop().time() < deadline:
        if found := await person.responses(interaction):
            return str(found[-1]["text"])
        await asyncio.sleep(0.05)
    raise AssertionError("the bot said nothing")


def button(message: dict[str, Any], action: str) -> dict[str, Any]:
    """Return a button of a message."""
    return next(
        element
        for block in message["blocks"]
        if block["type"] == "actions"
        for element in block["elements"]
        if element["action_id"] == action
    )


async def test_an_approver_presses_approve_and_production_moves(
    bot: Running, person: Sit, ask: Callable[..., Any]
) -> None:
    approval = ask(bot.project)
    await bot.start()
    bo = person(BO)
    message = await card(bot, bo, approval)
    said = await answer(bo, await bo.press("ml-approvals", message["ts"], "approve"))
    assert said == "fraud@v1 is now production."
    decided = bot.project.approvals.get(approval.id)
    assert (decided.state, decided.votes[0].actor, decided.votes[0].proof) == (
        "moved",
        "Bo@Example.com",
        "slack",
    )
    assert bot.project.models.get("fraud@production").ref == "fraud@v1"
    await bot.settled(f"approval:{approval.id}")
    (shown,) = bot.messages("ml-approvals")
    assert shown.ts == message["ts"]
    assert "Bo@Example.com" in json.dumps(shown.body)
    assert '"actions"' not in json.dumps(shown.body)


async def test_the_request_shows_what_an_approver_must_know(
    sqlite_bot: Running, person: Sit, ask: Callable[..., Any]
) -> None:
    approval = ask(sqlite_bot.project, reason="AUC 0.87, <!channel> & more")
    await sqlite_bot.start()
    message = await card(sqlite_bot, person(BO), approval)
    shown = json.dumps(message["blocks"], ensure_ascii=False)
    for told in ("fraud@v1", "production", ANN, "nothing → fraud@v1", "b3:", "AUC 0.87"):
        assert told.replace(">", "&gt;") in shown
    assert "<!channel>" not in shown
    assert "confirm" in button(message, "approve")


async def test_rejecting_asks_why_and_closes_the_request(
    bot: Running, person: Sit, ask: Callable[..., Any]
) -> None:
    approval = ask(bot.project)
    await bot.start()
    cy = person(CY)
    message = await card(bot, cy, approval)
    await cy.press("ml-approvals", message["ts"], "reject")
    assert await cy.submit_view({"reason": "   "}) == {"reason": "A reason is needed."}
    assert await cy.submit_view({"reason": "badly calibrated"}) == {}
    await until(lambda: bot.project.approvals.get(approval.id).state == "rejected")
    await bot.settled(f"approval:{approval.id}")
    (shown,) = bot.messages("ml-approvals")
    assert "badly calibrated" in json.dumps(shown.body)
    assert '"actions"' not in json.dumps(shown.body)


@pytest.mark.parametrize(
    ("who", "words"),
    [(ANN, "ann@example.com"), (DEE, "approver"), (EVE, "is not in [people]")],
    ids=["requester", "viewer", "nobody"],
)
@pytest.mark.parametrize("action", ["approve", "reject"])
async def test_who_may_not_decide_is_told_so_and_changes_nothing(
    sqlite_bot: Running, person: Sit, ask: Callable[..., Any], who: str, words: str, action: str
) -> None:
    approval = ask(sqlite_bot.project)
    await sqlite_bot.start()
    somebody = person(who)
    message = await card(sqlite_bot, somebody, approval)
    before = len(list(sqlite_bot.project.events()))
    said = await answer(somebody, await somebody.press("ml-approvals", message["ts"], action))
    assert words in said
    assert sqlite_bot.project.approvals.get(approval.id).state == "pending"
    assert len(list(sqlite_bot.project.events())) == before
    assert await somebody.view() is None


async def test_many_presses_are_one_decision_and_polite_refusals(
    bot: Running, person: Sit, ask: Callable[..., Any]
) -> None:
    approval = ask(bot.project)
    await bot.start()
    bo, cy = person(BO), person(CY)
    message = await card(bot, bo, approval)
    pressed = await asyncio.gather(
        *(one.press("ml-approvals", message["ts"], "approve") for one in (bo, cy, bo, cy, bo))
    )
    said = [await answer(one, press) for one, press in zip((bo, cy, bo, cy, bo), pressed, strict=True)]
    assert said.count("fraud@v1 is now production.") == 1
    assert len(bot.project.approvals.get(approval.id).votes) == 1
    moves = [event for event in bot.project.events() if event.verb == "model.aliased"]
    assert len(moves) == 1


async def test_an_envelope_that_slack_delivers_twice_counts_once(
    bot: Running, person: Sit, raise_alert: Callable[..., Any]
) -> None:
    alert = raise_alert(bot.project)
    await bot.start()
    await bot.settled(f"alert:{alert.id}")
    bo = person(BO)
    (message,) = await bo.messages("ml-oncall")
    bot.simulator.faults.repeat_envelopes = 1
    interaction = await bo.press("ml-oncall", message["ts"], "alerts_acknowledge")
    assert "is yours" in await answer(bo, interaction)
    await bot.settled(f"alert:{alert.id}")
    assert len(await bo.responses(interaction)) == 1
    (shown,) = bot.messages("ml-oncall")
    assert "acknowledged by Bo@Example.com" in json.dumps(shown.body)
    assert '"actions"' not in json.dumps(shown.body)


async def test_a_button_of_a_request_that_was_decided_elsewhere_is_refused(
    sqlite_bot: Running, person: Sit, ask: Callable[..., Any], as_actor: Callable[..., Project]
) -> None:
    approval = ask(sqlite_bot.project)
    await sqlite_bot.start()
    bo = person(BO)
    message = await card(sqlite_bot, bo, approval)
    # the page decides while the card still shows its buttons
    sqlite_bot.simulator.faults.rate_limit("chat.update", seconds=3)
    as_actor(sqlite_bot.project, "cy@example.com", proof="jupyter").approvals.reject(approval.id, "no")
    said = await answer(bo, await bo.press("ml-approvals", message["ts"], "approve"))
    assert "rejected" in said
    assert sqlite_bot.project.approvals.get(approval.id).state == "rejected"


def forged(simulator: Simulator, email: str, message: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return the payload of a pressed button with something in it changed."""
    identity = simulator.workspace.identity
    user = simulator.workspace.user_by_email(email)
    assert user is not None
    channel = simulator.workspace.channel_by_name("ml-approvals")
    assert channel is not None
    ts = changes.pop("ts", message["ts"])
    value = json.loads(button(message, "approve")["value"]) | changes.pop("value", {})
    team = changes.pop("team", identity.team_id)
    action = {
        "type": "button",
        "action_id": "approve",
        "block_id": "b",
        "action_ts": "1.5",
        "value": json.dumps(value),
    }
    return {
        "type": "block_actions",
        "team": {"id": team},
        "user": {"id": user.id, "team_id": changes.pop("user_team", team)},
        "api_app_id": identity.app_id,
        "container": {"type": "message", "message_ts": ts, "channel_id": channel.id},
        "channel": {"id": channel.id},
        "message": {"ts": ts},
        "trigger_id": "1.2.3",
        "actions": [action | changes],
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"value": {"stamp": "0" * 16}},
        {"value": {"verb": "revoke"}},
        {"value": {"verb": "promote"}},
        {"value": {"arguments": {"id": "nosuchid"}}},
        {"value": {"arguments": {"id": "--help"}}},
        {"value": {"arguments": {"id": 7}}},
        {"value": {"arguments": None}},
        {"action_id": "reject"},
        {"action_id": "anything else"},
        {"ts": "1700000000.000100"},
        {"team": "T0OTHER"},
        {"user_team": "T0OTHER"},
    ],
    ids=str,
)
async def test_a_forged_button_changes_nothing(
    sqlite_bot: Running, person: Sit, ask: Callable[..., Any], changes: dict[str, Any]
) -> None:
    approval = ask(sqlite_bot.project)
    await sqlite_bot.start()
    message = await card(sqlite_bot, person(BO), approval)
    before = len(list(sqlite_bot.project.events()))
    payload = forged(sqlite_bot.simulator, BO, message, **changes)
    await sqlite_bot.simulator.socket_mode.send("interactive", payload, takes_answer=False)
    # a true one afterwards shows that the bot is done with the forged one, and still well
    await until(lambda: not _undone(sqlite_bot.project))
    assert sqlite_bot.project.approvals.get(approval.id).state == "pending"
    assert len(list(sqlite_bot.project.events())) == before
    true = forged(sqlite_bot.simulator, BO, message, action_ts="2.5")
    await sqlite_bot.simulator.socket_mode.send("interactive", true, takes_answer=False)
    await until(lambda: sqlite_bot.project.approvals.get(approval.id).moved)


async def test_a_replayed_press_is_not_taken_twice(
    sqlite_bot: Running, person: Sit, ask: Callable[..., Any]
) -> None:
    approval = ask(sqlite_bot.project)
    await sqlite_bot.start()
    message = await card(sqlite_bot, person(BO), approval)
    payload = forged(sqlite_bot.simulator, BO, message)
    for _ in range(3):
        await sqlite_bot.simulator.socket_mode.send("interactive", payload, takes_answer=False)
    await until(lambda: sqlite_bot.project.approvals.get(approval.id).moved)
    await until(lambda: not _undone(sqlite_bot.project))
    rows = sqlite_bot.project.store.all("SELECT payload FROM slack_inbox")
    assert [row["payload"] for row in rows] == ["{}"]


async def test_a_press_that_a_dying_bot_had_taken_is_done_by_the_next_one(
    sqlite_bot: Running, person: Sit, ask: Callable[..., Any]
) -> None:
    approval = ask(sqlite_bot.project)
    await sqlite_bot.start()
    message = await card(sqlite_bot, person(BO), approval)
    await sqlite_bot.stop()
    user = sqlite_bot.simulator.workspace.user_by_email(BO)
    channel = sqlite_bot.simulator.workspace.channel_by_name("ml-approvals")
    assert user is not None
    assert channel is not None
    team = sqlite_bot.simulator.workspace.identity.team_id
    pressed = {
        "action": "approve",
        "value": button(message, "approve")["value"],
        "user": user.id,
        "team": team,
    }
    pressed |= {"user_team": team, "channel": channel.id, "ts": message["ts"], "private": False}
    pressed |= {"trigger_id": "", "response_url": ""}
    with sqlite_bot.project.store.bookkeeping() as transaction:
        transaction.insert(
            "slack_inbox",
            key="action:1",
            kind="action",
            payload=json.dumps(pressed),
            state="taken",
            holder=_gone_holder(),
            at=transaction.at,
        )
    await sqlite_bot.start()
    await until(lambda: sqlite_bot.project.approvals.get(approval.id).moved)


async def test_a_press_before_the_reply_arrived_waits_for_it(
    sqlite_bot: Running, person: Sit, ask: Callable[..., Any]
) -> None:
    # the message is in the chat and its reply is lost: the bot does not yet know where it is
    approval = ask(sqlite_bot.project)
    sqlite_bot.simulator.faults.drop_reply("chat.postMessage")
    sqlite_bot.simulator.faults.latency("conversations.history", seconds=1.0)
    await sqlite_bot.start()
    bo = person(BO)
    message = await bo.wait_for_message("ml-approvals", lambda found: approval.id in json.dumps(found))
    said = await answer(bo, await bo.press("ml-approvals", message["ts"], "approve"))
    assert said == "fraud@v1 is now production."


async def test_a_slack_that_does_not_say_who_it_is_gets_nothing_done(
    sqlite_bot: Running, person: Sit, ask: Callable[..., Any]
) -> None:
    approval = ask(sqlite_bot.project)
    await sqlite_bot.start()
    bo = person(BO)
    message = await card(sqlite_bot, bo, approval)
    sqlite_bot.simulator.faults.error_500("users.info")
    said = await answer(bo, await bo.press("ml-approvals", message["ts"], "approve"))
    assert "does not tell who you are" in said
    assert sqlite_bot.project.approvals.get(approval.id).state == "pending"


async def test_a_busy_store_does_not_keep_the_acknowledgement(
    sqlite_bot: Running, person: Sit, ask: Callable[..., Any]
) -> None:
    approval = ask(sqlite_bot.project)
    await sqlite_bot.start()
    bo = person(BO)
    message = await card(sqlite_bot, bo, approval)
    holding, released = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def hold() -> None:
        with sqlite_bot.project.store.bookkeeping():
            loop.call_soon_threadsafe(holding.set)
            asyncio.run_coroutine_threadsafe(released.wait(), loop).result()

    blocked = asyncio.ensure_future(asyncio.to_thread(hold))
    await holding.wait()
    # no answer within three seconds is an error that Slack shows
    interaction = await bo.press("ml-approvals", message["ts"], "approve")
    released.set()
    await blocked
    assert await answer(bo, interaction) == "fraud@v1 is now production."


def test_only_our_own_values_are_read() -> None:
    value = json.dumps({"verb": "approve", "arguments": {"id": "a8c2"}, "stamp": "s"})
    assert read_value(value, "approve").subject == "approval:a8c2"


def _undone(project: Project) -> list[Any]:
    return project.store.all("SELECT key FROM slack_inbox WHERE state = 'taken'")


def _gone_holder() -> str:
    import socket

    return f"{socket.gethostname()}|999999999|1.00|feed"
