"""``%mlops`` in a real IPython: values come back, variables go in, completion knows the names."""

from __future__ import annotations

import atexit
import sys
from collections.abc import Iterator
from typing import Any

import nbformat
import pandas
import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.error import UsageError
from IPython.core.history import HistoryManager
from IPython.core.interactiveshell import InteractiveShell
from nbformat.v4 import new_code_cell, new_notebook

import jupyter_mlops
from jupyter_mlops.project import Project
from tests.conftest import ANN, MakeProject


class Shell(InteractiveShell):
    """An IPython whose cells raise what went wrong in them."""

    def run_cell(self, *args: Any, **kwargs: Any) -> Any:
        result = super().run_cell(*args, **kwargs)
        result.raise_error()
        return result

    def showtraceback(self, *args: Any, **kwargs: Any) -> None:
        """Say nothing; the test reads the exception."""


@pytest.fixture
def project(make_project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> Project:
    made = make_project()
    monkeypatch.chdir(made.root)
    monkeypatch.setenv("MLOPS_ACTOR", ANN)
    return made


@pytest.fixture
def shell(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    monkeypatch.setattr(HistoryManager, "enabled", False)
    # a shell takes the place of __main__; processes that later tests start need the real one
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    shell = Shell()
    jupyter_mlops.load_ipython_extension(shell)
    yield shell
    jupyter_mlops.unload_ipython_extension(shell)
    atexit.unregister(shell.atexit_operations)
    shell.atexit_operations()


def test_a_verb_returns_its_value(shell: Shell) -> None:
    shell.user_ns["df"] = pandas.DataFrame({"a": [1, 2, 3]})
    shell.run_cell("v = %mlops data commit numbers {df} -m 'three of them'")
    version = shell.user_ns["v"]
    assert version.ref == "numbers@v1"
    assert version.message == "three of them"
    assert version.load()["a"].tolist() == [1, 2, 3]


def test_variables_and_attributes_stand_for_what_they_hold(shell: Shell) -> None:
    shell.user_ns["df"] = pandas.DataFrame({"a": [1, 2, 3]})
    shell.user_ns["name"] = "numbers"
    shell.run_cell("v = %mlops data commit {name} {df}")
    assert shell.run_line_magic("mlops", "data show {v}").ref == "numbers@v1"
    assert shell.run_line_magic("mlops", "data show {v.ref}").ref == "numbers@v1"
    assert shell.run_line_magic("mlops", "data commit {name} df").note.startswith("unchanged")
    with pytest.raises(UsageError, match="no variable 'missing'"):
        shell.run_line_magic("mlops", "data show {missing}")
    with pytest.raises(UsageError, match="no attribute"):
        shell.run_line_magic("mlops", "data show {v.nothing}")


def test_a_sweep_is_shown_again_by_its_id(shell: Shell, project: Project) -> None:
    book = new_notebook(cells=[new_code_cell("x = 1", metadata={"tags": ["parameters"]})])
    nbformat.write(book, project.root / "book.ipynb")
    shell.run_cell("runs = %mlops run book.ipynb --grid x=1,2 --detach")
    runs = shell.user_ns["runs"]
    for line in (f"runs show {runs.id}", "runs show {runs}", "runs show {runs.id}"):
        shown = shell.run_line_magic("mlops", line)
        assert (shown.id, len(shown)) == (runs.id, 2)
    with provisionalcompleter():
        text = f"%mlops runs show {runs.id[:4]}"
        assert runs.id in [found.text for found in shell.Completer.completions(text, len(text))]


def test_a_word_that_is_a_variable_and_a_path_is_refused(shell: Shell, project: Project) -> None:
    shell.user_ns["df"] = pandas.DataFrame({"a": [1]})
    (project.root / "df").write_text("something else")
    with pytest.raises(UsageError, match="a variable and a path"):
        shell.run_line_magic("mlops", "data commit numbers df")


def test_mistakes_are_one_line_without_a_traceback(shell: Shell) -> None:
    for line in ("dta", "data show nothing", "data commit 'open quote", "data commit x", "runs show zzz"):
        with pytest.raises(UsageError) as caught:
            shell.run_line_magic("mlops", line)
        assert "\n" not in str(caught.value)


def test_a_tracked_cell_is_a_run(shell: Shell) -> None:
    shell.user_ns["df"] = pandas.DataFrame({"a": [1, 2, 3]})
    shell.run_line_magic("mlops", "data commit numbers {df}")
    run = shell.run_cell_magic(
        "mlops",
        "track first-try --input data=numbers@v1",
        "import jupyter_mlops as mlops\nmlops.log_metric('auc', 0.8)\nmade_here = 5",
    )
    assert run.status == "finished"
    assert run.metrics == {"auc": 0.8}
    assert run.inputs == {"data": "numbers@v1"}
    assert shell.user_ns["made_here"] == 5


def test_a_tracked_cell_that_fails_is_a_failed_run(shell: Shell, project: Project) -> None:
    with pytest.raises(UsageError, match="ZeroDivisionError"):
        shell.run_cell_magic("mlops", "track first-try", "1 / 0")
    (run,) = project.runs.search()
    assert run.status == "failed"
    assert run.error.name == "ZeroDivisionError"


def completions(shell: Shell, text: str) -> list[tuple[str, int, int]]:
    with provisionalcompleter():
        return [(c.text, c.start, c.end) for c in shell.Completer.completions(text, len(text))]


def test_completion_knows_verbs_options_refs_variables_and_files(shell: Shell, project: Project) -> None:
    shell.user_ns["frame"] = pandas.DataFrame({"a": [1]})
    version = project.datasets.commit("churn", shell.user_ns["frame"])
    project.datasets.alias(version.ref, "golden")
    (project.root / "train.ipynb").write_text("{}")

    def words(text: str) -> list[str]:
        return [found for found, _, _ in completions(shell, text)]

    assert "run" in words("%mlops r")
    assert "runs" in words("x = %mlops r")
    assert "commit" in words("%mlops data c")
    assert words("%mlops data show chu")[:1] == ["churn"]
    assert "churn@golden" in words("%mlops data show churn@")
    assert "churn@v1" in words("a = 1\n%mlops data show churn@v")
    assert "--maximize" in words("%mlops run train.ipynb --m")
    assert "train.ipynb" in words("%mlops run tr")
    assert "churn@v1" in words("%mlops run train.ipynb --input data=churn@v")
    assert "{frame}" in words("%mlops data commit churn {fr")
    assert "production" in words("%mlops promote m@v1 pr")


def test_completion_replaces_just_the_word(shell: Shell, project: Project) -> None:
    project.datasets.commit("churn", pandas.DataFrame({"a": [1]}))
    found = dict(
        (word, (start, end)) for word, start, end in completions(shell, "%mlops run x --input data=chu")
    )
    assert found["churn"] == (26, 29)


def test_other_lines_are_left_alone(shell: Shell) -> None:
    shell.user_ns["frame"] = 1
    assert any(word.endswith("frame") for word, _, _ in completions(shell, "print(fra"))


def test_unloading_removes_everything(shell: Shell) -> None:
    jupyter_mlops.unload_ipython_extension(shell)
    assert "mlops" not in shell.magics_manager.magics["line"]
    assert "run" not in {word for word, _, _ in completions(shell, "%mlops r")}
    jupyter_mlops.load_ipython_extension(shell)
    jupyter_mlops.load_ipython_extension(shell)
    assert len(shell.Completer.custom_matchers) == 1
