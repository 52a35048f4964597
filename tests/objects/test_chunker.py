"""Chunks are cut where the content says: the same everywhere, for ever, however the bytes arrive."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_mlops.errors import Failed, StoreFailed
from jupyter_mlops.objects import Objects
from jupyter_mlops.objects.packs.chunker import Chunker
from jupyter_mlops.objects.settings import Settings, settings_of

# sizes of the chunks of data(), cut by FastCDC 2020 with the parameters of every store;
# were they to move, every version would be stored anew
GOLDEN = [
    71791,
    89804,
    36896,
    71775,
    95052,
    38007,
    117681,
    73470,
    72823,
    83293,
    65149,
    130731,
    64011,
    55156,
    84647,
    91165,
    87535,
    72535,
    53684,
    200756,
    66059,
    78034,
    47266,
    18211,
    106067,
    77805,
    74114,
    95866,
    84327,
    35836,
    85371,
    93330,
    149421,
    19052,
    221815,
    91466,
]
SIZE = 3_000_001
Change = Callable[[dict[str, Any]], object]


def data(size: int = SIZE) -> bytes:
    return blake3(b"golden").digest(length=size)


def lengths(pieces: list[memoryview]) -> list[int]:
    return [len(piece) for piece in pieces]


def test_cut_points_are_golden() -> None:
    assert lengths(Chunker(Settings()).cut(memoryview(data()), final=True)) == GOLDEN


def test_no_chunk_is_longer_or_shorter_than_allowed() -> None:
    assert lengths(Chunker(Settings()).cut(memoryview(bytes(1 << 20)), final=True)) == [262_144] * 4
    sizes = GOLDEN[:-1]
    assert min(sizes) >= 16_384
    assert max(sizes) <= 262_144


@settings(max_examples=25, deadline=None)
@given(steps=st.lists(st.integers(1, 700_000), min_size=1, max_size=12))
def test_cut_points_do_not_depend_on_how_the_bytes_arrive(steps: list[int]) -> None:
    chunker, whole = Chunker(Settings()), memoryview(data())
    found: list[int] = []
    start = end = 0
    for step in steps:
        end = min(end + step, SIZE)
        pieces = lengths(chunker.cut(whole[start:end], final=False))
        found += pieces
        start += sum(pieces)
    found += lengths(chunker.cut(whole[start:], final=True))
    assert found == GOLDEN


def test_nothing_is_cut_from_nothing() -> None:
    assert Chunker(Settings()).cut(memoryview(b""), final=True) == []


def test_the_slow_fallback_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pyfastcdc.cy", None)
    with pytest.raises(Failed, match=r"compiled part of pyfastcdc is missing.*pip install") as caught:
        Objects(tmp_path / "objects").put_bytes(b"data")
    assert "\n" not in str(caught.value)


def test_settings_are_written_once_and_obeyed_ever_after(tmp_path: Path) -> None:
    folder = tmp_path / "objects"
    Objects(folder).put_bytes(b"data")
    document = json.loads((folder / "config.json").read_bytes())
    assert document["chunker"] == {
        "name": "fastcdc2020",
        "min": 16_384,
        "average": 65_536,
        "max": 262_144,
        "normalization": 1,
        "seed": 0,
    }
    document["chunker"]["max"] = 131_072
    document["small"] = 1000
    (folder / "config.json").write_text(json.dumps(document))
    objects = Objects(folder)
    digest = objects.put_bytes(bytes(1 << 20))
    assert {size for _, size in objects.chunks(digest)} == {131_072}
    assert json.loads((folder / "config.json").read_bytes()) == document


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda document: document.update(format=2), "newer version"),
        (lambda document: document.update(encryption="aes"), "newer version"),
        (lambda document: document["chunker"].update(name="rabin"), "newer version"),
        (lambda document: document["codec"].update(name="lz4"), "newer version"),
        (lambda document: document.pop("chunker"), "damaged"),
    ],
)
def test_a_store_of_another_kind_is_refused(tmp_path: Path, change: Change, says: str) -> None:
    folder = tmp_path / "objects"
    objects = Objects(folder)
    digest = objects.put_bytes(b"data")
    document = json.loads((folder / "config.json").read_bytes())
    change(document)
    (folder / "config.json").write_text(json.dumps(document))
    for use in (lambda: Objects(folder).put_bytes(b"more"), lambda: Objects(folder).read(digest)):
        with pytest.raises(StoreFailed, match=says):
            use()


def test_a_folder_from_before_the_packs_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "objects"
    (folder / "ab").mkdir(parents=True)
    with pytest.raises(StoreFailed, match="before the chunk store"):
        Objects(folder).put_bytes(b"data")
    with pytest.raises(StoreFailed, match="before the chunk store"):
        settings_of(folder)
