"""The lifeline: a child process dies with its parent, whatever ends that. Used by runs, ``up`` and ``demo``.

The child's standard input is a pipe whose other end only the parent holds. When the parent is gone, even by
``kill -9``, the system closes that end, and a thread of the child sees it. The child then has itself and all
its descendants ended from outside, frozen first: a process that kills its own children can start another one
between looking and dying.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import select
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

import psutil

VARIABLE = "MLOPS_LIFELINE"
_SUBREAPER = 36


class Follower(subprocess.Popen[bytes]):
    """A process that follows this one into death. Keep it: when it is dropped, its lifeline is cut."""

    def __init__(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        cwd: str | Path | None,
        stdout: int | IO[bytes],
        stderr: int | IO[bytes],
    ) -> None:
        reading, writing = os.pipe()
        self.line = os.fdopen(writing, "wb", buffering=0)
        # every descendant inherits the mark, so that those which left the family can be found; the number of
        # the pipe tells the child itself from descendants that only inherited the mark
        self.mark = secrets.token_hex(16)
        marked = {**env, VARIABLE: f"{self.mark}:{os.getpid()}:{os.fstat(reading).st_ino}"}
        try:
            super().__init__(
                list(argv),
                stdin=reading,
                stdout=stdout,
                stderr=stderr,
                cwd=cwd,
                env=marked,
                start_new_session=True,
            )
        except BaseException:
            self.line.close()
            raise
        finally:
            os.close(reading)


def spawn(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: str | Path | None = None,
    stdout: int | IO[bytes] = subprocess.DEVNULL,
    stderr: int | IO[bytes] = subprocess.DEVNULL,
) -> Follower:
    """Start a process that dies with this one, with its descendants, if its ``main`` calls ``follow_parent``.

    It runs in a session of its own: a Ctrl-C typed at the terminal reaches this process only.
    """
    return Follower(argv, os.environ if env is None else env, cwd, stdout, stderr)


def follow_parent() -> None:
    """Die with the parent from now on: the first line of a child's ``main``. No lifeline, no effect."""
    mark, _, rest = os.environ.get(VARIABLE, "").partition(":")
    parent, _, pipe = rest.partition(":")
    standard_input = os.fstat(0)
    if not pipe or not stat.S_ISFIFO(standard_input.st_mode) or standard_input.st_ino != int(pipe):
        return
    line = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    threading.Thread(target=_watch, args=(line, int(parent), mark), name="lifeline", daemon=True).start()


def end(process: subprocess.Popen[bytes], grace: float = 5.0) -> int:
    """End ``process`` with its descendants, after ``grace`` seconds to heed SIGTERM; return its status."""
    if grace and process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace)
    mark = process.mark if isinstance(process, Follower) else ""
    _end_family(process.pid if process.poll() is None else None, mark)
    status = process.wait()
    if isinstance(process, Follower):
        process.line.close()
    return status


def adopt_orphans() -> None:
    """Become the parent of whatever descendants leave behind, so that ``end_descendants`` finds it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


def end_descendants() -> int:
    """Kill all that this process started and adopted; return how many processes that were."""
    return _end_family(os.getpid(), "")


def end_marked(variable: str, values: Iterable[str]) -> int:
    """Kill this user's processes in whose environment ``variable`` has one of ``values``; return how many."""
    wanted = set(values)
    return _freeze_and_kill(lambda: _carrying(variable, lambda value: value in wanted)) if wanted else 0


def _watch(line: int, parent: int, mark: str) -> None:
    while os.getppid() == parent:
        readable, _, _ = select.select([line], [], [], 1.0)
        if readable and not os.read(line, 64):
            break
    try:
        # from outside, as this process is to be frozen; by path, as its folder may hold a psutil.py
        subprocess.Popen(
            [sys.executable, "-P", __file__, str(os.getpid()), mark],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={name: value for name, value in os.environ.items() if name != VARIABLE},
            start_new_session=True,
        )
        time.sleep(10)
    finally:
        for process in _family(os.getpid(), mark):
            with contextlib.suppress(psutil.Error):
                process.kill()
        os.kill(os.getpid(), signal.SIGKILL)


def _end_family(pid: int | None, mark: str) -> int:
    return _freeze_and_kill(lambda: _family(pid, mark))


def _freeze_and_kill(find: Callable[[], set[psutil.Process]]) -> int:
    """Stop what ``find`` finds until it twice finds nothing new, then kill: the stopped cannot fork."""
    frozen: set[psutil.Process] = set()
    quiet = 0
    while quiet < 2:
        fresh = find() - frozen
        quiet = 0 if fresh else quiet + 1
        for process in fresh:
            with contextlib.suppress(psutil.Error):
                process.suspend()
        frozen |= fresh
    for process in frozen:
        with contextlib.suppress(psutil.Error):
            process.kill()
    return len(frozen)


def _family(pid: int | None, mark: str) -> set[psutil.Process]:
    found: set[psutil.Process] = set()
    if mark:
        found |= _carrying(VARIABLE, lambda value: value.partition(":")[0] == mark)
    if pid is not None:
        with contextlib.suppress(psutil.Error):
            root = psutil.Process(pid)
            found |= {root, *root.children(recursive=True)}
    return {process for process in found if process.pid != os.getpid()}


def _carrying(variable: str, matches: Callable[[str], bool]) -> set[psutil.Process]:
    found = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            value = process.environ().get(variable)
            if value is not None and matches(value) and process.pid != os.getpid():
                found.add(process)
    return found


if __name__ == "__main__":
    _end_family(int(sys.argv[1]), sys.argv[2])
