"""The values of a comparison: what differs between two versions of data. Returned by ``Datasets.diff``."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ...charts import Figure, bar, grouped_bar, histogram
from ...errors import BadInput, close_matches
from ...value import Value

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Distribution:
    """Shares of the values in both versions: between ``edges`` of numbers and times, of ``labels`` else."""

    before: tuple[float, ...]
    after: tuple[float, ...]
    edges: tuple[float | str, ...] = ()
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Shift:
    """How the distribution of a column changed, and whether that is more than chance and matters.

    ``status`` is ``shifted``, ``same``, ``missing share`` (only what is missing shifted), or why there is
    no verdict: ``constant``, ``identifier``, ``times``, ``too few rows``, ``type changed``, ``no values``.
    ``effect`` is exact over all rows, except where ``estimate`` says that the tables did not fit into memory.
    """

    status: str
    shifted: bool = False
    method: str = ""
    effect: float | None = None
    floor: float | None = None
    p_value: float | None = None
    adjusted_p: float | None = None
    distribution: Distribution | None = None
    estimate: bool = False


@dataclass(frozen=True, slots=True)
class CellExample:
    """One value that is another one now, with the key of its row."""

    key: tuple[Any, ...]
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class ColumnDiff(Value):
    """One column of both versions: how many values changed, what is missing, how its distribution shifted."""

    name: str
    type: tuple[str, str]
    changed: int = 0
    missing: tuple[int, int] = (0, 0)
    examples: tuple[CellExample, ...] = ()
    shift: Shift | None = None
    is_key: bool = False

    @property
    def shifted(self) -> bool:
        """Whether its distribution is another one."""
        return self.shift is not None and self.shift.shifted

    def to_dict(self) -> dict[str, Any]:
        """Return the column's comparison as JSON-ready types."""
        return {
            "type": list(self.type),
            "changed": self.changed,
            "missing": list(self.missing),
            "examples": [
                {"key": _key(one.key), "before": plain(one.before), "after": plain(one.after)}
                for one in self.examples
            ],
            "shift": None if self.shift is None else plain(asdict(self.shift)),
        }


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """A column that is new, gone, elsewhere, of another type or of another name.

    ``kind`` is ``added``, ``removed``, ``retyped``, ``renamed`` or ``reordered``; ``before`` and ``after``
    are its types, or its names or places where those are what changed.
    """

    kind: str
    column: str
    before: str = ""
    after: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the change as JSON-ready types."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class RowChange:
    """A row whose values changed: its key, and by column what was and what is."""

    key: tuple[Any, ...]
    changes: Mapping[str, tuple[Any, Any]]


