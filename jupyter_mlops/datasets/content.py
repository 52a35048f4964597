"""Contents: what a version holds, given back as a table, as files, or as a copy. Made by ``Datasets``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from ..errors import BadInput, Damaged, close_matches
from ..objects import Entry, Objects
from .checkouts import Checkouts
from .description import Descriptions, Stored, reader_of
from .frames import frame_of
from .readers import Reader, is_table
from .types import columns_of
from .version import Checkout, Column, DatasetVersion, Findings, Form

if TYPE_CHECKING:
    import polars as pl

    from .lineage import Lineage

FORMATS = ("pandas", "polars", "arrow", "path")


class Contents:
    """Loads, describes and checks out versions, verified, and tells ``on_read`` what was read."""

    def __init__(
        self,
        objects: Objects,
        descriptions: Descriptions,
        checkouts: Checkouts,
        on_read: Callable[[DatasetVersion], None],
        lineage: Callable[[DatasetVersion], Lineage],
        hint: Callable[[str], str],
    ) -> None:
        self._objects = objects
        self._descriptions = descriptions
        self._checkouts = checkouts
        self._on_read = on_read
        self._lineage = lineage
        self._hint = hint

    def load(self, version: DatasetVersion, format: str | None, columns: Sequence[str] | None) -> Any:
        """Return the version as a table in ``format``, or as the path of a read-only copy."""
        chosen = format or ("pandas" if version.tabular else "path")
        if chosen not in FORMATS:
            raise BadInput(
                f"{format!r} is no format", close_matches(chosen, FORMATS, f"known: {', '.join(FORMATS)}")
            )
        with self._reading(version):
            if chosen == "path":
                if columns is not None:
                    raise BadInput("a path has no columns", "leave columns= out, or load a table")
                loaded: Any = self._checkouts.copy(version)
            else:
                loaded = self._table(version, chosen, columns)
        self._on_read(version)
        return loaded

    def checkout(
        self, version: DatasetVersion, path: str | Path | None, *, link: bool = False, force: bool = False
    ) -> Checkout:
        """Write the version's files to ``path``, whole or not at all."""
        with self._reading(version):
            written = self._checkouts.checkout(version, path, link=link, force=force)
        self._on_read(version)
        return written

    def tables(self, version: DatasetVersion) -> tuple[str, ...]:
        """Return the paths inside the version that load as tables."""
        if version.kind != "folder" and not version.tabular:
            return ()
        return tuple(entry.path for entry in self.files(version) if is_table(entry.path))

    def files(self, version: DatasetVersion) -> tuple[Entry, ...]:
        """Return the files of the version, by path."""
        with self._reading(version):
            return self._objects.tree(version.digest)

    def form(self, version: DatasetVersion, path: str | None) -> Form:
        """Return how the version, or a file in it, reads as a table."""
        with self._reading(version):
            return self._descriptions.form(self._stored(version, path))

    def describe(self, version: DatasetVersion) -> Findings:
        """Return what the version holds as a table, with the profile of its columns."""
        with self._reading(version):
            return self._descriptions.described(self._stored(version, None))

    def lineage(self, version: DatasetVersion) -> Lineage:
        """Return what the version came from and what was made of it."""
        return self._lineage(version)

    @contextmanager
    def scan(self, version: DatasetVersion, path: str | None) -> Iterator[pl.LazyFrame]:
        """Lend a table of the version as a query that may run in pieces."""
        with self._scanned(version, path, None) as (query, _):
            yield query

    @contextmanager
    def scan_in_full(
        self, version: DatasetVersion, path: str | None, texts: Collection[str]
    ) -> Iterator[tuple[pl.LazyFrame, Path]]:
        """Lend all that a table's file holds, an index without a name too, and the file.

        The columns ``texts`` of a text file come as their texts.
        """
        with self._scanned(version, path, texts) as lent:
            yield lent

    @contextmanager
    def _scanned(
        self, version: DatasetVersion, path: str | None, texts: Collection[str] | None
    ) -> Iterator[tuple[pl.LazyFrame, Path]]:
        with self._reading(version):
            stored = self._stored(version, path)
            form = self._descriptions.form(stored)
            reader = reader_of(stored)
            with self._descriptions.lent(stored) as file:
                if texts is not None:
                    form = _in_full(reader, file, form, texts)
                yield reader.scan(file, form), file
        self._on_read(version)

    @contextmanager
    def batches(
        self, version: DatasetVersion, path: str | None, columns: Sequence[str] | None
    ) -> Iterator[Any]:
        """Lend a table of the version as an Arrow reader of some rows at a time."""
        import pyarrow as pa

        with self._reading(version):
            stored = self._stored(version, path)
            form = self._descriptions.form(stored)
            _check_columns(version, form, columns)
            with self._descriptions.opened(stored) as file:
                schema, batches = reader_of(stored).batches(file, form, columns)
                yield pa.RecordBatchReader.from_batches(schema, batches)
        self._on_read(version)

    def _table(self, version: DatasetVersion, format: str, columns: Sequence[str] | None) -> Any:
        stored = self._stored(version, None)
        form = self._descriptions.form(stored)
        _check_columns(version, form, columns)
        reader = reader_of(stored)
        with self._descriptions.opened(stored) as file:
            if format == "polars":
                return reader.polars(file, form, columns)
            table = reader.arrow(file, form, columns)
        if format == "arrow":
            return table if columns is None else table.select(list(columns))
        frame = frame_of(table, reader.dates_as_objects)
        return frame if columns is None else frame[list(columns)]

    def _stored(self, version: DatasetVersion, path: str | None) -> Stored:
        """Return the one table of a version, or the file ``path`` of a folder."""
        entries = self._objects.tree(version.digest)
        if version.kind != "folder":
            entry = entries[0]
            if not version.tabular or path not in (None, entry.path):
                what = version.ref if path is None else f"{path!r} in {version.ref}"
                raise BadInput(f"{what} is no table", f'load it as "path", or check it out: {version.source}')
            suffix = PurePosixPath(entry.path).suffix
            return Stored(version.source, entry.digest, entry.size, suffix, version.digest, version.reading)
        tables = {entry.path: entry for entry in entries if is_table(entry.path)}
        if path is None:
            hint = (
                f'load it as "path"; tables in it: {", ".join(list(tables)[:5])}'
                if tables
                else 'load it as "path"'
            )
            raise BadInput(f"{version.ref} is no table but a folder", hint)
        if path not in tables:
            raise BadInput(f"{version.ref} holds no table {path!r}", close_matches(path, tables))
        entry, suffix = tables[path], PurePosixPath(path).suffix.lower()
        return Stored(path, entry.digest, entry.size, suffix, f"{entry.digest}{suffix}", "")

    @contextmanager
    def _reading(self, version: DatasetVersion) -> Iterator[None]:
        """Say where bytes that are not here could come from."""
        try:
            yield
        except Damaged as error:
            hint = self._hint(version.ref)
            if not hint:
                raise
            raise Damaged(error.message, hint) from error


def _check_columns(version: DatasetVersion, form: Form, columns: Sequence[str] | None) -> None:
    if isinstance(columns, str):
        raise BadInput("columns is one text", f"write columns=[{columns!r}]")
    names = [column.name for column in form.columns]
    for name in columns or ():
        if name not in names:
            raise BadInput(
                f"{version.ref} has no column {name!r}",
                close_matches(str(name), names, f"columns: {', '.join(names[:10])}"),
            )
    if columns is not None and (not len(columns) or len(set(columns)) < len(columns)):
        raise BadInput("columns is empty or names one twice", "name each wanted column once")


def _in_full(reader: Reader, file: Path, form: Form, texts: Collection[str]) -> Form:
    """Return a form that hides nothing of the file, and leaves some columns of a text file as texts."""
    if reader.seekable:  # it carries its types, and may hold an index that is no column
        import pyarrow.parquet as pq

        return replace(form, columns=columns_of(pq.read_schema(file, memory_map=False)))
    columns = [Column(one.name, "string") if one.name in texts else one for one in form.columns]
    return replace(form, columns=tuple(columns))
