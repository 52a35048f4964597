"""Runs at the command line: sweeps are shown again, artifacts and notebooks written, slips pointed out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import nbformat
import pandas
import pytest

from jupyter_mlops.cli import run as mlops
from jupyter_mlops.project import Project
from tests.conftest import ANN, MakeProject

Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def project(make_project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> Project:
    made = make_project()
    monkeypatch.chdir(made.root)
    monkeypatch.setenv("MLOPS_ACTOR", ANN)
    return made


@pytest.fixture
def say(project: Project, capsys: pytest.CaptureFixture[str]) -> Say:
    """Type one command in the project's folder; return its status, output and errors."""

    def typed(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = mlops(list(words))
        return status, *capsys.readouterr()

    return typed


def notebook(*cells: str) -> str:
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    made.cells[0].metadata.tags = ["parameters"]
    made.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(made, "book.ipynb")
    return "book.ipynb"


def test_a_sweep_is_shown_again_as_it_was_when_it_ended(project: Project, say: Say) -> None:
    book = notebook("x = 1", "import jupyter_mlops as mlops\nmlops.log_metric('score', x)")
    ended = say("run", book, "--grid", "x=1,2", "--maximize", "score")
    (sweep,) = project.runs.sweeps()
    assert ended[0] == 0
    assert say("runs", "show", sweep.id) == say("runs", "show", sweep.id[:5]) == (0, ended[1], "")
    assert sweep.id in ended[1]
    assert json.loads(say("runs", "show", sweep.id, "--json")[1])["sweep"]["id"] == sweep.id
    status, listed, _ = say("runs", "sweeps", "--experiment", "book")
    assert (status, sweep.id in listed) == (0, True)
    run = project.runs.get("book@latest")
    assert say("runs", "show", f"{sweep.id}@best")[1].startswith(f"run {run.id}")

    status, told, _ = say("runs", "notebook", run.id)
    assert (status, told) == (0, f"wrote book-{run.id}.ipynb\n")
    assert nbformat.read(f"book-{run.id}.ipynb", 4).cells
    assert say("runs", "notebook", run.id)[0] == 0  # it is there already, and the same
    Path("mine.ipynb").write_text("mine")
    status, _, told = say("runs", "notebook", run.id, "--to", "mine.ipynb")
    assert (status, "--force" in told, Path("mine.ipynb").read_text()) == (1, True, "mine")
    status, told, _ = say("runs", "notebook", run.id, "--to", "mine.ipynb", "--force")
    assert (status, told) == (0, "wrote mine.ipynb; what was there is now mine.ipynb.replaced\n")
    assert Path("mine.ipynb.replaced").read_text() == "mine"


def test_artifacts_are_listed_and_written_without_harm(project: Project, say: Say) -> None:
    (project.root / "made").mkdir()
    (project.root / "made" / "a.txt").write_text("one")
    table = pandas.DataFrame({"x": [1, 2]})
    with project.runs.start("train") as run:
        run.log_artifact({"rate": 1}, "logs/conf.json")
        run.log_artifact(table, "table.parquet")
        run.log_artifact(project.root / "made", "folder")
    status, listed, _ = say("runs", "artifacts", run.id)
    assert status == 0
    assert all(name in listed for name in ("logs/conf.json", "table.parquet", "folder"))
    assert say("runs", "artifact", run.id, "logs/conf.json")[:2] == (0, "wrote conf.json\n")
    assert json.loads(Path("conf.json").read_text()) == {"rate": 1}
    assert say("runs", "artifact", run.id, "table.parquet", "--to", "made")[:2] == (
        0,
        "wrote made/table.parquet\n",
    )
    assert pandas.read_parquet("made/table.parquet").equals(table)
    assert project.runs.get(run.id).artifacts["table.parquet"].detail["source"] == "table.parquet"
    assert say("runs", "artifact", run.id, "folder")[0] == 0
    assert Path("folder/a.txt").read_text() == "one"

    Path("conf.json").write_text("mine")
    status, _, told = say("runs", "artifact", run.id, "logs/conf.json")
    assert (status, "is there already" in told, Path("conf.json").read_text()) == (1, True, "mine")
    assert say("runs", "artifact", run.id, "logs/conf.json", "--force")[0] == 0
    assert Path("conf.json.replaced").read_text() == "mine"
    assert say("runs", "artifact", run.id, "folder", "--to", ".mlops", "--force")[0] == 2
    assert say("runs", "artifact", run.id, "folder", "--to", ".", "--force")[0] == 2
    status, _, told = say("runs", "artifact", run.id, "conf.jsn")
    assert (status, "did you mean logs/conf.json?" in told) == (2, True)


def test_several_runs_are_compared(project: Project, say: Say) -> None:
    ids = []
    for rate in (1, 2, 3):
        with project.runs.start("train", {"rate": rate}) as run:
            run.log_metric("auc", rate / 10)
        ids.append(run.id)
    status, told, _ = say("runs", "compare", *ids)
    assert status == 0
    assert all(id in told for id in ids)
    assert say("runs", "compare", ids[0])[0] == 2


def test_slips_in_a_filter_are_pointed_out(project: Project, say: Say) -> None:
    assert say("runs", "list", "--experiment", "nosuch")[0] == 0  # nothing is known yet
    with project.runs.start("train", {"rate": 1}) as run:
        run.log_metric("auc", 0.5)
    status, _, told = say("runs", "list", "--experiment", "trian")
    assert (status, told) == (2, "mlops: there is no experiment 'trian' — did you mean train?\n")
    assert say("runs", "sweeps", "--experiment", "trian")[0] == 2
    assert say("runs", "sweeps", "--experiment", "train")[:2][0] == 0
    status, _, told = say("runs", "list", "--where", "duration > 10x")
    assert (status, told.splitlines()[0].endswith("'1' makes no sense here")) == (2, True)
    assert "did you mean parameters.rate?" in say("runs", "list", "--where", "rate > 1")[2]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--search", "optuna", "--trials", "3"], "an optuna search has nothing to draw from — add --space "),
        (
            ["--search", "random", "--space", "x=1:9"],
            "a random search needs a number of trials — such as --tr",
        ),
        (["--space", "x=1:9"], "which no grid can try in full — add --search random --trials 20 "),
        (["--grid", "x=" + ",".join(map(str, range(1001)))], "these are 1,001 runs — --yes "),
        (["--prune"], "hopeless by which metric? — add --maximize auc"),
        (["--maximize", ""], "metric"),
        (["--space", "x=-1e308:1e308", "--search", "random", "--trials", "2"], "too far to draw from"),
        ([], "name one, or the run to execute again: --like RUN"),
    ],
)
def test_what_is_refused_is_told_in_the_words_of_the_command_line(
    say: Say, options: list[str], told: str
) -> None:
    book = [notebook("x = 1.5")] if options else []
    status, _, said = say("run", *book, *options)
    assert status == 2
    assert told in said


def test_parameters_are_read_from_a_file(project: Project, say: Say) -> None:
    book = notebook("x = 1.5\nname: str = 'a'\nlayers = [1]")
    Path("values.yaml").write_text("x: 2\nname: b\nlayers: [3, 4]\n")
    assert say("run", book, "-f", "values.yaml", "-p", "name=007", "--detach")[0] == 0
    assert project.runs.get("book@latest").parameters == {"x": 2.0, "name": "007", "layers": [3, 4]}
    for content, told in (
        ("- 1", "values.yaml holds no parameters by name"),
        ("a: [", "values.yaml cannot be read as YAML"),
        ("y: 1", "book.ipynb declares no parameter 'y'"),
        ("x: word", "parameter x is a number; 'word' is not"),
        ("x: 2026-01-01", "x"),
    ):
        Path("values.yaml").write_text(content)
        status, _, said = say("run", book, "-f", "values.yaml")
        assert (status, told in said) == (2, True), said
    assert say("run", book, "-f", "nothing.yaml")[0] == 3
