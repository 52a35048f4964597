"""Rendering: a view as a Slack message, never over a limit. Used by delivery and the listeners."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from jupyter_mlops.charts import Figure
from jupyter_mlops.errors import Refused
from jupyter_mlops.views import formats
from jupyter_mlops.views.view import (
    Action,
    Cell,
    Changes,
    Facts,
    Heading,
    Image,
    Picture,
    Table,
    Text,
    View,
)

from .. import limits, texts
from .message import Message
from .words import Block, clean, clip, code, escaped, is_address, length, link, mrkdwn, plain

VERBS = {"approve": "primary", "reject": "danger", "alerts acknowledge": "primary"}
"""What may be done by a button, and how the button looks."""

_NOUNS = {"approve": "approval", "reject": "approval", "alerts acknowledge": "alert"}
_ID = re.compile(r"[A-Za-z0-9_]{1,64}")
_SIGNS = {"good": "✓ ", "warning": "⚠ ", "bad": "✗ "}
_SHOWN_ROWS = 20  # more is for the page
_SHOWN_COLUMNS, _SHOWN_WIDTH = 8, 80  # a chat is narrow
_CELL, _TEXT_CELL = 200, 24
_WRAPPED = 20  # wider cells may be broken into lines
_FACT_NAME, _FACT = 100, 900
_PARAGRAPH = 2_800
_SHOWN_LINES, _LINE = 20, 120  # of a changed text
_UPLOADED_MEDIA = ("image/png", "image/jpeg", "image/gif")  # what Slack draws
_DRAWN_ROOM = 400  # for the lines that say that something is left out
Link = Callable[[str], str]


def _no_link(path: str) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Pressed:
    """What a pressed button says: a verb, the id that it is about, and what the person saw."""

    verb: str
    id: str
    stamp: str

    @property
    def subject(self) -> str:
        """What it is about, as events name it."""
        return f"{_NOUNS[self.verb]}:{self.id}"


def render(
    view: View,
    *,
    link_to: Link = _no_link,
    files: Sequence[str] = (),
    stamp: str = "",
    buttons: bool = True,
) -> Message:
    """Return ``view`` as a message.

    ``files`` are the ids of the uploaded ``pictures``, in order; a picture without one is told in words.
    ``stamp`` travels in every button, so that a press says what the person had before their eyes.
    """
    title = f"{_SIGNS.get(view.tone, '')}{clean(view.title)}"
    first: list[Block] = [{"type": "header", "text": plain(title, limits.HEADER_TEXT)}]
    summary = view.summary.removeprefix(view.title).lstrip(" ·:")
    if summary:
        first.append(_section(escaped(summary, _PARAGRAPH)))
    last: list[Block] = []
    if buttons and (actions := _buttons(view.actions, stamp)):
        last.append({"type": "actions", "elements": actions})
    if address := link_to(view.path):
        last.append(_context(link(address, "Open in Jupyter")))
    shown = _fitted(_body(view, link_to, list(files)), first, last)
    return Message(_fallback(view), [*first, *shown, *last])


def pictures(view: View) -> list[Figure | Image]:
    """Return the pictures that a message of ``view`` would show: the first that Slack can draw."""
    return [
        block.figure if isinstance(block, Picture) else block
        for block in view.blocks
        if isinstance(block, Picture | Image) and _is_drawn(block)
    ][:1]


def read_value(value: str, action_id: str) -> Pressed:
    """Return what a pressed button says; raises ``Refused`` if it is none that we draw."""
    try:
        content = json.loads(value)
        pressed = Pressed(content["verb"], content["arguments"]["id"], content["stamp"])
    except (ValueError, TypeError, KeyError):
        raise Refused(texts.NOT_OURS) from None
    parts = (pressed.verb, pressed.id, pressed.stamp)
    if not all(isinstance(part, str) for part in parts) or action_id != _action_id(pressed.verb):
        raise Refused(texts.NOT_OURS)
    if pressed.verb not in VERBS or not _ID.fullmatch(pressed.id):
        raise Refused(texts.NOT_OURS)
    return pressed


def _fallback(view: View) -> str:
    text = escaped(view.title, limits.HEADER_TEXT).strip() or "(untitled)"
    summary = view.summary.removeprefix(view.title).lstrip(" ·:")
    if summary:
        text += f": {escaped(summary, limits.FALLBACK_TEXT - length(text) - 2)}"
    return text


def _body(view: View, link_to: Link, files: list[str]) -> Iterator[Block]:
    tables = 0
    for block in view.blocks:
        match block:
            case Heading():
                yield _section(f"*{escaped(block.text, limits.HEADER_TEXT)}*")
            case Text(text=""):
                yield _context(" ")
            case Text(tone="code"):
                yield _section(code(block.text, _PARAGRAPH, lines=True))
            case Text(tone="muted"):
                yield _context(escaped(block.text, _PARAGRAPH, lines=True))
            case Text():
                yield _section(escaped(block.text, _PARAGRAPH, lines=True))
            case Facts():
                yield from _facts(block, link_to)
            case Table():
                tables += 1
                yield from (
                    _table(block, link_to) if tables <= limits.TABLES_PER_MESSAGE else _table_as_text(block)
                )
            case Picture() | Image():
                alt = block.figure.alt if isinstance(block, Picture) else block.alt
                alt = clip(clean(alt), limits.IMAGE_ALT_TEXT) or "a picture"
                if files and _is_drawn(block):
                    yield {"type": "image", "slack_file": {"id": files.pop(0)}, "alt_text": alt}
                else:
                    yield _context(f"_{escaped(alt, _FACT)}_")
            case Changes():
                yield _changes(block)


def _is_drawn(block: Picture | Image) -> bool:
    return isinstance(block, Picture) or block.media in _UPLOADED_MEDIA


def _changes(changes: Changes) -> Block:
    lines = [f"{mark} {clip(clean(text), _LINE)}" for mark, text in changes.lines[:_SHOWN_LINES]]
    if more := len(changes.lines) - len(lines):
        lines.append(f"… and {formats.count(more, 'more line')}")
    return _section(code("\n".join(lines), _PARAGRAPH, lines=True))


def _facts(facts: Facts, link_to: Link) -> Iterator[Block]:
    fields = [
        mrkdwn(f"*{escaped(name, _FACT_NAME)}*\n{_said(cell, link_to)}")
        for name, cell in facts.rows
        if cell.text
    ]
    for start in range(0, len(fields), limits.SECTION_FIELDS):
        yield {"type": "section", "fields": fields[start : start + limits.SECTION_FIELDS]}


def _said(cell: Cell, link_to: Link) -> str:
    if cell.tone == "code":
        return code(cell.text, _FACT)
    address = _address(cell, link_to)
    return link(address, cell.text, _FACT) if address else escaped(cell.text, _FACT, lines=True)


def _address(cell: Cell, link_to: Link) -> str:
    """Return where the link of a cell leads, "" where it has none that a person may follow."""
    if not cell.link:
        return ""
    address = cell.link if cell.link.startswith(("http://", "https://")) else link_to(cell.link)
    return address if is_address(address) else ""


def _table(table: Table, link_to: Link) -> Iterator[Block]:
    if not table.rows:
        yield _context(f"_{escaped(table.empty)}_")
        return
    shown = _shown_columns(table)
    rows: list[list[Block]] = [[_bold(table.columns[index]) for index in shown]]
    room = limits.TABLE_CHARACTERS - sum(map(_characters, rows[0]))
    for row in table.rows[:_SHOWN_ROWS]:
        cells = [_celled(row[index], link_to) for index in shown]
        room -= sum(map(_characters, cells))
        if room < 0:
            break
        rows.append(cells)
    yield {
        "type": "table",
        "rows": rows,
        "column_settings": [
            {
                "align": "right" if index in table.numeric else "left",
                "is_wrapped": _width(table, index) > _WRAPPED,
            }
            for index in shown
        ],
    }
    yield from _left_out(table, len(rows) - 1, shown)


def _table_as_text(table: Table) -> Iterator[Block]:
    if not table.rows:
        yield _context(f"_{escaped(table.empty)}_")
        return
    shown = _shown_columns(table)
    grid = [[clip(clean(table.columns[index]), _TEXT_CELL) for index in shown]]
    grid += [[clip(clean(row[i].text), _TEXT_CELL) for i in shown] for row in table.rows[:_SHOWN_ROWS]]
    widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if index in table.numeric else cell.ljust(width)
            for index, cell, width in zip(shown, row, widths, strict=True)
        ).rstrip()
        for row in grid
    ]
    while len(lines) > 1 and sum(length(line) + 1 for line in lines) > _PARAGRAPH // 2:
        lines.pop()
    yield _section(code("\n".join(lines), _PARAGRAPH, lines=True))
    yield from _left_out(table, len(lines) - 1, shown)


def _shown_columns(table: Table) -> list[int]:
    """Return as many of the telling columns as can be read in a chat."""
    shown = _telling_columns(table)[:_SHOWN_COLUMNS]
    while len(shown) > 3 and sum(_width(table, index) for index in shown) > _SHOWN_WIDTH:
        shown.pop()
    return shown


def _telling_columns(table: Table) -> list[int]:
    columns = range(len(table.columns))
    nothing = f"{formats.NOTHING} "
    return [i for i in columns if any(row[i].text.strip(nothing) for row in table.rows)] or list(columns)


def _width(table: Table, index: int) -> int:
    cells = (table.columns[index], *(row[index].text for row in table.rows[:_SHOWN_ROWS]))
    return max(min(len(cell), _TEXT_CELL) for cell in cells) + 2


def _left_out(table: Table, rows: int, shown: list[int]) -> Iterator[Block]:
    more = len(table.rows) - rows + table.more
    left = [f"… and {more:,} more"] if more else []
    if hidden := len(_telling_columns(table)) - len(shown):
        left.append(f"{formats.count(hidden, 'more column')} on the page")
    if left:
        yield _context("; ".join(left))


def _buttons(actions: Sequence[Action], stamp: str) -> list[Block]:
    buttons: list[Block] = []
    for action in {action.verb: action for action in reversed(actions) if action.verb in VERBS}.values():
        value = json.dumps({"verb": action.verb, "arguments": dict(action.arguments), "stamp": stamp})
        button: Block = {
            "type": "button",
            "action_id": _action_id(action.verb),
            "text": plain(action.label, limits.BUTTON_TEXT),
            "value": value,
            "style": VERBS[action.verb],
        }
        if action.confirm:
            button["confirm"] = {
                "title": plain(f"{action.label}?", limits.CONFIRM_TITLE),
                "text": plain(action.confirm, limits.CONFIRM_TEXT),
                "confirm": plain(action.label, limits.CONFIRM_BUTTON),
                "deny": plain("Cancel", limits.CONFIRM_BUTTON),
            }
        if length(value) <= limits.BUTTON_VALUE:
            buttons.append(button)
    return buttons[::-1]


def _action_id(verb: str) -> str:
    return verb.replace(" ", "_")


def _fitted(body: Iterator[Block], first: list[Block], last: list[Block]) -> list[Block]:
    """Return as much of ``body`` as a message still holds, and a line that says so if that is not all."""
    blocks_left = limits.MESSAGE_BLOCKS - len(first) - len(last) - 1
    room = limits.MESSAGE_BLOCKS_CHARACTERS - _DRAWN_ROOM - sum(map(_weight, (*first, *last)))
    shown: list[Block] = []
    for block in body:
        weight = 0 if block["type"] == "table" else _weight(block)
        if not blocks_left or weight > room:
            return [*shown, _context("… the rest is too long for a message")]
        shown.append(block)
        blocks_left -= 1
        room -= weight
    return shown


def _weight(value: Any) -> int:
    if isinstance(value, dict):
        return sum(
            length(item) if key == "text" and isinstance(item, str) else _weight(item)
            for key, item in value.items()
        )
    return sum(map(_weight, value)) if isinstance(value, list) else 0


def _section(text: str) -> Block:
    return {"type": "section", "text": mrkdwn(text)}


def _context(text: str) -> Block:
    return {"type": "context", "elements": [mrkdwn(text)]}


def _celled(cell: Cell, link_to: Link) -> Block:
    text = clip(clean(cell.text), _CELL) or formats.NOTHING
    address = _address(cell, link_to)
    return _rich({"type": "link", "url": address, "text": text}) if address else _raw(text)


def _raw(text: str) -> Block:
    return {"type": "raw_text", "text": text}


def _bold(text: str) -> Block:
    word = clip(clean(text), _CELL) or formats.NOTHING
    return _rich({"type": "text", "text": word, "style": {"bold": True}})


def _rich(word: Block) -> Block:
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [word]}]}


def _characters(cell: Block) -> int:
    """Return how much of a table's room a cell takes; the address of a link may count."""
    word = cell if cell["type"] == "raw_text" else cell["elements"][0]["elements"][0]
    return length(word["text"]) + length(word.get("url", ""))
