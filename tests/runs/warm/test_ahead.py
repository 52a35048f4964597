"""A command's templates import while it opens the project: one set of them, used by its runs or ended."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from jupyter_mlops.project import Project

from ..conftest import WriteNotebook, eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="kernels are forked on Linux only")
# the processes that were started as templates: forks of them have another parent
COUNTED = """
import psutil
ours = [p for p in psutil.Process().parents() if "mlops" in " ".join(p.cmdline()) and "run" in p.cmdline()]
started = [p for p in ours[-1].children() if "template.py" in " ".join(p.cmdline())]
print("templates:", len(started))
"""


def command(project: Project, tmp_path: Path, *words: str, temporary: Path) -> Any:
    """Run ``mlops run`` with the words, its temporary files in a place of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        [sys.executable, "-m", "jupyter_mlops", "run", *words],
        env={**kept, "TMPDIR": str(temporary), "MLOPS_ACTOR": "ann@example.com"},
        cwd=project.root,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    "words",
    [["--grid", "n=1,2,3"], ["--grid", "n=1,2", "--workers", "4"], ["--workers", "2", "--grid", "n=1,2,3"]],
)
def test_the_runs_use_what_was_begun(
    make_project: Any, write_notebook: WriteNotebook, tmp_path: Path, words: list[str]
) -> None:
    project: Project = make_project()
    write_notebook(project.root / "n.ipynb", "n = 0", COUNTED)
    (tmp_path / "t").mkdir()
    done = command(project, tmp_path, "n.ipynb", *words, temporary=tmp_path / "t")
    assert done.returncode == 0, done.stderr
    runs = project.runs.search(limit=None)
    assert all(run.warm for run in runs)
    printed = [str(run.executed_notebook()) for run in runs]
    # of run processes, and of their kernels
    assert all("templates: 2" in text for text in printed)
    assert not any((tmp_path / "t").glob("mlops-*"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["n.ipynb", "--grid", "m=1,2"], "declares no parameter"),
        (["absent.ipynb", "--grid", "n=1,2"], "there is no notebook"),
        (["broken.ipynb", "--grid", "n=1,2"], "is no notebook"),
    ],
)
def test_a_command_that_is_refused_leaves_none(
    make_project: Any, write_notebook: WriteNotebook, tmp_path: Path, words: list[str], said: str
) -> None:
    project: Project = make_project()
    write_notebook(project.root / "n.ipynb", "n = 0", "print(n)")
    (project.root / "broken.ipynb").write_text("{", "utf-8")
    temporary = tmp_path / "t"
    temporary.mkdir()
    done = command(project, tmp_path, *words, temporary=temporary)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert not any(temporary.glob("mlops-*"))
    eventually(lambda: not any(str(temporary) in " ".join(_words(p)) for p in psutil.process_iter()))


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
