"""The Dask executor: runs on the workers of a Dask cluster. Found by the entry point ``mlops.executors``.

Workers need ``jupyter-mlops[dask]`` and a way to the project's remote; nothing of the driver's files.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..errors import BadConfig, Failed, Unreachable
from ..project import open_project
from ..runs.execution.executor import Outcome, Task
from ..runs.liveness import Liveness
from ..runs.run import RunError
from . import away

VARIABLE = "MLOPS_DASK_ADDRESS"
_BETWEEN_LOOKS = 0.1
_CONNECT_SECONDS = 10
_LOOK_SECONDS = 0.5


class BegunBefore(Exception):
    """Raised where the cluster starts a run again by itself: how often a run is tried is not its to say."""


class DaskExecutor:
    """Executes runs on a cluster, as many at a time as its workers have threads."""

    name = "dask"

    def __init__(self, root: Path, actor: str, address: str) -> None:
        distributed = _library()
        self._address = address
        self._project = open_project(root, actor)
        self._project.datasets, self._project.objects  # noqa: B018 made by one thread, used by several
        try:
            self._client = distributed.Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError) as error:
            self._project.close()
            raise Unreachable(
                f"the Dask scheduler at {address} does not answer",
                f"check [executors.dask] address and ${VARIABLE}",
            ) from error

    def prepare(self, tasks: Sequence[Task]) -> None:
        """Do nothing: the workers are there."""

    def run(self, task: Task, stopped: Callable[[], bool]) -> Outcome | None:
        """Execute ``task`` on a worker and write what came of it into the project."""
        luggage = away.packed(self._project, task)
        self._check()
        future = self._client.submit(_perform, luggage, pure=False, key=f"mlops-{task.id}", retries=0)
        try:
            while not future.done():
                time.sleep(_BETWEEN_LOOKS)
                if stopped():
                    return None
            self._check()
            if future.status == "finished":
                parcel = future.result()
                return None if parcel is None else away.unpacked(self._project, task, parcel)
            return _failed(future)
        finally:
            if self._client.status == "running":
                future.cancel()
                _library().Event(_begun(task), client=self._client).clear()

    def close(self) -> None:
        """Leave the cluster; what still executes there ends."""
        self._client.close()
        self._project.close()

    def _check(self) -> None:
        """Raise ``Unreachable`` once the client has given up looking for the scheduler."""
        if self._client.status in ("closing", "closed"):
            raise Unreachable(
                f"the Dask scheduler at {self._address} does not answer any more", "start it, then resume"
            )


def executor(root: Path, state: Path, actor: str, liveness: Liveness) -> DaskExecutor:
    """Return the executor for the project at ``root``; raises where there is no cluster to be found."""
    _library()
    with open_project(root, actor) as project:
        address = os.environ.get(VARIABLE) or project.config.dask.address
    if not address:
        raise BadConfig(
            "the address of the Dask scheduler is not known",
            f'[executors.dask] address = "tcp://…:8786" in mlops.toml, or ${VARIABLE}',
        )
    return DaskExecutor(root, actor, address)


def _failed(future: Any) -> Outcome:
    """Return the outcome of a run that the cluster did not bring to an end."""
    if future.status != "error":
        told = RunError(None, "ClusterLost", "the Dask scheduler forgot the run: it was restarted")
        return Outcome(told, died=True)
    error = future.exception()
    if isinstance(error, _library().KilledWorker | BegunBefore):
        told = RunError(None, "WorkerDied", "the Dask worker that executed it died")
        return Outcome(told, died=True)
    if isinstance(error, ImportError):
        raise Failed(
            f"the Dask workers cannot execute runs: {error}", "install jupyter-mlops[dask] for them, too"
        ) from error
    return Outcome(RunError(None, type(error).__name__, str(error)))


def _perform(luggage: away.Luggage) -> away.Parcel | None:
    """Execute one run; called on a worker."""
    distributed = _library()
    begun = distributed.Event(_begun(luggage.task))
    if begun.is_set():
        raise BegunBefore
    begun.set()
    worker = distributed.get_worker()
    key = worker.get_current_task()
    looked, gone = time.monotonic(), False

    def stopped() -> bool:
        nonlocal looked, gone
        if time.monotonic() - looked >= _LOOK_SECONDS:
            looked = time.monotonic()
            # let go of by the driver, or because that is gone
            task = worker.state.tasks.get(key)
            gone = task is None or task.state != "executing"
        return gone

    return away.executed(luggage, Path(worker.local_directory) / "mlops", stopped)


def _begun(task: Task) -> str:
    return f"mlops-begun-{task.id}"


def _library() -> Any:
    """Return Dask's library for clusters; it ships no types."""
    try:
        import distributed
    except ImportError as error:
        raise BadConfig("Dask is not installed", "pip install 'jupyter-mlops[dask]'") from error
    return distributed
