"""A sweep survives whatever ends its processes: what was finished stays, the rest is executed on resume."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from jupyter_mlops import lifeline
from jupyter_mlops.errors import BadInput, Conflict, NotFound, Refused
from jupyter_mlops.project import Project, open_project
from jupyter_mlops.runs import Run

from ..gates import Gates
from .conftest import WriteNotebook, commit_customers, eventually, verbs

# runs until a file of its number appears
WAITING = (
    "n = 0\nfolder = ''",
    """
import pathlib, time
import jupyter_mlops as mlops
print("waiting for", n, flush=True)
mlops.log_metric("started", n)
while not (pathlib.Path(folder) / str(n)).exists():
    time.sleep(0.05)
mlops.log_metric("score", 10 * n)
""",
)
EXECUTE = """
import sys
from jupyter_mlops.project import open_project
project = open_project(sys.argv[1], "ann@example.com")
if sys.argv[2] == "resume":
    project.runs.resume(sys.argv[3])
else:
    given, grid = {"folder": sys.argv[3]}, {"n": [1, 2, 3, 4]}
    project.runs.execute(sys.argv[2], given, grid=grid, maximize="score", workers=2)
project.close()
"""


@pytest.fixture
def waiting(project: Project, write_notebook: WriteNotebook, gates: Gates) -> Iterator[Path]:
    """A notebook that runs until its gate opens; nothing that executes it outlives the test."""
    yield write_notebook(project.root / "waiting.ipynb", *WAITING)
    eventually(lambda: not processes_of(project))


@contextmanager
def executing(project: Project, *arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    """A process that executes a sweep; what the test leaves of it is killed."""
    words = [sys.executable, "-c", EXECUTE, str(project.root), *map(str, arguments)]
    with subprocess.Popen(words) as process:
        try:
            yield process
        finally:
            process.kill()


def processes_of(project: Project) -> list[psutil.Process]:
    """The processes that execute runs of this project."""
    found = []
    for process in psutil.process_iter():
        try:
            environment = process.environ()
            if environment.get("MLOPS_RUN") and environment.get("MLOPS_PROJECT") == str(project.root):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return [process for process in found if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def waiting_runs(project: Project) -> list[str]:
    """The runs whose notebook waits at its gate."""
    return [
        run.id for run in project.runs.search() if "started" in run.metrics and "score" not in run.metrics
    ]


def how_far(run: Run) -> str:
    """What the executed notebook shows of a run's last cell; nothing where none was kept."""
    document = run.executed_notebook()
    cells = document["cells"] if document else [{"outputs": []}]
    return "".join("".join(output.get("text", "")) for output in cells[-1]["outputs"])


def test_a_killed_sweep_is_resumed_with_what_it_lacks(project: Project, waiting: Path, gates: Gates) -> None:
    with executing(project, waiting, gates.folder) as process:
        gates.open(1)
        eventually(lambda: len(project.runs.search("status = 'finished'")) == 1)
        eventually(lambda: len(waiting_runs(project)) == 2)
        process.kill()
    eventually(lambda: not processes_of(project))

    (sweep,) = project.runs.sweeps("waiting")
    assert sweep.status == "stopped"
    # forked processes are told by their locks, which they lose when they have died
    eventually(lambda: all(run.ended for run in project.runs.sweep(sweep.id)))
    seen = project.runs.sweep(sweep.id)
    assert [run.status for run in seen] == ["finished", "failed", "failed", "stopped"]
    assert "was killed" in str(seen[1].error)
    assert "sweep.finished" not in verbs(project, f"sweep:{sweep.id}")

    gates.open(2, 3, 4)
    finished = seen[0]
    resumed = project.runs.resume(sweep.id)
    assert [run.status for run in resumed] == ["finished"] * 4, [run.error for run in resumed]
    assert resumed[0] == finished
    assert list((project.state / "runs").iterdir()) == []
    assert [run.parameters["n"] for run in resumed] == [1, 2, 3, 4]
    assert resumed.best().parameters["n"] == 4
    assert len(project.runs.search("status = 'finished'")) == 4
    assert len(project.runs.search()) == 6  # two were killed, one never started and was taken up again
    assert verbs(project, f"sweep:{sweep.id}") == ["sweep.started", "sweep.resumed", "sweep.finished"]
    (told,) = [event for event in project.events(about=f"sweep:{sweep.id}") if event.verb == "sweep.finished"]
    assert (told.data["finished"], told.data["failed"], told.data["value"]) == (4, 0, 40.0)
    assert project.runs.resume(sweep.id).items == resumed.items
    assert verbs(project, f"sweep:{sweep.id}").count("sweep.finished") == 1
    assert project.runs.get(f"{sweep.id}@best") == project.runs.get("waiting@best") == resumed[3]
    assert project.audit.verify().ok


