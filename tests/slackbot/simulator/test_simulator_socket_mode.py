"""A real Bolt app over Socket Mode: commands, buttons, modals and events, as people use them."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
from slack_sdk.web.async_client import AsyncWebClient

from jupyter_mlops.errors import Conflict
from slackbot import limits
from slackbot.simulator import Person, Simulator

from .simulator_parts import ANN, Clock, client_of, connected, error_of, new_app, until

CARD = [
    {"type": "section", "text": {"type": "mrkdwn", "text": "Promote *churn@v3*?"}},
    {
        "type": "actions",
        "block_id": "vote",
        "elements": [
            {
                "type": "button",
                "action_id": "approve",
                "style": "primary",
                "text": {"type": "plain_text", "text": "Approve"},
                "value": "a8c2",
            },
            {
                "type": "button",
                "action_id": "reject",
                "style": "danger",
                "text": {"type": "plain_text", "text": "Reject"},
                "value": "a8c2",
            },
        ],
    },
]


def modal(**more: Any) -> dict[str, Any]:
    return {
        "type": "modal",
        "callback_id": "reason",
        "title": {"type": "plain_text", "text": "Reject"},
        "submit": {"type": "plain_text", "text": "Reject"},
        "private_metadata": "a8c2",
        "blocks": [
            {
                "type": "input",
                "block_id": "why",
                "label": {"type": "plain_text", "text": "Reason"},
                "element": {"type": "plain_text_input", "action_id": "reason"},
            }
        ],
        **more,
    }


async def test_a_command_is_answered_by_its_acknowledgement_and_by_its_response_url(
    simulator: Simulator, ann: Person, bo: Person
) -> None:
    app = new_app(simulator)
    seen: list[dict[str, Any]] = []

    @app.command("/mlops")
    async def mlops(ack: Any, command: dict[str, Any], respond: Any) -> None:
        seen.append(command)
        if command["text"] == "runs":
            await ack("three runs")
        else:
            await ack()
            await respond("four models")

    async with connected(simulator, app):
        (runs,) = await ann.command("/mlops runs", "churn")
        (models,) = await ann.command("/mlops models", "churn")

    assert (runs["text"], runs["is_ephemeral"]) == ("three runs", True)
    assert models["text"] == "four models"
    assert [command["user_name"] for command in seen] == ["ann", "ann"]
    assert seen[0]["channel_name"] == "churn"
    assert await bo.messages("churn") == []


async def test_an_answer_in_the_channel_is_for_everybody(
    simulator: Simulator, ann: Person, bo: Person
) -> None:
    app = new_app(simulator)

    @app.command("/mlops")
    async def mlops(ack: Any) -> None:
        await ack(text="for all", response_type="in_channel")

    async with connected(simulator, app):
        await ann.command("/mlops status", "churn")

    assert [message["text"] for message in await bo.messages("churn")] == ["for all"]


async def test_a_pressed_button_reaches_the_app_with_who_pressed_it_and_the_card_changes(
    simulator: Simulator, client: AsyncWebClient, bo: Person
) -> None:
    app = new_app(simulator)
    seen: list[dict[str, Any]] = []

    @app.action("approve")
    async def approve(ack: Any, body: dict[str, Any], respond: Any) -> None:
        await ack()
        seen.append(body)
        await respond(text=f"approved by <@{body['user']['id']}>", replace_original=True)

    posted = await client.chat_postMessage(channel="churn", text="Promote?", blocks=CARD)
    async with connected(simulator, app):
        await bo.press("churn", posted["ts"], "approve")
        changed = await bo.wait_for_message("churn", lambda message: "approved by" in message["text"])

    assert changed["ts"] == posted["ts"]
    assert "blocks" not in changed
    (body,) = seen
    assert body["actions"][0]["value"] == "a8c2"
    assert body["message"]["ts"] == posted["ts"]
    assert body["user"]["username"] == "bo"


async def test_a_button_that_is_not_on_the_message_cannot_be_pressed(
    client: AsyncWebClient, ann: Person
) -> None:
    posted = await client.chat_postMessage(channel="churn", text="Promote?", blocks=CARD)

    for action, value in (("delete_everything", None), ("approve", "forged")):
        with pytest.raises(Conflict, match="action_not_found"):
            await ann.press("churn", posted["ts"], action, value=value)


async def test_a_modal_is_filled_corrected_and_submitted(
    simulator: Simulator, client: AsyncWebClient, ann: Person
) -> None:
    app = new_app(simulator)
    submitted: list[dict[str, Any]] = []

    @app.action("reject")
    async def reject(ack: Any, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        await client.views_open(trigger_id=body["trigger_id"], view=modal())

    @app.view("reason")
    async def reason(ack: Any, view: dict[str, Any]) -> None:
        text = view["state"]["values"]["why"]["reason"]["value"]
        if len(text) < 5:
            await ack(response_action="errors", errors={"why": "Say a little more."})
            return
        await ack()
        submitted.append(view)

    posted = await client.chat_postMessage(channel="churn", text="Promote?", blocks=CARD)
    async with connected(simulator, app):
        await ann.press("churn", posted["ts"], "reject")
        assert (await ann.wait_for_view())["title"]["text"] == "Reject"
        assert await ann.submit_view() == {"why": "Please complete this required field."}
        assert await ann.submit_view({"reason": "no"}) == {"why": "Say a little more."}
        assert await ann.submit_view({"reason": "calibration is off"}) == {}
        await until(lambda: submitted)

    assert await ann.view() is None
    assert submitted[0]["private_metadata"] == "a8c2"
    assert submitted[0]["state"]["values"]["why"]["reason"]["value"] == "calibration is off"


async def test_a_submitted_modal_can_become_another_and_stack_up_to_three(
    simulator: Simulator, ann: Person
) -> None:
    app = new_app(simulator)
    answers = [
        {"response_action": "update", "view": modal(title={"type": "plain_text", "text": "Changed"})},
        {"response_action": "push", "view": modal(title={"type": "plain_text", "text": "Second"})},
        {"response_action": "push", "view": modal(title={"type": "plain_text", "text": "Third"})},
        {"response_action": "push", "view": modal(title={"type": "plain_text", "text": "Fourth"})},
        {"response_action": "clear"},
    ]

    @app.command("/mlops")
    async def mlops(ack: Any, command: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        await client.views_open(trigger_id=command["trigger_id"], view=modal())

    @app.view("reason")
    async def reason(ack: Any) -> None:
        await ack(**answers.pop(0))

    titles = []
    async with connected(simulator, app):
        await ann.command("/mlops reject", "churn")
        for _ in range(3):
            await ann.submit_view({"reason": "x"})
            titles.append((await ann.wait_for_view())["title"]["text"])
        with pytest.raises(Conflict, match="push_limit_reached"):
            await ann.submit_view({"reason": "x"})
        await ann.submit_view({"reason": "x"})

    assert titles == ["Changed", "Second", "Third"]
    assert await ann.view() is None
    assert "push_limit_reached" in simulator.complaints[0]


async def test_a_closed_modal_is_told_to_the_app_that_asked_for_it(simulator: Simulator, ann: Person) -> None:
    app = new_app(simulator)
    closed: list[dict[str, Any]] = []

    @app.command("/mlops")
    async def mlops(ack: Any, command: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        await client.views_open(trigger_id=command["trigger_id"], view=modal(notify_on_close=True))

    @app.view_closed("reason")
    async def gone(ack: Any, body: dict[str, Any]) -> None:
        await ack()
        closed.append(body)

    async with connected(simulator, app):
        await ann.command("/mlops reject", "churn")
        await ann.close_view()
        await until(lambda: closed)

    assert await ann.view() is None
    assert closed[0]["is_cleared"] is False


async def test_a_trigger_opens_one_modal_within_three_seconds(
    simulator: Simulator, client: AsyncWebClient, ann: Person, clock: Clock
) -> None:
    app = new_app(simulator)
    triggers: list[str] = []

    @app.command("/mlops")
    async def mlops(ack: Any, command: dict[str, Any]) -> None:
        triggers.append(command["trigger_id"])
        await ack("ok")

    async with connected(simulator, app):
        for _ in range(2):
            await ann.command("/mlops", "churn")
    first, second = triggers

    opened = await client.views_open(trigger_id=first, view=modal(external_id="one"))
    assert await error_of(client.views_open(trigger_id=first, view=modal())) == "exchanged_trigger_id"
    assert await error_of(client.views_open(trigger_id="1.2.x", view=modal())) == "invalid_trigger_id"
    assert await error_of(client.views_push(trigger_id=second, view=modal())) == "not_found"
    clock.now += limits.TRIGGER_SECONDS + 0.1
    assert await error_of(client.views_open(trigger_id=second, view=modal())) == "expired_trigger_id"

    view_id, old_hash = opened["view"]["id"], opened["view"]["hash"]
    await client.views_update(view_id=view_id, view=modal(), hash=old_hash)
    assert (
        await error_of(client.views_update(view_id=view_id, view=modal(), hash=old_hash)) == "hash_conflict"
    )
    assert await error_of(client.views_update(view_id="V0", view=modal())) == "not_found"
    assert await error_of(client.views_update(view_id=view_id, view={"type": "modal"})) == "invalid_arguments"


async def test_a_response_url_is_good_for_five_answers_and_thirty_minutes(
    simulator: Simulator, ann: Person, clock: Clock
) -> None:
    app = new_app(simulator)
    urls: list[str] = []

    @app.command("/mlops")
    async def mlops(ack: Any, command: dict[str, Any]) -> None:
        urls.append(command["response_url"])
        await ack("ok")

    async with connected(simulator, app):
        for _ in range(2):
            await ann.command("/mlops", "churn")

    async with aiohttp.ClientSession() as session:

        async def answer(url: str, **body: Any) -> tuple[int, str]:
            async with session.post(url, json=body) as response:
                return response.status, (await response.json()).get("error", "")

        assert (await answer(urls[0], text=""))[1] == "no_text"
        for _ in range(limits.RESPONSE_URL_USES):
            assert await answer(urls[0], text="again") == (200, "")
        assert await answer(urls[0], text="again") == (404, "used_url")
        assert await answer(urls[1], text="x", blocks=[{"type": "alert"}]) == (400, "invalid_blocks")
        clock.now += limits.RESPONSE_URL_SECONDS + 1
        assert await answer(urls[1], text="late") == (404, "expired_url")


async def test_a_person_is_told_when_nobody_answers_in_time_or_at_all(
    simulator: Simulator, ann: Person
) -> None:
    with pytest.raises(Conflict, match="dispatch_failed"):
        await ann.command("/mlops runs", "churn")

    app = new_app(simulator)
    slow = asyncio.Event()

    @app.command("/mlops")
    async def mlops(ack: Any) -> None:
        await slow.wait()
        await ack("too late")

    simulator.socket_mode.ack_seconds = 0.05
    async with connected(simulator, app):
        with pytest.raises(Conflict, match="operation_timeout"):
            await ann.command("/mlops runs", "churn")
        slow.set()
    assert await ann.messages("churn") == []
    with pytest.raises(Conflict, match="is not a valid command"):
        await ann.command("/other", "churn")


async def test_a_bad_answer_to_a_command_is_not_shown_and_is_noted(simulator: Simulator, ann: Person) -> None:
    app = new_app(simulator)

    @app.command("/mlops")
    async def mlops(ack: Any) -> None:
        await ack(text="x", blocks=[{"type": "header", "text": {"type": "mrkdwn", "text": "no"}}])

    async with connected(simulator, app):
        with pytest.raises(Conflict, match="dispatch_failed"):
            await ann.command("/mlops runs", "churn")

    assert "invalid_blocks" in simulator.complaints[0]
    assert await ann.messages("churn") == []


async def test_each_envelope_goes_to_one_of_several_sockets(simulator: Simulator, ann: Person) -> None:
    taken: list[str] = []

    def app_named(name: str) -> Any:
        app = new_app(simulator)

        @app.command("/mlops")
        async def mlops(ack: Any) -> None:
            taken.append(name)
            await ack("ok")

        return app

    async with connected(simulator, app_named("one")), connected(simulator, app_named("two")):
        for _ in range(4):
            await ann.command("/mlops", "churn")

    assert sorted(taken) == ["one", "one", "two", "two"]


async def test_an_unacknowledged_event_comes_again_with_its_attempt(
    simulator: Simulator, ann: Person
) -> None:
    app = new_app(simulator)
    attempts: list[list[str]] = []
    bodies: list[dict[str, Any]] = []
    enough = asyncio.Event()

    @app.middleware
    async def stubborn(req: Any, next: Any) -> None:
        attempts.append(req.headers.get("x-slack-retry-num", ["0"]))
        bodies.append(req.body)
        if len(attempts) < 3:
            await enough.wait()
        await next()

    @app.event("app_mention")
    async def mention() -> None:
        pass

    simulator.socket_mode.ack_seconds = 0.05
    simulator.socket_mode.event_retry_seconds = (0, 0, 0)
    async with connected(simulator, app):
        await ann.say("@mlops what waits for me?", "churn")
        await until(lambda: len(attempts) == 3)
        enough.set()

    assert [attempt[0] for attempt in attempts] == ["0", "1", "2"]
    assert len({body["event_id"] for body in bodies}) == 1


async def test_an_envelope_may_come_twice(simulator: Simulator, ann: Person) -> None:
    app = new_app(simulator)
    triggers: list[str] = []

    @app.command("/mlops")
    async def mlops(ack: Any, command: dict[str, Any]) -> None:
        triggers.append(command["trigger_id"])
        await ack("ok")

    simulator.faults.repeat_envelopes = 1
    async with connected(simulator, app):
        await ann.command("/mlops", "churn")
        await until(lambda: len(triggers) == 2)

    assert triggers[0] == triggers[1]


@pytest.mark.parametrize("how", ["refresh", "drop", "drop abruptly", "unplug"])
async def test_the_app_comes_back_when_its_socket_goes(simulator: Simulator, ann: Person, how: str) -> None:
    app = new_app(simulator)

    @app.command("/mlops")
    async def mlops(ack: Any) -> None:
        await ack("still here")

    async with connected(simulator, app):
        if how == "refresh":
            await simulator.socket_mode.refresh()
        elif how == "unplug":
            await simulator.unplug()
            await simulator.plug_in()
        else:
            await simulator.socket_mode.drop(abruptly="abruptly" in how)
        await until(lambda: simulator.socket_mode.connections == 1)
        (answer,) = await ann.command("/mlops", "churn")

    assert answer["text"] == "still here"


async def test_a_ticket_opens_one_socket_soon_and_ten_sockets_are_enough(
    simulator: Simulator, client: AsyncWebClient, clock: Clock
) -> None:
    async def ticket() -> str:
        url: str = (await client.apps_connections_open(app_token=simulator.app_token))["url"]
        return url

    async with aiohttp.ClientSession() as session:
        url = await ticket()
        sockets = [await session.ws_connect(url)]
        assert (await sockets[0].receive_json())["type"] == "hello"
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(url)
        late = await ticket()
        clock.now += limits.TICKET_SECONDS + 1
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(late)

        for _ in range(limits.SOCKET_CONNECTIONS - 1):
            sockets.append(await session.ws_connect(await ticket()))
        await until(lambda: simulator.socket_mode.connections == limits.SOCKET_CONNECTIONS)
        one_too_many = await session.ws_connect(await ticket())
        assert (await one_too_many.receive_json())["reason"] == "too_many_websockets"
        for socket in [*sockets, one_too_many]:
            await socket.close()


async def test_faults_happen_once_and_only_where_asked(
    simulator: Simulator, client: AsyncWebClient, ann: Person
) -> None:
    simulator.faults.error_500("chat.postMessage")
    simulator.faults.rate_limit("chat.postMessage", seconds=3)
    simulator.faults.latency("chat.postMessage", seconds=0.01)

    await client.auth_test()
    with pytest.raises(Exception, match="500"):
        await client.chat_postMessage(channel="churn", text="x")
    assert await error_of(client.chat_postMessage(channel="churn", text="x")) == "ratelimited"
    await client.chat_postMessage(channel="churn", text="x")

    async with aiohttp.ClientSession() as session:
        kept_alive = client_of(simulator)
        kept_alive.session = session
        await kept_alive.auth_test()
        await simulator.unplug()
        for unreachable in (kept_alive, client_of(simulator)):
            with pytest.raises((aiohttp.ClientError, ConnectionError)):
                await unreachable.chat_postMessage(channel="churn", text="lost")
        await simulator.plug_in()
    assert [message["text"] for message in await ann.messages("churn")] == ["x"]
    assert (await client.users_lookupByEmail(email=ANN["email"]))["ok"]
