"""Types of columns: the word for an Arrow type, the Arrow type of a word. Used by readers and sources."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..errors import BadInput, close_matches
from .version import Column

_SPOKEN = {
    "int": "int64",
    "integer": "int64",
    "float": "float64",
    "number": "float64",
    "double": "float64",
    "text": "string",
    "str": "string",
    "boolean": "bool",
    "datetime": "datetime[us]",
    "timestamp": "datetime[us]",
}
_NUMBERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64")
_PLAIN = (*_NUMBERS, "bool", "string", "category", "date")
_DATETIME = re.compile(r"datetime\[(ms|us|ns)(?:, ([\w/+\-]+))?\]")


def word_of(type: Any) -> str:
    """Return the word for an Arrow type; storage details such as the width of offsets have none."""
    import pyarrow as pa

    kinds = pa.types
    for is_kind, word in (
        (kinds.is_float16, "float16"),
        (kinds.is_float32, "float32"),
        (kinds.is_float64, "float64"),
        (kinds.is_boolean, "bool"),
        (kinds.is_date, "date"),
        (kinds.is_time, "time"),
        (kinds.is_dictionary, "category"),
    ):
        if is_kind(type):
            return word
    text = str(type)
    if text in ("string", "large_string", "string_view"):
        return "string"
    if text in ("binary", "large_binary", "binary_view"):
        return "binary"
    if kinds.is_timestamp(type):
        return f"datetime[{type.unit}, {type.tz}]" if type.tz else f"datetime[{type.unit}]"
    if kinds.is_decimal(type):
        return f"decimal({type.precision}, {type.scale})"
    if kinds.is_list(type) or kinds.is_large_list(type) or kinds.is_fixed_size_list(type):
        return f"list<{word_of(type.value_type)}>"
    if kinds.is_struct(type):
        inner = ", ".join(f"{part.name}: {word_of(part.type)}" for part in type)
        return f"struct<{inner}>"
    return text


def arrow_type(word: str) -> Any:
    """Return the Arrow type of a word that may stand in ``schema=``; raises ``BadInput`` for others."""
    import pyarrow as pa

    word = _SPOKEN.get(word, word)
    if match := _DATETIME.fullmatch(word):
        return pa.timestamp(match.group(1), tz=match.group(2))
    if word not in _PLAIN:
        hint = close_matches(word, (*_PLAIN, *_SPOKEN), f"known: {', '.join(_PLAIN)}, datetime[us, UTC]")
        raise BadInput(f"{word!r} is no type of a column", hint)
    return {
        "float32": pa.float32(),
        "float64": pa.float64(),
        "bool": pa.bool_(),
        "category": pa.dictionary(pa.int32(), pa.string()),
        "date": pa.date32(),
    }.get(word) or pa.type_for_alias(word)


def columns_of(schema: Any) -> tuple[Column, ...]:
    """Return the columns of an Arrow schema; raises ``BadInput`` if two have one name or there are none."""
    check_names(schema.names)
    return tuple(Column(part.name, word_of(part.type)) for part in schema)


def check_names(names: list[str]) -> None:
    """Raise ``BadInput`` unless there are columns and all have different names."""
    if not names:
        raise BadInput("the table has no columns", "commit a table with at least one column")
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise BadInput(
            f"two columns are named {', '.join(map(repr, twice[:5]))}", "give every column a name of its own"
        )


def declared(schema: Any, names: list[str]) -> dict[str, str]:
    """Return what ``schema=`` declares, as words by column; raises ``BadInput`` for unknown columns."""
    import pyarrow as pa

    if schema is None:
        return {}
    if isinstance(schema, pa.Schema):
        schema = {part.name: word_of(part.type) for part in schema}
    if not isinstance(schema, Mapping):
        raise BadInput("schema must map columns to types", 'such as {"zip": "string", "joined": "date"}')
    for name in schema:
        if name not in names:
            raise BadInput(
                f"schema names the column {name!r}, which is not there", close_matches(str(name), names)
            )
    return {str(name): word_of(arrow_type(str(word))) for name, word in schema.items()}
