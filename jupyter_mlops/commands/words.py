"""Words: click types for what people type, refs, sources and ``key=value`` pairs. Used by the verbs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from .session import Session


class Word(click.ParamType[Any]):
    """Text of a kind that completion knows: a ref, a dataset's name, an alias, a file."""

    def __init__(self, kind: str) -> None:
        self.name = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the text; a variable that holds a value is read as that value's ref or id."""
        if not isinstance(value, str):
            return value
        session = ctx.find_object(Session) if ctx else None
        given = session.given(value) if session else value
        # a table has such attributes, too, if its columns are called so
        for text in (given, getattr(given, "ref", None), getattr(given, "id", None)):
            if isinstance(text, str):
                return text
        self.fail(f"the variable holds a {type(given).__name__}, which names no {self.name}", param, ctx)


class Thing(Word):
    """A ref, or a variable that holds the object itself."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the object of a variable, else the text."""
        session = ctx.find_object(Session) if ctx else None
        return session.given(value) if session and isinstance(value, str) else value


class Source(Word):
    """A path, or a variable that holds a table."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the object of a variable, else the path."""
        session = ctx.find_object(Session) if ctx else None
        return session.source(value) if session and isinstance(value, str) else value


class Pair(click.ParamType[Any]):
    """``key=value``; the value stays as typed and is read by what the notebook declares."""

    name = "key=value"

    def __init__(self, split: Callable[[str], Any] = lambda value: value, kind: str = "") -> None:
        self._split = split
        self.kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the key and the value; a variable's object is kept as it is."""
        if not isinstance(value, str):
            return value
        key, equals, text = value.partition("=")
        if not equals or not key:
            self.fail(f"'{value}' is no key=value")
        session = ctx.find_object(Session) if ctx else None
        given = session.given(text) if session else text
        return key, given if not isinstance(given, str) else self._split(given)


DATASET, MODEL, EXPERIMENT, REMOTE = Word("dataset"), Word("model"), Word("experiment"), Word("remote")
DATA_REF, MODEL_REF, RUN_REF = Word("data ref"), Word("model ref"), Word("run ref")
ALIAS, NOTEBOOK, APPROVAL, ALERT, FILE = (
    Word("alias"),
    Word("notebook"),
    Word("approval"),
    Word("alert"),
    Word("file"),
)
RUN_OR_ESTIMATOR, DATA_REF_OR_TABLE, TABLE = Thing("run ref"), Thing("data ref"), Source("file")
PARAMETER, INPUT, GRID = Pair(), Pair(kind="data ref"), Pair(lambda text: text.split(","))
