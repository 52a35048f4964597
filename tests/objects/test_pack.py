"""A pack describes itself: what is in it can be told without an index, and one wrong bit shows."""

from __future__ import annotations

from pathlib import Path

import pytest
from blake3 import blake3

from jupyter_mlops.objects.packs.codec import HASTY
from jupyter_mlops.objects.packs.pack import (
    CHUNK,
    GROUP,
    Head,
    Pack,
    PackWriter,
    footer_bytes,
    head_of,
    parsed,
    record,
    records_in,
    records_of,
    scanned,
)

HEADER, TRAILER = 16, 56


def chunk_record(data: bytes) -> tuple[bytes, Head]:
    whole = record(CHUNK, 0, len(data), data, [(blake3(data).digest(), len(data))])
    return whole, head_of(whole)


def hasty_record() -> tuple[bytes, Head]:
    whole = record(CHUNK, HASTY, 10, b"some bytes", [(blake3(b"some bytes").digest(), 10)])
    return whole, head_of(whole)


def group_record() -> tuple[bytes, Head]:
    members = [(blake3(b"ab").digest(), 2), (blake3(b"cde").digest(), 3)]
    whole = record(GROUP, 2, 5, b"payload", members, [blake3(b"base").digest()])
    return whole, head_of(whole)


def written(path: Path, count: int = 3) -> tuple[Pack, list[bytes]]:
    records = [chunk_record(bytes([65 + number]) * (20 + number)) for number in range(count)]
    writer = PackWriter(path)
    for data, head in records:
        writer.add(data, [head])
    pack = writer.close()
    named = path.with_name(f"{pack.name}.pack")
    path.rename(named)
    return pack, [data for data, _ in records]


def test_a_record_says_what_it_holds() -> None:
    whole, _ = group_record()
    head, payload = parsed(whole)
    assert (head.kind, head.codec, head.raw, head.stored) == (GROUP, 2, 5, 7)
    assert head.members == ((blake3(b"ab").digest(), 2), (blake3(b"cde").digest(), 3))
    assert head.bases == (blake3(b"base").digest(),)
    assert bytes(payload) == b"payload"
    assert head.total == len(whole)


@pytest.mark.parametrize(
    "whole",
    [chunk_record(b"some bytes")[0], hasty_record()[0], group_record()[0]],
    ids=["chunk", "hasty", "group"],
)
def test_no_bit_of_a_record_can_change_unseen(whole: bytes) -> None:
    for at in range(len(whole)):
        wrong = bytearray(whole)
        wrong[at] ^= 1 << (at % 8)
        with pytest.raises(ValueError, match=r"."):
            parsed(wrong)
    for length in range(len(whole)):
        with pytest.raises(ValueError, match=r"."):
            parsed(whole[:length])
    with pytest.raises(ValueError, match="cut off"):
        parsed(whole + b"x")


def test_a_pack_is_named_by_its_content_and_lists_its_records(tmp_path: Path) -> None:
    pack, records = written(tmp_path / "new")
    path = tmp_path / f"{pack.name}.pack"
    data = path.read_bytes()
    assert pack.name == blake3(data).hexdigest()
    assert pack.size == len(data)
    assert records_of(path) == pack
    assert records_in(footer_bytes(path)) == pack.records
    for (offset, head), whole in zip(pack.records, records, strict=True):
        assert data[offset : offset + head.total] == whole


def test_a_scan_finds_what_the_footer_says(tmp_path: Path) -> None:
    pack, _ = written(tmp_path / "new")
    assert scanned(tmp_path / f"{pack.name}.pack") == (pack, ())


def test_damaged_ends_are_noticed(tmp_path: Path) -> None:
    pack, _ = written(tmp_path / "new")
    path = tmp_path / f"{pack.name}.pack"
    good = path.read_bytes()
    footer = len(good) - TRAILER - len(footer_bytes(path))
    for at in (*range(HEADER), *range(footer, len(good))):
        wrong = bytearray(good)
        wrong[at] ^= 1
        path.write_bytes(wrong)
        with pytest.raises(ValueError, match=r"."):
            records_of(path)


def test_of_a_torn_pack_all_whole_records_are_found(tmp_path: Path) -> None:
    pack, _ = written(tmp_path / "new")
    path = tmp_path / f"{pack.name}.pack"
    good = path.read_bytes()
    for length in range(len(good)):
        path.write_bytes(good[:length])
        with pytest.raises(ValueError, match=r"."):
            records_of(path)
        whole = tuple(each for each in pack.records if each[0] + each[1].total <= length)
        assert scanned(path)[0].records == whole


def test_a_scan_goes_on_behind_a_damaged_record(tmp_path: Path) -> None:
    pack, _ = written(tmp_path / "new", 5)
    path = tmp_path / f"{pack.name}.pack"
    (first, head), (second, other) = pack.records[1], pack.records[3]
    wrong = bytearray(path.read_bytes())
    wrong[first] ^= 1  # its very start
    wrong[second + other.length] ^= 1  # its payload
    path.write_bytes(wrong)
    found, bad = scanned(path)
    assert found.records == (pack.records[0], pack.records[2], pack.records[4])
    assert bad == ((first, first + head.total), (second, second + other.total))
