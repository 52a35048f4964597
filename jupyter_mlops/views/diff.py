"""How the comparison of two versions is seen: files, columns, rows, values, shapes before and after."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..datasets.diff import ColumnDiff, DatasetDiff, FileChanges, RowChange, SchemaChange, TableDiff
from . import formats
from .dispatch import Column, tabled, view
from .view import Block, Cell, Heading, Table, Text, Tone, View, facts, table

_MOST_FILES, _MOST_TABLES, _MOST_COLUMNS, _MOST_FIELDS = 30, 3, 30, 60
_USUAL = 10  # rows of each kind that are shown where nobody asked for another number
_MOST_LINES = 20  # changed values that are shown one by one then
_LETTERS, _AROUND = 40, 10  # of a value, and before the first difference of two long ones
_MATCHED = {
    "key given": "as given",
    "key remembered": "remembered with the dataset",
    "key inferred": "found in both",
}
_UNTESTED = ("times", "identifier")
_SIGNS: dict[str, tuple[str, Tone]] = {
    "added": ("+ added", "good"),
    "removed": ("− removed", "bad"),
    "renamed": ("renamed", "warning"),
    "retyped": ("retyped", "warning"),
    "reordered": ("moved", "muted"),
    "changed": ("changed", "warning"),
}


@view.register
def _(value: DatasetDiff) -> View:
    blocks: list[Block] = []
    if value.table is not None:
        blocks += _told(value.table, value.before, value.after)
    elif not value.same:
        blocks += _files(value.files, value.kept)
    blocks += [Text(note, "muted" if value.same else "warning") for note in value.notes]
    if value.table is None:
        for one in value.tables[:_MOST_TABLES]:
            blocks += [Heading(f"{one.path}: {one.summary}"), *_told(one, value.before, value.after)]
        more = len(value.tables) - _MOST_TABLES
        if more > 0:
            blocks.append(Text(f"… and {formats.count(more, 'more table')}", "muted"))
    tone: Tone = "good" if value.same else "plain"
    return View(value.ref, f"{value.ref} · {value.summary}", tone, tuple(blocks), value.path)


@view.register
def _(value: TableDiff) -> View:
    title = value.path or "table"
    return View(title, f"{title} · {value.summary}", "plain", tuple(_told(value, "before", "after")))


@view.register
def _(value: ColumnDiff) -> View:
    title = value.name
    said = f"{formats.number(value.changed)} changed"
    blocks: list[Block] = [_columns([value], 0)]
    if value.examples:
        lines = [(one.key, value.name, one.before, one.after) for one in value.examples]
        blocks.append(_cells(lines, "key", 0))
    return View(title, f"{title} · {said}", "plain", tuple(blocks))


def _told(value: TableDiff, before: str, after: str) -> Iterator[Block]:
    """Yield what is to be said about one table."""
    yield facts(
        (before, formats.count(value.rows[0], "row")),
        (after, formats.count(value.rows[1], "row")),
        ("unchanged", formats.count(value.unchanged, "row") if value.unchanged else ""),
        ("rows by", _matched(value)),
    )
    for note in value.notes:
        yield Text(note, "warning" if value.repeated and "more than once" in note else "muted")
    if value.schema:
        yield Heading("Columns that are not the same")
        yield _schema(value.schema)
    changed, others = _worth_seeing(value)
    if changed:
        yield Heading("Values")
        yield _columns(changed, value.unchanged + value.changed)
        if any(column.shift is not None and column.shift.distribution is not None for column in changed):
            yield Text(_explained(changed, value.sampled, before, after), "muted")
    if others and (changed or not value.same):
        yield Text(_unchanged(others, value), "muted")
    if value.changed_rows:
        fitting = _fitting(value.changed_rows)
        yield Heading(f"Changed rows{_of(len(fitting), value.changed)}")
        yield _changes(fitting, value.key)
    for name, rows, count in (
        ("Added", value.added_rows, value.added),
        ("Removed", value.removed_rows, value.removed),
    ):
        if rows:
            yield Heading(f"{name} rows{_of(len(rows), count)}")
            yield _rows(rows, value.key, "good" if name == "Added" else "bad")


def _explained(changed: Sequence[ColumnDiff], sampled: int, before: str, after: str) -> str:
    """Return what the shapes and shifts of a table are, and which of them are not of all rows."""
    rows = f", from {formats.count(sampled, 'evenly spaced row')} of each" if sampled else ""
    said = [f"Shapes: {before} first, then {after}{rows}."]
    shifts = [column.shift for column in changed if column.shift is not None]
    if any(shift.method for shift in shifts):
        said.append("Shifts: Kolmogorov-Smirnov D, Cramér's V, judged as drift is.")
    if any(shift.status in _UNTESTED for shift in shifts):
        said.append(
            "Times, and values that name or number their rows, differ by nature: they are not tested."
        )
    if any(shift.estimate for shift in shifts):
        said.append("≈ is an estimate, because the tables do not fit into memory.")
    return " ".join(said)


def _fitting(rows: Sequence[RowChange]) -> Sequence[RowChange]:
    """Return the first rows whose changed values are seen at a glance; all where more were asked for."""
    if len(rows) > _USUAL:
        return rows
    lines, shown = 0, 0
    while shown < len(rows) and (not shown or lines + len(rows[shown].changes) <= _MOST_LINES):
        lines += len(rows[shown].changes)
        shown += 1
    return rows[:shown]


def _matched(value: TableDiff) -> str:
    if not value.key:
        return "all their values"
    return f"{', '.join(value.key)} ({_MATCHED.get(value.matched, value.matched)})"


def _of(shown: int, count: int) -> str:
    return f", the first {formats.number(shown)} of {formats.number(count)}" if count > shown else ""


def _files(files: FileChanges, asked: int | None) -> Iterator[Block]:
    lines = [
        *((now, "renamed") for _, now in files.renamed),
        *((path, "changed") for path in files.changed),
        *((path, "added") for path in files.added),
        *((path, "removed") for path in files.removed),
    ]
    if not lines:
        return
    if files.unchanged:
        yield facts(("unchanged", formats.count(files.unchanged, "file")))

    def sizes(path: str) -> str:
        old, new = files.sizes.get(path, (None, None))
        if old is None or new is None:
            return formats.size(new if old is None else old)
        return formats.size(new) if old == new else f"{formats.size(old)} → {formats.size(new)}"

    was = {now: before for before, now in files.renamed}
    shown = (
        Column("file", lambda line: line[0]),
        Column("what", lambda line: Cell(*_SIGNS[line[1]])),
        Column("was", lambda line: Cell(was.get(line[0], ""), "muted")),
        Column("size", lambda line: sizes(line[0]), numeric=True),
    )
    yield tabled(lines, shown, most=len(lines) if asked is None else max(asked, _MOST_FILES))


def _schema(changes: Sequence[SchemaChange]) -> Table:
    shown = (
        Column("column", lambda one: one.column),
        Column("what", lambda one: Cell(*_SIGNS.get(one.kind, (one.kind, "plain")))),
        Column("before", lambda one: Cell(one.before, "bad" if one.kind != "reordered" else "muted")),
        Column("after", lambda one: Cell(one.after, "good" if one.kind != "reordered" else "muted")),
    )
    return tabled(changes, shown, most=_MOST_COLUMNS)


def _worth_seeing(value: TableDiff) -> tuple[list[ColumnDiff], list[ColumnDiff]]:
    """Return the columns that are worth a line, those that changed most first, and the others."""
    seen = [
        column
        for column in value.columns.values()
        if not column.is_key and (column.changed or column.shifted or column.shift is not None)
    ]
    seen.sort(key=lambda column: (-column.changed, not column.shifted, -_effect(column)))
    news = [column for column in seen if column.changed or column.shifted]
    # without news of their own, the first columns show at least how little moved
    shown = news if len(news) >= _MOST_COLUMNS // 3 else seen[: _MOST_COLUMNS // 3]
    names = {column.name for column in shown}
    others = [one for one in value.columns.values() if one.name not in names and not one.is_key]
    return shown, others


def _effect(column: ColumnDiff) -> float:
    return column.shift.effect or 0.0 if column.shift is not None else 0.0


def _unchanged(columns: Sequence[ColumnDiff], value: TableDiff) -> str:
    names = ", ".join(formats.shortened(formats.clean(column.name), 24) for column in columns[:8])
    more = f" and {len(columns) - 8} more" if len(columns) > 8 else ""
    if not (value.added or value.removed):
        return f"No value changed: {names}{more}"
    # rows that come and go change no value, and move every column a little
    said = "In rows of both no value changed, and no shift" if value.key else "No shift"
    return f"{said}: {names}{more}"


def _columns(columns: Sequence[ColumnDiff], compared: int) -> Table:
    counted = any(column.changed for column in columns)

    def changed(column: ColumnDiff) -> Cell:
        if not column.changed:
            return Cell("0" if counted else "", "muted")
        share = f" · {formats.share(column.changed / compared)}" if compared else ""
        return Cell(f"{formats.number(column.changed)}{share}", "warning")

    shown = (
        Column("column", lambda one: one.name),
        Column("changed", changed, numeric=True),
        Column("shape", _shape),
        Column("shift", _shift),
        Column("missing", _missing, numeric=True),
        Column("type", lambda one: Cell(" → ".join(dict.fromkeys(one.type)), "muted")),
    )
    return tabled(columns, shown, most=_MOST_COLUMNS)


def _shape(column: ColumnDiff) -> Cell:
    shape = column.shift.distribution if column.shift is not None else None
    if shape is None or len(shape.before) < 2:
        return Cell("")
    lines = " → ".join(formats.sparkline(side, 8) for side in (shape.before, shape.after))
    return Cell(lines, bars=shape.after, before=shape.before)


def _shift(column: ColumnDiff) -> Cell:
    shift = column.shift
    if shift is None:
        return Cell("")
    if shift.effect is None or shift.status == "missing share":
        untested = ", not tested" if shift.status in _UNTESTED else ""
        return Cell(f"{shift.status}{untested}", "warning" if shift.shifted else "muted")
    about = "≈ " if shift.estimate else ""
    effect = f"{'D' if shift.method.startswith('K') else 'V'} {about}{formats.metric(shift.effect, 2)}"
    return Cell(f"shifted, {effect}", "warning") if shift.shifted else Cell(effect, "muted")


def _missing(column: ColumnDiff) -> Cell:
    before, after = map(formats.number, column.missing)
    if before == after:
        return Cell(before, "muted")
    return Cell(f"{before} → {after}", "warning")


def _changes(rows: Sequence[RowChange], key: Sequence[str]) -> Table:
    lines = [(row.key, name, *pair) for row in rows for name, pair in row.changes.items()]
    most = len(lines) if len(rows) > 1 else _MOST_LINES
    return _cells(lines[:most], ", ".join(key), len(lines) - most)


def _cells(lines: Sequence[tuple[tuple[Any, ...], str, Any, Any]], key: str, more: int) -> Table:
    made = []
    for names, column, before, after in lines:
        old, new = _pair(before, after)
        made.append((Cell(", ".join(map(_value, names))), Cell(column), Cell(old, "bad"), Cell(new, "good")))
    return table((key or "row", "column", "before", "after"), made, more=max(more, 0))


def _rows(rows: Sequence[Mapping[str, Any]], key: Sequence[str], tone: Tone) -> Table:
    names = [*key, *(name for name in rows[0] if name not in key)]
    shown = names[:_MOST_FIELDS]
    left_out = len(names) - len(shown)
    body = [
        [Cell(_value(row[name]), tone if place == 0 else "plain") for place, name in enumerate(shown)]
        + ([Cell(f"… {left_out}", "muted")] if left_out else [])
        for row in rows
    ]
    numeric = [
        name
        for name in shown
        if all(isinstance(row[name], int | float) and not isinstance(row[name], bool) for row in rows)
    ]
    return table([*shown, *(["more"] if left_out else [])], body, numeric)


def _value(value: Any) -> str:
    """Return one value of a table as a person reads it; what is missing is said, not left blank."""
    if value is None:
        return "missing"
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    if isinstance(value, bytes):
        return formats.shortened(value.hex(), _LETTERS)
    if isinstance(value, str):
        text = formats.clean(value)
        return formats.shortened(text, _LETTERS) if text.strip() == text and text else f'"{text[:_LETTERS]}"'
    return formats.shortened(formats.plain(value), _LETTERS)


def _pair(before: Any, after: Any) -> tuple[str, str]:
    """Return two values so that what tells them apart is seen."""
    if isinstance(before, float | int) and isinstance(after, float | int):
        if before != before or after != after or isinstance(before, bool) or isinstance(after, bool):
            return _value(before), _value(after)
        return _exactly(before), _exactly(after)
    if not (isinstance(before, str) and isinstance(after, str)):
        return _value(before), _value(after)
    one, other = formats.clean(before), formats.clean(after)
    same = next(
        (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
    if same + _AROUND < _LETTERS:
        return _value(before), _value(after)
    start = same - _AROUND
    return tuple(formats.shortened("…" + text[start:], _LETTERS) for text in (one, other))  # type: ignore[return-value]  # two of them


def _exactly(number: float) -> str:
    """Return a number with all the digits it has, because the last one may be the change."""
    return f"{number:,}" if isinstance(number, int) else repr(number)
