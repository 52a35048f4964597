"""Plain values: what parameters, metrics and tags may be, and how numbers that JSON lacks are written."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from ..errors import BadInput

_LONGEST_NAME = 200
_LARGEST = 2**63 - 1
_DEEPEST, _MOST_BITS = 80, 13_287
_ENCODER = json.JSONEncoder(ensure_ascii=False)


def plain(value: Any, what: str, depth: int = 0) -> Any:
    """Return ``value`` as JSON-ready types.

    Numbers of numpy become Python's. Raises ``BadInput`` for objects, and for what no code could spell out.
    """
    if isinstance(value, str):
        return storable(value, what)
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:  # Python reads and writes 4,300 digits
        raise BadInput(f"{what} has more than 4,000 digits", "give it as text, or in a file")
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple | Mapping) and depth >= _DEEPEST:  # Python's grammar ends at 100
        raise BadInput(f"{what} is nested more than {_DEEPEST} deep", "give it in a file")
    if isinstance(value, list | tuple):
        return [plain(item, what, depth + 1) for item in value]
    if isinstance(value, Mapping):
        return {storable(str(key), what): plain(item, what, depth + 1) for key, item in value.items()}
    if isinstance(value, PurePath):
        return storable(str(value), what)
    if isinstance(ref := getattr(value, "ref", None), str):  # a dataset version stands for its ref
        return ref
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return plain(value.item(), what)
    raise BadInput(
        f"{what} is a {type(value).__name__}", "give text, a number, true or false, None, or lists of these"
    )


def described(value: Any, what: str) -> Any:
    """Return ``value`` as ``plain`` does, and objects as what they print: for what is only recorded."""
    try:
        return plain(value, what)
    except BadInput:
        return clean(repr(value)[:500])


def storable(text: str, what: str) -> str:
    """Return ``text``; raises ``BadInput`` for what a database cannot keep."""
    if "\x00" in text or any(0xD800 <= ord(letter) < 0xE000 for letter in text):
        raise BadInput(f"{what} holds characters that cannot be stored", "leave out NUL and half surrogates")
    return text


def clean(text: str) -> str:
    """Return ``text`` without what a database cannot keep: for messages of others."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


def checked_name(name: Any, what: str) -> str:
    """Return ``name`` if it can name a metric, parameter, tag, input or artifact; raises ``BadInput``."""
    if type(name) is str and name.isprintable() and len(name) <= _LONGEST_NAME and name.strip():
        return name  # nearly all are like that, and this is asked very often
    if (
        not isinstance(name, str)
        or not name.strip()
        or len(name) > _LONGEST_NAME
        or any(ord(c) < 32 for c in name)
    ):
        raise BadInput(f"{name!r} cannot name {what}", f"use text of at most {_LONGEST_NAME} characters")
    return storable(name, what)


def named(values: Any, what: str) -> Mapping[Any, Any]:
    """Return ``values`` if they are given by name; raises ``BadInput``."""
    if not isinstance(values, Mapping):
        raise BadInput(f"{what} are given by name, not as a {type(values).__name__}", 'such as {"name": 1}')
    return values


def measured(value: Any, name: str) -> float:
    """Return a metric's value as a float, NaN and infinities included.

    Raises ``BadInput`` for what is no number.
    """
    if not isinstance(value, str | bytes):
        try:
            return float(value)
        except (TypeError, ValueError, OverflowError):
            pass
    raise BadInput(f"metric {name} is {value!r}, not a number", "log one number")


def whole(step: Any) -> int:
    """Return a step as an integer; raises ``BadInput`` for anything else."""
    try:
        number = int(step)
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None or number != step or abs(number) > _LARGEST:
        raise BadInput(f"step {step!r} is not a whole number")
    return number


def dumps(value: Any) -> str:
    """Return a parameter as it is stored; the order of keys is kept."""
    if type(value) is int or (type(value) is float and math.isfinite(value)):
        return repr(value)  # which is what json writes, in a tenth of its time; most parameters are numbers
    return _ENCODER.encode(value)


def canonical(document: Any) -> bytes:
    """Return one text for equal documents, so that equal environments are kept once."""
    return json.dumps(document, sort_keys=True, ensure_ascii=False).encode("utf-8", "replace")


def jsonable(value: Any) -> Any:
    """Return ``value`` in strict JSON: NaN becomes null, infinities the text that Python reads back."""
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else ("inf" if value > 0 else "-inf")
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if isinstance(value, Mapping):
        return {key: jsonable(item) for key, item in value.items()}
    return value
