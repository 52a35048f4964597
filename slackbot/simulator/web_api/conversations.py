"""The methods ``conversations.*``: which channels there are, who is in them, what was said."""

from __future__ import annotations

from ... import limits
from ..arguments import Arguments
from ..refusal import JSON, Refusal
from ..slack import Slack
from ..workspace import Channel, Message
from .paging import page

_TYPES = frozenset({"public_channel", "private_channel", "mpim", "im"})


def list_channels(slack: Slack, arguments: Arguments) -> JSON:
    """List public channels, or the kinds of conversations asked for."""
    types = {word.strip() for word in arguments.text("types", "public_channel").split(",")}
    if not types <= _TYPES:
        raise Refusal("invalid_types")
    kinds = {"im": True, "public_channel": False}
    wanted = {kinds[kind] for kind in types if kind in kinds}
    channels = [channel for channel in slack.workspace.channels() if channel.is_im in wanted]
    keys = [channel.id for channel in channels]
    found, more = page(channels, keys, arguments, 100, limits.LIST_MOST, "invalid_limit")
    return {"channels": [slack.channel_json(channel) for channel in found], **more}


def info(slack: Slack, arguments: Arguments) -> JSON:
    """Describe a channel; a public one also to those who are not in it."""
    channel = slack.workspace.channel(arguments.text("channel"))
    if channel is None:
        raise Refusal("channel_not_found")
    shown = slack.channel_json(channel)
    if not arguments.flag("include_num_members"):
        shown.pop("num_members", None)
    return {"channel": shown}


def members(slack: Slack, arguments: Arguments) -> JSON:
    """List the members of a channel."""
    channel = slack.workspace.channel(arguments.text("channel"))
    if channel is None:
        raise Refusal("channel_not_found")
    ids = slack.workspace.members(channel.id)
    found, more = page(ids, ids, arguments, 100, limits.LIST_MOST, "invalid_limit")
    return {"members": found, **more}


def history(slack: Slack, arguments: Arguments) -> JSON:
    """Return what everybody in a channel sees, newest first, without the replies in threads."""
    channel = slack.channel_for_app(arguments.text("channel"), by_id_only=True)
    messages = [
        message
        for message in _in_range(slack, channel, arguments)
        if not message.is_reply or message.body.get("broadcast")
    ]
    messages.reverse()
    keys = [message.ts for message in messages]
    found, more = page(
        messages, keys, arguments, limits.HISTORY_DEFAULT, limits.HISTORY_MOST, "invalid_arguments"
    )
    return _messages(slack, found, more, arguments)


def replies(slack: Slack, arguments: Arguments) -> JSON:
    """Return a thread: the message, then its replies, oldest first."""
    channel = slack.channel_for_app(arguments.text("channel"), by_id_only=True, error="channel_not_found")
    ts = arguments.ts("ts", "thread_not_found") or ""
    message = slack.workspace.message(channel.id, ts)
    if message is None or message.only_for is not None:
        raise Refusal("thread_not_found")
    root = message.thread_ts or message.ts
    parent = slack.workspace.message(channel.id, root)
    thread = [
        reply for reply in _in_range(slack, channel, arguments) if reply.is_reply and reply.thread_ts == root
    ]
    messages = [*([parent] if parent is not None else []), *thread]
    keys = [message.ts for message in messages]
    found, more = page(
        messages, keys, arguments, limits.REPLIES_MOST, limits.REPLIES_MOST, "invalid_arguments"
    )
    return _messages(slack, found, more, arguments)


def open_im(slack: Slack, arguments: Arguments) -> JSON:
    """Open the direct messages with one person."""
    if "channel" in arguments:
        channel = slack.workspace.channel(arguments.text("channel"))
        if channel is None:
            raise Refusal("channel_not_found")
        if not channel.is_im:
            raise Refusal("method_not_supported_for_channel_type")
    else:
        names = [name.strip() for name in arguments.text("users").split(",") if name.strip()]
        if not names:
            raise Refusal("users_list_not_supplied")
        if len(names) > 1:
            # one person at a time is all that this workspace has
            raise Refusal("too_many_users")
        user = slack.workspace.user(names[0])
        if user is None or user.is_bot:
            raise Refusal("user_not_found")
        channel = slack.workspace.open_im(user.id)
    return {"channel": slack.channel_json(channel) if arguments.flag("return_im") else {"id": channel.id}}


def _in_range(slack: Slack, channel: Channel, arguments: Arguments) -> list[Message]:
    oldest = arguments.ts("oldest", "invalid_ts_oldest")
    latest = arguments.ts("latest", "invalid_ts_latest")
    inclusive = arguments.flag("inclusive")

    def inside(ts: str) -> bool:
        if inclusive and ts in (oldest, latest):
            return True
        return (oldest is None or ts > oldest) and (latest is None or ts < latest)

    messages = slack.workspace.messages(channel.id, oldest or "", latest or "9999999999.999999")
    return [message for message in messages if message.only_for is None and inside(message.ts)]


def _messages(slack: Slack, found: list[Message], more: JSON, arguments: Arguments) -> JSON:
    metadata = arguments.flag("include_all_metadata")
    return {
        "messages": [slack.message_json(message, metadata=metadata) for message in found],
        "has_more": bool(more["response_metadata"]["next_cursor"]),
        **more,
    }
