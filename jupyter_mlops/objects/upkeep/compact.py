"""Compaction: keeps chunks of near-equal versions as deltas, and joins small packs. Called by ``Upkeep``.

What was packed in haste comes first, so that a delta is judged by what it saves of thorough packing.
Only chunks that no older version has become deltas, and only against chunks that stay plain, so a read takes
one hop. A delta is decoded and compared before it is written, and what is written is read back before a plain
copy goes. Stopped anywhere, it goes on from there the next time.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ...errors import Damaged
from ...value import Value
from ..blob import address, raw_digest
from ..packs import delta
from ..packs.codec import AGAIN, DELTA, unpacked
from ..packs.pack import CHUNK, GROUP, Pack, pack_path, parsed, record, records_of
from .alignment import Alignment, Chunk
from .notes import Notes, alone
from .repack import check_written, repacked, unlinked, unread
from .stretch import Run, changed_files, runs, stretches

if TYPE_CHECKING:
    from ..batch import Batch
    from ..objects import Objects
    from ..packs.index import Place

_WORTH = 0.5  # a delta that saves less than half is not worth the second read
_FLUSH = 24 << 20
_CACHE = 64 << 20
_AHEAD = 8
_BLIND = 8  # groups without a recognised place that are tried before luck decides
_LIVE = 0.6
_SMALL, _MANY_SMALL = 4 << 20, 8

Advance = Callable[[int], None]
Progress = Callable[[int], AbstractContextManager[Advance]]


@dataclass(frozen=True, slots=True, repr=False)
class CompactReport(Value):
    """What compaction did: bytes of packs before and after, chunks that became deltas, packs that went."""

    before: int
    after: int
    seconds: float
    examined: int
    chunks: int
    packs: int
    refused: int
    finished: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON-ready types."""
        return {
            "before": self.before,
            "after": self.after,
            "seconds": round(self.seconds, 3),
            "examined": self.examined,
            "chunks": self.chunks,
            "packs": self.packs,
            "refused": self.refused,
            "finished": self.finished,
        }


def compact(
    objects: Objects,
    families: Iterable[Sequence[str]],
    lines: Iterable[Sequence[str]] = (),
    seconds: float | None = None,
    progress: Progress = lambda _: nullcontext(lambda _: None),
    wait: float = 10.0,
) -> CompactReport:
    """Make deltas of what only newer versions have, and join small packs; return what that saved.

    Parameters
    ----------
    families
        The digests of one file in successive versions, the oldest first.
    lines
        The digests of trees that are successive versions, the oldest first.
    seconds
        Stop after about so long; the next call goes on.
    progress
        Opens a progress display for so many bytes and lends what to call with bytes that are done.
    """
    started = time.monotonic()
    clock = _Clock(None if seconds is None else started + seconds)
    if not (objects.folder / "packs").is_dir():
        return CompactReport(0, 0, 0.0, 0, 0, 0, 0, True)
    with alone(objects.folder, wait) as notes:
        # a pack that nobody knows may need as base what would become a delta here
        objects.index.adopt()
        before = objects.stored().stored
        gone = _repacked(objects, _hasty(objects), (), clock)
        work = _Compaction(objects, notes, clock)
        pairs = _Pairs(objects, notes)
        for family in families:
            for older, newer in pairwise(family):
                pairs.add(older, newer)
        for line in lines:
            for older, newer in pairwise(line):
                pairs.add_trees(older, newer)
        with work, progress(sum(size for *_, size in pairs.found)) as advance:
            for older_file, newer_file, _ in pairs.found:
                if not clock.going_on():
                    break
                work.compare(older_file, newer_file, advance)
        if not clock.stopped:
            for pair in pairs.trees:
                notes.note_tried(*pair, None)
        gone += _repacked(objects, _wasteful(objects), work.fresh, clock)
        return CompactReport(
            before,
            objects.stored().stored,
            time.monotonic() - started,
            work.examined,
            work.chunks,
            len(gone),
            work.refused,
            not clock.stopped,
        )


class _Clock:
    """How long there is; remembers whether something was left for want of time."""

    def __init__(self, end: float | None) -> None:
        self._end = end
        self.stopped = False

    def going_on(self) -> bool:
        """Whether there is time for one more step."""
        self.stopped = self.stopped or (self._end is not None and time.monotonic() >= self._end)
        return not self.stopped


@dataclass(frozen=True, slots=True)
class _Made:
    """What came of one run: a record that is worth it, or the reason why there is none."""

    run: Run
    record: bytes | None = None
    bases: tuple[bytes, ...] = ()
    blind: bool = False
    wrong: bool = False


