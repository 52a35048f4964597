"""Any executor can be installed: what it gets, and what happens to a sweep whose executor fails."""

from __future__ import annotations

import errno
import pickle
import threading
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

import jupyter_mlops as mlops
from jupyter_mlops.errors import BadInput, Conflict, Failed, Unreachable
from jupyter_mlops.project import Project
from jupyter_mlops.runs.execution.executor import Outcome, Task
from jupyter_mlops.runs.run import RunError
from jupyter_mlops.runs.sweeps.pruning import Pruned

from .conftest import WriteNotebook, commit_customers, eventually, verbs


class Cluster:
    """An executor without kernels: ``answer`` says what comes of a task."""

    name = "cluster"

    def __init__(self) -> None:
        self.prepared: list[Task] = []
        self.tasks: list[Task] = []
        self.closed = 0
        self.answer: Callable[[Task, Callable[[], bool]], Outcome | None] = lambda task, stopped: Outcome(
            executed=b'{"cells": []}',
            environment={"python": "3"},
            sources={"a.py": b"x = 1"},
            why="no kernel",
        )

    def __call__(self, root: Path, state: Path, actor: str, liveness: Any) -> Cluster:
        return self

    def prepare(self, tasks: Sequence[Task]) -> None:
        self.prepared = list(tasks)

    def run(self, task: Task, stopped: Callable[[], bool]) -> Outcome | None:
        self.tasks.append(pickle.loads(pickle.dumps(task)))
        return self.answer(task, stopped)

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """An installed executor."""
    cluster = Cluster()

    class Point:
        name = "cluster"

        def load(self) -> Cluster:
            return cluster

    installed = metadata.entry_points
    monkeypatch.setattr(
        metadata,
        "entry_points",
        lambda **asked: (Point(),) if asked.get("group") == "mlops.executors" else installed(**asked),
    )
    return cluster


@pytest.fixture
def notebook(make_project, write_notebook: WriteNotebook) -> tuple[Project, Path]:
    project = make_project()
    commit_customers(project, 2)
    return project, write_notebook(
        project.root / "sub" / "n.ipynb", "n = 0\ndata = 'customers'  # dataset", "print(n)"
    )


def test_an_executor_gets_all_that_a_run_needs_and_its_outcome_is_kept(
    notebook: tuple[Project, Path], cluster: Cluster
) -> None:
    project, path = notebook
    runs = project.runs.execute(
        path, grid={"n": [1, 2, 3]}, executor="cluster", workers=2, limit="1m", cold=True, experiment="e"
    )
    assert [
        task.parameters["n"] for task in sorted(cluster.tasks, key=lambda task: task.parameters["n"])
    ] == [1, 2, 3]
    task = cluster.tasks[0]
    assert {task.id for task in cluster.tasks} == {run.id for run in runs}
    assert task.parameters["data"] == "customers@v1"
    assert (task.experiment, task.name, task.folder, task.kernel) == ("e", "sub/n.ipynb", "sub", "python3")
    assert (task.inputs, task.seconds, task.cold, task.workers) == ({"data": "customers@v1"}, 60.0, True, 2)
    assert task.notebook == path.read_bytes()
    assert task.codes == ("n = 0\ndata = 'customers'  # dataset", "print(n)")
    assert len(cluster.prepared) == 3
    assert cluster.closed == 1
    for run in runs:
        assert (run.status, run.executor, run.warm, run.why_cold) == (
            "finished",
            "cluster",
            False,
            "no kernel",
        )
        assert run.sources() == {"a.py": "x = 1"}
        assert run.environment() == {"python": "3"}
        assert run.executed_notebook() == {"cells": []}
    assert runs.sweep is not None
    assert runs.sweep.executor == "cluster"


@pytest.mark.parametrize(
    ("error", "expected", "line"),
    [
        (Unreachable("the cluster does not answer", "is it on?"), Unreachable, "the cluster does not answer"),
        (OSError(errno.ENOSPC, "No space left on device"), Failed, "No space left on device"),
        (RuntimeError("a bug"), RuntimeError, "a bug"),
    ],
)
def test_a_sweep_whose_executor_fails_stops_there_and_can_be_resumed(
    notebook: tuple[Project, Path], cluster: Cluster, error: Exception, expected: type[Exception], line: str
) -> None:
    project, path = notebook
    good = cluster.answer

    def answer(task: Task, stopped: Callable[[], bool]) -> Outcome | None:
        if task.parameters["n"] == 2:
            raise error
        return good(task, stopped)

    cluster.answer = answer
    with pytest.raises(expected, match=line):
        project.runs.execute(path, grid={"n": [1, 2, 3, 4]}, executor="cluster", workers=1)
    assert cluster.closed == 1
    (sweep,) = project.runs.sweeps()
    runs = project.runs.sweep(sweep)
    assert sweep.status == "stopped"
    assert runs[0].status == "finished"
    assert runs[1].status in ("failed", "stopped")
    assert [run.status for run in runs[2:]] == ["stopped", "stopped"]
    assert f"gave up: {error}" in runs[2].reason
    assert verbs(project, f"sweep:{sweep.id}") == ["sweep.started", "sweep.stopped"]
    cluster.answer = good
    resumed = project.runs.resume(sweep)
    assert [run.status for run in resumed] == ["finished"] * 4
    assert resumed[0] == runs[0]


