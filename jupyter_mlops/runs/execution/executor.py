"""The executor: where runs are executed, behind one small protocol. Used by an ``Execution``.

``local`` is built in; others are found by the entry point group ``mlops.executors``, a name for a factory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ...errors import BadInput, close_matches
from ..liveness import Liveness
from ..run import RunError

GROUP = "mlops.executors"
LOCAL = "local"


@dataclass(frozen=True, slots=True)
class Task:
    """Everything that one run needs; it can be pickled.

    ``folder`` is relative to the project's folder or absolute. ``seconds`` is the run's time limit, which the
    executor keeps. ``workers`` is how many run at a time, this one included. ``sources`` are kept sources of
    the project, which are to be found before those of today, in ``paths``; ``hash_seed`` is the one to use.
    """

    id: str
    experiment: str
    notebook: bytes = field(repr=False)
    name: str
    kernel: str
    folder: str
    parameters: Mapping[str, Any]
    codes: tuple[str, ...] = field(repr=False)
    inputs: Mapping[str, str]
    seconds: float | None = None
    cold: bool = False
    workers: int = 1
    sources: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    paths: tuple[str, ...] = ()
    hash_seed: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run.

    ``why`` says why it was not warm. ``died``: its kernel or process died through no error of the notebook,
    so that it may be tried again. ``stopped``: it was told to stop, and this is how far it came.
    """

    error: RunError | None = None
    executed: bytes | None = field(default=None, repr=False)
    environment: Mapping[str, Any] | None = field(default=None, repr=False)
    sources: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    warm: bool = False
    why: str = ""
    died: bool = False
    stopped: bool = False


def overdue(seconds: float) -> RunError:
    """Return the error of a run that took longer than it may."""
    return RunError(None, "TimeLimit", f"the run took longer than its limit of {seconds:g} seconds")


class Executor(Protocol):
    """Executes runs; ``run`` is called by as many threads as runs execute at a time."""

    name: str

    def prepare(self, tasks: Sequence[Task]) -> None:
        """Start, in the background, what these runs will need."""

    def run(self, task: Task, stopped: Callable[[], bool]) -> Outcome | None:
        """Execute one run and return what came of it; ``None`` or how far it came if ``stopped`` says so."""

    def close(self) -> None:
        """End everything that was started; nothing of it lives after."""


Factory = Callable[[Path, Path, str, Liveness], Executor]


def executors() -> tuple[str, ...]:
    """Return the names of the executors that are installed."""
    from importlib.metadata import entry_points  # takes a while, and most runs are executed here

    return (LOCAL, *sorted({each.name for each in entry_points(group=GROUP)} - {LOCAL}))


def check_executor(name: str) -> str:
    """Return ``name`` if there is such an executor; raises ``BadInput``."""
    if name != LOCAL and name not in (known := executors()):
        raise BadInput(
            f"there is no executor '{name}'", close_matches(name, known, f"there are {', '.join(known)}")
        )
    return name


def open_executor(name: str, root: Path, state: Path, actor: str, liveness: Liveness) -> Executor:
    """Return the executor called ``name`` for the runs of ``actor`` in the project at ``root``."""
    if check_executor(name) == LOCAL:
        from .local import LocalExecutor

        return LocalExecutor(root, state, actor, liveness)
    from importlib.metadata import entry_points

    (found, *_) = entry_points(group=GROUP, name=name)
    factory: Factory = found.load()
    return factory(root, state, actor, liveness)
