"""A sweep while it executes: cut short, tried again, limited, shown, on a full disk, beside another one."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jupyter_mlops.errors import BadInput
from jupyter_mlops.project import Project
from tests.conftest import MakeProject

from .conftest import WriteNotebook, eventually, verbs

LEARNING = (
    "x = 1.0\nfolder = ''\npatient = False",
    """
import pathlib, time
import jupyter_mlops as mlops
for step in range(4):
    mlops.report(-abs(x - 3) + step / 100, step)
""",
)


def python(code: str, *arguments: object, **options) -> subprocess.CompletedProcess[str]:
    """Run ``code`` in a process of its own and return what it wrote."""
    words = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, **options)


def test_no_run_is_hopeless_before_the_step_from_which_they_are_judged(
    make_project: MakeProject, write_notebook: WriteNotebook
) -> None:
    project = make_project()
    notebook = write_notebook(
        project.root / "learn.ipynb",
        "x = 1",
        "import jupyter_mlops as mlops\nfor step in range(4):\n    mlops.report(x, step)",
    )
    runs = project.runs.execute(
        notebook, grid={"x": [5, 6, 7, 8, 9, 1]}, maximize="score", prune_after=2, workers=1
    )
    assert [run.status for run in runs] == ["finished"] * 5 + ["stopped"]
    assert runs[-1].pruned == 2
    with pytest.raises(BadInput, match="prune_after must be a step"):
        project.runs.execute(notebook, maximize="score", prune_after=-1)


def test_hopeless_runs_end_early_and_the_search_goes_on_from_what_is_recorded(
    project: Project, write_notebook: WriteNotebook
) -> None:
    notebook = write_notebook(project.root / "learn.ipynb", *LEARNING)
    request = {"space": {"x": (0.0, 100.0)}, "search": "optuna", "maximize": "score", "seed": 3, "workers": 2}
    (first,) = project.runs.execute(notebook, experiment="alone", trials=1, **request)  # type: ignore[arg-type]
    interrupted = (
        "import sys, json, os, signal, threading, time\n"
        "from jupyter_mlops.project import open_project\n"
        "project = open_project(sys.argv[1], 'ann@example.com')\n"
        "def watch():\n"
        "    while len(project.runs.search(\"status = 'finished' or status = 'stopped'\")) < 8:\n"
        "        time.sleep(0.05)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "threading.Thread(target=watch).start()\n"
        "request = json.loads(sys.argv[3]) | {'space': {'x': (0.0, 100.0)}}\n"
        "project.runs.execute(sys.argv[2], trials=11, **request)\n"
    )
    done = python(interrupted, project.root, notebook, json.dumps({**request, "space": None}))
    assert done.returncode == -signal.SIGKILL, done.stderr
    sweep = project.runs.sweeps("learn")[0]
    assert sweep.status == "stopped"
    before = {
        run.position: run for run in project.runs.sweep(sweep) if run.status == "finished" or run.pruned
    }
    assert 0 < len(before) < 11

    runs = project.runs.resume(sweep)

    assert len(runs) == 11
    assert runs.sweep is not None
    assert runs.sweep.status == "finished"
    assert runs[0].parameters["x"] == first.parameters["x"]  # the seed says so
    assert all(runs[position] == run for position, run in before.items() if position is not None)
    pruned = [run for run in runs if run.pruned is not None]
    assert pruned
    assert {run.status for run in runs} == {"finished", "stopped"}
    for run in pruned:
        assert run.status == "stopped"
        assert run.reason.startswith(f"pruned at step {run.pruned}: score ")
        assert run.error is None
        assert run.executed_notebook() is not None
        assert len(run.history("score")) == (run.pruned or 0) + 1 < 5
    assert project.runs.best(sweep.id) == max(
        (run for run in runs if run.status == "finished"), key=lambda run: run.metrics["score"]
    )
    (told,) = [e for e in project.events(about=f"sweep:{sweep.id}") if e.verb == "sweep.finished"]
    assert told.data["stopped"] == len(pruned)
    assert project.runs.resume(sweep).items == runs.items  # a pruned run is done, too
    assert project.audit.verify().ok


def test_a_run_beyond_its_limit_fails_and_a_dead_kernel_gets_another(
    make_project, write_notebook: WriteNotebook, capfd: pytest.CaptureFixture[str]
) -> None:
    project = make_project()
    notebook = write_notebook(
        project.root / "moody.ipynb",
        "mood = ''",
        "print('begun')",
        "import os, pathlib, signal, time\nimport jupyter_mlops as mlops\n"
        "if mood == 'slow':\n    time.sleep(600)\n"
        "if mood == 'fragile' and not pathlib.Path('died').exists():\n"
        "    pathlib.Path('died').touch()\n    os.kill(os.getpid(), signal.SIGKILL)\n"
        "mlops.log_metric('loss', 1.5)",
    )
    runs = project.runs.execute(
        notebook, grid={"mood": ["slow", "fragile", "good"]}, limit=8, maximize="auc", workers=3
    )
    slow, fragile, good = runs
    assert slow.status == "failed"
    assert slow.error is not None
    assert (slow.error.name, slow.error.message) == (
        "TimeLimit",
        "the run took longer than its limit of 8 seconds",
    )
    assert slow.limit == 8.0
    assert "begun" in str(slow.executed_notebook())
    assert (fragile.status, fragile.tries, good.status, good.tries) == ("finished", 2, "finished", 1)
    (dead,) = [run for run in project.runs.search("status = 'failed'") if run != slow]
    assert dead.error is not None
    assert (dead.error.name, dead.tries, dead.position) == ("KernelDied", 1, 1)
    assert {run.executor for run in runs} == {"local"}
    told = capfd.readouterr().err
    assert re.search(
        rf"^\d of 3 · run {slow.id} failed in .* · mood=slow · TimeLimit: the run took", told, re.M
    )
    assert f"run {fragile.id} finished" in told
    assert "no run logged 'auc'; they logged loss" in told
    assert "no run logged 'auc'; they logged loss" in runs._repr_mimebundle_()["text/plain"]
    (alone,) = project.runs.execute(notebook, {"mood": "good"}, retries=0, limit="2m")
    assert (alone.status, alone.limit) == ("finished", 120.0)
    assert verbs(project, f"run:{dead.id}")[-1] == "run.failed"


FULL = """
import os, shutil, sys
from pathlib import Path
from jupyter_mlops.errors import MLOpsError
from jupyter_mlops.project import init_project, open_project
os.environ["MLOPS_UPKEEP"] = "off"
root = Path(sys.argv[1]) / "project"
root.mkdir()
project = init_project(root, "ann@example.com")
shutil.copy(sys.argv[2], root / "filling.ipynb")
try:
    project.runs.execute(root / "filling.ipynb", grid={"n": [1, 2, 3]}, workers=1)
    print("the disk was never full")
