"""A bot posts, changes and finds its messages through the real Slack client."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from slackbot import limits
from slackbot.simulator import Person, Simulator

from .simulator_parts import ANN, BO, Clock, client_of, error_of

BLOCKS = [{"type": "section", "text": {"type": "mrkdwn", "text": "*8 runs* finished"}}]


async def test_a_posted_message_is_seen_by_everybody(client: AsyncWebClient, ann: Person, bo: Person) -> None:
    posted = await client.chat_postMessage(channel="#churn", text="8 runs finished", blocks=BLOCKS)

    for person in (ann, bo):
        (message,) = await person.messages("churn")
        assert message["ts"] == posted["ts"]
        assert message["author"] == "MLOps"
        assert message["blocks"][0]["text"]["text"] == "*8 runs* finished"


async def test_an_ephemeral_message_is_seen_by_one_person_and_never_in_the_history(
    client: AsyncWebClient, ann: Person, bo: Person
) -> None:
    anns = (await client.users_lookupByEmail(email=ANN["email"]))["user"]["id"]
    channel = (await client.conversations_list())["channels"][0]["id"]

    await client.chat_postEphemeral(channel=channel, user=anns, text="only you")

    assert [message["text"] for message in await ann.messages("churn")] == ["only you"]
    assert await bo.messages("churn") == []
    assert (await client.conversations_history(channel=channel))["messages"] == []


async def test_the_synchronous_client_is_served_too(simulator: Simulator) -> None:

    client = WebClient(token=simulator.bot_token, base_url=simulator.api_url)

    assert (await asyncio.to_thread(client.auth_test))["user_id"] == simulator.workspace.bot.id
    posted = await asyncio.to_thread(lambda: client.chat_postMessage(channel="churn", text="hello"))
    assert posted["message"]["text"] == "hello"


async def test_an_update_replaces_text_and_blocks_and_keeps_the_metadata(
    client: AsyncWebClient, ann: Person
) -> None:
    metadata = {"event_type": "delivery", "event_payload": {"outbox_id": 7}}
    posted = await client.chat_postMessage(channel="churn", text="asked", blocks=BLOCKS, metadata=metadata)

    await client.chat_update(channel=posted["channel"], ts=posted["ts"], text="approved")

    (message,) = await ann.messages("churn")
    assert message["text"] == "approved"
    assert "blocks" not in message
    assert message["metadata"] == metadata
    assert message["edited"]["user"] == message["user"]


async def test_a_bot_finds_what_it_posted_by_metadata_after_it_lost_the_reply(
    simulator: Simulator, client: AsyncWebClient, clock: Clock
) -> None:
    channel = (await client.conversations_list())["channels"][0]["id"]
    attempt = clock.now
    clock.now += 1
    simulator.faults.drop_reply("chat.postMessage")
    metadata = {"event_type": "delivery", "event_payload": {"outbox_id": 7}}

    with pytest.raises((aiohttp.ClientError, ConnectionError)):
        await client.chat_postMessage(channel=channel, text="once", metadata=metadata)

    found = await client.conversations_history(
        channel=channel, oldest=f"{attempt:.6f}", include_all_metadata=True
    )
    assert [message["metadata"]["event_payload"]["outbox_id"] for message in found["messages"]] == [7]
    without = await client.conversations_history(channel=channel)
    assert "metadata" not in without["messages"][0]


async def test_history_comes_in_pages_newest_first_and_by_time(
    simulator: Simulator, client: AsyncWebClient, clock: Clock
) -> None:
    stamps = []
    for number in range(5):
        stamps.append((await client.chat_postMessage(channel="churn", text=str(number)))["ts"])
        clock.now += 1
    channel = simulator.workspace.channel_by_name("churn").id

    first = await client.conversations_history(channel=channel, limit=2)
    second = await client.conversations_history(
        channel=channel, limit=2, cursor=first["response_metadata"]["next_cursor"]
    )
    late = await client.conversations_history(channel=channel, oldest=stamps[2])

    assert [message["text"] for message in first["messages"]] == ["4", "3"]
    assert [message["text"] for message in second["messages"]] == ["2", "1"]
    assert first["has_more"] is True
    assert [message["text"] for message in late["messages"]] == ["4", "3"]


async def test_a_thread_is_kept_out_of_the_channel(client: AsyncWebClient, ann: Person) -> None:
    root = await client.chat_postMessage(channel="churn", text="alert")
    await client.chat_postMessage(channel="churn", text="acknowledged", thread_ts=root["ts"])

    channel = root["channel"]
    history = (await client.conversations_history(channel=channel))["messages"]
    thread = (await client.conversations_replies(channel=channel, ts=root["ts"]))["messages"]
    assert [message["text"] for message in history] == ["alert"]
    assert history[0]["reply_count"] == 1
    assert [message["text"] for message in thread] == ["alert", "acknowledged"]
    assert [message["is_reply"] for message in await ann.messages("churn")] == [False, True]


async def test_no_two_messages_share_a_timestamp_even_when_the_clock_stands(client: AsyncWebClient) -> None:
    stamps = [
        (await client.chat_postMessage(channel="churn", text="x"))["ts"] for _ in range(limits.POST_BURST)
    ]

    assert len(set(stamps)) == limits.POST_BURST
    assert stamps == sorted(stamps)


async def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    first = Simulator(folder, users=[ANN], channels=["churn"])
    await first.start()
    before = client_of(first)
    posted = await before.chat_postMessage(channel="churn", text="still here", blocks=BLOCKS)
    tokens = (first.bot_token, first.app_token)
    anns = (await before.users_lookupByEmail(email=ANN["email"]))["user"]["id"]
    await first.stop()

    second = Simulator(folder, users=[ANN, BO], channels=["churn"])
    await second.start()
    after = client_of(second, tokens[0])
    history = await after.conversations_history(channel=posted["channel"])
    assert (second.bot_token, second.app_token) == tokens
    assert (await after.users_lookupByEmail(email=ANN["email"]))["user"]["id"] == anns
    assert [message["ts"] for message in history["messages"]] == [posted["ts"]]
    assert history["messages"][0]["blocks"] == posted["message"]["blocks"]
    async with Person(second.url, BO["email"]) as bo:
        assert await bo.channels() == ["churn"]
    await second.stop()


async def test_an_image_is_uploaded_and_shown_in_a_block(client: AsyncWebClient, ann: Person) -> None:
    picture = b"\x89PNG\r\n\x1a\n" + bytes(64)
    uploaded = await client.files_upload_v2(filename="auc.png", content=picture, title="AUC")
    block = {"type": "image", "slack_file": {"id": uploaded["file"]["id"]}, "alt_text": "AUC by run"}

    await client.chat_postMessage(channel="churn", text="AUC", blocks=[block])

    (message,) = await ann.messages("churn")
    assert message["blocks"][0]["slack_file"] == {"id": uploaded["file"]["id"]}


async def test_an_image_is_shared_in_a_channel(
    simulator: Simulator, client: AsyncWebClient, ann: Person
) -> None:
    picture = b"\x89PNG\r\n\x1a\n" + bytes(64)
    channel = simulator.workspace.channel_by_name("churn").id

    await client.files_upload_v2(
        filename="auc.png", content=picture, channel=channel, initial_comment="the AUC"
    )

    (message,) = await ann.messages("churn")
    assert message["text"] == "the AUC"
    assert message["files"][0]["mimetype"] == "image/png"


async def test_a_file_that_is_no_image_is_not_shown_as_one(client: AsyncWebClient) -> None:
    uploaded = await client.files_upload_v2(filename="auc.png", content=b"<svg onload=alert(1)>")
    block = {"type": "image", "slack_file": {"id": uploaded["file"]["id"]}, "alt_text": "AUC"}

    assert (
        await error_of(client.chat_postMessage(channel="churn", text="x", blocks=[block])) == "invalid_blocks"
    )
    assert (
        await error_of(
            client.chat_postMessage(
                channel="churn",
                text="x",
                blocks=[{"type": "image", "slack_file": {"id": "F0"}, "alt_text": "none"}],
            )
        )
        == "invalid_blocks"
    )


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"channel": "#nowhere", "text": "x"}, "channel_not_found"),
        ({"channel": "#secret", "text": "x"}, "not_in_channel"),
        ({"channel": "churn", "text": ""}, "no_text"),
        ({"channel": "churn", "text": "", "blocks": []}, "no_text"),
        ({"channel": "churn", "text": "x", "blocks": "{"}, "invalid_blocks_format"),
        ({"channel": "churn", "text": "x", "blocks": [{"type": "divider"}] * 51}, "invalid_blocks"),
        ({"channel": "churn", "text": "x", "markdown_text": "*x*"}, "markdown_text_conflict"),
        ({"channel": "churn", "text": "x", "thread_ts": "1.000001"}, "cannot_reply_to_message"),
        ({"channel": "churn", "text": "x", "metadata": {"outbox_id": 7}}, "invalid_metadata_format"),
        (
            {
                "channel": "churn",
                "text": "x",
                "metadata": {"event_type": "x", "event_payload": {"x": "y" * limits.METADATA_CHARACTERS}},
            },
            "metadata_too_large",
        ),
        ({"channel": "churn", "text": "x", "attachments": [{}] * 101}, "too_many_attachments"),
        (
            {
                "channel": "churn",
                "text": "x",
                "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3000}}] * 5,
            },
            "msg_blocks_too_long",
        ),
        ({"text": "x"}, "invalid_arguments"),
        ({"channel": "churn", "text": "x", "txt": "y"}, "invalid_arguments"),
    ],
)
async def test_a_wrong_post_is_refused_in_slacks_words_and_changes_nothing(
    simulator: Simulator, client: AsyncWebClient, ann: Person, arguments: dict[str, Any], error: str
) -> None:
    simulator.workspace.add_channel("secret", [])

    assert await error_of(client.api_call("chat.postMessage", json=arguments)) == error
    assert await ann.messages("churn") == []


async def test_only_the_bots_own_messages_can_be_changed(client: AsyncWebClient, ann: Person) -> None:
    hers = await ann.say("hello", "churn")
    channel = hers["channel"]

    assert (
        await error_of(client.chat_update(channel=channel, ts=hers["ts"], text="x")) == "cant_update_message"
    )
    assert await error_of(client.chat_delete(channel=channel, ts=hers["ts"])) == "cant_delete_message"
    assert await error_of(client.chat_update(channel=channel, ts="1.000001", text="x")) == "message_not_found"
    mine = await client.chat_postMessage(channel=channel, text="mine")
    assert await error_of(client.chat_update(channel="churn", ts=mine["ts"], text="x")) == "channel_not_found"
    assert (
        await error_of(client.chat_update(channel=channel, ts=mine["ts"], text="x" * 4001)) == "msg_too_long"
    )
    await client.chat_delete(channel=channel, ts=mine["ts"])
    assert [message["text"] for message in await ann.messages("churn")] == ["hello"]


async def test_more_than_one_message_a_second_is_told_to_wait(client: AsyncWebClient, clock: Clock) -> None:
    for _ in range(limits.POST_BURST):
        await client.chat_postMessage(channel="churn", text="x")

    with pytest.raises(SlackApiError) as caught:
        await client.chat_postMessage(channel="churn", text="one too many")

    response = caught.value.response
    assert (response.status_code, response["error"]) == (429, "ratelimited")
    clock.now += int(response.headers["Retry-After"])
    await client.chat_postMessage(channel="churn", text="patience")


async def test_a_tiers_calls_a_minute_are_counted(client: AsyncWebClient, clock: Clock) -> None:
    for _ in range(limits.CALLS_PER_MINUTE["t2"]):
        await client.users_list()

    assert await error_of(client.users_list()) == "ratelimited"
    clock.now += 60
    await client.users_list()


async def test_a_reaction_is_added_once(client: AsyncWebClient, ann: Person) -> None:
    posted = await client.chat_postMessage(channel="churn", text="x")
    where = {"channel": posted["channel"], "timestamp": posted["ts"]}

    await client.reactions_add(name="eyes", **where)

    assert (await ann.messages("churn"))[0]["reactions"][0]["name"] == "eyes"
    assert await error_of(client.reactions_add(name="eyes", **where)) == "already_reacted"
    assert await error_of(client.reactions_add(name="no such", **where)) == "invalid_name"


async def test_tokens_are_told_apart(simulator: Simulator) -> None:
    assert await error_of(client_of(simulator, "xoxb-forged").auth_test()) == "invalid_auth"
    assert await error_of(client_of(simulator, "").api_call("auth.test")) == "not_authed"
    with_app_token = client_of(simulator, simulator.app_token)
    assert (
        await error_of(with_app_token.chat_postMessage(channel="churn", text="x")) == "not_allowed_token_type"
    )
    with_bot_token = client_of(simulator)
    assert (
        await error_of(with_bot_token.apps_connections_open(app_token=simulator.bot_token))
        == "not_allowed_token_type"
    )
    assert await error_of(with_bot_token.api_call("chat.shout", json={})) == "unknown_method"


async def test_direct_messages_reach_one_person(client: AsyncWebClient, ann: Person, bo: Person) -> None:
    anns = (await client.users_lookupByEmail(email="ANN@example.com"))["user"]["id"]
    opened = (await client.conversations_open(users=anns))["channel"]["id"]

    await client.chat_postMessage(channel=opened, text="psst")

    assert [message["text"] for message in await ann.messages(opened)] == ["psst"]
    with pytest.raises(Exception, match="channel_not_found"):
        await bo.messages(opened)
    assert await error_of(client.users_lookupByEmail(email="nobody@example.com")) == "users_not_found"
    assert await error_of(client.users_info(user="U0")) == "user_not_found"
