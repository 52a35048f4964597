"""Interactions: what a person does (say, command, press, submit) and how the app's answer takes effect.

The page's endpoints call these with a user that is known; each tells the app over Socket Mode and applies
what it answers.
"""

from __future__ import annotations

import re
import secrets
from typing import Any

from . import blockkit, inputs
from .arguments import Arguments
from .content import accept_content, accept_metadata
from .inputs import Value, Values
from .modals import Modal
from .refusal import JSON, Refusal
from .slack import Interaction, Slack
from .socket_mode import NotAcknowledged
from .workspace import Channel, Message, User

_ANSWER_KEYS = frozenset(
    ["text", "blocks", "attachments", "response_type", "mrkdwn", "unfurl_links", "unfurl_media", "metadata"]
)
_RESPONSE_KEYS = _ANSWER_KEYS | {"replace_original", "delete_original", "thread_ts"}


class Interactions:
    """Carries what people do to the app, and its answers back."""

    def __init__(self, slack: Slack) -> None:
        self._slack = slack
        self._workspace = slack.workspace

    # what people do

    def say(self, user: User, channel: Channel, text: str, thread_ts: str | None = None) -> Message:
        """Post plain text as a person; the app hears of it if it subscribed to such an event."""
        if not text.strip():
            raise Refusal("no_text", status=400)
        bot = self._workspace.bot
        escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        content = re.sub(rf"(?<!\w)@{re.escape(bot.name)}\b", f"<@{bot.id}>", escaped)
        message = self._slack.post(channel.id, user.id, {"text": content}, thread_ts=thread_ts)
        subscribed = self._slack.events
        event = {**self._slack.message_json(message), "channel": channel.id, "event_ts": message.ts}
        if channel.is_im and "message.im" in subscribed:
            self.send_event({**event, "type": "message", "channel_type": "im"})
        elif f"<@{bot.id}>" in content and not channel.is_im and "app_mention" in subscribed:
            self.send_event({**event, "type": "app_mention"})
        return message

    def send_event(self, event: JSON) -> None:
        """Send the app an event, and again until it is acknowledged."""
        identity = self._workspace.identity
        self._slack.socket_mode.send_event(
            {
                "token": identity.verification_token,
                "team_id": identity.team_id,
                "api_app_id": identity.app_id,
                "event": event,
                "type": "event_callback",
                "event_id": "Ev" + secrets.token_hex(5).upper(),
                "event_time": int(self._slack.clock()),
                "authorizations": [
                    {
                        "enterprise_id": None,
                        "team_id": identity.team_id,
                        "user_id": identity.bot_user_id,
                        "is_bot": True,
                        "is_enterprise_install": False,
                    }
                ],
                "is_ext_shared_channel": False,
            }
        )

    async def command(self, user: User, channel: Channel, text: str) -> Interaction:
        """Give the app a slash command; show what it answers at once."""
        name, _, rest = text.strip().partition(" ")
        if name not in self._slack.commands:
            raise Refusal("invalid_command", f"{name} is not a valid command.", status=400)
        identity = self._workspace.identity
        interaction = self._slack.begin_interaction(user.id)
        payload = {
            "token": identity.verification_token,
            "team_id": identity.team_id,
            "team_domain": identity.team_domain,
            "channel_id": channel.id,
            "channel_name": channel.name or "directmessage",
            "user_id": user.id,
            "user_name": user.name,
            "command": name,
            "text": rest.strip(),
            "api_app_id": identity.app_id,
            "is_enterprise_install": "false",
            "response_url": self._response_url(user, channel, None, interaction),
            "trigger_id": self._slack.passes.trigger(user.id, interaction.id),
        }
        answer = await self._send("slash_commands", payload, takes_answer=True)
        if answer:
            try:
                self._answer(user.id, channel.id, Arguments(_object(answer, _ANSWER_KEYS)), interaction.id)
            except Refusal as refusal:
                raise self._complain(f"the answer to {name} was refused", refusal) from None
        return interaction

    async def press(
        self, user: User, channel: Channel, ts: str, action_id: str, block_id: str | None, value: Value
    ) -> Interaction:
        """Use a button or a menu of a message."""
        message = self._workspace.message(channel.id, ts)
        if message is None or message.only_for not in (None, user.id):
            raise Refusal("message_not_found", status=404)
        blocks = [*message.body.get("blocks", ())]
        for attachment in message.body.get("attachments", ()):
            blocks += attachment.get("blocks", ())
        block, element = _find_element(blocks, action_id, block_id, value)
        interaction = self._slack.begin_interaction(user.id)
        container: JSON = {
            "type": "message",
            "message_ts": ts,
            "channel_id": channel.id,
            "is_ephemeral": message.only_for is not None,
        }
        if message.thread_ts is not None:
            container["thread_ts"] = message.thread_ts
        payload = {
            **self._block_actions(user, block, element, value),
            "container": container,
            "trigger_id": self._slack.passes.trigger(user.id, interaction.id),
            "channel": {"id": channel.id, "name": channel.name or "directmessage"},
            "state": {"values": inputs.state_values(blocks, _pressed(block, element, value))},
            "response_url": self._response_url(user, channel, ts, interaction),
        }
        if message.only_for is None:
            payload["message"] = self._slack.message_json(message)
        await self._send("interactive", payload, takes_answer=False)
        return interaction

    async def press_in_view(
        self, user: User, modal: Modal, action_id: str, block_id: str | None, value: Value, values: Values
    ) -> Interaction:
        """Use a button or a menu of an open modal."""
        blocks = modal.content["blocks"]
        block, element = _find_element(blocks, action_id, block_id, value)
        if block["type"] == "input" and not block.get("dispatch_action"):
            raise Refusal("action_not_found", status=404)
        pressed = _pressed(block, element, value)
        given = {
            **values,
            block["block_id"]: {**values.get(block["block_id"], {}), **pressed[block["block_id"]]},
        }
        modal.values = inputs.state_values(blocks, given)
        interaction = self._slack.begin_interaction(user.id)
        payload = {
            **self._block_actions(user, block, element, value),
            "container": {"type": "view", "view_id": modal.id},
            "trigger_id": self._slack.passes.trigger(user.id, interaction.id, modal.id),
            "view": self._slack.view_json(modal),
        }
        await self._send("interactive", payload, takes_answer=False)
        return interaction

    async def submit(self, user: User, modal: Modal, values: Values) -> dict[str, str]:
        """Submit the modal on top; return, by block, what is wrong with it, empty if it was taken."""
        if self._slack.modals.stack(user.id)[-1:] != [modal] or "submit" not in modal.content:
            raise Refusal("view_not_found", status=404)
        blocks = modal.content["blocks"]
        modal.values = inputs.state_values(blocks, values)
        found = inputs.complaints(blocks, values)
        if found:
            return found
        interaction = self._slack.interactions.get(modal.interaction) or self._slack.begin_interaction(
            user.id
        )
        payload = {
            **self._from(user),
            "type": "view_submission",
            "trigger_id": self._slack.passes.trigger(user.id, interaction.id, modal.id),
            "view": self._slack.view_json(modal),
            "response_urls": [],
        }
        answer = await self._send("interactive", payload, takes_answer=True)
        try:
            found = self._apply(modal, _object(answer or {}, {"response_action", "errors", "view"}))
        except Refusal as refusal:
            raise self._complain("the answer to a submitted view was refused", refusal) from None
        self._slack.feed.tell("view", user=user.id)
        return found

    async def close(self, user: User, modal: Modal) -> None:
        """Close a modal without submitting it."""
        clear = bool(modal.content.get("clear_on_close"))
        closed = self._slack.modals.clear(user.id) if clear else self._slack.modals.close(modal)
        self._slack.feed.tell("view", user=user.id)
        await self._tell_closed(user, closed, clear)

    # what the app answers

    def respond(self, name: str, body: Any) -> None:
        """Take one use of a response URL."""
        url = self._slack.passes.find_response_url(name)
        arguments = Arguments(_object(body, _RESPONSE_KEYS))
        original = self._workspace.message(url.channel, url.ts) if url.ts is not None else None
        if arguments.flag("delete_original"):
            if original is None:
                raise Refusal("message_not_found", status=404)
            self._slack.remove(original)
        elif arguments.flag("replace_original") and original is not None:
            content = accept_content(arguments, self._workspace.has_image)
            kept: JSON = {
                key: original.body[key] for key in ("metadata", "files", "reactions") if key in original.body
            }
            self._slack.change(original, {**kept, **content})
        else:
            self._answer(url.user, url.channel, arguments, url.interaction)
        url.uses += 1

    def _answer(self, user: str, channel: str, arguments: Arguments, interaction: str) -> None:
        kind = arguments.text("response_type", "ephemeral")
        if kind not in ("ephemeral", "in_channel"):
            raise Refusal("invalid_arguments", "[ERROR] response_type must be ephemeral or in_channel")
        content = accept_content(arguments, self._workspace.has_image)
        metadata = accept_metadata(arguments)
        if metadata and kind == "in_channel":
            content["metadata"] = metadata
        self._slack.post(
            channel,
            self._workspace.bot.id,
            content,
            thread_ts=arguments.ts("thread_ts", "invalid_arguments"),
            only_for=user if kind == "ephemeral" else None,
            interaction=interaction,
        )

    def _apply(self, modal: Modal, answer: JSON) -> dict[str, str]:
        action = answer.get("response_action")
        modals = self._slack.modals
        if action is None:
            modals.close(modal)
        elif action == "clear":
            modals.clear(modal.user)
        elif action == "update":
            modals.update(modal, blockkit.accept_view(answer.get("view"), self._workspace.has_image))
        elif action == "push":
            view = blockkit.accept_view(answer.get("view"), self._workspace.has_image)
            modals.push(modal.user, view, modal.interaction)
        elif action == "errors":
            errors = answer.get("errors")
            known = {block["block_id"] for block in modal.content["blocks"] if block["type"] == "input"}
            if not isinstance(errors, dict) or not errors or not set(errors) <= known:
                raise Refusal(
                    "invalid_arguments", f"[ERROR] errors must name input blocks, of {sorted(known)}"
                )
            return {str(block_id): str(words) for block_id, words in errors.items()}
        else:
            raise Refusal("invalid_arguments", f"[ERROR] unknown response_action: {action}")
        return {}

    # how it is told

    async def _send(self, kind: Any, payload: JSON, *, takes_answer: bool) -> Any:
        try:
            return await self._slack.socket_mode.send(kind, payload, takes_answer=takes_answer)
        except NotAcknowledged as failure:
            raise Refusal(str(failure), status=504) from None

    async def _tell_closed(self, user: User, closed: list[Modal], cleared: bool) -> None:
        for modal in reversed(closed):
            if modal.content.get("notify_on_close"):
                view = self._slack.view_json(modal)
                payload = {**self._from(user), "type": "view_closed", "view": view, "is_cleared": cleared}
                try:
                    await self._send("interactive", payload, takes_answer=False)
                except Refusal as refusal:
                    self._complain("a closed view was not acknowledged", refusal)

    def _complain(self, what: str, refusal: Refusal) -> Refusal:
        words = "; ".join((refusal.error, *refusal.messages))
        self._slack.complaints.append(f"{what}: {words}")
        return Refusal("dispatch_failed", f"{what}: {words}", status=502)

    def _from(self, user: User) -> JSON:
        identity = self._workspace.identity
        return {
            "team": {"id": identity.team_id, "domain": identity.team_domain},
            "user": {"id": user.id, "username": user.name, "name": user.name, "team_id": identity.team_id},
            "api_app_id": identity.app_id,
            "token": identity.verification_token,
            "enterprise": None,
            "is_enterprise_install": False,
        }

    def _block_actions(self, user: User, block: JSON, element: JSON, value: Value) -> JSON:
        action = {
            **inputs.stated(element, value),
            "action_id": element["action_id"],
            "block_id": block["block_id"],
            "action_ts": f"{self._slack.clock():.6f}",
        }
        if "style" in element:
            action["style"] = element["style"]
        return {**self._from(user), "type": "block_actions", "actions": [action]}

    def _response_url(self, user: User, channel: Channel, ts: str | None, interaction: Interaction) -> str:
        name = self._slack.passes.response_url(user.id, channel.id, ts, interaction.id)
        return f"{self._slack.base_url}/response/{self._workspace.identity.team_id}/{name}"


def _pressed(block: JSON, element: JSON, value: Value) -> Values:
    return {block["block_id"]: {element["action_id"]: value}}


def _find_element(
    blocks: list[JSON], action_id: str, block_id: str | None, value: Value
) -> tuple[JSON, JSON]:
    for block, element in blockkit.elements_of(blocks):
        if element["action_id"] != action_id or block_id not in (None, block["block_id"]):
            continue
        if element["type"] == "button" and value is not None and value != element.get("value"):
            continue
        return block, element
    raise Refusal("action_not_found", status=404)


def _object(value: Any, known: frozenset[str] | set[str]) -> JSON:
    if not isinstance(value, dict):
        raise Refusal("invalid_payload", "[ERROR] must provide an object", status=400)
    unknown = sorted(set(value) - known)
    if unknown:
        raise Refusal("invalid_arguments", f"[ERROR] invalid additional property: {unknown[0]}", status=400)
    return value
