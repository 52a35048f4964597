"""Commits, reads, compaction and collection at once, from several processes: nobody sees anything wrong."""

from __future__ import annotations

import multiprocessing
import random
import time
import traceback
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlops.errors import Conflict, Damaged
from jupyter_mlops.objects import Entry, Objects
from jupyter_mlops.objects.upkeep.collect import collect
from jupyter_mlops.objects.upkeep.compact import compact
from jupyter_mlops.objects.upkeep.verify import Version, verify

from .test_delta import relabelled, table

ENOUGH, SECONDS = 8, 60.0
ROWS = 6_000


def content(number: int) -> bytes:
    """Return what version ``number`` is, which every process can tell by itself."""
    return "".join(relabelled(table(ROWS), 50 + number)).encode()


def facts(folder: Path) -> list[tuple[int, str]]:
    """Return the versions that are facts: number and tree."""
    return sorted((int(path.name), path.read_text()) for path in folder.glob("[0-9]*"))


def _commits(objects: Objects, folder: Path, turn: int, worker: int) -> None:
    number = turn * 10 + worker
    with objects.holding():
        with objects.batch() as batch:
            data = content(number)
            tree = batch.put_tree([Entry("table.csv", 0o644, len(data), batch.put_bytes(data))])
        temporary = folder / f".{number}"
        temporary.write_text(tree)
        temporary.rename(folder / str(number))
    if turn % 3 == 2:  # and somebody removes one
        (folder / str(number)).unlink()


def _reads(objects: Objects, folder: Path, turn: int, worker: int) -> None:
    known = facts(folder)
    if known:
        number, tree = random.Random(turn).choice(known)
        try:
            assert objects.read(objects.tree(tree)[0].digest) == content(number)
        except Damaged:
            if (folder / str(number)).exists():
                raise  # else it was removed, and what nobody needs may go


def _compacts(objects: Objects, folder: Path, turn: int, worker: int) -> None:
    compact(objects, [], [[tree for _, tree in facts(folder)]])


def _collects(objects: Objects, folder: Path, turn: int, worker: int) -> None:
    collect(objects, lambda: [(tree, True) for _, tree in facts(folder)], 0.0, delete=True, wait=5.0)


def _verifies(objects: Objects, folder: Path, turn: int, worker: int) -> None:
    with objects.holding():
        report = verify(objects, [Version(str(n), tree, True) for n, tree in facts(folder)], repair=False)
    assert report.passed, report.to_dict()


WORK = {
    "commits": _commits,
    "reads": _reads,
    "compacts": _compacts,
    "collects": _collects,
    "verifies": _verifies,
}


def _work(kind: str, worker: int, store: str, folder: str, said: Any) -> None:
    end = time.monotonic() + SECONDS
    turn = done = 0
    try:
        while done < ENOUGH and time.monotonic() < end:
            # each turn a fresh process's view of things, as commands have
            objects = Objects(store)
            try:
                WORK[kind](objects, Path(folder), turn, worker)
                done += 1
            except Conflict:
                pass
            time.sleep(0.05)  # so that each gets its turn at the locks
            turn += 1
        said.put((kind, done, ""))
    except BaseException:
        said.put((kind, done, traceback.format_exc()))


@pytest.mark.timeout(300)
def test_everybody_at_once(tmp_path: Path) -> None:
    store, folder = tmp_path / "objects", tmp_path / "facts"
    folder.mkdir()
    context = multiprocessing.get_context("spawn")
    said = context.Queue()
    kinds = ["commits", "commits", "reads", "compacts", "collects", "verifies"]
    processes = [
        context.Process(target=_work, args=(kind, worker, str(store), str(folder), said), daemon=True)
        for worker, kind in enumerate(kinds)
    ]
    for process in processes:
        process.start()
    told = [said.get(timeout=200) for _ in processes]
    for process in processes:
        process.join(60)
    assert [trace for _, _, trace in told if trace] == []
    assert all(done > 1 for _, done, _ in told), told
    objects = Objects(store)
    known = facts(folder)
    assert len(known) > 2
    for number, tree in known:
        assert objects.read(objects.tree(tree)[0].digest) == content(number)
    assert verify(objects, [Version(str(number), tree, True) for number, tree in known]).passed
