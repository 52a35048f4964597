"""Text is read by what the parameters cell declares, and by nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_mlops.errors import BadInput
from jupyter_mlops.runs.execution.notebook import UNKNOWN, Notebook, parse_notebook
from jupyter_mlops.runs.sweeps.parameters import read_grid, typed
from jupyter_mlops.runs.sweeps.space import Choice
from jupyter_mlops.runs.sweeps.strategy import Strategy

CELL = """
import os
%matplotlib inline
zip: str = 12345          # annotation before default
C = 1.0
n = 3
flag = False
name = "x"  # dataset
other = "size of the dataset"  # about a dataset, not one
layers: list[int] = (1, 2)
options = {"a": 1}
depth: int | None = None
rate: Optional[float] = 0.5
anything = None
home = os.environ.get("HOME")
later: "float"
kind: Literal["a", "b"] = "a"
left = right = 2
one, two = 1, 2
!ls
"""


def notebook(cell: str = CELL) -> Notebook:
    cells = [{"cell_type": "code", "source": cell, "metadata": {"tags": ["parameters"]}}]
    return parse_notebook(json.dumps({"cells": cells, "metadata": {}}).encode(), "n.ipynb")


def test_the_parameters_cell_declares_names_types_and_defaults() -> None:
    read = notebook()
    assert read.parameters is not None
    assert read.kernel == "python3"
    assert {name: (p.type, p.optional) for name, p in read.parameters.items()} == {
        "zip": ("str", False),
        "C": ("float", False),
        "n": ("int", False),
        "flag": ("bool", False),
        "name": ("str", False),
        "other": ("str", False),
        "layers": ("list", False),
        "options": ("dict", False),
        "depth": ("int", True),
        "rate": ("float", True),
        "anything": ("", True),
        "home": ("", False),
        "later": ("float", False),
        "kind": ("str", False),
        "left": ("int", False),
        "right": ("int", False),
        "one": ("", False),
        "two": ("", False),
    }
    assert [name for name, p in read.parameters.items() if p.dataset] == ["name"]
    assert read.parameters["home"].default is UNKNOWN
    assert "home" not in read.defaults()
    assert read.defaults()["layers"] == [1, 2]
    assert read.defaults()["anything"] is None


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("zip", "00123", "00123"),
        ("name", "00123", "00123"),
        ("name", "None", "None"),
        ("name", "", ""),
        ("C", "1", 1.0),
        ("C", "1e-3", 0.001),
        ("C", 2, 2.0),
        ("n", "-7", -7),
        ("flag", "true", True),
        ("flag", "False", False),
        ("flag", "1", True),
        ("layers", "[3, 4]", [3, 4]),
        ("layers", "(3, 4)", [3, 4]),
        ("layers", (5,), [5]),
        ("options", '{"b": null}', {"b": None}),
        ("options", "{'b': None}", {"b": None}),
        ("depth", "none", None),
        ("depth", None, None),
        ("depth", "4", 4),
        ("rate", "4", 4.0),
        ("anything", "3", 3),
        ("anything", "3.5", 3.5),
        ("anything", "0.1", 0.1),
        ("anything", "1e-3", 0.001),
        ("anything", "00123", "00123"),
        ("anything", "1_000", "1_000"),
        ("anything", "None", None),
        ("anything", "true", True),
        ("anything", "l2", "l2"),
        ("home", "/tmp", "/tmp"),
        ("home", None, None),
    ],
)
def test_text_is_read_by_the_declared_type(name: str, text: Any, value: Any) -> None:
    parameters = notebook().parameters
    assert parameters is not None
    read = typed(parameters[name], text)
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("C", "high"),
        ("C", True),
        ("C", None),
        ("n", "1.5"),
        ("n", ""),
        ("n", 2.0),
        ("flag", "maybe"),
        ("flag", 1),
        ("name", 3),
        ("layers", "3"),
        ("layers", "[3"),
        ("layers", "__import__('os')"),
        ("options", "[1]"),
        ("depth", "deep"),
        ("name", "a\x00b"),
        ("anything", object()),
    ],
)
def test_what_does_not_fit_is_refused(name: str, value: Any) -> None:
    parameters = notebook().parameters
    assert parameters is not None
    with pytest.raises(BadInput):
        typed(parameters[name], value)


@given(st.text())
def test_declared_text_is_never_changed(text: str) -> None:
    parameters = notebook().parameters
    assert parameters is not None
    try:
        assert typed(parameters["zip"], text) == text
    except BadInput:
        assert "\x00" in text


def test_a_grid_is_every_combination_in_order() -> None:
    def combinations(grid: dict[str, Any] | None) -> list[dict[str, Any]]:
        read = read_grid(notebook(), grid)
        return list(Strategy("grid", tuple((name, Choice(tuple(values))) for name, values in read)).known())

    assert combinations({"C": ["1", 2], "name": ("a", "b")}) == [
        {"C": 1.0, "name": "a"},
        {"C": 1.0, "name": "b"},
        {"C": 2.0, "name": "a"},
        {"C": 2.0, "name": "b"},
    ]
    assert combinations(None) == [{}]
