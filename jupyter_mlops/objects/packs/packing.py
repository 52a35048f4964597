"""Packing: chunks on their way into packs. Worker threads compress and check; packs appear as they fill up.

Used by ``Batch``. A pack is written aside, made durable, renamed into place and only then made known, so what
an interrupted batch leaves is whole, and the next attempt uses it again.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from blake3 import blake3

from ..blob import Buffer
from ..durable import make_durable, placed, storing
from .codec import HASTY, RAW, packed, packed_together
from .index import ChunkIndex, Place
from .pack import FULL, LIMIT, MOST, Head, Pack, PackWriter, pack_path, plain_head

WORKERS = 2
_AHEAD = 3
_INLINE = 256 << 10
_FRESH = 3600.0
_CONFIRM = 200_000


class Packed:
    """Chunks that were handed over: their digests, and the records of new ones until these are written."""

    __slots__ = ("data", "digests", "heads")

    def __init__(self, digests: list[bytes], data: bytes, heads: list[Head]) -> None:
        self.digests = digests
        self.data = data
        self.heads = heads


class Packing:
    """The packs that one batch writes. All methods but the workers' own belong to one thread."""

    def __init__(self, folder: Path, index: ChunkIndex, level: int, aside: Path, replace: bool) -> None:
        self._folder = folder
        self._index = index
        self._level = level
        self._aside = aside
        self._replace = replace
        self._lock = threading.Lock()
        self._claimed: set[bytes] = set()
        self._relied: set[bytes] = set()
        self._sound: dict[str, bool] = {}
        self._pending: deque[Future[Packed]] = deque()
        self._workers: ThreadPoolExecutor | None = None
        self._closer: ThreadPoolExecutor | None = None
        self._closing: Future[Pack] | None = None
        self._writer: PackWriter | None = None
        self._count = 0
        self.packs: list[Pack] = []

    def hand_over(self, pieces: Sequence[Buffer], hasty: bool = False) -> Future[Packed]:
        """Take chunks and return their digests to come; those not stored yet are compressed meanwhile.

        With ``hasty``, those that would compress are left for ``compact``.
        """
        if sum(map(len, pieces)) < _INLINE:
            future: Future[Packed] = Future()
            future.set_result(self._packed(pieces, hasty))
        else:
            future = self._pool().submit(self._packed, pieces, hasty)
        self._pending.append(future)
        self.settle(_AHEAD)
        return future

    def hand_over_small(self, pieces: Sequence[bytes]) -> list[bytes]:
        """Take many small chunks, compress those that are not stored yet, and return all digests."""
        digests = [blake3(piece).digest() for piece in pieces]
        fresh = self.claim(digests)
        chosen = {digest: piece for digest, piece in zip(digests, pieces, strict=True) if digest in fresh}
        if chosen:
            heads: list[Head] = []
            records: list[Buffer] = []
            for (digest, piece), (codec, payload) in zip(
                chosen.items(), packed_together(list(chosen.values()), self._level), strict=True
            ):
                start, head = plain_head(codec, len(piece), payload, digest)
                heads.append(head)
                records += (start, payload)
            self._append(b"".join(records), heads)
        return digests

    def add(self, data: bytes, head: Head) -> None:
        """Append one whole record, which the caller has claimed."""
        self._append(data, (head,))

    def add_several(self, records: Sequence[tuple[bytes, Head]]) -> None:
        """Append whole records, which the caller has claimed, at once."""
        self._append(b"".join([data for data, _ in records]), [head for _, head in records])

    def claim(self, digests: Collection[bytes]) -> set[bytes]:
        """Return those of ``digests`` that nobody has stored or is storing: the caller is to store them."""
        with self._lock:
            fresh = set(digests) - self._claimed
            if fresh and not self._replace:
                places = self._usable(fresh)
                fresh -= places.keys()
                self._relied |= places.keys()
            self._claimed |= fresh
            if len(self._relied) > _CONFIRM:
                self._index.publish((), self._relied)
                self._relied.clear()
        return fresh

    def unknown(self, digests: Iterable[bytes]) -> set[bytes]:
        """Return those of ``digests`` that are neither stored nor being stored."""
        with self._lock:
            missing = set(digests) - self._claimed
            return missing - self._index.has(missing) if missing else missing

    def settle(self, ahead: int = 0) -> None:
        """Write what was handed over, but for the last ``ahead`` lots."""
        while len(self._pending) > ahead:
            done = self._pending.popleft().result()
            if done.heads:
                self._append(done.data, done.heads)
                done.data, done.heads = b"", []

    def flush(self) -> None:
        """Return when everything that was handed over is durable and can be read."""
        self.settle()
        self._close_pack()
        self._wait()

    def finish(self) -> None:
        """Make everything durable and known; raises ``Conflict`` if something relied upon is gone."""
        self.flush()
        if self._relied:
            self._index.publish((), self._relied)
        now = time.time()
        with storing():
            if self.packs:
                # another process may have made a folder that this one found, and not yet made that durable
                make_durable(self._folder / "packs")
                make_durable(self._folder)
            for name in self._sound:
                path = pack_path(self._folder, name)
                with suppress(FileNotFoundError):  # what it held is in another pack by now
                    # garbage is collected by age, and this was garbage until a moment ago, perhaps
                    if now - path.stat().st_mtime > _FRESH:
                        os.utime(path)

    def end(self) -> None:
        """Stop the workers and let go of what is unfinished; a pack that waits for the disk is completed."""
        if self._workers is not None:
            self._workers.shutdown(wait=True, cancel_futures=True)
        if self._closer is not None:
            self._closer.shutdown(wait=True)
        self._writer = None

    def _pool(self) -> ThreadPoolExecutor:
        if self._workers is None:
            self._workers = ThreadPoolExecutor(WORKERS, "mlops-pack")
        return self._workers

    def _packed(self, pieces: Sequence[Buffer], hasty: bool) -> Packed:
        digests = [blake3(piece).digest() for piece in pieces]
        fresh = self.claim(digests)
        heads: list[Head] = []
        records: list[Buffer] = []
        later = False
        for digest, piece in zip(digests, pieces, strict=True):
            if digest in fresh:
                fresh.remove(digest)
                codec, payload = (HASTY, piece) if later else packed(piece, self._level, digest)
                later = hasty and codec != RAW  # one that grows smaller says that the next ones will
                start, head = plain_head(codec, len(piece), payload, digest)
                heads.append(head)
                records += (start, payload)
        return Packed(digests, b"".join(records), heads)

    def _usable(self, digests: Collection[bytes]) -> dict[bytes, Place]:
        """Return where those of ``digests`` are that a pack holds which is still there and of its size."""
        places = self._index.many(digests)
        suspects = {place.pack for place in places.values() if not self._is_sound(place.pack)}
        if not suspects:
            return places
        for name in suspects:
            self._index.reexamine(name)
        places = self._index.many(digests)
        return {digest: place for digest, place in places.items() if place.pack not in suspects}

    def _is_sound(self, name: str) -> bool:
        if name not in self._sound:
            try:
                size = pack_path(self._folder, name).stat().st_size
            except FileNotFoundError:
                size = -1
            if size != self._index.size(name):
                return False
            self._sound[name] = True
        return True

    def _append(self, data: bytes, heads: Sequence[Head]) -> None:
        with storing():
            if self._writer is not None and self._writer.size + len(data) > LIMIT:
                self._close_pack()
            if self._writer is None:
                self._count += 1
                self._writer = PackWriter(self._aside / f"{self._count}.pack")
            self._writer.add(data, heads)
            if self._writer.size >= FULL or len(self._writer) >= MOST:
                self._close_pack()

    def _close_pack(self) -> None:
        """Let a thread of its own wait for the disk, one pack at a time."""
        if self._writer is None:
            return
        self._wait()
        if self._closer is None:
            self._closer = ThreadPoolExecutor(1, "mlops-disk")
        self._closing = self._closer.submit(self._closed, self._writer)
        self._writer = None

    def _wait(self) -> None:
        closing, self._closing = self._closing, None
        if closing is None:
            return
        pack = closing.result()
        self._index.publish((pack,), replace=self._replace)
        # what rewrites packs checks them again; of a commit of any size, the records must not pile up
        self.packs.append(pack if self._replace else pack._replace(records=()))
        with self._lock:
            for _, head in pack.records:
                self._claimed.difference_update(digest for digest, _ in head.members)

    def _closed(self, writer: PackWriter) -> Pack:
        try:
            with storing():
                pack = writer.close()
                target = pack_path(self._folder, pack.name)
                placed(writer.path, target)
        except BaseException:
            with suppress(OSError):
                writer.path.unlink()
            raise
        return pack
