"""Notebooks as people write them are read; what cannot be executed is told in one line."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jupyter_mlops.errors import BadInput
from jupyter_mlops.project import Project
from jupyter_mlops.runs.execution.notebook import UNKNOWN, Notebook, parse_notebook
from jupyter_mlops.runs.sweeps.parameters import check_known, typed

from .conftest import WriteNotebook


def notebook(*cells: str, tags: Any = None, **document: Any) -> Notebook:
    made = [
        {
            "cell_type": "code",
            "source": source,
            "metadata": {"tags": ["parameters"] if tags is None else tags},
        }
        for source in cells
    ]
    return parse_notebook(json.dumps({"cells": made, "metadata": {}, **document}).encode(), "n.ipynb")


def test_types_are_told_by_annotations_comments_and_defaults() -> None:
    read = notebook(
        "# all about the model\n"
        "rate = 1  # type: float  how fast it learns\n"
        "code = 7  # type: str\n"
        "depth = None  # type: Optional[int]\n"
        'data = "a@latest"  # type: str # dataset\n'
        "odd = 1  # type: ignore\n"
        "layers: list[int] = [\n"
        "    1,  # the first\n"
        "    2,\n"
        "]  # dataset\n"
        "many = {\n"
        '    "a": 1,\n'
        "}\n"
        "text = '''one\ntwo'''\n"
        "if rate > 1:\n"
        "    rate = 2\n"
        "def helper():\n"
        "    inner = 1\n"
    )
    assert read.parameters is not None
    assert {name: (p.type, p.optional) for name, p in read.parameters.items()} == {
        "rate": ("float", False),
        "code": ("str", False),
        "depth": ("int", True),
        "data": ("str", False),
        "odd": ("int", False),
        "layers": ("list", False),
        "many": ("dict", False),
        "text": ("str", False),
    }
    assert [name for name, p in read.parameters.items() if p.dataset] == ["data", "layers"]
    assert read.parameters["text"].default == "one\ntwo"
    assert read.parameters["rate"].default == 1
    assert typed(read.parameters["code"], "007") == "007"
    assert typed(read.parameters["depth"], "none") is None
    assert read.parameters["depth"].default is not UNKNOWN


def test_a_second_parameters_cell_may_not_undo_what_is_set() -> None:
    read = notebook("C = 1\nn = 2", "import os\nC = 5\nother: int = 3")
    check_known(read, ["n"])
    with pytest.raises(BadInput, match=r"a second cell of n\.ipynb tagged 'parameters' would overwrite 'C'"):
        check_known(read, ["C"])
    with pytest.raises(BadInput, match="declares no parameter 'other'"):
        check_known(read, ["other"])


@pytest.mark.parametrize("name", ["learning-rate", "2nd", "a b", "", "x.y", "läuft?"])
def test_a_name_that_no_variable_can_have_is_one_clear_line(name: str) -> None:
    with pytest.raises(BadInput, match="is no name that Python code can use"):
        check_known(notebook("C = 1"), [name])


def test_unknown_tags_and_odd_metadata_change_nothing() -> None:
    assert notebook("C = 1", tags=["hide-input", 7, None]).parameters is None
    assert notebook("C = 1", tags="parameters").parameters is None
    assert notebook("C = 1", tags=["x", "parameters", "remove_cell"]).parameters is not None


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"nbformat": 5}, "n.ipynb is a notebook of format 5"),
        ({"nbformat": "new"}, "n.ipynb is a notebook of format new"),
        ({"nbformat": 3}, "n.ipynb is a notebook of format 3 that cannot be read"),
        ({"cells": [{"cell_type": "code"}]}, "n.ipynb is no notebook"),
        ({"cells": [{"cell_type": "code", "source": "x = 1"}]}, "n.ipynb is no notebook"),
        ({"cells": [{"cell_type": "code", "source": 1, "metadata": {}}]}, "n.ipynb is no notebook"),
        ({"cells": [{"cell_type": "code", "source": "\ud800", "metadata": {}}]}, "cannot be stored"),
        ({"cells": [], "metadata": {"papermill": 5}}, "n.ipynb is no notebook"),
        ({"cells": [], "metadata": 5}, "n.ipynb is no notebook"),
        ({"cells": [], "metadata": {"kernelspec": {"language": "R"}}}, "n.ipynb is written in R"),
    ],
)
def test_what_is_no_notebook_of_ours_says_what_it_is(document: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        notebook(**document)


def test_notebooks_of_the_third_format_and_without_ids_are_executed(
    project: Project, write_notebook: WriteNotebook
) -> None:
    old = {
        "nbformat": 3,
        "nbformat_minor": 0,
        "metadata": {"name": "old"},
        "worksheets": [
            {
                "cells": [
                    {
                        "cell_type": "code",
                        "language": "python",
                        "input": "print(1 + 1)\nimport jupyter_mlops as mlops\nmlops.log_metric('two', 2)",
                        "outputs": [],
                        "collapsed": False,
                        "metadata": {},
                    }
                ],
                "metadata": {},
            }
        ],
    }
    (project.root / "old.ipynb").write_text(json.dumps(old), "utf-8")
    (run,) = project.runs.execute(project.root / "old.ipynb")
    assert run.status == "finished", run.error
    assert run.metrics == {"two": 2.0}
    plain = write_notebook(project.root / "plain.ipynb", "x = 1", "assert x == 3")
    document = json.loads(plain.read_text())
    for cell in document["cells"]:
        del cell["id"]
    plain.write_text(json.dumps(document))
    (run,) = project.runs.execute(plain, {"x": 3})
    assert run.status == "finished", run.error


def test_a_notebook_that_writes_to_its_own_source_executes_the_copy_that_was_read(
    project: Project, write_notebook: WriteNotebook
) -> None:
    notebook = write_notebook(
        project.root / "own.ipynb",
        "x = 1",
        "from pathlib import Path\nPath('own.ipynb').write_text('{}')",
        "import jupyter_mlops as mlops\nmlops.log_metric('x', x)",
    )
    (run,) = project.runs.execute(notebook, {"x": 4})
    assert run.status == "finished", run.error
    assert run.metrics == {"x": 4.0}
    note = "own.ipynb changed while the run went on: the copy read before was executed"
    assert run.environment()["sources"]["notes"] == [note]
    (again,) = project.runs.execute(like=run)
    assert again.status == "finished", again.error
    assert project.runs.reproduction(again).verdict == "identical"