@pytest.mark.parametrize("seed", [1, 2])
def test_kills_at_any_moment_end_in_one_finished_run_a_set(
    make_project, write_notebook: WriteNotebook, gates: Gates, seed: int
) -> None:
    project = make_project()
    notebook = write_notebook(project.root / "waiting.ipynb", *WAITING)
    gates.open(1, 2, 3, 4)
    chance = random.Random(seed)
    what: tuple[object, ...] = (notebook, gates.folder)
    for _ in range(3):
        with executing(project, *what) as process:
            eventually(lambda: project.runs.sweeps("waiting"))
            # anywhere between the first queued run and the last record
            end = time.monotonic() + chance.uniform(0, 6)
            while process.poll() is None and time.monotonic() < end:
                time.sleep(0.01)
            process.kill()
        eventually(lambda: not processes_of(project))
        what = ("resume", project.runs.sweeps("waiting")[0].id)
    with executing(project, *what) as process:
        assert process.wait() == 0
    (sweep,) = project.runs.sweeps("waiting")
    finished = project.runs.search("status = 'finished'", "parameters.n")
    assert [run.parameters["n"] for run in finished] == [1, 2, 3, 4]
    assert [run.metrics["score"] for run in finished] == [10, 20, 30, 40]
    assert len(project.runs.search("status = 'running' or status = 'queued'")) == 0
    assert verbs(project, f"sweep:{sweep.id}").count("sweep.finished") == 1
    assert project.audit.verify().ok


def kill_the_first(project: Project) -> str:
    """Kill the process that executes the run of n = 1 and return the run's id."""
    victim = next(run for run in project.runs.search("status = 'running'") if run.parameters["n"] == 1)
    os.kill(int((project.state / "runs" / victim.id / "pid").read_text("utf-8")), signal.SIGKILL)
    return victim.id


def test_a_killed_run_is_tried_once_more_and_the_others_go_on(
    project: Project, waiting: Path, gates: Gates
) -> None:
    with executing(project, waiting, gates.folder) as process:
        eventually(lambda: len(waiting_runs(project)) == 2)
        first = kill_the_first(project)
        again = eventually(
            lambda: [
                run
                for run in project.runs.search("status = 'running'")
                if run.tries == 2 and run.id in waiting_runs(project)
            ]
        )
        assert kill_the_first(project) == again[0].id
        gates.open(1, 2, 3, 4)
        assert process.wait() == 0
    (sweep,) = project.runs.sweeps()
    runs = project.runs.sweep(sweep.id)
    assert [(run.status, run.tries) for run in runs] == [("failed", 2), *[("finished", 1)] * 3]
    for id in (first, runs[0].id):
        error = project.runs.get(id).error
        assert error is not None
        assert (error.name, error.message) == ("ProcessKilled", "the run's process was killed by SIGKILL")
    assert project.runs.get(first).reason == "tried again"
    assert runs[0].id == again[0].id
    assert verbs(project, f"sweep:{sweep.id}") == ["sweep.started", "sweep.finished"]


def test_ctrl_c_stops_everything_and_the_sweep_can_be_resumed(
    project: Project, waiting: Path, gates: Gates
) -> None:
    with executing(project, waiting, gates.folder) as process:
        eventually(lambda: len(waiting_runs(project)) == 2)
        process.send_signal(signal.SIGINT)
        assert process.wait() != 0
    assert not processes_of(project)
    (sweep,) = project.runs.sweeps()
    assert sweep.status == "stopped"
    assert [run.status for run in project.runs.sweep(sweep.id)] == ["stopped"] * 4
    assert verbs(project, f"sweep:{sweep.id}") == ["sweep.started", "sweep.stopped"]
    assert [how_far(run) for run in project.runs.sweep(sweep.id)] == [
        "waiting for 1\n",
        "waiting for 2\n",
        "",
        "",
    ]
    gates.open(1, 2, 3, 4)
    resumed = project.runs.resume(sweep.id)
    assert [run.status for run in resumed] == ["finished"] * 4
    assert [how_far(run) for run in resumed] == [f"waiting for {n}\n" for n in (1, 2, 3, 4)]


