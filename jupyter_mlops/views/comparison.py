"""How a comparison of runs is seen: what differs, down to the cells of their notebooks; and what mattered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from ..runs import Comparison, Importance, NotebookDiff, Run
from ..runs.comparing.comparison import ComparedRow, curves_of
from ..runs.comparing.notebook_diff import CellChange
from . import formats
from .dispatch import view
from .view import Action, Block, Cell, Changes, Heading, Image, Picture, Table, Text, View, table

_GROUPS = {
    "parameter": "Parameters",
    "input": "Inputs",
    "metric": "Metrics",
    "fact": "Facts",
    "environment": "Environment",
}
# what a reader asks first: what came out, then what was put in, then what it ran on
_ORDER = ("metric", "parameter", "input", "fact", "environment")
_MOST_PACKAGES, _MOST_CELLS, _MOST_SOURCES, _MOST_LINES = 30, 20, 10, 60
_MOST_PICTURES, _LARGEST_PICTURE = 6, 1_000_000
_DIGESTS = ("notebook content", "sources", "environment")


@view.register
def _(value: Comparison) -> View:
    names = [run.id for run in value.runs]
    title = f"comparison of {' and '.join(names) if len(names) < 3 else formats.count(len(names), 'run')}"
    rows = sorted(value.rows, key=lambda row: _ORDER.index(row.group))
    blocks: list[Block] = []
    for group, listed in groupby(rows, key=lambda row: row.group):
        blocks += _group(names, group, list(listed), value)
    for course in value.courses:
        blocks.append(Picture(curves_of(course)))
    blocks += _sources(value)
    if value.notebook is not None:
        blocks += [Heading("Executed notebook"), *_cells(value.notebook)]
    blocks += [Text(f"Not compared: {one}", "warning") for one in value.missing]
    summary = f"{title} · {formats.count(value.differences, 'difference')}"
    return View(title, summary, "plain", tuple(blocks), _path(value))


@view.register
def _(value: NotebookDiff) -> View:
    title = f"notebooks of {value.names[0]} and {value.names[1]}"
    told = f"{formats.count(len(value.cells), 'cell')} differ" if value.cells else "no cell differs"
    if len(value.cells) == 1:
        told = "1 cell differs"
    summary = f"{title} · {told}, {formats.number(value.equal)} equal"
    return View(title, summary, "plain", tuple(_cells(value)))


@view.register
def _(value: Importance) -> View:
    title = f"what {value.metric} depends on"
    if not value.parts:
        return View(title, f"{title} · cannot be told: {value.doubt}", "warning")
    first = value.parts[0]
    summary = f"{title} · {first.parameter} {formats.share(first.share)}"
    shares = table(
        ("parameter", "share", "±"),
        (
            (
                part.parameter,
                Cell(formats.share(part.share), share=part.share),
                formats.share(part.spread),
            )
            for part in value.parts
        ),
        numeric=("share", "±"),
    )
    score = "" if value.score is None else f", predicts unseen runs with R² {formats.metric(value.score, 2)}"
    told = f"By {value.method} of {formats.count(value.runs, 'finished run')}{score}."
    blocks: list[Block] = [shares, Text(told, "muted")]
    if value.doubt:
        blocks.insert(0, Text(f"Not to be trusted: {value.doubt}.", "warning"))
    return View(title, summary, "warning" if value.doubt else "plain", tuple(blocks))


def _path(value: Comparison) -> str:
    if len(value.runs) == 2:
        return f"runs/{value.runs[0].id}/compare/{value.runs[1].id}"
    return "runs"


def _group(names: Sequence[str], group: str, rows: list[ComparedRow], value: Comparison) -> Iterator[Block]:
    rows = [row for row in rows if any(one is not None for one in row.values)]
    if group == "fact" and (value.notebook is not None or value.sources or len(names) == 2):
        # what these digests stand for is compared below
        rows = [row for row in rows if row.name not in _DIGESTS]
    different = [row for row in rows if row.differs]
    shown = different if group != "metric" else rows
    equal = [row for row in rows if row not in shown]
    if not shown and not equal:
        return
    yield Heading(_GROUPS.get(group, group))
    if shown:
        yield _compared(value.runs, shown, group)
    if equal:
        same = ", ".join(f"{row.name} {_shown(row, value.runs[0], row.values[0])}" for row in equal)
        yield Text(f"Equal: {same}", "muted")
    if group == "input" and len(names) == 2:
        yield from _data_diffs(different)


def _data_diffs(rows: Sequence[ComparedRow]) -> Iterator[Block]:
    for row in rows:
        one, other = row.values
        if one and other and str(one).partition("@")[0] == str(other).partition("@")[0]:
            yield Action("data diff", f"What changed in {row.name}", {"a": one, "b": other})


def _compared(runs: Sequence[Run], rows: Sequence[ComparedRow], group: str) -> Table:
    names = [run.id for run in runs]
    pair = group == "metric" and len(names) == 2
    made = []
    for row in rows[:_MOST_PACKAGES] if group == "environment" else rows:
        texts = [_shown(row, run, one) for run, one in zip(runs, row.values, strict=True)]
        if pair:
            texts = list(formats.apart(*row.values)) if None not in row.values else texts
        cells = [Cell(row.name), *(Cell(text) for text in texts)]
        if pair:
            cells.append(Cell(_difference(*row.values)))
        made.append(cells)
    columns = ("package" if group == "environment" else group, *names, *(("difference",) if pair else ()))
    block = table(columns, made, more=len(rows) - len(made))
    numeric = frozenset(range(1, len(columns))) if group == "metric" else frozenset()
    return Table(block.columns, block.rows, numeric, block.more)


def _sources(value: Comparison) -> Iterator[Block]:
    if not value.sources:
        return
    yield Heading("Sources")
    for change in value.sources[:_MOST_SOURCES]:
        yield Text(f"{change.path} ({change.kind})")
        yield _changes(change.lines)
    if len(value.sources) > _MOST_SOURCES:
        yield Text(f"… and {formats.count(len(value.sources) - _MOST_SOURCES, 'other file')}", "muted")


def _cells(diff: NotebookDiff) -> Iterator[Block]:
    if not diff.cells:
        yield Text(f"All {formats.count(diff.equal, 'cell')} are equal, and what they put out.", "muted")
        return
    pictures = 0
    for cell in diff.cells[:_MOST_CELLS]:
        yield Text(_said(cell))
        if cell.source:
            yield _changes(cell.source)
        if cell.output:
            if cell.source:
                yield Text("Output", "muted")
            yield _changes(cell.output)
        for shown in cell.pictures:
            for when, data in (("before", shown.before), ("after", shown.after)):
                name = diff.names[0] if when == "before" else diff.names[1]
                if data is None:
                    continue
                alt = f"Picture of cell {cell.number} in {name}"
                if pictures < _MOST_PICTURES and len(data) <= _LARGEST_PICTURE:
                    yield Text(f"picture in {name}", "muted")
                    yield Image(alt, shown.media, data)
                    pictures += 1
                else:
                    yield Text(f"{alt}, {formats.size(len(data))}", "muted")
    if len(diff.cells) > _MOST_CELLS:
        yield Text(f"… and {formats.count(len(diff.cells) - _MOST_CELLS, 'other cell')}", "muted")
    if diff.equal:
        yield Text(f"Equal: {formats.count(diff.equal, 'cell')}", "muted")


def _said(cell: CellChange) -> str:
    kind = "" if cell.cell_type == "code" else f"{cell.cell_type} "
    if cell.kind != "changed":
        return f"{kind}cell {cell.number} {cell.kind}".capitalize()
    moved = "" if cell.before is None or cell.before == cell.after else f", cell {cell.before + 1} before"
    what = "" if cell.source else ": the same code, another output"
    return f"{kind}cell {cell.number}{moved}{what}".capitalize()


def _changes(lines: Sequence[tuple[str, str]]) -> Changes:
    if len(lines) <= _MOST_LINES:
        return Changes(tuple(lines))
    left_out = formats.count(len(lines) - _MOST_LINES, "more line")
    return Changes((*lines[:_MOST_LINES], ("…", left_out)))


def _difference(one: Any, other: Any) -> str:
    numbers = isinstance(one, int | float) and isinstance(other, int | float)
    return formats.signed(float(other) - float(one)) if numbers else ""


def _shown(row: ComparedRow, run: Run, value: Any) -> str:
    group, name = row.group, row.name
    if group == "fact" and isinstance(value, str) and value.startswith("b3:"):
        return formats.digest(value)
    if group == "parameter":
        return formats.parameter(value) if value is not None or name in run.parameters else formats.NOTHING
    return formats.metric(value) if group == "metric" else formats.plain(value)
