"""The message: a text for notifications and blocks for the eye, both as Slack takes them."""

from __future__ import annotations

from dataclasses import dataclass, field

from .words import Block


@dataclass(frozen=True, slots=True)
class Message:
    """What is posted; ``text`` is read by notifications, search and screen readers."""

    text: str
    blocks: list[Block] = field(default_factory=list)
