"""The finder: runs and sweeps by id, prefix, experiment, ``@best`` and filter. Used by ``Tracker``."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from typing import Any

from ...config import duration
from ...errors import BadInput, NotFound, Refused, close_matches
from ...refs import check_name
from ...store import Store
from ...store.ids import ALPHABET
from ..plain import storable
from ..run import Run, RunError
from ..runs import Runs, Sweep
from ..shelf import Shelf, listed
from . import words
from .search import (
    ATTRIBUTES,
    FULL_TEXT,
    Both,
    Field,
    Key,
    Query,
    Test,
    UnknownField,
    marked,
    parse_query,
    pointed,
    tests_of,
)
from .selection import FINITE, Selection

_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
# by the number of their runs: a clock may stand still
# a sweep whose search has not asked for its first run yet has none
_SEEN_SWEEP = (
    "(EXISTS (SELECT 1 FROM runs r WHERE r.sweep = sweeps.id AND r.removed_at IS NULL) "
    "OR NOT EXISTS (SELECT 1 FROM runs r WHERE r.sweep = sweeps.id))"
)
_NEWEST_SWEEP = "ORDER BY (SELECT MIN(number) FROM runs WHERE runs.sweep = sweeps.id) DESC LIMIT :limit"
_OF_EXPERIMENT = "SELECT id FROM runs WHERE experiment = :name AND removed_at IS NULL LIMIT 1"
_NAMED = {
    "metrics": ("metric", "run_metrics"),
    "parameters": ("parameter", "run_parameters"),
    "tags": ("tag", "run_tags"),
    "inputs": ("input", "run_inputs"),
}


class Finder:
    """Finds what people name."""

    def __init__(self, store: Store, shelf: Shelf) -> None:
        self._store = store
        self._shelf = shelf
        self.settle: Callable[[], int] = lambda: 0  # records what killed processes left behind

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
                "SELECT id FROM runs WHERE experiment = :name AND removed_at IS NULL "
                "ORDER BY number DESC LIMIT 1",
                name=name,
            )
            if not rows:
                raise self._no_experiment(name)
            return self._shelf.runs([rows[0]["id"]])[0]
        raise BadInput(f"'{text}' is no ref of a run", f"write {name}@latest, {name}@best or a run's id")

    def named(self, ref: str | Run | Runs | Sweep) -> Run | Runs:
        """Return what ``ref`` names: the runs of a sweep where it is a sweep's id, else one run."""
        text = text_of(ref)
        return self.sweep(text) if "@" not in text and self.is_sweep(text) else self.get(text)

    def best(self, name: str) -> Run:
        """Return the best finished run of a sweep or experiment, by the metric last declared for it."""
        if not self._is_experiment(name):
            if self.beginning_with("sweeps", name) or self.beginning_with("sweeps", name, removed=True):
                return self.sweep(name).best()
            raise self._no_experiment(name)
        declared = self._shelf.sweeps(
            f"WHERE experiment = :name AND metric IS NOT NULL AND {_SEEN_SWEEP} {_NEWEST_SWEEP}",
            name=name,
            limit=1,
        )
        if not declared:
            raise BadInput(
                f"no sweep of '{name}' declared which metric decides",
                "execute with --maximize or --minimize (maximize=); in Python search(...).best(maximize=...)",
            )
        metric = str(declared[0].metric)
        value = Field("metrics", metric)
        fitting = (
            Test(Field("attributes", "status"), "=", ("finished",)),
            Test(Field("attributes", "experiment"), "=", (name,)),
            Test(value, FINITE),
        )
        order = (Key(value, declared[0].goal == "maximize"), Key(Field("attributes", "number"), False))
        found = self._ids(Query(Both(fitting), order), 1, self._shelf.gone())
        if not found:
            raise NotFound(f"no finished run of '{name}' has a value of '{metric}'", "see `mlops runs list`")
        return self._shelf.runs(found)[0]

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
        if limit is not None:
            limit = min(limit, sys.maxsize)
        try:
            query = parse_query(where, order_by)
        except UnknownField as error:
            raise self._meant(error) from None
        if experiment is not None:
            check_name(experiment, "experiment")
            within = Test(Field("attributes", "experiment"), "=", (experiment,))
            query = Query(Both((within, query.where)), query.order)
        self._shelf.journal.caught_up()
        self._check(query, where)
        if any(test.field.group == FULL_TEXT for test in tests_of(query.where)):
            words.catch_up(self._store)
        gone = self._shelf.gone()
        return Runs(self._shelf.runs(self._ids(query, limit, gone), gone), None, self)

    def _ids(self, query: Query, limit: int | None, gone: Mapping[str, tuple[str, RunError]]) -> list[str]:
        """Return the ids of the runs that fit, in order."""
        if limit == 0:
            return []
        status, bound = _status_sql(gone)
        selection = Selection(query, self._store.dialect, status, bound, self._store.now())
        found: list[str] = []
        for statement in selection.statements(limit, self._numbers(), self._count):
            if limit is not None:
                bound["limit"] = limit - len(found)
            found += (row[0] for row in self._store.rows(statement, **bound))
            if limit is not None and len(found) >= limit:
                break
        return found

    def _numbers(self) -> int:
        """Return about how many runs there are."""
        return int(self._store.rows("SELECT MAX(number) FROM runs")[0][0] or 0)

    def _count(self, sql: str, bound: Mapping[str, Any]) -> int:
        return int(self._store.rows(sql, **bound)[0][0])

    def _check(self, query: Query, where: str) -> None:
        """Refuse what no run has, where that is a slip rather than an answer; without any run, nothing is."""
        for field, ordering in query.fields():
            if field.group not in _NAMED or not (ordering or field.group == "metrics"):
                continue
            what, table = _NAMED[field.group]
            if not self._store.rows(f"SELECT 1 FROM {table} WHERE name = :name LIMIT 1", name=field.name):  # noqa: S608 ours
                if not self._numbers():
                    return
                known = [row[0] for row in self._store.rows(f"SELECT DISTINCT name FROM {table}")]  # noqa: S608 ours
                hint = close_matches(
                    field.name, known, f"there are {', '.join(sorted(known)[:8]) or 'none yet'}"
                )
                place = f"column {field.column} of the {'order' if ordering else 'filter'}"
                raise NotFound(f"no run has a {what} '{field.name}' ({place})", hint)
        for test in tests_of(query.where):
            if test.field.group == "parameters" and test.operator not in ("null", "present"):
                self._check_kind(test, where)

    def _meant(self, error: UnknownField) -> BadInput:
        """Return the error with a better hint where the word is the name of a metric, a parameter, …"""
        known: dict[str, list[str]] = {name: [name] for name in ATTRIBUTES}
        for group, (_, table) in _NAMED.items():
            for (name,) in self._store.rows(f"SELECT DISTINCT name FROM {table}"):  # noqa: S608 ours
                known.setdefault(name, []).append(f"{group}.{name}")
        close = [error.word] if error.word in known else get_close_matches(error.word, list(known))
        meant = [full for name in close for full in known[name]]
        if not any("." in full for full in meant):
            return error
        return BadInput(
            error.message, marked(error.text, error.column, f"did you mean {' or '.join(meant)}?")
        )

    def _check_kind(self, test: Test, where: str) -> None:
        """Refuse to compare a parameter with a number, or with a number in quotes, where no run has such."""
        name, column = test.field.name, test.field.column
        number = next((value for value in test.values if isinstance(value, float)), None)
        text = next((value for value in test.values if isinstance(value, str) and _is_number(value)), None)
        if number is None and (text is None or test.operator in ("like", "unlike")):
            return
        kind = "number IS NOT NULL" if number is not None else "number IS NULL"
        known = "SELECT 1 FROM run_parameters WHERE name = :name"
        if self._store.rows(f"{known} AND {kind} LIMIT 1", name=name):
            return
        if self._store.rows(f"{known} LIMIT 1", name=name):
            if number is not None:
                raise pointed(
                    where, column, f"parameters.{name} is a number in no run", f"write '{number:g}' in quotes"
                )
            raise pointed(
                where, column, f"parameters.{name} is a number in every run", f"write {text} without quotes"
            )

    def sweep(self, ref: str | Run | Runs | Sweep) -> Runs:
        """Return the runs of a sweep in order, of each parameter set the newest."""
        id = self.sweep_id(text_of(ref))
        found = self._shelf.sweeps("WHERE id = :id", id=id)
        return Runs(self._shelf.runs(self._shelf.ids_of_sweep(id)), found[0], self)

    def executed_by(self, worker: str) -> Runs:
        """Return the runs that a worker took up, in order, but for those that were tried again since."""
        rows = self._store.rows(
            "SELECT id FROM runs r WHERE worker = :worker AND NOT EXISTS (SELECT 1 FROM runs n "
            "WHERE n.sweep = r.sweep AND n.position = r.position AND n.number > r.number) ORDER BY number",
            worker=worker,
        )
        return Runs(self._shelf.runs([row[0] for row in rows]), None, self)

    def await_end(self, runs: Runs, timeout: str | float | None) -> Runs:
        """Return runs once they have ended, or as they are when ``timeout`` has passed."""
        seconds = duration(timeout).total_seconds() if isinstance(timeout, str) else timeout
        end = None if seconds is None else time.monotonic() + seconds
        pause = _SHORTEST_PAUSE
        while True:
            with suppress(Refused):  # who may only look sees it anyway
                self.settle()
            now = self.sweep(runs) if runs.sweep else Runs(self._shelf.runs([r.id for r in runs]), None, self)
            going = now.sweep.status == "running" if now.sweep else any(not run.ended for run in now)
            left = _LONGEST_PAUSE if end is None else end - time.monotonic()
            if not going or left <= 0:
                return now
            time.sleep(min(pause, left))
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    def sweeps(self, experiment: str | None = None, limit: int = 50) -> tuple[Sweep, ...]:
        """Return sweeps, the newest first."""
        if experiment is None:
            return self._shelf.sweeps(f"WHERE {_SEEN_SWEEP} {_NEWEST_SWEEP}", limit=limit)
        where = f"WHERE experiment = :name AND {_SEEN_SWEEP} {_NEWEST_SWEEP}"
        return self._shelf.sweeps(where, name=experiment, limit=limit)

    def check_experiment(self, name: str) -> None:
        """Raise ``NotFound`` where runs are known, and none of an experiment of that name."""
        if not self._is_experiment(name) and self.experiments():
            raise self._no_experiment(name, "experiment")

    def experiments(self) -> tuple[str, ...]:
        """Return the names of all experiments."""
        found, name = [], ""
        # from one to the next by the index: there may be a hundred thousand runs of each
        while name := self._store.rows(
            "SELECT MIN(experiment) FROM runs WHERE experiment > :name", name=name
        )[0][0]:
            found.append(name)
        return tuple(sorted(each for each in found if self._is_experiment(each)))

    def _run_id(self, text: str) -> str:
        rows = self.beginning_with("runs", text)
        exact = [id for id in rows if id == text]
        if exact or len(rows) == 1:
            return (exact or rows)[0]
        if rows:
            raise BadInput(f"'{text}' begins several runs: {', '.join(rows[:5])}", "write more of the id")
        if self._is_experiment(text):
            raise BadInput(f"'{text}' is an experiment", f"write {text}@latest or {text}@best")
        if self.is_sweep(text):
            raise BadInput(
                f"'{text}' is a sweep", f"write {text}@best or a run's id; `mlops runs show {text}` shows all"
            )
        if removed := self.beginning_with("runs", text, removed=True):
            raise _removed("run", removed[0])
        newest = self._store.rows(
            "SELECT id FROM runs WHERE removed_at IS NULL ORDER BY number DESC LIMIT 1000"
        )
        known = [*(row[0] for row in newest), *self.experiments()]
        raise NotFound(f"there is no run '{text}'", close_matches(text, known, "`mlops runs list` shows all"))

    def sweep_id(self, text: str) -> str:
        """Return the id of the sweep that ``text`` names, by its own id or by a run of it."""
        rows = self.beginning_with("sweeps", text)
        exact = [id for id in rows if id == text]
        if exact or len(rows) == 1:
            return (exact or rows)[0]
        if rows:
            raise BadInput(f"'{text}' begins several sweeps: {', '.join(rows[:5])}", "write more of the id")
        known = self._is_experiment(text)
        if not known and (removed := self.beginning_with("sweeps", text, removed=True)):
            raise _removed("sweep", removed[0])
        sweep = None if known else self.get(text).sweep
        if sweep is None:
            ids = [each.id for each in self._shelf.sweeps(_NEWEST_SWEEP, limit=1000)]
            hint = "sweeps are made by `mlops run`; a run's own id works too"
            raise NotFound(f"'{text}' is no sweep and of no sweep", close_matches(text, ids, hint))
        return sweep

    def beginning_with(self, table: str, text: str, removed: bool = False) -> list[str]:
        """Return ids of runs or sweeps that begin with ``text``; of removed ones, or of all others."""
        if not text or any(letter not in ALPHABET for letter in text):
            return []
        if table == "runs":
            seen = f"removed_at IS {'NOT ' if removed else ''}NULL"
        else:
            seen = f"NOT {_SEEN_SWEEP}" if removed else _SEEN_SWEEP
        rows = self._store.rows(
            # LIKE alone walks along all of them
            f"SELECT id FROM {table} WHERE id BETWEEN :text AND :last AND id LIKE :pattern AND {seen} "  # noqa: S608 ours
            "ORDER BY id LIMIT 6",
            text=text,
            last=text + ALPHABET[-1] * 8,
            pattern=f"{text}%",
        )
        return [row[0] for row in rows]

    def is_sweep(self, text: str) -> bool:
        """Return whether ``text`` is the id of a sweep, or its beginning and that of no run."""
        sweeps, runs = self.beginning_with("sweeps", text), self.beginning_with("runs", text)
        if sweeps and runs and text not in (*sweeps, *runs):
            raise BadInput(f"'{text}' begins a sweep and a run", "write more of the id")
        return text in sweeps or (bool(sweeps) and not runs)

    def _is_experiment(self, name: str) -> bool:
        return self._store.one(_OF_EXPERIMENT, name=name) is not None

    def _no_experiment(self, name: str, what: str = "experiment or sweep") -> NotFound:
        known = self.experiments()
        hint = close_matches(name, known, f"there are {', '.join(known[:8]) or 'none yet'}")
        return NotFound(f"there is no {what} '{name}'", hint)


def _status_sql(gone: Mapping[str, tuple[str, RunError]]) -> tuple[str, dict[str, Any]]:
    """Return the SQL of a run's status as people see it: what a killed process left behind has ended."""
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


def _removed(what: str, id: str) -> NotFound:
    return NotFound(f"{what} {id} was removed", f"`mlops runs restore {id}` brings it back")


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def text_of(ref: str | Run | Runs | Sweep) -> str:
    """Return a ref as text, without ``run:`` in front."""
    given: Any = ref
    if not isinstance(given, str) and not hasattr(given, "id"):
        raise BadInput(f"a {type(ref).__name__} names no run", "give a run, a sweep, or an id")
    text = given if isinstance(given, str) else given.id
    if not text:
        raise BadInput("these runs are no sweep", "give a run, a sweep, or an id")
    before, colon, after = storable(text, "a ref").partition(":")
    return after if colon and before == "run" else text
