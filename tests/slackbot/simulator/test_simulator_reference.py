"""The simulator's methods against Slack's own machine-readable reference, where a copy of it is at hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from slack_sdk.web.async_client import AsyncWebClient

from slackbot.simulator import Person, Simulator
from slackbot.simulator.web_api import METHODS

from .simulator_parts import error_of

REFERENCE = Path(__file__).parents[4] / "shared" / "slack" / "methods"
EVERY_METHOD = {
    *("invalid_arguments", "invalid_auth", "invalid_json", "invalid_post_type", "json_not_object"),
    *("not_allowed_token_type", "not_authed", "ratelimited", "unknown_method"),
}
UNDESCRIBED = {"users.list"}  # the reference at hand has no page for these

needs_reference = pytest.mark.skipif(
    not REFERENCE.is_dir(), reason="Slack's method reference does not lie beside this repository"
)


def described(method: str) -> dict[str, Any]:
    page: dict[str, Any] = json.loads((REFERENCE / f"{method}.json").read_text(encoding="utf-8"))
    return page


@needs_reference
@pytest.mark.parametrize("name", sorted(set(METHODS) - UNDESCRIBED))
def test_a_method_takes_what_the_reference_says(name: str) -> None:
    method, page = METHODS[name], described(name)
    arguments = page["args"]

    assert set(method.required) == set(arguments.get("required", ())) - {"token"}
    assert set(method.optional) <= set(arguments["properties"]) - set(method.required)
    assert method.takes_json == page.get("json_input_supported", False)
    assert method.tier == {"t5": "special"}.get(
        page.get("rate_limits", "t5"), page.get("rate_limits", "special")
    )


MARKDOWN = {"markdown_text": "x", "text": "y"}
WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("chat.postMessage", {"channel": "C0", "text": "x"}, "channel_not_found"),
    ("chat.postMessage", {"channel": "#secret", "text": "x"}, "not_in_channel"),
    ("chat.postMessage", {"channel": "churn"}, "no_text"),
    ("chat.postMessage", {"channel": "churn", "blocks": {}}, "invalid_blocks_format"),
    ("chat.postMessage", {"channel": "churn", **MARKDOWN}, "markdown_text_conflict"),
    (
        "chat.postMessage",
        {"channel": "churn", "text": "x", "attachments": [{}] * 101},
        "too_many_attachments",
    ),
    ("chat.postEphemeral", {"channel": "churn", "user": "U0", "text": "x"}, "user_not_in_channel"),
    ("chat.postEphemeral", {"channel": "#secret", "user": "U0", "text": "x"}, "not_in_channel"),
    ("chat.postEphemeral", {"channel": "churn", "user": "{ann}", "text": "x" * 40_001}, "msg_too_long"),
    ("chat.postEphemeral", {"channel": "churn", "user": "{ann}", **MARKDOWN}, "markdown_text_conflict"),
    ("chat.update", {"channel": "churn", "ts": "1.1", "text": "x"}, "channel_not_found"),
    ("chat.update", {"channel": "{churn}", "ts": "1.1", "text": "x"}, "message_not_found"),
    ("chat.update", {"channel": "{churn}", "ts": "{hers}", "text": "x"}, "cant_update_message"),
    ("chat.update", {"channel": "{churn}", "ts": "{mine}", "text": "x" * 4_001}, "msg_too_long"),
    ("chat.update", {"channel": "{churn}", "ts": "{mine}"}, "no_text"),
    ("chat.delete", {"channel": "{churn}", "ts": "{hers}"}, "cant_delete_message"),
    ("chat.delete", {"channel": "{churn}", "ts": "x"}, "message_not_found"),
    ("chat.getPermalink", {"channel": "{churn}", "message_ts": "1.1"}, "message_not_found"),
    ("chat.getPermalink", {"channel": "C0", "message_ts": "1.1"}, "channel_not_found"),
    ("conversations.list", {"types": "secret"}, "invalid_types"),
    ("conversations.list", {"limit": "0"}, "invalid_limit"),
    ("conversations.list", {"cursor": "x"}, "invalid_cursor"),
    ("conversations.info", {"channel": "churn"}, "channel_not_found"),
    ("conversations.members", {"channel": "C0"}, "channel_not_found"),
    ("conversations.members", {"channel": "{churn}", "limit": "9999"}, "invalid_limit"),
    ("conversations.history", {"channel": "{secret}"}, "not_in_channel"),
    ("conversations.history", {"channel": "{churn}", "oldest": "yesterday"}, "invalid_ts_oldest"),
    ("conversations.history", {"channel": "{churn}", "latest": "now"}, "invalid_ts_latest"),
    ("conversations.history", {"channel": "{churn}", "limit": "1000"}, "invalid_arguments"),
    ("conversations.replies", {"channel": "{churn}", "ts": "1.1"}, "thread_not_found"),
    ("conversations.open", {}, "users_list_not_supplied"),
    ("conversations.open", {"users": "U0"}, "user_not_found"),
    ("conversations.open", {"channel": "{churn}"}, "method_not_supported_for_channel_type"),
    ("files.getUploadURLExternal", {"filename": "a", "length": "0"}, "invalid_arguments"),
    ("files.getUploadURLExternal", {"filename": "a", "length": "99999999999"}, "file_upload_size_restricted"),
    ("files.completeUploadExternal", {"files": [{"id": "F0"}]}, "file_not_found"),
    ("files.completeUploadExternal", {"files": []}, "invalid_arguments"),
    ("reactions.add", {"channel": "{churn}", "timestamp": "{mine}", "name": "no such"}, "invalid_name"),
    ("reactions.add", {"channel": "{churn}", "timestamp": "soon", "name": "eyes"}, "bad_timestamp"),
    ("reactions.add", {"channel": "{churn}", "timestamp": "1.1", "name": "eyes"}, "message_not_found"),
    ("users.info", {"user": "U0"}, "user_not_found"),
    ("users.lookupByEmail", {"email": "nobody@example.com"}, "users_not_found"),
    ("views.open", {"trigger_id": "1.1.x", "view": {}}, "invalid_arguments"),
    ("views.update", {"view_id": "V0", "view": "{modal}"}, "not_found"),
    ("views.push", {"trigger_id": "1.1.x", "view": "{modal}"}, "invalid_trigger_id"),
    ("views.open", {"trigger_id": "1.1.x", "view": "{huge}"}, "view_too_large"),
]


@needs_reference
@pytest.mark.parametrize(("method", "arguments", "error"), WRONG)
async def test_a_refusal_has_a_documented_name(
    simulator: Simulator,
    client: AsyncWebClient,
    ann: Person,
    method: str,
    arguments: dict[str, Any],
    error: str,
) -> None:
    modal = {"type": "modal", "title": {"type": "plain_text", "text": "x"}, "blocks": []}
    places = {
        "{churn}": simulator.workspace.channel_by_name("churn").id,
        "{secret}": simulator.workspace.add_channel("secret", []).id,
        "{ann}": simulator.workspace.user_by_email("ann@example.com").id,
        "{hers}": (await ann.say("hers", "churn"))["ts"],
        "{mine}": (await client.chat_postMessage(channel="churn", text="mine"))["ts"],
        "{modal}": modal,
        "{huge}": {
            **modal,
            "blocks": [{"type": "header", "text": {"type": "plain_text", "text": "x" * 250_000}}],
        },
    }
    filled = {
        name: places.get(value, value) if isinstance(value, str) else value
        for name, value in arguments.items()
    }
    how = {"json": filled} if METHODS[method].takes_json else {"params": filled}

    assert await error_of(client.api_call(method, **how)) == error
    assert error in {*described(method)["errors"], *EVERY_METHOD}


async def test_a_body_that_is_no_json_or_no_object_is_refused(simulator: Simulator) -> None:
    url, headers = f"{simulator.api_url}chat.postMessage", {"Authorization": f"Bearer {simulator.bot_token}"}
    async with aiohttp.ClientSession(headers=headers) as session:

        async def error(data: str, kind: str) -> str:
            async with session.post(url, data=data, headers={"Content-Type": kind}) as response:
                found: str = (await response.json())["error"]
                return found

        assert await error("{", "application/json") == "invalid_json"
        assert await error("[]", "application/json") == "json_not_object"
        assert await error("x", "text/plain") == "invalid_post_type"
        # as a form, with the token in it, the structured arguments are strings of JSON
        form = {
            "token": simulator.bot_token,
            "channel": "churn",
            "text": "x",
            "blocks": '[{"type": "divider"}]',
        }
        async with session.post(url, data=form) as response:
            assert (await response.json())["message"]["blocks"][0]["type"] == "divider"


async def test_a_method_that_takes_only_a_query_misses_what_is_in_json(
    simulator: Simulator, client: AsyncWebClient
) -> None:
    channel = simulator.workspace.channel_by_name("churn").id

    assert (
        await error_of(client.api_call("conversations.info", json={"channel": channel}))
        == "invalid_arguments"
    )
    found = await client.api_call("conversations.info", params={"channel": channel})
    assert found["channel"]["is_member"] is True
