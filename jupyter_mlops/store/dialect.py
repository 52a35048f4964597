"""The dialect: the few things that SQLite and PostgreSQL write differently. Each engine has one.

Full text is kept in the table ``texts``: a row a piece of text, with the words that ``words`` makes of it, so
that both engines find the same. FTS5 gets them as tokens, PostgreSQL as the lexemes of a ``tsvector``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

_WORD = re.compile(r"[^\W_]+")
_TYPED = re.compile(r"([^\W_]+)(\*?)")
_LONGEST_TEXT, _LONGEST_WORD = 20_000, 100
_PIECE = "SELECT t.id FROM texts t WHERE t.kind = :{0}kind AND "


class Dialect(Protocol):
    """What the two engines write differently."""

    @property
    def insert_text(self) -> str:
        """The statement that keeps what ``text_row`` returns."""
        ...

    def full_text(self, table: str) -> list[str]:
        """Return the statements that make the table of full text."""
        ...

    def forget_text(self, kind: str, id: str, part: str) -> tuple[str, dict[str, str]]:
        """Return the statement that forgets one piece of text, and its parameters."""
        ...

    def having_word(self, mark: str) -> str:
        """Return the query of the ids that have a word; ``mark`` begins the names of its parameters."""
        ...

    def has_word(self, column: str, mark: str) -> str:
        """Return the condition that the thing whose id is in ``column`` has a word."""
        ...

    def word(self, kind: str, typed: str, prefix: bool, mark: str) -> dict[str, str]:
        """Return the parameters of these two for a word, or for all that begin with it."""
        ...

    def json_text(self, column: str) -> str:
        """Return the SQL of the text in a column of JSON; null where that is no text."""
        ...

    def seconds(self, before: str, after: str) -> str:
        """Return the SQL of the seconds between two moments as the store writes them."""
        ...

    def unindexed(self, column: str) -> str:
        """Return the SQL of a column that keeps the engine from choosing its index without knowing better."""
        ...

    def bytewise(self, sql: str) -> str:
        """Return ``sql`` as a text that is ordered by its bytes, whatever the database was made with."""
        ...


@dataclass(frozen=True, slots=True)
class SQLiteDialect:
    """SQLite, with FTS5."""

    insert_text: str = (
        "INSERT INTO texts (kind, id, part, owner, words) VALUES (:kind, :id, :part, :owner, :words)"
    )

    def full_text(self, table: str) -> list[str]:
        # the words are made before; the tokenizer only splits at the spaces between them
        return [
            f"CREATE VIRTUAL TABLE {table} USING fts5(kind UNINDEXED, id UNINDEXED, part UNINDEXED, "
            "owner, words, tokenize = 'ascii', detail = column)"
        ]

    def forget_text(self, kind: str, id: str, part: str) -> tuple[str, dict[str, str]]:
        return (
            "DELETE FROM texts WHERE rowid IN (SELECT rowid FROM texts WHERE texts MATCH :owner "
            "AND kind = :kind AND id = :id AND part = :part)",
            {"owner": f"owner : {owner_of(kind, id)}", "kind": kind, "id": id, "part": part},
        )

    def having_word(self, mark: str) -> str:
        return _PIECE.format(mark) + f"t.texts MATCH :{mark}word"

    def has_word(self, column: str, mark: str) -> str:
        matched = f"t.texts MATCH 'owner : ' || :{mark}kind || {column} || ' AND ' || :{mark}word"
        return f"EXISTS ({_PIECE.format(mark)}{matched})"

    def word(self, kind: str, typed: str, prefix: bool, mark: str) -> dict[str, str]:
        return {f"{mark}kind": kind, f"{mark}word": f'words : "{typed}"{"*" if prefix else ""}'}

    def json_text(self, column: str) -> str:
        return f"CASE WHEN {column} LIKE '\"%' THEN json_extract({column}, '$') END"

    def seconds(self, before: str, after: str) -> str:
        def micros(at: str) -> str:  # exactly: as floating point, a day of today is not a number of them
            whole = f"CAST(strftime('%s', substr({at}, 1, 19)) AS INTEGER)"
            return f"({whole} * 1000000 + CAST(substr({at}, 21, 6) AS INTEGER))"

        return f"(max({micros(after)} - {micros(before)}, 0) / 1000000.0)"

    def unindexed(self, column: str) -> str:
        return f"+{column}"

    def bytewise(self, sql: str) -> str:
        return sql


@dataclass(frozen=True, slots=True)
class PostgreSQLDialect:
    """PostgreSQL, with ``tsvector``."""

    insert_text: str = (
        "INSERT INTO texts (kind, id, part, words) VALUES (:kind, :id, :part, "
        "array_to_tsvector(string_to_array(CAST(:words AS TEXT), ' ')))"
    )

    def full_text(self, table: str) -> list[str]:
        return [
            f"CREATE TABLE {table} (kind TEXT NOT NULL, id TEXT NOT NULL, part TEXT NOT NULL, "
            "words TSVECTOR NOT NULL)",
            f"CREATE INDEX {table}_words ON {table} USING gin (words)",
            f"CREATE INDEX {table}_of ON {table} (id, kind)",
        ]

    def forget_text(self, kind: str, id: str, part: str) -> tuple[str, dict[str, str]]:
        return (
            "DELETE FROM texts WHERE kind = :kind AND id = :id AND part = :part",
            {"kind": kind, "id": id, "part": part},
        )

    def having_word(self, mark: str) -> str:
        return _PIECE.format(mark) + f"t.words @@ CAST(:{mark}word AS TSQUERY)"

    def has_word(self, column: str, mark: str) -> str:
        return f"EXISTS ({self.having_word(mark)} AND t.id = {column})"

    def word(self, kind: str, typed: str, prefix: bool, mark: str) -> dict[str, str]:
        return {f"{mark}kind": kind, f"{mark}word": f"'{typed}'{':*' if prefix else ''}"}

    def json_text(self, column: str) -> str:
        return f"CASE WHEN {column} LIKE '\"%' THEN CAST({column} AS JSON) #>> '{{}}' END"

    def seconds(self, before: str, after: str) -> str:
        between = f"EXTRACT(EPOCH FROM (CAST({after} AS TIMESTAMP) - CAST({before} AS TIMESTAMP)))"
        return f"CAST(GREATEST({between}, 0) AS DOUBLE PRECISION)"

    def unindexed(self, column: str) -> str:
        return column  # it counts what is in its tables

    def bytewise(self, sql: str) -> str:
        return f'{sql} COLLATE "C"'


def words(text: str) -> list[str]:
    """Return the words of ``text``: runs of letters and digits, without accents and capitals, each once."""
    found = (word[:_LONGEST_WORD] for word in _WORD.findall(_folded(text[:_LONGEST_TEXT])))
    return list(dict.fromkeys(found))


def typed_words(text: str) -> list[tuple[str, bool]]:
    """Return the words somebody looks for, each with whether a ``*`` after it asks for its beginning."""
    found = ((word[:_LONGEST_WORD], bool(star)) for word, star in _TYPED.findall(_folded(text)))
    return list(dict.fromkeys(found))


def text_row(kind: str, id: str, part: str, text: str) -> Mapping[str, Any]:
    """Return what the table of full text keeps of a piece of text."""
    return {
        "kind": kind,
        "id": id,
        "part": part,
        "owner": owner_of(kind, id),
        "words": " ".join(words(text)),
    }


def owner_of(kind: str, id: str) -> str:
    """Return one token by which FTS5 finds all pieces of a thing."""
    return "".join(letter for letter in kind + id if letter.isascii() and letter.isalnum())


def _folded(text: str) -> str:
    if text.isascii():
        return text.lower()
    # twice: folding can make letters that decompose
    parts = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(letter for letter in parts if not unicodedata.combining(letter))
