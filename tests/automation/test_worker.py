"""Queued runs are executed by workers, each to one end, whatever becomes of the workers."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from jupyter_mlops.errors import Conflict
from jupyter_mlops.project import Project

from ..conftest import ANN, POLICY, MakeProject, fresh_database
from ..gates import Gates
from ..runs.conftest import WriteNotebook, commit_customers, eventually, verbs

QUICK = ("n = 1", "import jupyter_mlops as mlops\nmlops.log_metric('score', 10 * n)")
# runs until a file of its number appears; says which process it is
WAITING = (
    "n = 0\nfolder = ''",
    """
import os, pathlib, time
import jupyter_mlops as mlops
mlops.log_metric("started", os.getpid())
while not (pathlib.Path(folder) / str(n)).exists():
    time.sleep(0.05)
mlops.log_metric("score", 10 * n)
""",
)
WORK = """
import sys
from datetime import UTC, datetime, timedelta
from jupyter_mlops.automation.worker import work
from jupyter_mlops.project import open_project
behind = timedelta(hours=float(sys.argv[2]))
with open_project(sys.argv[1], "ci@example.com", lambda: datetime.now(UTC) - behind) as project:
    work(project, 1, lease=2.0)
"""
TEAM = POLICY.replace("[people]", '[people]\ncontributor = ["ci@example.com"]')


@pytest.fixture
def crew() -> Iterator[ExitStack]:
    """Whatever workers a test starts; none of them outlives it."""
    with ExitStack() as stack:
        yield stack


def mlops(project: Project, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(project, *words), capture_output=True, text=True, check=False, env=as_ann())


def as_ann() -> dict[str, str]:
    return {**os.environ, "MLOPS_ACTOR": ANN}


def command(project: Project, *words: str) -> list[str]:
    return [sys.executable, "-m", "jupyter_mlops", "--project", str(project.root), *words]


@contextmanager
def started(words: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, env=as_ann()) as process:
        try:
            yield process
        finally:
            process.kill()


def worker(crew: ExitStack, project: Project, *words: str) -> subprocess.Popen[bytes]:
    return crew.enter_context(started(command(project, "worker", *words)))


def hasty_worker(crew: ExitStack, project: Project, behind: float = 0) -> subprocess.Popen[bytes]:
    """A worker with leases of two seconds, whose clock is so many hours behind."""
    return crew.enter_context(started([sys.executable, "-c", WORK, str(project.root), str(behind)]))


def at_work(project: Project) -> list[str]:
    """The runs whose notebook waits at its gate."""
    return [run.id for run in project.runs.search() if run.status == "running" and "started" in run.metrics]


def workers_of(project: Project) -> list[str]:
    """Which workers took up runs, one a run."""
    return [row["worker"] for row in project.store.all("SELECT worker FROM runs WHERE worker IS NOT NULL")]


def kernels_of(project: Project) -> list[int]:
    """The kernels of this project that live, out of those that ever said who they are."""
    said = [int(run.metrics["started"]) for run in project.runs.search() if "started" in run.metrics]
    return [pid for pid in said if is_alive(pid)]


def is_alive(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def test_a_detached_sweep_is_executed_by_a_worker(project: Project, write_notebook: WriteNotebook) -> None:
    write_notebook(project.root / "quick.ipynb", *QUICK)

    asked = mlops(project, "run", "quick.ipynb", "--grid", "n=1,2,3", "--maximize", "score", "--detach")

    assert asked.returncode == 0, asked.stderr
    (sweep,) = project.runs.sweeps("quick")
    assert sweep.id in asked.stdout
    assert "mlops worker" in asked.stdout
    waiting = project.runs.sweep(sweep.id)
    assert [run.status for run in waiting.wait(timeout=0.1)] == ["queued"] * 3

    done = mlops(project, "worker", "--once", "--workers", "2")

    assert done.returncode == 0, done.stderr
    ended = waiting.wait(timeout=60)
    assert [run.status for run in ended] == ["finished"] * 3
    assert ended.best().metrics["score"] == 30
    assert ended.sweep is not None
    assert ended.sweep.status == "finished"
    assert verbs(project, f"sweep:{sweep.id}") == ["sweep.started", "sweep.finished"]
    assert verbs(project, f"run:{ended[0].id}") == ["run.started", "run.finished"]
    assert mlops(project, "worker", "--once").returncode == 0  # nothing is left: it ends at once


def test_two_workers_share_a_queue(
    project: Project, write_notebook: WriteNotebook, gates: Gates, crew: ExitStack
) -> None:
    write_notebook(project.root / "waiting.ipynb", *WAITING)
    runs = project.runs.execute(
        "waiting.ipynb", {"folder": str(gates.folder)}, grid={"n": [1, 2, 3, 4]}, wait=False
    )
    both = [worker(crew, project, "--once", "--workers", "1") for _ in range(2)]
    eventually(lambda: len(at_work(project)) == 2)
    assert len(set(workers_of(project))) == 2

    gates.open(1, 2, 3, 4)
    ended = runs.wait(timeout=120)

    assert [run.status for run in ended] == ["finished"] * 4
    assert [each.wait(60) for each in both] == [0, 0]
    told = Counter(event.verb for event in project.events())
    assert (told["run.started"], told["run.finished"], told["sweep.finished"]) == (4, 4, 1)


def test_the_run_of_a_killed_worker_is_taken_up_again_or_fails(
    make_project: MakeProject, write_notebook: WriteNotebook, gates: Gates, crew: ExitStack
) -> None:
    project = make_project()
    write_notebook(project.root / "waiting.ipynb", *WAITING)
    given = {"folder": str(gates.folder)}
    patient = project.runs.execute("waiting.ipynb", given | {"n": 1}, wait=False)
    strict = project.runs.execute("waiting.ipynb", given | {"n": 2}, wait=False, retries=0)
    killed = worker(crew, project, "--workers", "2")
    eventually(lambda: len(at_work(project)) == 2)

    killed.kill()
    killed.wait()

    # nobody works, and everybody sees it within seconds
    eventually(lambda: len(project.runs.search("attributes.status = 'failed'")) == 2, seconds=20)
    eventually(lambda: not kernels_of(project))

    gates.open(1, 2)
    assert worker(crew, project, "--once").wait(120) == 0
    (again,) = patient.wait(timeout=10)
    assert (again.status, again.tries) == ("finished", 2)
    assert again.id != patient[0].id
    first = project.runs.get(patient[0].id)
    assert (first.status, first.error and first.error.name) == ("failed", "WorkerLost")
    assert set(first.metrics) == {"started"}  # what was logged is kept
    (lost,) = strict.wait(timeout=10)
    assert (lost.id, lost.status) == (strict[0].id, "failed")
    assert lost.sweep is not None
    assert project.runs.sweep(lost.sweep).sweep.status == "finished"  # type: ignore[union-attr]


def test_a_run_whose_kernel_was_killed_is_tried_again_by_its_worker(
    make_project: MakeProject, write_notebook: WriteNotebook, tmp_path: Path
) -> None:
    project = make_project()
    cells = (
        "marker = ''",
        "import os, pathlib\nfirst = not pathlib.Path(marker).exists()\npathlib.Path(marker).touch()",
        "if first:\n    os.kill(os.getpid(), 9)",
    )
    write_notebook(project.root / "dying.ipynb", *cells)
    runs = project.runs.execute("dying.ipynb", {"marker": str(tmp_path / "marker")}, wait=False)

    assert mlops(project, "worker", "--once").returncode == 0

    (ended,) = runs.wait(timeout=10)
    assert (ended.status, ended.tries) == ("finished", 2)
    died = project.runs.get(runs[0].id)
    assert (died.status, died.error and died.error.name, died.reason) == (
        "failed",
        "KernelDied",
        "tried again",
    )


def test_a_worker_that_was_away_too_long_overwrites_nothing(
    make_project: MakeProject, write_notebook: WriteNotebook, gates: Gates, crew: ExitStack
) -> None:
    project = make_project(TEAM)
    write_notebook(project.root / "waiting.ipynb", *WAITING)
    runs = project.runs.execute("waiting.ipynb", {"n": 1, "folder": str(gates.folder)}, wait=False)
    frozen = hasty_worker(crew, project)
    eventually(lambda: at_work(project) == [runs[0].id])
    os.kill(frozen.pid, signal.SIGSTOP)

    # its lease is over for who watches it, although by that one's clock it lasts an hour longer
    hasty_worker(crew, project, behind=1)
    eventually(lambda: at_work(project) not in ([], [runs[0].id]))
    gates.open(1)
    os.kill(frozen.pid, signal.SIGCONT)
    (ended,) = runs.wait(timeout=60)

    assert (ended.status, ended.tries) == ("finished", 2)
    frozen.terminate()
    frozen.wait(60)
    assert project.runs.get(runs[0].id).status == "failed"
    assert verbs(project, f"run:{runs[0].id}") == ["run.started", "run.failed"]
    assert verbs(project, f"run:{ended.id}") == ["run.started", "run.finished"]
    eventually(lambda: not kernels_of(project))


def test_a_worker_that_is_stopped_gives_back_what_it_executes(
    make_project: MakeProject, write_notebook: WriteNotebook, gates: Gates, crew: ExitStack
) -> None:
    project = make_project()
    write_notebook(project.root / "waiting.ipynb", *WAITING)
    runs = project.runs.execute(
        "waiting.ipynb", {"folder": str(gates.folder)}, grid={"n": [1, 2]}, wait=False, retries=0
    )
    leaving = worker(crew, project, "--workers", "1")
    eventually(lambda: at_work(project) == [runs[0].id])

    leaving.terminate()

    assert leaving.wait(30) == 128 + signal.SIGTERM
    assert not kernels_of(project)
    left = runs.wait(timeout=0)
    assert [(run.status, run.tries) for run in left] == [("queued", 1), ("queued", 1)]
    stopped = project.runs.get(runs[0].id)
    assert (stopped.status, "worker was stopped" in stopped.reason) == ("stopped", True)

    gates.open(1, 2)
    assert worker(crew, project, "--once").wait(120) == 0
    assert [run.status for run in runs.wait(timeout=10)] == ["finished", "finished"]


def test_detached_runs_are_stopped_from_any_process(
    make_project: MakeProject, write_notebook: WriteNotebook, gates: Gates, crew: ExitStack
) -> None:
    project = make_project()
    write_notebook(project.root / "waiting.ipynb", *WAITING)
    runs = project.runs.execute(
        "waiting.ipynb", {"folder": str(gates.folder)}, grid={"n": [1, 2, 3]}, wait=False
    )
    worker(crew, project, "--workers", "1")
    eventually(lambda: at_work(project) == [runs[0].id])

    assert mlops(project, "runs", "stop", runs[1].id).returncode == 0  # a queued one
    assert mlops(project, "runs", "stop", runs[0].id).returncode == 0  # the running one
    eventually(lambda: at_work(project) == [runs[2].id])
    with pytest.raises(Conflict, match="stopped already"):
        project.runs.stop(runs[0])
    assert mlops(project, "runs", "stop", str(runs.id)).returncode == 0

    ended = runs.wait(timeout=10)
    assert [run.status for run in ended] == ["stopped"] * 3
    eventually(lambda: not kernels_of(project))


def test_a_worker_leaves_to_others_what_it_cannot_execute(
    make_project: MakeProject, write_notebook: WriteNotebook
) -> None:
    project = make_project()
    write_notebook(project.root / "notebooks" / "quick.ipynb", *QUICK)
    runs = project.runs.execute("notebooks/quick.ipynb", wait=False)
    shutil.rmtree(project.root / "notebooks")

    refused = mlops(project, "worker", "--once")

    assert refused.returncode == 3
    assert "the notebook's folder notebooks is gone" in refused.stderr
    assert runs.wait(timeout=0)[0].status == "queued"


def test_a_worker_on_another_machine_fetches_what_it_needs(
    make_project: MakeProject, write_notebook: WriteNotebook, postgresql: str, tmp_path: Path
) -> None:
    toml = POLICY.replace("[people]", f"remote = {json.dumps(str(tmp_path / 'remote'))}\n\n[people]")
    store = fresh_database(postgresql)
    here, there = make_project(toml, store=store), make_project(toml, store=store)
    commit_customers(here, 3)
    here.datasets.push("customers")
    cells = (
        'data = "customers@latest"  # dataset',
        "import jupyter_mlops as mlops\nmlops.log_metric('rows', len(mlops.load_dataset(data)))",
    )
    write_notebook(here.root / "rows.ipynb", *cells)
    runs = here.runs.execute("rows.ipynb", wait=False)

    done = mlops(there, "worker", "--once")

    assert done.returncode == 0, done.stderr
    (ended,) = runs.wait(timeout=10)
    assert (ended.status, ended.metrics, ended.actor) == ("finished", {"rows": 3.0}, ANN)
    assert ended.inputs == {"data": "customers@v1"}
    assert there.datasets.get("customers@v1").load().shape == (3, 2)
