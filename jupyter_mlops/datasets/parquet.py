"""Parquet files: they carry their own types. A reader, and how tables from memory are written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInput
from .readers import Form
from .types import columns_of

if TYPE_CHECKING:
    import polars as pl

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

        return pq.read_table(path, partitioning=None, memory_map=False)

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
        table.unify_dictionaries().combine_chunks(),
        path,
        compression="none",
        use_dictionary=False,
        use_content_defined_chunking=_PAGES,
    )
