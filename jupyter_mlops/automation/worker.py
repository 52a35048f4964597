"""The worker: executes queued runs and keeps the project's records true. For ``mlops worker``."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import Failed, MLOpsError, StoreFailed, Unreachable
from ..project import Project
from ..runs import Runs
from ..runs.execution.sharing import default_workers
from ..runs.sweeps.plan import workers_of
from ..runs.sweeps.queue import LEASE_SECONDS, Shift

_PAUSE_SECONDS = 0.5
_TIDY_SECONDS = 2.0
_AGAIN_SECONDS = 30.0

Say = Callable[[str], None]


def tidy(project: Project) -> int:
    """Record what time did: requests that expired, runs whose process is gone. Return how many changed."""
    return len(project.approvals.settle()) + project.runs.settle()


def work(
    project: Project,
    workers: int | None = None,
    once: bool = False,
    say: Say = lambda _: None,
    lease: float = LEASE_SECONDS,
) -> Runs:
    """Execute what is queued, ``workers`` runs at a time, until interrupted; return what was executed.

    With ``once`` it ends when nothing is left to execute. Interrupted, it ends what executes: such runs are
    stopped, and queued again as other runs. If it is killed, whoever keeps the records finds its runs.
    """
    with project.runs.queue.shift(lease) as shift:
        Worker(project, workers or default_workers(), shift, say, lease).run(once)
        return project.runs.executed_by(shift.worker)


class Worker:
    """Works at several sweeps at a time, each in a thread, as far as its places for runs go."""

    def __init__(self, project: Project, workers: int, shift: Shift, say: Say, lease: float) -> None:
        self._project = project
        self._free = workers
        self._shift = shift
        self._say = say
        self._lease = lease
        self._guard = threading.Lock()
        self._stopping = threading.Event()
        self._something_ended = threading.Event()
        self._working: dict[str, threading.Thread] = {}
        self._refused: dict[str, tuple[float, MLOpsError | OSError]] = {}

    def run(self, once: bool) -> None:
        """Work until interrupted, or ``once`` until nothing is left; what executes is ended first."""
        tidied = 0.0
        try:
            while True:
                if time.monotonic() - tidied >= _TIDY_SECONDS:
                    self._tidy()
                    tidied = time.monotonic()
                try:
                    left = self._take_up()
                except (Unreachable, StoreFailed) as error:
                    if once:
                        raise
                    self._say(f"nothing can be taken up: {error}")
                    time.sleep(_TIDY_SECONDS)
                    continue
                if once and not left and not self._working:
                    self._tell_refused()
                    return
                self._something_ended.wait(_PAUSE_SECONDS)
                self._something_ended.clear()
        finally:
            self._stopping.set()
            for thread in list(self._working.values()):
                thread.join()

    def _take_up(self) -> int:
        """Begin to work at sweeps that wait, as far as there are places; return how many wait."""
        waiting = self._project.runs.queue.waiting()
        left = 0
        for sweep in waiting:
            id = str(sweep["id"])
            refused = self._refused.get(id)
            if refused and time.monotonic() - refused[0] < _AGAIN_SECONDS:
                continue
            left += 1
            with self._guard:
                if id in self._working or not self._free:
                    continue
                size = min(self._free, workers_of(sweep["request"]), self._project.runs.queue.left(id))
                if not size:
                    continue
                self._free -= size
                self._working[id] = threading.Thread(target=self._at, args=(sweep, size), name=f"sweep {id}")
                self._working[id].start()
        return left

    def _at(self, sweep: Mapping[str, Any], size: int) -> None:
        """Work at one sweep, in a thread of its own, until nothing of it is queued."""
        id, shift = str(sweep["id"]), self._shift
        self._say(f"sweep {id}: executing {sweep['notebook']}")
        try:
            done = self._project.runs.work(
                id, workers=size, lease=shift.lease, alive=shift.holds, stopped=self._stopping.is_set
            )
            self._say(f"sweep {id}: {done} {'run' if done == 1 else 'runs'} executed")
        except (MLOpsError, OSError) as error:
            # somebody else may be able to, or this worker later: it stays in the queue
            self._refused[id] = (time.monotonic(), error)
            self._say(f"sweep {id}: left to others: {error}")
        finally:
            with self._guard:
                self._free += size
                del self._working[id]
            self._something_ended.set()

    def _tidy(self) -> None:
        try:
            tidy(self._project)
            self._project.runs.queue.recover(self._lease)
        except MLOpsError as error:
            self._say(f"the records could not be kept: {error}")

    def _tell_refused(self) -> None:
        waiting = {str(sweep["id"]) for sweep in self._project.runs.queue.waiting()}
        for id, (_, error) in self._refused.items():
            if id in waiting:
                raise Failed(f"sweep {id} cannot be executed here: {error}", "it is still queued")
