"""The methods ``chat.*``: posting, changing and removing messages."""

from __future__ import annotations

from ... import limits
from ..arguments import Arguments
from ..content import accept_content, accept_metadata
from ..refusal import JSON, Refusal
from ..slack import Slack
from ..workspace import Channel, Message


def post_message(slack: Slack, arguments: Arguments) -> JSON:
    """Post a message that everybody in the channel sees."""
    channel = slack.channel_for_app(arguments.text("channel"))
    content = accept_content(arguments, slack.workspace.has_image, too_long="msg_blocks_too_long")
    content["text"] = content["text"][: limits.MESSAGE_TEXT]
    metadata = accept_metadata(arguments)
    if metadata:
        content["metadata"] = metadata
    thread_ts = arguments.ts("thread_ts", "cannot_reply_to_message")
    if thread_ts is not None and arguments.flag("reply_broadcast"):
        content["broadcast"] = True
    slack.throttle.post(channel.id)
    message = slack.post(channel.id, slack.workspace.bot.id, content, thread_ts=thread_ts)
    return {"channel": channel.id, "ts": message.ts, "message": slack.message_json(message)}


def post_ephemeral(slack: Slack, arguments: Arguments) -> JSON:
    """Show a message to one person in a channel."""
    channel = slack.channel_for_app(arguments.text("channel"))
    user = arguments.text("user")
    if not slack.workspace.is_member(channel.id, user):
        raise Refusal("user_not_in_channel")
    content = accept_content(arguments, slack.workspace.has_image)
    if len(content["text"]) > limits.MESSAGE_TEXT:
        raise Refusal("msg_too_long")
    if accept_metadata(arguments):
        # ephemeral messages carry no metadata of an app's own
        raise Refusal(
            "invalid_arguments", "[ERROR] only entity metadata is supported [json-pointer:/metadata]"
        )
    thread_ts = arguments.ts("thread_ts", "cannot_reply_to_message")
    message = slack.post(channel.id, slack.workspace.bot.id, content, thread_ts=thread_ts, only_for=user)
    return {"message_ts": message.ts}


def update(slack: Slack, arguments: Arguments) -> JSON:
    """Change a message of the bot's own; text without blocks takes the blocks away."""
    channel, message = _own_message(slack, arguments, "cant_update_message")
    if len(arguments.text("text")) > limits.UPDATE_TEXT:
        raise Refusal("msg_too_long")
    content = accept_content(arguments, slack.workspace.has_image)
    if "file_ids" in arguments:
        raise Refusal("invalid_arguments", "[ERROR] this simulator does not change a message's files")
    metadata = accept_metadata(arguments)
    kept: JSON = {
        name: message.body[name] for name in ("files", "reactions", "broadcast") if name in message.body
    }
    body = {
        **kept,
        **content,
        "edited": {"user": slack.workspace.bot.id, "ts": f"{int(slack.clock())}.000000"},
    }
    chosen = message.body.get("metadata") if metadata is None else metadata
    if chosen:
        body["metadata"] = chosen
    slack.change(message, body)
    changed = slack.workspace.message(channel.id, message.ts) or message
    return {
        "channel": channel.id,
        "ts": message.ts,
        "text": body["text"],
        "message": slack.message_json(changed),
    }


def delete(slack: Slack, arguments: Arguments) -> JSON:
    """Remove a message of the bot's own."""
    channel, message = _own_message(slack, arguments, "cant_delete_message")
    slack.remove(message)
    return {"channel": channel.id, "ts": message.ts}


def get_permalink(slack: Slack, arguments: Arguments) -> JSON:
    """Return a link to a message: the page's own address of it."""
    channel = slack.channel_for_app(arguments.text("channel"), by_id_only=True, error="channel_not_found")
    ts = arguments.ts("message_ts", "message_not_found") or ""
    message = slack.workspace.message(channel.id, ts)
    if message is None or message.only_for is not None:
        raise Refusal("message_not_found")
    return {"channel": channel.id, "permalink": f"{slack.base_url}/#{channel.name or channel.id}/{ts}"}


def _own_message(slack: Slack, arguments: Arguments, error: str) -> tuple[Channel, Message]:
    channel = slack.channel_for_app(arguments.text("channel"), by_id_only=True, error="channel_not_found")
    ts = arguments.ts("ts", "message_not_found") or ""
    message = slack.workspace.message(channel.id, ts)
    if message is None or message.only_for is not None:
        raise Refusal("message_not_found")
    if message.user != slack.workspace.bot.id:
        raise Refusal(error)
    return channel, message
