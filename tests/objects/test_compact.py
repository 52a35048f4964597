"""Versions that are nearly equal take little room after compaction, and every byte of them comes back."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from zstandard import ZstdCompressor

from jupyter_mlops.errors import Conflict
from jupyter_mlops.objects import Entry, Objects
from jupyter_mlops.objects.blob import digest_of, raw_digest
from jupyter_mlops.objects.packs import delta
from jupyter_mlops.objects.packs.codec import HASTY_ZSTD
from jupyter_mlops.objects.packs.pack import CHUNK, GROUP, RECIPE, parsed, record
from jupyter_mlops.objects.upkeep import compact
from jupyter_mlops.objects.upkeep.notes import alone

from .test_delta import relabelled, table

ROWS = 40_000


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return Objects(tmp_path / "objects")


def versions() -> list[bytes]:
    """Return a table as it changes: a start, rows put in, rows appended, labels changed, a column more."""
    lines = table(ROWS)
    middle = ROWS // 2
    chance = random.Random(5)
    told = [
        lines,
        lines[:middle] + table(400, 2) + lines[middle:],
        lines + table(400, 3),
        relabelled(lines, 100),
        [each for line in lines for each in ([line, table(1, 4)[0]] if chance.random() < 0.01 else [line])],
        [f"{line[:-1]},{chance.gauss(0, 1):.3f}\n" for line in lines],
    ]
    return ["".join(each).encode() for each in told]


def stored_bytes(objects: Objects) -> int:
    return sum(path.stat().st_size for path in objects.folder.rglob("*.pack"))


def committed(objects: Objects, contents: Sequence[bytes]) -> list[str]:
    return [objects.put_bytes(content) for content in contents]


def hops(objects: Objects, digest: str) -> int:
    """Return how many reads the deepest chunk of a file takes."""

    def depth(chunk: str) -> int:
        place = objects.index.find(raw_digest(chunk))
        assert place is not None
        assert place.kind != RECIPE
        if place.kind == CHUNK:
            return 0
        bases = parsed(objects.record(chunk))[0].bases
        return 1 + max(depth(f"b3:{base.hex()}") for base in bases)

    return max(depth(chunk) for chunk, _ in objects.chunks(digest))


def test_near_equal_versions_take_a_fraction_and_come_back_exactly(objects: Objects) -> None:
    contents = versions()
    digests = committed(objects, contents)
    before = stored_bytes(objects)
    report = compact.compact(objects, [digests])
    assert (report.before, report.after) == (before, stored_bytes(objects))
    assert report.finished
    assert report.refused == 0
    assert report.chunks > 50
    assert report.after < 0.55 * before
    assert report.after < 0.15 * sum(map(len, contents))
    for content, digest in zip(contents, digests, strict=True):
        assert objects.read(digest) == content
        assert hops(objects, digest) <= 1


def test_a_reader_from_another_process_and_a_lost_index_see_the_same(objects: Objects) -> None:
    contents = versions()[:4]
    digests = committed(objects, contents)
    held = objects.open(digests[3])
    start = held.read(1000)
    compact.compact(objects, [digests])
    assert start + held.read() == contents[3]
    for path in objects.folder.glob("index.sqlite*"):
        path.unlink()
    again = Objects(objects.folder)
    assert [again.read(digest) for digest in digests] == contents
    assert stored_bytes(again) == stored_bytes(objects)


def test_the_next_compaction_has_nothing_left_to_do(objects: Objects) -> None:
    digests = committed(objects, versions()[:4])
    compact.compact(objects, [digests])
    packs = objects.index.packs()
    report = compact.compact(objects, [digests])
    assert (report.examined, report.chunks, report.packs) == (0, 0, 0)
    assert objects.index.packs() == packs


def test_versions_made_one_from_the_other_stay_one_hop(objects: Objects) -> None:
    lines = table(ROWS)
    digests, contents = [], []
    for number in range(5):
        lines = relabelled(lines, 97 + number)
        lines[number * 1000] = "changed\n"
        contents.append("".join(lines).encode())
        digests.append(objects.put_bytes(contents[-1]))
        compact.compact(objects, [digests])
    assert [objects.read(digest) for digest in digests] == contents
    assert max(hops(objects, digest) for digest in digests) == 1
    assert stored_bytes(objects) < 0.8 * sum(map(len, contents[:2]))


def test_many_small_files_become_deltas_too(objects: Objects) -> None:
    lines = table(400)
    contents = [["".join([f"{number}\n", *lines]).encode() for number in range(30)]]
    contents.append([content.replace(b"yes", b"no ", 3) for content in contents[0]])
    digests = [committed(objects, each) for each in contents]
    before = stored_bytes(objects)
    report = compact.compact(objects, list(zip(*digests, strict=True)))
    assert report.chunks == 30
    assert stored_bytes(objects) < 0.7 * before
    assert [objects.read(digest) for digest in digests[1]] == contents[1]


def test_of_folders_only_the_files_that_changed_are_compared(objects: Objects) -> None:
    content = versions()

    def tree(**files: bytes) -> str:
        with objects.batch() as batch:
            return batch.put_tree(
                [
                    Entry(path.replace("_", "/"), 0o644, len(data), batch.put_bytes(data))
                    for path, data in files.items()
                ]
            )

    line = [
        tree(deep_a=content[0], same=content[1], file=b"x", gone=b"y"),
        tree(deep_a=content[3], same=content[1], file_z=b"x", new=b"y"),
    ]
    report = compact.compact(objects, [], [line])
    assert report.examined == sum(size for _, size in objects.chunks(digest_of(content[3])))
    assert report.after < 0.75 * report.before
    assert {entry.path: objects.read(entry.digest) for entry in objects.tree(line[1])}["deep/a"] == content[3]
    assert compact.compact(objects, [], [line]).examined == 0


def test_a_single_file_is_one_line_whatever_it_is_called(objects: Objects) -> None:
    content = versions()
    line = []
    for name, data in (("january.csv", content[0]), ("february.csv", content[3])):
        with objects.batch() as batch:
            line.append(batch.put_tree([Entry(name, 0o644, len(data), batch.put_bytes(data))]))
    assert compact.compact(objects, [], [line]).chunks > 10


def test_unrelated_bytes_stay_plain(objects: Objects) -> None:
    contents = [random.Random(seed).randbytes(2 << 20) for seed in (1, 2)]
    digests = committed(objects, contents)
    before = stored_bytes(objects)
    report = compact.compact(objects, [digests])
    assert report.chunks == 0
    assert stored_bytes(objects) == before
    assert [objects.read(digest) for digest in digests] == contents


def test_many_small_packs_are_joined(objects: Objects) -> None:
    contents = [f"{number} ".encode() * 50 for number in range(20)]
    digests = committed(objects, contents)
    assert len(objects.index.packs()) == 20
    report = compact.compact(objects, [])
    assert report.packs == 20
    assert len(objects.index.packs()) == 1
    assert len(list((objects.folder / "packs").glob("??/*.pack"))) == 1
    assert [objects.read(digest) for digest in digests] == contents


def test_a_delta_that_decodes_wrong_leaves_the_plain_copy(
    objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = versions()[:1] + versions()[3:4]
    digests = committed(objects, contents)
    packs = sorted(objects.folder.rglob("*.pack"))
    right = delta.encoded

    def wrong(raw: bytes, bases: Sequence[bytes]) -> bytes:
        return right(raw[:-1] + b"!", bases)

    monkeypatch.setattr(delta, "encoded", wrong)
    report = compact.compact(objects, [digests])
    assert report.refused > 5
    assert report.chunks == 0
    assert sorted(objects.folder.rglob("*.pack")) == packs
    assert [Objects(objects.folder).read(digest) for digest in digests] == contents


def test_a_pack_that_comes_back_different_from_the_disk_removes_nothing(
    objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = versions()[:1] + versions()[3:4]
    digests = committed(objects, contents)
    packs = set(objects.folder.rglob("*.pack"))
    monkeypatch.setattr("jupyter_mlops.objects.upkeep.repack.name_of", lambda path: "0" * 64)
    with pytest.raises(Exception, match="came back different from the disk"):
        compact.compact(objects, [digests])
    assert packs <= set(objects.folder.rglob("*.pack"))
    assert [Objects(objects.folder).read(digest) for digest in digests] == contents


def test_a_base_of_others_never_becomes_a_delta_itself(objects: Objects) -> None:
    contents = versions()
    digests = committed(objects, [contents[0], contents[3]])
    compact.compact(objects, [digests])
    needed = objects.index.bases()
    assert needed
    # the other way round, what the delta needs would become a delta
    newer = objects.put_bytes(contents[4])
    compact.compact(objects, [[newer, digests[0]], [digests[1], digests[0]]])
    places = objects.index.many(needed)
    assert {place.kind for place in places.values()} == {CHUNK}
    assert objects.read(digests[0]) == contents[0]
    assert max(hops(objects, digest) for digest in (*digests, newer)) <= 1


def test_time_runs_out_and_the_next_call_goes_on(objects: Objects) -> None:
    contents = versions()
    digests = committed(objects, contents)
    reports = [compact.compact(objects, [digests], seconds=0.0)]
    assert not reports[0].finished
    assert reports[0].chunks == 0
    while not reports[-1].finished:
        assert len(reports) < 1000
        reports.append(compact.compact(objects, [digests], seconds=0.02))
    assert len(reports) > 3
    assert sum(report.chunks for report in reports) > 50
    assert reports[-1].after < 0.15 * sum(map(len, contents))
    assert [objects.read(digest) for digest in digests] == contents


def test_progress_counts_the_bytes_that_were_compared(objects: Objects) -> None:
    from contextlib import contextmanager

    digests = committed(objects, versions()[:4])
    totals: list[int] = []
    steps: list[int] = []

    @contextmanager
    def progress(total: int):
        totals.append(total)
        yield steps.append

    compact.compact(objects, [digests], progress=progress)
    assert totals == [sum(objects.size(digest) for digest in digests[1:])]
    assert sum(steps) == totals[0]


def test_one_at_a_time(objects: Objects) -> None:
    digests = committed(objects, versions()[:2])
    with alone(objects.folder), pytest.raises(Conflict, match="another process"):
        compact.compact(objects, [digests], wait=0.0)


def test_an_empty_store_has_nothing_to_compact(objects: Objects) -> None:
    assert compact.compact(objects, []).after == 0
    assert not objects.folder.exists()


def test_damaged_notes_are_made_again(objects: Objects) -> None:
    digests = committed(objects, versions()[:4])
    compact.compact(objects, [digests])
    (objects.folder / "upkeep" / "notes.sqlite").write_bytes(b"no database at all" * 100)
    assert compact.compact(objects, [digests]).finished


def _compacting(folder: str, digests: list[str], begun: multiprocessing.Event) -> None:
    begun.set()
    while True:
        compact.compact(Objects(folder), [digests])


def killed(target: Callable[..., None], arguments: tuple[object, ...], after: float) -> None:
    """Run ``target`` in another process and kill it ``after`` seconds of work."""
    context = multiprocessing.get_context("spawn")
    begun = context.Event()
    process = context.Process(target=target, args=(*arguments, begun), daemon=True)
    process.start()
    assert begun.wait(60)
    time.sleep(after)
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join(60)
    assert process.exitcode == -signal.SIGKILL


@pytest.mark.timeout(400)
def test_killed_anywhere_it_loses_nothing(objects: Objects) -> None:
    contents = versions()
    digests = committed(objects, contents)
    before = stored_bytes(objects)
    for number in range(12):
        killed(_compacting, (str(objects.folder), digests), 0.04 * number)
        again = Objects(objects.folder)
        assert [again.read(digest) for digest in digests] == contents
    report = compact.compact(Objects(objects.folder), [digests])
    assert report.finished
    assert stored_bytes(objects) < 0.55 * before
    assert GROUP in {place.kind for _, place in objects.index.every()}


def test_what_was_packed_in_haste_is_packed_again_by_compact(objects: Objects, tmp_path: Path) -> None:
    """Somebody waits for the commit of a big file, nobody for compact: the effort is made there."""
    lines = "".join(table(60_000)).encode()
    big = b"".join(lines + str(number).encode() for number in range(30))
    assert len(big) > 64 << 20
    (tmp_path / "big.csv").write_bytes(big)
    with objects.batch() as batch:
        digest = batch.put_file(tmp_path / "big.csv").digest
    hasty = stored_bytes(objects)
    assert objects.read(digest) == big
    report = compact.compact(objects, [])
    assert report.after == stored_bytes(objects) < 0.5 * hasty
    assert report.packs > 0
    assert objects.read(digest) == big
    assert compact.compact(objects, []).packs == 0


def test_what_does_not_compress_is_not_packed_again(objects: Objects, tmp_path: Path) -> None:
    """The first chunks of a big file tell whether the effort would pay later."""
    (tmp_path / "big.bin").write_bytes(os.urandom(65 << 20))
    with objects.batch() as batch:
        batch.put_file(tmp_path / "big.bin")
    assert compact.compact(objects, []).packs == 0


def test_what_earlier_stores_packed_in_haste_is_read_and_packed_again(objects: Objects) -> None:
    text = "".join(table(1_000)).encode()
    digest = digest_of(text)
    payload = ZstdCompressor(level=-5).compress(text)
    with objects.batch() as batch:
        batch.put_record(record(CHUNK, HASTY_ZSTD, len(text), payload, [(raw_digest(digest), len(text))]))
    before = stored_bytes(objects)
    assert objects.read(digest) == text
    assert compact.compact(objects, []).after < 0.8 * before
    assert objects.read(digest) == text
