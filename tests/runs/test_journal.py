"""Metric points: what a call returned for is there, once, whoever is killed, forks, reads or fills a disk."""

from __future__ import annotations

import math
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jupyter_mlops.errors import Conflict
from jupyter_mlops.project import Project, open_project
from jupyter_mlops.runs.points import Points
from jupyter_mlops.runs.tracking.pen import IS_NAME, IS_POINT, NAME, POINT, RECORD

from .conftest import eventually

KILLS = int(os.environ.get("FAULTS_KILLS", "8"))
SEED = int(os.environ.get("FAULTS_SEED", random.randrange(10**6)))
LOGS_ON = """
import sys
from jupyter_mlops.errors import Conflict
from jupyter_mlops.project import open_project
project = open_project(sys.argv[1], "ann@example.com")
most = int(sys.argv[2])
with project.runs.start("tries") as run:
    print(run.id, flush=True)
    count = 0
    try:
        while count < most:
            run.log_metric("count", count)
            count += 1
            if count % 3 == 0:
                run.log_metrics({"a": count, "b": -count})
            if count % 50 == 0:
                print(count, flush=True)
    except Conflict:
        pass
    print(count, flush=True)
"""


@contextmanager
def logging_child(project: Project, most: int = 10**9) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Start a process that logs 0, 1, 2, … as ``count`` of a run; it prints how many calls have returned."""
    command = [sys.executable, "-c", LOGS_ON, str(project.root), str(most)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip(), process
        finally:
            process.kill()


def told(process: subprocess.Popen[str]) -> int:
    """Return the last number that a process printed whole before it ended."""
    assert process.stdout is not None
    return max([0, *(int(line) for line in process.stdout.read().split("\n")[:-1])])


def values(project: Project, id: str, metric: str = "count") -> list[float]:
    return [point.value for point in project.runs.get(id).history(metric)]


def journals(project: Project, id: str) -> list[Path]:
    return sorted((project.state / "runs-journal").glob(f"{id}.*"))


def test_any_number_at_any_step_comes_back_in_the_order_of_logging(project: Project) -> None:
    odd = [0.1, math.inf, -math.inf, 5e-324, 1.7976931348623157e308, -0.0]
    with project.runs.start("tries") as run:
        run.log_metric("alone", 7, step=-3)
        for value in odd:
            run.log_metric("odd", value)
        run.log_metric("odd", math.nan)
        for step in (5, -2, 2**63 - 1, 5):
            run.log_metric("steps", step, step)
        run.log_metric("steps", 0)
        run.log_metric("late", 1)
        assert [point.value for point in run.history("odd")][:6] == odd
        run.log_metric("late", 2, 10)
        run.log_metric("late", 3)
    assert [(point.step, point.value) for point in run.history("alone")] == [(-3, 7)]
    history = project.runs.get(run.id).history("odd")
    assert [point.value for point in history[:6]] == odd
    assert math.copysign(1, history[5].value) == -1
    assert math.isnan(history[6].value)
    assert [point.step for point in history] == list(range(7))
    assert [point.step for point in run.history("steps")] == [5, -2, 2**63 - 1, 5, 6]
    assert [(point.step, point.value) for point in run.history("late")] == [(0, 1), (10, 2), (11, 3)]
    assert math.isnan(run.metrics["odd"])
    assert run.started_at is not None
    assert all(run.started_at <= point.at <= str(run.ended_at) for point in history)
    assert not journals(project, run.id)


def test_a_long_history_is_whole_and_its_thinned_form_keeps_extremes(project: Project) -> None:
    with project.runs.start("tries") as run:
        for number in range(30_000):
            run.log_metric("wave", math.nan if number == 0 else math.sin(number / 500))
            if number == 20_000:
                run.log_metric("wave", 99.0)
                assert len(run.history("wave")) == 20_002
    whole = run.history("wave")
    assert len(whole) == 30_001
    assert [point.step for point in whole] == list(range(30_001))
    thin = run.history("wave", points=500)
    assert 100 < len(thin) <= 500
    assert set(map(str, thin)) <= set(map(str, whole))
    assert [point.step for point in thin] == sorted(point.step for point in thin)
    assert (thin[0].step, thin[-1].step) == (0, 30_000)
    finite = [point.value for point in whole if point.value == point.value]
    assert max(point.value for point in thin if point.value == point.value) == 99.0
    assert min(point.value for point in thin if point.value == point.value) == min(finite)
    assert str(run.history("wave", points=10**6)) == str(whole)


def test_thinning_copes_with_any_course() -> None:
    flat = Points()
    for number in range(1000):
        flat.append(number, 1.0, 0.0)
    assert len(flat.thinned(10)) <= 10
    assert len(flat.thinned(0)) >= 2
    nothing = Points()
    for number in range(1000):
        nothing.append(number, math.nan, 0.0)
    assert 2 <= len(nothing.thinned(10)) <= 10
    assert Points.unpack(flat.pack()).listed() == flat.listed()
    assert not Points().thinned(10)


def test_many_threads_lose_nothing_and_keep_their_own_order(make_project) -> None:
    project = make_project()
    with project.runs.start("tries") as run:

        def log(number: int) -> None:
            for count in range(2_000):
                run.log_metric("shared", number * 10_000 + count)

        threads = [threading.Thread(target=log, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    seen = [int(point.value) for point in run.history("shared")]
    assert len(seen) == 16_000
    for number in range(8):
        assert [value % 10_000 for value in seen if value // 10_000 == number] == list(range(2_000))
    assert [point.step for point in run.history("shared")] == list(range(16_000))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_children_log_to_the_same_run(project: Project) -> None:
    forking = multiprocessing.get_context("fork")
    stop = threading.Event()
    with project.runs.start("tries") as run:
        run.log_metric("parent", 0)

        def busy() -> None:  # a fork in the middle of a call must not leave a lock behind
            while not stop.is_set():
                run.log_metric("busy", 1)

        def child(number: int) -> None:
            for count in range(500):
                run.log_metric(f"child{number}", count)
                run.log_metric("both", number)
            run.set_tags({f"tag{number}": "set"})

        thread = threading.Thread(target=busy)
        thread.start()
        children = [forking.Process(target=child, args=(number,)) for number in range(4)]
        for process in children:
            process.start()
        for process in children:
            process.join(60)
        stop.set()
        thread.join()
        run.log_metric("parent", 1)
    assert [process.exitcode for process in children] == [0] * 4
    for number in range(4):
        assert values(project, run.id, f"child{number}") == list(range(500))
    assert len(run.history("both")) == 2_000
    assert [point.step for point in run.history("both")] == list(range(2_000))
    assert values(project, run.id, "parent") == [0, 1]
    assert run.tags == {f"tag{number}": "set" for number in range(4)}
    assert run.status == "finished"


FORKS = """
import os, sys, time
from jupyter_mlops.project import open_project
project = open_project(sys.argv[1], "ann@example.com")
with project.runs.start("tries") as run:
    child = os.fork()
    if child == 0:
        if sys.argv[2] == "leave":
            sys.exit()
        run.log_metric("child", 1)
        print(os.getpid(), run.id, flush=True)
        time.sleep(600)
    if sys.argv[2] == "leave":
        os.waitpid(child, 0)
        assert project.runs.get(run.id).status == "running"
        print(run.id, flush=True)
    time.sleep(600 if sys.argv[2] == "stay" else 0)
