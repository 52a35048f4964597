"""A process on a lifeline dies with its parent, descendants and all, whenever the parent is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from jupyter_mlops import lifeline

PARENT = """
import subprocess, sys, time
from jupyter_mlops import lifeline
child = lifeline.spawn([sys.executable, "-c", sys.argv[1]])
print(child.pid, flush=True)
time.sleep(600)
"""
SLEEPING_CHILD = """
import subprocess, sys, time
from jupyter_mlops import lifeline
lifeline.follow_parent()
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
time.sleep(600)
"""
# starts grandchildren without a pause, each in a session of its own and orphaned at once, as daemons do
BREEDING_CHILD = """
import subprocess, sys
ORPHAN = "import os, time; os.fork() and os._exit(0); os.setsid(); time.sleep(600)"
from jupyter_mlops import lifeline
lifeline.follow_parent()
while True:
    subprocess.Popen([sys.executable, "-S", "-c", ORPHAN])
"""
# never reads its standard input and holds on to SIGTERM
STUBBORN_CHILD = """
import signal, time
from jupyter_mlops import lifeline
lifeline.follow_parent()
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture
def tag() -> Iterator[str]:
    """A word in the environment of every process of one test, by which leftovers are found and removed."""
    word = uuid.uuid4().hex
    yield word
    lifeline.end_marked("TEST_TAG", [word])


def alive(tag: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("TEST_TAG") == tag and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def eventually(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def parent_of(child: str, tag: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", PARENT, child], stdout=subprocess.PIPE, env={**os.environ, "TEST_TAG": tag}
    )


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_killed_parent_takes_the_whole_family_along(size: int, tag: str) -> None:
    _kill_parent_when(SLEEPING_CHILD, size, tag)


@pytest.mark.parametrize("size", [4, 12])
def test_a_child_that_starts_processes_without_a_pause_leaves_none(size: int, tag: str) -> None:
    _kill_parent_when(BREEDING_CHILD, size, tag)


def _kill_parent_when(child: str, size: int, tag: str) -> None:
    with parent_of(child, tag) as parent:
        try:
            eventually(lambda: len(alive(tag)) >= size)
        finally:
            parent.kill()
    eventually(lambda: not alive(tag))


def test_a_parent_that_ends_by_itself_takes_the_family_along(tag: str) -> None:
    code = PARENT.replace("time.sleep(600)", "time.sleep(0.5)")
    with subprocess.Popen(
        [sys.executable, "-c", code, SLEEPING_CHILD],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TEST_TAG": tag},
    ) as parent:
        assert parent.wait() == 0
        eventually(lambda: not alive(tag))


def test_end_asks_first_and_then_ends_the_stubborn(tmp_path: Path, tag: str) -> None:
    log = tmp_path / "log"
    with log.open("wb") as output:
        child = lifeline.spawn(
            [sys.executable, "-c", STUBBORN_CHILD], stdout=output, env={**os.environ, "TEST_TAG": tag}
        )
    eventually(lambda: b"ready" in log.read_bytes())
    assert lifeline.end(child, grace=0.1) == -signal.SIGKILL
    assert not alive(tag)


def test_end_finds_descendants_of_a_child_that_was_killed(tag: str) -> None:
    child = lifeline.spawn([sys.executable, "-c", SLEEPING_CHILD], env={**os.environ, "TEST_TAG": tag})
    eventually(lambda: len(alive(tag)) == 2)
    child.kill()
    child.wait()
    assert len(alive(tag)) == 1
    lifeline.end(child, grace=0)
    eventually(lambda: not alive(tag))


def test_the_pipe_of_another_program_is_no_lifeline(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "from jupyter_mlops import lifeline; lifeline.follow_parent(); import sys; print(sys.stdin.read())"
    inherited = {**os.environ, lifeline.VARIABLE: f"mark:{os.getpid()}:1"}
    for environment in (os.environ, inherited):
        answer = subprocess.run(
            [sys.executable, "-c", code], input=b"hello", capture_output=True, env=environment, check=True
        )
        assert answer.stdout == b"hello\n"


def test_nothing_is_marked_by_no_value() -> None:
    assert lifeline.end_marked("PATH", []) == 0
