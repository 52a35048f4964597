"""The leaderboard: runs ranked, filtered, and what was picked of them. Made by ``Runs`` and ``Tracker``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from ...errors import BadInput, close_matches
from ...value import Value
from ..run import Run
from ..runs import Runs, Searching

if TYPE_CHECKING:
    from ..finding.finder import Finder

_GROUPS = ("metrics", "parameters", "tags", "attributes")
_ATTRIBUTES = ("id", "experiment", "status", "actor", "notebook", "sweep", "started_at", "duration")


@dataclass(frozen=True, slots=True)
class Order:
    """By what runs are ranked: ``metrics.auc``, ``parameters.C``, ``attributes.started_at``."""

    by: str
    descending: bool = False

    @property
    def group(self) -> str:
        """Which of a run's parts it looks at."""
        return self.by.partition(".")[0]

    @property
    def name(self) -> str:
        """The name within the group."""
        return self.by.partition(".")[2]

    @property
    def text(self) -> str:
        """How the search says it; a name that is no word is written in backticks."""
        name = self.name if self.name.isidentifier() and self.name.isascii() else f"`{self.name}`"
        return f"{self.group}.{name} {'desc' if self.descending else 'asc'}"

    def __str__(self) -> str:
        return f"{self.by} {'desc' if self.descending else 'asc'}"


class Source(Protocol):
    """Where a leaderboard finds its runs."""

    def ranked(self, where: str, order: Order | None, limit: int) -> Runs:
        """Return the first ``limit`` runs that fit, in that order."""

    def count(self, where: str) -> int | None:
        """Return how many runs fit; ``None`` where nobody counted."""


class Leaderboard(Value):
    """Runs in order of merit, read again whenever the order or the filter changes.

    ``sort``, ``filter``, ``more`` and ``pick`` change what it shows, and each returns it. In a notebook where
    the extension is loaded it has controls for all of them.
    """

    def __init__(
        self,
        source: Source,
        order: Order | None = None,
        where: str = "",
        limit: int = 100,
    ) -> None:
        self._source = source
        self._limit = limit
        self._order = order
        self._where = where
        self._picked: dict[str, Run] = {}
        self._read()

    @property
    def runs(self) -> Runs:
        """The runs it shows, best first."""
        return self._runs

    @property
    def order(self) -> Order | None:
        """By what they are ranked; ``None`` where they stand as they came."""
        return self._order

    @property
    def where(self) -> str:
        """The filter in force."""
        return self._where

    @property
    def total(self) -> int | None:
        """How many runs fit the filter, shown or not; ``None`` where there are more than anybody counted."""
        return self._total

    @property
    def picked(self) -> Runs:
        """The picked runs, in the order in which they were picked."""
        return Runs(tuple(self._picked.values()), self._runs.sweep, self._runs.searching)

    @property
    def path(self) -> str:
        """Where the page shows them."""
        return self._runs.path

    def sort(self, by: str | None, descending: bool | None = None) -> Leaderboard:
        """Rank by ``metrics.…``, ``parameters.…``, ``tags.…`` or ``attributes.…``; ``None`` as they came.

        Without ``descending`` metrics that are to be maximised come largest first, all else smallest first.
        """
        self._set(order=order_of(by, descending, self._runs) if by else None)
        return self

    def filter(self, where: str = "") -> Leaderboard:
        """Show only runs that fit a filter as ``project.runs.search`` takes it; an empty one shows all."""
        self._set(where=where.strip())
        return self

    def more(self, limit: int | None = None) -> Leaderboard:
        """Show up to ``limit`` runs, else four times as many as now."""
        self._set(limit=limit or self._limit * 4)
        return self

    def refresh(self) -> Leaderboard:
        """Read the runs again."""
        self._read()
        return self

    def pick(self, *runs: Run | str) -> Leaderboard:
        """Pick exactly these of the runs shown or picked before, by value or id; none clears the pick."""
        known = {run.id: run for run in (*self._picked.values(), *self._runs)}
        chosen: dict[str, Run] = {}
        for run in runs:
            id = run if isinstance(run, str) else run.id
            matches = [one for one in known if one.startswith(id)] if id else []
            if len(matches) != 1 and id not in known:
                raise BadInput(
                    f"'{id}' is {'several' if matches else 'none'} of the runs shown",
                    close_matches(id, known, "pick by the ids in the first column"),
                )
            chosen[id if id in known else matches[0]] = known[id if id in known else matches[0]]
        self._picked = chosen
        return self

    def to_dict(self) -> dict[str, Any]:
        """Return ``{"items": [...], …}`` as JSON-ready types."""
        return {
            "items": [run.to_dict() for run in self._runs],
            "order": str(self._order) if self._order else None,
            "where": self._where,
            "total": self._total,
            "picked": list(self._picked),
        }

    def to_pandas(self) -> Any:
        """Return one row a run, in the order shown."""
        return self._runs.to_pandas()

    def __repr__(self) -> str:
        by = f" by {self._order}" if self._order else ""
        return f"<Leaderboard of {len(self._runs)} runs{by}, {len(self._picked)} picked>"

    def _set(self, **changed: Any) -> None:
        before = {name: getattr(self, f"_{name}") for name in changed}
        for name, value in changed.items():
            setattr(self, f"_{name}", value)
        try:
            self._read()
        except BaseException:
            # what cannot be read must not stay: the next refresh would fail on it again
            for name, value in before.items():
                setattr(self, f"_{name}", value)
            raise

    def _read(self) -> None:
        asked = (*parts_asked(self._where), *([self._order.by] if self._order else []))
        found = self._source.ranked(self._where, self._order, self._limit)
        self._runs = replace(found, asked=tuple(dict.fromkeys(asked)))
        self._total = len(self._runs) if len(self._runs) < self._limit else self._source.count(self._where)
        fresh = {run.id: run for run in self._runs}
        self._picked = {id: fresh.get(id, run) for id, run in self._picked.items()}


