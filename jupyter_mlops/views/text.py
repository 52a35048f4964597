"""Text: views for terminals, logs and saved notebooks, never wider than asked. Called by faces."""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text as Line

from ..charts import Figure
from . import formats
from .sketch import sketch
from .view import Action, Block, Cell, Changes, Facts, Heading, Image, Picture, Table, Text, Tone, View, typed

WIDTH = 80
_NARROWEST = 20
_GAP = 2
_DRAWING = 40
_NAME = 24  # columns of the name of a fact, where its value needs the rest
_MATRIX = 20  # rows and columns of a heatmap whose numbers can be read
_IDENTITY, _TEXT, _HEAD = 28, 14, 8  # columns that texts keep before columns are left out
_STYLES: dict[Tone, str] = {
    "plain": "",
    "muted": "dim",
    "good": "green",
    "warning": "yellow",
    "bad": "red",
    "code": "cyan",
}


def to_text(view: View, width: int = WIDTH, colour: bool = False) -> str:
    """Return ``view`` as lines of at most ``width`` columns, with terminal colours only where ``colour``."""
    console = Console(
        file=io.StringIO(),
        width=max(width, _NARROWEST),
        force_terminal=colour,
        color_system="standard" if colour else None,
        no_color=not colour,
        legacy_windows=False,
        highlight=False,
        markup=False,
        emoji=False,
        _environ={},
    )
    lines = list(_Page(console).view(view))
    while lines and not lines[-1].plain.strip():
        lines.pop()
    if not colour:
        return "\n".join(line.plain.rstrip() for line in lines)
    with console.capture() as captured:
        for line in lines:
            line.rstrip()
            console.print(line, soft_wrap=True)
    return captured.get().rstrip("\n")


def print_view(view: View, stream: TextIO | None = None) -> None:
    """Write ``view`` to ``stream`` (else standard output), coloured only on a terminal.

    As wide as the terminal; where there is none, as ``$COLUMNS`` says.
    """
    out = stream or sys.stdout
    terminal = out.isatty()
    # who pipes may still say how wide it is to be
    width = shutil.get_terminal_size((WIDTH, 24)).columns if terminal else _columns()
    colour = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    text = to_text(view, width, colour)
    encoding = out.encoding or "utf-8"
    out.write(text.encode(encoding, "replace").decode(encoding) + "\n")


def _columns() -> int:
    said = os.environ.get("COLUMNS", "")
    return int(said) if said.isdecimal() and int(said) else WIDTH


_MARKS = {"+": "green", "-": "red"}
_EIGHTHS = " ▏▎▍▌▋▊▉"
_GAUGE = 6  # columns of the bar beside a number


