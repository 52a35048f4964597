"""Ids of runs, requests and alerts: random, so a short beginning names one. Used by who names them."""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from ..errors import BadInput, NotFound, close_matches
from .store import Row, Store

ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"  # without the letters and digits that look alike
_LENGTH = 10


def new_id(length: int = _LENGTH) -> str:
    """Return a fresh random id of so many letters."""
    number = secrets.randbelow(len(ALPHABET) ** length)  # asked of the system once, not once a letter
    letters = []
    for _ in range(length):
        number, letter = divmod(number, len(ALPHABET))
        letters.append(ALPHABET[letter])
    return "".join(letters)


def row_of(store: Store, table: str, id: str, noun: str, open_ids: Iterable[str] = ()) -> Row:
    """Return the row of ``table`` whose id is ``id`` or the only one to begin with it.

    Raises ``NotFound`` with the ``open_ids`` that are close, ``BadInput`` where several begin so.
    """
    typed = id.strip().casefold()
    rows: list[Row] = []
    if typed and set(typed) <= set(ALPHABET):
        rows = store.all(f"SELECT * FROM {table} WHERE id LIKE :beginning", beginning=f"{typed}%")  # noqa: S608 our name
    exact = [row for row in rows if row["id"] == typed]
    if len(rows) > 1 and not exact:
        several = ", ".join(sorted(row["id"] for row in rows)[:5])
        raise BadInput(f"several {noun}s begin with {typed}: {several}", "give more of the id")
    if not rows:
        raise NotFound(
            f"there is no {noun} {id!r}", close_matches(typed, open_ids, f"`mlops {noun}s` lists them")
        )
    return exact[0] if exact else rows[0]
