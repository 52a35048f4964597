"""Reading gives back exactly what was stored, in any order, or says which bytes of which pack are wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jupyter_mlops.errors import Damaged
from jupyter_mlops.objects import Objects
from jupyter_mlops.objects.blob import digest_of, raw_digest
from jupyter_mlops.objects.packs.codec import DELTA
from jupyter_mlops.objects.packs.delta import encoded
from jupyter_mlops.objects.packs.pack import GROUP, pack_path, record, records_of

DATA = os.urandom(700_000) + bytes(900_000) + b"some,rows\n" * 70_000


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return Objects(tmp_path / "objects")


def flipped(path: Path, at: int) -> None:
    whole = bytearray(path.read_bytes())
    whole[at] ^= 1 << (at % 8)
    path.write_bytes(whole)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    moves=st.lists(
        st.tuples(st.integers(0, len(DATA) + 100), st.one_of(st.integers(0, 300_000), st.just(-1))),
        max_size=8,
    )
)
def test_a_stream_is_read_anywhere(objects: Objects, moves: list[tuple[int, int]]) -> None:
    with objects.open(objects.put_bytes(DATA)) as file:
        assert file.seekable()
        for position, count in moves:
            assert file.seek(position) == position
            wanted = DATA[position:] if count < 0 else DATA[position : position + count]
            assert file.read(count) == wanted
            assert file.tell() == position + len(wanted)
        assert file.seek(-10, os.SEEK_END) == len(DATA) - 10
        assert file.seek(3, os.SEEK_CUR) == len(DATA) - 7
        assert file.read() == DATA[-7:]
        with pytest.raises(ValueError, match="before the start"):
            file.seek(-1)


def test_a_stream_is_read_from_start_to_end(objects: Objects) -> None:
    digest = objects.put_bytes(DATA * 3)
    with objects.open(digest) as file:
        pieces = list(iter(lambda: file.read(100_001), b""))
    assert b"".join(pieces) == DATA * 3
    with objects.open(objects.put_bytes(b"")) as file:
        assert file.read() == b""


def test_a_read_in_the_middle_takes_only_the_chunks_it_needs(objects: Objects) -> None:
    digest = objects.put_bytes(DATA)
    chunks = objects.chunks(digest)
    place = objects.index.find(raw_digest(chunks[0][0]))
    assert place is not None
    flipped(pack_path(objects.folder, place.pack), place.offset + place.length - 1)
    with objects.open(digest) as file:
        file.seek(len(DATA) - 5000)
        assert file.read() == DATA[-5000:]
        file.seek(0)
        with pytest.raises(Damaged, match=f"byte {place.offset}"):
            file.read(10)


def test_any_flipped_byte_is_found_by_the_read_that_meets_it_and_named(tmp_path: Path) -> None:
    contents = {name: os.urandom(40) + name * 40 for name in (b"a", b"b", b"c")}
    objects = Objects(tmp_path / "objects")
    with objects.batch() as batch:
        digests = {batch.put_bytes(content): content for content in contents.values()}
    (path,) = (objects.folder / "packs").rglob("*.pack")
    good = path.read_bytes()
    pack = records_of(path)
    for offset, head in pack.records:
        hit = f"b3:{head.members[0][0].hex()}"
        for at in range(offset, offset + head.total):
            flipped(path, at)
            reopened = Objects(objects.folder)
            for digest, content in digests.items():
                if digest == hit:
                    with pytest.raises(Damaged, match=f"{digest[:15]}….*pack {pack.name[:12]}…"):
                        reopened.read(digest)
                else:
                    assert reopened.read(digest) == content
            assert reopened.missing(digests) == {hit}
            path.write_bytes(good)
            reopened.index.forget([pack.name])
            assert reopened.missing(digests) == set()


def test_damage_is_named_by_every_way_to_read(objects: Objects, tmp_path: Path) -> None:
    digest = objects.put_bytes(DATA)
    (path,) = (objects.folder / "packs").rglob("*.pack")
    good = path.read_bytes()
    for read in (
        lambda: objects.read(digest),
        lambda: objects.open(digest).read(),
        lambda: objects.write_to(digest, tmp_path / "out", 0o644),
        lambda: [objects.record(each) for each, _ in objects.chunks(digest)],
        lambda: list(objects.read_small(each for each, _ in objects.chunks(digest))),
    ):
        flipped(path, 200_000)
        with pytest.raises(Damaged, match=path.stem[:12]):
            read()
        path.write_bytes(good)
        objects.index.forget([path.stem])
        assert objects.read(digest) == DATA


def test_small_ones_are_read_in_the_order_in_which_they_lie(objects: Objects) -> None:
    with objects.batch() as batch:
        digests = [batch.put_bytes(b"%d" % number * 100) for number in range(50)]
    long = objects.put_bytes(DATA)
    found = dict(objects.read_small([*reversed(digests), long]))
    assert list(found) == digests
    assert [found[digest][:2] for digest in digests[:10]] == [b"%d" % number * 2 for number in range(10)]
    with pytest.raises(Damaged, match="missing"):
        list(objects.read_small(["b3:" + "0" * 64]))


def in_group(objects: Objects) -> tuple[bytes, bytes, bytes]:
    """Keep two chunks as one difference from a third."""
    base = os.urandom(100_000)
    near, nearer = base[:50_000] + b"!" + base[50_000:], base[20_000:] + b"?"
    together = near + nearer
    members = [(blake3(each).digest(), len(each)) for each in (near, nearer)]
    with objects.batch() as batch:
        batch.put_chunk(base)
        payload = encoded(together, [base])
        batch.put_record(
            record(GROUP, DELTA, len(together), payload, members, [blake3(base).digest()]),
        )
    return base, near, nearer


def test_chunks_kept_as_differences_come_back(objects: Objects) -> None:
    base, near, nearer = in_group(objects)
    assert objects.stored().stored < 105_000
    assert objects.stored().chunks == 3
    assert [objects.read(digest_of(each)) for each in (nearer, near, base)] == [nearer, near, base]
    assert dict(objects.read_small(map(digest_of, (near, nearer)))) == {
        digest_of(near): near,
        digest_of(nearer): nearer,
    }
    needed = raw_digest(digest_of(base))
    assert objects.index.bases() == {needed} == objects.index.needs([needed, bytes(32)])


def test_differences_are_lost_with_their_base_and_mended_with_themselves(objects: Objects) -> None:
    base, near, nearer = in_group(objects)
    place = objects.index.find(raw_digest(digest_of(base)))
    assert place is not None
    flipped(pack_path(objects.folder, place.pack), place.offset + 5000)
    with pytest.raises(Damaged, match="damaged"):
        objects.read(digest_of(near))
    assert objects.missing(map(digest_of, (base, near, nearer))) == set(map(digest_of, (base, near, nearer)))
    for each in (near, nearer, base):
        assert objects.read(objects.put_bytes(each)) == each
