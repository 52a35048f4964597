"""The intake: files read, cut and handed over to be packed, so that the disk and all processors are busy.

Used by ``Batch``. Only a few slabs of a file are in memory at a time, whatever its size.
"""

from __future__ import annotations

import os
import stat
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

from blake3 import blake3

from ..blob import Blob, address
from ..files.source import changed, hashed, opened
from ..settings import Settings
from .chunker import Chunker
from .codec import packed
from .pack import RECIPE, Head, recipe_payload, record
from .packing import Packed, Packing

Advance = Callable[[int], None]
_SLAB = 4 << 20
_LOT = 4 << 20
_LOT_FILES = 1024
_MEDIUM_LOT = 2 << 20
_AHEAD = 4
# somebody waits for a file of this size; compact packs its chunks again when nobody does
_HASTY = 64 << 20
_HOT_SECONDS = 2.0
_FLAGS = (
    os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
)


class Intake:
    """Takes in bytes for one batch."""

    def __init__(self, packing: Packing, settings: Settings) -> None:
        self._packing = packing
        self._settings = settings
        self._chunker = Chunker(settings)

    def file(self, path: Path, advance: Advance) -> Blob:
        """Take in a file; raises ``SourceChanged`` if it changed while it was read."""
        with opened(path) as (source, status):
            if status.st_size <= self._settings.small:
                data = source.read(self._settings.small + 1)
                if len(data) != status.st_size:
                    raise changed(path)
                if _hot(status) and os.pread(source.fileno(), len(data) + 1, 0) != data:
                    raise changed(path)
                (digest,) = self._packing.hand_over((data,)).result().digests
                advance(len(data))
                return Blob(address(digest), len(data))
            blob = self.stream(source, status.st_size, advance)
            if blob.size != status.st_size:
                raise changed(path)
            if _hot(status) and hashed(str(path)) != blob.digest:
                raise changed(path)
            return blob

    def files(self, paths: Iterable[str | Path], advance: Advance) -> list[Blob]:
        """Take in many files and return them in their order."""
        blobs: dict[int, Blob] = {}
        small = _Small(self._packing, blobs, advance)
        medium = _Medium(self._packing, self.recipe, blobs, advance)
        count = 0
        for count, path in enumerate(paths, 1):
            data = _content(path, _SLAB)
            if data is None:  # large, or something is odd about it, which is said there
                blobs[count] = self.file(Path(path), advance)
            elif len(data) <= self._settings.small:
                small.add(count, data)
            else:
                medium.add(count, data, self._chunker.cut(memoryview(data), final=True))
        small.send()
        medium.send()
        medium.collect()
        return [blobs[number] for number in range(1, count + 1)]

    def stream(self, source: BinaryIO, expected: int, advance: Advance) -> Blob:
        """Take in what is left of ``source``, which is to be ``expected`` bytes; no more are read."""
        whole, total, count = blake3(), 0, 0
        recipe = bytearray()
        waiting: deque[tuple[list[int], Future[Packed], Future[blake3]]] = deque()
        slabs = _Slabs(min(_SLAB, expected + 1) + self._settings.maximum, _AHEAD + 2)
        left = memoryview(b"")
        final = False
        with ThreadPoolExecutor(1, "mlops-hash") as hasher:
            while not final and total <= expected:  # one that grows may grow for ever
                slab = slabs.next()[: len(left) + min(_SLAB, expected - total + 1)]
                slab[: len(left)] = left
                filled, final = _filled(source, slab, len(left))
                fresh = slab[len(left) : filled]
                hashed = hasher.submit(whole.update, fresh)
                pieces = self._chunker.cut(slab[:filled], final)
                left = slab[sum(map(len, pieces)) : filled]
                sizes = [len(piece) for piece in pieces]
                waiting.append((sizes, self._packing.hand_over(pieces, expected > _HASTY), hashed))
                total += len(fresh)
                count += len(pieces)
                while len(waiting) > (0 if final else _AHEAD):
                    done, future, hashed = waiting.popleft()
                    recipe += recipe_payload(zip(future.result().digests, done, strict=True))
                    hashed.result()
                advance(len(fresh))
        digest = whole.digest()
        if count > 1:
            self.recipe(digest, total, bytes(recipe))
        return Blob(address(digest), total)

    def recipe(self, digest: bytes, size: int, listed: bytes) -> None:
        """Take in what a file of several chunks is made of."""
        if self._packing.claim((digest,)):
            codec, payload = packed(listed, self._settings.level)
            members = ((digest, size),)
            head = Head(RECIPE, codec, len(listed), len(payload), members, ())
            self._packing.add(record(RECIPE, codec, len(listed), payload, members), head)


