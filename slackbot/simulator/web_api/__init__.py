"""The Web API: every method that this Slack has, what each takes, and how a call is answered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from aiohttp import web

from ..arguments import Arguments
from ..faults import Fault
from ..refusal import JSON, Refusal
from ..slack import Slack
from ..throttle import too_often
from . import apps, chat, conversations, files, reactions, users, views

Caller = Literal["bot", "app", "any", "none"]
Handler = Callable[[Slack, Arguments], JSON]


@dataclass(frozen=True, slots=True)
class Method:
    """One method: its tier, the arguments that it knows besides ``token``, and what it does."""

    name: str
    tier: str
    handler: Handler
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    takes_json: bool = True
    caller: Caller = "bot"


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_MESSAGE = "text blocks attachments markdown_text metadata link_names parse"
_PAGE = "cursor limit"
_RANGE = "oldest latest inclusive include_all_metadata"

METHODS: Mapping[str, Method] = {
    method.name: method
    for method in (
        Method("apps.connections.open", "t3", apps.open_connection, caller="app"),
        Method("auth.test", "special", apps.test_auth, caller="any"),
        Method("blocks.validate", "special", apps.validate, (), _words("blocks message view"), caller="none"),
        Method(
            "chat.postMessage",
            "special",
            chat.post_message,
            _words("channel"),
            _words(f"{_MESSAGE} thread_ts reply_broadcast mrkdwn unfurl_links unfurl_media"),
        ),
        Method(
            "chat.postEphemeral",
            "t4",
            chat.post_ephemeral,
            _words("channel user"),
            _words(f"{_MESSAGE} thread_ts"),
        ),
        Method("chat.update", "t3", chat.update, _words("channel ts"), _words(f"{_MESSAGE} file_ids")),
        Method("chat.delete", "t3", chat.delete, _words("channel ts")),
        Method(
            "chat.getPermalink",
            "special",
            chat.get_permalink,
            _words("channel message_ts"),
            takes_json=False,
        ),
        Method(
            "conversations.list",
            "t2",
            conversations.list_channels,
            (),
            _words(f"{_PAGE} types exclude_archived"),
            takes_json=False,
        ),
        Method(
            "conversations.info",
            "t3",
            conversations.info,
            _words("channel"),
            _words("include_locale include_num_members"),
            takes_json=False,
        ),
        Method(
            "conversations.members",
            "t4",
            conversations.members,
            _words("channel"),
            _words(_PAGE),
            takes_json=False,
        ),
        Method(
            "conversations.history",
            "t3",
            conversations.history,
            _words("channel"),
            _words(f"{_PAGE} {_RANGE}"),
        ),
        Method(
            "conversations.replies",
            "t3",
            conversations.replies,
            _words("channel ts"),
            _words(f"{_PAGE} {_RANGE}"),
            takes_json=False,
        ),
        Method(
            "conversations.open",
            "t3",
            conversations.open_im,
            (),
            _words("channel users return_im prevent_creation"),
        ),
        Method(
            "files.getUploadURLExternal",
            "t4",
            files.get_upload_url,
            _words("filename length"),
            _words("alt_txt snippet_type"),
            takes_json=False,
        ),
        Method(
            "files.completeUploadExternal",
            "t4",
            files.complete_upload,
            _words("files"),
            _words("channel_id channels thread_ts initial_comment blocks"),
        ),
        Method("reactions.add", "t3", reactions.add, _words("channel name timestamp")),
        Method("users.info", "t4", users.info, _words("user"), _words("include_locale"), takes_json=False),
        Method("users.lookupByEmail", "t3", users.lookup_by_email, _words("email"), takes_json=False),
        Method(
            "users.list",
            "t2",
            users.list_users,
            (),
            _words(f"{_PAGE} include_locale"),
            takes_json=False,
        ),
        Method(
            "views.open", "t4", views.open_view, _words("view"), _words("trigger_id interactivity_pointer")
        ),
        Method(
            "views.push", "t4", views.push_view, _words("view"), _words("trigger_id interactivity_pointer")
        ),
        Method("views.update", "t4", views.update_view, _words("view"), _words("view_id external_id hash")),
    )
}


async def answer(slack: Slack, request: web.Request) -> web.StreamResponse:
    """Answer one call of the Web API."""
    name = request.match_info["method"]
    fault = slack.faults.take(name)
    if fault is not None and fault.kind == "error_500":
        return web.Response(status=500, text="fault injected")
    if fault is not None and fault.kind == "latency":
        await asyncio.sleep(fault.seconds)
    headers: dict[str, str] = {}
    try:
        if fault is not None and fault.kind == "rate_limit":
            raise too_often(int(fault.seconds))
        body, status = await _call(slack, request, name), 200
        if name == "auth.test":
            headers["x-oauth-scopes"] = apps.SCOPES
    except Refusal as refusal:
        body, status, headers = refusal.to_dict(), refusal.status, refusal.headers
    if _loses_reply(fault) and request.transport is not None:
        # what was asked is done and stored; the caller cannot know
        request.transport.abort()
    return web.json_response(body, status=status, headers=headers)


def _loses_reply(fault: Fault | None) -> bool:
    return fault is not None and fault.kind == "drop_reply"


async def _call(slack: Slack, request: web.Request, name: str) -> JSON:
    values, was_json = await _read(request)
    method = METHODS.get(name)
    if method is None:
        raise Refusal("unknown_method")
    _check_token(slack, method, _token(request, values))
    if method.caller == "app" and request.method != "POST":
        raise Refusal("insecure_request")
    slack.throttle.call(method.name, method.tier)
    if was_json and not method.takes_json:
        # Slack reads only the query of these methods; it does not say so, it misses the arguments
        values = dict(request.query)
    arguments = Arguments(values)
    _check_names(method, arguments)
    return {"ok": True, **method.handler(slack, arguments)}


async def _read(request: web.Request) -> tuple[dict[str, Any], bool]:
    values: dict[str, Any] = dict(request.query)
    if not request.can_read_body:
        return values, False
    kind = request.content_type
    if kind == "application/json":
        text = await request.text()
        try:
            body = json.loads(text) if text else {}
        except ValueError:
            raise Refusal("invalid_json") from None
        if not isinstance(body, dict):
            raise Refusal("json_not_object")
        return {**values, **body}, True
    if kind in ("application/x-www-form-urlencoded", "multipart/form-data"):
        form = await request.post()
        for name, value in form.items():
            if not isinstance(value, str):
                raise Refusal("invalid_form_data")
            values[name] = value
        return values, False
    if await request.read():
        raise Refusal("invalid_post_type")
    return values, False


def _token(request: web.Request, values: Mapping[str, Any]) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else str(values.get("token") or "")


def _check_token(slack: Slack, method: Method, token: str) -> None:
    if method.caller == "none":
        return
    identity = slack.workspace.identity
    if not token:
        raise Refusal("missing_args" if method.caller == "app" else "not_authed")
    kinds = {identity.bot_token: "bot", identity.app_token: "app"}
    if token not in kinds:
        raise Refusal("invalid_auth")
    if method.caller not in (kinds[token], "any"):
        raise Refusal("not_allowed_token_type")


def _check_names(method: Method, arguments: Arguments) -> None:
    missing = [name for name in method.required if name not in arguments]
    if missing:
        raise Refusal("invalid_arguments", *(f"[ERROR] missing required field: {name}" for name in missing))
    # the SDK adds the team to every call; organisations with several workspaces need it
    unknown = sorted(set(arguments.to_dict()) - {*method.required, *method.optional, "team_id"})
    if unknown:
        raise Refusal(
            "invalid_arguments", *(f"[ERROR] invalid additional property: {name}" for name in unknown)
        )
