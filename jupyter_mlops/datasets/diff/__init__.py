"""Comparison of two versions: its values. ``Datasets.diff`` loads ``comparison``, which makes them."""

from .value import (
    CellExample,
    ColumnDiff,
    DatasetDiff,
    Distribution,
    FileChanges,
    RowChange,
    SchemaChange,
    Shift,
    TableDiff,
)

__all__ = [
    "CellExample",
    "ColumnDiff",
    "DatasetDiff",
    "Distribution",
    "FileChanges",
    "RowChange",
    "SchemaChange",
    "Shift",
    "TableDiff",
]
