"""Pages of a listing: the cursor that a method hands out and takes back."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import TypeVar

from ..arguments import Arguments
from ..refusal import JSON, Refusal

Item = TypeVar("Item")


def page(
    items: Sequence[Item], keys: Sequence[str], arguments: Arguments, default: int, most: int, error: str
) -> tuple[list[Item], JSON]:
    """Return one page and what tells the caller how to get the next; ``keys`` name the items' places."""
    limit = arguments.number("limit", default, 1, most, error)
    start = 0
    if "cursor" in arguments:
        key = _decode(arguments.text("cursor"))
        if key not in keys:
            raise Refusal("invalid_cursor")
        start = keys.index(key)
    more = start + limit < len(items)
    cursor = _encode(keys[start + limit]) if more else ""
    return list(items[start : start + limit]), {"response_metadata": {"next_cursor": cursor}}


def _encode(key: str) -> str:
    return base64.urlsafe_b64encode(f"next:{key}".encode()).decode()


def _decode(cursor: str) -> str:
    try:
        return base64.urlsafe_b64decode(cursor.encode()).decode().removeprefix("next:")
    except (binascii.Error, UnicodeError):
        raise Refusal("invalid_cursor") from None
