"""The run around the code that asks: what ``mlops.log_metric`` and its like write to. Called by notebooks.

Inside an executed notebook the environment names the run; in the process of ``runs.start`` it is the
innermost one. Outside of runs nothing is recorded, so a training notebook also runs by hand.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import warnings
import weakref
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from ...datasets import Datasets, DatasetVersion
    from .active import ActiveRun

VARIABLE = "MLOPS_RUN"


class OpenProject(Protocol):
    """What is needed of the project that is open around the code."""

    @property
    def root(self) -> Path: ...
    @property
    def datasets(self) -> Datasets: ...
    @property
    def models(self) -> Any: ...
    @property
    def runs(self) -> Any: ...
    def close(self) -> None: ...


class Surroundings:
    """What this process is in the middle of: runs it started, the run it was started for, its projects."""

    def __init__(self) -> None:
        self._guard = threading.RLock()
        self._mine: ContextVar[tuple[ActiveRun, Path] | None] = ContextVar("run", default=None)
        self._started: list[tuple[ActiveRun, Path]] = []
        self._attached: tuple[tuple[int, str], ActiveRun, Path] | None = None
        self._projects: dict[tuple[int, Path], OpenProject] = {}
        self._opener: Callable[[], OpenProject] | None = None
        self._warned = False
        self.followed: weakref.WeakSet[Datasets] = weakref.WeakSet()

    def open_with(self, opener: Callable[[], OpenProject]) -> None:
        self._opener = opener

    def enter(self, run: ActiveRun, root: Path) -> Callable[[], None]:
        """Make ``run`` the current one until the result is called.

        Other threads see it unless in one of their own.
        """
        entry = (run, root)
        token = self._mine.set(entry)
        with self._guard:
            self._started.append(entry)

        def leave() -> None:
            with contextlib.suppress(ValueError):  # left in another context than it was entered in
                self._mine.reset(token)
            with self._guard:
                self._started.remove(entry)

        return leave

    def current(self) -> tuple[ActiveRun, Path] | None:
        """Return the current run and its project's folder."""
        if (mine := self._mine.get()) is not None:
            return mine
        with self._guard:
            if self._started:
                return self._started[-1]
            # whoever belonged to a run once belongs to it still when the environment was cleared
            id = os.environ.get(VARIABLE) or (self._attached[0][1] if self._attached else "")
            if not id:
                return None
            key = (os.getpid(), id)
            if self._attached is None or self._attached[0] != key:
                project = self.project()
                self._attached = (key, project.runs.attach(id), project.root)
            return self._attached[1:]

    def project(self) -> OpenProject:
        """Return the project around this code, opened once for each folder and process."""
        if self._opener is None:
            raise RuntimeError("jupyter_mlops was imported only in part: import jupyter_mlops")
        with self._guard:
            opened = self._opener()
            key = (os.getpid(), opened.root)
            if known := self._projects.get(key):
                opened.close()
                return known
            self._projects[key] = opened
            return opened

    def close(self) -> None:
        """Close the projects that this process opened."""
        with self._guard:
            if self._attached is not None and self._attached[0][0] == os.getpid():
                self._attached[1].close()
            for (pid, _), project in self._projects.items():
                if pid == os.getpid():
                    project.close()
            self._projects.clear()
            self._attached = None

    def warn(self) -> None:
        """Say once that nothing is recorded."""
        if not self._warned:
            self._warned = True
            warnings.warn("no run: not recorded", stacklevel=4)


_here = Surroundings()
atexit.register(_here.close)


def open_projects_with(opener: Callable[[], Any]) -> None:
    """Make ``opener`` find and open the project around the code; the package wires it at import."""
    _here.open_with(opener)


def follow(datasets: Datasets, root: Path) -> None:
    """Have what is read from and committed to ``datasets`` become inputs and outputs of the run around it."""
    if datasets in _here.followed:
        return
    _here.followed.add(datasets)

    def inside() -> ActiveRun | None:
        found = _here.current()
        return found[0] if found and found[1] == root and not found[0].ended else None

    def read(version: DatasetVersion) -> None:
        if run := inside():
            run.saw_read(version)

    def committed(version: DatasetVersion) -> None:
        if run := inside():
            run.saw_commit(version)

    datasets.observe(on_read=read, on_commit=committed)


def entered(run: ActiveRun, root: Path) -> Callable[[], None]:
    """Make ``run`` the current one until the result is called."""
    return _here.enter(run, root)


def current_run() -> ActiveRun | None:
    """Return the run around this code, or ``None``."""
    found = _here.current()
    return found[0] if found else None


def log_metric(key: str, value: Any, step: int | None = None) -> Any:
    """Append one value of a metric to the current run, and return the value."""
    if run := _run():
        run.log_metric(key, value, step)
    return value


def log_metrics(values: Mapping[str, Any], step: int | None = None) -> Mapping[str, Any]:
    """Append one value of each metric to the current run, and return them."""
    if run := _run():
        run.log_metrics(values, step)
    return values


def report(value: Any, step: int) -> Any:
    """Append one value of the metric that decides the sweep to the current run, and return the value.

    Raises ``Pruned`` if the run is hopeless beside the others: the run ends as stopped there.
    """
    if run := _run():
        run.report(value, step)
    return value


def log_parameters(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Add parameters to the current run, and return them."""
    if run := _run():
        run.log_parameters(values)
    return values


def set_tags(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Set tags of the current run, and return them."""
    if run := _run():
        run.set_tags(values)
    return values


def log_input(ref: Any, name: str | None = None) -> Any:
    """Record a dataset version as an input of the current run; return it (without a run, the ref)."""
    run = _run()
    return run.log_input(ref, name) if run else ref


def log_artifact(source: Any, name: str | None = None) -> Any:
    """Keep a file, folder, DataFrame or figure with the current run, and return it as it was given."""
    if run := _run():
        run.log_artifact(source, name)
    return source


def log_model(estimator: Any, input_example: Any = None, name: str = "model") -> Any:
    """Keep a fitted estimator with the current run, and return it."""
    if run := _run():
        run.log_model(estimator, input_example, name)
    return estimator


def load_dataset(ref: str, format: str | None = None) -> Any:
    """Load a dataset version: inside a run at the version that its inputs fix, and recorded as its input."""
    found = _here.current()
    version = found[0].version(ref) if found else _here.project().datasets.get(ref)
    return version.load(format)


def load_model(ref: str) -> Any:
    """Load a registered model version."""
    return _here.project().models.get(ref).load()


def _run() -> ActiveRun | None:
    run = current_run()
    if run is None:
        _here.warn()
    return run
