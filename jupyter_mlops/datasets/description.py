"""Descriptions: what each table holds, found out once for equal content and kept. Made by ``Datasets``.

They are a cache of the store: losing one costs the time to make it again, so they need no event.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from ..errors import BadInput
from ..objects import Objects
from ..store import Store, Transaction
from ..store.events import canonical
from .progress import progress
from .readers import Reader, reader_for
from .version import Column, ColumnProfile, Findings, Form

DESCRIBED_AT_ONCE = 64 << 20  # bytes of a table that a commit describes; the others are described later

Lent = TypeVar("Lent", bound=Path | BinaryIO)
_KEEP = (
    "INSERT INTO descriptions "
    "(content, reading, row_count, columns_json, profile_json, options, notes, problem, at) VALUES "
    "(:content, :reading, :row_count, :columns_json, :profile_json, :options, :notes, :problem, :at) "
    "ON CONFLICT (content, reading) DO UPDATE SET row_count = :row_count, columns_json = :columns_json, "
    "profile_json = :profile_json, options = :options, notes = :notes, problem = :problem"
)


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored file that is to be read as a table, and how its description is called.

    ``content`` is the digest of a version of this file alone, else that of the file and the end of its name.
    ``reading`` are the types declared for it as JSON, "" where they are inferred.
    """

    name: str
    digest: str
    size: int
    suffix: str
    content: str
    reading: str


class Descriptions:
    """Finds out what tables hold, and remembers it by their content and the types declared for it."""

    def __init__(self, store: Store, objects: Objects) -> None:
        self._store = store
        self._objects = objects

    def form(self, stored: Stored) -> Form:
        """Return how a stored file reads as a table, found out now if it never was."""
        if known := self.known(stored.content, stored.reading):
            return known.form
        return self._made(stored, self.opened, lambda file: Findings(_form(stored, file))).form

    def described(self, stored: Stored) -> Findings:
        """Return the form of a stored file and the profile of its columns, made now if they never were."""
        known = self.known(stored.content, stored.reading)
        if known is not None and known.profile:
            return known

        def make(path: Path) -> Findings:
            form = known.form if known else _form(stored, path)
            return Findings(form, profile_of(stored.name, path, form, stored.size))

        return self._made(stored, self.lent, make)

    def known(self, content: str, reading: str) -> Findings | None:
        """Return what is kept; raises ``BadInput`` where the file proved to be no readable table."""
        row = self._store.one(
            "SELECT * FROM descriptions WHERE content = :content AND reading = :reading",
            content=content,
            reading=reading,
        )
        if row is None:
            return None
        if row["problem"] is not None:
            raise BadInput(*json.loads(row["problem"]))
        profile = json.loads(row["profile_json"] or "[]")
        return Findings(form_from(row), tuple(ColumnProfile.from_dict(column) for column in profile))

    @contextmanager
    def lent(self, stored: Stored) -> Iterator[Path]:
        """Lend a stored file under a path, with a bar where that takes long."""
        with self._objects.scratch() as folder, progress(stored.name, stored.size) as advance:
            path = folder / f"content{stored.suffix}"
            self._objects.write_to(stored.digest, path, 0o600, advance)
            yield path

    @contextmanager
    def opened(self, stored: Stored) -> Iterator[Path | BinaryIO]:
        """Lend a stored file as its reader likes it: open for random access, or under a path."""
        if not reader_of(stored).seekable:
            with self.lent(stored) as path:
                yield path
            return
        with self._objects.open(stored.digest) as file:
            yield file

    def _made(
        self,
        stored: Stored,
        lend: Callable[[Stored], AbstractContextManager[Lent]],
        make: Callable[[Lent], Findings],
    ) -> Findings:
        try:
            with lend(stored) as file, _named(stored.name, file):
                findings = make(file)
        except BadInput as error:
            with self._store.bookkeeping() as transaction:
                keep_problem(transaction, stored.content, stored.reading, error)
            raise
        with self._store.bookkeeping() as transaction:
            keep(transaction, stored.content, stored.reading, findings)
        return findings


def keep(transaction: Transaction, content: str, reading: str, findings: Findings) -> None:
    """Remember what was found, with the version that it is of or by itself."""
    profile = canonical([column.to_dict() for column in findings.profile]) if findings.profile else None
    transaction.execute(
        _KEEP,
        content=content,
        reading=reading,
        row_count=findings.rows,
        columns_json=canonical([[column.name, column.type] for column in findings.columns]),
        profile_json=profile,
        options=canonical(findings.form.options),
        notes=canonical(findings.notes),
        problem=None,
        at=transaction.at,
    )


def keep_problem(transaction: Transaction, content: str, reading: str, error: BadInput) -> None:
    """Remember that a file is no readable table, so that nobody tries again and again."""
    transaction.execute(
        _KEEP,
        content=content,
        reading=reading,
        row_count=None,
        columns_json="[]",
        profile_json=None,
        options="{}",
        notes="[]",
        problem=canonical([error.message, error.hint]),
        at=transaction.at,
    )


def form_from(row: Mapping[str, Any]) -> Form:
    """Return the form that a row of descriptions holds."""
    columns = tuple(Column(name, word) for name, word in json.loads(row["columns_json"]))
    return Form(columns, int(row["row_count"]), json.loads(row["options"]), tuple(json.loads(row["notes"])))


def profile_of(name: str, path: Path, form: Form, size: int) -> tuple[ColumnProfile, ...]:
    """Return the profile of each column of the file at ``path``; ``name`` says what kind of file it is."""
    from .profile import profiled

    reader = reader_for(name)
    return profiled(reader.scan(path, form), form.columns, form.rows, size) if reader else ()


def reader_of(stored: Stored) -> Reader:
    """Return what reads a stored file; raises ``BadInput`` where nothing does."""
    reader = reader_for(stored.name)
    if reader is None:
        raise BadInput(f"{stored.name} is no table", 'load it as "path", or check it out')
    return reader


def _form(stored: Stored, file: Path | BinaryIO) -> Form:
    return reader_of(stored).form(file, dict(json.loads(stored.reading)) if stored.reading else None)


@contextmanager
def _named(name: str, file: Path | BinaryIO) -> Iterator[None]:
    """Call the file by its name in what goes wrong, and not by that of its temporary copy."""
    import polars as pl

    try:
        yield
    except BadInput as error:
        message, hint = (text.replace(str(file), name) for text in (error.message, error.hint))
        if isinstance(file, Path):
            message, hint = (text.replace(file.name, Path(name).name) for text in (message, hint))
        raise BadInput(message, hint) from error
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        text = (str(error).splitlines() or [type(error).__name__])[0]
        raise BadInput(f"{name} cannot be read as a table: {text}", "mend the file and commit it") from error