class _Compaction:
    """The making of deltas; what it makes becomes visible in portions and when its block ends."""

    def __init__(self, objects: Objects, notes: Notes, clock: _Clock) -> None:
        self._objects = objects
        self._notes = notes
        self._clock = clock
        self._chunks = _Recent(objects)
        self._pool = ThreadPoolExecutor(min(os.cpu_count() or 1, 4))
        self._stack = ExitStack()
        self._batch: Batch | None = None
        self._waiting = 0
        # what the index does not know before the batch ends
        self._moved: dict[bytes, tuple[bytes, ...]] = {}
        self._needed: set[bytes] = set()
        self._done: list[tuple[bytes, bytes, int | None]] = []
        self._blind, self._lucky = 0, 0
        self.fresh: list[Pack] = []
        self.examined = self.chunks = self.refused = 0

    def __enter__(self) -> _Compaction:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        self._pool.shutdown(cancel_futures=True)
        if kind is None:
            self._flush()
        self._stack.__exit__(kind, error, trace)

    def compare(self, older: bytes, newer: bytes, advance: Advance) -> None:
        """Make deltas of the chunks that only the file ``newer`` has, against the file ``older``."""
        try:
            old, new = (self._chunks_of(digest) for digest in (older, newer))
        except Damaged:
            return  # not here, or damaged: verification says so
        done = 0

        def upto(position: int) -> None:
            nonlocal done
            advance(max(0, position - done))
            done = max(done, position)

        left = self._compare(old, new, self._notes.tried(older, newer) or 0, upto)
        upto(sum(size for _, size in new) if left is None else left)
        self._done.append((older, newer, left))

    def _compare(self, old: Sequence[Chunk], new: Sequence[Chunk], begin: int, upto: Advance) -> int | None:
        """Work on one pair from the byte ``begin``; return where time ran out, if it did."""
        places = self._objects.index.many({digest for digest, _ in (*old, *new)})
        known = {digest for digest, _ in old}
        only_new = {digest for digest, _ in new} - known
        free = {d for d in only_new if d in places and places[d].kind == CHUNK and d not in self._moved}
        free -= self._objects.index.needs(free) | self._needed
        if not free:
            return None
        making: deque[Future[_Made]] = deque()
        for stretch in stretches(old, new, free):
            end = stretch.start + sum(size for _, size in stretch.new)
            if end <= begin or not any(digest in free for digest, _ in stretch.new):
                continue
            alignment = Alignment(self._plain(stretch.old, places, free), self._chunks)
            for run in runs(stretch, free, places):
                if run.start < begin:
                    continue
                if not self._clock.going_on():
                    self._take(making, 0, upto)
                    return run.start
                guess = (run.start + run.size / 2 - stretch.start) / max(1, end - stretch.start)
                making.append(self._pool.submit(self._made, run, alignment, guess))
                self._take(making, _AHEAD, upto)
            self._take(making, 0, upto)
        return None

    def _take(self, making: deque[Future[_Made]], most: int, upto: Advance) -> None:
        """Put what is made into the batch, in order, until at most ``most`` are being made."""
        while len(making) > most:
            made = making.popleft().result()
            self.examined += made.run.size
            self.refused += made.wrong
            if made.blind:
                self._blind += 1
                self._lucky += made.record is not None
            if made.record is not None:
                self._put(made)
            upto(made.run.start + made.run.size)

    def _put(self, made: _Made) -> None:
        if self._batch is None:
            self._batch = self._stack.enter_context(self._objects.batch(replace=True))
        self._batch.put_record(made.record or b"", checked=True)
        for digest, _ in made.run.chunks:
            self._moved[digest] = made.bases
        self._needed.update(made.bases)
        self.chunks += len(made.run.chunks)
        self._waiting += len(made.record or b"")
        if self._waiting >= _FLUSH:
            self._flush()

    def _flush(self) -> None:
        """Make what was put durable and visible, and note how far that is."""
        if self._batch is not None:
            batch, self._batch = self._batch, None
            self._stack.close()
            for pack in batch.packs:
                check_written(self._objects, pack)
            self.fresh += batch.packs
            self._waiting = 0
            self._moved.clear()
            self._needed.clear()
        for older, newer, left in self._done:
            self._notes.note_tried(older, newer, left)
        self._done.clear()

    def _made(self, run: Run, alignment: Alignment, guess: float) -> _Made:
        """Return the group of one run, decoded again and compared; runs in several threads."""
        try:
            raw = b"".join(self._chunks([digest for digest, _ in run.chunks]))
            found = alignment.find(raw, guess)
            blind = not found.anchors
            if not found.bases or (blind and self._blind >= _BLIND and self._lucky * _BLIND < self._blind):
                return _Made(run)
            bases = self._chunks([digest for digest, _ in found.bases])
        except Damaged:
            return _Made(run)  # verification says so
        payload = delta.encoded(raw, bases)
        needed = tuple(digest for digest, _ in found.bases)
        made = record(GROUP, DELTA, len(raw), payload, run.chunks, needed)
        if len(made) >= run.stored * _WORTH:
            return _Made(run, blind=blind)
        try:
            same = unpacked(DELTA, payload, len(raw), b"".join(bases)) == raw
        except ValueError:
            same = False
        return _Made(run, made, needed, blind) if same else _Made(run, blind=blind, wrong=True)

    def _plain(self, chunks: Sequence[Chunk], places: Mapping[bytes, Place], free: set[bytes]) -> list[Chunk]:
        """Return the plain chunks that hold, or nearly hold, what ``chunks`` hold, in that order."""
        line: dict[bytes, int] = {}
        for digest, size in chunks:
            if digest in self._moved:
                bases = self._moved[digest]
            elif digest in places and places[digest].kind == GROUP:
                bases = self._bases_of(digest)
            else:
                line[digest] = size
                continue
            found = self._objects.index.many(bases)
            for base in bases:
                if base in found and found[base].kind == CHUNK and base not in self._moved:
                    line.setdefault(base, found[base].size)
        return [(digest, size) for digest, size in line.items() if digest not in free]

    def _bases_of(self, digest: bytes) -> tuple[bytes, ...]:
        try:
            return parsed(self._objects.record(address(digest)))[0].bases
        except (Damaged, ValueError):
            return ()

    def _chunks_of(self, digest: bytes) -> tuple[Chunk, ...]:
        return tuple((raw_digest(each), size) for each, size in self._objects.chunks(address(digest)))


