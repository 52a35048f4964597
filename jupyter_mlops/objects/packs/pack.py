"""The pack: many records in one file that describes itself and is named by its content.

Written by ``Packing``; read by ``Records``, ``ChunkIndex``, remotes, and whoever checks or rewrites packs.
Layout, little endian::

    header   b"MLOPSPAK"  u16 version  6 zero bytes
    record   b"RCRD"  u8 kind  u8 codec  u16 members  u16 bases  u32 raw  u32 stored
             members x (32-byte digest, u64 raw size)   bases x 32-byte digest   16-byte check   payload
    footer   for every record: u64 offset, and the record up to its payload
    trailer  u64 footer offset  u64 footer length  32-byte BLAKE3 of the footer  b"MLOPSEND"

The check is BLAKE3 of everything else in the record, so one flipped bit anywhere is found without decoding.
Of a hasty record it is BLAKE3 of the head, which names the digest of its payload.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, NamedTuple

from blake3 import blake3

from ..blob import Buffer
from ..durable import write_durably
from .codec import AGAIN, HASTY, packed, unpacked

CHUNK, RECIPE, GROUP = 0, 1, 2
FULL, LIMIT = 32 << 20, 64 << 20
MOST = 20_000  # records in a pack, whose heads are in memory until it is closed
HEADER = b"MLOPSPAK" + struct.pack("<H6x", 1)
_MAGIC, _END = b"RCRD", b"MLOPSEND"
_FIXED = struct.Struct("<4sBBHHII")
_MEMBER = struct.Struct("<32sQ")
_PLAIN = struct.Struct("<4sBBHHII32sQ")
_OFFSET = struct.Struct("<Q")
_TRAILER = struct.Struct("<QQ32s8s")
_STEP = struct.Struct("<32sI")
_DIGEST, _CHECK = 32, 16
_LEAST = _FIXED.size + _CHECK
_READ = 4 << 20
_FEW = 16 << 10


class Head(NamedTuple):
    """A record up to its payload."""

    kind: int
    codec: int
    raw: int
    stored: int
    members: tuple[tuple[bytes, int], ...]
    bases: tuple[bytes, ...]

    @property
    def length(self) -> int:
        """How many bytes the head takes."""
        return _LEAST + _MEMBER.size * len(self.members) + _DIGEST * len(self.bases)

    @property
    def total(self) -> int:
        """How many bytes the whole record takes."""
        return self.length + self.stored


class Pack(NamedTuple):
    """A closed pack: its name, which is BLAKE3 of the file, its size, and where each record starts."""

    name: str
    size: int
    records: tuple[tuple[int, Head], ...]


def record(
    kind: int,
    codec: int,
    raw: int,
    payload: Buffer,
    members: Sequence[tuple[bytes, int]],
    bases: Sequence[bytes] = (),
) -> bytes:
    """Return a whole record."""
    stored = memoryview(payload).nbytes
    head = _FIXED.pack(_MAGIC, kind, codec, len(members), len(bases), raw, stored)
    head += b"".join([_MEMBER.pack(*member) for member in members]) + b"".join(bases)
    return b"".join((head, _check(codec, head, payload), payload))


def thorough(data: bytes, level: int) -> bytes:
    """Return a whole record as it is, or packed thoroughly if that was put off."""
    head, stored = parsed(data)
    if head.codec not in AGAIN:
        return data
    raw = unpacked(head.codec, stored, head.raw)
    ((digest, _),) = head.members
    codec, payload = packed(raw, level, digest)
    return record(CHUNK, codec, len(raw), payload, head.members)


def plain_head(codec: int, size: int, payload: Buffer, digest: bytes) -> tuple[bytes, Head]:
    """Return the record of one chunk up to its payload, as bytes and as a head."""
    stored = len(payload)
    members = ((digest, size),)
    head = _PLAIN.pack(_MAGIC, CHUNK, codec, 1, 0, size, stored, digest, size)
    return head + _check(codec, head, payload), Head(CHUNK, codec, size, stored, members, ())


def head_of(data: Buffer, offset: int = 0) -> Head:
    """Return the head at ``offset``; raises ``ValueError`` for none. Its check is not made here."""
    try:
        magic, kind, codec, members, bases, raw, stored = _FIXED.unpack_from(data, offset)
        if magic != _MAGIC:
            raise ValueError("no record starts here")
        offset += _FIXED.size
        view = memoryview(data)
        end = offset + _MEMBER.size * members
        if end + _DIGEST * bases + _CHECK > view.nbytes:
            raise ValueError("the record is cut off")
        listed = (
            tuple(_MEMBER.iter_unpack(view[offset:end]))
            if members != 1
            else (_MEMBER.unpack_from(data, offset),)
        )
        needed = tuple(bytes(view[end + _DIGEST * i : end + _DIGEST * (i + 1)]) for i in range(bases))
    except struct.error as error:
        raise ValueError("the record is cut off") from error
    return Head(kind, codec, raw, stored, listed, needed)


def parsed(data: Buffer) -> tuple[Head, memoryview]:
    """Return the head and payload of a whole record; raises ``ValueError`` if a single bit of it is wrong."""
    head = head_of(data)
    view = memoryview(data)
    if view.nbytes != head.total:
        raise ValueError("the record is cut off")
    start = head.length
    payload = view[start:]
    if _check(head.codec, view[: start - _CHECK], payload) != view[start - _CHECK : start] or (
        head.codec == HASTY and [blake3(payload).digest()] != [digest for digest, _ in head.members]
    ):
        raise ValueError("the record is not what was written")
    return head, payload


def plain_parsed(data: memoryview, digest: bytes) -> tuple[int, int, memoryview]:
    """Return codec, raw size and payload of a record of one chunk; raises ``ValueError`` if it is none."""
    try:
        magic, kind, codec, members, bases, raw, stored, member, size = _PLAIN.unpack_from(data)
    except struct.error as error:
        raise ValueError("the record is cut off") from error
    if (magic, kind, members, bases, member) != (_MAGIC, CHUNK, 1, 0, digest):
        raise ValueError("it is another record")
    payload = data[_PLAIN.size + _CHECK :]
    if len(payload) != stored or size != raw:
        raise ValueError("the record is cut off")
    if _check(codec, data[: _PLAIN.size], payload) != data[_PLAIN.size : _PLAIN.size + _CHECK]:
        raise ValueError("the record is not what was written")
    return codec, raw, payload


def _check(codec: int, head: Buffer, payload: Buffer) -> bytes:
    if codec == HASTY:
        return blake3(head).digest(_CHECK)
    if len(payload) < _FEW:
        return blake3(b"".join((head, payload))).digest(_CHECK)  # a second call for few bytes costs more
    hasher = blake3(head)
    hasher.update(payload)
    return hasher.digest(_CHECK)


def recipe_payload(chunks: Iterable[tuple[bytes, int]]) -> bytes:
    """Return the list of a file's chunks as a recipe keeps it."""
    return b"".join([_STEP.pack(digest, size) for digest, size in chunks])


