"""Parquet files: they carry their own types. A reader, and how tables from memory are written."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from ..errors import BadInput
from .scanned import check_not_forked, chosen
from .types import columns_of
from .version import Form

if TYPE_CHECKING:
    import polars as pl

_CATEGORIES = b"jupyter_mlops.categories"
_UNNAMED = re.compile(r"__index_level_\d+__")
_PART_OF_AN_HOUR = re.compile(r"[+-]\d\d:(?!00)\d\d")
_BATCH_ROWS = 65_536
_BUFFER = 1 << 18  # bytes of each column that are read at once
_PAGES = {"min_chunk_size": 64 << 10, "max_chunk_size": 256 << 10}


class Parquet:
    """Reads ``.parquet``: only the parts of the file that hold what is asked for."""

    suffixes = (".parquet", ".pq")
    seekable = True
    dates_as_objects = True

    def names(self, path: Path) -> list[str]:
        """Return the names of the columns, from the file's footer."""
        return [column.name for column in self.form(path, None).columns]

    def form(self, file: Path | BinaryIO, schema: Any) -> Form:
        """Return columns and rows from the file's footer."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if schema is not None:
            raise BadInput(
                f"{file} carries its own types", "leave schema= out, or load it and commit the table"
            )
        try:
            with pq.ParquetFile(file) as opened:
                hidden = unnamed_index(opened.schema_arrow)
                columns = columns_of(_as_written(opened.schema_arrow, opened.metadata.metadata))
                return Form(
                    tuple(column for column in columns if column.name not in hidden),
                    int(opened.metadata.num_rows),
                )
        except (pa.ArrowException, OSError) as error:
            text = str(error).splitlines()[0]
            raise BadInput(f"{file} cannot be read as Parquet: {text}", "write the file again") from error

    def scan(self, path: Path, form: Form) -> pl.LazyFrame:
        """Return the file as a query, without an index that nobody named."""
        import polars as pl

        check_not_forked()
        if _unspoken_zones(path):
            return chosen(self.polars(path, form).lazy(), [column.name for column in form.columns])
        table = pl.scan_parquet(path, glob=False, hive_partitioning=False)
        names = [column.name for column in form.columns]
        return table if names == list(table.collect_schema()) else chosen(table, names)

    def batches(
        self, file: Path | BinaryIO, form: Form, columns: Sequence[str] | None = None
    ) -> tuple[Any, Iterator[Any]]:
        """Return the Arrow schema of the file and its record batches, one at a time."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        opened = pq.ParquetFile(file, pre_buffer=False)
        names = [column.name for column in form.columns] if columns is None else list(columns)
        written = _as_written(opened.schema_arrow, opened.metadata.metadata)
        schema = pa.schema([written.field(name) for name in names])

        def batches() -> Iterator[Any]:
            for batch in opened.iter_batches(_BATCH_ROWS, columns=names):
                yield batch.select(names).cast(schema)

        return schema, batches()

    def arrow(self, file: Path | BinaryIO, form: Form, columns: Sequence[str] | None = None) -> Any:
        """Return the file as an Arrow table; the index of a DataFrame comes along with some columns, too."""
        import pyarrow.parquet as pq

        with pq.ParquetFile(file, memory_map=False) as opened:
            names = None if columns is None else list(columns)
            table = opened.read(names, use_pandas_metadata=True)
            written = _as_written(table.schema, opened.metadata.metadata)
            return _with_categories(table if table.schema == written else table.cast(written))

    def polars(self, file: Path | BinaryIO, form: Form, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Return the file as a polars DataFrame; an offset that polars has no zone for becomes UTC."""
        import polars as pl

        check_not_forked()
        zones = _unspoken_zones(file)
        if columns is not None or zones:
            names = [column.name for column in form.columns] if columns is None else list(columns)
            table = self.arrow(file, form, columns).select(names)
            return cast("pl.DataFrame", pl.from_arrow(_with_spoken_zones(table, zones)))
        table = pl.read_parquet(file, glob=False, hive_partitioning=False, memory_map=False)
        return table.select([table.get_column(column.name) for column in form.columns])


def pieces(path: Path, columns: Sequence[int], rows: int) -> Iterator[pl.DataFrame]:
    """Yield columns, by their places, ``rows`` rows at a time: in little memory, however the file is cut.

    What is lent by ``scan`` reads ahead, and always whole row groups.
    """
    import polars as pl
    import pyarrow.parquet as pq

    zones = _unspoken_zones(path)
    with pq.ParquetFile(path, memory_map=False, pre_buffer=False, buffer_size=_BUFFER) as opened:
        names = [opened.schema_arrow.names[place] for place in columns]
        for batch in opened.iter_batches(rows, columns=names):
            yield pl.DataFrame(_with_spoken_zones(batch.select(names), zones))


def _with_spoken_zones(table: Any, zones: Collection[str]) -> Any:
    """Return a table or batch with an offset that polars has no zone for as UTC."""
    import pyarrow as pa

    for place, name in enumerate(table.schema.names):
        if name in zones:
            moments = table.column(place)
            table = table.set_column(place, name, moments.cast(pa.timestamp(moments.type.unit, "UTC")))
    return table


def _as_written(schema: Any, metadata: Any) -> Any:
    """Return the schema of a file with the types that its columns had when they were written.

    Parquet has no seconds, and no dates that count milliseconds: they become the next finer thing.
    """
    import pyarrow as pa

    recorded = (metadata or {}).get(b"ARROW:schema")
    if recorded is None:
        return schema
    written = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(recorded)))
    for place, part in enumerate(schema):
        at = written.get_field_index(part.name)
        if at >= 0 and (kind := _coarser(part.type, written.field(at).type)) != part.type:
            schema = schema.set(place, part.with_type(kind))
    return schema


def _coarser(read: Any, written: Any) -> Any:
    """Return the written type where the one that was read is but a finer one, else the one that was read."""
    import pyarrow as pa

    kinds = pa.types
    if kinds.is_timestamp(read) and kinds.is_timestamp(written) and read.tz == written.tz:
        return written if (read.unit, written.unit) == ("ms", "s") else read
    if kinds.is_time32(read) and kinds.is_time32(written):
        return written
    if kinds.is_date32(read) and kinds.is_date64(written):
        return written
    if kinds.is_struct(read) and kinds.is_struct(written) and read.names == written.names:
        return pa.struct(
            [
                mine.with_type(_coarser(mine.type, theirs.type))
                for mine, theirs in zip(read, written, strict=True)
            ]
        )
    if kinds.is_list(read) and kinds.is_list(written):
        return pa.list_(read.value_field.with_type(_coarser(read.value_type, written.value_type)))
    return read


def _unspoken_zones(file: Path | BinaryIO) -> set[str]:
    """Return the columns whose time zone is an offset of no whole hours, at which polars gives up."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pq.read_schema(file, memory_map=False)
    if not isinstance(file, Path):
        file.seek(0)
    return {
        part.name
        for part in schema
        if pa.types.is_timestamp(part.type) and _PART_OF_AN_HOUR.fullmatch(part.type.tz or "")
    }


def unnamed_index(schema: Any) -> frozenset[str]:
    """Return the columns of an Arrow schema that are a DataFrame's index without a name."""
    metadata = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))
    names = metadata.get("index_columns", ())
    return frozenset(name for name in names if isinstance(name, str) and _UNNAMED.fullmatch(name))


