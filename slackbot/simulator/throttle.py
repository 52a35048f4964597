"""The throttle: how often a method may be called, and a channel be posted to. Asked before each call."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from .. import limits
from .refusal import Refusal


@dataclass(slots=True)
class Throttle:
    """A bucket of tokens for each key, refilled by the clock; an empty one answers 429, ``Retry-After``."""

    clock: Callable[[], float]
    _buckets: dict[Hashable, tuple[float, float]] = field(default_factory=dict)

    def call(self, method: str, tier: str) -> None:
        """Count one call of a method against its tier."""
        calls = limits.CALLS_PER_MINUTE[tier]
        self._take(method, capacity=calls, per_second=calls / 60)

    def post(self, channel: str) -> None:
        """Count one message against a channel."""
        self._take(("post", channel), capacity=limits.POST_BURST, per_second=limits.POSTS_PER_SECOND)

    def _take(self, key: Hashable, capacity: float, per_second: float) -> None:
        now = self.clock()
        tokens, seen = self._buckets.get(key, (capacity, now))
        tokens = min(capacity, tokens + max(0.0, now - seen) * per_second)
        if tokens < 1:
            self._buckets[key] = (tokens, now)
            raise too_often(math.ceil((1 - tokens) / per_second))
        self._buckets[key] = (tokens - 1, now)


def too_often(seconds: int) -> Refusal:
    """Return Slack's answer to one who calls too often."""
    return Refusal("ratelimited", status=429, headers={"Retry-After": str(max(1, seconds))})
