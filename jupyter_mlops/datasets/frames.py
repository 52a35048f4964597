"""Frames: pandas DataFrames as Arrow tables, and back with their types. Used by sources and contents."""

from __future__ import annotations

import json
from collections.abc import Collection
from numbers import Integral
from typing import Any

from ..errors import BadInput
from .types import check_names

_PANDAS = b"pandas"
# what Arrow makes of a column of Python numbers, by what the table's metadata call them
_OF_OBJECTS = {"int64": "int64", "float64": "double", "bool": "bool"}


def table_of(frame: Any) -> Any:
    """Return a DataFrame as an Arrow table."""
    import pyarrow as pa

    check_names([str(name) for name in frame.columns])
    return pa.Table.from_pandas(frame)


def loss_in(table: Any, frame: Any) -> str:
    """Return what the table does not keep of the DataFrame that it was made from, "" if that is nothing."""
    import pyarrow as pa
    from pandas.api.types import is_object_dtype

    mixed = [
        str(name)
        for place, name in enumerate(frame.columns)
        if is_object_dtype(frame.dtypes.iloc[place])
        and pa.types.is_floating(table.schema.field(place).type)
        and any(isinstance(value, Integral) for value in frame.iloc[:, place])
    ]
    if not mixed:
        return ""
    named = ", ".join(map(repr, mixed[:5])) + (f" and {len(mixed) - 5} more" if len(mixed) > 5 else "")
    return f"whole numbers among the fractions of {named} become fractions"


def frame_of(table: Any, dates_as_objects: bool) -> Any:
    """Return an Arrow table as a DataFrame; columns that held Python numbers as objects hold them again."""
    import pandas as pd
    import pyarrow as pa

    try:
        frame = table.to_pandas(date_as_object=dates_as_objects)
    except pa.ArrowException as error:
        said = (str(error).splitlines() or [""])[0]
        raise BadInput(f"pandas cannot hold it: {said}", 'load it as "arrow" or "polars"') from error
    metadata = _metadata(table)
    index = set(map(str, metadata.get("index_columns", ())))
    names = [name for name in table.column_names if name not in index]
    objects = {
        one["field_name"]: _OF_OBJECTS.get(one["pandas_type"], "")
        for one in metadata.get("columns", ())
        if one["numpy_type"] == "object"
    }
    for place, name in enumerate(names):
        if objects.get(name) == str(table.schema.field(name).type):
            values = table.column(name).to_pylist()
            frame.isetitem(place, pd.Series(values, index=frame.index, dtype=object))
    return frame


def with_other_types(table: Any, names: Collection[str]) -> Any:
    """Return the table without what it remembers of the types that these columns had in a DataFrame."""
    metadata = _metadata(table)
    if not metadata:
        return table
    metadata["columns"] = [one for one in metadata["columns"] if one["field_name"] not in names]
    return table.replace_schema_metadata({**table.schema.metadata, _PANDAS: json.dumps(metadata).encode()})


def _metadata(table: Any) -> dict[str, Any]:
    return dict(json.loads((table.schema.metadata or {}).get(_PANDAS, b"{}")))
