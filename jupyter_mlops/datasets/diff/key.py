"""Key: the columns by which rows of two versions belong together. Chosen by ``comparison``, and said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import BadInput, close_matches
from .rows import Shared
from .side import Side

GIVEN, REMEMBERED, INFERRED, WHOLE = "key given", "key remembered", "key inferred", "whole rows"
_NAMES = ("id", "_id", "key", "uuid")


@dataclass(frozen=True, slots=True)
class Key:
    """The columns that tell rows apart, how they came to be the key, and what is to be said about it."""

    columns: tuple[Shared, ...]
    matched: str
    note: str = ""


def chosen(
    given: Sequence[str] | None,
    remembered: Sequence[str],
    shared: Sequence[Shared],
    before: Side,
    after: Side,
) -> Key:
    """Return the key to compare by; raises ``BadInput`` where a key is given that is none."""
    known = {column.name: column for column in shared}
    if given:
        for name in given:
            if name not in known:
                raise BadInput(f"there is no column {name!r} in both versions", _hint(name, known))
        return Key(_comparable([known[name] for name in given], before), GIVEN)
    if remembered:
        lost = [name for name in remembered if name not in known]
        if not lost:
            return Key(_comparable([known[name] for name in remembered], before), REMEMBERED)
        note = f"the key {', '.join(remembered)} is not in both versions: rows are compared as a whole"
        return Key((), WHOLE, note)
    lower = {name.lower(): column for name, column in reversed(known.items())}
    for name in _NAMES:
        column = lower.get(name)
        if column is not None and _names_rows(column, before, after):
            return Key(
                (column,), INFERRED, f"rows are matched by {column.name}, whose values are all different"
            )
    return Key(
        (), WHOLE, "no key is known, so a changed row counts as one removed, one added; --key COLUMN tells"
    )


def _comparable(key: list[Shared], before: Side) -> tuple[Shared, ...]:
    for column in key:
        if before.types[column.before].is_nested():
            raise BadInput(
                f"column {column.name!r} holds lists or structs, so it is no key", "choose another key"
            )
    return tuple(key)


def _names_rows(column: Shared, before: Side, after: Side) -> bool:
    """Say whether a column can be a key: of a type that names things, without missing values."""
    for side, place in ((before, column.before), (after, column.after)):
        kind = side.types[place]
        if kind.is_nested() or kind.is_float() or kind.is_temporal():
            return False
        if side.columns([place]).null_count().collect(engine="streaming").item():
            return False
    return True


def _hint(name: str, known: dict[str, Shared]) -> str:
    columns = list(known)
    return close_matches(
        name, columns, f"in both: {', '.join(columns[:10])}" if columns else "they share none"
    )
