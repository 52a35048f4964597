"""The local executor: runs notebooks in processes of this machine. Used by sweeps unless told otherwise."""

from __future__ import annotations

import json
import math
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from enum import Enum, auto
from pathlib import Path
from typing import IO, Any, Protocol

from ... import lifeline
from ..liveness import Liveness
from ..plain import clean
from ..run import RunError
from ..tracking.capture import imported_sources
from ..tracking.imports import Imported, collected, laid_out
from . import sharing
from .child import EXECUTED, INPUT, REQUEST, RESULT
from .executor import Outcome, Task, overdue
from .warm import ahead
from .warm.doubt import Reading, read
from .warm.fork import Refused, fork
from .warm.templates import Template

_HASH_SEED = "PYTHONHASHSEED"
# the order of sets is the same in every run: what differs between two has another cause
_USUAL_HASH_SEED = "0"
_BETWEEN_LOOKS = 0.1
_LOG_LINES = 15
_TO_SAVE = 10.0
_TO_STOP = 3.0  # the same, while somebody waits for it
_TO_DIE = 10.0
_MOST_RUNS = 50  # of one process


class LocalExecutor:
    """Executes runs in processes that die with this one, forked ones where several runs make that pay.

    ``run`` is called by several threads at a time, ``prepare`` and ``close`` by one.
    """

    name = "local"

    def __init__(self, root: Path, state: Path, actor: str, liveness: Liveness) -> None:
        self._root = root
        self._state = state
        self._actor = actor
        self._liveness = liveness
        self._templates = ahead.taken()
        self._warm = False
        self._readings: dict[tuple[str, ...], Reading] = {}
        self._free: list[Forked] = []

    def prepare(self, tasks: Sequence[Task]) -> None:
        """Start templates in the background for what ``tasks`` need; one run alone starts sooner without."""
        self._warm = len(tasks) > 1 and sys.platform == "linux"
        if not self._warm:
            return
        for task in tasks:
            environment = self._environment(task)
            self._templates.runner(environment)
            self._template(task, environment)

    def close(self) -> None:
        """End all templates, and the processes that wait for a run."""
        while self._free:
            self._free.pop().end()
        self._templates.close()

    def run(self, task: Task, stopped: Callable[[], bool]) -> Outcome:
        """Execute ``task`` and return what came of it, or how far it came when ``stopped`` says so.

        ``stopped`` is asked ten times a second. Raises ``OSError`` if the run's folder cannot be written.
        """
        work = self._state / "runs" / task.id
        shutil.rmtree(work, ignore_errors=True)  # of an earlier try
        work.mkdir(parents=True, mode=0o700)
        place = self._templates.place(task.id) if self._warm else None
        try:
            environment = self._environment(task)
            template, why = self._template(task, environment)
            seed = ""
            if _HASH_SEED not in environment:  # one that somebody set is theirs, and no value is kept
                seed = template.hash_seed if template else task.hash_seed or _USUAL_HASH_SEED
            if template is None and seed:
                environment[_HASH_SEED] = seed
            self._request(work, task, template, why, place)
            with (work / "log").open("wb") as log:
                process = self._started(work, environment, log)
                cut = _waited(process, task.seconds, stopped)
            status = process.poll()
            if isinstance(process, Forked) and process.free:
                self._free.append(process)
            limit = task.seconds if cut is _Cut.OVERDUE else None
            outcome = self._outcome(work, task, status, limit, template, seed)
            return replace(outcome, error=None, stopped=True) if cut is _Cut.STOPPED else outcome
        finally:
            shutil.rmtree(work, ignore_errors=True)
            if place is not None:
                shutil.rmtree(place, ignore_errors=True)

    def _template(self, task: Task, environment: Mapping[str, str]) -> tuple[Template | None, str]:
        """Return the template of the kernel of ``task``, or why there is none."""
        if task.cold:
            return None, "asked for"
        if not self._warm:
            return None, "a run by itself"
        if task.codes not in self._readings:
            self._readings[task.codes] = read(task.codes)
        reading = self._readings[task.codes]
        if reading.why:
            return None, reading.why
        return self._templates.kernel(reading, environment), ""

    def _started(self, work: Path, environment: Mapping[str, str], log: IO[bytes]) -> Process:
        if self._warm:
            while self._free:
                with suppress(IndexError, OSError):  # another thread was quicker, or it died meanwhile
                    process = self._free.pop()
                    process.begin(work, environment)
                    return process
            with suppress(Refused, OSError):
                process = Forked(self._templates.runner(environment).address, environment, log)
                process.begin(work, environment)
                return process
        words = [sys.executable, "-P", "-m", "jupyter_mlops.runs.execution.child", str(work)]
        return Spawned(lifeline.spawn(words, env=environment, cwd=work, stdout=log, stderr=log))

    def _request(
        self, work: Path, task: Task, template: Template | None, why: str, place: Path | None
    ) -> None:
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
            "template": template.address if template else "",
            "why": why,
            "place": str(place) if place else "",
        }
        (work / REQUEST).write_text(json.dumps(request, ensure_ascii=False), "utf-8")

    def _environment(self, task: Task) -> dict[str, str]:
        return {
            **sharing.environment(task.workers),
            "MLOPS_PROJECT": str(self._root),
            "MLOPS_RUN": task.id,
            "MLOPS_ACTOR": self._actor,
        }

    def _outcome(
        self,
        work: Path,
        task: Task,
        status: int | None,
        limit: float | None,
        template: Template | None,
        seed: str,
    ) -> Outcome:
        imported = self._imported(work, task)
        try:
            result: dict[str, Any] = json.loads((work / RESULT).read_text("utf-8"))
        except (OSError, ValueError):
            end = _killed(status or 0, work / "log") if limit is None else overdue(limit)
            died = limit is None and (status or 0) < 0
            return Outcome(end, _bytes(work / EXECUTED), None, imported.files, died=died)
        error = RunError(**result["error"]) if result["error"] else None
        environment = {**result["environment"], "sources": imported.to_dict()}
        if seed and (result["warm"] or not template):
            environment |= {"hash_seed": seed, "hashing": "fixed"}
        return Outcome(
            error,
            _bytes(work / EXECUTED),
            environment,
            imported.files,
            warm=result["warm"],
            why=result["why"],
            died=error is not None and error.name == "KernelDied",
        )

    def _rewritten(self, work: Path, task: Task) -> Iterator[str]:
        """Say that the notebook's file is not what was executed, where that happened meanwhile."""
        file = self._root / task.name
        with suppress(OSError):
            if file.stat().st_mtime_ns > (work / INPUT).stat().st_mtime_ns and _bytes(file) != task.notebook:
                yield f"{task.name} changed while the run went on: the copy read before was executed"

    def _imported(self, work: Path, task: Task) -> Imported:
        if (found := collected(work)) is not None:
            return replace(found, notes=(*found.notes, *self._rewritten(work, task)))
        # the kernel died before it could record anything: what it would have imported
        read = {
            path: _bytes(self._root / path)
            for path in imported_sources(task.codes, self._root / task.folder, self._root)
        }
        return Imported({path: data for path, data in read.items() if data is not None})


