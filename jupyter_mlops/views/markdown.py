"""Markdown: views for gate reports, CI summaries and pull requests, in GitHub's flavour. Called by faces."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import groupby

from ..charts import Figure
from . import formats
from .text import matrix
from .view import Action, Block, Cell, Changes, Facts, Heading, Image, Picture, Table, Text, View, typed

Link = Callable[[str], str]
_SPECIAL = re.compile(r"([\\`*\[\]|~$]|(?<!\w)_|_(?!\w))")
_AT_START = re.compile(r"^(\s*)([#+\-=])(?=[\s#\-=]|$)|^(\s*\d+)([.)])(?=\s|$)")
_MENTION = re.compile(r"(?<![\w`])@(?=\w)")
_ADDRESS = re.compile(r"(?i)(https?|ftp)(?=://)|(www)(?=\.)")
_UNSAFE = re.compile(r"[<>\s\\]")
_POINTS = 30


def to_markdown(view: View, link: Link | None = None, heading: int = 1) -> str:
    """Return ``view`` as GitHub-flavoured Markdown that ends with one line break."""
    return "\n\n".join(_paragraphs(view, link, heading)) + "\n"


def escape(text: object) -> str:
    """Return outside text as Markdown that means nothing but itself: no markup, HTML, mention or link."""
    plain = formats.clean(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    plain = _SPECIAL.sub(r"\\\1", plain)
    # an invisible comment keeps GitHub from calling people and from making links
    plain = _MENTION.sub("@<!-- -->", plain)
    plain = _ADDRESS.sub(lambda match: f"{match.group()}<!-- -->", plain)
    return _AT_START.sub(r"\1\3\\\2\4", plain)


def code(text: object, in_table: bool = False) -> str:
    """Return outside text as inline code, fenced by more backticks than it holds."""
    plain = formats.clean(text)
    if in_table:
        plain = plain.replace("|", "\\|")
    fence = "`" * (max(map(len, re.findall("`+", plain)), default=0) + 1)
    space = " " if plain[:1] == "`" or plain[-1:] == "`" else ""
    return f"{fence}{space}{plain}{space}{fence}"


def _paragraphs(view: View, link: Link | None, heading: int) -> Iterator[str]:
    title, rest = view.headline
    yield f"{'#' * heading} {_linked(title, view.path, link)}"
    if rest:
        yield f"**{escape(title)}**{escape(rest)}"
    for actions, blocks in groupby(view.blocks, lambda block: isinstance(block, Action)):
        if actions:
            yield "\n".join(
                f"* {escape(block.label)}: {code(typed(block))}"
                for block in blocks
                if isinstance(block, Action)
            )
            continue
        for block in blocks:
            yield _block(block, link, heading)


def _block(block: Block, link: Link | None, heading: int) -> str:
    match block:
        case Heading():
            return f"{'#' * min(heading + 1, 6)} {escape(block.text)}"
        case Facts():
            return "\n".join(f"* {escape(name)}: {_cell(cell, link, False)}" for name, cell in block.rows)
        case Table():
            return _table(block, link)
        case Picture():
            return _figure(block.figure)
        case Image():
            return escape(block.alt)
        case Changes():
            return _fenced("\n".join(f"{mark} {formats.clean(line)}" for mark, line in block.lines), "diff")
        case Text(tone="code"):
            return _fenced(formats.clean(block.text, lines=True))
        case Text():
            return escape(block.text)
        case Action():
            return f"* {escape(block.label)}: {code(typed(block))}"


def _fenced(text: str, language: str = "") -> str:
    fence = "`" * max(3, max(map(len, re.findall("`+", text)), default=0) + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _table(table: Table, link: Link | None) -> str:
    if not table.rows:
        return escape(table.empty)
    rule = ["---:" if index in table.numeric else "---" for index in range(len(table.columns))]
    lines = [[escape(name) for name in table.columns], rule]
    lines += [[_cell(cell, link, True) for cell in row] for row in table.rows]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{text}\n\n… and {formats.number(table.more)} more" if table.more else text


def _cell(cell: Cell, link: Link | None, in_table: bool) -> str:
    if cell.tone == "code" and cell.text.strip():
        return code(cell.text, in_table)
    text = _linked(cell.text, cell.link, link)
    return f"**{text}**" if cell.tone in ("good", "bad", "warning") and text.strip() else text


def _linked(text: str, path: str, link: Link | None) -> str:
    if path.startswith(("https://", "http://")):
        address = path
    elif path and link is not None:
        address = link(path)
    else:
        return escape(text)
    target = _UNSAFE.sub("", formats.clean(address))
    return f"[{escape(text)}](<{target}>)"


def _figure(figure: Figure) -> str:
    """Return what the figure shows in words, and as a table where it has few points: GitHub draws no data."""
    words = escape(figure.alt)
    if (fields := matrix(figure)) is not None:
        return f"{words}\n\n{_table(fields, None)}"
    if figure.kind not in ("bar", "grouped_bar") or not figure.series:
        return words
    names = figure.series[0].x
    lines = [["", *(escape(one.name or figure.y_label or "value") for one in figure.series)]]
    lines.append(["---", *("---:" for _ in figure.series)])
    for index, name in list(enumerate(names))[:_POINTS]:
        lines.append([escape(name), *(escape(formats.metric(one.y[index])) for one in figure.series)])
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{words}\n\n{text}"
