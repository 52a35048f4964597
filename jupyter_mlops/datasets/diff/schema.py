"""Schema: columns that are new, gone, renamed, of another type or elsewhere. Called by ``comparison``."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence

from .rows import Shared
from .side import Side
from .value import SchemaChange

_MOST_PAIRS = 100  # of a removed and an added column that may be one column with a new name


def shared_columns(before: Side, after: Side) -> tuple[Shared, ...]:
    """Return the columns that both tables have, in the order of the first."""
    places = {name: place for place, name in enumerate(after.names)}
    return tuple(
        Shared(name, place, places[name]) for place, name in enumerate(before.names) if name in places
    )


def possible_renames(before: Side, after: Side) -> tuple[tuple[int, int], ...]:
    """Return pairs of a removed and an added column of one type: what tells is whether they hold the same."""
    old, new = set(before.names), set(after.names)
    removed = [place for place, name in enumerate(before.names) if name not in new]
    added = [place for place, name in enumerate(after.names) if name not in old]
    pairs = [(one, other) for one in removed for other in added if before.types[one] == after.types[other]]
    return tuple(pairs) if len(pairs) <= _MOST_PAIRS else ()


def one_to_one(pairs: Collection[tuple[int, int]]) -> dict[int, int]:
    """Return each column with its new place, where several would fit the first of them."""
    found: dict[int, int] = {}
    for before, after in sorted(pairs):
        if before not in found and after not in found.values():
            found[before] = after
    return found


def schema_changes(
    before: Side, after: Side, types: tuple[Mapping[str, str], Mapping[str, str]], renamed: Mapping[int, int]
) -> tuple[SchemaChange, ...]:
    """Return what differs between the columns of two tables; ``types`` are the words for their types."""
    old, new = set(before.names), set(after.names)
    found = [
        SchemaChange("renamed", after.names[there], before.names[here], after.names[there])
        for here, there in renamed.items()
    ]
    found += [
        SchemaChange("added", name, "", types[1][name])
        for place, name in enumerate(after.names)
        if name not in old and place not in renamed.values()
    ]
    found += [
        SchemaChange("removed", name, types[0][name], "")
        for place, name in enumerate(before.names)
        if name not in new and place not in renamed
    ]
    shared = [name for name in before.names if name in new]
    found += [
        SchemaChange("retyped", name, types[0][name], types[1][name])
        for name in shared
        if types[0][name] != types[1][name]
    ]
    places = {name: place for place, name in enumerate(after.names)}
    for name in _moved(shared, places):
        was = before.names.index(name) + 1
        found.append(SchemaChange("reordered", name, f"place {was}", f"place {places[name] + 1}"))
    return tuple(found)


def _moved(names: Sequence[str], places: Mapping[str, int]) -> list[str]:
    """Return the fewest columns that must have moved: those outside a longest rising row of places."""
    ends: list[int] = []
    last: list[int] = []
    previous: list[int] = []
    order = [places[name] for name in names]
    for number, place in enumerate(order):
        at = bisect_left(ends, place)
        previous.append(last[at - 1] if at else -1)
        ends[at : at + 1] = [place]
        last[at : at + 1] = [number]
    stayed = set()
    number = last[-1] if last else -1
    while number >= 0:
        stayed.add(number)
        number = previous[number]
    return [name for number, name in enumerate(names) if number not in stayed]