def test_somebody_else_stops_a_run_and_then_the_sweep(
    project: Project, waiting: Path, gates: Gates, as_actor
) -> None:
    bo, dee = as_actor(project, "bo@example.com"), as_actor(project, "dee@example.com")
    with executing(project, waiting, gates.folder) as process:
        eventually(lambda: len(waiting_runs(project)) == 2)
        first = next(run for run in project.runs.search("status = 'running'") if run.parameters["n"] == 1)
        with pytest.raises(Refused, match="operator"):
            dee.runs.stop(first.id)
        assert bo.runs.stop(first.id[:6], "too dear").status == "stopped"
        eventually(lambda: len([run for run in waiting_runs(project) if run != first.id]) == 2)
        with pytest.raises(Conflict, match="is stopped already"):
            bo.runs.stop(first)
        with pytest.raises(Conflict, match="is being executed by another process"):
            project.runs.resume(str(first.sweep))
        stopped = bo.runs.stop(str(first.sweep), "enough")
        assert [run.status for run in stopped] == ["stopped"] * 4
        assert process.wait() == 0
    (sweep,) = project.runs.sweeps()
    assert sweep.status == "stopped"
    (told,) = [event for event in project.events(about=f"run:{first.id}") if event.verb == "run.stopped"]
    assert (told.actor, told.data["reason"]) == ("bo@example.com", "too dear")
    kept = project.runs.get(first.id)
    assert (kept.status, kept.reason, kept.error, kept.warm) == ("stopped", "too dear", None, True)
    assert how_far(kept) == "waiting for 1\n"
    with pytest.raises(Conflict, match="is stopped already"):
        bo.runs.stop(sweep)
    with pytest.raises(NotFound):
        bo.runs.stop("zzzzzzzz")


def test_failed_sets_are_repeated_on_resume(
    make_project, write_notebook: WriteNotebook, tmp_path: Path
) -> None:
    project = make_project()
    commit_customers(project, 2)
    notebook = write_notebook(
        project.root / "n.ipynb",
        "n = 0\nfile = ''\ndata = 'customers'  # dataset",
        "import os, pathlib\nimport jupyter_mlops as mlops\nassert n == 1 or pathlib.Path(file).exists()\n"
        "mlops.log_metric('rows', len(mlops.load_dataset(data)))\n"
        "mlops.log_metric('threads', int(os.environ.get('OMP_NUM_THREADS', -1)))",
    )
    runs = project.runs.execute(notebook, {"file": str(tmp_path / "there")}, grid={"n": [1, 2]}, workers=2)
    assert [run.status for run in runs] == ["finished", "failed"]
    notebook.unlink()  # what was recorded is executed, not what is there now
    commit_customers(project, 5)
    (tmp_path / "there").touch()
    again = project.runs.resume(runs[1])
    assert [run.status for run in again] == ["finished", "finished"]
    assert again[0] == runs[0]
    assert again[1] != runs[1]
    assert again[1].inputs == {"data": "customers@v1"}
    # alone now, and with as many threads as when there were two: more would change the last digits
    assert again[1].metrics == again[0].metrics == {"rows": 2.0, "threads": again[0].metrics["threads"]}
    assert again[0].metrics["threads"] > 0
    with project.runs.start("tracked") as run:
        pass
    with pytest.raises(NotFound, match="is no sweep"):
        project.runs.resume(run)
    with pytest.raises(BadInput, match="is a sweep"):
        project.runs.get(str(runs.id))


def test_nothing_a_notebook_starts_outlives_its_run(make_project, write_notebook: WriteNotebook) -> None:
    project = make_project()
    notebook = write_notebook(
        project.root / "n.ipynb",
        "n = 0",
        "import subprocess, sys\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)",
    )
    (run,) = project.runs.execute(notebook)
    assert run.status == "finished"
    eventually(lambda: not processes_of(project))


def test_several_sweeps_run_side_by_side_in_threads(project: Project, write_notebook: WriteNotebook) -> None:
    notebook = write_notebook(
        project.root / "n.ipynb", "n = 0", "import jupyter_mlops as m\nm.log_metric('n', n)"
    )
    found = []

    def execute(n: int) -> None:
        found.append(project.runs.execute(notebook, {"n": n}, experiment=f"e{n}", workers=1))

    threads = [threading.Thread(target=execute, args=(n,)) for n in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(run.metrics["n"] for runs in found for run in runs) == [1, 2]
    assert project.audit.verify().ok


def test_a_killed_sweep_leaves_no_mark_on_others(project: Project) -> None:
    assert lifeline.end_marked("MLOPS_RUN", ["never"]) == 0
    other = open_project(project.root, "ann@example.com")
    with other.runs.start("e") as run:
        assert project.runs.settle() == 0
        assert project.runs.get(run.id).status == "running"
    other.close()
    assert os.environ.get("MLOPS_RUN") is None
