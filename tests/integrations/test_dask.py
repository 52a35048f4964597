"""Runs go to the workers of a cluster, which share no file with the project, and come home whole."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from jupyter_mlops.errors import BadConfig, BadInput, Unreachable

from ..conftest import ANN, POLICY, MakeProject
from ..runs.conftest import WriteNotebook, commit_customers, eventually

pytest.importorskip("distributed")

CLUSTER = """
import sys
if __name__ == "__main__":
    from distributed import LocalCluster
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None,
        local_directory=sys.argv[1], silence_logs=50,
    ) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""
TRAIN = (
    'data = "customers@latest"  # dataset\nn = 1',
    """
import os
import jupyter_mlops as mlops
from features import double

frame = mlops.load_dataset(data)
mlops.log_metric("pid", os.getppid())
for step in range(3):
    mlops.log_metric("score", float("nan") if step == 1 else n * len(frame) + step, step=10 * step)
mlops.log_parameters({"found": "here"})
mlops.set_tags({"team": "growth"})
mlops.log_artifact(frame, "seen")
mlops.log_artifact({"folder": os.getcwd()}, "where")
mlops.open().datasets.commit("doubled", frame.assign(spent=double(frame.spent) * n))
""",
)
WAITING = (
    "folder = ''",
    """
import os, pathlib, time
folder = pathlib.Path(folder)
(folder / f"{os.environ['MLOPS_RUN']}-began").write_text(str(os.getpid()))
while not (folder / "go").exists():
    time.sleep(0.05)
""",
)
EXECUTE = """
import sys
from jupyter_mlops.project import open_project
open_project(sys.argv[1], "ann@example.com").runs.execute(
    "waiting.ipynb", {"folder": sys.argv[2]}, executor="dask"
)
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a cluster of two worker processes, which work in a folder of their own."""
    folder = tmp_path_factory.mktemp("cluster")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLOPS_")}
    with subprocess.Popen(
        [sys.executable, "-c", CLUSTER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=environment,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
            process.wait(30)


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch, cluster: str) -> str:
    monkeypatch.setenv("MLOPS_DASK_ADDRESS", cluster)
    return cluster


def with_remote(folder: Path) -> str:
    return POLICY.replace("[people]", f"remote = {json.dumps(str(folder))}\n\n[people]")


def test_runs_on_a_cluster_come_home_whole(
    make_project: MakeProject, write_notebook: WriteNotebook, store_url: str, tmp_path: Path, away: str
) -> None:
    project = make_project(with_remote(tmp_path / "remote"), store=store_url)
    commit_customers(project, 2)
    commit_customers(project, 3)
    project.datasets.push("customers@v2")  # which is v2 there, too, or any other number
    (project.root / "notebooks").mkdir()
    (project.root / "notebooks" / "features.py").write_text("def double(x):\n    return x * 2\n")
    write_notebook(project.root / "notebooks" / "train.ipynb", *TRAIN)

    runs = project.runs.execute(
        "notebooks/train.ipynb", grid={"n": [1, 2]}, maximize="score", executor="dask"
    )

    assert [run.status for run in runs] == ["finished", "finished"], [run.error for run in runs]
    first, second = runs
    assert (first.executor, first.inputs) == ("dask", {"data": "customers@v2"})
    assert [point.step for point in first.history("score")] == [0, 10, 20]
    assert [point.value for point in first.history("score")[::2]] == [3, 5]
    assert math.isnan(first.history("score")[1].value)
    assert runs.best().id == second.id
    assert first.parameters == {"data": "customers@v2", "n": 1, "found": "here"}
    assert first.tags == {"team": "growth"}
    assert list(first.artifacts["seen"].load()["spent"]) == [0, 10, 20]
    where = Path(first.artifacts["where"].load()["folder"])
    assert not where.is_relative_to(project.root)
    assert not where.exists()  # nothing is left there
    committed = [project.datasets.get(run.outputs[0]).load() for run in runs]
    assert [list(frame["spent"]) for frame in committed] == [[0, 20, 40], [0, 40, 80]]
    assert first.outputs != second.outputs
    assert first.sources() == {"notebooks/features.py": "def double(x):\n    return x * 2\n"}
    assert first.executed_notebook() is not None
    assert first.environment()["distributions"]["distributed"]
    assert project.audit.verify().ok


def test_a_run_fails_there_as_it_would_here(
    make_project: MakeProject, write_notebook: WriteNotebook, tmp_path: Path, away: str
) -> None:
    project = make_project(with_remote(tmp_path / "remote"))
    write_notebook(project.root / "broken.ipynb", "n = 1", "import jupyter_mlops", "1 / 0")
    commit_customers(project, 7)
    write_notebook(project.root / "train.ipynb", *TRAIN)

    (broken,) = project.runs.execute("broken.ipynb", executor="dask")
    (lacking,) = project.runs.execute("train.ipynb", executor="dask")

    assert broken.error is not None
    assert (broken.status, broken.error.name, broken.error.cell) == ("failed", "ZeroDivisionError", 2)
    assert broken.executed_notebook() is not None
    assert "customers@v1 cannot be fetched" in str(lacking.error)  # it was not pushed


def test_a_run_whose_worker_is_killed_is_tried_again(
    make_project: MakeProject, write_notebook: WriteNotebook, tmp_path: Path, away: str
) -> None:
    project = make_project()
    write_notebook(project.root / "waiting.ipynb", *WAITING)
    began = tmp_path / "began"
    began.mkdir()
    with executing(project, began):
        (first,) = eventually(lambda: list(began.glob("*-began")))
        dask_worker_of(int(eventually(first.read_text))).kill()
        eventually(lambda: len(list(began.glob("*-began"))) == 2)
        (began / "go").touch()
        (run,) = eventually(lambda: ended(project))

    assert (run.status, run.tries) == ("finished", 2)
    lost = project.runs.get(first.name.partition("-")[0])
    assert lost.error is not None
    assert (lost.status, lost.error.name) == ("failed", "WorkerDied")


@pytest.mark.parametrize("way", ["stopped", "killed"])
def test_nothing_executes_on_for_a_run_that_is_over(
    make_project: MakeProject, write_notebook: WriteNotebook, tmp_path: Path, away: str, way: str
) -> None:
    project = make_project()
    write_notebook(project.root / "waiting.ipynb", *WAITING)
    began = tmp_path / "began"
    began.mkdir()
    with executing(project, began) as driver:
        (first,) = eventually(lambda: list(began.glob("*-began")))
        kernel = psutil.Process(int(eventually(first.read_text)))
        if way == "stopped":
            project.runs.stop(project.runs.search()[0])
        else:
            driver.kill()

        eventually(lambda: not alive(kernel))

    assert eventually(lambda: ended(project))[0].status == ("stopped" if way == "stopped" else "failed")


def test_where_there_is_no_cluster_one_line_says_so(
    make_project: MakeProject, write_notebook: WriteNotebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLOPS_DASK_ADDRESS", raising=False)
    project = make_project()
    write_notebook(project.root / "quick.ipynb", "n = 1")
    with pytest.raises(BadConfig, match="address of the Dask scheduler is not known"):
        project.runs.execute("quick.ipynb", executor="dask")
    declared = make_project(POLICY + '\n[executors.dask]\naddress = "tcp://127.0.0.1:9"\n')
    write_notebook(declared.root / "quick.ipynb", "n = 1")
    with pytest.raises(Unreachable, match=r"tcp://127\.0\.0\.1:9 does not answer"):
        declared.runs.execute("quick.ipynb", executor="dask")
    assert len(project.runs.search()) == len(declared.runs.search()) == 0
    with pytest.raises(BadInput, match="none of a Dask scheduler"):
        make_project(POLICY + '\n[executors.dask]\naddress = "localhost"\n')


class executing:
    """A process that executes the waiting notebook on the cluster; the test ends it."""

    def __init__(self, project: Any, folder: Path) -> None:
        self._words = [sys.executable, "-c", EXECUTE, str(project.root), str(folder)]

    def __enter__(self) -> subprocess.Popen[bytes]:
        self._process = subprocess.Popen(self._words, env={**os.environ, "MLOPS_ACTOR": ANN})
        return self._process

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


def ended(project: Any) -> list[Any]:
    """The newest run of each sweep, once no run is open any more."""
    runs = [run for sweep in project.runs.sweeps() for run in project.runs.sweep(sweep)]
    return runs if all(run.ended for run in runs) else []


def dask_worker_of(kernel: int) -> psutil.Process:
    """The cluster's process above a kernel."""
    parents = psutil.Process(kernel).parents()
    return next(each for each in parents if "spawn_main" in " ".join(each.cmdline()))


def alive(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
