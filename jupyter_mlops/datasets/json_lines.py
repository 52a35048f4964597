"""JSON lines: one object a line, types inferred from every line and recorded. A reader."""

from __future__ import annotations

import base64
import glob
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ..errors import BadInput
from .scanned import Scanned, check_not_forked
from .types import arrow_type, columns_of, declared
from .version import Form

if TYPE_CHECKING:
    import polars as pl


class JSONLines(Scanned):
    """Reads ``.jsonl`` and ``.ndjson``."""

    suffixes = (".jsonl", ".ndjson")

    def names(self, path: Path) -> list[str]:
        """Return the names in the first object of the file."""
        return _first_keys(path)

    def form(self, file: Path | BinaryIO, schema: Any) -> Form:
        """Return columns and types from all lines of the file."""
        import polars as pl
        import pyarrow as pa

        path = Path(str(file))
        check_not_forked()
        try:
            names = _first_keys(path)
            found = pl.scan_ndjson(_literal(path), infer_schema_length=None).collect_schema()
            # the inference may return later columns in any order
            order = [*names, *sorted(set(found) - set(names))]
            typed = (
                pl.DataFrame(schema={name: found[name] for name in order})
                .to_arrow(compat_level=pl.CompatLevel.oldest())
                .schema
            )
            for name, word in declared(schema, order).items():
                typed = typed.set(typed.get_field_index(name), pa.field(name, arrow_type(word)))
            options = {"schema": base64.b64encode(typed.serialize().to_pybytes()).decode()}
            form = Form(columns_of(typed), 0, options)
            rows = int(self.scan(path, form).select(pl.len()).collect(engine="streaming").item())
        except (pl.exceptions.PolarsError, pa.ArrowException) as error:
            text = str(error).splitlines()[0]
            raise BadInput(
                f"{path} cannot be read as JSON lines: {text}", "write one object a line"
            ) from error
        return Form(form.columns, rows, options)

    def scan(self, path: Path, form: Form) -> pl.LazyFrame:
        """Return the file as a query with the recorded types."""
        import polars as pl
        import pyarrow as pa

        check_not_forked()
        typed = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(form.options["schema"])))
        empty = pl.from_arrow(typed.empty_table())
        return pl.scan_ndjson(_literal(path), schema=dict(empty.schema))  # type: ignore[union-attr]  # a table


def _literal(path: Path) -> str:
    return glob.escape(str(path))  # this reader of polars expands patterns and cannot be told not to


def _first_keys(path: Path) -> list[str]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                first = json.loads(line)
            except ValueError as error:
                raise BadInput(
                    f"{path} cannot be read as JSON lines: line {number} is no JSON",
                    "write one object a line",
                ) from error
            if not isinstance(first, dict):
                raise BadInput(
                    f"{path} cannot be read as JSON lines: line {number} is no object",
                    "write one object a line",
                )
            return list(first)
    raise BadInput(f"{path} holds no lines", "write one object a line")
