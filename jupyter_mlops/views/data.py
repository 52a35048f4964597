"""How datasets and their versions are seen: sizes, columns, and the shape of every column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..datasets import ColumnProfile, Dataset, DatasetVersion, Description, Findings, Lineage
from ..objects import Entry
from ..store.aliases import AliasMove
from . import formats
from .dispatch import Column, listed, listing, view, when
from .lineage import neighbours
from .view import Block, Cell, Heading, Table, Text, Tone, View, facts, table

_MOST_COLUMNS, _MOST_FILES = 60, 50


@view.register
def _(value: DatasetVersion) -> View:
    tone: Tone = "warning" if value.removed else "plain"
    return View(value.ref, f"{value.ref} · {_extent(value)}", tone, tuple(_told(value)), value.path)


@view.register
def _(description: Description) -> View:
    value = description.version
    blocks = _told(value, description.lineage)
    found = value.findings
    if description.problem:
        blocks.append(Text(description.problem, "warning"))
    if found is not None and found.profile:
        blocks += [Heading("Columns"), _profile(found)]
        sampled = max(column.sampled for column in found.profile)
        if sampled:
            rows = formats.count(sampled, "evenly spaced row")
            blocks.append(Text(f"Distinct values and shapes are taken from {rows}.", "muted"))
    if description.files:
        blocks += [Heading("Files"), _files(description.files)]
    elif found is not None and not found.profile:
        blocks.append(table(("column", "type"), ((column.name, column.type) for column in found.columns)))
    if found is not None:
        blocks += [Text(note, "muted") for note in found.notes]
    return View(value.ref, f"{value.ref} · {_extent(value)}", "plain", tuple(blocks), value.path)


def _told(value: DatasetVersion, lineage: Lineage | None = None) -> list[Block]:
    around = neighbours(lineage) if lineage is not None else []
    told = facts(
        ("message", value.message),
        ("aliases", ", ".join(value.aliases)),
        ("elsewhere", _elsewhere(value)),
        ("committed", f"{formats.moment(value.at)} by {value.actor}"),
        ("from", value.source),
        ("key", ", ".join(value.key)),
        ("parents", ", ".join(value.parents)),
        *around,
        ("digest", Cell(formats.digest(value.digest), "code")),
        ("removed", formats.moment(value.removed) if value.removed else ""),
    )
    if value.removed and not value.note:
        return [Text(f"It was removed. `mlops data restore {value.ref}` brings it back.", "warning"), told]
    return [Text(value.note, "muted"), told] if value.note else [told]


def _elsewhere(value: DatasetVersion) -> Cell:
    """Return what remotes call a version that has another number there."""
    return Cell(", ".join(f"v{number} in {remote}" for remote, number in value.there.items()), "warning")


@view.register
def _(value: Dataset) -> View:
    counted = "removed" if value.removed else formats.count(value.versions, "version")
    summary = f"{value.name} · {counted} · latest {value.latest.ref}"
    named = ((f"@{alias}", Cell(f"{value.name}@v{number}")) for alias, number in value.aliases.items())
    latest = facts(
        ("latest", Cell(value.latest.ref, link=value.latest.path)),
        ("extent", _extent(value.latest)),
        ("key", ", ".join(value.key)),
        *named,
    )
    return View(value.name, f"{summary} · {_extent(value.latest)}", "plain", (latest,), value.path)


@view.register
def _(value: AliasMove) -> View:
    title = f"{value.alias}: {_move(value)}"
    told = facts(
        ("when", formats.moment(value.at)),
        ("by", value.actor),
        ("reason", value.reason),
        ("approval", Cell(value.approval or "", link=f"approvals/{value.approval}")),
    )
    return View(title, f"{title} · {formats.moment(value.at)} by {value.actor}", "plain", (told,))


@listing("datasets", Dataset)
def _datasets(items: Sequence[Dataset]) -> View:
    return listed(
        "dataset",
        items,
        [
            Column("dataset", lambda one: Cell(one.name, link=one.path)),
            Column("latest", lambda one: Cell(f"v{one.latest.number}", link=one.latest.path)),
            Column("removed (UTC)", lambda one: when(one.removed)),
            Column(
                "rows",
                lambda one: _rows(one.latest),
                numeric=True,
            ),
            Column(
                "columns",
                lambda one: _columns(one.latest),
                numeric=True,
            ),
            Column("size", lambda one: formats.size(one.latest.bytes), numeric=True),
            Column(
                "aliases",
                lambda one: ", ".join(f"{alias}=v{number}" for alias, number in one.aliases.items()),
            ),
            Column("committed (UTC)", lambda one: when(one.latest.at)),
            Column("message", lambda one: one.latest.message),
        ],
        empty="`mlops data commit NAME FILE` makes one",
        path="data",
    )


@listing("versions", DatasetVersion)
def _versions(items: Sequence[DatasetVersion]) -> View:
    return listed(
        "version",
        items,
        [
            Column("version", lambda one: Cell(one.ref, link=one.path)),
            Column("removed (UTC)", lambda one: when(one.removed)),
            Column("rows", _rows, numeric=True),
            Column("columns", _columns, numeric=True),
            Column("size", lambda one: formats.size(one.bytes), numeric=True),
            Column("aliases", lambda one: ", ".join(one.aliases)),
            *([Column("elsewhere", _elsewhere)] if any(one.there for one in items) else []),
            Column("message", lambda one: one.message),
            Column("committed (UTC)", lambda one: when(one.at)),
            Column("by", lambda one: one.actor),
        ],
        path=f"data/{items[0].name}" if items else "data",
    )


@listing("alias moves", AliasMove)
def _moves(items: Sequence[AliasMove]) -> View:
    return listed(
        "move",
        items,
        [
            Column("when (UTC)", lambda one: when(one.at)),
            Column("alias", lambda one: one.alias),
            Column("move", _move),
            Column("by", lambda one: one.actor),
            Column("reason", lambda one: one.reason),
            Column("approval", lambda one: Cell(one.approval or "", link=f"approvals/{one.approval}")),
        ],
        empty="the alias has never pointed at anything",
    )


def _move(move: AliasMove) -> str:
    if not move.number:
        return f"v{move.previous} → taken away"
    return f"v{move.previous} → v{move.number}" if move.previous is not None else f"→ v{move.number}"


def _rows(version: DatasetVersion) -> str:
    return formats.number(version.findings.rows) if version.findings else ""


def _columns(version: DatasetVersion) -> str:
    return formats.number(len(version.findings.columns)) if version.findings else ""


def _extent(version: DatasetVersion) -> str:
    """Return how much there is: rows and columns of a table, files of a folder, and bytes."""
    size = formats.size(version.bytes)
    if version.findings is not None:
        columns = formats.count(len(version.findings.columns), "column")
        return f"{formats.count(version.findings.rows, 'row')} · {columns} · {size}"
    if version.tabular:
        return f"{size} · not described yet"
    return f"{formats.count(version.files, 'file')} · {size}"


def _profile(found: Findings) -> Table:
    return table(
        ("column", "type", "missing", "shape", "values", "distinct"),
        (
            (
                Cell(column.name),
                Cell(column.type, "muted"),
                _missing(column, found.rows),
                _shape(column),
                _values(column),
                formats.number(column.distinct) if column.distinct is not None else "",
            )
            for column in found.profile[:_MOST_COLUMNS]
        ),
        numeric=("missing", "distinct"),
        more=max(len(found.profile) - _MOST_COLUMNS, 0),
    )


def _files(files: Sequence[Entry]) -> Table:
    return table(
        ("file", "size"),
        ((one.path, formats.size(one.size)) for one in files[:_MOST_FILES]),
        numeric=("size",),
        more=max(len(files) - _MOST_FILES, 0),
    )


def _missing(column: ColumnProfile, rows: int) -> Cell:
    if not column.missing or not rows:
        return Cell("0", "muted")
    return Cell(formats.share(column.missing / rows), "warning" if column.missing * 2 > rows else "plain")


def _shape(column: ColumnProfile) -> Cell:
    heights = [float(one) for one in column.counts] or [float(times) for _, times in column.top]
    if len(heights) < 2 or max(heights) <= 1:
        return Cell("")
    return Cell(formats.sparkline(heights, 12), bars=tuple(heights))


def _values(column: ColumnProfile) -> str:
    """Return what is in the column: the range of numbers and times, else the most frequent values."""
    if column.top and column.top[0][1] == 1:
        return "each once"
    if column.top:
        frequent = [
            f"{formats.shortened(formats.clean(text), 16)} ×{formats.number(times)}"
            for text, times in column.top[:3]
        ]
        rest = (column.distinct or 0) - len(frequent)
        return " · ".join(frequent) + (" …" if rest > 0 else "")
    if column.min is None and column.max is None:
        return ""
    return f"{_end(column.min)} to {_end(column.max)}" + (
        f", mean {formats.metric(column.mean)}" if column.mean is not None else ""
    )


def _end(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return formats.metric(value)
    return formats.plain(value).removesuffix("T00:00:00")
