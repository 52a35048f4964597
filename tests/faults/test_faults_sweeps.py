"""Sweeps on warm kernels whose processes are killed: nothing is left, nothing goes on, all of it is told."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from jupyter_mlops.project import Project

from ..conftest import MakeProject
from ..gates import Gates
from ..runs.conftest import WriteNotebook, eventually, write_notebook

__all__ = ["write_notebook"]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="kernels are forked on Linux only")

# what it starts leaves its session; then it waits
WAITING = (
    "n = 0\nfolder = ''",
    "import pathlib, subprocess, time\nimport jupyter_mlops as mlops\n"
    "subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
    "mlops.log_metric('started', n)",
    "while not (pathlib.Path(folder) / str(n)).exists():\n    time.sleep(0.02)\nmlops.log_metric('score', n)",
)
OWNER = """
import sys
from jupyter_mlops.project import open_project
with open_project(sys.argv[1], "ann@example.com") as project:
    project.runs.execute(sys.argv[2], {"folder": sys.argv[3]}, grid={"n": [1, 2, 3]}, workers=2)
"""


def started(project: Project) -> list[str]:
    return [run.id for run in project.runs.search() if "started" in run.metrics]


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def words_of(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def test_a_killed_owner_takes_all_of_its_sweep_with_it(
    make_project: MakeProject, write_notebook: WriteNotebook, gates: Gates
) -> None:
    project = make_project()
    notebook = write_notebook(project.root / "waiting.ipynb", *WAITING)
    words = [sys.executable, "-c", OWNER, str(project.root), str(notebook), str(gates.folder)]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as owner:
        eventually(lambda: len(started(project)) == 2)
        family = psutil.Process(owner.pid).children(recursive=True)
        names = [words_of(each) for each in family]
        assert names.count("sleep 600") == 2
        # two templates; a process and a kernel of each run, with a keeper each
        assert len(names) >= 2 + 2 * 4 + 2, names
        config = next(name for name in names if '"socket": "' in name)
        sockets = Path(config.partition('"socket": "')[2].partition('"')[0]).parent
        assert sockets.is_dir()
        owner.kill()
        killed = time.monotonic()
    eventually(lambda: not any(lives(each) for each in family))
    print(f"no process was left after {time.monotonic() - killed:.2f} s")
    runs = project.runs.search()
    assert sorted(run.status for run in runs) == ["failed", "failed", "stopped"]
    assert all("was killed" in str(run.error) for run in runs if run.id in started(project))
    eventually(lambda: not sockets.exists())


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_is_killed_at_any_moment_each_run_comes_to_an_end_that_is_told(
    make_project: MakeProject, write_notebook: WriteNotebook, seed: int
) -> None:
    project = make_project()
    notebook = write_notebook(
        project.root / "n.ipynb",
        "n = 0",
        "import time\nimport jupyter_mlops as mlops",
        "time.sleep(0.3)\nmlops.log_metric('n', n)",
    )
    before = set(psutil.Process().children(recursive=True))
    chance, done, killed = random.Random(seed), threading.Event(), []

    def kill_now_and_then() -> None:
        while not done.wait(chance.uniform(0.05, 0.6)):
            family = sorted(set(psutil.Process().children(recursive=True)) - before, key=lambda p: p.pid)
            if family and len(killed) < 8:
                victim = chance.choice(family)
                killed.append(words_of(victim)[:200])
                os.kill(victim.pid, signal.SIGKILL)

    killer = threading.Thread(target=kill_now_and_then)
    killer.start()
    try:
        runs = project.runs.execute(notebook, grid={"n": list(range(6))}, workers=2, retries=8)
    finally:
        done.set()
        killer.join()
    assert len(killed) >= 3
    assert [(run.status, run.metrics["n"]) for run in runs] == [("finished", n) for n in range(6)], killed
    lost = project.runs.search("status = 'failed'")
    assert {run.error.name for run in lost if run.error} <= {"ProcessKilled", "KernelDied"}
    assert len(runs) + len(lost) == len(project.runs.search(limit=None))
    eventually(lambda: set(psutil.Process().children(recursive=True)) <= before)
    assert not list((project.state / "runs").iterdir())
    assert project.audit.verify().ok


def test_a_cell_that_deletes_its_folder_fails_the_runs_that_need_it(
    make_project: MakeProject, write_notebook: WriteNotebook
) -> None:
    project = make_project()
    notebook = write_notebook(
        project.root / "deep" / "n.ipynb",
        "n = 0",
        "import os, shutil\nimport jupyter_mlops as mlops\nmlops.log_metric('n', n)\n"
        "if n == 2:\n    shutil.rmtree(os.getcwd())",
        "mlops.log_metric('after', n)",
    )
    runs = project.runs.execute(notebook, grid={"n": [1, 2, 3]}, workers=1)
    first, second, third = runs
    assert (first.status, second.status, third.status) == ("finished", "finished", "failed")
    assert (first.warm, second.warm) == (True, True)
    assert second.metrics == {"n": 2.0, "after": 2.0}
    assert second.executed_notebook() is not None
    assert third.error is not None
    assert str(notebook.parent.relative_to(project.root)) in third.error.message
    assert runs.sweep is not None
    assert runs.sweep.status == "finished"
