"""The local Slack without its network: the parts that methods and pages share, and how they look in JSON."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .faults import Faults
from .feed import Feed
from .modals import Modal, Modals
from .passes import Passes
from .refusal import JSON, Refusal
from .socket_mode import SocketMode
from .throttle import Throttle
from .workspace import Channel, File, Message, User, Workspace

_REMEMBERED = 1_000  # interactions whose answers can still be asked for


@dataclass(slots=True)
class Interaction:
    """Something a person did, and what the app did about it."""

    id: str
    user: str
    responses: list[tuple[str, str]] = field(default_factory=list)


class Slack:
    """Holds the workspace and everything short-lived around it."""

    def __init__(
        self,
        workspace: Workspace,
        clock: Callable[[], float],
        commands: tuple[str, ...],
        events: tuple[str, ...],
    ) -> None:
        self.workspace = workspace
        self.clock = clock
        self.commands = commands
        self.events = events
        self.base_url = ""
        self.faults = Faults()
        self.feed = Feed()
        self.modals = Modals(clock)
        self.passes = Passes(clock)
        self.throttle = Throttle(clock)
        self.socket_mode = SocketMode(workspace.identity.app_id, clock, self.faults, self.feed)
        self.interactions: dict[str, Interaction] = {}
        self.complaints: list[str] = []
        """What the app did wrong where Slack has no reply to tell it, such as a bad answer to an envelope."""

    # doing

    def begin_interaction(self, user: str) -> Interaction:
        """Remember that a person did something, so that its answers can be found."""
        interaction = Interaction(secrets.token_hex(8), user)
        self.interactions[interaction.id] = interaction
        if len(self.interactions) > _REMEMBERED:
            del self.interactions[next(iter(self.interactions))]
        return interaction

    def post(
        self,
        channel: str,
        user: str,
        content: Mapping[str, Any],
        *,
        thread_ts: str | None = None,
        only_for: str | None = None,
        interaction: str = "",
    ) -> Message:
        """Store a message and tell the pages."""
        if thread_ts is not None:
            parent = self.workspace.message(channel, thread_ts)
            if parent is None or parent.only_for is not None or parent.is_reply:
                raise Refusal("cannot_reply_to_message")
        message = self.workspace.add_message(channel, user, content, thread_ts, only_for)
        if interaction in self.interactions:
            self.interactions[interaction].responses.append((channel, message.ts))
        self.feed.tell("message", channel=channel, ts=message.ts, user=only_for)
        return message

    def change(self, message: Message, body: Mapping[str, Any]) -> None:
        """Change a message and tell the pages."""
        self.workspace.change_message(message.channel, message.ts, body)
        self.feed.tell("message", channel=message.channel, ts=message.ts, user=message.only_for)

    def remove(self, message: Message) -> None:
        """Remove a message and tell the pages."""
        self.workspace.remove_message(message.channel, message.ts)
        self.feed.tell("message", channel=message.channel, ts=message.ts, user=message.only_for)

    # finding

    def channel_for_app(
        self, name: str, *, by_id_only: bool = False, error: str = "not_in_channel"
    ) -> Channel:
        """Return a channel that the bot is in, from an id or, where Slack takes them, a name or a user id."""
        workspace = self.workspace
        found = workspace.channel(name)
        if found is None and not by_id_only:
            user = workspace.user(name)
            if user is not None and not user.is_bot:
                return workspace.open_im(user.id)
            found = workspace.channel_by_name(name)
        if found is None:
            raise Refusal("channel_not_found")
        if not workspace.is_member(found.id, workspace.bot.id):
            raise Refusal(error)
        return found

    # showing

    def message_json(self, message: Message, *, metadata: bool = True) -> JSON:
        """Return a message as the Web API and payloads show it."""
        identity, body = self.workspace.identity, message.body
        shown: JSON = {
            "type": "message",
            "user": message.user,
            "ts": message.ts,
            "text": body.get("text", ""),
            "team": identity.team_id,
        }
        if message.user == identity.bot_user_id:
            shown |= {"bot_id": identity.bot_id, "app_id": identity.app_id}
        for key in ("blocks", "attachments", "edited", "subtype"):
            if body.get(key):
                shown[key] = body[key]
        if metadata and body.get("metadata"):
            shown["metadata"] = body["metadata"]
        if body.get("files"):
            files = [self.workspace.file(name) for name in body["files"]]
            shown["files"] = [self.file_json(file) for file in files if file is not None]
        if body.get("reactions"):
            shown["reactions"] = [
                {"name": name, "users": users, "count": len(users)}
                for name, users in body["reactions"].items()
            ]
        if message.thread_ts is not None:
            shown["thread_ts"] = message.thread_ts
        if message.is_reply:
            return shown
        replies = self.workspace.replies(message.channel, message.ts)
        if replies:
            shown |= {
                "thread_ts": message.ts,
                "reply_count": len(replies),
                "reply_users": sorted({reply.user for reply in replies}),
                "latest_reply": replies[-1].ts,
            }
        return shown

    def user_json(self, user: User) -> JSON:
        """Return a user as ``users.info`` shows one."""
        profile = {
            "real_name": user.real_name,
            "display_name": user.name,
            "real_name_normalized": user.real_name,
            "display_name_normalized": user.name,
            "team": self.workspace.identity.team_id,
        }
        if user.is_bot:
            profile |= {
                "bot_id": self.workspace.identity.bot_id,
                "api_app_id": self.workspace.identity.app_id,
            }
        else:
            profile["email"] = user.email
        return {
            "id": user.id,
            "team_id": self.workspace.identity.team_id,
            "name": user.name,
            "real_name": user.real_name,
            "deleted": False,
            "tz": "Etc/UTC",
            "tz_offset": 0,
            "profile": profile,
            "is_bot": user.is_bot,
            "is_app_user": False,
        }

    def channel_json(self, channel: Channel) -> JSON:
        """Return a channel as ``conversations.info`` shows one to the bot."""
        if channel.is_im:
            return {
                "id": channel.id,
                "created": channel.created,
                "is_im": True,
                "is_org_shared": False,
                "user": channel.im_user,
                "is_open": True,
            }
        return {
            "id": channel.id,
            "name": channel.name,
            "name_normalized": channel.name,
            "is_channel": True,
            "is_group": False,
            "is_im": False,
            "is_mpim": False,
            "is_private": False,
            "is_archived": False,
            "is_general": False,
            "is_member": self.workspace.is_member(channel.id, self.workspace.bot.id),
            "created": channel.created,
            "num_members": len(self.workspace.members(channel.id)),
        }

    def file_json(self, file: File) -> JSON:
        """Return a file as ``files.completeUploadExternal`` and messages show it."""
        url = f"{self.base_url}/files-pri/{self.workspace.identity.team_id}-{file.id}/{file.name}"
        return {
            "id": file.id,
            "created": file.created,
            "timestamp": file.created,
            "name": file.name,
            "title": file.title,
            "mimetype": file.mimetype,
            "filetype": file.mimetype.rsplit("/", 1)[-1],
            "user": file.user,
            "size": file.length,
            "alt_txt": file.alt_text,
            "url_private": url,
            "url_private_download": url,
            "permalink": url,
        }

    def view_json(self, modal: Modal) -> JSON:
        """Return an open modal as ``views.*`` and payloads show it."""
        identity = self.workspace.identity
        content = modal.content
        return {
            "id": modal.id,
            "team_id": identity.team_id,
            "type": "modal",
            "title": content["title"],
            "submit": content.get("submit"),
            "close": content.get("close"),
            "blocks": content["blocks"],
            "private_metadata": content.get("private_metadata", ""),
            "callback_id": content.get("callback_id", ""),
            "external_id": content.get("external_id", ""),
            "state": {"values": modal.values},
            "hash": modal.hash,
            "clear_on_close": content.get("clear_on_close", False),
            "notify_on_close": content.get("notify_on_close", False),
            "root_view_id": modal.root,
            "previous_view_id": modal.previous,
            "app_id": identity.app_id,
            "app_installed_team_id": identity.team_id,
            "bot_id": identity.bot_id,
        }
