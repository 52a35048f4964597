"""The stretch: what a newer version has between what it shares with an older one. Used by compact."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..tree import FOLDER, Row
from .alignment import Chunk

if TYPE_CHECKING:
    from ..packs.index import Place

_RUN = 256 << 10  # raw bytes of one group
_AROUND = 256 << 10  # older bytes beside those that changed


def changed_files(
    node: Callable[[str], tuple[Row, ...]], older: str, newer: str
) -> Iterator[tuple[str, str]]:
    """Yield the addresses of files that differ between two trees, before and after.

    A file is known by its path; where both trees are a single file, whatever it is called.
    """
    before, after = node(older), node(newer)
    if len(before) == len(after) == 1 and FOLDER not in (before[0][1], after[0][1]):
        if before[0][3] != after[0][3]:
            yield before[0][3], after[0][3]
        return
    known = {name: (mode == FOLDER, digest) for name, mode, _, digest in before}
    for name, mode, _, digest in after:
        if name in known and known[name][1] != digest and known[name][0] == (mode == FOLDER):
            if mode == FOLDER:
                yield from changed_files(node, known[name][1], digest)
            else:
                yield known[name][1], digest


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring chunks that may become one group: where they start in their file, what they take now."""

    start: int
    chunks: tuple[Chunk, ...]
    stored: int

    @property
    def size(self) -> int:
        """How many raw bytes they have."""
        return sum(size for _, size in self.chunks)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Neighbouring new chunks, where they start in their file, and the older ones in whose place they are."""

    start: int
    new: tuple[Chunk, ...]
    old: tuple[Chunk, ...]


def stretches(old: Sequence[Chunk], new: Sequence[Chunk], free: set[bytes]) -> Iterator[Stretch]:
    """Yield what lies between chunks that both files have, with what was there before and around it."""
    at: dict[bytes, int] = {}
    for index, (digest, _) in enumerate(old):
        at.setdefault(digest, index)
    start = position = 0
    left = 0  # the first older chunk after the last one that both have
    pending: list[Chunk] = []
    for chunk in (*new, None):
        if chunk is not None and chunk[0] not in at:
            pending.append(chunk)
            position += chunk[1]
            continue
        if any(digest in free for digest, _ in pending):
            right = at[chunk[0]] if chunk is not None else len(old)
            if right < left:  # what follows was moved here; the place is what would have followed
                right = min(len(old), left + len(pending))
            yield Stretch(start, tuple(pending), _widened(old, left, right))
        if chunk is not None:
            pending = []
            position += chunk[1]
            start, left = position, at[chunk[0]] + 1


def _widened(old: Sequence[Chunk], left: int, right: int) -> tuple[Chunk, ...]:
    before = after = 0
    while left > 0 and before < _AROUND:
        left -= 1
        before += old[left][1]
    while right < len(old) and after < _AROUND:
        after += old[right][1]
        right += 1
    return tuple(old[left:right])


def runs(stretch: Stretch, free: set[bytes], places: Mapping[bytes, Place]) -> Iterator[Run]:
    """Yield the free chunks of a stretch in runs of neighbours, each chunk once."""
    seen: set[bytes] = set()
    run: list[Chunk] = []
    begin = position = stretch.start
    size = 0
    for digest, length in stretch.new:
        fits = digest in free and digest not in seen
        if run and (not fits or size + length > _RUN):
            yield _run(begin, run, places)
            run, size = [], 0
        if fits:
            if not run:
                begin = position
            run.append((digest, length))
            seen.add(digest)
            size += length
        position += length
    if run:
        yield _run(begin, run, places)


def _run(start: int, chunks: Sequence[Chunk], places: Mapping[bytes, Place]) -> Run:
    return Run(start, tuple(chunks), sum(places[digest].length for digest, _ in chunks))
