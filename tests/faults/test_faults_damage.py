"""Damaged bytes are found by ``verify`` and by the read that meets them, named, and never given out.

FAULTS_FLIPS sets how many single bits are flipped (60 without it), FAULTS_SEED repeats a run.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from jupyter_mlops.automation.upkeep import Upkeep
from jupyter_mlops.errors import Damaged
from jupyter_mlops.project import Project

from .conftest import MakeRoot
from .stories import LETTERS, TABLE, check, check_version, letters, opened, write_letters

FLIPS = int(os.environ.get("FAULTS_FLIPS", "60"))
SEED = int(os.environ.get("FAULTS_SEED", random.randrange(10**6)))
REFS = (f"{LETTERS}@v1", f"{LETTERS}@v2", f"{TABLE}@v1")


@pytest.fixture
def make_root(make_root: MakeRoot) -> MakeRoot:
    """Make a fresh copy of the beginning that has no remote to be healed from."""

    def make() -> Path:
        root = make_root()
        with opened(root) as project:
            project.remotes.remove("default")
        return root

    return make


def packs(root: Path) -> list[Path]:
    return sorted((root / ".mlops" / "objects" / "packs").rglob("*.pack"))


def flip(path: Path, at: int, bit: int = 1) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= bit
    path.write_bytes(content)


def readable(project: Project, place: Path) -> set[str]:
    """Return the refs that read right; every other one says that it is damaged."""
    right = set()
    for number, ref in enumerate(REFS):
        version = project.datasets.get(ref)
        try:
            check_version(place / str(number), version)
            right.add(ref)
        except Damaged as error:
            if "b3:" not in error.message and version.name not in error.message:
                pytest.fail(f"damage without a name: {error}")
    return right


@pytest.mark.parametrize("compacted", [False, True], ids=["as committed", "compacted"])
def test_any_flipped_bit_is_found_and_named(make_root: MakeRoot, tmp_path: Path, compacted: bool) -> None:
    chance = random.Random(SEED)
    print(f"FAULTS_SEED={SEED}")
    for number in range(FLIPS // 2):
        root = make_root()
        if compacted:
            with opened(root) as project:
                Upkeep(project).compact()
        pack = chance.choice(packs(root))
        at, bit = chance.randrange(pack.stat().st_size), 1 << chance.randrange(8)
        flip(pack, at, bit)
        where = f"bit {bit} of byte {at} of {pack.name} flipped"
        with opened(root) as project:
            (tmp_path / str(number)).mkdir()
            right = readable(project, tmp_path / str(number))
        with opened(root) as project:
            report = Upkeep(project).verify(repair=False)
        assert not report.passed, where
        assert pack.stem in {damage.pack for damage in report.damages}, where
        assert {ref.removeprefix("data:") for ref in report.versions} == set(REFS) - right, where


def test_a_damaged_pack_is_set_aside_and_committing_again_mends(make_root: MakeRoot, tmp_path: Path) -> None:
    root = make_root()
    largest = max(packs(root), key=lambda path: path.stat().st_size)
    flip(largest, largest.stat().st_size // 2)
    with opened(root) as project:
        report = Upkeep(project).verify()
        assert not report.passed
        assert list((root / ".mlops" / "objects" / "quarantine").rglob("*")), "the damaged pack was not kept"
        assert f"data:{LETTERS}@v1" in report.versions
        # what was not damaged is right, also that which lay in the same pack
        assert {ref for ref in REFS if f"data:{ref}" not in report.versions} == readable(project, tmp_path)
    with opened(root) as project:
        for number in (1, 2):
            project.datasets.commit("elsewhere", write_letters(tmp_path / "again", number))
        assert readable(project, tmp_path / "again") == set(REFS)
        assert Upkeep(project).verify().passed
    check(root, [])


def test_damage_is_healed_from_an_unchanged_file(make_root: MakeRoot, tmp_path: Path) -> None:
    root = make_root()
    write_letters(tmp_path / "kept", 3)
    with opened(root) as project:
        before = set(packs(root))
        project.datasets.commit(LETTERS, tmp_path / "kept")
        for pack in set(packs(root)) - before:
            flip(pack, pack.stat().st_size // 3)
        report = Upkeep(project).verify()
        assert f"data:{LETTERS}@v3" in report.healed
        assert Upkeep(project).verify().passed
    check(root, [f"ack {LETTERS}@v3"])


def test_damage_is_healed_from_a_remote(make_root: MakeRoot, tmp_path: Path) -> None:
    root = make_root()
    with opened(root) as project:
        project.remotes.add("backup", str(tmp_path / "backup"))
        project.datasets.push(remote="backup")
        for pack in packs(root):
            flip(pack, pack.stat().st_size // 3)
        report = Upkeep(project).verify()
        assert set(report.healed) == {f"data:{ref}" for ref in REFS}
        assert not report.versions
    check(root, [f"ack {ref}" for ref in REFS])


def test_a_missing_pack_is_found_even_by_a_quick_look(make_root: MakeRoot, tmp_path: Path) -> None:
    root = make_root()
    largest = max(packs(root), key=lambda path: path.stat().st_size)
    largest.unlink()
    with opened(root) as project:
        report = Upkeep(project).verify(level="quick")
        assert largest.stem in {damage.pack for damage in report.damages}
        right = readable(project, tmp_path)
        assert right != set(REFS)
        assert {ref.removeprefix("data:") for ref in report.versions} == set(REFS) - right


@pytest.mark.parametrize("left", [0, 10, 100, -1, -50])
def test_a_cut_pack_is_found_by_a_quick_look_and_what_is_whole_in_it_is_kept(
    make_root: MakeRoot, tmp_path: Path, left: int
) -> None:
    root = make_root()
    largest = max(packs(root), key=lambda path: path.stat().st_size)
    content = largest.read_bytes()
    largest.write_bytes(content[:left])
    with opened(root) as project:
        report = Upkeep(project).verify(level="quick")
        assert not report.passed
        assert largest.stem in {damage.pack for damage in report.damages}
        (tmp_path / "after").mkdir()
        right = readable(project, tmp_path / "after")
        assert {ref.removeprefix("data:") for ref in report.versions} == set(REFS) - right
    if left < 0:  # only the end of its table of contents is gone
        assert right == set(REFS)
        check(root, [f"ack {ref}" for ref in REFS])


def test_exchanged_packs_are_found(make_root: MakeRoot, tmp_path: Path) -> None:
    root = make_root()
    one, other = packs(root)[:2]
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)
    with opened(root) as project:
        readable(project, tmp_path)
        report = Upkeep(project).verify()
        assert {one.stem, other.stem} <= {damage.pack for damage in report.damages}


@pytest.mark.parametrize("how", ["gone", "empty", "garbage", "another"])
def test_a_lost_index_loses_nothing(make_root: MakeRoot, how: str) -> None:
    root = make_root()
    index = root / ".mlops" / "objects" / "index.sqlite"
    for path in index.parent.glob("index.sqlite*"):
        path.unlink()
    if how == "empty":
        index.write_bytes(b"")
    elif how == "garbage":
        index.write_bytes(random.Random(1).randbytes(20_000))
    elif how == "another":  # one of another project
        other = make_index_of_nothing(root)
        index.write_bytes(other)
    check(root, [f"ack {ref}" for ref in REFS])


def make_index_of_nothing(root: Path) -> bytes:
    import sqlite3

    path = root / "other.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE something (else_ TEXT)")
    connection.commit()
    connection.close()
    content = path.read_bytes()
    path.unlink()
    return content


def test_the_contents_of_the_stories_are_what_they_should_be() -> None:
    # the store is only tested if versions share chunks and differ in others
    one, two = letters(1), letters(2)
    assert one != two
    assert one["noise.bin"] != two["noise.bin"]
    assert one["notes/00.txt"] == two["notes/00.txt"]
    assert len(one["long.txt"]) > 3 * 65_536