class _Page:
    """Draws blocks as lines for one width."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._width = console.width

    def view(self, view: View) -> Iterator[Line]:
        title, rest = view.headline
        head = Line(formats.clean(title), style="bold")
        head.append(formats.clean(rest), style="not bold " + _STYLES[view.tone])
        yield from self._wrapped(head)
        after_heading = False
        for actions, blocks in groupby(view.blocks, lambda block: isinstance(block, Action)):
            if actions:
                yield Line()
                yield from self._actions([block for block in blocks if isinstance(block, Action)])
                continue
            for block in blocks:
                if not after_heading:
                    yield Line()
                yield from self._block(block)
                after_heading = isinstance(block, Heading)

    def _block(self, block: Block) -> Iterator[Line]:
        match block:
            case Heading():
                yield from self._wrapped(Line(formats.clean(block.text), style="bold"))
            case Facts():
                yield from self._facts(block.rows)
            case Table():
                yield from self._table(block)
            case Picture():
                yield from self._picture(block.figure)
            case Image():
                said = block.alt if block.caption in ("", block.alt) else f"{block.caption}: {block.alt}"
                yield from self._wrapped(Line(formats.clean(said), style="dim"))
            case Changes():
                for mark, text in block.lines:
                    line = Line(f"{mark} {formats.clean(text)}", style=_MARKS.get(mark, "dim"))
                    yield from self._wrapped(line, 2)
            case Text(tone="code"):
                for part in formats.clean(block.text, lines=True).split("\n"):
                    yield from self._wrapped(Line(part, style="dim"))
            case Text():
                yield from self._wrapped(Line(formats.clean(block.text), style=_STYLES[block.tone]))
            case Action():
                yield from self._actions([block])

    def _wrapped(self, line: Line, indent: int = 0) -> Iterator[Line]:
        """Yield ``line`` broken at blanks, what follows the first one indented."""
        if cell_len(line.plain) <= self._width:
            yield line
            return
        broken = line.wrap(self._console, self._width - indent, overflow="fold")
        for number, part in enumerate(broken):
            yield part if number == 0 else Line(" " * indent) + part

    def _facts(self, rows: Sequence[tuple[str, Cell]]) -> Iterator[Line]:
        widest = max((cell_len(formats.clean(cell.text)) for _, cell in rows), default=0)
        # a name is cut only for the sake of values that need the room more
        most = max(_NAME, self._width - _GAP - min(widest, self._width // 2))
        names = [fitted(formats.clean(name), most) for name, _ in rows]
        indent = max(map(cell_len, names), default=0) + _GAP
        for name, (_, cell) in zip(names, rows, strict=True):
            value = Line(formats.clean(cell.text), style=_STYLES[cell.tone])
            for number, part in enumerate(value.wrap(self._console, self._width - indent, overflow="fold")):
                yield Line().append(padded(name if number == 0 else "", indent), style="dim").append(part)

    def _table(self, table: Table) -> Iterator[Line]:
        if not table.rows:
            yield from self._wrapped(Line(formats.clean(table.empty), style="dim"))
            return
        heads = [formats.clean(column) for column in table.columns]
        body = [[formats.clean(cell.text) for cell in row] for row in table.rows]
        widths = column_widths(heads, body, table.numeric, self._width)
        if any(cell.share is not None for row in table.rows for cell in row):
            gauged = [
                [_gauged(text, cell) for text, cell in zip(texts, row, strict=True)]
                for texts, row in zip(body, table.rows, strict=True)
            ]
            wider = column_widths(heads, gauged, table.numeric, self._width)
            # a bar is worth no column
            if len(wider) == len(widths):
                body, widths = gauged, wider
        shown = range(len(widths))
        yield self._row([(heads[i], "bold") for i in shown], widths, table.numeric)
        yield Line("─" * (sum(widths) + _GAP * (len(widths) - 1)), style="dim")
        for texts, row in zip(body, table.rows, strict=True):
            yield self._row([(texts[i], _STYLES[row[i].tone]) for i in shown], widths, table.numeric)
        if table.more:
            yield Line(f"… and {formats.number(table.more)} more", style="dim")
        if hidden := heads[len(widths) :]:
            what = f"… {formats.count(len(hidden), 'more column')}: {', '.join(hidden)}"
            yield Line(fitted(what, self._width), style="dim")

    @staticmethod
    def _row(cells: Iterable[tuple[str, str]], widths: Sequence[int], numeric: frozenset[int]) -> Line:
        line = Line()
        for index, ((text, style), width) in enumerate(zip(cells, widths, strict=True)):
            cut = fitted(text, width)
            filling = " " * (width - cell_len(cut))
            if index:
                line.append(" " * _GAP)
            line.append(filling + cut if index in numeric else cut, style=style)
            if index not in numeric:
                line.append(filling)
        return line

    def _actions(self, actions: Sequence[Action]) -> Iterator[Line]:
        labels = [formats.clean(action.label) for action in actions]
        indent = max(map(cell_len, labels)) + _GAP
        for label, action in zip(labels, actions, strict=True):
            line = Line(padded(label, indent), style="bold")
            line.append(formats.clean(typed(action)), style="not bold cyan")
            yield from self._wrapped(line, indent)

    def _picture(self, figure: Figure) -> Iterator[Line]:
        if (fields := matrix(figure)) is not None:
            yield from self._wrapped(Line(formats.clean(figure.title)))
            yield from self._table(fields)
            return
        strokes, more = sketch(figure)
        if not strokes:
            yield from self._wrapped(Line(formats.clean(figure.alt), style="dim"))
            return
        if figure.title:
            yield from self._wrapped(Line(formats.clean(figure.title)))
        ends = max(cell_len(stroke.value) for stroke in strokes) + _GAP
        most = max(_IDENTITY, self._width - ends - _DRAWING - _GAP)
        names = [fitted(formats.clean(stroke.name), most) for stroke in strokes]
        indent = max(map(cell_len, names)) + _GAP
        room = min(max(self._width - indent - ends, 4), _DRAWING)
        for name, stroke in zip(names, strokes, strict=True):
            drawn = padded(stroke.drawn(room), room + _GAP)
            yield Line(fitted(padded(name, indent) + drawn + stroke.value, self._width))
        if more:
            yield Line(f"… and {formats.number(more)} more", style="dim")


def matrix(figure: Figure) -> Table | None:
    """Return a small heatmap as a table of its numbers, or ``None`` for every other figure."""
    columns = figure.series[0].x if figure.series else ()
    if figure.kind != "heatmap" or not 0 < len(columns) <= _MATRIX or len(figure.series) > _MATRIX:
        return None
    corner = " \\ ".join(part for part in (figure.y_label, figure.x_label) if part)
    rows = tuple(
        (Cell(one.name), *(Cell("" if y is None else formats.metric(y)) for y in one.y))
        for one in figure.series
    )
    return Table((corner, *map(str, columns)), rows, frozenset(range(1, len(columns) + 1)))


def _gauged(text: str, cell: Cell) -> str:
    if cell.share is None:
        return text
    eighths = round(max(min(cell.share, 1.0), 0.0) * _GAUGE * 8)
    bar = "█" * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")
    return f"{text} {bar:<{_GAUGE}}"


def fitted(text: str, width: int) -> str:
    """Return ``text`` cut to ``width`` columns, with an ellipsis where something is missing."""
    if cell_len(text) <= width:
        return text
    cut = Line(text)
    cut.truncate(width, overflow="ellipsis")
    return cut.plain


def padded(text: str, width: int) -> str:
    """Return ``text`` with blanks up to ``width`` columns."""
    return text + " " * (width - cell_len(text))


def column_widths(
    heads: Sequence[str], body: Sequence[Sequence[str]], numeric: frozenset[int], room: int
) -> list[int]:
    """Return the widths of the columns that fit into ``room``: texts are cut, then last columns left out.

    Numbers are never cut: half a number is a wrong number.
    """
    natural, least = [], []
    for index, head in enumerate(heads):
        lengths = {cell_len(row[index]) for row in body} - {0} or {0}
        natural.append(max(*lengths, cell_len(head)))
        # the first two columns say which row it is; texts of one length are times and ids, useless when cut
        whole = index in numeric or (len(lengths) == 1 and max(lengths) <= _IDENTITY)
        cut = max(lengths) if whole else min(max(lengths), _IDENTITY if index < 2 else _TEXT)
        least.append(max(cut, min(cell_len(head), _HEAD)))
    shown = len(heads)
    while shown > 1 and sum(least[:shown]) + _GAP * (shown - 1) > room:
        shown -= 1
    spare = room - sum(least[:shown]) - _GAP * (shown - 1)
    if spare < 0:
        return [room]
    widths = least[:shown]
    for index in range(shown):
        more = min(natural[index] - widths[index], spare)
        widths[index] += more
        spare -= more
    return widths