"""


def test_a_child_that_leaves_the_block_does_not_end_the_run(make_project) -> None:
    project = make_project()
    done = subprocess.run(
        [sys.executable, "-c", FORKS, str(project.root), "leave"], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert project.runs.get(done.stdout.strip()).status == "finished"


def test_a_run_is_over_with_its_process_though_a_child_of_it_lives_on(make_project) -> None:
    project = make_project()
    command = [sys.executable, "-c", FORKS, str(project.root), "stay"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child, id = process.stdout.readline().split()
        try:
            assert project.runs.get(id).status == "running"
            process.kill()
            eventually(lambda: project.runs.get(id).status == "failed", 10)
            assert values(project, id, "child") == [1]
        finally:
            os.kill(int(child), signal.SIGKILL)


def test_what_was_logged_survives_kill_minus_nine(project: Project) -> None:
    chance = random.Random(SEED)
    print(f"FAULTS_SEED={SEED}")
    for number in range(KILLS):
        with logging_child(project) as (id, process):
            time.sleep(chance.uniform(0, 0.3))
            if number % 2:  # what is taken before the kill is not taken again
                assert project.runs.get(id).status == "running"
            process.kill()
            acknowledged = told(process)
        run = eventually(lambda id=id: (run := project.runs.get(id)).ended and run, 10)
        assert run.status == "failed"
        assert project.runs.settle() == 1
        for _ in range(2):
            found = values(project, id) if "count" in project.runs.get(id).metrics else []
            assert found == list(range(len(found)))
            assert len(found) >= acknowledged
            project.runs.settle()
        assert not journals(project, id)


def test_ten_processes_share_a_project(project: Project) -> None:
    children = [logging_child(project, 1_000) for _ in range(10)]
    entered = [child.__enter__() for child in children]
    try:
        for id, process in entered:
            assert told(process) == 1_000
            assert process.wait() == 0
            assert values(project, id) == list(range(1_000))
            assert values(project, id, "b")[-1] == -999
    finally:
        for child in children:
            child.__exit__(None, None, None)
    assert {run.status for run in project.runs.search()} == {"finished"}
    assert project.audit.verify().ok


READS_ON = """
import sys
from jupyter_mlops.project import open_project
project = open_project(sys.argv[1], "ann@example.com")
while (run := project.runs.get(sys.argv[2])).status == "running":
    if "count" in run.metrics:
        values = [point.value for point in run.history("count")]
        assert values == list(range(len(values))), values[-5:]
