"""Faults: what a test makes go wrong, and how often. Nothing goes wrong unless it was asked for."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["drop_reply", "error_500", "rate_limit", "latency"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that will go wrong: its kind and, for a delay or a rate limit, how many seconds."""

    kind: Kind
    seconds: float = 0.0


@dataclass(slots=True)
class Faults:
    """The faults still to come, by method; ``*`` stands for every method."""

    repeat_envelopes: int = 0
    """How many of the next Socket Mode envelopes are delivered twice, as Slack sometimes does."""

    _waiting: dict[str, deque[Fault]] = field(default_factory=lambda: defaultdict(deque))

    def drop_reply(self, method: str = "*", times: int = 1) -> None:
        """Do what was asked, then break the connection instead of answering."""
        self._waiting[method].extend([Fault("drop_reply")] * times)

    def error_500(self, method: str = "*", times: int = 1) -> None:
        """Answer with HTTP 500 and do nothing."""
        self._waiting[method].extend([Fault("error_500")] * times)

    def rate_limit(self, method: str = "*", seconds: int = 1, times: int = 1) -> None:
        """Answer with HTTP 429 and do nothing."""
        self._waiting[method].extend([Fault("rate_limit", seconds)] * times)

    def latency(self, method: str = "*", seconds: float = 0.5, times: int = 1) -> None:
        """Wait before doing what was asked."""
        self._waiting[method].extend([Fault("latency", seconds)] * times)

    def clear(self) -> None:
        """Let nothing more go wrong."""
        self._waiting.clear()
        self.repeat_envelopes = 0

    def take(self, method: str) -> Fault | None:
        """Return the next fault for a method and count it as used."""
        for key in (method, "*"):
            if self._waiting.get(key):
                return self._waiting[key].popleft()
        return None