def write_parquet(table: Any, path: Path) -> None:
    """Write an Arrow table so that equal tables give equal bytes, however they are cut in memory.

    Nothing is compressed or put into dictionaries: the store compresses, and pages cut by content keep
    their bytes when rows before them change.
    """
    import pyarrow.parquet as pq

    pq.write_table(
        _recording_categories(_with_sound_categories(table).unify_dictionaries().combine_chunks()),
        path,
        compression="none",
        use_dictionary=False,
        use_content_defined_chunking=_PAGES,
    )


def _with_sound_categories(table: Any) -> Any:
    """Return the table with every category once; raises ``BadInput`` for those that are no plain values."""
    import pyarrow as pa

    for place, part in enumerate(table.schema):
        if not pa.types.is_dictionary(part.type):
            continue
        kind = part.type.value_type
        if isinstance(kind, pa.BaseExtensionType) or pa.types.is_nested(kind):
            # the writer ends the whole process at these
            raise BadInput(
                f"the categories of column {part.name!r} are of type {kind}",
                "store their texts: frame[column].astype(str)",
            )
        column = table.column(place)
        if any(len(chunk.dictionary.unique()) < len(chunk.dictionary) for chunk in column.chunks):
            again = column.cast(kind).dictionary_encode().cast(part.type)
            table = table.set_column(place, part, again)
    return table


def _recording_categories(table: Any) -> Any:
    """Return the table with its categories in its metadata: Parquet keeps only those in use, as they come."""
    import pyarrow as pa

    recorded = {}
    for part, column in zip(table.schema, table.columns, strict=True):
        if pa.types.is_dictionary(part.type) and column.num_chunks:
            sink = pa.BufferOutputStream()
            batch = pa.record_batch([column.chunk(0).dictionary], names=["categories"])
            with pa.ipc.new_stream(sink, batch.schema) as stream:
                stream.write_batch(batch)
            values = base64.b64encode(sink.getvalue().to_pybytes()).decode()
            recorded[part.name] = [str(part.type.index_type), bool(part.type.ordered), values]
    if not recorded:
        return table
    metadata = {**(table.schema.metadata or {}), _CATEGORIES: json.dumps(recorded).encode()}
    return table.replace_schema_metadata(metadata)


def _with_categories(table: Any) -> Any:
    """Return the table with the categories recorded when it was written, all of them and in their order."""
    import pyarrow as pa
    import pyarrow.compute as pc

    metadata = dict(table.schema.metadata or {})
    recorded = json.loads(metadata.pop(_CATEGORIES, b"{}"))
    for name, (index, ordered, values) in recorded.items():
        with pa.ipc.open_stream(base64.b64decode(values)) as stream:
            categories = stream.read_all().column(0).combine_chunks()
        position = table.schema.get_field_index(name)
        if position < 0:  # not among the columns that were asked for
            continue
        part = table.schema.field(position)
        read = table.column(position).combine_chunks()
        plain = read.dictionary_decode() if pa.types.is_dictionary(part.type) else read
        codes = pc.index_in(plain, value_set=categories).cast(pa.type_for_alias(index))
        column = pa.DictionaryArray.from_arrays(codes, categories, ordered=ordered)
        table = table.set_column(position, part.with_type(column.type), column)
    return table.replace_schema_metadata(metadata or None)
