"""The blob: some bytes, their address, and the form in which one is kept. Used by ``Objects`` alone.

An address names its algorithm: ``b3:`` is BLAKE3 of the raw bytes. Kept is one zstd frame with their size.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from blake3 import blake3
from zstandard import ZstdCompressor, ZstdDecompressor, ZstdError, frame_content_size

from ..errors import Damaged

STEP = 4 << 20
_LEVEL = 1  # on tables, level 3 stores no less and takes half again as long
_HEADER = 18
_READ = 1 << 20
_DIGEST = re.compile(r"b3:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Blob:
    """Stored bytes: their address and raw size."""

    digest: str
    size: int


def digest_of(data: bytes) -> str:
    """Return the address of ``data``."""
    return f"b3:{blake3(data).hexdigest()}"


def hexadecimal(digest: str) -> str:
    """Return the part of an address that names its file; raises ``Damaged`` for what is no address."""
    if not _DIGEST.fullmatch(digest):
        raise Damaged(f"{digest!r} is no address of stored bytes", "see `mlops audit verify`")
    return digest[3:]


def steps(file: BinaryIO, size: int = STEP) -> Iterator[memoryview]:
    """Yield what is left of ``file``, about ``size`` bytes, in pieces; each overwrites the one before."""
    buffer = bytearray(max(1, min(size, STEP)))
    view = memoryview(buffer)
    while count := file.readinto(buffer):  # type: ignore[attr-defined]  # every binary file has it
        yield view[:count]


def digest_of_file(file: BinaryIO) -> Blob:
    """Return the address and size of what is left of ``file``."""
    hasher, size = blake3(), 0
    for piece in steps(file):
        hasher.update(piece)
        size += len(piece)
    return Blob(f"b3:{hasher.hexdigest()}", size)


def compressed(data: bytes) -> bytes:
    """Return ``data`` in its kept form."""
    return ZstdCompressor(level=_LEVEL).compress(data)


def decompressed(kept: bytes) -> bytes:
    """Return the raw bytes of a kept form made a moment ago."""
    return ZstdDecompressor().decompress(kept)


def compress(source: BinaryIO, size: int, target: BinaryIO, advance: Callable[[int], None]) -> Blob:
    """Write what is left of ``source``, which is to be ``size`` bytes, to ``target`` in its kept form."""
    hasher, total = blake3(), 0
    compressor = ZstdCompressor(level=_LEVEL, threads=min(os.cpu_count() or 1, 4))
    with compressor.stream_writer(target, size=size, closefd=False) as writer:
        for piece in steps(source):
            total += len(piece)
            if total > size:
                break
            hasher.update(piece)
            writer.write(piece)
            advance(len(piece))
    return Blob(f"b3:{hasher.hexdigest()}", total)


def raw_size(path: Path, digest: str) -> int:
    """Return how many bytes the blob kept at ``path`` has."""
    with path.open("rb") as file:
        header = file.read(_HEADER)
    try:
        size = int(frame_content_size(header))
    except ZstdError as error:
        raise damaged(digest) from error
    if size < 0:
        raise damaged(digest)
    return size


def damaged(digest: str) -> Damaged:
    """Return the error that says the bytes under ``digest`` are not what was stored."""
    return Damaged(
        f"the stored bytes {digest[:15]}… are damaged", "commit the same content again, which mends them"
    )


class VerifiedReader(io.RawIOBase):
    """The raw bytes of a kept blob; reading to the end raises ``Damaged`` unless they are what was stored."""

    def __init__(self, path: Path, digest: str) -> None:
        super().__init__()
        self._digest = digest
        self._file = path.open("rb")
        self._stream = ZstdDecompressor().stream_reader(self._file, read_size=_READ)
        self._hasher = blake3()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # RawIOBase hands a writable buffer
        if not len(buffer):
            return 0
        try:
            count = self._stream.readinto(buffer)
        except ZstdError as error:
            raise damaged(self._digest) from error
        if count:
            self._hasher.update(memoryview(buffer)[:count])
        elif f"b3:{self._hasher.hexdigest()}" != self._digest:
            raise damaged(self._digest)
        return count

    def close(self) -> None:
        self._file.close()
        super().close()
