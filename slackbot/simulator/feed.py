"""The feed: tells every open page that something changed, so that it reads it anew."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from .refusal import JSON

Listener = asyncio.Queue[JSON | None]


@dataclass(slots=True)
class Feed:
    """Hands each change to all who listen; a listener that does not keep up loses the oldest ones."""

    _listeners: set[Listener] = field(default_factory=set)

    @contextmanager
    def listen(self) -> Iterator[Listener]:
        """Return a queue of changes; None in it is the end."""
        queue: Listener = asyncio.Queue(maxsize=200)
        self._listeners.add(queue)
        try:
            yield queue
        finally:
            self._listeners.discard(queue)

    def tell(self, kind: str, **about: str | None) -> None:
        """Announce one change."""
        self._put({"kind": kind, **about})

    def end(self) -> None:
        """Send every listener away."""
        self._put(None)

    def _put(self, change: JSON | None) -> None:
        for queue in self._listeners:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(change)
