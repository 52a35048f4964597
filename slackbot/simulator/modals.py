"""Modals: the stack of views that each person has open. The methods ``views.*`` and the page change it."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from .. import limits
from .refusal import JSON, Refusal


@dataclass(slots=True)
class Modal:
    """One open view: what the app sent, and what Slack added."""

    id: str
    user: str
    content: JSON
    hash: str
    previous: str | None
    root: str
    interaction: str
    values: JSON = field(default_factory=dict)


@dataclass(slots=True)
class Modals:
    """Opens, changes and closes modals; at most three on top of each other."""

    clock: Callable[[], float]
    _stacks: dict[str, list[Modal]] = field(default_factory=dict)

    def stack(self, user: str) -> list[Modal]:
        """Return what a person has open, the visible one last."""
        return list(self._stacks.get(user, ()))

    def find(self, view_id: str) -> Modal | None:
        """Return an open modal by id."""
        return next(
            (modal for stack in self._stacks.values() for modal in stack if modal.id == view_id), None
        )

    def find_external(self, external_id: str) -> Modal | None:
        """Return an open modal by the id that the app gave it."""
        return next(
            (
                modal
                for stack in self._stacks.values()
                for modal in stack
                if external_id and modal.content.get("external_id") == external_id
            ),
            None,
        )

    def open(self, user: str, content: JSON, interaction: str) -> Modal:
        """Show a first modal in place of whatever the person had open."""
        self._check_external(content)
        self._stacks[user] = []
        return self._push(user, content, interaction)

    def push(self, user: str, content: JSON, interaction: str) -> Modal:
        """Put a modal on top of those that are open."""
        stack = self._stacks.get(user)
        if not stack:
            raise Refusal("not_found")
        if len(stack) >= limits.VIEW_STACK:
            raise Refusal("push_limit_reached")
        self._check_external(content)
        return self._push(user, content, interaction)

    def update(self, modal: Modal, content: JSON, expected_hash: str = "") -> Modal:
        """Change an open modal; with a hash, only if nobody changed it meanwhile."""
        if expected_hash and expected_hash != modal.hash:
            raise Refusal("hash_conflict")
        if content.get("external_id") != modal.content.get("external_id"):
            self._check_external(content)
        modal.content = content
        modal.hash = self._new_hash()
        return modal

    def close(self, modal: Modal) -> list[Modal]:
        """Close a modal and what lies on top of it; return what was closed."""
        stack = self._stacks.get(modal.user, [])
        if modal not in stack:
            return []
        index = stack.index(modal)
        closed = stack[index:]
        del stack[index:]
        return closed

    def clear(self, user: str) -> list[Modal]:
        """Close everything that a person has open; return it."""
        return self._stacks.pop(user, [])

    def _push(self, user: str, content: JSON, interaction: str) -> Modal:
        stack = self._stacks.setdefault(user, [])
        view_id = "V" + secrets.token_hex(5).upper()
        previous = stack[-1].id if stack else None
        root = stack[0].id if stack else view_id
        stack.append(Modal(view_id, user, content, self._new_hash(), previous, root, interaction))
        return stack[-1]

    def _check_external(self, content: JSON) -> None:
        if self.find_external(content.get("external_id", "")) is not None:
            raise Refusal("duplicate_external_id")

    def _new_hash(self) -> str:
        return f"{int(self.clock())}.{secrets.token_hex(4)}"
