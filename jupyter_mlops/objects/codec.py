"""The codecs: how the bytes of a record are written. Used by batches and by whoever reads records.

A compressor's mistake must show while the original is still at hand, so what was compressed is decoded again.
"""

from __future__ import annotations

import threading

from blake3 import blake3
from zstandard import DICT_TYPE_RAWCONTENT, ZstdCompressionDict, ZstdCompressor, ZstdDecompressor, ZstdError

from ..errors import StoreFailed
from .blob import Buffer

RAW, ZSTD, DELTA = 0, 1, 2
_WORTH = 0.95
_SMALLEST = 64  # shorter ones only grow
_WINDOW = 1 << 27


class _Codecs(threading.local):
    """Compressors and decompressors, which serve one thread each."""

    def __init__(self) -> None:
        self.compressors: dict[int, ZstdCompressor] = {}
        self.decompressor = ZstdDecompressor()

    def compressor(self, level: int) -> ZstdCompressor:
        if level not in self.compressors:
            self.compressors[level] = ZstdCompressor(level=level)
        return self.compressors[level]


_codecs = _Codecs()


def packed(raw: Buffer, level: int, digest: bytes | None = None) -> tuple[int, Buffer]:
    """Return the codec and payload that keep ``raw``: raw where compression saves less than 5 %.

    ``digest`` is BLAKE3 of ``raw`` where that is known already.
    """
    size = memoryview(raw).nbytes
    if size < _SMALLEST:
        return RAW, raw
    payload = _codecs.compressor(level).compress(raw)
    if len(payload) > size * _WORTH:
        return RAW, raw
    if blake3(_codecs.decompressor.decompress(payload)).digest() != (digest or blake3(raw).digest()):
        raise StoreFailed(
            "bytes written to the store came back different", "check the memory of this machine"
        )
    return ZSTD, payload


def unpacked(codec: int, payload: Buffer, size: int, bases: Buffer = b"") -> bytes:
    """Return the ``size`` raw bytes of a payload; raises ``ValueError`` where they do not come out."""
    if codec == RAW:
        raw = bytes(payload)
    elif codec in (ZSTD, DELTA):
        try:
            if codec == ZSTD:
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
