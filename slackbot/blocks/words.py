"""Words: the one way for text from outside into a Slack message. Used by everything that makes blocks.

Escapes what Slack would obey, cuts to Slack's lengths, and leaves nothing invisible.
"""

from __future__ import annotations

import re
from typing import Any

from jupyter_mlops.views import formats

from .. import limits

Block = dict[str, Any]
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_APART = "\u2060"  # between @ and a word that would call everybody; takes no room
_CALLS = re.compile(r"@(?=(?:channel|here|everyone)\b)", re.IGNORECASE)
MORE = "…"


def length(text: str) -> int:
    """Return how long ``text`` is for Slack: astral characters may count twice, so here they do."""
    return len(text) + sum(character > "\uffff" for character in text)


def clean(text: Any, lines: bool = False) -> str:
    """Return outside text with nothing in it that hides or reorders; one line unless ``lines``."""
    # nothing of ours is longer than a text of Slack's, so the rest of a huge one need not be read
    return formats.clean(str(text)[: 2 * limits.TEXT], lines=lines)


def clip(text: str, most: int) -> str:
    """Return ``text`` cut to ``most`` for Slack, an ellipsis where something is missing."""
    if length(text) <= most:
        return text
    kept, used = [], length(MORE)
    for character in text:
        used += length(character)
        if used > most:
            break
        kept.append(character)
    return "".join(kept).rstrip() + MORE


def escaped(text: Any, most: int = limits.TEXT, lines: bool = False) -> str:
    """Return outside ``text`` for mrkdwn, at most ``most`` long; no mention, call or link comes alive."""
    return _escaped(_CALLS.sub(f"@{_APART}", clean(text, lines)), most)


def code(text: Any, most: int = limits.TEXT, lines: bool = False) -> str:
    """Return outside ``text`` as code: one line in backticks, or ``lines`` in a fence."""
    fence = "```" if lines else "`"
    bare = clean(text, lines).replace("`", "ˋ")  # a look-alike: nothing ends the fence early
    kept = _escaped(bare, most - 2 * len(fence))
    return f"{fence}{kept or ' '}{fence}"


def is_address(address: str) -> bool:
    """Tell whether ``address`` is one that a person may follow, and Slack takes."""
    return re.fullmatch(r"https?://[^\s<>|\"]{1,2900}", address) is not None


def link(address: str, label: Any, most: int = limits.TEXT) -> str:
    """Return ``label`` as a link, or the label alone where the address is none that a person may follow."""
    shown = escaped(label, most)
    if not is_address(address):
        return shown
    whole = f"<{address.replace('&', '&amp;')}|{shown}>"
    return whole if length(whole) <= most else shown


def mrkdwn(text: str) -> Block:
    """Return a text object of what was escaped before; Slack finds no links of its own in it."""
    return {"type": "mrkdwn", "text": text or " ", "verbatim": True}


def plain(text: Any, most: int) -> Block:
    """Return a text object that Slack shows as it is, no emoji names read."""
    return {"type": "plain_text", "text": clip(clean(text), most) or " ", "emoji": False}


def _escaped(text: str, most: int) -> str:
    pieces = [_ESCAPES.get(character, character) for character in text]
    if sum(map(length, pieces)) <= most:
        return "".join(pieces)
    kept, used = [], length(MORE)
    for piece in pieces:  # whole pieces only: half an escape would be shown as letters
        used += length(piece)
        if used > most:
            break
        kept.append(piece)
    return "".join(kept).rstrip() + MORE
