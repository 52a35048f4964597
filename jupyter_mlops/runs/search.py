"""The query: filter and order as people type them, parsed into SQL. Used by ``Tracker.search``.

Nothing that was typed becomes part of the SQL text: names and values travel as parameters.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NoReturn

from ..errors import BadInput, close_matches

GRAMMAR = r"""
where: either
either: both (_OR both)*
both: plain (_AND plain)*
?plain: _NOT plain -> negated
      | "(" either ")"
      | test
?test: field COMPARISON value                       -> compares
     | field _IN "(" value ("," value)* ")"         -> among
     | field _NOT _IN "(" value ("," value)* ")"    -> not_among
     | field _LIKE TEXT                             -> like
     | field _NOT _LIKE TEXT                        -> not_like
     | field _IS _NULL                              -> missing
     | field _IS _NOT _NULL                         -> present
order: key ("," key)*
key: field [DIRECTION]
field: NAME ("." (NAME | TEXT))*
value: NUMBER | TEXT | TRUTH

COMPARISON: "!=" | "<=" | ">=" | "=" | "<" | ">"
_OR.3: /or\b/i
_AND.3: /and\b/i
_NOT.3: /not\b/i
_IN.3: /in\b/i
_LIKE.3: /like\b/i
_IS.3: /is\b/i
_NULL.3: /null\b/i
DIRECTION.3: /(asc|desc)\b/i
TRUTH.3: /(true|false)\b/i
NAME: /[^\W\d]\w*/
NUMBER: /[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\b|[+-]?inf\b/i
TEXT: /'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`/
%ignore /\s+/
"""
GROUPS = ("metrics", "parameters", "tags", "attributes")
ATTRIBUTES = ("experiment", "status", "actor", "id", "sweep", "notebook", "started_at")
_LONGEST = 2_000
_EXPECTED = {
    "COMPARISON": "a comparison",
    "NUMBER": "a value",
    "TEXT": "a text in quotes",
    "NAME": "a name such as metrics.auc",
    "_AND": "'and'",
    "_OR": "'or'",
}
_MISSING_LAST = "CASE WHEN ({0}) IS NULL THEN 1 ELSE 0 END, {0}"


@dataclass
class Query:
    """Pieces of SQL about ``runs r`` and the parameters they use."""

    where: str = ""
    order: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)


def parse_query(where: str, order_by: str | Sequence[str] | None, status: str = "r.status") -> Query:
    """Return ``where`` and ``order_by`` as SQL; ``status`` is the SQL of a run's status.

    Raises ``BadInput`` that points at the place that cannot be read.
    """
    query = Query()
    if where.strip():
        query.where = _Compiler(where, query.parameters, status).compiled("where")
    wanted = order_by if isinstance(order_by, str) or order_by is None else ", ".join(order_by)
    if wanted and wanted.strip():
        query.order = _Compiler(wanted, query.parameters, status).compiled("order")
    return query


class _Compiler:
    """Compiles one text that somebody typed."""

    def __init__(self, text: str, parameters: dict[str, Any], status: str) -> None:
        self._text = text
        self._parameters = parameters
        self._status = status

    def compiled(self, start: str) -> str:
        from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedToken

        if len(self._text) > _LONGEST:
            raise BadInput(f"the filter is longer than {_LONGEST} characters", "ask for less at a time")
        try:
            tree = _parser().parse(self._text, start=start)
            return self._sql(tree)
        except UnexpectedCharacters as error:
            place = error.pos_in_stream or 0
            self._fail(place, f"{self._text[place]!r} makes no sense here")
        except UnexpectedToken as error:
            at = error.token.start_pos
            ended = error.token.type == "$END" or at is None
            self._fail(len(self._text) if ended or at is None else at, _wanted(error, ended))
        except UnexpectedEOF:
            self._fail(len(self._text), "something is missing here")
        except RecursionError:
            raise BadInput("the filter is nested too deeply", "use fewer parentheses") from None

    def _sql(self, tree: Any) -> str:
        kind, parts = tree.data, tree.children
        if kind == "where":
            return self._sql(parts[0])
        if kind in ("either", "both"):
            joined = (" OR " if kind == "either" else " AND ").join(self._sql(part) for part in parts)
            return f"({joined})"
        if kind == "negated":
            return f"(NOT {self._sql(parts[0])})"
        if kind == "order":
            return ", ".join(self._sql(part) for part in parts)
        if kind == "key":
            return self._key(parts[0], parts[1])
        group, name, at = self._field(parts[0])
        if kind in ("missing", "present"):
            found = f"({self._stored(group, name)}) IS NULL"
            return found if kind == "missing" else f"(NOT {found})"
        if kind in ("like", "not_like"):
            found = self._like(group, name, at, _unquoted(parts[1]))
            return found if kind == "like" else f"(NOT {found})"
        if kind == "compares":
            return self._compares(group, name, str(parts[1]), parts[2])
        tests = " OR ".join(self._compares(group, name, "=", value) for value in parts[1:])
        return f"({tests})" if kind == "among" else f"(NOT ({tests}))"

    def _field(self, tree: Any) -> tuple[str, str, int]:
        """Return the group and name that a field means; points at it where there is no such thing."""
        words = [_unquoted(token) if token.type == "TEXT" else str(token) for token in tree.children]
        at = int(tree.children[0].start_pos)
        if len(words) == 1 and words[0] in ATTRIBUTES:
            return "attributes", words[0], at
        group, name = words[0], ".".join(words[1:])
        if group not in GROUPS:
            known = [*(f"{known}." for known in GROUPS), *ATTRIBUTES]
            hint = close_matches(group, known) or f"known: {', '.join(known)}"
            self._fail(at, f"there is no '{group}' to look at", hint)
        if not name:
            self._fail(at + len(group), f"'{group}' needs a name", f"such as {group}.auc")
        if group == "attributes" and name not in ATTRIBUTES:
            self._fail(
                at, f"runs have no attribute '{name}'", close_matches(name, ATTRIBUTES, ", ".join(ATTRIBUTES))
            )
        return group, name, at

    def _stored(self, group: str, name: str, column: str = "value") -> str:
        if group == "attributes":
            return self._status if name == "status" else f"r.{name}"
        table = {"metrics": "run_metrics", "parameters": "run_parameters", "tags": "run_tags"}[group]
        mark = self._bind(name)
        stored = f"SELECT p.{column} FROM {table} p WHERE p.run = r.id AND p.name = {mark}"  # noqa: S608 ours
        if group == "parameters" and column == "value":
            stored += " AND p.value <> 'null'"
        return stored

    def _compares(self, group: str, name: str, operator: str, value: Any) -> str:
        token = value.children[0]
        sql = "<>" if operator == "!=" else operator
        if token.type == "NUMBER":
            if group in ("metrics", "parameters"):
                column = "value" if group == "metrics" else "number"
                return f"(({self._stored(group, name, column)}) {sql} {self._bind(float(token))})"
            self._fail(token.start_pos, f"{group}.{name} is text", f"write '{token}' in quotes")
        if group == "metrics":
            self._fail(token.start_pos, f"metrics.{name} is a number", "compare it with one")
        if operator not in ("=", "!=") and not (group == "attributes" and name == "started_at"):
            self._fail(token.start_pos, f"'{operator}' compares numbers", "use =, !=, in or like for text")
        if token.type == "TRUTH":
            if group != "parameters":
                self._fail(token.start_pos, f"{group}.{name} is text", f"write '{token}' in quotes")
            stored = str(token).lower()
        else:
            text = _unquoted(token)
            stored = json.dumps(text, ensure_ascii=False) if group == "parameters" else text
        return f"(({self._stored(group, name)}) {sql} {self._bind(stored)})"

    def _like(self, group: str, name: str, at: int, pattern: str) -> str:
        if group == "metrics":
            self._fail(at, f"metrics.{name} is a number", "like compares text")
        if group == "parameters":  # texts are kept with their quotes
            pattern = json.dumps(pattern, ensure_ascii=False)
        # no escape character: PostgreSQL takes the backslash for one unless told, SQLite has none
        mark = self._bind(pattern.lower().replace("~", "~~"))
        return f"(LOWER({self._scalar(group, name)}) LIKE {mark} ESCAPE '~')"

    def _scalar(self, group: str, name: str) -> str:
        return f"({self._stored(group, name)})"

    def _key(self, field: Any, direction: Any) -> str:
        group, name, _ = self._field(field)
        down = " DESC" if direction is not None and str(direction).lower() == "desc" else ""
        columns = ("number", "value") if group == "parameters" else ("value",)
        parts = [_MISSING_LAST.format(f"({self._stored(group, name, column)})") + down for column in columns]
        return ", ".join(parts)

    def _bind(self, value: Any) -> str:
        mark = f"q{len(self._parameters)}"
        self._parameters[mark] = value
        return f":{mark}"

    def _fail(self, at: int, what: str, hint: str = "") -> NoReturn:
        shown = f"{hint}\n" if hint else ""
        raise BadInput(
            f"the filter cannot be read at column {at + 1}: {what}",
            f"{shown}\n    {self._text}\n    {' ' * at}^",
        )


def _wanted(error: Any, ended: bool) -> str:
    found = "it ends here" if ended else f"{str(error.token)!r} was not expected"
    expected = [words for token, words in _EXPECTED.items() if token in error.expected]
    return f"{found}; it should go on with {' or '.join(expected)}" if expected else found


def _unquoted(token: Any) -> str:
    text = str(token)
    quote = text[0]
    return text[1:-1].replace(quote * 2, quote)


@lru_cache(maxsize=1)
def _parser() -> Any:
    from lark import Lark

    return Lark(GRAMMAR, parser="lalr", start=["where", "order"], maybe_placeholders=True)
