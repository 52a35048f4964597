"""The alignment: where in older bytes the bytes of a newer version probably come from. Used by compact.

Content-defined cuts fall in the same places of both, so the few bytes before a cut recognise a place. Wrong
guesses cost space, never bytes: a delta is decoded and compared before it is used.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ..packs.chunker import Chunker
from ..settings import Settings

Chunk = tuple[bytes, int]  # digest, size
Read = Callable[[Sequence[bytes]], list[bytes]]

_WIDTH = 48  # bytes that recognise a place; the cuts depend on about as many
_SPACING = 4096
_MOST = 1 << 18  # anchors held in memory, however large the older bytes are
_MARGIN = 16 << 10
_WIDE = 256 << 10  # where nothing is recognised, the place is only scaled
_STRETCH = 64 << 10
_LOT = 16
LIMIT = 1 << 20  # bytes of bases one group may have


@dataclass(frozen=True, slots=True)
class Found:
    """The chunks that newer bytes resemble, in their order, and how many places were recognised."""

    bases: tuple[Chunk, ...]
    anchors: int


class Alignment:
    """Where in ``line``, the plain chunks of older bytes in their order, newer bytes come from."""

    def __init__(self, line: Sequence[Chunk], read: Read) -> None:
        self._line = tuple(line)
        self._starts: list[int] = []
        self.size = 0
        for _, size in self._line:
            self._starts.append(self.size)
            self.size += size
        spacing = max(_SPACING, self.size // _MOST)
        self._cutting = Settings(spacing // 4, spacing, spacing * 4)
        self._anchors: dict[int, int] = {}
        for first in range(0, len(self._line), _LOT):
            lot = self._line[first : first + _LOT]
            for start, data in zip(self._starts[first:], read([digest for digest, _ in lot]), strict=False):
                for key, at in self._keys(data):
                    self._anchors[key] = -1 if key in self._anchors else start + at

    def find(self, raw: bytes, guess: float) -> Found:
        """Return what ``raw`` resembles; ``guess``, from 0 to 1, is its place if nothing is recognised."""
        if not self._line:
            return Found((), 0)
        hits = [(at, there) for key, at in self._keys(raw) if (there := self._anchors.get(key, -1)) >= 0]
        if not hits:
            middle = int(guess * self.size)
            return Found(self._within([(middle - len(raw) // 2 - _WIDE, middle + len(raw) // 2 + _WIDE)]), 0)
        return Found(self._within(_spans(hits, len(raw))), len(hits))

    def _within(self, spans: Sequence[tuple[int, int]]) -> tuple[Chunk, ...]:
        """Return the chunks that the spans touch, those touched most often first where they are too many."""
        votes: dict[int, int] = {}
        for start, end in spans:
            first = max(bisect_right(self._starts, max(start, 0)) - 1, 0)
            last = max(bisect_left(self._starts, end), first + 1)
            for index in range(first, min(last, len(self._line))):
                votes[index] = votes.get(index, 0) + 1
        kept, total = [], 0
        for index in sorted(votes, key=lambda index: (-votes[index], index)):
            total += self._line[index][1]
            if total > LIMIT:
                break
            kept.append(index)
        return tuple(self._line[index] for index in sorted(kept))

    def _keys(self, data: bytes) -> list[tuple[int, int]]:
        """Return what recognises each cut inside ``data``, and where the cut is."""
        found, end = [], 0
        for piece in Chunker(self._cutting).cut(memoryview(data), final=True):
            end += len(piece)
            if end >= _WIDTH:
                found.append((hash(data[end - _WIDTH : end]), end))
        return found


def _spans(hits: Sequence[tuple[int, int]], size: int) -> list[tuple[int, int]]:
    """Return the older places between recognised ones as far apart there as here, and around others."""
    (first, there), (last, end) = hits[0], hits[-1]
    spans = [(there - first - _MARGIN, there + 1), (end, end + size - last + _MARGIN)]
    for (at, before), (next_at, after) in pairwise(hits):
        if 0 <= after - before <= 2 * (next_at - at) + _STRETCH:
            spans.append((before - _MARGIN, after + _MARGIN))
        else:
            spans += [(before - _MARGIN, before + _MARGIN), (after - _MARGIN, after + _MARGIN)]
    return spans