@dataclass(frozen=True, slots=True)
class TableDiff(Value):
    """What differs between two versions of one table.

    ``added``, ``removed``, ``changed`` and ``unchanged`` count rows; of each kind the first few are kept in
    ``added_rows``, ``removed_rows`` and ``changed_rows``. ``matched`` says how rows were brought together:
    ``key given``, ``key remembered``, ``key inferred`` or ``whole rows``. ``repeated`` counts keys that
    several rows have; their rows are compared as a whole. ``tolerated`` counts values that
    differ by no more than the tolerance. ``sampled`` is the number of evenly spaced rows of
    each side that the distributions are drawn from, 0 where that is all; counts and shifts are of all rows.
    """

    path: str
    rows: tuple[int, int]
    key: tuple[str, ...]
    matched: str
    added: int = 0
    removed: int = 0
    changed: int = 0
    unchanged: int = 0
    repeated: int = 0
    reordered: bool = False
    schema: tuple[SchemaChange, ...] = ()
    columns: Mapping[str, ColumnDiff] = field(default_factory=dict)
    added_rows: tuple[Row, ...] = ()
    removed_rows: tuple[Row, ...] = ()
    changed_rows: tuple[RowChange, ...] = ()
    notes: tuple[str, ...] = ()
    tolerated: int = 0
    sampled: int = 0

    @property
    def same(self) -> bool:
        """Whether both hold the same rows in the same order, under the same columns."""
        return not (self.added or self.removed or self.changed or self.schema or self.reordered)

    @property
    def changed_columns(self) -> tuple[ColumnDiff, ...]:
        """The columns that hold changed values, those with most of them first."""
        found = [column for column in self.columns.values() if column.changed]
        return tuple(sorted(found, key=lambda column: -column.changed))

    @property
    def summary(self) -> str:
        """The difference in one line."""
        said = [_rows_said(self), _schema_said(self.schema)]
        if self.reordered:
            said.append("the rows are in another order")
        told = "; ".join(one for one in said if one)
        if not told:
            return "no difference"
        return told if said[0] or said[1] else f"no difference in values; {told}"

    def to_dict(self) -> dict[str, Any]:
        """Return the difference as JSON-ready types, rows in the form of csv-diff."""
        return {
            "summary": self.summary,
            "same": self.same,
            "key": list(self.key),
            "matched": self.matched,
            "rows": list(self.rows),
            "counts": {
                "added": self.added,
                "removed": self.removed,
                "changed": self.changed,
                "unchanged": self.unchanged,
            },
            "reordered": self.reordered,
            "repeated_keys": self.repeated,
            "added": [plain(row) for row in self.added_rows],
            "removed": [plain(row) for row in self.removed_rows],
            "changed": [
                {"key": _key(row.key), "changes": {name: plain(pair) for name, pair in row.changes.items()}}
                for row in self.changed_rows
            ],
            "columns_added": [one.column for one in self.schema if one.kind == "added"],
            "columns_removed": [one.column for one in self.schema if one.kind == "removed"],
            "schema": [one.to_dict() for one in self.schema],
            "columns": {name: column.to_dict() for name, column in self.columns.items()},
            "tolerated": self.tolerated,
            "distributions_sampled": self.sampled,
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True)
class FileChanges:
    """Paths that only one version has, paths with other content, and old and new path of what was renamed."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    unchanged: int = 0
    sizes: Mapping[str, tuple[int | None, int | None]] = field(default_factory=dict)
    renamed: tuple[tuple[str, str], ...] = ()

    @property
    def same(self) -> bool:
        """Whether both have the same files."""
        return not (self.added or self.removed or self.changed or self.renamed)

    def to_dict(self) -> dict[str, Any]:
        """Return the paths as JSON-ready types."""
        return {
            "added": list(self.added),
            "removed": list(self.removed),
            "changed": list(self.changed),
            "renamed": [list(pair) for pair in self.renamed],
            "unchanged": self.unchanged,
        }


@dataclass(frozen=True, slots=True)
class DatasetDiff(Value):
    """What differs between two versions: files by their paths, tables by their rows, columns and values.

    All rows are counted, and the first ``kept`` of each kind can be seen; ``None`` says all.
    """

    before: str
    after: str
    files: FileChanges
    tables: tuple[TableDiff, ...] = ()
    notes: tuple[str, ...] = ()
    identical: bool = False
    kept: int | None = 10

    @property
    def ref(self) -> str:
        """Both versions."""
        return f"{self.before} → {self.after}"

    @property
    def path(self) -> str:
        """Where the page shows it: below the later version."""
        name, _, number = self.after.rpartition("@v")
        earlier, _, before = self.before.rpartition("@v")
        other = before if name == earlier else f"{earlier}/{before}"
        return f"data/{name}/{number}/diff/{other}"

    @property
    def table(self) -> TableDiff | None:
        """The comparison of the only table, where both versions are one."""
        return self.tables[0] if len(self.tables) == 1 and not self.tables[0].path else None

    @property
    def same(self) -> bool:
        """Whether there is no difference at all."""
        table = self.table
        if table is not None:
            return table.same
        return self.identical or self.files.same

    @property
    def added(self) -> int:
        """How many rows are new, over all tables."""
        return sum(table.added for table in self.tables)

    @property
    def removed(self) -> int:
        """How many rows are gone, over all tables."""
        return sum(table.removed for table in self.tables)

    @property
    def changed(self) -> int:
        """How many rows changed, over all tables."""
        return sum(table.changed for table in self.tables)

    @property
    def columns(self) -> Mapping[str, ColumnDiff]:
        """The columns of the only table by their names; empty where there is no such table."""
        return self.table.columns if self.table is not None else {}

    @property
    def summary(self) -> str:
        """The difference in one line, such as ``1 row changed, 1 added, 1 removed``."""
        if self.table is not None:
            return self.table.summary
        files = self.files
        counted = [
            (len(files.changed), "changed"),
            (len(files.added), "added"),
            (len(files.removed), "removed"),
            (len(files.renamed), "renamed"),
        ]
        said = _counted("file", counted) or "no difference"
        tables = [table for table in self.tables if not table.same]
        if not tables:
            return said
        rows = _counted("row", [(self.changed, "changed"), (self.added, "added"), (self.removed, "removed")])
        where = tables[0].path if len(tables) == 1 else f"{len(tables)} tables"
        return f"{said}; in {where}: {rows or 'no row'}"

    def to_dict(self) -> dict[str, Any]:
        """Return the difference as JSON-ready types; of one table, its rows in the form of csv-diff."""
        told: dict[str, Any] = {
            "before": self.before,
            "after": self.after,
            "summary": self.summary,
            "same": self.same,
            "files": self.files.to_dict(),
            "notes": list(self.notes),
        }
        if self.table is not None:
            return {**told, **self.table.to_dict(), "notes": [*self.notes, *self.table.notes]}
        return told | {"tables": {table.path: table.to_dict() for table in self.tables}}

    def rows(self, what: str = "changed", path: str | None = None) -> Any:
        """Return the rows that are ``changed``, ``added`` or ``removed`` as a DataFrame, those that are kept.

        Changed rows have a line for each value: the key, the column, the value before and after. To have all
        rows, ask for them: ``project.datasets.diff(a, b, rows=None)``. ``path`` says which table of a folder.
        """
        import pandas as pd

        table = self._chosen(path)
        if what not in ("changed", "added", "removed"):
            raise BadInput(f"{what!r} is no kind of row", "changed, added or removed")
        if what != "changed":
            return pd.DataFrame(list(table.added_rows if what == "added" else table.removed_rows))
        lines = [(*row.key, name, *pair) for row in table.changed_rows for name, pair in row.changes.items()]
        return pd.DataFrame(lines, columns=[*table.key, "column", "before", "after"])

    def plot(self, column: str | None = None, path: str | None = None) -> Figure:
        """Return the picture of how many values changed by column, or of one column in both versions.

        ``path`` says which table of a folder is meant.
        """
        table = self._chosen(path)
        if column is None:
            return self._overview(table)
        if column not in table.columns:
            raise BadInput(
                f"the comparison has no column {column!r}", close_matches(column, list(table.columns))
            )
        return self._of(table.columns[column])

    def _chosen(self, path: str | None) -> TableDiff:
        paths = [table.path for table in self.tables]
        if path is None and len(self.tables) == 1:
            return self.tables[0]
        if path in paths:
            return self.tables[paths.index(path)]
        if not self.tables:
            raise BadInput("no table was compared, so there is nothing to draw", self.summary)
        hint = close_matches(path, paths) if path else ""
        raise BadInput("say which table to draw", hint or f"path= one of {', '.join(paths[:5])}")

    def _overview(self, table: TableDiff) -> Figure:
        # without a key no value is known to have changed, so the shifts are the news
        ranked: Sequence[ColumnDiff] = table.changed_columns
        if ranked:
            return bar(
                f"Changed values, {self.ref}",
                [column.name for column in ranked],
                [column.changed for column in ranked],
                y_label="changed values",
                subtitle=table.summary,
                horizontal=True,
            )
        effects = sorted(
            (one for one in table.columns.values() if one.shift is not None and one.shift.effect is not None),
            key=_strength,
            reverse=True,
        )
        return bar(
            f"Shifts, {self.ref}",
            [column.name for column in effects],
            [_strength(column) for column in effects],
            y_label="shift, as a multiple of what matters",
            highlight=[column.name for column in effects if column.shifted],
            subtitle=table.summary,
            horizontal=True,
        )

    def _of(self, column: ColumnDiff) -> Figure:
        shape = column.shift.distribution if column.shift is not None else None
        said = [f"{column.changed:,} changed"] if column.changed else []
        if column.shift is not None:
            said.append(column.shift.status)
        words: dict[str, Any] = {
            "x_label": column.name,
            "y_label": "share of values",
            "subtitle": " · ".join(said),
        }
        if shape is None:
            return histogram(column.name, [], {}, **words)
        names = (self.before, self.after) if self.before != self.after else ("before", "after")
        both = {names[0]: shape.before, names[1]: shape.after}
        numbers = [edge for edge in shape.edges if not isinstance(edge, str)]
        if numbers:
            return histogram(column.name, numbers, both, **words)
        labels = shape.labels or [str(edge) for edge in shape.edges[:-1]]
        return grouped_bar(column.name, labels, both, **words)


def plain(value: Any) -> Any:
    """Return any value of a table as JSON-ready types: what JSON cannot say becomes text."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else "NaN" if math.isnan(value) else str(value)
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, bytes):
        return value.hex()
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _strength(column: ColumnDiff) -> float:
    shift = column.shift
    if shift is None or shift.effect is None:
        return 0.0
    return shift.effect / shift.floor if shift.floor else shift.effect


def _key(key: tuple[Any, ...]) -> Any:
    return plain(key[0]) if len(key) == 1 else plain(key)


def _rows_said(table: TableDiff) -> str:
    return _counted("row", [(table.changed, "changed"), (table.added, "added"), (table.removed, "removed")])


def _schema_said(changes: Iterable[SchemaChange]) -> str:
    kinds = [change.kind for change in changes]
    order = ("added", "removed", "renamed", "retyped", "reordered")
    return _counted("column", [(kinds.count(kind), kind) for kind in order])


def _counted(noun: str, counts: Iterable[tuple[int, str]]) -> str:
    """Return what happened to how many: 1 row changed, 2 added."""
    said = [(count, what) for count, what in counts if count]
    if not said:
        return ""
    first, *others = said
    begin = f"{first[0]:,} {noun}{'' if first[0] == 1 else 's'} {first[1]}"
    return ", ".join([begin, *(f"{count:,} {what}" for count, what in others)])
