"""What nothing needs goes after its time; what anything needs stays, whoever works meanwhile."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlops.errors import Conflict, Damaged
from jupyter_mlops.objects import Entry, Objects
from jupyter_mlops.objects.upkeep.collect import DAY, GarbageReport, collect, undo
from jupyter_mlops.objects.upkeep.compact import compact
from jupyter_mlops.objects.upkeep.reach import lacking

from .test_compact import stored_bytes, versions

Roots = list[tuple[str, bool]]


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return Objects(tmp_path / "objects")


def folder_of(objects: Objects, contents: dict[str, bytes]) -> str:
    """Store a folder of files and return its address."""
    with objects.batch() as batch:
        return batch.put_tree(
            [Entry(path, 0o644, len(data), batch.put_bytes(data)) for path, data in contents.items()]
        )


def noise(seed: int, size: int = 300_000) -> bytes:
    return random.Random(seed).randbytes(size)


def pass_time(objects: Objects, seconds: float) -> None:
    """Let ``seconds`` pass for what is stored, condemned or in the trash."""
    import sqlite3

    for path in objects.folder.rglob("*.pack"):
        at = path.stat().st_mtime - seconds
        os.utime(path, (at, at))
    notes = objects.folder / "upkeep" / "notes.sqlite"
    if notes.exists():
        connection = sqlite3.connect(notes)
        with connection:
            connection.execute("UPDATE condemned SET at = at - ?", (seconds,))
        connection.close()


def swept(objects: Objects, roots: Roots, grace: float = 0.0) -> GarbageReport:
    """Collect twice, as the two passes ask, without a grace."""
    collect(objects, lambda: roots, grace, delete=True)
    return collect(objects, lambda: roots, grace, delete=True)


def test_a_rehearsal_changes_nothing(objects: Objects) -> None:
    kept = folder_of(objects, {"a": noise(1)})
    folder_of(objects, {"b": noise(2)})
    pass_time(objects, 10 * DAY)
    before = sorted(objects.folder.rglob("*.pack"))
    for _ in range(3):
        report = collect(objects, lambda: [(kept, True)])
        assert not report.done
        assert 300_000 < report.condemned < 310_000
        assert (report.due, report.freed, report.packs) == (0, 0, 0)
    assert sorted(objects.folder.rglob("*.pack")) == before


def test_what_nothing_needs_goes_after_its_grace_and_its_time_in_the_trash(objects: Objects) -> None:
    kept = folder_of(objects, {"a": noise(1), "deep/er/b": b"small"})
    gone = folder_of(objects, {"c": noise(2)})
    pass_time(objects, 10 * DAY)

    first = collect(objects, lambda: [(kept, True)], delete=True)
    assert (first.due, first.packs) == (0, 0)
    pass_time(objects, DAY / 2)
    assert collect(objects, lambda: [(kept, True)], delete=True).packs == 0
    assert not lacking(objects, [(gone, True)])

    pass_time(objects, DAY)
    third = collect(objects, lambda: [(kept, True)], delete=True)
    assert third.packs == 1
    assert third.freed > 300_000
    assert third.trash > 300_000
    assert third.emptied == 0
    assert gone in lacking(objects, [(gone, True)])
    assert not lacking(objects, [(kept, True)])
    assert {entry.path: objects.read(entry.digest) for entry in objects.tree(kept)} == {
        "a": noise(1),
        "deep/er/b": b"small",
    }

    pass_time(objects, DAY)
    last = collect(objects, lambda: [(kept, True)], delete=True)
    assert last.emptied > 300_000
    assert last.trash == 0
    assert not list((objects.folder / "trash").glob("*"))


def test_what_is_needed_again_is_pardoned(objects: Objects) -> None:
    tree = folder_of(objects, {"a": noise(1)})
    collect(objects, list, delete=True)
    pass_time(objects, DAY / 2)
    # for a moment something needed it
    collect(objects, lambda: [(tree, True)], delete=True)
    pass_time(objects, DAY)
    assert collect(objects, list, delete=True).packs == 0
    assert not lacking(objects, [(tree, True)])


def test_the_trash_can_be_emptied_back(objects: Objects) -> None:
    tree = folder_of(objects, {"a": noise(1)})
    swept(objects, [])
    assert lacking(objects, [(tree, True)])
    assert undo(objects) > 300_000
    assert not lacking(objects, [(tree, True)])
    assert objects.read(objects.tree(tree)[0].digest) == noise(1)


def test_a_pack_that_holds_little_else_is_rewritten(objects: Objects) -> None:
    with objects.batch() as batch:
        kept, *_ = [batch.put_bytes(noise(seed, 60_000)) for seed in range(4)]
    report = swept(objects, [(kept, False)])
    assert (report.packs, report.rewritten) == (1, 1)
    assert 60_000 < stored_bytes(Objects(objects.folder)) - report.trash < 70_000
    assert objects.read(kept) == noise(0, 60_000)


def test_a_pack_that_is_mostly_needed_stays_as_it_is(objects: Objects) -> None:
    with objects.batch() as batch:
        digests = [batch.put_bytes(noise(seed, 60_000)) for seed in range(4)]
    before = objects.index.packs()
    report = swept(objects, [(digest, False) for digest in digests[1:]])
    assert (report.packs, report.freed) == (0, 0)
    assert objects.index.packs() == before


def test_a_base_stays_as_long_as_its_delta(objects: Objects) -> None:
    older, _, _, newer, *_ = versions()
    digests = [objects.put_bytes(older), objects.put_bytes(newer)]
    assert compact(objects, [digests]).chunks > 10
    for path in (*objects.folder.glob("index.sqlite*"), *objects.folder.glob("upkeep/*")):
        path.unlink()
    again = Objects(objects.folder)
    swept(again, [(digests[1], False)])
    assert again.read(digests[1]) == newer
    assert not lacking(again, [(digests[1], False)])
    swept(again, [])
    assert lacking(again, [(digests[1], False)])
    assert stored_bytes(again) == sum(path.stat().st_size for path in (again.folder / "trash").glob("*"))


def test_a_clock_that_goes_backwards_makes_nothing_old(objects: Objects) -> None:
    folder_of(objects, {"a": noise(1)})
    collect(objects, list, delete=True)
    pass_time(objects, -30 * DAY)  # everything seems to be from the future
    assert collect(objects, list, delete=True).packs == 0


def test_a_commit_in_progress_holds_it_off(objects: Objects) -> None:
    objects.put_bytes(b"something")
    with objects.holding(), pytest.raises(Conflict, match="in use"):
        collect(objects, list, delete=True, wait=0.1)


def test_a_damaged_tree_means_that_nothing_is_deleted(objects: Objects) -> None:
    tree = folder_of(objects, {"deep/a": noise(1), "b": noise(2)})
    node = next(row[3] for row in objects.node(tree) if row[0] == "deep")
    place = objects.index.find(bytes.fromhex(node[3:]))
    assert place is not None
    path = next(objects.folder.rglob(f"{place.pack}.pack"))
    data = bytearray(path.read_bytes())
    data[place.offset + place.length - 1] ^= 1
    path.write_bytes(data)
    pass_time(objects, 10 * DAY)
    with pytest.raises(Damaged, match="nobody can tell"):
        swept(objects, [(tree, True)])
    assert collect(objects, lambda: [(tree, True)]).done is False


def test_roots_that_are_on_another_machine_do_not_matter(objects: Objects) -> None:
    kept = folder_of(objects, {"a": noise(1)})
    elsewhere = f"b3:{'0' * 64}"
    report = swept(objects, [(kept, True), (elsewhere, True)])
    assert report.absent == 1
    assert not lacking(objects, [(kept, True)])


def test_copies_of_what_nothing_needs_go_too(objects: Objects) -> None:
    kept = folder_of(objects, {"a": noise(1)})
    gone = folder_of(objects, {"b": noise(2)})
    copies = objects.folder / "copies"
    for tree in (kept, gone):
        file = objects.tree(tree)[0].digest[3:]
        for path in (copies / "files" / file[:2] / file, copies / tree[3:] / "folder" / "a"):
            path.parent.mkdir(parents=True)
            path.write_bytes(b"a copy")
    link = objects.folder / "linked"
    os.link(copies / "files" / objects.tree(gone)[0].digest[3:5] / objects.tree(gone)[0].digest[3:], link)
    collect(objects, lambda: [(kept, True)], delete=True)
    assert len([path for path in copies.rglob("*") if path.is_file()]) == 4
    swept(objects, [(kept, True)])
    left = {path.relative_to(copies).parts[-1] for path in copies.rglob("*") if path.is_file()}
    assert left == {objects.tree(kept)[0].digest[3:], "a"}
    assert not (copies / gone[3:]).exists()
    assert link.read_bytes() == b"a copy"


def test_an_empty_store_has_nothing_to_collect(objects: Objects) -> None:
    assert collect(objects, list, delete=True).stored == 0
    assert not objects.folder.exists()


# -- other processes


def _committing(folder: str, facts: str, step: Any, stepped: Any) -> None:
    """Commit a folder, waiting before each step: what each stores the other process might collect."""

    def at(name: str) -> None:
        stepped.put(name)
        step.get(timeout=60)

    objects = Objects(folder)
    at("begin")
    with objects.holding():
        at("locked")
        with objects.batch() as batch:
            at("batch")
            digest = batch.put_bytes(noise(1))
            at("bytes")
            tree = batch.put_tree([Entry("a", 0o644, 300_000, digest)])
            at("tree")
        at("stored")
        Path(facts).write_text(tree)
        at("fact")
    at("end")


def _start(target: Callable[..., None], *arguments: object) -> Any:
    process = multiprocessing.get_context("spawn").Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


@pytest.mark.parametrize("garbage", [False, True], ids=["new bytes", "bytes that were garbage"])
def test_collection_between_any_two_steps_of_a_commit_takes_nothing_from_it(
    objects: Objects, tmp_path: Path, garbage: bool
) -> None:
    facts = tmp_path / "fact"
    if garbage:
        folder_of(objects, {"old name": noise(1)})
        collect(objects, list, 0.0, delete=True)
    else:
        objects.put_bytes(b"a store that is there")
    context = multiprocessing.get_context("spawn")
    step, stepped = context.Queue(), context.Queue()
    process = context.Process(
        target=_committing, args=(str(objects.folder), str(facts), step, stepped), daemon=True
    )
    process.start()

    def roots() -> Roots:
        return [(facts.read_text(), True)] if facts.exists() else []

    refused = []
    names = ("begin", "locked", "batch", "bytes", "tree", "stored", "fact", "end")
    for name in names:
        assert stepped.get(timeout=60) == name
        try:
            for _ in range(3):
                collect(Objects(objects.folder), roots, 0.0, delete=True, wait=0.0)
        except Conflict:
            refused.append(name)
        step.put("go on")
    process.join(60)
    assert process.exitcode == 0
    assert refused == list(names[1:-1])
    again = Objects(objects.folder)
    for _ in range(3):
        collect(again, roots, 0.0, delete=True)
    assert again.read(again.tree(facts.read_text())[0].digest) == noise(1)


def _collecting(folder: str, kept: Roots, begun: Any) -> None:
    begun.set()
    while True:
        collect(Objects(folder), lambda: kept, 0.0, delete=True)


def _churning(folder: str, seed: int) -> None:
    """Leave garbage between what is kept, in packs that are rewritten."""
    objects = Objects(folder)
    for number in range(6):
        with objects.batch() as batch:
            for part in range(4):
                batch.put_bytes(noise(seed * 1000 + number * 10 + part, 40_000))


@pytest.mark.timeout(400)
def test_killed_anywhere_it_loses_nothing_that_is_needed(objects: Objects) -> None:
    tree = folder_of(objects, {f"file {number}": noise(number, 40_000) for number in range(8)})
    older, _, _, newer, *_ = versions()
    digests = [objects.put_bytes(older), objects.put_bytes(newer)]
    compact(objects, [digests])
    roots: Roots = [(tree, True), (digests[1], False)]
    context = multiprocessing.get_context("spawn")
    for number in range(10):
        _churning(str(objects.folder), number)
        begun = context.Event()
        process = context.Process(target=_collecting, args=(str(objects.folder), roots, begun), daemon=True)
        process.start()
        assert begun.wait(60)
        time.sleep(0.02 * number)
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join(60)
        again = Objects(objects.folder)
        assert [again.read(entry.digest) for entry in again.tree(tree)] == [
            noise(at, 40_000) for at in range(8)
        ]
        assert again.read(digests[1]) == newer
    again = Objects(objects.folder)
    for _ in range(3):
        report = collect(again, lambda: roots, 0.0, delete=True)
    assert report.trash == 0
    assert report.condemned < 0.67 * report.stored
    assert not lacking(again, roots)


def test_readers_go_on_while_packs_are_rewritten(objects: Objects) -> None:
    with objects.batch() as batch:
        kept, *_ = [batch.put_bytes(noise(seed, 1_000_000)) for seed in range(4)]
    reader = Objects(objects.folder)
    file = reader.open(kept)
    start = file.read(200_000)
    swept(objects, [(kept, False)])
    for path in (objects.folder / "trash").iterdir():
        path.unlink()
    assert start + file.read() == noise(0, 1_000_000)
    assert reader.read(kept) == noise(0, 1_000_000)
