"""The content of a message: text, blocks, attachments and metadata, accepted or refused as Slack does."""

from __future__ import annotations

import json
from typing import Any

from .. import limits
from . import blockkit
from .arguments import Arguments
from .blockkit import FileExists
from .refusal import JSON, Refusal

_ATTACHMENT_KEYS = frozenset(
    (
        *("blocks", "callback_id", "color", "fallback", "fields", "footer"),
        *("mrkdwn_in", "pretext", "text", "title", "title_link", "ts"),
    )
)


def accept_content(arguments: Arguments, file_exists: FileExists, *, too_long: str = "msg_too_long") -> JSON:
    """Return the content that a call carries; only the parts that it names, ``no_text`` if it names none."""
    content: JSON = {}
    if "markdown_text" in arguments:
        if "text" in arguments or "blocks" in arguments:
            raise Refusal("markdown_text_conflict")
        text = arguments.text("markdown_text")
        blocks: Any = [{"type": "markdown", "text": text}]
        content["text"] = text
    else:
        content["text"] = arguments.text("text")
        blocks = arguments.json("blocks", "invalid_blocks_format")
    if blocks is not None:
        content["blocks"] = blockkit.accept_blocks(blocks, file_exists)
        if blockkit.too_long(content["blocks"]):
            raise Refusal(too_long)
    attachments = arguments.json("attachments", "invalid_arguments")
    if attachments is not None:
        content["attachments"] = _accept_attachments(attachments, file_exists)
    if not content["text"] and not content.get("blocks") and not content.get("attachments"):
        raise Refusal("no_text")
    return content


def _accept_attachments(attachments: Any, file_exists: FileExists) -> list[JSON]:
    if not isinstance(attachments, list) or not all(isinstance(item, dict) for item in attachments):
        raise Refusal(
            "invalid_arguments", "[ERROR] must provide an array of objects [json-pointer:/attachments]"
        )
    if len(attachments) > limits.ATTACHMENTS:
        raise Refusal("too_many_attachments")
    accepted = []
    for index, attachment in enumerate(attachments):
        unknown = sorted(set(attachment) - _ATTACHMENT_KEYS)
        if unknown:
            raise Refusal(
                "invalid_arguments",
                f"[ERROR] invalid additional property: {unknown[0]} [json-pointer:/attachments/{index}]",
            )
        blocks = attachment.get("blocks")
        accepted.append(
            {**attachment, "blocks": blockkit.accept_blocks(blocks, file_exists)} if blocks else attachment
        )
    return accepted


def accept_metadata(arguments: Arguments) -> JSON | None:
    """Return a message's metadata, ``{}`` to remove it, or None when the call does not speak of it."""
    metadata = arguments.json("metadata", "invalid_metadata_format")
    if metadata is None:
        return None
    if metadata == {}:
        return {}
    if not isinstance(metadata, dict) or set(metadata) != {"event_type", "event_payload"}:
        raise Refusal("invalid_metadata_format")
    if not isinstance(metadata["event_type"], str) or not isinstance(metadata["event_payload"], dict):
        raise Refusal("invalid_metadata_format")
    if len(json.dumps(metadata, ensure_ascii=False)) > limits.METADATA_CHARACTERS:
        raise Refusal("metadata_too_large")
    return metadata