"""


def test_points_are_taken_once_however_many_take_them(project: Project) -> None:
    with logging_child(project, 20_000) as (id, process):
        command = [sys.executable, "-c", READS_ON, str(project.root), id]
        readers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
        said = [reader.communicate()[1] for reader in readers]
        assert told(process) == 20_000
    assert (said, [reader.returncode for reader in readers]) == ([""] * 3, [0] * 3)
    assert values(project, id) == list(range(20_000))
    assert [point.step for point in project.runs.get(id).history("count")] == list(range(20_000))


def test_others_see_points_while_the_run_goes_on(project: Project, as_actor, tmp_path: Path) -> None:
    dee = as_actor(project, "dee@example.com")
    with logging_child(project) as (id, process):
        seen = eventually(lambda: len(values(dee, id)) if "count" in dee.runs.get(id).metrics else 0)
        eventually(lambda: len(values(dee, id)) > seen)
        assert dee.runs.search("metrics.count > 0")[0].id == id
        if project.store.shared:  # another working copy of the same project, as on another machine
            elsewhere = tmp_path / "elsewhere"
            elsewhere.mkdir()
            shutil.copy(project.root / "mlops.toml", elsewhere)
            with open_project(elsewhere, "dee@example.com") as far:
                seen = len(values(far, id))
                eventually(lambda: len(values(far, id)) > seen, 20)
        process.kill()


def test_whoever_stops_a_run_is_noticed_and_nothing_that_returned_is_lost(project: Project) -> None:
    for _ in range(3):
        with logging_child(project) as (id, process):
            eventually(lambda id=id: project.runs.get(id).metrics.get("count", 0) > 100)
            project.runs.stop(id, reason="enough")
            returned = told(process)
            assert process.wait() == 0
        found = values(project, id)
        assert found[:returned] == list(range(returned))
        assert len(found) - returned <= 1  # the call that met the end
        assert project.runs.get(id).status == "stopped"


def test_an_end_that_did_not_come_about_ends_nothing(project: Project, monkeypatch) -> None:
    with project.runs.start("tries") as run:
        run.log_metric("count", 0)

        def broken(*_: object, **__: object) -> None:
            raise RuntimeError("in the middle of the transaction")

        with monkeypatch.context() as patched:
            patched.setattr("jupyter_mlops.store.store.Transaction.event", broken)
            with pytest.raises(RuntimeError, match="in the middle"):
                project.runs.stop(run.id)
        run.log_metric("count", 1)
        run.log_metric("count", 2)
    assert run.status == "finished"
    assert values(project, run.id) == [0, 1, 2]


def test_a_torn_end_and_a_page_that_power_loss_emptied_cost_no_other_point(make_project) -> None:
    project = make_project()
    with logging_child(project, 200_000) as (id, process):
        eventually(lambda: journals(project, id) and journals(project, id)[0].stat().st_size > 60 * RECORD)
        os.kill(process.pid, signal.SIGSTOP)
        process.kill()
    file = journals(project, id)[0]
    data = bytearray(file.read_bytes())
    count = len(data) // RECORD
    data[40 * RECORD : 50 * RECORD] = bytes(10 * RECORD)
    file.write_bytes(bytes(data) + b"\x74\x70torn")
    project.runs.settle()
    found = [value for name in ("count", "a", "b") for value in values(project, id, name)]
    assert len(found) == count - 10 - 4  # the head of the file, and the names of three metrics
    counts = values(project, id)
    assert counts == sorted(counts)
    assert counts[:10] == list(range(10))


FILLS_THE_DISK = """
import os, sys
from pathlib import Path
from jupyter_mlops.errors import StoreFailed
from jupyter_mlops.project import init_project
disk = Path(sys.argv[1])
project = init_project(disk / "project", "ann@example.com")
told = []
with project.runs.start("tries") as run:
    run.log_metric("count", 0)
    count = 1
    room = (os.statvfs(disk).f_bavail - 3) * os.statvfs(disk).f_frsize
    with open(disk / "filler", "wb") as filler:
        os.posix_fallocate(filler.fileno(), 0, room)
    while len(told) < 3:
        try:
            run.log_metrics({"count": count, f"name{count % 2000}": 1} if len(told) % 2 else {"count": count})
            count += 1
        except StoreFailed as error:
            told.append(str(error))
    assert all("the disk is full" in text and "free some space" in text for text in told), told
    (disk / "filler").unlink()
    run.log_metric("count", count)
