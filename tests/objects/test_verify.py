"""Whatever is no longer what was stored is found, named, set aside and mended where that can be."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from jupyter_mlops.errors import Conflict, Damaged
from jupyter_mlops.objects import Batch, Entry, Objects
from jupyter_mlops.objects.blob import raw_digest
from jupyter_mlops.objects.packs.pack import GROUP, RECIPE, records_of
from jupyter_mlops.objects.upkeep.compact import compact
from jupyter_mlops.objects.upkeep.notes import alone
from jupyter_mlops.objects.upkeep.reach import lacking
from jupyter_mlops.objects.upkeep.verify import Level, VerifyReport, Version, verify

from .test_compact import versions

FLIPS = 1_000


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return Objects(tmp_path / "objects")


def stored(objects: Objects, name: str, **files: bytes) -> Version:
    """Store a folder of files as a version."""
    with objects.batch() as batch:
        tree = batch.put_tree(
            [
                Entry(path.replace("_", "/"), 0o644, len(data), batch.put_bytes(data))
                for path, data in files.items()
            ]
        )
    return Version(name, tree, True)


def noise(seed: int, size: int = 300_000) -> bytes:
    return random.Random(seed).randbytes(size)


def contents(objects: Objects, version: Version) -> list[bytes]:
    return [objects.read(entry.digest) for entry in objects.tree(version.digest)]


def packs(objects: Objects) -> list[Path]:
    return sorted((objects.folder / "packs").rglob("*.pack"))


def flip(path: Path, at: int, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1 << bit
    path.write_bytes(data)


def pack_of(objects: Objects, digest: str) -> Path:
    place = objects.index.find(raw_digest(digest))
    assert place is not None
    return next(path for path in packs(objects) if path.stem == place.pack)


@pytest.fixture
def lines(objects: Objects) -> tuple[Version, Version]:
    """Two versions of a table, the newer kept as deltas, and a third thing in a pack of its own."""
    older, _, _, newer, *_ = versions()
    made = (
        stored(objects, "data:table@v1", table=older),
        stored(objects, "data:table@v2", table=newer, note=b"a note"),
    )
    report = compact(objects, [], [[version.digest for version in made]])
    assert report.chunks > 10
    return made


def test_what_is_whole_is_whole_at_every_level(objects: Objects, lines: tuple[Version, ...]) -> None:
    stored(objects, "garbage", file=noise(9))
    for level in ("quick", "sample", "full"):
        report = verify(objects, lines, level)
        assert report.passed, report.to_dict()
    assert report.checked == report.packs == len(packs(objects))
    assert report.bytes == sum(path.stat().st_size for path in packs(objects))
    assert all(row.verified for row in objects.index.packs())
    assert not (objects.folder / "quarantine").exists()


def test_every_byte_of_a_store_counts(objects: Objects, tmp_path: Path) -> None:
    """A thousand flips anywhere in packs that hold chunks, recipes, trees and deltas: all are found."""
    older, newer = noise(1, 100_000), noise(1, 100_000).replace(noise(1, 100_000)[50_000:50_100], b"!" * 100)
    made = [stored(objects, "v1", a=older, deep_b=b"text " * 40), stored(objects, "v2", a=newer)]
    compact(objects, [], [[version.digest for version in made]])
    kinds = {head.kind for path in packs(objects) for _, head in records_of(path).records}
    assert {GROUP, RECIPE} <= kinds
    chance = random.Random(11)
    sizes = {path: path.stat().st_size for path in packs(objects)}
    sound = {path: path.read_bytes() for path in sizes}
    named = 0
    for _ in range(FLIPS):
        path = chance.choices(list(sizes), weights=list(sizes.values()))[0]
        flip(path, chance.randrange(sizes[path]), chance.randrange(8))
        report = verify(objects, made, repair=False)
        assert [damage.pack for damage in report.damages] == [path.stem]
        named += bool(report.versions)
        path.write_bytes(sound[path])
    # flips in the pages of contents, which are written twice, lose nothing
    assert named > 0.9 * FLIPS
    assert verify(objects, made).passed


@pytest.mark.parametrize("cut", [1, 100, 5_000])
def test_a_pack_that_is_cut_off_is_found_by_its_size(objects: Objects, cut: int) -> None:
    version = stored(objects, "v1", a=noise(1), b=noise(2))
    path = packs(objects)[0]
    path.write_bytes(path.read_bytes()[:-cut])
    report = verify(objects, [version], "quick", repair=False)
    assert [damage.pack for damage in report.damages] == [path.stem]


def test_damage_takes_only_what_it_hit(objects: Objects) -> None:
    with objects.batch() as batch:
        made = [
            Version(
                f"v{number}",
                batch.put_tree([Entry("a", 0o644, 60_000, batch.put_bytes(noise(number, 60_000)))]),
                True,
            )
            for number in range(5)
        ]
    hit = objects.tree(made[2].digest)[0].digest
    place = objects.index.find(raw_digest(hit))
    assert place is not None
    path = packs(objects)[0]
    flip(path, place.offset + place.length - 7)
    report = verify(objects, made)
    assert report.versions == ("v2",)
    assert (report.quarantined, report.lost) == (1, 1)
    assert (objects.folder / "quarantine" / path.name).is_file()
    for number in (0, 1, 3, 4):
        assert contents(objects, made[number]) == [noise(number, 60_000)]
    # storing the same again mends it, as the report says
    objects.put_bytes(noise(2, 60_000))
    assert verify(objects, made).passed
    assert contents(objects, made[2]) == [noise(2, 60_000)]


def test_a_damaged_page_of_contents_loses_nothing(objects: Objects) -> None:
    version = stored(objects, "v1", a=noise(1))
    path = packs(objects)[0]
    flip(path, path.stat().st_size - 60)
    report = verify(objects, [version])
    assert not report.passed
    assert report.versions == ()
    assert contents(Objects(objects.folder), version) == [noise(1)]
    assert verify(objects, [version]).passed


def test_swapped_packs_are_found_and_nothing_is_lost(objects: Objects) -> None:
    made = [stored(objects, "v1", a=noise(1)), stored(objects, "v2", a=noise(2))]
    first, second = packs(objects)
    aside = first.with_suffix(".aside")
    first.rename(aside)
    second.rename(first)
    aside.rename(second)
    assert {damage.pack for damage in verify(objects, made, repair=False).damages} == {
        first.stem,
        second.stem,
    }
    report = verify(objects, made)
    assert report.versions == ()
    assert set(report.healed) == {"v1", "v2"}
    assert [contents(objects, version) for version in made] == [[noise(1)], [noise(2)]]


@pytest.mark.parametrize("level", ["quick", "sample", "full"])
@pytest.mark.parametrize("index", [True, False], ids=["index there", "index lost"])
def test_a_missing_pack_is_named_with_its_versions(objects: Objects, level: Level, index: bool) -> None:
    made = [stored(objects, "v1", a=noise(1)), stored(objects, "v2", a=noise(2))]
    pack_of(objects, objects.tree(made[1].digest)[0].digest).unlink()
    if not index:
        for path in objects.folder.glob("index.sqlite*"):
            path.unlink()
    report = verify(Objects(objects.folder), made, level)
    assert report.versions == ("v2",)
    assert bool(report.damages) is index


def test_a_damaged_base_names_what_needs_it_and_heals_it_all(
    objects: Objects, lines: tuple[Version, Version]
) -> None:
    group = next(place for _, place in objects.index.every() if place.kind == GROUP)
    base = records_of(next(p for p in packs(objects) if p.stem == group.pack)).records[0][1].bases[0]
    place = objects.index.find(base)
    assert place is not None
    flip(next(path for path in packs(objects) if path.stem == place.pack), place.offset + place.length - 3)
    assert verify(objects, lines, repair=False).versions == ("data:table@v1", "data:table@v2")
    report = verify(objects, lines)
    assert report.versions == ("data:table@v1", "data:table@v2")
    with pytest.raises(Damaged):
        contents(objects, lines[1])

    older = versions()[0]
    report = verify(objects, lines, sources=[lambda digests, batch: {batch.put_bytes(older)}])
    assert report.versions == ()
    assert set(report.healed) == {"data:table@v1", "data:table@v2"}
    assert contents(objects, lines[0]) == [older]
    assert versions()[3] in contents(objects, lines[1])
    assert verify(objects, lines).passed


def mirror(of: Objects) -> Callable[[frozenset[str], Batch], set[str]]:
    """Return a source that has what another store has."""

    def restore(digests: frozenset[str], batch: Batch) -> set[str]:
        found = set(digests) - lacking(of, [(digest, False) for digest in digests])
        for digest in found:
            batch.put_record(of.record(digest))
            for chunk, _ in of.chunks(digest):
                batch.put_record(of.record(chunk))
        return found

    return restore


def test_what_another_place_has_comes_back_from_there(objects: Objects, tmp_path: Path) -> None:
    made = [stored(objects, "v1", a=noise(1), deep_er_b=noise(2)), stored(objects, "v2", c=b"small")]
    shutil.copytree(objects.folder, tmp_path / "other")
    for path in packs(objects):
        path.unlink()
    nothing: list[frozenset[str]] = []

    def useless(digests: frozenset[str], batch: Batch) -> set[str]:
        nothing.append(digests)
        return set()

    report = verify(objects, made, sources=[useless, mirror(Objects(tmp_path / "other"))])
    assert (report.versions, set(report.healed), report.lost) == ((), {"v1", "v2"}, 0)
    assert len(nothing) == 1
    assert contents(objects, made[0]) == [noise(1), noise(2)]
    assert verify(objects, made).passed


def test_a_source_that_gives_wrong_bytes_mends_nothing(objects: Objects) -> None:
    version = stored(objects, "v1", a=noise(1))
    packs(objects)[0].unlink()
    report = verify(objects, [version], sources=[lambda digests, batch: {batch.put_bytes(noise(7))}])
    assert (report.versions, report.healed) == (("v1",), ())


def test_a_copy_in_another_pack_is_used(objects: Objects) -> None:
    version = stored(objects, "v1", a=noise(1))
    before = packs(objects)
    with objects.batch(replace=True) as batch:
        batch.put_record(objects.record(version.digest))
        for entry in objects.tree(version.digest):
            batch.put_record(objects.record(entry.digest))
            for chunk, _ in objects.chunks(entry.digest):
                batch.put_record(objects.record(chunk))
    fresh = next(path for path in packs(objects) if path not in before)
    flip(fresh, fresh.stat().st_size // 2)
    report = verify(objects, [version])
    assert [damage.pack for damage in report.damages] == [fresh.stem]
    assert report.versions == ()
    assert contents(objects, version) == [noise(1)]


def test_what_a_read_met_is_looked_at_by_the_next_quick_verification(objects: Objects) -> None:
    version = stored(objects, "v1", a=noise(1))
    path = packs(objects)[0]
    flip(path, 5_000)
    assert verify(objects, [version], "quick").passed
    with pytest.raises(Damaged, match=path.stem[:12]):
        contents(objects, version)
    report = verify(objects, [version], "quick")
    assert report.versions == ("v1",)
    assert report.quarantined == 1


def test_samples_come_round_to_every_pack(objects: Objects) -> None:
    made = [stored(objects, f"v{number}", a=noise(number, 20_000)) for number in range(6)]
    seen = [verify(objects, made, "sample").checked for _ in range(6)]
    assert seen == [1] * 6
    assert all(row.verified for row in objects.index.packs())
    flip(packs(objects)[3], 1_000)
    found = [bool(verify(objects, made, "sample").damages) for _ in range(6)]
    assert found.count(True) == 1


def test_one_version_alone_reads_only_its_packs(objects: Objects) -> None:
    made = [stored(objects, "v1", a=noise(1)), stored(objects, "v2", a=noise(2))]
    flip(pack_of(objects, made[1].digest), 5_000)
    report = verify(objects, made[:1], only=True)
    assert (report.passed, report.checked) == (True, 1)
    assert verify(objects, made[1:], only=True, repair=False).versions == ("v2",)


def test_versions_on_other_machines_are_no_damage(objects: Objects) -> None:
    here = stored(objects, "here", a=noise(1))
    elsewhere = Version("elsewhere", f"b3:{'0' * 64}", True)
    asked: list[frozenset[str]] = []
    report = verify(
        objects, [here, elsewhere], sources=[lambda digests, batch: asked.append(digests) or ()], shared=True
    )
    assert (report.passed, report.absent, asked) == (True, ("elsewhere",), [])
    assert verify(objects, [here, elsewhere]).versions == ("elsewhere",)


def test_it_does_not_disturb_a_commit_nor_a_commit_it(objects: Objects) -> None:
    version = stored(objects, "v1", a=noise(1))
    with objects.batch() as batch:
        batch.put_bytes(noise(5))
        assert verify(objects, [version]).passed
    assert verify(objects, [version]).passed
    with alone(objects.folder), pytest.raises(Conflict, match="another process"):
        verify(objects, [version], wait=0.0)


def test_a_commit_between_two_looks_is_no_damage(objects: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    first = stored(objects, "data@v1", a=noise(1))
    glob = Path.glob

    def interfered(folder: Path, pattern: str) -> list[Path]:
        found = list(glob(folder, pattern))
        stored(objects, "data@v2", a=noise(2))
        return found

    monkeypatch.setattr(Path, "glob", interfered)
    report = verify(objects, [first], repair=False)
    assert report.passed, report.to_dict()


def test_nothing_stored_is_nothing_damaged(objects: Objects) -> None:
    assert verify(objects, []).passed
    assert not objects.folder.exists()
    assert verify(objects, [Version("v1", f"b3:{'0' * 64}", True)]).versions == ("v1",)


def test_the_report_is_json(objects: Objects) -> None:
    import json

    version = stored(objects, "v1", a=noise(1))
    flip(packs(objects)[0], 5_000)
    report: VerifyReport = verify(objects, [version])
    told = json.loads(json.dumps(report.to_dict()))
    assert told["damages"][0]["problem"] == "is not what was written"
    assert told["passed"] is False
