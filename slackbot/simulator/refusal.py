"""A refusal: what Slack answers when it does not do what was asked. Raised by methods, translated once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

JSON = dict[str, Any]
"""One JSON object, as Slack sends and takes them."""


class Refusal(Exception):
    """An ``ok: false`` reply: Slack's name for the error, and what it says besides."""

    def __init__(
        self,
        error: str,
        *messages: str,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[JSON] = (),
    ) -> None:
        super().__init__(error, *messages)
        self.error = error
        self.messages = messages
        self.status = status
        self.headers = dict(headers or {})
        self.errors = list(errors)

    def to_dict(self) -> JSON:
        """Return the body of the reply."""
        body: JSON = {"ok": False, "error": self.error}
        if self.errors:
            body["errors"] = self.errors
        if self.messages:
            body["response_metadata"] = {"messages": list(self.messages)}
        return body