values = [point.value for point in run.history("count")]
assert values == list(range(count + 1)), values
assert count > 50, count
print(run.status, count)
"""


@pytest.mark.parametrize("number", range(2))
def test_a_full_disk_is_told_and_what_was_logged_is_kept(tmp_path: Path, number: int) -> None:
    alone = ["unshare", "--mount"] + ([] if os.geteuid() == 0 else ["--map-root-user"])
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "metrics", str(disk)]
    if shutil.which("unshare") is None or subprocess.run([*alone, *mount], capture_output=True).returncode:
        pytest.skip("a small disk cannot be made here")
    script = tmp_path / "fills.py"
    script.write_text(FILLS_THE_DISK)
    line = f'{" ".join(mount)} && exec "{sys.executable}" "{script}" "{disk}"'
    done = subprocess.run([*alone, "sh", "-c", line], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("finished")


def test_points_of_earlier_versions_are_read_and_go_on(project: Project) -> None:
    with project.runs.start("tries") as run:
        with project.store.bookkeeping() as tx:
            for position, value in enumerate((3.0, None)):
                at = f"2026-01-01T00:00:0{position}.000000Z"
                row = {"run": run.id, "name": "loss", "step": position, "value": value}
                tx.insert("metric_points", position=position, at=at, **row)
            tx.insert("run_metrics", run=run.id, name="loss", value=None, step=1, points=2)
        before = project.runs.get(run.id).history("loss")
        assert [(point.step, str(point.value), point.at[:19]) for point in before] == [
            (0, "3.0", "2026-01-01T00:00:00"),
            (1, "nan", "2026-01-01T00:00:01"),
        ]
        run.log_metric("loss", 1)
        run.log_metric("loss", 0.5)
    assert [(point.step, str(point.value)) for point in run.history("loss")] == [
        (0, "3.0"),
        (1, "nan"),
        (2, "1.0"),
        (3, "0.5"),
    ]


def test_a_clock_that_is_set_back_changes_no_order(make_project) -> None:
    from datetime import UTC, datetime, timedelta

    now = [datetime(2026, 1, 1, tzinfo=UTC)]
    project = make_project(clock=lambda: now[0])
    with project.runs.start("tries") as run:
        for number in range(10):
            now[0] -= timedelta(hours=1)
            run.log_metric("count", number)
    assert values(project, run.id) == list(range(10))
    assert [point.step for point in run.history("count")] == list(range(10))


def test_nothing_is_logged_to_a_run_that_has_ended(make_project) -> None:
    project = make_project()
    with project.runs.start("tries") as run:
        run.log_metric("count", 1)
        other = project.runs.attach(run.id)
        other.log_metric("count", 2)
    for late in (run, other):
        with pytest.raises(Conflict, match=f"run {run.id} is finished"):
            late.log_metric("count", 3)
        with pytest.raises(Conflict, match=f"run {run.id} is finished"):
            late.log_metrics({"new": 3})
    other.close()
    project.runs.settle()
    assert values(project, run.id) == [1, 2]
    assert set(project.runs.get(run.id).metrics) == {"count"}


def _records_with_a_name(name: bytes, length: int | None = None) -> bytes:
    """A name and a point of it, as a pen writes them for the second metric of a run."""
    text = NAME.pack(IS_NAME, len(name) if length is None else length, 1) + name
    point = POINT.pack(IS_POINT, 0, 1, 0, 2.0, 1e9)
    return text + bytes(-len(text) % RECORD) + point


@pytest.mark.parametrize(
    ("damage", "metrics"),
    [
        (_records_with_a_name(b"\xff\xfe"), {"a": 3, "\\xff\\xfe": 2}),
        (_records_with_a_name(b"b\0c"), {"a": 3, "b\\x00c": 2}),
        (_records_with_a_name(b"b", 60_000), {"a": 3}),
        (POINT.pack(IS_POINT, 0, 0, 0, 2.0, math.nan), {"a": 3}),
        (b"\xff" * RECORD, {"a": 3}),
    ],
    ids=["name", "NUL", "length", "moment", "record"],
)
def test_a_damaged_journal_is_told_kept_and_costs_no_other_point(
    make_project, damage: bytes, metrics: dict[str, float]
) -> None:
    project = make_project()
    with project.runs.start("tries") as run:
        run.log_metric("a", 1)
        run.log_metric("a", 3)
        (file,) = journals(project, run.id)
        data = file.read_bytes()
        file.write_bytes(data[:-RECORD] + damage + data[-RECORD:])
        assert project.runs.get(run.id).metrics == metrics
        with project.runs.start("others") as other:
            other.log_metric("a", 1)
        assert project.runs.get(other.id).note == ""
    found = project.runs.get(run.id)
    assert (found.status, found.metrics) == ("finished", metrics)
    assert found.note == (
        f"metrics may be missing: {file.name} was damaged, and is kept in .mlops/runs-damaged"
    )
    assert damage in (project.state / "runs-damaged" / file.name).read_bytes()
    assert journals(project, run.id) == []


def test_a_file_or_folder_in_the_way_of_journals_stops_nothing(make_project) -> None:
    project = make_project()
    folder = project.state / "runs-journal"
    folder.rmdir() if folder.exists() else None
    folder.write_text("somebody's")
    with project.runs.start("tries") as run:
        run.log_metric("a", 1)
        (folder / f"{run.id}.folder").mkdir()
        assert project.runs.get(run.id).metrics == {"a": 1}
    assert project.runs.get(run.id).metrics == {"a": 1}
    (aside,) = project.state.glob("runs-journal.*.damaged")
    assert aside.read_text() == "somebody's"


@pytest.mark.parametrize("more", [0, 1])
def test_a_journal_that_is_deleted_under_a_run_is_written_again(make_project, more: int) -> None:
    project = make_project()
    with project.runs.start("tries") as run:
        run.log_metric("count", 0)
        assert values(project, run.id) == [0]
        run.log_metric("count", 1)
        shutil.rmtree(project.state / "runs-journal")
        for number in range(more):
            run.log_metric("count", 2 + number)
    assert (run.status, run.note) == ("finished", "")
    assert values(project, run.id) == list(range(2 + more))


def test_a_journal_that_is_emptied_under_a_run_is_told_and_the_run_goes_on(make_project) -> None:
    project = make_project()
    with project.runs.start("tries") as run:
        run.log_metric("count", 0)
        (file,) = journals(project, run.id)
        os.truncate(file, 0)
        run.log_metric("count", 1)
        run.log_metrics({"count": 2, "other": 5})
    assert run.metrics == {"count": 2, "other": 5}
    assert values(project, run.id) == [1, 2]
    assert run.note.startswith(f"metrics may be missing: {file.name} was damaged")


def test_a_journal_that_is_emptied_before_its_run_ends_is_told(make_project) -> None:
    project = make_project()
    with project.runs.start("tries") as run:
        run.log_metric("count", 0)
        os.truncate(journals(project, run.id)[0], 0)
    assert run.note.startswith("metrics may be missing: ")


def test_a_stopped_run_leaves_no_journal(make_project) -> None:
    project = make_project()
    with project.runs.start("tries") as run:
        run.log_metric("count", 0)
        project.runs.stop(run.id)
        assert journals(project, run.id) == []
        with pytest.raises(Conflict, match="is stopped"):
            run.log_metric("count", 1)
    assert values(project, run.id) == [0]
