"""The local executor: runs notebooks in processes of this machine. Used by sweeps unless told otherwise."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .. import lifeline
from .capture import imported_sources
from .child import EXECUTED, INPUT, REQUEST, RESULT
from .executor import Outcome, Task
from .imports import Imported, collected, laid_out
from .liveness import Liveness
from .plain import clean
from .run import RunError

_BETWEEN_LOOKS = 0.1
_LOG_LINES = 15
_TO_SAVE = 10.0


class LocalExecutor:
    """Executes runs in processes that die with this one.

    ``run`` is called by several threads at a time, ``prepare`` and ``close`` by one.
    """

    name = "local"

    def __init__(self, root: Path, state: Path, actor: str, liveness: Liveness) -> None:
        self._root = root
        self._state = state
        self._actor = actor
        self._liveness = liveness

    def prepare(self, tasks: Sequence[Task]) -> None:
        """Do nothing: each run starts what it needs."""

    def close(self) -> None:
        """Do nothing: each run has ended what it started."""

    def run(self, task: Task, stopped: Callable[[], bool]) -> Outcome | None:
        """Execute ``task`` and return what came of it, or ``None`` as soon as ``stopped`` says so.

        ``stopped`` is asked ten times a second. Raises ``OSError`` if the run's folder cannot be written.
        """
        work = self._state / "runs" / task.id
        shutil.rmtree(work, ignore_errors=True)  # of an earlier try
        work.mkdir(parents=True, mode=0o700)
        try:
            self._request(work, task)
            with (work / "log").open("wb") as log:
                process = lifeline.spawn(
                    [sys.executable, "-P", "-m", "jupyter_mlops.runs.child", str(work)],
                    env=self._environment(task),
                    cwd=work,
                    stdout=log,
                    stderr=log,
                )
                overdue = _waited(process, task.seconds, stopped)
            if overdue is None:
                return None
            return self._outcome(work, task, process.returncode, task.seconds if overdue else None)
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def _request(self, work: Path, task: Task) -> None:
        (work / INPUT).write_bytes(task.notebook)
        kept = laid_out(task.sources, self._root, work) if task.sources else None
        request = {
            "parameters": dict(task.parameters),
            "kernel": task.kernel,
            "folder": str(self._root / task.folder),
            "root": str(self._root),
            "kept": str(kept) if kept else "",
            "paths": task.paths,
            "seconds": task.seconds,
            "lock": str(self._liveness.path(task.id)),
        }
        (work / REQUEST).write_text(json.dumps(request, ensure_ascii=False), "utf-8")

    def _environment(self, task: Task) -> dict[str, str]:
        found = {
            **os.environ,
            "MLOPS_PROJECT": str(self._root),
            "MLOPS_RUN": task.id,
            "MLOPS_ACTOR": self._actor,
        }
        if task.workers > 1:
            # numerical libraries start a thread a core each, and would fight over them
            found.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // task.workers)))
        return found

    def _outcome(self, work: Path, task: Task, status: int, limit: float | None) -> Outcome:
        try:
            result: dict[str, Any] = json.loads((work / RESULT).read_text("utf-8"))
        except (OSError, ValueError):
            end = _killed(status, work / "log") if limit is None else _overdue(limit)
            died = limit is None and status < 0
            return Outcome(end, _bytes(work / EXECUTED), None, self._imported(work, task).files, died=died)
        error = RunError(**result["error"]) if result["error"] else None
        died = error is not None and error.name == "KernelDied"
        imported = self._imported(work, task)
        environment = {**result["environment"], "sources": imported.to_dict()}
        return Outcome(error, _bytes(work / EXECUTED), environment, imported.files, died=died)

    def _imported(self, work: Path, task: Task) -> Imported:
        if (found := collected(work)) is not None:
            return found
        # the kernel died before it could record anything: what it would have imported
        read = {
            path: _bytes(self._root / path)
            for path in imported_sources(task.codes, self._root / task.folder, self._root)
        }
        return Imported({path: data for path, data in read.items() if data is not None})


def _waited(process: lifeline.Follower, limit: float | None, stopped: Callable[[], bool]) -> bool | None:
    """Wait for the run's process; return whether its time was up, or ``None`` if the run was stopped."""
    deadline = None if limit is None else time.monotonic() + limit
    overdue = False
    try:
        while True:
            try:
                process.wait(_BETWEEN_LOOKS)
                return overdue
            except subprocess.TimeoutExpired:
                if stopped():
                    return None
            if deadline is None or time.monotonic() < deadline:
                continue
            if overdue:
                return True
            # once: the process ends the kernel and writes down how far it came
            overdue, deadline = True, time.monotonic() + _TO_SAVE
            process.send_signal(signal.SIGTERM)
    finally:
        # also after a good end: nothing that the notebook started outlives its run
        lifeline.end(process, grace=0)


def _overdue(limit: float) -> RunError:
    return RunError(None, "TimeLimit", f"the run took longer than its limit of {limit:g} seconds")


def _bytes(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError:
        return None


def _killed(status: int, log: Path) -> RunError:
    if status < 0:
        name = signal.Signals(-status).name if -status in {s.value for s in signal.Signals} else str(-status)
        return RunError(None, "ProcessKilled", f"the run's process was killed by {name}")
    try:
        lines = log.read_text("utf-8", errors="replace").splitlines()[-_LOG_LINES:]
    except OSError:
        lines = []
    message = f"the run's process ended with status {status}"
    return RunError(None, "ProcessEnded", message, clean("\n".join(lines)))
