"""Sources: what people commit: a file, a folder, a table from memory. Opened by ``Datasets``."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import BadInput
from ..objects import Batch, Objects
from ..objects.files.snapshot import Kept, Snapshot, snapshot
from ..objects.files.source import changed, check_regular, unreadable
from .frames import loss_in, table_of, with_other_types
from .readers import Form, reader_for
from .types import arrow_type, declared
from .version import ColumnProfile

TABLE = "data.parquet"
FILE = "data"
Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Source:
    """Something that is to become a version: files on disk, one of which may load as a table."""

    kind: str
    name: str
    found: Snapshot
    readable: Path | None = None
    schema: Any = None
    verify: bool = False
    loss: str = ""  # what the version does not keep of what was given

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return self.found.size

    @property
    def carries_types(self) -> bool:
        """Whether a look at a part of it tells its columns and rows, however big it is."""
        reader = reader_for(self.readable.name) if self.readable else None
        return reader is not None and reader.seekable

    @property
    def modes(self) -> dict[str, int]:
        """The permission bits of the files, in few words."""
        return self.found.modes()

    def store(self, objects: Objects, batch: Batch, advance: Advance) -> Kept:
        """Keep the bytes of every file and their tree; raises ``SourceChanged`` if one is not the same now.

        Files that are as they were when they were last stored are not read, unless ``verify`` is set.
        """
        return self.found.keep(objects, batch, advance, self.verify)

    def form(self) -> Form | None:
        """Return how the source reads as a table, or ``None`` where it is none."""
        reader = reader_for(self.readable.name) if self.readable else None
        if self.readable is None or reader is None:
            if self.schema is not None:
                raise BadInput(
                    f"{self.name} does not load as a table, so it has no schema", "leave schema= out"
                )
            return None
        with self._steady(self.readable):
            return reader.form(self.readable, self.schema)

    def profile(self, form: Form) -> tuple[ColumnProfile, ...]:
        """Return the profiles of the columns."""
        from .profile import profiled

        reader = reader_for(self.readable.name) if self.readable else None
        if self.readable is None or reader is None:
            return ()
        with self._steady(self.readable):
            return profiled(reader.scan(self.readable, form), form.columns, form.rows, self.size)

    @contextmanager
    def _steady(self, path: Path) -> Iterator[None]:
        """Translate what goes wrong while a table is read: the file changed, or is no such table."""
        import polars as pl

        try:
            yield
        except (BadInput, OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            if not self.found.is_current():
                raise changed(path) from error
            if isinstance(error, BadInput):
                raise
            text = (str(error).splitlines() or [type(error).__name__])[0]
            if self.kind == "table":
                raise BadInput(f"the table cannot be read back: {text}", "change its types") from error
            raise BadInput(
                f"{path} cannot be read as a table: {text}", "mend it, or commit its folder"
            ) from error
        if not self.found.is_current():
            raise changed(path)


@contextmanager
def opened(name: str, given: Any, schema: Any, objects: Objects, verify: bool = False) -> Iterator[Source]:
    """Lend the source that ``given`` describes: a path, or a table, which is put in a file meanwhile.

    What the block stored is remembered at its end, so that it need not be read again while it stays the same.
    """
    if isinstance(given, str | os.PathLike):
        source = _on_disk(Path(given), schema, objects, verify)
        yield source
        source.found.remember(objects)
        return
    table = _arrow(given)
    loss = loss_in(table, given) if _is_frame(given) else ""
    if schema is not None:
        table = _cast(table, schema)
    with objects.scratch() as folder:
        from .parquet import write_parquet
        from .types import columns_of

        columns_of(table.schema)
        path = folder / TABLE
        _written(write_parquet, table, path)
        yield Source("table", f"{name}.parquet", snapshot(path, TABLE), path, loss=loss)


def _on_disk(given: Path, schema: Any, objects: Objects, verify: bool) -> Source:
    given = given.expanduser()
    try:
        top = given.resolve(strict=True)
        status = top.stat()
    except OSError as error:
        raise unreadable(given, error) from error
    except (ValueError, RuntimeError) as error:  # a NUL in the name, links in a circle
        raise BadInput(f"{str(given)!r} is no path", "name a file or folder") from error
    if not stat.S_ISDIR(status.st_mode):
        check_regular(top, status)
        if not status.st_size:
            raise BadInput(f"{given} is empty", "commit a file that holds something")
        return Source("file", _text(top.name), snapshot(top, FILE + top.suffix.lower()), top, schema, verify)
    state = objects.folder.resolve().parent
    if state.is_relative_to(top):
        raise BadInput(
            f"{given} holds the project's own state ({state.name})", "name the folder with the data"
        )
    found = snapshot(top)
    if not found.files:
        raise BadInput(f"{given} holds no files", "commit a folder that holds some")
    return Source("folder", _text(top.name) or "folder", found, None, schema, verify)


def _text(name: str) -> str:
    """Return a file name as text that any database holds; it is a label, the files keep their own."""
    return os.fsencode(name).decode("utf-8", "replace")


def _arrow(given: Any) -> Any:
    """Return a table from memory as an Arrow table; only libraries that are loaded can have made it."""
    import pyarrow as pa

    try:
        if isinstance(given, pa.Table):
            return given
        if isinstance(given, pa.RecordBatch):
            return pa.Table.from_batches([given])
        polars = sys.modules.get("polars")
        if _is_frame(given):
            return table_of(given)
        if polars is not None and isinstance(given, polars.LazyFrame):
            given = given.collect()
        if polars is not None and isinstance(given, polars.DataFrame):
            if objects := [name for name, kind in given.schema.items() if kind == polars.Object]:
                raise BadInput(
                    f"column {objects[0]!r} holds Python objects", "turn them into text, numbers or lists"
                )
            return given.to_arrow(compat_level=polars.CompatLevel.oldest())
    except (pa.ArrowException, TypeError, OverflowError, UnicodeError) as error:
        raise _no_table(error) from error
    raise BadInput(
        f"an object of type {type(given).__name__} cannot be committed",
        "give a path, a pandas or polars DataFrame, or an Arrow table",
    )


def _is_frame(given: Any) -> bool:
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(given, pandas.DataFrame)


def _cast(table: Any, schema: Any) -> Any:
    import pyarrow as pa

    words = declared(schema, table.column_names)
    for name, word in words.items():
        position = table.column_names.index(name)
        try:
            column = table.column(position)
            wanted = arrow_type(word)
            column = column.dictionary_encode() if word == "category" else column.cast(wanted)
        except pa.ArrowException as error:
            raise BadInput(
                f"column {name!r} is no {word}: {_first(error)}", "change schema= or the table"
            ) from error
        table = table.set_column(position, pa.field(name, column.type), column)
    return with_other_types(table, words)


def _written(write: Callable[[Any, Path], None], table: Any, path: Path) -> None:
    import pyarrow as pa

    try:
        write(table, path)
    except (pa.ArrowException, UnicodeError) as error:
        raise _no_table(error) from error


def _no_table(error: Exception) -> BadInput:
    return BadInput(
        f"the table cannot be stored: {_first(error)}",
        "give every column values of one type, such as all text",
    )


def _first(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