class _Small:
    """Small files, each one chunk, handed over by the thousand."""

    def __init__(self, packing: Packing, blobs: dict[int, Blob], advance: Advance) -> None:
        self._packing = packing
        self._blobs = blobs
        self._advance = advance
        self._lot: list[bytes] = []
        self._numbers: list[int] = []
        self._size = 0

    def add(self, number: int, data: bytes) -> None:
        self._numbers.append(number)
        self._lot.append(data)
        self._size += len(data)
        if self._size >= _LOT or len(self._lot) >= _LOT_FILES:
            self.send()

    def send(self) -> None:
        digests = self._packing.hand_over_small(self._lot)
        for number, data, digest in zip(self._numbers, self._lot, digests, strict=True):
            self._blobs[number] = Blob(address(digest), len(data))
        self._advance(self._size)
        self._lot, self._numbers, self._size = [], [], 0


_File = tuple[int, bytes, int, list[int]]  # its number, digest, size, and the sizes of its chunks


class _Medium:
    """Files of a few chunks, the chunks of several handed over together and waited for later."""

    def __init__(
        self,
        packing: Packing,
        recipe: Callable[[bytes, int, bytes], None],
        blobs: dict[int, Blob],
        advance: Advance,
    ) -> None:
        self._packing = packing
        self._recipe = recipe
        self._blobs = blobs
        self._advance = advance
        self._pieces: list[memoryview] = []
        self._files: list[_File] = []
        self._size = 0
        self._waiting: deque[tuple[list[_File], Future[Packed]]] = deque()

    def add(self, number: int, data: bytes, pieces: Sequence[memoryview]) -> None:
        self._files.append((number, blake3(data).digest(), len(data), [len(piece) for piece in pieces]))
        self._pieces += pieces
        self._size += len(data)
        if self._size >= _MEDIUM_LOT:
            self.send()

    def send(self) -> None:
        if self._files:
            self._waiting.append((self._files, self._packing.hand_over(self._pieces)))
            self._advance(self._size)
            self._files, self._pieces, self._size = [], [], 0
        self.collect(_AHEAD)

    def collect(self, ahead: int = 0) -> None:
        """Keep what the files are made of, but for the last ``ahead`` lots."""
        while len(self._waiting) > ahead:
            files, future = self._waiting.popleft()
            digests = iter(future.result().digests)
            for number, digest, size, sizes in files:
                chunks = [(next(digests), length) for length in sizes]
                if len(chunks) > 1:
                    self._recipe(digest, size, recipe_payload(chunks))
                self._blobs[number] = Blob(address(digest), size)


class _Slabs:
    """Memory that is used again and again: the oldest slab is done with when its turn comes."""

    def __init__(self, size: int, count: int) -> None:
        self._size = size
        self._count = count
        self._slabs: deque[memoryview] = deque()

    def next(self) -> memoryview:
        if len(self._slabs) < self._count:
            self._slabs.append(memoryview(bytearray(self._size)))
        else:
            self._slabs.rotate(-1)
        return self._slabs[-1]


def _filled(source: BinaryIO, slab: memoryview, start: int) -> tuple[int, bool]:
    """Read until ``slab`` is full or there is no more; return how full it is and whether that was the end."""
    while start < len(slab):
        count = source.readinto(slab[start:])  # type: ignore[attr-defined]  # every binary file has it
        if not count:
            return start, True
        start += count
    return start, False


def _hot(status: os.stat_result) -> bool:
    """Whether a file was written so lately that a write may be under way: its times move when that begins.

    Such a file is read twice, and is what it was only if it was the same both times.
    """
    return time.time() - max(status.st_mtime, status.st_ctime) < _HOT_SECONDS


def _content(path: str | Path, limit: int) -> bytes | None:
    """Return the bytes of a regular file, or ``None`` if it is large or something is odd about it."""
    try:
        descriptor = os.open(path, _FLAGS)
    except OSError:
        return None
    try:
        before = os.fstat(descriptor)
        size = before.st_size
        if not stat.S_ISREG(before.st_mode) or size > limit:
            return None
        data = os.read(descriptor, size + 1)
        after = os.fstat(descriptor)
        # whoever writes to an open file moves its times
        unchanged = before.st_mtime_ns == after.st_mtime_ns and before.st_ctime_ns == after.st_ctime_ns
        if _hot(before):
            unchanged = unchanged and os.pread(descriptor, size + 1, 0) == data
        return data if unchanged and len(data) == size == after.st_size else None
    except OSError:
        return None
    finally:
        os.close(descriptor)
