"""The delta: some bytes as their difference from other bytes, the bases. Made by compact; ``codec`` reads it.

Kept is one zstd frame whose dictionary is the bases themselves, one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence

from zstandard import (
    DICT_TYPE_RAWCONTENT,
    ZstdCompressionDict,
    ZstdCompressionParameters,
    ZstdCompressor,
)

_LEVEL = 1
_WINDOW = 21  # raw bytes and bases together must fit: 2 MiB
# With its defaults zstd hardly indexes a dictionary: what must be found in it is then stored once more, and a
# delta is as large as no delta at all (34 % of a file instead of 0.5 %).
_INDEX = 18


def encoded(raw: bytes, bases: Sequence[bytes]) -> bytes:
    """Return ``raw`` as its difference from ``bases``."""
    # the bases may begin with anything, also with what zstd would take for the header of a trained dictionary
    dictionary = ZstdCompressionDict(b"".join(bases), dict_type=DICT_TYPE_RAWCONTENT)
    parameters = ZstdCompressionParameters.from_level(
        _LEVEL, window_log=_WINDOW, hash_log=_INDEX, chain_log=_INDEX
    )
    return ZstdCompressor(compression_params=parameters, dict_data=dictionary).compress(raw)
