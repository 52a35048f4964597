"""Several processes and one dataset: every commit lands, with a number of its own."""

from __future__ import annotations

import threading

from jupyter_mlops.objects import Objects

from .conftest import MakeRoot
from .laboratory import Laboratory, Outcome
from .stories import check, opened, piece

WRITERS, PIECES = 3, 8


def test_commits_of_several_processes_at_once_all_land(make_root: MakeRoot) -> None:
    root = make_root()
    outcomes: dict[int, Outcome] = {}

    def work(writer: int) -> None:
        with Laboratory(None) as laboratory:
            ready.wait()
            outcomes[writer] = laboratory.run("pieces", root, given={"writer": writer, "pieces": PIECES})

    ready = threading.Barrier(WRITERS)
    threads = [threading.Thread(target=work, args=(writer,)) for writer in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [outcomes[writer].status for writer in range(WRITERS)] == [0] * WRITERS, outcomes
    told = [line for outcome in outcomes.values() for line in outcome.told]
    with opened(root) as project:
        versions = project.datasets.versions("pieces")
        assert [version.number for version in versions] == list(range(WRITERS * PIECES, 0, -1))
        by_ref = {version.ref: version for version in versions}
        for line in told:
            _, ref, writer, number = line.split()
            path = by_ref[ref].load("path")
            assert path.read_bytes() == piece(int(writer), int(number)), line
    check(root, [])


def test_a_commit_during_kills_of_another_lands(plain_laboratory: Laboratory, make_root: MakeRoot) -> None:
    root = make_root()
    stop = threading.Event()

    def die_again_and_again() -> None:
        with Laboratory(None) as victim:
            while not stop.is_set():
                victim.run("pieces", root, given={"writer": 9, "pieces": 50}, acks=1, after=0.01)

    thread = threading.Thread(target=die_again_and_again)
    thread.start()
    try:
        told = [line for _ in range(4) for line in plain_laboratory.run("commit", root).told]
    finally:
        stop.set()
        thread.join()
    assert [line.split()[0] for line in told] == ["ack"] * 8, told
    check(root, told)


def test_the_same_bytes_stored_by_two_at_once_are_there_once(make_root: MakeRoot) -> None:
    root = make_root()
    ready = threading.Barrier(2)
    outcomes: list[Outcome] = []

    def work() -> None:
        with Laboratory(None) as laboratory:
            ready.wait()
            outcomes.append(laboratory.run("pieces", root, given={"writer": 1, "pieces": 3}))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [outcome.status for outcome in outcomes] == [0, 0], outcomes
    with opened(root) as project:
        for version in project.datasets.versions("pieces"):
            assert version.load("path").read_bytes() in {piece(1, number) for number in range(3)}
        assert isinstance(project.objects, Objects)
    check(root, [])
