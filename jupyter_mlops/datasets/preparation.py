"""The preparation of a version: bytes stored, types and key checked, before it is a fact. For ``commit``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import BadInput, close_matches
from ..objects import Objects
from ..store import Store
from ..store.events import canonical
from . import facts
from . import source as sources
from .description import DESCRIBED_AT_ONCE, Descriptions
from .facts import Prepared
from .progress import progress
from .readers import is_table, reader_for
from .types import declared
from .version import Findings


class Preparation:
    """Prepares the versions of one project."""

    def __init__(self, store: Store, objects: Objects, descriptions: Descriptions) -> None:
        self._store = store
        self._objects = objects
        self._descriptions = descriptions

    def prepared(
        self, name: str, given: Any, schema: Any, keys: tuple[str, ...] | None, verify: bool
    ) -> Prepared:
        """Store the bytes of what was given, durably, and describe it if that is quickly done.

        Raises ``BadInput`` where it cannot be a version, or ``keys`` are not among its columns.
        """
        with sources.opened(name, given, schema, self._objects, verify=verify) as source:
            with self._objects.batch() as batch, progress(name, source.size) as advance:
                kept = source.store(self._objects, batch, advance)
                reading, findings = self._found(kept.digest, source)
                _check_key(keys, source, findings)
                key = keys if keys is not None else self._key_to_check(name, kept.digest)
            return Prepared(
                kept.digest,
                source.kind,
                kept.files,
                kept.bytes,
                reading,
                {"source": source.name, "modes": source.modes},
                findings,
                "; ".join(filter(None, (source.loss, _doubt(key, source, findings)))),
            )

    def _key_to_check(self, name: str, digest: str) -> tuple[str, ...]:
        """Return the key that a dataset remembers, where this content is new to it."""
        known = self._store.one(
            "SELECT 1 AS known FROM versions WHERE dataset = :name AND digest = :digest LIMIT 1",
            name=name,
            digest=digest,
        )
        return () if known else facts.key_of(self._store, name)

    def _found(self, digest: str, source: sources.Source) -> tuple[str, Findings | None]:
        """Return the types declared for a table, and what is known of it or found out at once."""
        big = source.size > DESCRIBED_AT_ONCE
        if source.schema is None:
            if source.kind == "folder" or not is_table(source.name):
                return "", None
            try:
                known = self._descriptions.known(digest, "")
            except BadInput:  # known to be no readable table, and its bytes are kept all the same
                return "", None
            if known is not None or (big and not source.carries_types):
                return "", known
        form = source.form()
        if form is None:
            return "", None
        words = declared(source.schema, [column.name for column in form.columns])
        return canonical(words) if words else "", Findings(form, () if big else source.profile(form))


def keys_of(key: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """Return the columns of a key as given to ``commit``; raises ``BadInput`` if one is there twice."""
    if key is None:
        return None
    keys = (key,) if isinstance(key, str) else tuple(key)
    if len(set(keys)) < len(keys):
        raise BadInput("key names a column twice")
    return keys


def _check_key(keys: tuple[str, ...] | None, source: sources.Source, findings: Findings | None) -> None:
    if not keys:
        return
    names: list[str] = []
    reader = reader_for(source.readable.name) if source.readable else None
    if findings is not None:
        names = [column.name for column in findings.columns]
    elif source.readable is not None and reader is not None:
        names = reader.names(source.readable)
    for key in keys:
        if key not in names:
            hint = close_matches(
                key, names, f"columns: {', '.join(names[:10])}" if names else "it is no table"
            )
            raise BadInput(f"there is no column {key!r} to be a key", hint)


def _doubt(keys: tuple[str, ...], source: sources.Source, findings: Findings | None) -> str:
    """Return what is wrong with a key: rows of a table that is quickly read which it does not tell apart."""
    file = source.readable
    reader = reader_for(file.name) if file else None
    if not keys or findings is None or file is None or reader is None or source.size > DESCRIBED_AT_ONCE:
        return ""
    if not set(keys) <= {column.name for column in findings.columns}:
        return f"the key {', '.join(keys)} is not in it"
    import polars as pl

    table = reader.scan(file, findings.form)
    places = {name: place for place, name in enumerate(table.collect_schema())}
    chosen = table.select([pl.nth(places[key]).alias(str(number)) for number, key in enumerate(keys)])
    try:
        different = int(chosen.unique().select(pl.len()).collect(engine="streaming").item())
    except pl.exceptions.PolarsError:  # such as lists, which are no keys; a comparison says so
        return ""
    if different == findings.rows:
        return ""
    return (
        f"the key {', '.join(keys)} does not tell the {findings.rows:,} rows apart, it has {different:,} "
        "different values: rows with the same one are compared as a whole"
    )
