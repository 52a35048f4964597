"""The finder: runs and sweeps by id, prefix, experiment, ``@best`` and filter. Used by ``Tracker``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from ..errors import BadInput, NotFound, close_matches
from ..refs import check_name
from ..store import Store
from .ledger import ALPHABET
from .run import Run
from .runs import Runs, Sweep
from .search import parse_query
from .shelf import Shelf, listed

# by the number of their runs: a clock may stand still
_NEWEST_SWEEP = "ORDER BY (SELECT MIN(number) FROM runs WHERE runs.sweep = sweeps.id) DESC LIMIT :limit"
_BEST = (
    "SELECT r.id FROM run_metrics m JOIN runs r ON r.id = m.run WHERE r.experiment = :name "
    "AND r.status = 'finished' AND m.name = :metric AND m.value BETWEEN :lowest AND :highest "
    "ORDER BY m.value {direction}, r.number LIMIT 1"
)


class Finder:
    """Finds what people name."""

    def __init__(self, store: Store, shelf: Shelf) -> None:
        self._store = store
        self._shelf = shelf

    def get(self, ref: str | Run | Runs | Sweep) -> Run:
        """Return one run: id or its beginning, ``<experiment>@latest``, ``<experiment or sweep>@best``."""
        if isinstance(ref, Runs):
            return ref[0] if len(ref) == 1 else ref.best()
        text = text_of(ref)
        name, at, selector = text.partition("@")
        if not at:
            return self._shelf.runs([self._run_id(text)])[0]
        if selector == "best":
            return self.best(name)
        if selector == "latest":
            rows = self._store.all(
                "SELECT id FROM runs WHERE experiment = :name ORDER BY number DESC LIMIT 1", name=name
            )
            if not rows:
                raise self._no_experiment(name)
            return self._shelf.runs([rows[0]["id"]])[0]
        raise BadInput(f"'{text}' is no ref of a run", f"write {name}@latest, {name}@best or a run's id")

    def best(self, name: str) -> Run:
        """Return the best finished run of a sweep or experiment, by the metric last declared for it."""
        if not self._is_experiment(name):
            if self._beginning_with("sweeps", name):
                return self.sweep(name).best()
            raise self._no_experiment(name)
        declared = self._shelf.sweeps(
            f"WHERE experiment = :name AND metric IS NOT NULL {_NEWEST_SWEEP}", name=name, limit=1
        )
        if not declared:
            raise BadInput(
                f"no sweep of '{name}' declared which metric decides",
                "execute with maximize= or minimize=, or take search(...).best(maximize=...)",
            )
        metric = str(declared[0].metric)
        found = self._store.one(
            _BEST.format(direction="DESC" if declared[0].goal == "maximize" else "ASC"),
            name=name,
            metric=metric,
            lowest=-sys.float_info.max,
            highest=sys.float_info.max,
        )
        if found is None:
            raise NotFound(f"no finished run of '{name}' has a value of '{metric}'", "see `mlops runs list`")
        return self._shelf.runs([found["id"]])[0]

    def search(
        self,
        where: str = "",
        order_by: str | Sequence[str] | None = None,
        limit: int | None = 50,
        experiment: str | None = None,
    ) -> Runs:
        """Return the runs that fit, the newest first or as ``order_by`` says."""
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 0):
            raise BadInput(f"limit {limit!r} is not a number of runs", "give 0 or more, or None for all")
        status, bound = self._status_sql()
        query = parse_query(where, order_by, status)
        conditions = [query.where] if query.where else []
        if experiment is not None:
            check_name(experiment, "experiment")
            conditions.append("r.experiment = :experiment")
            bound["experiment"] = experiment
        sql = "SELECT r.id FROM runs r"  # every piece below is ours; what was typed is bound
        sql += f" WHERE {' AND '.join(conditions)}" if conditions else ""
        sql += f" ORDER BY {query.order + ', ' if query.order else ''}r.number DESC"
        if limit is not None:
            sql += " LIMIT :limit"
            bound["limit"] = limit
        rows = self._store.all(sql, **bound, **query.parameters)
        return Runs(self._shelf.runs([row["id"] for row in rows]), None, self)

    def sweep(self, ref: str | Run | Runs | Sweep) -> Runs:
        """Return the runs of a sweep in order, of each parameter set the newest."""
        id = self.sweep_id(text_of(ref))
        found = self._shelf.sweeps("WHERE id = :id", id=id)
        return Runs(self._shelf.runs(self._shelf.ids_of_sweep(id)), found[0], self)

    def sweeps(self, experiment: str | None = None, limit: int = 50) -> tuple[Sweep, ...]:
        """Return sweeps, the newest first."""
        if experiment is None:
            return self._shelf.sweeps(_NEWEST_SWEEP, limit=limit)
        return self._shelf.sweeps(f"WHERE experiment = :name {_NEWEST_SWEEP}", name=experiment, limit=limit)

    def experiments(self) -> tuple[str, ...]:
        """Return the names of all experiments."""
        rows = self._store.all("SELECT DISTINCT experiment FROM runs ORDER BY experiment")
        return tuple(row["experiment"] for row in rows)

    def _status_sql(self) -> tuple[str, dict[str, Any]]:
        """Return the SQL of a run's status as people see it: what a killed process left behind has ended."""
        gone = self._shelf.gone()
        if not gone:
            return "r.status", {}
        cases = ""
        bound: dict[str, Any] = {}
        for status in ("failed", "stopped"):
            ids = [id for id, (ended, _) in gone.items() if ended == status]
            if ids:
                marks, given = listed(ids, status)
                cases += f" WHEN r.id IN ({marks}) THEN '{status}'"
                bound |= given
        return f"CASE{cases} ELSE r.status END", bound

    def _run_id(self, text: str) -> str:
        rows = self._beginning_with("runs", text)
        exact = [id for id in rows if id == text]
        if exact or len(rows) == 1:
            return (exact or rows)[0]
        if rows:
            raise BadInput(f"'{text}' begins several runs: {', '.join(rows[:5])}", "write more of the id")
        if self._is_experiment(text):
            raise BadInput(f"'{text}' is an experiment", f"write {text}@latest or {text}@best")
        if self.is_sweep(text):
            raise BadInput(f"'{text}' is a sweep", f"write {text}@best, or a run's id")
        ids = [row["id"] for row in self._store.all("SELECT id FROM runs ORDER BY number DESC LIMIT 1000")]
        known = [*ids, *self.experiments()]
        raise NotFound(f"there is no run '{text}'", close_matches(text, known, "`mlops runs list` shows all"))

    def sweep_id(self, text: str) -> str:
        """Return the id of the sweep that ``text`` names, by its own id or by a run of it."""
        rows = self._beginning_with("sweeps", text)
        exact = [id for id in rows if id == text]
        if exact or len(rows) == 1:
            return (exact or rows)[0]
        if rows:
            raise BadInput(f"'{text}' begins several sweeps: {', '.join(rows[:5])}", "write more of the id")
        sweep = None if self._is_experiment(text) else self.get(text).sweep
        if sweep is None:
            known = [each.id for each in self._shelf.sweeps(_NEWEST_SWEEP, limit=1000)]
            hint = "sweeps are made by `mlops run`; a run's own id works too"
            raise NotFound(f"'{text}' is no sweep and of no sweep", close_matches(text, known, hint))
        return sweep

    def _beginning_with(self, table: str, text: str) -> list[str]:
        if not text or any(letter not in ALPHABET for letter in text):
            return []
        rows = self._store.all(
            f"SELECT id FROM {table} WHERE id LIKE :pattern ORDER BY id LIMIT 6",  # noqa: S608 ours
            pattern=f"{text}%",
        )
        return [row["id"] for row in rows]

    def is_sweep(self, text: str) -> bool:
        """Return whether ``text`` is the id of a sweep, or its beginning and that of no run."""
        sweeps, runs = self._beginning_with("sweeps", text), self._beginning_with("runs", text)
        if sweeps and runs and text not in (*sweeps, *runs):
            raise BadInput(f"'{text}' begins a sweep and a run", "write more of the id")
        return text in sweeps or (bool(sweeps) and not runs)

    def _is_experiment(self, name: str) -> bool:
        return self._store.one("SELECT id FROM runs WHERE experiment = :name LIMIT 1", name=name) is not None

    def _no_experiment(self, name: str) -> NotFound:
        known = self.experiments()
        hint = close_matches(name, known, f"there are {', '.join(known[:8]) or 'none yet'}")
        return NotFound(f"there is no experiment or sweep '{name}'", hint)


def text_of(ref: str | Run | Runs | Sweep) -> str:
    """Return a ref as text, without ``run:`` in front."""
    text = ref if isinstance(ref, str) else ref.id
    if not text:
        raise BadInput("these runs are no sweep", "give a run, a sweep, or an id")
    before, colon, after = text.partition(":")
    return after if colon and before == "run" else text
