"""The batch: bytes that become durable together when its block ends. Made by ``Objects``."""

from __future__ import annotations

import io
import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO

from blake3 import blake3

from ..errors import BadInput, Damaged
from .blob import Blob, Buffer, address, raw_digest
from .chunker import Chunker
from .codec import packed, unpacked
from .pack import CHUNK, GROUP, RECIPE, Head, Pack, parsed, recipe_payload, record
from .packing import Packed, Packing
from .source import changed, opened
from .tree import Entry, store_tree

if TYPE_CHECKING:
    from .objects import Objects

Advance = Callable[[int], None]
_SLAB = 4 << 20
_LOT = 4 << 20
_LOT_FILES = 1024
_AHEAD = 4
_FLAGS = (
    os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
)


def ignore(_: int) -> None:
    """Take no notice of progress."""


class Batch:
    """Keeps bytes, each content once. What it keeps is durable, and can be read, when the block ends.

    A block that ends with an error leaves nothing, but for full packs, which the next attempt uses again.
    """

    def __init__(self, objects: Objects, replace: bool = False) -> None:
        self._objects = objects
        self._replace = replace
        self._stack = ExitStack()

    def __enter__(self) -> Batch:
        with ExitStack() as stack:
            objects = self._objects
            self._settings = objects.prepared()
            stack.enter_context(objects.holding())
            aside = stack.enter_context(objects.scratch())
            objects.index.adopt()
            self._chunker = Chunker(self._settings)
            self._packing = Packing(objects.folder, objects.index, self._settings.level, aside, self._replace)
            stack.callback(self._packing.end)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:
            if kind is None:
                self._packing.finish()

    @property
    def packs(self) -> tuple[Pack, ...]:
        """The packs that were written; all of them when the block has ended."""
        return tuple(self._packing.packs)

    def has(self, digest: str) -> bool:
        """Return whether ``digest`` is stored, or will be when the block ends."""
        raw = raw_digest(digest)
        return not self._packing.unknown((raw,))

    def put_bytes(self, data: Buffer) -> str:
        """Keep ``data`` and return its address."""
        if len(data) <= self._settings.small:
            return self.put_chunk(data)
        return self._put_stream(io.BytesIO(data), len(data), ignore).digest

    def put_chunk(self, data: Buffer) -> str:
        """Keep ``data`` as one chunk, whatever its size, and return its address."""
        return address(self._packing.hand_over((data,)).result().digests[0])

    def put_recipe(self, digest: str, size: int, chunks: Sequence[tuple[str, int]]) -> str:
        """Keep that ``digest`` is these chunks, one after the other, and return it."""
        listed = [(raw_digest(each), length) for each, length in chunks]
        if sum(length for _, length in listed) != size:
            raise BadInput(f"the chunks of {digest[:15]}… do not make {size} bytes")
        return self._put_recipe(raw_digest(digest), size, listed)

    def put_record(self, data: bytes, checked: bool = False) -> tuple[str, ...]:
        """Keep a whole record as it is and return the addresses it holds.

        Raises ``Damaged`` unless it holds what it says; ``checked``: the caller has made sure of that.
        """
        try:
            head, payload = parsed(data)
            digests = [digest for digest, _ in head.members]
            fresh = self._packing.claim(digests)
            if fresh and not checked:
                self._check(head, payload)
        except ValueError as error:
            raise Damaged(f"a record to be stored is damaged: {error}", "fetch it again") from error
        if fresh:
            self._packing.add(data, head)
        return tuple(address(digest) for digest in digests)

    def put_file(self, path: str | Path, advance: Advance = ignore) -> Blob:
        """Keep the content of a file, telling ``advance`` how many bytes are done.

        Raises ``SourceChanged`` if the file changed while it was read.
        """
        path = Path(path)
        with opened(path) as (source, status):
            if status.st_size <= self._settings.small:
                data = source.read(self._settings.small + 1)
                if len(data) != status.st_size:
                    raise changed(path)
                advance(len(data))
                return Blob(self.put_chunk(data), len(data))
            blob = self._put_stream(source, status.st_size, advance)
            if blob.size != status.st_size:
                raise changed(path)
            return blob

    def put_files(self, paths: Iterable[str | Path], advance: Advance = ignore) -> list[Blob]:
        """Keep the content of many files and return it in their order; small ones are worked on together."""
        blobs: list[Blob | None] = []
        lot: list[bytes] = []
        places: list[int] = []
        small, size = self._settings.small, 0

        def send() -> None:
            nonlocal lot, places, size
            for place, data, digest in zip(places, lot, self._packing.hand_over_small(lot), strict=True):
                blobs[place] = Blob(address(digest), len(data))
            advance(size)
            lot, places, size = [], [], 0

        for path in paths:
            data = _content(path, small)
            if data is None:
                blobs.append(self.put_file(path, advance))
                continue
            places.append(len(blobs))
            blobs.append(None)
            lot.append(data)
            size += len(data)
            if size >= _LOT or len(lot) >= _LOT_FILES:
                send()
        send()
        return [blob for blob in blobs if blob is not None]

    def put_tree(self, entries: Iterable[Entry]) -> str:
        """Keep a tree of files that are kept already and return its address."""
        entries = tuple(entries)
        unknown = self._packing.unknown(raw_digest(entry.digest) for entry in entries)
        if unknown:
            missing = {address(each) for each in unknown}
            path = next(entry.path for entry in entries if entry.digest in missing)
            raise Damaged(f"the tree names {path!r}, whose bytes are not stored", "store its bytes first")
        return store_tree(self.put_bytes, entries)

    def _put_stream(self, source: BinaryIO, expected: int, advance: Advance) -> Blob:
        """Keep what is left of ``source``, of which only a few slabs are in memory at a time."""
        whole, total = blake3(), 0
        recipe = bytearray()
        waiting: deque[tuple[list[int], Future[Packed]]] = deque()
        count = 0
        left = memoryview(b"")
        final = False
        slabs = _Slabs(min(_SLAB, expected + 1) + self._settings.maximum, _AHEAD + 2)
        while not final:
            slab = slabs.next()[: len(left) + min(_SLAB, max(expected - total, 0) + 1)]
            slab[: len(left)] = left
            filled = len(left)
            while filled < len(slab):
                read = source.readinto(slab[filled:])  # type: ignore[attr-defined]
                if not read:
                    final = True
                    break
                filled += read
            fresh = slab[len(left) : filled]
            whole.update(fresh)
            total += len(fresh)
            if total > expected:  # it grows while it is read, perhaps for ever
                break
            pieces = self._chunker.cut(slab[:filled], final)
            left = slab[sum(map(len, pieces)) : filled]
            if pieces:
                sizes = [len(piece) for piece in pieces]
                waiting.append((sizes, self._packing.hand_over(pieces)))
                count += len(pieces)
            while len(waiting) > (0 if final else _AHEAD):
                done, future = waiting.popleft()
                recipe += recipe_payload(zip(future.result().digests, done, strict=True))
            advance(len(fresh))
        digest = whole.digest()
        if count > 1:
            self._store_recipe(digest, total, bytes(recipe))
        return Blob(address(digest), total)

    def _put_recipe(self, digest: bytes, size: int, chunks: Sequence[tuple[bytes, int]]) -> str:
        if len(chunks) != 1 or chunks[0][0] != digest:  # a file of one chunk is that chunk
            self._store_recipe(digest, size, recipe_payload(chunks))
        return address(digest)

    def _store_recipe(self, digest: bytes, size: int, listed: bytes) -> None:
        if self._packing.claim((digest,)):
            codec, payload = packed(listed, self._settings.level)
            members = ((digest, size),)
            head = Head(RECIPE, codec, len(listed), len(payload), members, ())
            self._packing.add(record(RECIPE, codec, len(listed), payload, members), head)

    def _check(self, head: Head, payload: memoryview) -> None:
        """Raise ``ValueError`` unless a record holds what its digests say."""
        if head.kind == RECIPE:
            unpacked(head.codec, payload, head.raw)
            return
        if head.bases and not self._objects.index.has(head.bases) >= set(head.bases):
            self._packing.flush()
        bases = b"".join(self._objects.read(address(each)) for each in head.bases)
        raw = unpacked(head.codec, payload, head.raw, bases)
        start = 0
        for digest, size in head.members:
            if blake3(memoryview(raw)[start : start + size]).digest() != digest:
                raise ValueError(f"{address(digest)[:15]}… is something else")
            start += size
        if start != len(raw) or head.kind not in (CHUNK, GROUP):
            raise ValueError("its sizes do not add up")


class _Slabs:
    """Memory that is used again and again: what was read into one is worked on when the last one comes up."""

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


def _content(path: str | Path, limit: int) -> bytes | None:
    """Return the bytes of a small regular file, or ``None`` if it is not one or something is odd about it."""
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
        return data if unchanged and len(data) == size == after.st_size else None
    except OSError:
        return None
    finally:
        os.close(descriptor)