class Within:
    """The runs of one ``Runs``: ranked here, filtered by the search they came from."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    def ranked(self, where: str, order: Order | None, limit: int) -> Runs:
        """Return the first ``limit`` runs that fit, in that order; the newest state of each."""
        found = self._runs.where(where) if where else self._runs
        items = ranked(found.items, order) if order else found.items
        return Runs(items[:limit], found.sweep, found.searching)

    def count(self, where: str) -> int | None:
        """Return how many runs fit."""
        return len(self._runs.where(where) if where else self._runs)


class Everything:
    """All runs of a project, or of one experiment: ranked and filtered where they are stored."""

    def __init__(self, searching: Searching, experiment: str | None = None) -> None:
        self._searching = searching
        self._experiment = experiment

    def ranked(self, where: str, order: Order | None, limit: int) -> Runs:
        """Return the first ``limit`` runs that fit, in that order."""
        text = order.text if order else None
        return self._searching.search(where, text, limit, self._experiment)

    def count(self, where: str) -> int | None:
        """Nobody counts what is not shown."""
        return None


def ranked(runs: Sequence[Run], order: Order) -> tuple[Run, ...]:
    """Return ``runs`` in that order; those without a value, or with one that is not finite, come last."""
    keyed = [(_value(run, order), run) for run in runs]
    numbers = [(value, run) for value, run in keyed if isinstance(value, int | float)]
    texts = [(value, run) for value, run in keyed if isinstance(value, str)]
    numbers.sort(key=lambda pair: pair[0], reverse=order.descending)
    texts.sort(key=lambda pair: pair[0], reverse=order.descending)
    rest = [run for value, run in keyed if value is None]
    return (*(run for _, run in numbers), *(run for _, run in texts), *rest)


def order_of(by: str, descending: bool | None, runs: Runs) -> Order:
    """Return the order that ``by`` names; ``metrics.auc desc`` says its direction itself.

    Raises ``BadInput`` for what is no part of a run.
    """
    by = by.strip()
    if descending is None and by.lower().endswith((" asc", " desc")):
        by, _, word = by.rpartition(" ")
        by, descending = by.strip(), word.lower() == "desc"
    group, _, name = by.partition(".")
    if not name and group in _ATTRIBUTES:
        group, name = "attributes", group
    if group not in _GROUPS or not name or (group == "attributes" and name not in _ATTRIBUTES):
        known = [*_ATTRIBUTES, *(f"metrics.{one}" for one in runs.metric_names)]
        hint = close_matches(by, known, "such as metrics.auc, parameters.C, attributes.started_at")
        raise BadInput(f"runs cannot be ordered by '{by}'", hint)
    name = name.strip("`")
    if descending is None:
        descending = group == "metrics" and not (name == runs.metric and runs.goal == "minimize")
    return Order(f"{group}.{name}", descending)


def parts_asked(where: str, order_by: str | Sequence[str] | None = None) -> tuple[str, ...]:
    """Return the parts of runs that a filter and an order look at: ``metrics.auc``, ``parameters.C``."""
    if not where and not order_by:
        return ()
    from ..finding.search import parse_query

    return tuple(
        dict.fromkeys(f"{field.group}.{field.name}" for field, _ in parse_query(where, order_by).fields())
    )


def _value(run: Run, order: Order) -> float | str | None:
    parts: dict[str, Any] = {"metrics": run.metrics, "parameters": run.parameters, "tags": run.tags}
    value = getattr(run, order.name) if order.group == "attributes" else parts[order.group].get(order.name)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return value if math.isfinite(value) else None
    return None if value is None else value if isinstance(value, str) else repr(value)


def leaderboard_of(
    finder: Finder, where: str, order_by: str | None, experiment: str | None, limit: int
) -> Leaderboard:
    """Return the leaderboard over everything that ``finder`` finds."""
    order = order_of(order_by, None, Runs(())) if order_by else None
    if order is None and experiment is not None:
        declared = next((sweep for sweep in finder.sweeps(experiment) if sweep.metric), None)
        if declared is not None:
            order = Order(f"metrics.{declared.metric}", declared.goal != "minimize")
    return Leaderboard(Everything(finder, experiment), order, where, limit)
