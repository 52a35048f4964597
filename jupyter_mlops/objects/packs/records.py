"""Records: raw bytes out of packs, each checked against its digest. Used by ``Objects`` and its streams.

A record that is not what it should be is looked for in other packs; only then is it an error.
"""

from __future__ import annotations

import os
import struct
import threading
from array import array
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from blake3 import blake3

from ...errors import Damaged, StoreFailed
from ..blob import address, damaged
from ..settings import settings_of
from .codec import unpacked
from .index import ChunkIndex, Place
from .pack import CHUNK, GROUP, RECIPE, Head, pack_path, parsed, plain_parsed, records_of

_SPAN = 1 << 20
_AHEAD = 4
_THREADS = 2
_KEPT = 8 << 20
_TRIES = 4
_HOPS = 6
_STEP = struct.Struct("<32sI")
_WRONG = (ValueError, OSError, EOFError, Damaged)
_T = TypeVar("_T")


class Recipe:
    """The chunks of one file: their digests, and where each starts."""

    __slots__ = ("_listed", "digest", "size", "starts")

    def __init__(self, digest: bytes, size: int, listed: bytes) -> None:
        self.digest = digest
        self.size = size
        self._listed = listed
        self.starts = array("Q")
        start = 0
        for _, length in _STEP.iter_unpack(listed):
            self.starts.append(start)
            start += length
        if start != size:
            raise ValueError("the sizes of its chunks do not add up")

    def __len__(self) -> int:
        return len(self.starts)

    def chunk(self, number: int) -> tuple[bytes, int]:
        """Return the digest and size of one chunk."""
        digest, size = _STEP.unpack_from(self._listed, number * _STEP.size)
        return digest, size

    def chunks(self) -> Iterator[tuple[bytes, int]]:
        """Yield the digest and size of every chunk."""
        yield from _STEP.iter_unpack(self._listed)

    def runs(self, first: int = 0) -> Iterator[list[bytes]]:
        """Yield the digests from chunk ``first`` on, about a megabyte at a time."""
        run: list[bytes] = []
        size = 0
        for number in range(first, len(self)):
            digest, length = self.chunk(number)
            run.append(digest)
            size += length
            if size >= _SPAN:
                yield run
                run, size = [], 0
        if run:
            yield run