class _Cut(Enum):
    """Why a run did not come to its own end."""

    OVERDUE = auto()
    STOPPED = auto()


def _waited(process: Process, limit: float | None, stopped: Callable[[], bool]) -> _Cut | None:
    """Wait for the run's process; return why it was cut short, if it was."""
    deadline = math.inf if limit is None else time.monotonic() + limit
    cut = None
    try:
        while process.wait(_BETWEEN_LOOKS) is None:
            late = time.monotonic() >= deadline
            if cut is not None and late:
                break
            if cut is None and (late or stopped()):
                # once: the process ends the kernel and writes down how far it came
                cut = _Cut.OVERDUE if late else _Cut.STOPPED
                deadline = time.monotonic() + (_TO_SAVE if late else _TO_STOP)
                process.terminate()
        return cut
    finally:
        # also after a good end: nothing that the notebook started outlives its run
        if cut is not None or not process.free:
            process.end()


class Process(Protocol):
    """The process of one run. ``free``: it and all that the notebook started has ended, and it can go on."""

    @property
    def free(self) -> bool: ...
    def poll(self) -> int | None: ...
    def wait(self, seconds: float) -> int | None: ...
    def terminate(self) -> None: ...
    def end(self) -> None: ...


class Spawned:
    """A run's process that was started as a program."""

    free = False

    def __init__(self, follower: lifeline.Follower) -> None:
        self._follower = follower

    def poll(self) -> int | None:
        return self._follower.poll()

    def wait(self, seconds: float) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            return self._follower.wait(seconds)
        return None

    def terminate(self) -> None:
        self._follower.send_signal(signal.SIGTERM)

    def end(self) -> None:
        lifeline.end(self._follower, grace=0)


class Forked:
    """A process that was forked from a template, and executes one run after another while they are warm."""

    def __init__(self, address: str, environment: Mapping[str, str], log: IO[bytes]) -> None:
        self._line, theirs = socket.socketpair()
        with theirs:
            try:
                self._fork = fork(
                    address,
                    [],
                    environment=environment,
                    folder="/",
                    output=log.fileno(),
                    errors=log.fileno(),
                    input=theirs.fileno(),
                )
            except BaseException:
                self._line.close()
                raise
        self._runs = 0
        self._busy = False

    def begin(self, work: Path, environment: Mapping[str, str]) -> None:
        """Have it execute what lies in ``work``; raises ``OSError`` if it is gone."""
        asked = {"folder": str(work), "log": str(work / "log"), "environment": dict(environment)}
        try:
            self._line.sendall(json.dumps(asked).encode() + b"\n")
        except OSError:
            self.end()
            raise
        self._busy = True
        self._runs += 1

    @property
    def free(self) -> bool:
        """Return whether it waits for the next run."""
        return not self._busy and self._fork.status is None and self._runs < _MOST_RUNS

    def poll(self) -> int | None:
        return self._fork.status if self._busy else 0

    def wait(self, seconds: float) -> int | None:
        poll = select.poll()
        poll.register(self._line, select.POLLIN)
        poll.register(self._fork, select.POLLIN)
        ready = {descriptor for descriptor, _ in poll.poll(seconds * 1000)}
        if self._line.fileno() in ready and self._line.recv(1):
            self._busy = False
        elif ready:
            self._fork.wait(seconds)
        return self.poll()

    def terminate(self) -> None:
        self._fork.send_signal(signal.SIGTERM)

    def end(self) -> None:
        if self._fork.poll() is None:
            self._fork.send_signal(signal.SIGKILL)
            self._fork.wait(_TO_DIE)
        self._fork.close()
        self._line.close()


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
