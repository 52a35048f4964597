"""The codecs: how the bytes of a record are written. Used by batches and by whoever reads records.

A compressor's mistake must show while the original is still at hand, so what was compressed is decoded again.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from blake3 import blake3
from zstandard import (
    DICT_TYPE_RAWCONTENT,
    STRATEGY_FAST,
    ZstdCompressionDict,
    ZstdCompressionParameters,
    ZstdCompressor,
    ZstdDecompressor,
    ZstdError,
)

from ...errors import StoreFailed
from ..blob import Buffer

RAW, ZSTD, DELTA, HASTY_ZSTD, HASTY = range(5)
PLAIN = (RAW, HASTY)  # the bytes as they are
AGAIN = (HASTY, HASTY_ZSTD)  # to be packed again when nobody waits; the second is no longer written
_WORTH = 0.95
_SMALLEST = 64  # shorter ones only grow
_WINDOW = 1 << 27
_LARGE = 16 << 10
_THREADS = 2
# level 1, but for matches of 7 bytes and more: on tables a quarter faster both ways, for 4 % more bytes
_FAST = ZstdCompressionParameters(
    strategy=STRATEGY_FAST,
    window_log=18,
    chain_log=12,
    search_log=1,
    min_match=7,
    hash_log=11,
    target_length=0,
)


class _Codecs(threading.local):
    """Compressors and decompressors, which serve one thread each."""

    def __init__(self) -> None:
        self.compressors: dict[tuple[int, bool], ZstdCompressor] = {}
        self.decompressor = ZstdDecompressor()

    def compressor(self, level: int, large: bool) -> ZstdCompressor:
        if (level, large) not in self.compressors:
            self.compressors[level, large] = (
                ZstdCompressor(compression_params=_FAST)
                if level == 1 and large
                else ZstdCompressor(level=level)
            )
        return self.compressors[level, large]


_codecs = _Codecs()


def packed(raw: Buffer, level: int, digest: bytes | None = None) -> tuple[int, Buffer]:
    """Return the codec and payload that keep ``raw``: raw where compression saves less than 5 %.

    ``digest`` is BLAKE3 of ``raw`` where that is known already.
    """
    size = memoryview(raw).nbytes
    if size < _SMALLEST:
        return RAW, raw
    payload = _codecs.compressor(level, size >= _LARGE).compress(raw)
    if len(payload) > size * _WORTH:
        return RAW, raw
    if blake3(_codecs.decompressor.decompress(payload)).digest() != (digest or blake3(raw).digest()):
        raise _different()
    return ZSTD, payload


def packed_together(pieces: Sequence[bytes], level: int) -> list[tuple[int, bytes]]:
    """Return codec and payload of many small pieces, compressed by several threads of the library's own.

    Threads that run Python would wait for each other at every one of the small calls.
    """
    chosen: list[tuple[int, bytes]] = [(RAW, piece) for piece in pieces]
    numbers = [number for number, piece in enumerate(pieces) if len(piece) >= _SMALLEST]
    if not numbers:
        return chosen
    compressor = _codecs.compressor(level, False)
    frames = compressor.multi_compress_to_buffer([pieces[each] for each in numbers], threads=_THREADS)
    back = _codecs.decompressor.multi_decompress_to_buffer(frames, threads=_THREADS)
    for at, number in enumerate(numbers):
        piece, frame = pieces[number], frames[at]
        if len(frame) <= len(piece) * _WORTH:
            if back[at].tobytes() != piece:
                raise _different()
            chosen[number] = (ZSTD, frame.tobytes())
    return chosen


def unpacked(codec: int, payload: Buffer, size: int, bases: Buffer = b"") -> bytes:
    """Return the ``size`` raw bytes of a payload; raises ``ValueError`` where they do not come out."""
    if codec in PLAIN:
        raw = bytes(payload)
    elif codec in (ZSTD, HASTY_ZSTD, DELTA):
        try:
            if codec != DELTA:
                raw = _codecs.decompressor.decompress(payload, max_output_size=size)
            else:
                dictionary = ZstdCompressionDict(bytes(bases), dict_type=DICT_TYPE_RAWCONTENT)
                decoder = ZstdDecompressor(dict_data=dictionary, max_window_size=_WINDOW)
                raw = decoder.decompress(payload, max_output_size=size)
        except ZstdError as error:
            raise ValueError(str(error)) from error
    else:
        raise ValueError(f"codec {codec} is unknown")
    if len(raw) != size:
        raise ValueError(f"{len(raw)} bytes instead of {size}")
    return raw


def _different() -> StoreFailed:
    return StoreFailed("bytes written to the store came back different", "check the memory of this machine")
