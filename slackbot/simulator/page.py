"""The page's endpoints: what a person's browser reads and does, as one of the workspace's users.

There is no login, so all of it is for this machine alone: a request whose Host is not the loopback address
that is served, or that comes from another site's page, is refused, and whatever changes something needs the
token that is written into the page.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import html
import json
import secrets
from collections.abc import Awaitable, Callable
from importlib.resources import files as package_files
from typing import Any

from aiohttp import web

from .interactions import Interactions
from .modals import Modal
from .refusal import JSON, Refusal
from .slack import Interaction, Slack
from .workspace import Channel, Message, User

_STATIC = {
    "page.js": "text/javascript",
    "blocks.js": "text/javascript",
    "chart.js": "text/javascript",
    "emoji.js": "text/javascript",
    "modal.js": "text/javascript",
    "text.js": "text/javascript",
    "page.css": "text/css",
    "icon.svg": "image/svg+xml",
}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
TOKEN_HEADER = "X-Page-Token"  # noqa: S105 the header's name
_PING_SECONDS = 15.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Page:
    """Serves the page and carries out what is done on it."""

    def __init__(self, slack: Slack) -> None:
        self._slack = slack
        self._workspace = slack.workspace
        self._interactions = Interactions(slack)
        self._token = secrets.token_urlsafe(24)

    @property
    def interactions(self) -> Interactions:
        """What people do, for those who need no page."""
        return self._interactions

    def routes(self) -> list[web.RouteDef]:
        """Return the page's addresses."""
        return [
            web.get("/", self.show),
            web.get("/ui/static/{name}", self.static),
            web.get("/ui/workspace", self.workspace),
            web.get("/ui/messages", self.messages),
            web.get("/ui/view", self.view),
            web.get("/ui/responses", self.responses),
            web.get("/ui/files/{file}", self.file),
            web.get("/ui/feed", self.feed),
            web.post("/ui/say", self.say),
            web.post("/ui/command", self.command),
            web.post("/ui/press", self.press),
            web.post("/ui/view/press", self.press_in_view),
            web.post("/ui/view/submit", self.submit),
            web.post("/ui/view/close", self.close),
            web.post("/response/{team}/{name}", self.respond),
        ]

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse whoever is not on this machine's own page, and answer refusals as JSON."""
        own = set(self._own_hosts())
        origin = request.headers.get("Origin")
        if request.host not in own or (origin is not None and origin.removeprefix("http://") not in own):
            return web.json_response({"ok": False, "error": "forbidden_host"}, status=403)
        for_page = request.path == "/" or request.path.startswith("/ui/")
        if for_page and request.method == "POST":
            given = request.headers.get(TOKEN_HEADER, "")
            if not hmac.compare_digest(given.encode(), self._token.encode()):
                return web.json_response({"ok": False, "error": "invalid_page_token"}, status=403)
        try:
            response = await handler(request)
        except Refusal as refusal:
            status = refusal.status if refusal.status != 200 else 400
            response = web.json_response(refusal.to_dict(), status=status)
        if for_page and not response.prepared:
            response.headers.update(_HEADERS)
        return response

    def _own_hosts(self) -> list[str]:
        authority = self._slack.base_url.removeprefix("http://")
        port = authority.rsplit(":", 1)[-1]
        return [authority, f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}"]

    # reading

    async def show(self, request: web.Request) -> web.Response:
        """Return the page with its token in it."""
        text = (package_files(__package__) / "static" / "page.html").read_text(encoding="utf-8")
        return web.Response(
            text=text.replace("{{token}}", html.escape(self._token)), content_type="text/html"
        )

    async def static(self, request: web.Request) -> web.Response:
        """Return one of the page's own files."""
        name = request.match_info["name"]
        if name not in _STATIC:
            return web.Response(status=404)
        text = (package_files(__package__) / "static" / name).read_text(encoding="utf-8")
        return web.Response(text=text, content_type=_STATIC[name])

    async def workspace(self, request: web.Request) -> web.Response:
        """Return who and what there is, as one person sees it; without a user, who there is."""
        people = [user for user in self._workspace.users() if not user.is_bot]
        channels: list[JSON] = []
        if request.query.get("user"):
            user = self._user(request.query["user"])
            # everybody can write to the bot directly, as soon as they look for it
            self._workspace.open_im(user.id)
            channels = [
                {
                    "id": channel.id,
                    "name": channel.name or self._workspace.bot.real_name,
                    "is_im": channel.is_im,
                }
                for channel in self._workspace.channels()
                if self._workspace.is_member(channel.id, user.id)
            ]
        return web.json_response(
            {
                "team": self._workspace.identity.team_name,
                "bot": {"id": self._workspace.bot.id, "name": self._workspace.bot.real_name},
                "people": [_person(user) for user in people],
                "channels": channels,
                "commands": list(self._slack.commands),
                "connected": self._slack.socket_mode.connections > 0,
            }
        )

    async def messages(self, request: web.Request) -> web.Response:
        """Return all that one person sees in a channel, replies too, oldest first."""
        user, channel = self._where(request.query)
        return web.json_response(
            {
                "messages": [
                    self._shown(message)
                    for message in self._workspace.messages(channel.id)
                    if _visible(message, user)
                ]
            }
        )

    async def view(self, request: web.Request) -> web.Response:
        """Return the modal that a person has before them, if any."""
        stack = self._slack.modals.stack(self._user(request.query.get("user")).id)
        return web.json_response(
            {"view": self._slack.view_json(stack[-1]) if stack else None, "depth": len(stack)}
        )

    async def responses(self, request: web.Request) -> web.Response:
        """Return what the app answered to one thing that this person did."""
        user = self._user(request.query.get("user"))
        interaction = self._slack.interactions.get(request.query.get("interaction", ""))
        if interaction is None or interaction.user != user.id:
            raise Refusal("interaction_not_found", status=404)
        return web.json_response(self._answers(interaction))

    async def file(self, request: web.Request) -> web.Response:
        """Return a finished file; only images are shown in place."""
        file = self._workspace.file(request.match_info["file"])
        if file is None or not file.shared or file.content is None:
            return web.Response(status=404)
        headers = {} if file.is_image else {"Content-Disposition": "attachment"}
        kind = file.mimetype if file.is_image else "application/octet-stream"
        return web.Response(body=file.content, content_type=kind, headers=headers)

    async def feed(self, request: web.Request) -> web.StreamResponse:
        """Tell a page of every change that its user may see, as server-sent events."""
        user = self._user(request.query.get("user"))
        response = web.StreamResponse(headers={**_HEADERS, "Content-Type": "text/event-stream"})
        # a page that was closed is no fault of anybody's
        with self._slack.feed.listen() as changes, contextlib.suppress(ConnectionError):
            await response.prepare(request)
            await response.write(b"retry: 1000\n\n")
            while True:
                try:
                    change = await asyncio.wait_for(changes.get(), _PING_SECONDS)
                except TimeoutError:
                    await response.write(b": still here\n\n")
                    continue
                if change is None:
                    return response
                if self._concerns(change, user):
                    await response.write(f"data: {json.dumps(change)}\n\n".encode())
        return response

    def _concerns(self, change: JSON, user: User) -> bool:
        channel = change.get("channel")
        return change.get("user") in (None, user.id) and (
            channel is None or self._workspace.is_member(channel, user.id)
        )

    # doing

    async def say(self, request: web.Request) -> web.Response:
        """Post plain text."""
        body = await _body(request)
        user, channel = self._where(body)
        thread_ts = body.get("thread_ts")
        message = self._interactions.say(user, channel, str(body.get("text", "")), thread_ts)
        return web.json_response({"ok": True, "message": self._shown(message)})

    async def command(self, request: web.Request) -> web.Response:
        """Give the app a slash command."""
        body = await _body(request)
        user, channel = self._where(body)
        interaction = await self._interactions.command(user, channel, str(body.get("text", "")))
        return web.json_response({"ok": True, **self._answers(interaction)})

    async def press(self, request: web.Request) -> web.Response:
        """Use a button or a menu of a message."""
        body = await _body(request)
        user, channel = self._where(body)
        interaction = await self._interactions.press(
            user,
            channel,
            str(body.get("ts")),
            str(body.get("action_id")),
            body.get("block_id"),
            body.get("value"),
        )
        return web.json_response({"ok": True, **self._answers(interaction)})

    async def press_in_view(self, request: web.Request) -> web.Response:
        """Use a button or a menu of a modal."""
        body = await _body(request)
        user = self._user(body.get("user"))
        interaction = await self._interactions.press_in_view(
            user,
            self._modal(user, body),
            str(body.get("action_id")),
            body.get("block_id"),
            body.get("value"),
            _values(body),
        )
        return web.json_response({"ok": True, **self._answers(interaction)})

    async def submit(self, request: web.Request) -> web.Response:
        """Submit a modal."""
        body = await _body(request)
        user = self._user(body.get("user"))
        errors = await self._interactions.submit(user, self._modal(user, body), _values(body))
        return web.json_response({"ok": not errors, "errors": errors})

    async def close(self, request: web.Request) -> web.Response:
        """Close a modal."""
        body = await _body(request)
        user = self._user(body.get("user"))
        await self._interactions.close(user, self._modal(user, body))
        return web.json_response({"ok": True})

    async def respond(self, request: web.Request) -> web.Response:
        """Take one use of a response URL from the app."""
        try:
            body = await request.json()
        except ValueError:
            raise Refusal("invalid_payload", status=400) from None
        self._interactions.respond(request.match_info["name"], body)
        return web.json_response({"ok": True})

    # finding and showing

    def _user(self, name: Any) -> User:
        user = self._workspace.user(str(name)) or self._workspace.user_by_email(str(name))
        if user is None or user.is_bot:
            raise Refusal("user_not_found", status=404)
        return user

    def _where(self, values: Any) -> tuple[User, Channel]:
        user = self._user(values.get("user"))
        name = str(values.get("channel"))
        channel = self._workspace.channel(name) or self._workspace.channel_by_name(name)
        if channel is None or not self._workspace.is_member(channel.id, user.id):
            raise Refusal("channel_not_found", status=404)
        return user, channel

    def _modal(self, user: User, body: JSON) -> Modal:
        modal = self._slack.modals.find(str(body.get("view_id")))
        if modal is None or modal.user != user.id:
            raise Refusal("view_not_found", status=404)
        return modal

    def _shown(self, message: Message) -> JSON:
        author = self._workspace.user(message.user)
        return {
            **self._slack.message_json(message),
            "author": author.real_name if author else message.user,
            "is_bot": author is not None and author.is_bot,
            "is_ephemeral": message.only_for is not None,
            "is_reply": message.is_reply,
            "channel": message.channel,
        }

    def _answers(self, interaction: Interaction) -> JSON:
        found = [self._workspace.message(channel, ts) for channel, ts in interaction.responses]
        stack = self._slack.modals.stack(interaction.user)
        return {
            "interaction": interaction.id,
            "responses": [self._shown(message) for message in found if message is not None],
            "view": self._slack.view_json(stack[-1]) if stack else None,
        }


def _person(user: User) -> JSON:
    return {"id": user.id, "name": user.real_name, "email": user.email}


def _visible(message: Message, user: User) -> bool:
    return message.only_for in (None, user.id)


async def _body(request: web.Request) -> JSON:
    if request.content_type != "application/json":
        raise Refusal("invalid_post_type", status=415)
    try:
        body = await request.json()
    except ValueError:
        raise Refusal("invalid_json", status=400) from None
    if not isinstance(body, dict):
        raise Refusal("json_not_object", status=400)
    return body


def _values(body: JSON) -> dict[str, dict[str, Any]]:
    values = body.get("values") or {}
    if not isinstance(values, dict) or not all(isinstance(part, dict) for part in values.values()):
        raise Refusal("invalid_value", status=400)
    return values
