"""What people get wrong at the command line, and what the machine does to them: one line, nothing lost."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest

from jupyter_mlops.cli import main
from jupyter_mlops.cli import run as mlops
from jupyter_mlops.project import Project, open_project
from tests.conftest import ANN, MakeProject


@pytest.fixture
def project(make_project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> Project:
    made = make_project()
    monkeypatch.chdir(made.root)
    monkeypatch.setenv("MLOPS_ACTOR", ANN)
    Path("data.csv").write_text("id,x\n1,2\n3,4\n")
    return made


@pytest.fixture
def refused(project: Project, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Type what is refused with status 2; return the one line that says why."""

    def typed(*words: str) -> str:
        capsys.readouterr()
        assert mlops(list(words)) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        return err

    return typed


def notebook(*cells: str) -> str:
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    made.cells[0].metadata.tags = ["parameters"]
    made.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(made, "book.ipynb")
    return "book.ipynb"


def typed(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Type a command in a process of its own."""
    command = [sys.executable, "-m", "jupyter_mlops", *words]
    return subprocess.run(command, text=True, check=False, **options)  # type: ignore[call-overload,no-any-return]


def test_what_is_given_twice_is_not_half_forgotten(refused: Callable[..., str]) -> None:
    book = notebook("C = 1")
    assert "-p gives C twice" in refused("run", book, "-p", "C=1", "-p", "C=2")
    assert "--grid gives C twice" in refused("run", book, "--grid", "C=1", "--grid", "C=2")
    assert "--input gives data twice" in refused("run", book, "--input", "data=a", "--input", "data=b")


def test_names_that_cannot_be_are_called_by_their_noun(refused: Callable[..., str]) -> None:
    assert "'../x' cannot name an experiment" in refused("run", notebook("C = 1"), "--experiment", "../x")
    assert "'a@b' cannot name a dataset" in refused("data", "commit", "a@b", "data.csv")


def test_a_checkout_says_where_it_wrote(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert mlops(["data", "commit", "d", "data.csv"]) == 0
    assert mlops(["data", "checkout", "d", "--to", "copy.csv"]) == 0
    assert "written to copy.csv" in capsys.readouterr().out


def test_whoami_says_when_the_environment_wins(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert mlops(["whoami", "--set", "zoe@example.com"]) == 0
    assert "$MLOPS_ACTOR wins while it is set" in capsys.readouterr().out
    assert open_project(project.root).actor.name == ANN


def test_a_history_without_the_thing_is_not_called_empty(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mlops(["audit", "log", "--about", "run:nothing"]) == 0
    assert capsys.readouterr().out == "no events: none was found\n"


def test_a_folder_that_cannot_be_is_one_line_with_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert mlops(["init", "/proc/nothing"]) == 3
    assert "— check the path" in capsys.readouterr().err


def test_nobody_who_reads_the_output_is_no_mishap(project: Project) -> None:
    mlops(["data", "commit", "d", "data.csv"])
    listing = [sys.executable, "-m", "jupyter_mlops", "data", "list"]
    for closing in (">&-", "2>&-", "| true"):
        done = subprocess.run(
            ["bash", "-c", f'set -o pipefail; "$@" {closing}', "-", *listing],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), closing
    with open("/dev/full", "w") as full:
        assert typed("data", "show", "nothing", stderr=full).returncode == 2
        done = typed("data", "list", stdout=full, stderr=subprocess.PIPE)
        assert (done.returncode, done.stderr) == (
            3,
            "mlops: No space left on device — free some space and repeat\n",
        )


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_sweep_that_is_asked_to_end_says_how_it_goes_on(project: Project, ending: signal.Signals) -> None:
    book = notebook(
        "i = 0", "import jupyter_mlops as mlops\nmlops.log_metric('i', i)\nimport time; time.sleep(60)"
    )
    command = [sys.executable, "-m", "jupyter_mlops", "run", book, "--grid", "i=1,2,3", "--workers", "1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not any(run.metrics for run in project.runs.search()) and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(ending)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + ending
    (sweep,) = project.runs.sweeps()
    told = f"interrupted — 0 of 3 runs finished; `mlops runs resume {sweep.id}` executes what is missing"
    assert told in err
    assert [run.status for run in project.runs.search()] == ["stopped"] * 3
    assert project.audit.verify().ok


INTERRUPTED_EARLY = """
import sys
class Interrupting:
    def find_spec(self, name, *_):
        if name == "click":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupting())
from jupyter_mlops.cli import main
"""


def test_an_interrupt_before_anything_was_begun_is_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_EARLY], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (130, "mlops: interrupted\n")


def test_a_second_interrupt_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("jupyter_mlops.cli.run", interrupted)
    monkeypatch.setattr("signal.getsignal", lambda _: signal.SIG_IGN)  # this process keeps its own
    with pytest.raises(SystemExit) as end:
        main(["status"])
    assert (end.value.code, capsys.readouterr().err) == (130, "mlops: interrupted\n")
