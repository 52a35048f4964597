"""Comparison of two versions: files, columns, rows and values. Called by ``Datasets.diff``."""

from .comparison import compare
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
    "compare",
]
