"""What people get wrong in a notebook: variables of the wrong kind, cells that leave."""

from __future__ import annotations

import atexit
import sys
from collections.abc import Iterator

import pandas
import pytest
from IPython.core.error import UsageError
from IPython.core.history import HistoryManager
from IPython.core.interactiveshell import InteractiveShell

import jupyter_mlops
from jupyter_mlops.errors import MLOpsError
from jupyter_mlops.project import Project
from tests.conftest import ANN, MakeProject


@pytest.fixture
def project(make_project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> Project:
    made = make_project()
    monkeypatch.chdir(made.root)
    monkeypatch.setenv("MLOPS_ACTOR", ANN)
    return made


@pytest.fixture
def shell(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    monkeypatch.setattr(HistoryManager, "enabled", False)
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])  # IPython puts its own there
    shell = InteractiveShell()
    jupyter_mlops.load_ipython_extension(shell)
    shell.user_ns["df"] = pandas.DataFrame({"id": [1, 2], "ref": ["a", "b"]})
    yield shell
    jupyter_mlops.unload_ipython_extension(shell)
    atexit.unregister(shell.atexit_operations)
    shell.atexit_operations()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("data show {df}", "the variable holds a DataFrame, which names no data ref"),
        ("data alias numbers {df}", "the variable holds a DataFrame"),
        ("data commit numbers {df} -m {df}", "message is text, and the variable holds a DataFrame"),
        ("data commit numbers {df} -m note={df}", "message is text, and the variable holds a DataFrame"),
        ("data commit numbers {df} --key {df}", "key is text"),
        ("approve {df}", "the variable holds a DataFrame"),
        ("drift {df} {df} --alert", "commit the table first"),
    ],
)
def test_a_variable_of_the_wrong_kind_is_named_and_nothing_is_written(
    shell: InteractiveShell, project: Project, line: str, says: str
) -> None:
    events = len(list(project.events()))
    with pytest.raises(UsageError, match=says):
        shell.run_line_magic("mlops", line)
    assert len(list(project.events())) == events


def test_tables_in_variables_are_compared(shell: InteractiveShell, project: Project) -> None:
    shell.user_ns["now"] = pandas.DataFrame({"x": [v % 50 / 10 + 4 for v in range(1000)]})
    project.datasets.commit("before", pandas.DataFrame({"x": [v % 50 / 10 for v in range(1000)]}))
    report = shell.run_line_magic("mlops", "drift before {now}")
    assert (report.reference, report.current, report.drifted) == ("before@v1", None, True)


def test_a_tracked_cell_may_leave(
    shell: InteractiveShell, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.warns(UserWarning, match="To exit"), pytest.raises(UsageError, match="failed: SystemExit: 3"):
        shell.run_cell_magic("mlops", "track leaving", "import sys; sys.exit(3)")
    with pytest.warns(UserWarning, match="To exit"):
        run = shell.run_cell_magic("mlops", "track leaving", "import sys; sys.exit()")
    assert run.status == "finished"


def test_a_missing_variable_is_the_only_thing_wrong(shell: InteractiveShell) -> None:
    with pytest.raises((UsageError, MLOpsError), match="no variable 'nothing' here — define it first"):
        shell.run_line_magic("mlops", "data show {nothing}")
