"""Sources: what people commit: a file, a folder, a table from memory. Opened by ``Datasets``."""

from __future__ import annotations

import os
import stat
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import BadInput, NotFound
from ..objects import Batch, Entry, Objects
from ..objects.source import State, changed, check_regular, state_of, unreadable
from ..objects.tree import check_path
from .readers import Form, reader_for
from .types import arrow_type, declared

TABLE = "data.parquet"
FILE = "data"
Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Listed:
    """A file found in a source: where it is, its path inside the version, and its state when it was found."""

    place: Path
    path: str
    mode: int
    size: int
    state: State


@dataclass(frozen=True, slots=True)
class Source:
    """Something that is to become a version: files on disk, one of which may load as a table."""

    kind: str
    name: str
    listed: tuple[Listed, ...]
    top: Path
    readable: Path | None = None
    schema: Any = None
    modes: Mapping[str, int] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return sum(file.size for file in self.listed)

    def store(self, batch: Batch, advance: Advance) -> tuple[Entry, ...]:
        """Keep the bytes of every file; raises ``SourceChanged`` if one is not the same any more."""
        entries = []
        for file in self.listed:
            try:
                blob = batch.put_file(file.place, advance)
            except NotFound as error:
                raise changed(file.place) from error
            if blob.size != file.size:
                raise changed(file.place)
            entries.append(Entry(file.path, file.mode, blob.size, blob.digest))
        if self.kind == "folder" and _walked(self.top) != self.listed:
            raise changed(self.top)
        return tuple(entries)

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

    def profile(self, form: Form) -> list[dict[str, Any]]:
        """Return the profiles of the columns as JSON-ready types."""
        from .profile import profiled

        reader = reader_for(self.readable.name) if self.readable else None
        if self.readable is None or reader is None:
            return []
        with self._steady(self.readable):
            table = reader.scan(self.readable, form)
            return [column.to_dict() for column in profiled(table, form.columns, form.rows, self.size)]

    @contextmanager
    def _steady(self, path: Path) -> Iterator[None]:
        """Translate what goes wrong while a table is read: the file changed, or is no such table."""
        import polars as pl

        try:
            yield
        except (BadInput, OSError, pl.exceptions.PolarsError) as error:
            if not self._same(path):
                raise changed(path) from error
            if isinstance(error, BadInput):
                raise
            text = (str(error).splitlines() or [type(error).__name__])[0]
            raise BadInput(
                f"{path} cannot be read as a table: {text}", "mend it, or commit its folder"
            ) from error
        if not self._same(path):
            raise changed(path)

    def _same(self, path: Path) -> bool:
        try:
            return state_of(path.lstat()) == self.listed[0].state
        except OSError:
            return False


@contextmanager
def opened(name: str, given: Any, schema: Any, objects: Objects) -> Iterator[Source]:
    """Lend the source that ``given`` describes: a path, or a table, which is put in a file meanwhile."""
    if isinstance(given, str | os.PathLike):
        yield _on_disk(Path(given), schema, objects)
        return
    table = _arrow(given)
    if schema is not None:
        table = _cast(table, schema)
    with objects.scratch() as folder:
        from .parquet import write_parquet
        from .types import columns_of

        columns_of(table.schema)
        path = folder / TABLE
        _written(write_parquet, table, path)
        yield Source("table", f"{name}.parquet", (_listed(path, TABLE),), path, path)


def _on_disk(given: Path, schema: Any, objects: Objects) -> Source:
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
        check_path(top.name)
        file = _listed(top, FILE + top.suffix.lower())
        return Source("file", top.name, (file,), top, top, schema, {"": stat.S_IMODE(status.st_mode) & 0o777})
    state = objects.folder.resolve().parent
    if state.is_relative_to(top):
        raise BadInput(
            f"{given} holds the project's own state ({state.name})", "name the folder with the data"
        )
    listed = _walked(top)
    if not listed:
        raise BadInput(f"{given} holds no files", "commit a folder that holds some")
    return Source("folder", top.name or "folder", listed, top, None, schema, _unusual(listed))


def _walked(top: Path) -> tuple[Listed, ...]:
    """Return every file below ``top``, sorted; raises ``BadInput`` for links, pipes and the like."""
    found: list[Listed] = []
    folders = [top]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    place = folder / entry.name
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(status.st_mode):
                        folders.append(place)
                        continue
                    check_regular(place, status)
                    path = place.relative_to(top).as_posix()
                    check_path(path)
                    mode = stat.S_IMODE(status.st_mode) & 0o777
                    found.append(Listed(place, path, mode, status.st_size, state_of(status)))
        except FileNotFoundError as error:
            raise changed(folder) from error
        except OSError as error:
            raise unreadable(folder, error) from error
    return tuple(sorted(found, key=lambda file: file.path))


def _listed(place: Path, path: str) -> Listed:
    status = place.lstat()
    return Listed(place, path, stat.S_IMODE(status.st_mode) & 0o777, status.st_size, state_of(status))


def _unusual(listed: tuple[Listed, ...]) -> dict[str, int]:
    """Return the permission bits of a folder's files: the usual ones under "", the others by path."""
    usual = Counter(file.mode for file in listed).most_common(1)[0][0]
    return {"": usual} | {file.path: file.mode for file in listed if file.mode != usual}


def _arrow(given: Any) -> Any:
    """Return a table from memory as an Arrow table; only libraries that are loaded can have made it."""
    import pyarrow as pa

    try:
        if isinstance(given, pa.Table):
            return given
        if isinstance(given, pa.RecordBatch):
            return pa.Table.from_batches([given])
        pandas, polars = sys.modules.get("pandas"), sys.modules.get("polars")
        if pandas is not None and isinstance(given, pandas.DataFrame):
            return _from_pandas(given)
        if polars is not None and isinstance(given, polars.LazyFrame):
            given = given.collect()
        if polars is not None and isinstance(given, polars.DataFrame):
            return given.to_arrow(compat_level=polars.CompatLevel.oldest())
    except (pa.ArrowException, TypeError, OverflowError) as error:
        raise _no_table(error) from error
    raise BadInput(
        f"an object of type {type(given).__name__} cannot be committed",
        "give a path, a pandas or polars DataFrame, or an Arrow table",
    )


def _from_pandas(frame: Any) -> Any:
    import pyarrow as pa

    from .types import check_names

    check_names([str(name) for name in frame.columns])
    return pa.Table.from_pandas(frame)


def _cast(table: Any, schema: Any) -> Any:
    import pyarrow as pa

    for name, word in declared(schema, table.column_names).items():
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
    return table


def _written(write: Callable[[Any, Path], None], table: Any, path: Path) -> None:
    import pyarrow as pa

    try:
        write(table, path)
    except pa.ArrowException as error:
        raise _no_table(error) from error


def _no_table(error: Exception) -> BadInput:
    return BadInput(
        f"the table cannot be stored: {_first(error)}",
        "give every column values of one type, such as all text",
    )


def _first(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
