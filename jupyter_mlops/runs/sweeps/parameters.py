"""Parameters as given: read by what the notebook declares. Used by the plan."""

from __future__ import annotations

import ast
import itertools
import json
import math
import re
from collections.abc import Iterable, Mapping, Sized
from typing import Any

from ...errors import BadInput, close_matches
from ..execution.notebook import Notebook, Parameter
from ..plain import plain

MOST_RUNS = 100_000
_TRUE, _FALSE = ("true", "yes", "1"), ("false", "no", "0")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})((?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)")
_CALLED = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "list": "a list",
    "dict": "a dictionary",
}
Grid = tuple[tuple[str, tuple[Any, ...]], ...]


def check_known(notebook: Notebook, names: Iterable[str]) -> None:
    """Raise ``BadInput`` unless the notebook declares each of ``names``."""
    for name in names:
        if not str(name).isidentifier():
            raise BadInput(f"'{name}' is no name that Python code can use", "parameters are variables")
        if notebook.parameters is None:
            raise BadInput(
                f"{notebook.name} has no parameters cell, so '{name}' cannot be set",
                "tag the cell that assigns the defaults with 'parameters' (JupyterLab: property inspector)",
            )
        if name not in notebook.parameters:
            declared = ", ".join(notebook.parameters) or "none"
            hint = close_matches(str(name), notebook.parameters, f"it declares {declared}")
            raise BadInput(f"{notebook.name} declares no parameter '{name}'", hint)
        if name in notebook.overwritten:
            raise BadInput(
                f"a second cell of {notebook.name} tagged 'parameters' would overwrite '{name}'",
                "keep the tag on one cell",
            )


def typed(parameter: Parameter, value: Any) -> Any:
    """Return ``value`` as the parameter's declared type; text is read, anything else must fit."""
    value = plain(value, f"parameter {parameter.name}")
    if value is None and (parameter.optional or not parameter.type):
        return None
    if isinstance(value, str):
        return _read(parameter, value)
    if not parameter.type or type(value).__name__ == parameter.type:
        return value
    if parameter.type == "float" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    raise _misfit(parameter, value)


def read_grid(notebook: Notebook, grid: Mapping[str, Any] | None) -> Grid:
    """Return the values to try for each name, typed.

    Raises ``BadInput`` for empty lists and repeated values.
    """
    read = []
    declared = notebook.parameters or {}
    for name, values in (grid or {}).items():
        if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
            raise BadInput(f"grid {name} is {values!r}", "give a list of values to try")
        read.append((name, distinct(declared[name], values, "grid")))
    return tuple(read)


def distinct(parameter: Parameter, values: Iterable[Any], what: str) -> tuple[Any, ...]:
    """Return ``values`` typed; raises ``BadInput`` where there are none, or one is there twice."""
    many = f"{len(values):,}" if isinstance(values, Sized) and len(values) > MOST_RUNS else ""
    tried = tuple(typed(parameter, value) for value in itertools.islice(values, 0 if many else MOST_RUNS + 1))
    if many or len(tried) > MOST_RUNS:
        raise BadInput(
            f"{what} {parameter.name} has {many or f'more than {MOST_RUNS:,}'} values",
            "draw from a range: --space C=0:10 --search random (space={'C': (0, 10)}, search='random')",
        )
    if not tried:
        raise BadInput(f"{what} {parameter.name} has no values", "give at least one")
    seen: set[str] = set()
    for value in tried:
        if (text := json.dumps(value)) in seen:
            raise BadInput(f"{what} {parameter.name} has {value!r} twice", "give each value once")
        seen.add(text)
    return tried


def _read(parameter: Parameter, text: str) -> Any:
    if parameter.type == "str":
        return text
    if parameter.optional and text.strip().lower() in ("none", "null"):
        return None
    if not parameter.type:
        return _guessed(text)
    word = text.strip()
    try:
        if parameter.type == "int":
            return int(word)
        if parameter.type == "float":
            return float(word)
        if parameter.type == "bool" and word.lower() in (*_TRUE, *_FALSE):
            return word.lower() in _TRUE
        if parameter.type in ("list", "dict"):
            value = plain(_literal(word), f"parameter {parameter.name}")
            if type(value).__name__ == parameter.type:
                return value
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise _misfit(parameter, text) from error
    raise _misfit(parameter, text)


def _literal(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return ast.literal_eval(text)


def _guessed(text: str) -> Any:
    """Return a number, truth value or ``None`` where ``text`` is how Python or JSON writes it, else text."""
    words = {"None": None, "null": None, "True": True, "true": True, "False": False, "false": False}
    if text in words:
        return words[text]
    # 00123 and 1_000 are codes, not numbers
    if match := _NUMBER.fullmatch(text):
        value = float(text)
        return value if match.group(1) and math.isfinite(value) else text if match.group(1) else int(text)
    return text


def _misfit(parameter: Parameter, value: Any) -> BadInput:
    shown = repr(value) if len(repr(value)) < 60 else f"{repr(value)[:57]}…"
    return BadInput(
        f"parameter {parameter.name} is {_CALLED[parameter.type]}; {shown} is not",
        "the parameters cell decides the type, by annotation or default",
    )