class _Recent:
    """Reads chunks and keeps the latest: neighbouring groups share their bases. For any thread."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._kept: OrderedDict[bytes, bytes] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def __call__(self, digests: Sequence[bytes]) -> list[bytes]:
        with self._lock:
            found = {digest: self._kept[digest] for digest in digests if digest in self._kept}
            for digest in found:
                self._kept.move_to_end(digest)
        missing = [address(digest) for digest in digests if digest not in found]
        fresh = (
            {raw_digest(each): data for each, data in self._objects.read_small(missing)} if missing else {}
        )
        with self._lock:
            for digest, data in fresh.items():
                if digest not in self._kept:
                    self._kept[digest] = data
                    self._size += len(data)
            while self._size > _CACHE:
                self._size -= len(self._kept.popitem(last=False)[1])
        found.update(fresh)
        return [found[digest] for digest in digests]


class _Pairs:
    """Successive versions of files that were not compared to the end, in order, with the bytes left."""

    def __init__(self, objects: Objects, notes: Notes) -> None:
        self._objects = objects
        self._notes = notes
        self._seen: set[tuple[bytes, bytes]] = set()
        self.found: list[tuple[bytes, bytes, int]] = []
        self.trees: list[tuple[bytes, bytes]] = []

    def add(self, older: str, newer: str) -> None:
        """Add two versions of one file."""
        pair = raw_digest(older), raw_digest(newer)
        if older == newer or pair in self._seen:
            return
        self._seen.add(pair)
        upto = self._notes.tried(*pair)
        if upto is not None and self._objects.has(newer):
            self.found.append((*pair, max(0, self._objects.size(newer) - upto)))

    def add_trees(self, older: str, newer: str) -> None:
        """Add the files that two trees have under one path, reading just the nodes that differ."""
        pair = raw_digest(older), raw_digest(newer)
        if older == newer or pair in self._seen or self._notes.tried(*pair) is None:
            return
        self._seen.add(pair)
        with suppress(Damaged):  # on another machine, or damaged: verification says so
            for before, after in changed_files(self._objects.node, older, newer):
                self.add(before, after)
            self.trees.append(pair)


def _repacked(objects: Objects, names: Sequence[str], fresh: Sequence[Pack], clock: _Clock) -> list[str]:
    """Rewrite these packs and return those that went."""
    trusted = {pack.name for pack in fresh}
    return repacked(objects, names, unlinked, trusted=trusted, going_on=clock.going_on).gone


def _hasty(objects: Objects) -> list[str]:
    """Return the packs that hold chunks which were packed in haste."""
    return [
        row.name
        for row in objects.index.packs()
        if (pack := _sound(objects, row.name)) and any(head.codec in AGAIN for _, head in pack.records)
    ]


def _wasteful(objects: Objects) -> list[str]:
    """Return the packs of which little is read, and the small ones if they are many: rewriting them pays."""
    rows = {row.name: row.size for row in objects.index.packs()}
    weights = objects.index.weights()
    names = [
        name
        for name, size in rows.items()
        if weights.get(name, 0) < size * _LIVE
        and (pack := _sound(objects, name))
        and unread(objects, pack) > (1 - _LIVE) * sum(head.total for _, head in pack.records)
    ]
    small = [name for name, size in rows.items() if size < _SMALL and name not in names]
    return names + small if len(small) >= _MANY_SMALL else names


def _sound(objects: Objects, name: str) -> Pack | None:
    """Return what a pack holds, ``None`` if it cannot be read: verification says so."""
    try:
        return records_of(pack_path(objects.folder, name))
    except (ValueError, OSError):
        return None
