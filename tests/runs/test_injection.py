"""Parameters arrive in the kernel exactly as they were given."""

from __future__ import annotations

import json
import math
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from papermill.translators import papermill_translators

from jupyter_mlops.errors import BadInput
from jupyter_mlops.project import Project
from jupyter_mlops.runs.plain import plain

from .conftest import WriteNotebook

TEXTS = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\x00"))
LEAVES = st.none() | st.booleans() | st.integers() | st.integers(-(10**400), 10**400) | st.floats() | TEXTS
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=12)
AWKWARD: dict[str, Any] = {
    "lines": "one\ntwo\r\nthree\u2028four\x0bfive\x85",
    "quotes": '\'"\'\'\'"""\\"\\',
    "percent": "%matplotlib inline\n!rm -rf /\n{x} {{x}} $x",
    "signs": "é\U0001f6eb\u202e\ufeffﬁ",
    "comment": "# not a comment",
    "nan": math.nan,
    "inf": [math.inf, -math.inf],
    "zero": -0.0,
    "tiny": 5e-324,
    "long": 2**200,
    "negative": -(10**40),
    "nested": {"a": [{"b": [None, True, {"": [[]]}]}], "\n\"'": {}},
    "empty": ["", [], {}],
}


def same(one: Any, other: Any) -> bool:
    """Return whether two values are equal to the last bit, and of one type."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return struct.pack("<d", one) == struct.pack("<d", other) or (math.isnan(one) and math.isnan(other))
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    return one == other


@settings(deadline=None)
@given(VALUES)
def test_every_value_survives_the_way_into_the_cell(value: Any) -> None:
    """As execution does it: checked, sent to the run's process as JSON, written as code by papermill."""
    sent = json.loads(json.dumps(plain(value, "x"), ensure_ascii=False))
    code = papermill_translators.find_translator("python3", "python").codify({"x": sent})
    names: dict[str, Any] = {}
    exec(code, names)
    assert same(names["x"], value)


def test_awkward_values_arrive_in_a_real_kernel(project: Project, write_notebook: WriteNotebook) -> None:
    cell = "\n".join(f"{name} = None" for name in AWKWARD)
    notebook = write_notebook(
        project.root / "arrive.ipynb",
        cell,
        "import struct, jupyter_mlops as mlops\n"
        "def bits(value):\n"
        "    if isinstance(value, float):\n"
        "        return struct.pack('<d', value).hex()\n"
        "    if isinstance(value, list):\n"
        "        return [bits(one) for one in value]\n"
        "    return value\n"
        f"names = {list(AWKWARD)!r}\n"
        "mlops.log_parameters({'seen_' + name: repr(bits(globals()[name])) for name in names})",
    )
    (run,) = project.runs.execute(notebook, AWKWARD)
    assert run.status == "finished", run.error

    def bits(value: Any) -> Any:
        if isinstance(value, float):
            return struct.pack("<d", value).hex()
        return [bits(one) for one in value] if isinstance(value, list) else value

    assert {name: run.parameters[f"seen_{name}"] for name in AWKWARD} == {
        name: repr(bits(value)) for name, value in AWKWARD.items()
    }
    assert all(same(run.parameters[name], value) for name, value in AWKWARD.items())


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (nested(150), "parameter x is nested more than 80 deep"),
        (nested(100_000), "parameter x is nested more than 80 deep"),
        (10**5000, "parameter x has more than 4,000 digits"),
        (["half \ud800"], "characters that cannot be stored"),
    ],
    ids=["deep", "very deep", "many digits", "half a letter"],
)
def test_what_no_cell_could_hold_is_refused_in_one_line(value: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        plain(value, "parameter x")


def test_deep_and_long_values_that_fit_do_arrive() -> None:
    for value in (nested(80), 10**3999):
        code = papermill_translators.find_translator("python3", "python").codify({"x": plain(value, "x")})
        names: dict[str, Any] = {}
        exec(code, names)
        assert names["x"] == value
