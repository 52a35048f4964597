"""The selection: a query about runs as SQL that stays quick where there are many. Used by ``Finder``.

What decides is what a query walks along. Ordered by a metric, the index over the values of that metric gives
the runs in order, and the walk ends with the last row asked for: good where many runs fit the filter. Where
few do, the filter's own index names them, and they are sorted. Which it is, is counted first, no further than
where it stops to matter. Nothing here relies on statistics of the database.

Every piece of SQL is ours; what somebody typed is bound.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...store.dialect import Dialect
from .search import FULL_TEXT, NUMBERS, Both, Condition, Either, Field, Key, Query, Test

Count = Callable[[str, Mapping[str, Any]], int]
FINITE = "finite"
_TABLES = {
    "metrics": "run_metrics",
    "parameters": "run_parameters",
    "tags": "run_tags",
    "inputs": "run_inputs",
}
_COLUMNS = {"commit": "git_commit", "created_at": "at", "like": "like_run", "pruned": "pruned_step"}
_ALWAYS_THERE = ("id", "number", "experiment", "kind", "status", "actor", "created_at")
_INDEXED_TEXT = 64
_INDEXED = ("id", "experiment", "sweep", "status")
_VISIBLE = "r.removed_at IS NULL"
_FEW_RUNS = 300
_MOST_COUNTED, _MOST_ESTIMATED, _MOST_IN_SET = 5_000, 10_000, 2_000


@dataclass
class Selection:
    """One query as a row of SELECT statements: the answer is what the first gives, then the second, …

    Parameters
    ----------
    status
        The SQL of a run's status as people see it, with its parameters in ``bound``.
    """

    query: Query
    dialect: Dialect
    status: str = "r.status"
    bound: dict[str, Any] = field(default_factory=dict)
    now: str = ""
    _sets: list[str] = field(default_factory=list, init=False)

    def statements(self, limit: int | None, runs: int, count: Count) -> Iterator[str]:
        """Yield the statements; each names runs that none before it names, ``:limit`` of them at most.

        ``count`` says how many rows a query has, which names no more than it is allowed to.
        """
        self.bound["limit"] = sys.maxsize if limit is None else limit
        first = self.query.order[0] if self.query.order else None
        named = self._few(limit, runs, count)
        if first is not None and first.field.group in ("metrics", "parameters"):
            for walk in self._walks(first):
                yield self._along(walk, first, named)
            if not self._implied(self.query.where, first.field):
                yield self._without(first, named)
            return
        if first is not None and str(first.field) == "started_at":
            yield self._plain(
                named, "r.started_at IS NOT NULL", [f"r.started_at{_down(first)}", *self._rest()]
            )
            yield self._plain(named, "r.started_at IS NULL", self._rest())
            return
        yield self._plain(named, "", [self._key(key) for key in self.query.order])

    # -- what to walk along

    def _few(self, limit: int | None, runs: int, count: Count) -> str:
        """Return the query of the runs that the filter's own indexes name, if they are few; else nothing."""
        if runs < _FEW_RUNS:
            return ""
        # walking looks at limit * runs / matching rows, naming at matching ones
        worth = min(_MOST_COUNTED, runs if limit is None else math.isqrt(max(limit, 1) * runs) + 1)
        candidates = self._named(self.query.where)
        some = max(worth, min(2 * worth, _MOST_IN_SET))
        counted = [(self._counted(named, some + 1, count), named) for named in candidates]
        fewest, best = min(counted, default=(worth + 1, ""))
        if fewest <= worth:
            return best
        self._sets = [named for met, named in counted if met <= some]
        if len(candidates) > 1 and limit is not None:
            # each is met by many, all of them perhaps by few: as if one had nothing to do with the other
            most = min(4 * worth, _MOST_ESTIMATED)
            counted = [(self._counted(named, most, count), named) for named in candidates]
            fewest, best = min(counted)
            matching = runs * math.prod(met / runs for met, _ in counted)
            if fewest < most and fewest < min(runs, limit * runs / max(matching, 1)):
                return best
        return ""

    def _counted(self, named: str, most: int, count: Count) -> int:
        return count(f"SELECT COUNT(*) FROM (SELECT 1 FROM ({named}) c LIMIT {most}) d", self.bound)  # noqa: S608 ours

    def _named(self, condition: Condition) -> list[str]:
        """Return queries that name all runs for which the condition can hold, and others; each run once."""
        if isinstance(condition, Test):
            if condition.operator == "matches":
                return [self._having(word) for word in condition.values]
            named = self._index(condition)
            return [named] if named else []
        parts = [self._named(part) for part in condition.parts]
        if isinstance(condition, Both):
            return [named for part in parts for named in part]
        return [" UNION ".join(part[0] for part in parts)] if all(parts) else []

    def _having(self, word: tuple[str, bool]) -> str:
        having = self.dialect.having_word(self._word(word))
        return f"SELECT DISTINCT w.id AS run FROM ({having}) w"  # noqa: S608 ours

    def _index(self, test: Test) -> str:
        """Return the query that names the runs for which ``test`` holds by an index, where one does."""
        group, name = test.field.group, test.field.name
        if group == "attributes":
            indexed = name in _INDEXED and (name != "status" or self.status == "r.status")
            ranged = name == "started_at" and test.operator in ("=", "<", "<=", ">", ">=")
            if ranged or (indexed and test.operator == "="):
                held = self._on_column(f"x.{name}", test)
                return f"SELECT x.id AS run FROM runs x WHERE {held}"  # noqa: S608 ours
            return ""
        if test.operator in ("null", "!=", "like", "unlike", "lacks", "matches"):
            return ""
        if group == "inputs" and test.operator != "=":
            return ""
        if test.operator == "=" and group in ("parameters", "tags") and not _numbers(test.values):
            if any(isinstance(value, float) for value in test.values):
                return ""
            begun = [_stored(group, value)[:_INDEXED_TEXT] for value in test.values]
            held = self._among(f"substr(x.value, 1, {_INDEXED_TEXT})", begun)
            held += " AND x.number IS NULL" if group == "parameters" else ""
        else:
            held = self._held(test, "x")
        return f"SELECT x.run FROM {_TABLES[group]} x WHERE x.name = {self._bind(name)} AND {held}"  # noqa: S608 ours

    # -- statements

    def _walks(self, key: Key) -> Iterator[tuple[str, list[str]]]:
        """Yield conditions on the rows ``m`` that hold the values to order by, and the order they give."""
        if key.field.group == "metrics":
            yield "m.value IS NOT NULL", [f"m.value{_down(key)}"]
            return
        value = f"{self.dialect.bytewise('m.value')}{_down(key)}"
        yield "m.number IS NOT NULL", [f"m.number{_down(key)}", value]
        yield "m.number IS NULL AND m.value <> 'null'", [value]

    def _along(self, walk: tuple[str, list[str]], key: Key, named: str) -> str:
        condition, order = walk
        table = _TABLES[key.field.group]
        # CROSS JOIN: SQLite keeps the order of these tables, which is what is known here and not there
        source = (
            f"({named}) d CROSS JOIN runs r CROSS JOIN {table} m" if named else f"{table} m CROSS JOIN runs r"
        )
        joined = "r.id = d.run AND m.run = r.id" if named else "r.id = m.run"
        conditions = [joined, f"m.name = {self._bind(key.field.name)}", condition, _VISIBLE]
        # parts are looked up by the row walked along: only of what fits is the run itself read
        conditions += self._conditions(key.field, "d.run" if named else "m.run")
        return self._statement(source, conditions, [*order, *self._rest()])

    def _without(self, key: Key, named: str) -> str:
        """Return the statement for the runs that have no value to order by."""
        return self._plain(named, self._condition(Test(key.field, "null")), self._rest())

    def _plain(self, named: str, condition: str, order: Sequence[str]) -> str:
        source = f"({named}) d CROSS JOIN runs r" if named else "runs r"
        conditions = ["r.id = d.run"] if named else []
        fitting = self._conditions(run="d.run" if named else "r.id")
        conditions += [each for each in (condition, _VISIBLE, *fitting) if each]
        return self._statement(source, conditions, order)

    def _statement(self, source: str, conditions: Sequence[str], order: Sequence[str]) -> str:
        by = ", ".join([*order, "r.number DESC"])
        return f"SELECT r.id FROM {source} WHERE {' AND '.join(conditions)} ORDER BY {by} LIMIT :limit"  # noqa: S608 ours

    def _rest(self) -> list[str]:
        return [self._key(key) for key in self.query.order[1:]]

    def _key(self, key: Key) -> str:
        group, name = key.field.group, key.field.name
        if group == "attributes":
            column = self._attribute(name)
            text = column if name in NUMBERS else self.dialect.bytewise(column)
            return text + _down(key) if name in _ALWAYS_THERE else _missing_last(column, text) + _down(key)
        parts = []
        for column in (
            ("number", "value") if group == "parameters" else ("ref",) if group == "inputs" else ("value",)
        ):
            known = " AND k.value <> 'null'" if group == "parameters" else ""
            found = (
                f"(SELECT k.{column} FROM {_TABLES[group]} k "  # noqa: S608 ours
                f"WHERE k.run = r.id AND k.name = {self._bind(name)}{known})"
            )
            ordered = found if column == "number" or group == "metrics" else self.dialect.bytewise(found)
            parts.append(_missing_last(found, ordered) + _down(key))
        return ", ".join(parts)

    # -- conditions

    def _conditions(self, walked: Field | None = None, run: str = "r.id") -> list[str]:
        where = self.query.where
        parts = where.parts if isinstance(where, Both) else (where,)
        # to look into a set of not too many is quicker than to look up the part of each that is walked past
        among = [f"{self.dialect.unindexed(run)} IN ({named})" for named in self._sets]
        return [*among, *(self._condition(part, walked, run) for part in parts)]

    def _condition(self, condition: Condition, walked: Field | None = None, run: str = "r.id") -> str:
        """Return the SQL of a condition on ``r``; where ``walked`` is tested, the row ``m`` is at hand."""
        if isinstance(condition, Both | Either):
            parts = [self._condition(part, walked, run) for part in condition.parts]
            return f"({(' AND ' if isinstance(condition, Both) else ' OR ').join(parts) or '1 = 1'})"
        group, name = condition.field.group, condition.field.name
        if group == FULL_TEXT:
            has = " AND ".join(self.dialect.has_word(run, self._word(word)) for word in condition.values)
            return f"({has})" if condition.operator == "matches" else f"(NOT ({has}))"
        if group == "attributes":
            return self._on_attribute(condition)
        if walked is not None and group == "metrics" and (group, name) == (walked.group, walked.name):
            return self._held(condition, "m") if condition.operator != "null" else "1 = 0"
        there = condition.operator != "null"
        held = self._held(condition if there else Test(condition.field, "present"), "p")
        exists = (
            f"EXISTS (SELECT 1 FROM {_TABLES[group]} p "  # noqa: S608 ours
            f"WHERE p.run = {run} AND p.name = {self._bind(name)} AND {held})"
        )
        return exists if there else f"NOT {exists}"

    def _held(self, test: Test, row: str) -> str:
        """Return the condition on the row of a part, whose run and name are as they should be."""
        group, operator = test.field.group, test.operator
        column = f"{row}.{'ref' if group == 'inputs' else 'value'}"
        known = f"{column} <> 'null'" if group == "parameters" else f"{column} IS NOT NULL"
        if operator == FINITE:
            largest = sys.float_info.max
            return f"{column} BETWEEN {self._bind(-largest)} AND {self._bind(largest)}"
        if operator == "present":
            return known
        if operator in ("like", "unlike"):
            text = self.dialect.json_text(column) if group == "parameters" else column
            # what is no text is not like any, and not unlike any
            return f"{self._like(text, test.values[0])} {'IS TRUE' if operator == 'like' else 'IS FALSE'}"
        if group in ("tags", "inputs"):
            return self._among(column, test.values, operator)
        if group == "metrics":
            return self._numbered(column, operator, test.values)
        numbers = [value for value in test.values if _numbers([value])]
        others = [_stored(group, value) for value in test.values if not _numbers([value])]
        tests = []
        if numbers:
            compared = self._numbered(f"{row}.number", operator, numbers)
            # a parameter that is no number differs from all numbers, and is neither above nor below one
            tests.append(f"({row}.number IS NULL OR {compared})" if operator == "!=" else compared)
        if others:
            tests.append(self._among(column, others, operator))
        joined = f"({(' AND ' if operator == '!=' else ' OR ').join(tests)})"
        return f"({known} AND {joined})" if operator == "!=" else joined

    def _on_attribute(self, test: Test) -> str:
        column = self._attribute(test.field.name)
        walked = test.field.name == "experiment" and not self.query.order
        # where few runs fit, an index names them; else none may turn the engine from the walk
        return self._on_column(column if walked else self.dialect.unindexed(column), test)

    def _on_column(self, column: str, test: Test) -> str:
        operator = test.operator
        if operator in ("null", "present"):
            return f"{column} IS {'NOT ' if operator == 'present' else ''}NULL"
        if operator in ("like", "unlike"):
            return f"{self._like(column, test.values[0])} {'IS TRUE' if operator == 'like' else 'IS FALSE'}"
        if test.field.name in NUMBERS:
            return self._numbered(column, operator, test.values)
        if operator in ("=", "!="):
            return self._among(column, test.values, operator)
        return f"{column} {operator} {self._bind(test.values[0])}"

    def _attribute(self, name: str) -> str:
        if name == "status":
            return f"({self.status})"
        if name == "duration":
            running = f"CASE WHEN ({self.status}) = 'running' THEN :now END"
            self.bound["now"] = self.now
            return self.dialect.seconds("r.started_at", f"COALESCE(r.ended_at, {running})")
        return f"r.{_COLUMNS.get(name, name)}"

    def _numbered(self, column: str, operator: str, values: Sequence[float]) -> str:
        if operator in ("=", "!=") and len(values) > 1:
            return self._among(column, values, operator)
        return f"{column} {'<>' if operator == '!=' else operator} {self._bind(values[0])}"

    def _among(self, column: str, values: Sequence[Any], operator: str = "=") -> str:
        if len(values) == 1:
            return f"{column} {'<>' if operator == '!=' else '='} {self._bind(values[0])}"
        marks = ", ".join(self._bind(value) for value in values)
        return f"{column} {'NOT ' if operator == '!=' else ''}IN ({marks})"

    def _like(self, text: str, pattern: str) -> str:
        # only of a to z does the case not matter: what LOWER makes of others depends on the database.
        # No escape character: PostgreSQL takes the backslash for one unless told, SQLite has none
        mark = self._bind(_lowered(pattern).replace("~", "~~"))
        return f"(LOWER({self.dialect.bytewise(text)}) LIKE {mark} ESCAPE '~')"

    def _implied(self, condition: Condition, key: Field) -> bool:
        """Return whether every run for which the condition holds has a value to order by."""
        if isinstance(condition, Test):
            same = (condition.field.group, condition.field.name) == (key.group, key.name)
            return same and condition.operator != "null"
        held = [self._implied(part, key) for part in condition.parts]
        return any(held) if isinstance(condition, Both) else bool(held) and all(held)

    def _word(self, typed: tuple[str, bool]) -> str:
        mark = f"w{len(self.bound)}"
        self.bound |= self.dialect.word("run", *typed, mark)
        return mark

    def _bind(self, value: Any) -> str:
        mark = f"q{len(self.bound)}"
        self.bound[mark] = value
        return f":{mark}"


def _down(key: Key) -> str:
    return " DESC" if key.down else ""


def _missing_last(found: str, ordered: str) -> str:
    return f"CASE WHEN {found} IS NULL THEN 1 ELSE 0 END, {ordered}"


def _numbers(values: Sequence[Any]) -> bool:
    return all(isinstance(value, float) for value in values)


def _stored(group: str, value: str | bool) -> str:
    return json.dumps(value, ensure_ascii=False) if group == "parameters" else str(value)


def _lowered(pattern: str) -> str:
    return "".join(letter.lower() if letter.isascii() else letter for letter in pattern)
