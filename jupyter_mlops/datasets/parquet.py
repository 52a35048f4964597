"""Parquet files: they carry their own types. A reader, and how tables from memory are written."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInput
from .readers import Form
from .types import columns_of

if TYPE_CHECKING:
    import polars as pl

_CATEGORIES = b"jupyter_mlops.categories"
_PAGES = {"min_chunk_size": 64 << 10, "max_chunk_size": 256 << 10}


class Parquet:
    """Reads ``.parquet``."""

    suffixes = (".parquet", ".pq")
    dates_as_objects = True

    def form(self, path: Path, schema: Any) -> Form:
        """Return columns and rows from the file's footer."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if schema is not None:
            raise BadInput(
                f"{path} carries its own types", "leave schema= out, or load it and commit the table"
            )
        try:
            with pq.ParquetFile(path) as file:
                return Form(columns_of(file.schema_arrow), int(file.metadata.num_rows))
        except (pa.ArrowException, OSError) as error:
            text = str(error).splitlines()[0]
            raise BadInput(f"{path} cannot be read as Parquet: {text}", "write the file again") from error

    def scan(self, path: Path, form: Form) -> pl.LazyFrame:
        """Return the file as a query."""
        import polars as pl

        return pl.scan_parquet(path, glob=False, hive_partitioning=False)

    def arrow(self, path: Path, form: Form) -> Any:
        """Return the file as an Arrow table."""
        import pyarrow.parquet as pq

        return _with_categories(pq.read_table(path, partitioning=None, memory_map=False))

    def polars(self, path: Path, form: Form) -> pl.DataFrame:
        """Return the file as a polars DataFrame."""
        import polars as pl

        return pl.read_parquet(path, glob=False, hive_partitioning=False, memory_map=False)


def write_parquet(table: Any, path: Path) -> None:
    """Write an Arrow table so that equal tables give equal bytes, however they are cut in memory.

    Nothing is compressed or put into dictionaries: the store compresses, and pages cut by content keep
    their bytes when rows before them change.
    """
    import pyarrow.parquet as pq

    pq.write_table(
        _recording_categories(table.unify_dictionaries().combine_chunks()),
        path,
        compression="none",
        use_dictionary=False,
        use_content_defined_chunking=_PAGES,
    )


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
        part = table.schema.field(position)
        read = table.column(position).combine_chunks()
        plain = read.dictionary_decode() if pa.types.is_dictionary(part.type) else read
        codes = pc.index_in(plain, value_set=categories).cast(pa.type_for_alias(index))
        column = pa.DictionaryArray.from_arrays(codes, categories, ordered=ordered)
        table = table.set_column(position, part.with_type(column.type), column)
    return table.replace_schema_metadata(metadata or None)
