"""Bytes as their difference from older bytes: how small, how exact, and from which older bytes."""

from __future__ import annotations

import random

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st
from zstandard import ZstdCompressor

from jupyter_mlops.objects.packs import delta
from jupyter_mlops.objects.packs.codec import DELTA, unpacked
from jupyter_mlops.objects.upkeep.alignment import LIMIT, Alignment, Read

CHUNK = 64 << 10


def table(rows: int, seed: int = 1) -> list[str]:
    """Return lines of a table that compresses about as tables do."""
    chance = random.Random(seed)
    return [
        f"{number},C{chance.randrange(10**8):08d},{chance.choice(('north', 'south', 'east', 'west'))},"
        f"{chance.lognormvariate(10, 0.6):.2f},{chance.gauss(1000, 400):.4f},{chance.choice(('yes', 'no'))}\n"
        for number in range(rows)
    ]


def relabelled(lines: list[str], every: int) -> list[str]:
    """Return the lines with one in ``every`` changed in its last column."""
    return [line.replace("yes", "no ") if at % every == 0 else line for at, line in enumerate(lines)]


def pieces(data: bytes, size: int = CHUNK) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def test_scattered_edits_cost_almost_nothing() -> None:
    # with zstd's own settings for the index of a dictionary this is as large as the plain bytes
    lines = table(12_000)
    older, newer = "".join(lines).encode(), "".join(relabelled(lines, 100)).encode()
    start = 6 * CHUNK
    raw = newer[start : start + 4 * CHUNK]
    bases = pieces(older[start - CHUNK : start + 5 * CHUNK])
    payload = delta.encoded(raw, bases)
    plain = len(ZstdCompressor(level=1).compress(raw))
    assert unpacked(DELTA, payload, len(raw), b"".join(bases)) == raw
    assert len(payload) < plain * 0.03


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=3000), st.lists(st.binary(max_size=2000), max_size=4), st.binary(max_size=50))
def test_what_is_encoded_decodes_to_itself(raw: bytes, bases: list[bytes], between: bytes) -> None:
    raw = raw + between.join(bases) + raw
    payload = delta.encoded(raw, bases)
    assert unpacked(DELTA, payload, len(raw), b"".join(bases)) == raw
    with pytest.raises(ValueError, match="instead of"):
        unpacked(DELTA, payload, len(raw) + 1, b"".join(bases))


def test_bases_that_look_like_a_trained_dictionary_are_taken_as_they_are() -> None:
    base = bytes.fromhex("37a430ec") + random.Random(1).randbytes(CHUNK)
    payload = delta.encoded(base[100:], [base])
    assert len(payload) < 100
    assert unpacked(DELTA, payload, len(base) - 100, base) == base[100:]


def reader(stored: dict[bytes, bytes]) -> Read:
    return lambda digests: [stored[digest] for digest in digests]


def line_of(data: bytes) -> tuple[list[tuple[bytes, int]], dict[bytes, bytes]]:
    """Return chunks of ``data`` with their digests, and how to read them."""
    stored = {blake3(piece).digest(): piece for piece in pieces(data)}
    return [(blake3(piece).digest(), len(piece)) for piece in pieces(data)], stored


def test_the_place_is_found_where_rows_moved_far() -> None:
    lines = table(40_000)
    older = "".join(lines).encode()
    # the second half comes first, and every hundredth row changed, so no chunk is equal
    moved = relabelled(lines[20_000:] + lines[:20_000], 100)
    newer = "".join(moved).encode()
    line, stored = line_of(older)
    alignment = Alignment(line, reader(stored))
    raw = newer[:CHUNK]
    found = alignment.find(raw, guess=0.0)
    assert found.anchors > 3
    bases = [stored[digest] for digest, _ in found.bases]
    assert len(delta.encoded(raw, bases)) < 0.1 * len(ZstdCompressor(level=1).compress(raw))
    assert sum(len(base) for base in bases) < 4 * CHUNK


def test_where_nothing_is_recognised_the_place_is_guessed() -> None:
    line, stored = line_of(random.Random(1).randbytes(40 * CHUNK))
    found = Alignment(line, reader(stored)).find(random.Random(2).randbytes(CHUNK), guess=0.5)
    assert found.anchors == 0
    assert line[20] in found.bases
    assert line[0] not in found.bases
    assert line[39] not in found.bases


def test_bases_stay_few_where_the_newer_bytes_come_from_everywhere() -> None:
    older = random.Random(1).randbytes(64 * CHUNK)
    shuffled = [older[at : at + 8192] for at in range(0, len(older), 8192)]
    random.Random(2).shuffle(shuffled)
    line, stored = line_of(older)
    found = Alignment(line, reader(stored)).find(b"".join(shuffled)[: 4 * CHUNK], guess=0.1)
    assert found.anchors > 10
    assert 0 < sum(size for _, size in found.bases) <= LIMIT


def test_there_is_nothing_to_find_in_nothing() -> None:
    assert Alignment((), reader({})).find(b"raw", guess=0.5).bases == ()
