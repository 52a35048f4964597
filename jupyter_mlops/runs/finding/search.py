"""The query: filter and order as people type them, read into tests. Used by ``Finder`` and by ``Selection``.

``not`` is resolved while reading: every test that is left says what a run must have, and a run that lacks
the value fails it. What comes out is that of SQL's three-valued logic, told in `docs/search.md`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NoReturn

from ...config import duration
from ...errors import BadInput, close_matches
from ...store.dialect import typed_words
from ..plain import storable

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
     | field _MATCHES TEXT                          -> matches
     | field _NOT _MATCHES TEXT                     -> not_matches
     | field _IS _NULL                              -> missing
     | field _IS _NOT _NULL                         -> present
order: key ("," key)*
key: field [DIRECTION]
field: (NAME | TEXT) ("." (NAME | TEXT))*
value: NUMBER | TEXT | TRUTH | SPAN

COMPARISON: "!=" | "<>" | "<=" | ">=" | "==" | "=" | "<" | ">"
_OR.3: /or\b/i
_AND.3: /and\b/i
_NOT.3: /not\b/i
_IN.3: /in\b/i
_LIKE.3: /i?like\b/i
_MATCHES.3: /matches\b/i | "~"
_IS.3: /is\b/i
_NULL.3: /null\b/i
DIRECTION.3: /(asc|desc)\b/i
TRUTH.3: /(true|false)\b/i
NAME: /[^\W\d][\w\/-]*/
NUMBER: /[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\b|[+-]?inf\b/i
SPAN: /\d+[smhdw]\b/
TEXT: /'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`/
%ignore /\s+/
"""
GROUPS = ("metrics", "parameters", "tags", "inputs", "attributes")
TEXTS = ("id", "experiment", "sweep", "kind", "status", "actor", "notebook", "note", "commit", "like")
TIMES = ("created_at", "started_at", "ended_at")
NUMBERS = ("number", "position", "duration", "pruned")
STATUSES = ("queued", "running", "finished", "failed", "stopped", "pruned")
KINDS = ("tracked", "notebook")
ATTRIBUTES = (*TEXTS[:2], *NUMBERS[:1], *TEXTS[2:], *TIMES, *NUMBERS[1:])
FULL_TEXT = "text"
PRUNED = "pruned"
# what people type who come from MLflow, or in a hurry
_GROUP_ALIASES = {
    "metric": "metrics",
    "params": "parameters",
    "param": "parameters",
    "parameter": "parameters",
    "tag": "tags",
    "input": "inputs",
    "attribute": "attributes",
    "attr": "attributes",
    "run": "attributes",
}
_ATTRIBUTE_ALIASES = {
    "run_id": "id",
    "run_uuid": "id",
    "experiment_name": "experiment",
    "user_id": "actor",
    "user": "actor",
    "created": "created_at",
    "start_time": "started_at",
    "end_time": "ended_at",
    "git_commit": "commit",
}
_ELSEWHERE = {
    "experiment_id": "experiments have names here: experiment = 'churn'",
    "run_name": "runs have no name of their own: look for a tag, a note, or text matches '…'",
    "artifact_uri": "runs name what they keep by content, not by place",
    "lifecycle_stage": "removed runs are not found until `mlops runs restore` brings them back",
    "error": "look for its words: text matches '…'",
    "source_name": "the notebook of a run is its attribute notebook",
    "outputs": "`mlops data show REF` says which run made a version",
}
_NEGATED = {"=": "!=", "!=": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
_SPELLED = {"==": "=", "<>": "!="}
_LONGEST = 2_000
_EXPECTED = {
    "COMPARISON": "a comparison",
    "NUMBER": "a value",
    "TEXT": "a text in quotes",
    "NAME": "a name such as metrics.auc",
    "_AND": "'and'",
    "_OR": "'or'",
}


@dataclass(frozen=True, slots=True)
class Field:
    """What a test or an order looks at, and at which column of the text it stands, from 1."""

    group: str
    name: str
    column: int = 1

    def __str__(self) -> str:
        return self.name if self.group in ("attributes", FULL_TEXT) else f"{self.group}.{self.name}"


@dataclass(frozen=True, slots=True)
class Test:
    """One condition. ``=`` holds for one of the values, ``!=`` for none of them; missing values fail both.

    Operators: ``= != < <= > >= like unlike null present matches lacks``, and ``finite``, which nobody types.
    """

    field: Field
    operator: str
    values: tuple[Any, ...] = ()
    column: int = 1

    def negated(self) -> Test:
        """Return the test that holds where this one fails, of those that have the value."""
        pairs = (("like", "unlike"), ("null", "present"), ("matches", "lacks"))
        opposite = _NEGATED | {a: b for a, b in pairs} | {b: a for a, b in pairs}
        return Test(self.field, opposite[self.operator], self.values, self.column)


@dataclass(frozen=True, slots=True)
class Both:
    """All of the parts hold; with no part, always."""

    parts: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Either:
    """One of the parts holds."""

    parts: tuple[Condition, ...]


Condition = Test | Both | Either


@dataclass(frozen=True, slots=True)
class Key:
    """One thing to order by; runs without a value come last either way."""

    field: Field
    down: bool


@dataclass(frozen=True, slots=True)
class Query:
    """What somebody asked for."""

    where: Condition = Both()
    order: tuple[Key, ...] = ()

    def fields(self) -> Iterator[tuple[Field, bool]]:
        """Yield what is looked at, and whether to order by it."""
        yield from ((test.field, False) for test in tests_of(self.where))
        yield from ((key.field, True) for key in self.order)


def tests_of(condition: Condition) -> Iterator[Test]:
    """Yield every single test."""
    if isinstance(condition, Test):
        yield condition
    else:
        for part in condition.parts:
            yield from tests_of(part)


def parse_query(where: str, order_by: str | Sequence[str] | None = None) -> Query:
    """Return what ``where`` and ``order_by`` ask for.

    Raises ``BadInput`` that points at the place that cannot be read.
    """
    order: Any = order_by or ""
    if isinstance(order, Sequence) and all(isinstance(one, str) for one in order):
        order = order if isinstance(order, str) else ", ".join(order)
    for text, what, such in ((where, "filter", "metrics.auc > 0.8"), (order, "order", "metrics.auc desc")):
        if not isinstance(text, str):
            raise BadInput(f"the {what} is no text: {text!r}", f"such as {such}")
        storable(text, f"the {what}")
    return _parsed(where.strip() and where, order.strip() and order)


@lru_cache(maxsize=256)
def _parsed(where: str, order: str) -> Query:
    return Query(
        _Reader(where, "filter").where() if where else Both(),
        _Reader(order, "order").order() if order else (),
    )


class UnknownField(BadInput):
    """Raised for a ``word`` at ``column`` that is nothing to look at: perhaps a name without its group."""

    def __init__(self, message: str, hint: str, text: str, column: int, word: str) -> None:
        super().__init__(message, hint)
        self.text = text
        self.column = column
        self.word = word


class _Reader:
    """Reads one text that somebody typed."""

    def __init__(self, text: str, what: str) -> None:
        self._text = text
        self._what = what

    def where(self) -> Condition:
        try:
            return self._condition(self._tree("where").children[0], False)
        except RecursionError:
            raise self._too_deep() from None

    def order(self) -> tuple[Key, ...]:
        keys = []
        for key in self._tree("order").children:
            field, direction = self._field(key.children[0]), key.children[1]
            if field.name == FULL_TEXT and field.group == FULL_TEXT:
                self._fail(
                    field.column - 1, "there is no order in text", "order by a metric, such as metrics.auc"
                )
            keys.append(Key(field, direction is not None and str(direction).lower() == "desc"))
        return tuple(keys)

    def _tree(self, start: str) -> Any:
        from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedToken

        if len(self._text) > _LONGEST:
            raise BadInput(f"the {self._what} is longer than {_LONGEST} characters", "ask for less at a time")
        try:
            return _parser().parse(self._text, start=start)
        except UnexpectedCharacters as error:
            place = error.pos_in_stream or 0
            self._fail(place, f"{self._text[place]!r} makes no sense here", self._quoting(place))
        except UnexpectedToken as error:
            at = error.token.start_pos
            ended = error.token.type == "$END" or at is None
            place = len(self._text) if ended or at is None else at
            self._fail(place, _wanted(error, ended), self._token_hint(error, place))
        except UnexpectedEOF:
            self._fail(len(self._text), "something is missing here")
        except RecursionError:
            raise self._too_deep() from None

    def _condition(self, tree: Any, negated: bool) -> Condition:
        kind, parts = tree.data, tree.children
        if kind == "negated":
            return self._condition(parts[0], not negated)
        if kind in ("either", "both"):
            made = tuple(self._condition(part, negated) for part in parts)
            if len(made) == 1:
                return made[0]
            return Either(made) if (kind == "either") != negated else Both(made)
        made_test = self._test(kind, parts)
        return _negated(made_test) if negated else made_test

    def _test(self, kind: str, parts: Sequence[Any]) -> Condition:
        field = self._field(parts[0])
        at = field.column - 1
        if kind in ("matches", "not_matches"):
            return self._matches(field, parts[1], "matches" if kind == "matches" else "lacks")
        if field.group == FULL_TEXT:
            self._fail(at, "text is looked through for words", "write: text matches 'word other*'")
        if kind in ("missing", "present"):
            return Test(field, "null" if kind == "missing" else "present", (), field.column)
        if kind in ("like", "not_like"):
            if field.group == "metrics" or (field.group == "attributes" and field.name in NUMBERS):
                self._fail(at, f"{field} is a number", "like compares text")
            operator = "like" if kind == "like" else "unlike"
            return Test(field, operator, (_unquoted(parts[1]),), field.column)
        if kind == "compares":
            operator = _SPELLED.get(str(parts[1]), str(parts[1]))
            values: tuple[Any, ...] = (self._value(field, operator, parts[2]),)
        else:
            operator = "=" if kind == "among" else "!="
            values = tuple(self._value(field, operator, value) for value in parts[1:])
        if field.group == "attributes" and field.name == "status" and PRUNED in values:
            return _status(field, operator, values)
        return Test(field, operator, values, field.column)

    def _matches(self, field: Field, token: Any, operator: str) -> Test:
        if field.group != FULL_TEXT:
            self._fail(
                field.column - 1,
                f"words are looked for in all of a run, not in {field}",
                "write: text matches",
            )
        words = tuple(typed_words(_unquoted(token)))
        if not words:
            self._fail(int(token.start_pos), "there is no word in this text", "words are letters and digits")
        return Test(field, operator, words, field.column)

    def _field(self, tree: Any) -> Field:
        """Return what is meant; points at it where there is no such thing."""
        words = [_unquoted(token) if token.type == "TEXT" else str(token) for token in tree.children]
        first = tree.children[0]
        at = int(first.start_pos)
        if first.type == "TEXT":
            self._fail(
                at, "a filter begins with what it looks at", "such as metrics.auc, or: text matches '…'"
            )
        if len(words) == 1:
            name = _ATTRIBUTE_ALIASES.get(words[0], words[0])
            if name in ATTRIBUTES:
                return Field("attributes", name, at + 1)
            if name == FULL_TEXT:
                return Field(FULL_TEXT, FULL_TEXT, at + 1)
        group, name = _GROUP_ALIASES.get(words[0], words[0]), ".".join(words[1:])
        if group not in GROUPS:
            known = [*(f"{known}." for known in GROUPS), *ATTRIBUTES, FULL_TEXT]
            hint = close_matches(group, known) or f"known: {', '.join(known)}"
            what = f"the {self._what} cannot be read at column {at + 1}: there is no '{words[0]}' to look at"
            hint = _ELSEWHERE.get(group, hint)
            raise UnknownField(what, marked(self._text, at + 1, hint), self._text, at + 1, ".".join(words))
        if not name:
            self._fail(at + len(words[0]), f"'{group}' needs a name", f"such as {group}.auc")
        if group == "attributes":
            name = _ATTRIBUTE_ALIASES.get(name, name)
            if name not in ATTRIBUTES:
                hint = close_matches(name, ATTRIBUTES, f"known: {', '.join(ATTRIBUTES)}")
                self._fail(at, f"runs have no attribute '{name}'", _ELSEWHERE.get(name, hint))
        return Field(group, name, at + 1)

    def _value(self, field: Field, operator: str, value: Any) -> Any:
        token = value.children[0]
        at, number = int(token.start_pos), token.type == "NUMBER"
        attribute = field.name if field.group == "attributes" else ""
        if attribute == "duration" and not number:
            return self._seconds(at, token)
        if token.type == "SPAN":
            self._fail(at, f"{field} is no length of time", f"write {token} in quotes if it is a text")
        if field.group == "metrics" or attribute in NUMBERS:
            if not number:
                self._fail(at, f"{field} is a number", "compare it with one")
            return float(token)
        if number and field.group == "parameters":
            return float(token)
        if attribute in TIMES:
            return self._moment(field, token)
        if number:
            self._fail(at, f"{field} is text", f"write '{token}' in quotes")
        if operator not in ("=", "!="):
            self._fail(at, f"'{operator}' compares numbers", "use =, !=, in or like for text")
        if token.type == "TRUTH":
            if field.group != "parameters":
                self._fail(at, f"{field} is text", f"write '{token}' in quotes")
            return str(token).lower() == "true"
        known = {"status": STATUSES, "kind": KINDS}.get(attribute)
        return _unquoted(token) if known is None else self._word(at, attribute, _unquoted(token), known)

    def _word(self, at: int, attribute: str, typed: str, known: Sequence[str]) -> str:
        word = typed.strip().lower()
        if word not in known:
            hint = close_matches(word, known) or f"known: {', '.join(known)}"
            self._fail(at, f"there is no {attribute} '{typed}'", hint)
        return word

    def _seconds(self, at: int, token: Any) -> float:
        try:
            return duration(_unquoted(token) if token.type == "TEXT" else str(token)).total_seconds()
        except BadInput:
            self._fail(at, "duration is a length of time", "write 10s, 5m, 2h, or a number of seconds")

    def _moment(self, field: Field, token: Any) -> str:
        try:
            if token.type != "TEXT":
                raise ValueError
            read = datetime.fromisoformat(_unquoted(token).strip())
            in_utc = read.astimezone(UTC) if read.tzinfo else read
        except (ValueError, OverflowError):
            self._fail(
                int(token.start_pos),
                f"{field} is a time in UTC",
                "write it as '2026-11-21' or '2026-11-21 14:30', with +01:00 behind it for another zone",
            )
        return in_utc.strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")

    def _quoting(self, place: int) -> str:
        """Return a hint for who typed a name that needs quotes."""
        group, dot, _ = self._text[:place].rstrip().rpartition(" ")[2].lstrip("(").partition(".")
        if dot and _GROUP_ALIASES.get(group, group) in GROUPS:
            return f'put a name with such characters in quotes: {group}."…"'
        return ""

    def _token_hint(self, error: Any, place: int) -> str:
        if "NUMBER" in error.expected and self._text[place : place + 4].lower() in ("null", "none"):
            return "write 'is null' or 'is not null'"
        if "COMPARISON" in error.expected and self._quoting(place) and error.token.type == "NAME":
            return self._quoting(place)
        if "NUMBER" in error.expected and str(getattr(error.token, "type", "")) == "NAME":
            return f"put text in quotes: '{error.token}'"
        return ""

    def _too_deep(self) -> BadInput:
        return BadInput(f"the {self._what} is nested too deeply", "use fewer parentheses")

    def _fail(self, at: int, what: str, hint: str = "") -> NoReturn:
        raise pointed(self._text, at + 1, f"the {self._what} cannot be read at column {at + 1}: {what}", hint)


def pointed(text: str, column: int, message: str, hint: str = "") -> BadInput:
    """Return the error that shows ``text`` with a mark below the column."""
    return BadInput(message, marked(text, column, hint))


def marked(text: str, column: int, hint: str = "") -> str:
    """Return a hint with ``text`` below it, and a mark below the column."""
    shown = f"{hint}\n" if hint else ""
    return f"{shown}\n    {text}\n    {' ' * (column - 1)}^"


def _negated(condition: Condition) -> Condition:
    if isinstance(condition, Test):
        return condition.negated()
    parts = tuple(map(_negated, condition.parts))
    return Either(parts) if isinstance(condition, Both) else Both(parts)


def _status(field: Field, operator: str, values: Sequence[str]) -> Condition:
    """Return the test of a status where one of the values is ``pruned``: a way to be stopped."""
    pruned = Field("attributes", PRUNED, field.column)
    stopped = Test(field, "=", ("stopped",), field.column)
    found: Condition = Both((stopped, Test(pruned, "present", (), field.column)))
    if others := tuple(value for value in values if value != PRUNED):
        found = Either((Test(field, "=", others, field.column), found))
    return found if operator == "=" else _negated(found)


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
