"""Sweeps run on warm kernels by themselves, say which runs did not, and keep every promise of cold ones."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest

from jupyter_mlops.project import Project
from jupyter_mlops.runs.execution.executor import Outcome, Task
from jupyter_mlops.runs.execution.local import LocalExecutor
from jupyter_mlops.runs.liveness import Liveness
from jupyter_mlops.views.leaderboard import failing_line

from ..conftest import WriteNotebook, eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="kernels are forked on Linux only")


@pytest.fixture
def executor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in [name for name in os.environ if name.startswith("PYTEST_")]:
        monkeypatch.delenv(name)
    made = LocalExecutor(tmp_path, tmp_path / "state", "ann@example.com", Liveness(tmp_path / "state"))
    (tmp_path / "state").mkdir()
    yield made
    made.close()


def task(write: WriteNotebook, folder: Path, *cells: str, id: str = "r1", **more: Any) -> Task:
    """One run of a notebook of these cells, the first of which declares parameters."""
    data = write(folder / "n.ipynb", *cells).read_bytes()
    return Task(id, "e", data, "n.ipynb", "python3", str(folder), {"n": 2}, cells, {}, workers=2, **more)


def never() -> bool:
    return False


def test_the_runs_of_a_sweep_are_warm_and_one_by_itself_is_not(
    make_project: Any, write_notebook: WriteNotebook
) -> None:
    project: Project = make_project()
    notebook = write_notebook(project.root / "n.ipynb", "n = 0", "import json\nprint(n)")
    sweep = project.runs.execute(notebook, grid={"n": [1, 2]})
    assert [(run.status, run.warm, run.why_cold) for run in sweep] == [("finished", True, "")] * 2
    assert all(run.environment()["hash_seed"] for run in sweep)
    (alone,) = project.runs.execute(notebook)
    assert (alone.status, alone.warm, alone.why_cold) == ("finished", False, "a run by itself")
    cold = project.runs.execute(notebook, grid={"n": [1, 2]}, cold=True)
    assert [(run.warm, run.why_cold) for run in cold] == [(False, "asked for")] * 2


def test_a_doubtful_notebook_runs_cold_and_says_why(
    executor: LocalExecutor, tmp_path: Path, write_notebook: WriteNotebook
) -> None:
    asked = task(write_notebook, tmp_path, "n = 1", "import os\nos.environ['A'] = 'b'", "import json")
    executor.prepare([asked, asked])
    outcome = executor.run(asked, never)
    assert outcome is not None
    assert (outcome.error, outcome.warm) == (None, False)
    assert outcome.why == "the notebook uses os.environ before its last import"


def test_templates_that_are_killed_at_any_time_fail_no_run(
    executor: LocalExecutor, tmp_path: Path, write_notebook: WriteNotebook
) -> None:
    gate = tmp_path / "gate"
    cells = (
        "n = 1",
        f"import pathlib, time\nwhile not pathlib.Path({str(gate)!r}).exists():\n    time.sleep(0.05)",
    )
    first, second = (task(write_notebook, tmp_path, *cells, id=id) for id in ("r1", "r2"))
    executor.prepare([first, second])
    outcomes: list[Outcome | None] = []
    thread = threading.Thread(target=lambda: outcomes.append(executor.run(first, never)))
    thread.start()
    eventually(lambda: (tmp_path / "state" / "runs" / "r1" / "pid").exists())
    for each in psutil.Process().children():
        if each.status() != psutil.STATUS_ZOMBIE and "template.py" in " ".join(each.cmdline()):
            each.kill()
    gate.touch()
    thread.join(120)
    outcomes.append(executor.run(second, never))
    assert [outcome and outcome.error for outcome in outcomes] == [None, None]


def test_a_killed_run_is_told_within_seconds_and_may_be_tried_again(
    executor: LocalExecutor, tmp_path: Path, write_notebook: WriteNotebook
) -> None:
    asked = task(write_notebook, tmp_path, "n = 1", "import time\ntime.sleep(600)")
    executor.prepare([asked, asked])
    outcomes: list[Outcome | None] = []
    thread = threading.Thread(target=lambda: outcomes.append(executor.run(asked, never)))
    thread.start()
    file = tmp_path / "state" / "runs" / "r1" / "pid"
    pid = int(eventually(lambda: file.exists() and file.read_text()))
    liveness = Liveness(tmp_path / "state")
    eventually(lambda: liveness.held("r1"))
    os.kill(pid, signal.SIGKILL)
    thread.join(60)
    assert not thread.is_alive()
    assert not liveness.held("r1")
    (outcome,) = outcomes
    assert outcome is not None
    assert outcome.error is not None
    assert (outcome.error.name, outcome.died) == ("ProcessKilled", True)


def test_a_run_over_its_limit_is_ended_and_what_it_did_is_kept(
    executor: LocalExecutor, tmp_path: Path, write_notebook: WriteNotebook
) -> None:
    # the limit counts from the start of the run: long enough for the first cell, whatever the machine
    cells = ("n = 1", "print('first')", "import time\ntime.sleep(600)")
    asked = task(write_notebook, tmp_path, *cells, seconds=12.0)
    executor.prepare([asked, asked])
    outcome = executor.run(asked, never)
    assert outcome is not None
    assert outcome.error is not None
    assert (outcome.error.name, outcome.error.cell) == ("TimeLimit", 2)
    assert "time.sleep" in outcome.error.source
    assert failing_line(outcome.error) == "time.sleep(600)"
    assert f"In[{outcome.error.execution}], line 2" in outcome.error.traceback
    assert outcome.executed is not None
    assert b"first" in outcome.executed
    assert not outcome.died


def test_a_group_of_exceptions_is_told_with_its_parts(
    executor: LocalExecutor, tmp_path: Path, write_notebook: WriteNotebook
) -> None:
    fails = "async def f():\n    raise ValueError('the real reason')\n"
    group = "import asyncio\nasync with asyncio.TaskGroup() as group:\n    group.create_task(f())"
    outcome = executor.run(task(write_notebook, tmp_path, "n = 1", fails, group), never)
    assert outcome is not None
    assert outcome.error is not None
    assert (outcome.error.name, outcome.error.cell) == ("ExceptionGroup", 2)
    assert outcome.error.message == "unhandled errors in a TaskGroup (1 sub-exception)"
    assert "ValueError: the real reason" in outcome.error.traceback


def test_what_a_run_by_itself_started_ends_with_it_whatever_its_environment(
    executor: LocalExecutor, tmp_path: Path, write_notebook: WriteNotebook
) -> None:
    started = tmp_path / "started"
    starts = (
        "import subprocess, sys\nsleep = 'import os, time; print(os.getpid(), flush=True); time.sleep(600)'\n"
        f"written = open({str(started)!r}, 'w')\n"
        "def begin(code):\n"
        "    subprocess.Popen([sys.executable, '-c', code], env={}, start_new_session=True, stdout=written)\n"
        "begin(sleep)\nbegin('import os; os.fork() and os._exit(0); os.setsid(); ' + sleep)"
    )
    waits = f"import time\nwhile len(open({str(started)!r}).read().split()) < 2:\n    time.sleep(0.05)"
    outcome = executor.run(task(write_notebook, tmp_path, "n = 1", starts, waits), never)
    assert outcome is not None
    assert outcome.error is None
    left = [int(pid) for pid in started.read_text().split()]
    assert len(left) == 2
    eventually(lambda: not any(map(psutil.pid_exists, left)))


def test_a_stopped_run_leaves_nothing(
    executor: LocalExecutor, tmp_path: Path, write_notebook: WriteNotebook
) -> None:
    started = tmp_path / "started"
    cells = ("n = 1", f"import pathlib, time\npathlib.Path({str(started)!r}).touch()\ntime.sleep(600)")
    asked = task(write_notebook, tmp_path, *cells)
    before = set(psutil.Process().children(recursive=True))  # other tests may lend a database to this one
    executor.prepare([asked, asked])
    outcome = executor.run(asked, started.exists)
    assert (outcome.stopped, outcome.error) == (True, None)
    assert b"KeyboardInterrupt" in (outcome.executed or b"")
    assert not list((tmp_path / "state" / "runs").iterdir())
    executor.close()
    eventually(lambda: set(psutil.Process().children(recursive=True)) <= before)


def test_the_process_of_a_run_goes_on_to_the_next_until_one_is_cold_or_it_is_killed(
    executor: LocalExecutor, tmp_path: Path, write_notebook: WriteNotebook
) -> None:
    cells = ("n = 1", "import os\nprint(os.getppid(), os.environ['MLOPS_RUN'])")

    def executed(id: str, *cells: str) -> list[str]:
        outcome = executor.run(task(write_notebook, tmp_path, *cells, id=id), never)
        assert outcome is not None
        assert outcome.executed is not None
        assert outcome.error is None
        assert outcome.warm, outcome.why
        outputs = json.loads(outcome.executed)["cells"][-1]["outputs"]
        return "".join(outputs[0]["text"]).split()

    asked = task(write_notebook, tmp_path, *cells)
    executor.prepare([asked, asked])
    keeper, run = executed("r1", *cells)
    assert run == "r1"
    assert executed("r2", *cells) == [keeper, "r2"]
    (waiting,) = executor._free
    os.kill(waiting._fork.pid, signal.SIGKILL)
    eventually(lambda: not psutil.pid_exists(int(keeper)))
    other, _ = executed("r3", *cells)
    assert other != keeper
    doubtful = task(
        write_notebook, tmp_path, "n = 1", "import sys\nsys.path.append('x')\nimport json", id="r4"
    )
    outcome = executor.run(doubtful, never)
    assert outcome is not None
    assert (outcome.error, outcome.warm) == (None, False)
    assert executor._free == []
    eventually(lambda: not psutil.pid_exists(int(other)))


def test_a_run_whose_folder_is_gone_fails_alone(
    executor: LocalExecutor, tmp_path: Path, write_notebook: WriteNotebook
) -> None:
    (tmp_path / "sub").mkdir()
    gate = tmp_path / "gate"
    waits = f"import pathlib, time\nwhile not pathlib.Path({str(gate)!r}).exists():\n    time.sleep(0.05)"
    going = task(write_notebook, tmp_path, "n = 1", waits, id="r1")
    homeless = task(write_notebook, tmp_path / "sub", "n = 1", waits, id="r2")
    executor.prepare([going, homeless])
    outcomes: list[Outcome | None] = []
    thread = threading.Thread(target=lambda: outcomes.append(executor.run(going, never)))
    thread.start()
    eventually(lambda: (tmp_path / "state" / "runs" / "r1" / "pid").exists())
    shutil.rmtree(tmp_path / "sub")
    homes = executor._templates._folder
    outcome = executor.run(homeless, never)
    assert outcome is not None
    assert outcome.error is not None
    assert (outcome.error.cell, outcome.error.message) == (None, "the notebook's folder sub is gone")
    for each in psutil.Process().children():  # a fork that went on would be another template
        if each.status() != psutil.STATUS_ZOMBIE and "template.py" in " ".join(each.cmdline()):
            eventually(lambda each=each: len(each.children()) <= 1)
    gate.touch()
    thread.join(120)
    assert homes is not None
    assert homes.exists()
    assert [outcome and (outcome.error, outcome.warm) for outcome in outcomes] == [(None, True)]


def test_templates_begin_anew_where_their_folder_was_cleared_up(
    executor: LocalExecutor, tmp_path: Path, write_notebook: WriteNotebook
) -> None:
    asked = task(write_notebook, tmp_path, "n = 1", "print(n)")
    executor.prepare([asked, asked])
    executor._templates.runner(executor._environment(asked)).address  # noqa: B018 waits until it listens
    shutil.rmtree(executor._templates._folder or "")
    outcome = executor.run(asked, never)
    assert outcome is not None
    assert (outcome.error, outcome.warm) == (None, True)


def test_an_owner_that_is_interrupted_leaves_no_folder() -> None:
    code = (
        "from jupyter_mlops.runs.execution.warm.templates import Templates\n"
        "made = Templates()\nprint(made.place('r1'))\nraise KeyboardInterrupt"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGINT, done.stderr
    assert not Path(done.stdout.strip()).parent.exists()
