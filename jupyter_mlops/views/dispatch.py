"""The dispatch: which function sees which value. Modules register theirs; faces call ``view``.

A module of views is loaded when a value of its ring is first seen: most commands show values of one ring.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import singledispatch
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from ..charts import Figure
from ..value import Listing
from . import formats
from .view import Cell, Picture, Table, Text, View, facts

See = Callable[[Sequence[Any]], View]
_listings: dict[str, See] = {}
_kinds: dict[type, str] = {}
_MOST_ROWS = 200
# where the values of a package are seen; what is not found there is looked for everywhere
_HOMES = {
    "datasets.diff": "diff",
    "datasets.lineage": "lineage",
    "datasets.transfer": "remotes",
    "datasets": "data",
    "store.aliases": "data",
    "store": "project",
    "people": "project",
    "automation.overview": "project",
    "automation": "project",
    "objects": "storage",
    "runs.runs": "leaderboard",
    "runs.comparing.leaderboard": "leaderboard",
    "runs.comparing.comparison": "comparison",
    "runs.comparing.notebook_diff": "comparison",
    "runs.comparing.importance": "comparison",
    "runs.comparing.reproduction": "reproduction",
    "runs": "runs",
    "models": "models",
    "promotion": "promotion",
    "monitoring": "monitoring",
}
_PLACES = {
    "data": "data",
    "model": "models",
    "run": "runs",
    "approval": "approvals",
    "alert": "alerts",
}


@singledispatch
def view(value: Any) -> View:
    """Return how ``value`` is seen. Every value has a view; one of an unknown type shows its dictionary."""
    if _loaded_for(type(value), lambda: view.dispatch(type(value)) is not view.dispatch(object)):
        return view(value)
    name = formats.clean(getattr(value, "ref", "") or type(value).__name__)
    if not hasattr(value, "to_dict"):
        said = formats.plain(value)
        return View(said, said)
    known = value.to_dict()
    return View(
        name,
        name,
        "plain",
        (facts(*((key, formats.plain(one)) for key, one in known.items())),),
        path_of(value),
    )


def listing(kind: str, item: type | None = None) -> Callable[[See], See]:
    """Declare how a ``Listing`` of ``kind`` is seen, and that bare sequences of ``item`` are such."""

    def declare(see: See) -> See:
        _listings[kind] = see
        if item is not None:
            _kinds[item] = kind
        return see

    return declare


@view.register
def _(value: Listing) -> View:
    _loaded_for(type(value.items[0]) if value.items else None, lambda: value.kind in _listings)
    see = _listings.get(value.kind)
    seen = see(value.items) if see is not None else _unknown(value.kind, value.items)
    return replace(seen, blocks=(*seen.blocks, Text(value.note, "muted"))) if value.note else seen


@view.register(tuple)
@view.register(list)
def _(value: Sequence[Any]) -> View:
    if value:
        _loaded_for(type(value[0]), lambda: type(value[0]) in _kinds)
    kind = _kinds.get(type(value[0]), "values") if value else "values"
    return view(Listing(kind, tuple(value)))


@view.register
def _(value: Figure) -> View:
    title = value.title or "figure"
    # the title stands above the picture already
    return View(title, title, "plain", (Picture(replace(value, title="")),))


def _loaded_for(kind: type | None, known: Callable[[], bool]) -> bool:
    """Load modules of views until the wanted one is ``known``, the likely one first; say whether it is."""
    names = sorted(module.name for module in iter_modules([str(Path(__file__).parent)]))
    home = (kind.__module__ if kind else "").removeprefix(f"{__package__.rpartition('.')[0]}.")
    likely = [_HOMES[place] for place in _HOMES if f"{home}.".startswith(f"{place}.")]
    for name in [*(one for one in likely if one in names), *names]:
        if known():
            return True
        import_module(f"{__package__}.{name}")
    return known()


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a listing: its name, how it shows an item, and by what it orders them, if it can."""

    name: str
    show: Callable[[Any], Cell | str]
    numeric: bool = False
    order: str = ""


def listed(
    noun: str,
    items: Sequence[Any],
    columns: Sequence[Column],
    *,
    plural: str = "",
    empty: str = "",
    path: str = "",
) -> View:
    """Return the view of a listing: one row an item."""
    if not items:
        title = f"no {plural or noun + 's'}"
        return View(title, f"{title}: {empty}" if empty else title, "plain", (), path)
    counted = formats.count(len(items), noun, plural)
    return View(counted, counted, "plain", (tabled(items, columns),), path)


def tabled(items: Sequence[Any], columns: Sequence[Column], most: int = _MOST_ROWS) -> Table:
    """Return the table of at most ``most`` items; columns that are empty everywhere are left out."""
    shown = items[:most]
    made = [(column, [as_cell(column.show(item)) for item in shown]) for column in columns]
    kept = [(column, cells) for column, cells in made if any(cell.text.strip() for cell in cells)]
    return Table(
        tuple(column.name for column, _ in kept),
        tuple(zip(*(cells for _, cells in kept), strict=True)),
        frozenset(index for index, (column, _) in enumerate(kept) if column.numeric),
        len(items) - len(shown),
        orders=tuple(column.order for column, _ in kept),
    )


def path_of(value: Any) -> str:
    """Return where ``value`` is in the page, if it is."""
    path = getattr(value, "path", "")
    return path if isinstance(path, str) else ""


def when(at: str | None) -> Cell:
    """Return a stored time as a cell of a column that says ``(UTC)``."""
    return Cell(formats.moment(at).removesuffix(" UTC") if at else "", "muted")


def as_cell(made: Cell | str) -> Cell:
    """Return a cell, of a plain text too."""
    return made if isinstance(made, Cell) else Cell(made)


def place_of(about: str) -> str:
    """Return where in the page the thing of an event is: ``model:fraud@v3`` is at models/fraud/3."""
    kind, _, name = about.partition(":")
    if kind == "sweep":
        return f"runs?sweep={name}"
    place = _PLACES.get(kind)
    if place is None or not name:
        return ""
    name, at, number = name.partition("@v")
    return f"{place}/{name}/{number}" if at else f"{place}/{name}"


def _unknown(kind: str, items: Sequence[Any]) -> View:
    known = [item.to_dict() if hasattr(item, "to_dict") else {"value": item} for item in items]
    names = list(dict.fromkeys(str(name) for one in known for name in one))[:8]
    columns = [Column(name, _reader(name)) for name in names]
    return listed(kind.removesuffix("s"), known, columns, plural=kind)


def _reader(name: str) -> Callable[[Any], str]:
    return lambda known: formats.plain(known.get(name, ""))