except (MLOpsError, OSError) as error:
    print(type(error).__name__, str(error).replace(chr(10), " "))
project.close()
(root / "filler").unlink()
project = open_project(root, "ann@example.com")
(sweep,) = project.runs.sweeps()
print(sweep.status, *[run.status for run in project.runs.sweep(sweep)])
resumed = project.runs.resume(sweep)
print(*[run.status for run in resumed], *[run.metrics["n"] for run in resumed], project.audit.verify().ok)
print(*[run.warm or run.why_cold for run in resumed])
"""


def test_a_disk_that_fills_up_stops_the_sweep_with_one_clear_line_and_it_can_be_resumed(
    tmp_path: Path, write_notebook: WriteNotebook
) -> None:
    alone = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size=32m sweep {disk}"
    if (
        shutil.which("unshare") is None
        or subprocess.run([*alone, *mount.split()], capture_output=True).returncode
    ):
        pytest.skip("a small disk cannot be made here")
    notebook = write_notebook(
        tmp_path / "filling.ipynb",
        "n = 0",
        "import os, pathlib, shutil\nimport jupyter_mlops as mlops\nmlops.log_metric('n', n)",
        "once = pathlib.Path('once')\n"
        "if n == 2 and not once.exists():\n"
        "    once.touch()\n"
        "    with open('filler', 'wb') as file:\n"
        "        try:\n"
        "            while True:\n"
        "                file.write(bytes(4096)); file.flush()\n"
        "        except OSError:\n"
        "            pass\n",
    )
    words = [
        *alone,
        "sh",
        "-c",
        f'{mount} && exec "$@"',
        "sh",
        sys.executable,
        "-c",
        FULL,
        str(disk),
        str(notebook),
    ]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    refused, after, resumed, warm = done.stdout.splitlines()
    assert re.search("No space left|disk is full|free some space", refused), refused
    assert after == "stopped finished failed stopped"
    assert resumed == "finished finished finished 1.0 2.0 3.0 True"
    assert warm == "True True True"


def test_two_sweeps_of_one_project_run_in_two_processes(
    project: Project, write_notebook: WriteNotebook
) -> None:
    notebook = write_notebook(
        project.root / "n.ipynb", "n = 0", "import jupyter_mlops as m\nm.log_metric('n', n)"
    )
    code = (
        "import sys\nfrom jupyter_mlops.project import open_project\n"
        "project = open_project(sys.argv[1], 'ann@example.com')\n"
        "project.runs.execute(sys.argv[2], grid={'n': [1, 2]}, experiment=sys.argv[3], maximize='n')\n"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", code, str(project.root), str(notebook), name])
        for name in "ab"
    ]
    assert [process.wait() for process in both] == [0, 0]
    for name in "ab":
        (sweep,) = project.runs.sweeps(name)
        assert sweep.status == "finished"
        assert [run.metrics["n"] for run in project.runs.sweep(sweep)] == [1.0, 2.0]
        assert project.runs.best(name).metrics["n"] == 2.0
    assert project.audit.verify().ok


def test_a_clock_that_is_set_back_confuses_nothing(make_project, write_notebook: WriteNotebook) -> None:
    now = datetime(2030, 1, 1, tzinfo=UTC)

    def backwards() -> datetime:
        nonlocal now
        now -= timedelta(minutes=1)
        return now

    project = make_project(clock=backwards)
    notebook = write_notebook(
        project.root / "n.ipynb", "n = 0", "import jupyter_mlops as m\nm.log_metric('n', n)"
    )
    runs = project.runs.execute(notebook, grid={"n": [1, 2, 3]}, maximize="n", limit="5m", workers=1)
    assert [run.status for run in runs] == ["finished"] * 3
    assert [run.duration for run in runs] == [0.0] * 3
    assert runs.best().parameters["n"] == 3
    assert [run.number for run in project.runs.search()] == [3, 2, 1]
    assert project.runs.get("n@latest") == runs[2]


def test_a_notebook_shows_the_runs_in_one_place_which_is_a_line_at_the_end(
    make_project, write_notebook: WriteNotebook
) -> None:
    import nbclient
    import nbformat

    project = make_project()
    notebook = write_notebook(
        project.root / "n.ipynb", "n = 0", "import jupyter_mlops as m\nm.log_metric('auc', n / 10)"
    )
    cell = (
        "import jupyter_mlops as mlops\n"
        f"project = mlops.open({str(project.root)!r}, actor='ann@example.com')\n"
        f"runs = project.runs.execute({str(notebook)!r}, grid={{'n': [1, 2]}}, maximize='auc')"
    )
    document = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
    updates: list[dict[str, str]] = []

    class Client(nbclient.NotebookClient):
        def process_message(self, msg, cell, cell_index):
            if msg["msg_type"] in ("display_data", "update_display_data"):
                updates.append(msg["content"]["data"])
            return super().process_message(msg, cell, cell_index)

    Client(document, kernel_name="python3").execute()
    (output,) = document.cells[0].outputs
    assert output["data"] == {"text/plain": f"{'━' * 30} 2 of 2"}
    assert len(updates) >= 2
    assert all("text/html" in data for data in updates[:-1])
    assert "auc" in updates[-2]["text/html"]
    assert [run.status for run in project.runs.search()] == ["finished", "finished"]


def test_a_terminal_shows_a_table_while_a_sweep_runs(make_project, write_notebook: WriteNotebook) -> None:
    project = make_project()
    notebook = write_notebook(
        project.root / "n.ipynb",
        "n = 0",
        "import time\nimport jupyter_mlops as m\nm.log_metric('auc', n / 10)\ntime.sleep(1.5)",
    )
    project.close()
    screen, terminal = pty.openpty()
    words = [
        sys.executable,
        "-m",
        "jupyter_mlops",
        "run",
        str(notebook),
        "--grid",
        "n=1,2,3",
        "--maximize",
        "auc",
    ]
    words += ["--workers", "1", "--project", str(project.root)]
    environment = {
        **os.environ,
        "TERM": "xterm",
        "COLUMNS": "100",
        "LINES": "30",
        "MLOPS_ACTOR": "ann@example.com",
    }
    with subprocess.Popen(
        words, stdin=terminal, stdout=subprocess.PIPE, stderr=terminal, env=environment
    ) as process:
        os.close(terminal)
        told = b""
        while True:
            try:
                part = os.read(screen, 65536)
            except OSError:  # what Linux says when nobody holds the other end
                break
            if not part:
                break
            told += part
        assert process.stdout is not None
        answer = process.stdout.read().decode()
    os.close(screen)
    seen = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", told).decode()
    assert process.returncode == 0, seen
    assert "━" in seen
    assert re.search(r"1 of 3 · 1 running · about .* left", seen)
    assert re.search(r"best \w{8} +n=2 +0\.2", seen)
    assert "3 of 3" in seen
    assert "0.3" in answer
    eventually(lambda: process.poll() is not None)