def recipe_of(payload: Buffer) -> tuple[tuple[bytes, int], ...]:
    """Return the list of a file's chunks; raises ``ValueError`` for what is none."""
    try:
        return tuple(_STEP.iter_unpack(payload))
    except struct.error as error:
        raise ValueError("the recipe is cut off") from error


def pack_path(folder: Path, name: str) -> Path:
    """Return where the pack ``name`` of the store in ``folder`` is."""
    return folder / "packs" / name[:2] / f"{name}.pack"


class PackWriter:
    """A pack that grows in memory, and is the new file ``path`` when it is closed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._parts: list[Buffer] = []
        self._hasher = blake3()
        self._records: list[tuple[int, Head]] = []
        self._footer: list[bytes] = []
        self._append(HEADER)

    def __len__(self) -> int:
        return len(self._records)

    def add(self, data: bytes, heads: Iterable[Head]) -> None:
        """Append whole records, one after the other in ``data``."""
        start = 0
        for head in heads:
            self._records.append((self.size + start, head))
            self._footer += (_OFFSET.pack(self.size + start), data[start : start + head.length])
            start += head.total
        self._append(data)

    def close(self) -> Pack:
        """Write the file, make it durable and return what it is."""
        footer = b"".join(self._footer)
        self._append(footer + _TRAILER.pack(self.size, len(footer), blake3(footer).digest(), _END))
        write_durably(self.path, self._parts)
        return Pack(self._hasher.hexdigest(), self.size, tuple(self._records))

    def _append(self, data: Buffer) -> None:
        self._hasher.update(data)
        self._parts.append(data)
        self.size += len(data)


def records_of(path: Path) -> Pack:
    """Return what the pack at ``path`` says it holds; raises ``ValueError`` if its ends are not sound."""
    footer, size = _footer(path)
    records = records_in(footer)
    end = size - _TRAILER.size - len(footer)
    if any(offset + head.total > end for offset, head in records):
        raise ValueError("the footer names records beyond the end")
    return Pack(path.stem, size, records)


def footer_bytes(path: Path) -> bytes:
    """Return the footer of the pack at ``path``; raises ``ValueError`` if it is not sound."""
    return _footer(path)[0]


def records_in(footer: bytes) -> tuple[tuple[int, Head], ...]:
    """Return the records that a footer names; raises ``ValueError`` if it is none."""
    found, at = [], 0
    while at < len(footer):
        if at + _OFFSET.size > len(footer):
            raise ValueError("the footer is cut off")
        (offset,) = _OFFSET.unpack_from(footer, at)
        head = head_of(footer, at + _OFFSET.size)
        found.append((offset, head))
        at += _OFFSET.size + head.length
    return tuple(found)


def scanned(path: Path) -> tuple[Pack, tuple[tuple[int, int], ...]]:
    """Return the sound records of a pack, whatever became of its ends, and the ranges that hold none."""
    found: list[tuple[int, Head]] = []
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        end = size - _trailing(file, size)
        at = len(HEADER)
        while 0 <= at < end:
            file.seek(at)
            start = file.read(min(_READ, end - at))
            try:
                head = head_of(start)
                if head.total > len(start):
                    if at + head.total > end:
                        raise ValueError("the record is cut off")
                    start += file.read(head.total - len(start))
                parsed(memoryview(start)[: head.total])
                found.append((at, head))
                at += head.total
            except ValueError:
                at = _next_record(file, at + 1, end)
    edges = [len(HEADER), *(edge for at, head in found for edge in (at, at + head.total)), end]
    bad = tuple((start, stop) for start, stop in list(pairwise(edges))[::2] if start < stop)
    return Pack(path.stem, size, tuple(found)), bad


def _footer(path: Path) -> tuple[bytes, int]:
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < len(HEADER) + _TRAILER.size or file.read(len(HEADER)) != HEADER:
            raise ValueError("this is no pack, or one of a newer version")
        file.seek(size - _TRAILER.size)
        offset, length, digest, end = _TRAILER.unpack(file.read(_TRAILER.size))
        if end != _END or offset + length + _TRAILER.size != size:
            raise ValueError("its end is missing")
        file.seek(offset)
        footer = file.read(length)
    if blake3(footer).digest() != digest:
        raise ValueError("its footer is damaged")
    return footer, size


def _trailing(file: BinaryIO, size: int) -> int:
    """Return how many bytes at the end are footer and trailer, as far as the trailer is there."""
    file.seek(max(0, size - _TRAILER.size))
    data = file.read(_TRAILER.size)
    if len(data) == _TRAILER.size:
        offset, length, _, end = _TRAILER.unpack(data)
        if end == _END and offset + length + _TRAILER.size == size:
            return int(length + _TRAILER.size)
    return 0


def _next_record(file: BinaryIO, at: int, end: int) -> int:
    """Return where the next thing that looks like a record starts, or ``end``."""
    while at < end:
        file.seek(at)
        data = file.read(min(_READ, end - at))
        if (found := data.find(_MAGIC)) >= 0:
            return at + found
        at += max(1, len(data) - len(_MAGIC) + 1)
    return end


def iterated(path: Path, pack: Pack) -> Iterator[tuple[int, Head, bytes]]:
    """Yield every record of ``pack`` with its bytes, unchecked, in order."""
    with path.open("rb") as file:
        for offset, head in pack.records:
            file.seek(offset)
            yield offset, head, file.read(head.total)
