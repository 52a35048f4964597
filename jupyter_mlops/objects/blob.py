"""The blob: some bytes and their address. Used by everything in ``objects``.

An address names its algorithm: ``b3:`` is BLAKE3 of the raw bytes, of a chunk as of a whole file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from blake3 import blake3

from ..errors import Damaged

Buffer = bytes | bytearray | memoryview
STEP = 4 << 20
_DIGEST = re.compile(r"b3:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Blob:
    """Stored bytes: their address and raw size."""

    digest: str
    size: int


def digest_of(data: Buffer) -> str:
    """Return the address of ``data``."""
    return f"b3:{blake3(data).hexdigest()}"


def hexadecimal(digest: str) -> str:
    """Return the part of an address that may name a file; raises ``Damaged`` for what is no address."""
    if not _DIGEST.fullmatch(digest):
        raise Damaged(f"{digest!r} is no address of stored bytes", "see `mlops audit verify`")
    return digest[3:]


def raw_digest(digest: str) -> bytes:
    """Return the 32 bytes of an address; raises ``Damaged`` for what is no address."""
    return bytes.fromhex(hexadecimal(digest))


def address(raw: bytes) -> str:
    """Return the address that 32 bytes of BLAKE3 make."""
    return f"b3:{raw.hex()}"


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


def damaged(digest: str, why: str = "damaged", where: str = "") -> Damaged:
    """Return the error that says the bytes under ``digest`` are ``why``, and ``where`` that was seen."""
    return Damaged(
        f"the stored bytes {digest[:15]}… are {why}{f' ({where})' if where else ''}",
        "commit the same content again, which mends them",
    )
