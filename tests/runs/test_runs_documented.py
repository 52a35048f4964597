"""The page about runs: its examples are executed in order, and it names what there is to call."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import jupyter_mlops
from jupyter_mlops.project import Project
from jupyter_mlops.runs import ActiveRun, Tracker
from tests.conftest import ANN, MakeProject

from .conftest import WriteNotebook, commit_customers

PAGE = (Path(__file__).parents[2] / "docs" / "runs.md").read_text("utf-8")
# what others than people call
INNER = {
    "Tracker": {
        "attach",
        "best",
        "check_experiment",
        "executed_by",
        "leaderboard",
        "named",
        "roots",
        "settle",
    }
    | {"experiments", "sweeps", "remove", "restore", "work"},
    "ActiveRun": {"close", "forked", "over", "saw_commit", "saw_read", "version", "log_input"},
}


def blocks(kind: str) -> list[str]:
    found = re.findall(r"^```([\w ]*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return [block for named, block in found if named == kind]


@pytest.fixture
def here(
    make_project: MakeProject, write_notebook: WriteNotebook, monkeypatch: pytest.MonkeyPatch
) -> Project:
    """A project in the current folder that has what the page speaks of."""
    project = make_project()
    commit_customers(project, 3)
    monkeypatch.chdir(project.root)
    monkeypatch.setenv("MLOPS_ACTOR", ANN)
    write_notebook(project.root / "train.ipynb", *blocks("python cell"))
    Path("values.yaml").write_text("C: 7.0\n")
    return project


def test_every_example_does_what_it_says(here: Project) -> None:
    names: dict[str, Any] = {}
    for number, block in enumerate(blocks("python")):
        exec(compile(block, f"example {number}", "exec"), names)
    try:
        assert names["first"].metrics["loss"] == 0.05
        assert names["first"].inputs == {"data": "customers@v1"}
        assert json.loads(Path("conf.json").read_text()) == {"threshold": 0.4}
        assert [run.status for run in names["runs"]] == ["finished"] * 2
        assert names["runs"].best().parameters == {"C": 1.0}
        assert names["again"][0].like == names["runs"][0].id
        assert len(names["drawn"]) == 4
        assert here.runs.get(names["first"].id).note == "the one to beat"
    finally:
        names["project"].close()
    before = len(here.runs.search(limit=None))
    for line in "".join(blocks("console")).splitlines():
        program, *words = line.removeprefix("$ ").split()
        module = {"mlops": "jupyter_mlops", "papermill": "papermill"}[program]
        subprocess.run([sys.executable, "-m", module, *words], check=True, capture_output=True)
    # papermill records none
    assert len(here.runs.search(limit=None)) == before + 1
    assert here.runs.get("once@latest").parameters == {"C": 0.3}
    assert Path("executed.ipynb").exists()


@pytest.mark.parametrize("service", [Tracker, ActiveRun])
def test_the_page_names_what_there_is_to_call(service: type) -> None:
    public = {name for name, one in vars(service).items() if callable(one) and not name.startswith("_")}
    for name in public - INNER[service.__name__]:
        assert re.search(rf"\b{name}\b", PAGE), name
    for name in ("log_metric", "report", "autolog", "current_run", "load_dataset"):
        assert name in jupyter_mlops.__all__
        assert f"mlops.{name}(" in PAGE


def test_papermill_is_told_apart_from_a_run() -> None:
    assert "It records no run" in " ".join(PAGE.split())