def test_a_run_that_dies_is_tried_again_as_often_as_asked_for(
    notebook: tuple[Project, Path], cluster: Cluster
) -> None:
    project, path = notebook
    died = RunError(1, "KernelDied", "the kernel died")
    cluster.answer = lambda task, stopped: Outcome(died, died=True)
    for retries in (0, 1, 3):
        (run,) = project.runs.execute(path, {"n": retries}, executor="cluster", retries=retries)
        assert (run.status, run.tries, run.error) == ("failed", retries + 1, died)
    broken = RunError(1, "ValueError", "no")
    cluster.answer = lambda task, stopped: Outcome(broken)
    (run,) = project.runs.execute(path, executor="cluster", retries=3)
    assert (run.status, run.tries) == ("failed", 1)  # an error of the notebook would be the same again


def test_a_limit_holds_where_the_executor_keeps_none(
    notebook: tuple[Project, Path], cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jupyter_mlops.runs.sweeps.sweep._GRACE", 0.0)
    project, path = notebook

    def endless(task: Task, stopped: Callable[[], bool]) -> None:
        eventually(stopped)

    cluster.answer = endless
    (run,) = project.runs.execute(path, executor="cluster", limit=0.2)
    assert run.error is not None
    assert (run.status, run.error.name) == ("failed", "TimeLimit")


def test_stopping_a_run_is_told_to_its_executor_and_the_others_go_on(
    notebook: tuple[Project, Path], cluster: Cluster, as_actor
) -> None:
    project, path = notebook
    good, begun = cluster.answer, threading.Event()

    def answer(task: Task, stopped: Callable[[], bool]) -> Outcome | None:
        if task.parameters["n"] != 1:
            return good(task, stopped)
        begun.set()
        eventually(stopped)
        return None

    cluster.answer = answer
    bo = as_actor(project, "bo@example.com")

    def stop() -> None:
        begun.wait(60)
        bo.runs.stop(cluster.tasks[0].id, "too dear")

    stopping = threading.Thread(target=stop)
    stopping.start()
    runs = project.runs.execute(path, grid={"n": [1, 2, 3]}, executor="cluster", workers=1)
    stopping.join()
    assert [(run.status, run.reason) for run in runs] == [
        ("stopped", "too dear"),
        ("finished", ""),
        ("finished", ""),
    ]
    assert runs.sweep is not None
    assert runs.sweep.status == "finished"


def test_what_is_reported_outside_of_a_sweep_is_logged(make_project, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_project()
    with project.runs.start("tracked") as run:
        assert mlops.report(0.5, 0) == 0.5
        run.report(0.75, 1)
        with pytest.raises(BadInput, match="metric objective is 'much', not a number"):
            run.report("much", 2)
        with pytest.raises(BadInput, match=r"step 0\.5 is not a whole number"):
            run.report(1.0, 0.5)  # type: ignore[arg-type]
    assert [(point.step, point.value) for point in run.history("objective")] == [(0, 0.5), (1, 0.75)]
    assert (run.status, run.pruned) == ("finished", None)


def test_the_latest_of_an_experiment_is_its_sweep_while_that_goes_on(
    notebook: tuple[Project, Path], cluster: Cluster, as_actor: Any
) -> None:
    project, path = notebook
    other = as_actor(project, "ann@example.com")
    told: list[Any] = []

    def answer(task: Task, stopped: Callable[[], bool]) -> Outcome | None:
        if task.parameters["n"] == 1:
            told.append(other.runs.stop("e@latest", "enough"))
        eventually(stopped)
        return None

    cluster.answer = answer
    runs = project.runs.execute(path, grid={"n": [1, 2, 3]}, executor="cluster", workers=2, experiment="e")
    (stopped,) = told
    assert (stopped.id, [run.status for run in stopped]) == (runs.id, ["stopped"] * 3)
    assert {run.reason for run in runs} == {"enough"}
    with pytest.raises(Conflict, match=f"run {runs[2].id} is stopped already"):
        project.runs.stop("e@latest")


@pytest.mark.parametrize("heeds", [True, False])
def test_a_run_is_judged_by_the_runs_that_finished(
    notebook: tuple[Project, Path], cluster: Cluster, heeds: bool
) -> None:
    project, path = notebook
    reached: dict[int, int] = {}

    def answer(task: Task, stopped: Callable[[], bool]) -> Outcome:
        n = task.parameters["n"]
        run = project.runs.attach(task.id)
        for step in range(4):
            reached[n] = step
            try:
                run.report(float(n if step else 0), step)
            except Pruned as hopeless:
                if heeds:
                    run.close()
                    return Outcome(RunError(1, "Pruned", str(hopeless)))
        run.close()
        return Outcome()

    cluster.answer = answer
    grid = [{"n": n} for n in (5, 6, 7, 8, 9, 1, 10)]
    runs = project.runs.execute(path, grid=grid, executor="cluster", maximize="score", workers=1)
    assert [run.parameters["n"] for run in runs] == [5, 6, 7, 8, 9, 1, 10]
    if heeds:
        assert [run.pruned for run in runs] == [None] * 5 + [1, None]
        assert runs[5].reason == "pruned at step 1: score 1 is worse than the median there"
        assert reached == {5: 3, 6: 3, 7: 3, 8: 3, 9: 3, 1: 1, 10: 3}
        everything = project.runs.execute(
            path, grid=grid, executor="cluster", maximize="score", workers=1, prune=False
        )
        runs = everything
    assert [(run.status, run.pruned) for run in runs] == [("finished", None)] * 7
    assert reached == dict.fromkeys((5, 6, 7, 8, 9, 1, 10), 3)