class Records:
    """Reads the packs of the store in ``folder``; for any thread."""

    def __init__(self, folder: Path, index: ChunkIndex) -> None:
        self._folder = folder
        self._index = index
        self._lock = threading.Lock()
        self._local = threading.local()
        self._kept: OrderedDict[object, bytes] = OrderedDict()
        self._kept_bytes = 0
        self._rebuilt = False
        self._understood = False

    def place(self, digest: bytes) -> Place:
        """Return where ``digest`` is; raises ``Damaged`` if it is nowhere."""
        return self.places((digest,))[digest]

    def places(self, digests: Sequence[bytes]) -> dict[bytes, Place]:
        """Return where ``digests`` are, looking for unknown packs before one is said to be missing."""
        found = self.known(digests)
        for digest in digests:
            if digest not in found:
                raise self._missing(digest)
        return found

    def known(self, digests: Collection[bytes]) -> dict[bytes, Place]:
        """Return where those of ``digests`` are that are anywhere."""
        if not self._understood:
            settings_of(self._folder)  # a newer store may be kept in ways that look like damage from here
            self._understood = True
        found = self._index.many(digests)
        if len(found) < len(set(digests)) and self._index.adopt():
            found = self._index.many(digests)
        return found

    def recipe(self, digest: bytes) -> Recipe:
        """Return the chunks of a file; one that is a single chunk has itself."""
        place = self.place(digest)
        if place.kind != RECIPE:
            return Recipe(digest, place.size, _STEP.pack(digest, place.size))

        def decode(found: Place) -> Recipe:
            head, payload = self._record(found)
            if head.kind != RECIPE or head.members[0][0] != digest:
                raise ValueError("it is another record")
            return Recipe(digest, head.members[0][1], unpacked(head.codec, payload, head.raw))

        return self._sound(digest, place, decode)

    def record(self, digest: bytes) -> bytes:
        """Return the whole record that holds ``digest``, checked."""

        def whole(found: Place) -> bytes:
            data = self._bytes(found)
            head, _ = parsed(data)
            if all(each != digest for each, _ in head.members):
                raise ValueError("it is another record")
            return data

        return self._sound(digest, self.place(digest), whole)

    def chunks(self, digests: Sequence[bytes]) -> list[bytes]:
        """Return the raw bytes of ``digests``, in their order; records that touch are read at once."""
        places = self.places(digests)
        raw: dict[bytes, bytes] = {}
        ordered = sorted(places.items(), key=lambda each: (each[1].pack, each[1].offset))
        for lot in _touching(ordered):
            try:
                raw.update(self._span(lot))
            except _WRONG:
                for digest, place in lot:
                    raw[digest] = self._chunk(digest, place)
        return [raw[digest] for digest in digests]

    def small(self, digests: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
        """Yield the raw bytes of those that are one chunk, in the order in which they lie in packs."""
        places = self.places(tuple(set(digests)))
        ordered = sorted(
            ((digest, place) for digest, place in places.items() if place.kind != RECIPE),
            key=lambda each: (each[1].pack, each[1].offset, each[1].start),
        )
        for lot in _touching(ordered):
            try:
                found = self._span(lot)
            except _WRONG:
                found = {digest: self._chunk(digest, place) for digest, place in lot}
            yield from found.items()

    def sequence(self, recipe: Recipe, first: int = 0) -> Iterator[bytes]:
        """Yield the raw chunks of a file from chunk ``first`` on, decoded ahead by two threads."""
        runs = recipe.runs(first)
        if len(recipe) - first < 2 * _AHEAD:
            for run in runs:
                yield from self.chunks(run)
            return
        with ThreadPoolExecutor(_THREADS, "mlops-read") as pool:
            ahead: deque[Future[list[bytes]]] = deque()
            try:
                for run in runs:
                    ahead.append(pool.submit(self.chunks, run))
                    if len(ahead) > _AHEAD:
                        yield from ahead.popleft().result()
                while ahead:
                    yield from ahead.popleft().result()
            finally:
                for future in ahead:
                    future.cancel()

    def _span(self, lot: Sequence[tuple[bytes, Place]]) -> dict[bytes, bytes]:
        """Return the raw bytes of records that touch; raises one of ``_WRONG`` if one is not sound."""
        begin, last = lot[0][1], lot[-1][1]
        data = memoryview(self._read(begin.pack, begin.offset, last.offset + last.length - begin.offset))
        found = {}
        for digest, place in lot:
            at = place.offset - begin.offset
            found[digest] = self._member(digest, place, data[at : at + place.length])
        return found

    def _chunk(self, digest: bytes, place: Place) -> bytes:
        if place.kind == RECIPE:  # bytes that are a file elsewhere
            return b"".join(self.sequence(self.recipe(digest)))
        return self._sound(digest, place, lambda found: self._member(digest, found, self._bytes(found)))

    def _member(self, digest: bytes, place: Place, data: bytes | memoryview) -> bytes:
        if place.kind == CHUNK:
            codec, size, payload = plain_parsed(memoryview(data), digest)
            raw = unpacked(codec, payload, size)
        else:
            raw = self._group(place, data)[place.start : place.start + place.size]
        if blake3(raw).digest() != digest:
            raise ValueError("its bytes are not what was stored")
        return raw

    def _group(self, place: Place, data: bytes | memoryview) -> bytes:
        key = (place.pack, place.offset)
        raw = self._recall(key)
        if raw is None:
            head, payload = parsed(data)
            if head.kind != GROUP:
                raise ValueError("it is another record")
            raw = unpacked(head.codec, payload, head.raw, self._bases(head))
            self._remember(key, raw)
        return raw

    def _bases(self, head: Head) -> bytes:
        if not head.bases:
            return b""
        found = []
        for digest in head.bases:
            raw = self._recall(digest)
            if raw is None:
                raw = self._base(digest)
                self._remember(digest, raw)
            found.append(raw)
        return b"".join(found)

    def _base(self, digest: bytes) -> bytes:
        """Return a base. Two stores that compacted apart may each have made a delta of the other's base."""
        hops = getattr(self._local, "hops", 0)
        if hops >= _HOPS:
            raise ValueError("its bases need each other")
        self._local.hops = hops + 1
        try:
            return self._chunk(digest, self.place(digest))
        finally:
            self._local.hops = hops

    def _record(self, place: Place) -> tuple[Head, memoryview]:
        return parsed(self._bytes(place))

    def _bytes(self, place: Place) -> bytes:
        return self._read(place.pack, place.offset, place.length)

    def _read(self, pack: str, offset: int, length: int) -> bytes:
        descriptor = os.open(pack_path(self._folder, pack), os.O_RDONLY | getattr(os, "O_BINARY", 0))
        try:
            data = _read_at(descriptor, length, offset)
        finally:
            os.close(descriptor)
        if len(data) != length:
            raise EOFError
        return data

    def _sound(self, digest: bytes, place: Place, decode: Callable[[Place], _T]) -> _T:
        """Return what ``decode`` makes of the record at ``place``, or of a copy of it elsewhere."""
        why, where = "missing", ""
        for _ in range(_TRIES):
            try:
                return decode(place)
            except FileNotFoundError:
                why, where = "missing", f"pack {place.pack[:12]}… is gone"
                self._index.adopt()
            except EOFError:
                why, where = "damaged", f"pack {place.pack[:12]}… is cut off"
                self._index.reexamine(place.pack)
            except ValueError as error:
                why, where = "damaged", f"pack {place.pack[:12]}…, byte {place.offset}: {error}"
                if not self._mended(digest, place):
                    self._index.spoil(place.pack, place.offset)
            except Damaged as error:  # of a base
                why, where = "damaged", f"pack {place.pack[:12]}…, byte {place.offset}: {error.message}"
                self._index.spoil(place.pack, place.offset)
            except OSError as error:
                raise StoreFailed(
                    f"{pack_path(self._folder, place.pack)} cannot be read: {error.strerror or error}",
                    "check the disk and who may read it",
                ) from error
            again = self._index.find(digest)
            if again is None:
                break
            place = again
        raise damaged(address(digest), why, where)

    def _mended(self, digest: bytes, place: Place) -> bool:
        """Make the index again if it was that which is wrong, not the pack; once is enough."""
        if self._rebuilt:
            return False
        try:
            pack = records_of(pack_path(self._folder, place.pack))
        except (ValueError, OSError):
            return False
        for offset, head in pack.records:
            if offset == place.offset and any(each == digest for each, _ in head.members):
                return False
        self._rebuilt = True
        self._index.rebuild()
        return True

    def _missing(self, digest: bytes) -> Damaged:
        for pack, offset, each in self._index.spoiled():
            if each == digest:
                return damaged(address(digest), "damaged", f"pack {pack[:12]}…, byte {offset}")
        return damaged(address(digest), "missing")

    def _recall(self, key: object) -> bytes | None:
        with self._lock:
            raw = self._kept.get(key)
            if raw is not None:
                self._kept.move_to_end(key)
            return raw

    def _remember(self, key: object, raw: bytes) -> None:
        with self._lock:
            if key not in self._kept:
                self._kept[key] = raw
                self._kept_bytes += len(raw)
                while self._kept_bytes > _KEPT and len(self._kept) > 1:
                    self._kept_bytes -= len(self._kept.popitem(last=False)[1])


def _touching(ordered: Sequence[tuple[bytes, Place]]) -> Iterator[list[tuple[bytes, Place]]]:
    """Yield neighbours together whose records lie one after the other in a pack, up to a megabyte."""
    lot: list[tuple[bytes, Place]] = []
    for each in ordered:
        place = each[1]
        if lot:
            last = lot[-1][1]
            touches = place.pack == last.pack and place.offset in (last.offset, last.offset + last.length)
            if not touches or place.offset + place.length - lot[0][1].offset > _SPAN:
                yield lot
                lot = []
        if place.kind == RECIPE and lot:
            yield lot
            lot = []
        lot.append(each)
    if lot:
        yield lot


if hasattr(os, "pread"):

    def _read_at(descriptor: int, length: int, offset: int) -> bytes:
        data = os.pread(descriptor, length, offset)
        while len(data) < length and (more := os.pread(descriptor, length - len(data), offset + len(data))):
            data += more
        return data

else:

    def _read_at(descriptor: int, length: int, offset: int) -> bytes:
        with open(descriptor, "rb", closefd=False) as file:
            file.seek(offset)
            return file.read(length)
