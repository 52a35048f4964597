"""HTML: views for notebooks, the page and reports. Called by faces and bundles.

JupyterLab drops from untrusted output every tag, attribute and style that its sanitiser does not list:
``svg``, ``var(…)`` and flex layouts among them. So pictures are ``<img>`` with their data inside, and colours
are either inherited or of a brightness that is read on white and on black alike (4.2:1 on both).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from html import escape as _escaped
from itertools import groupby

from ..charts import Figure, svg
from ..errors import Failed
from . import formats
from .view import Action, Block, Cell, Changes, Facts, Heading, Image, Picture, Table, Text, Tone, View, typed

Link = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Choosing:
    """Where rows can be ticked and ordered: in a form of the page.

    ``field`` is what the boxes are called in the form. ``by`` is the part that orders the rows now, if one
    does; ``ordered`` makes the address of the same rows ordered by a part, ``descending`` or not.
    """

    field: str
    ordered: Callable[[str, bool], str]
    by: str = ""
    descending: bool = False


_COLOURS: dict[Tone, str] = {
    "plain": "",
    "muted": "color:#777b83",
    "good": "color:#248a50",
    "warning": "color:#a97100",
    "bad": "color:#d94848",
    "code": "font-family:monospace",
}
_MARKS: dict[Tone, str] = {"good": "#248a50", "warning": "#a97100", "bad": "#d94848"}
_RULE = "1px solid rgba(128,128,128,0.35)"
_FAINT = "1px solid rgba(128,128,128,0.18)"
_SHADE = "rgba(128,128,128,0.12)"
_BLUE, _GREY = "#3b7dd8", "#b4b8bf"
_GROUNDS = {
    "+": "background:rgba(36,138,80,0.18)",
    "-": "background:rgba(217,72,72,0.18)",
    "…": "opacity:0.6",
}
# what a browser draws inside <img>, where nothing in it can act; other media are only named
_DRAWN_MEDIA = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml")
_CSS = {
    "sheet": "line-height:1.45;max-width:64em;overflow-x:auto",
    "title": "font-weight:600;margin:0 0 0.35em 0",
    "rest": "font-weight:400;font-size:1em;opacity:0.8",
    "heading": "font-weight:600;font-size:1em;margin:0.9em 0 0.25em 0;padding:0",
    "paragraph": "margin:0.4em 0",
    "picture": "margin:0.6em 0",
    "code": "font-family:monospace;font-size:0.9em;line-height:1.35;white-space:pre-wrap;"
    f"margin:0.4em 0;padding:0.6em 0.8em;border:{_RULE};border-radius:4px;background:{_SHADE};"
    "max-height:28em;overflow:auto",
    "table": "border-collapse:collapse;table-layout:auto;margin:0.4em 0;text-align:left",
    "row": "background:transparent",
    "name": "text-align:left;vertical-align:top;font-weight:400;color:#777b83;white-space:nowrap;"
    "padding:0.12em 1.4em 0.12em 0",
    "fact": "text-align:left;vertical-align:top;white-space:normal;padding:0.12em 0",
    "column": f"font-weight:600;white-space:nowrap;border-bottom:{_RULE};padding:0.25em 0.9em 0.25em 0.3em",
    "cell": f"vertical-align:middle;border-bottom:{_FAINT};padding:0.2em 0.9em 0.2em 0.3em;white-space:",
    "prose": "normal;min-width:12em",
    "actions": "margin:0.7em 0 0.2em 0",
    "action": "margin:0.15em 0",
    "label": "font-weight:600",
    "typed": "font-family:monospace;font-size:0.92em;padding:0.05em 0.4em;border-radius:3px;"
    f"background:{_SHADE}",
    "drawn": "max-width:100%;height:auto;margin:0",
    "tiny": "vertical-align:middle;margin:0",
    "gauge": "vertical-align:middle;margin:0 0 0 0.5em",
}
_NAME = 32  # letters of a column's name
_SENTENCE, _LONG = 36, 160  # letters of a table's cell before it may be broken, and before it is cut
_CODE = re.compile("`([^`]+)`")


def to_html(
    view: View,
    link: Link | None = None,
    heading: int = 0,
    actions: bool = True,
    choosing: Choosing | None = None,
) -> str:
    """Return ``view`` as one ``<div>`` that needs nothing from outside.

    Parameters
    ----------
    link
        Makes an address of a path in the page; without it such links are plain text.
    heading
        The level of the title as a heading, 0 for none: headings in a cell's output would enter a notebook's
        table of contents.
    actions
        Whether to say what one may type; the page and the panel have buttons instead.
    choosing
        How rows with keys are ticked and ordered, where the whole stands in a form.
    """
    return "".join(_Sheet(link, heading, actions, choosing).view(view))


def escape(text: object, lines: bool = False) -> str:
    """Return outside text for use in HTML, in elements and in quoted attributes. The only way in."""
    return _escaped(formats.clean(text, lines), quote=True)


class _Sheet:
    """Draws blocks as HTML for one place."""

    def __init__(
        self, link: Link | None, heading: int, actions: bool, choosing: Choosing | None = None
    ) -> None:
        self._link, self._heading, self._with_actions = link, heading, actions
        self._choosing = choosing

    def view(self, view: View) -> Iterator[str]:
        yield f'<div style="{_CSS["sheet"]}">'
        yield self._head(view)
        for is_action, blocks in groupby(view.blocks, lambda block: isinstance(block, Action)):
            if is_action:
                yield from self._actions(block for block in blocks if isinstance(block, Action))
            else:
                for block in blocks:
                    yield from self._block(block)
        yield "</div>"

    def _head(self, view: View) -> str:
        title, rest = view.headline
        tag = f"h{self._heading}" if self._heading else "div"
        style = f"{_CSS['title']};font-size:{1.4 if self._heading == 1 else 1.15}em;"
        mark = _MARKS.get(view.tone)
        style += f"border-left:4px solid {mark};padding:0 0 0 0.55em" if mark else "padding:0"
        said = f'<span style="{_CSS["rest"]}">{escape(rest)}</span>' if rest else ""
        return f'<{tag} style="{style}">{self._linked(title, view.path)}{said}</{tag}>'

    def _block(self, block: Block) -> Iterator[str]:
        match block:
            case Heading():
                tag = f"h{min(self._heading + 1, 6)}" if self._heading else "div"
                yield f'<{tag} style="{_CSS["heading"]}">{escape(block.text)}</{tag}>'
            case Facts():
                yield from self._facts(block)
            case Table():
                yield from self._table(block)
            case Picture():
                yield f'<div style="{_CSS["picture"]}">{_image(block.figure)}</div>'
            case Image():
                yield f'<div style="{_CSS["picture"]}">{_shown(block)}</div>'
            case Changes():
                lines = "\n".join(_changed(mark, line) for mark, line in block.lines)
                yield f'<pre style="{_CSS["code"]}">{lines}</pre>'
            case Text(tone="code"):
                yield f'<pre style="{_CSS["code"]}">{escape(block.text, lines=True)}</pre>'
            case Text():
                yield _paragraph(block.text, block.tone)
            case Action():
                yield from self._actions([block])

    def _facts(self, facts: Facts) -> Iterator[str]:
        yield f'<table style="{_CSS["table"]}">'
        for name, cell in facts.rows:
            yield f'<tr style="{_CSS["row"]}"><th style="{_CSS["name"]}">{escape(name)}</th>'
            yield f'<td style="{_CSS["fact"]};{_COLOURS[cell.tone]}">{self._content(cell)}</td></tr>'
        yield "</table>"

    def _table(self, table: Table) -> Iterator[str]:
        if not table.rows:
            yield _paragraph(table.empty, "muted")
            return
        sides = ["right" if index in table.numeric else "left" for index in range(len(table.columns))]
        chosen = self._choosing if len(table.keys) == len(table.rows) else None
        orders = table.orders if chosen else ("",) * len(table.columns)
        yield f'<table style="{_CSS["table"]}"><thead><tr>'
        if chosen:
            yield f'<td style="{_CSS["column"]}"></td>'
        for side, name, order in zip(sides, table.columns, orders, strict=True):
            whole = f' title="{escape(name)}"' if len(name) > _NAME else ""
            shown = escape(formats.shortened(name, _NAME))
            if chosen and order:
                shown, sorted_so = _sorter(shown, order, chosen)
                whole += sorted_so
            yield f'<th style="{_CSS["column"]};text-align:{side}"{whole}>{shown}</th>'
        yield "</tr></thead><tbody>"
        for key, row in zip(table.keys or ("",) * len(table.rows), table.rows, strict=True):
            yield f'<tr style="{_CSS["row"]}">'
            if chosen:
                yield f'<td style="{_CSS["cell"]}nowrap">{_box(chosen.field, key)}</td>'
            for side, cell in zip(sides, row, strict=True):
                # sentences and endless names may be broken; other names, numbers and times may not
                wrap = _CSS["prose"] if len(cell.text) > _SENTENCE else "nowrap"
                style = f"{_CSS['cell']}{wrap};text-align:{side};{_COLOURS[cell.tone]}"
                yield f'<td style="{style}"{_whole(cell)}>{self._content(cell, _LONG)}</td>'
            yield "</tr>"
        yield "</tbody></table>"
        if table.more:
            yield _paragraph(f"… and {formats.number(table.more)} more", "muted")

    def _content(self, cell: Cell, most: int | None = None) -> str:
        if cell.bars:
            return _tiny(cell.bars, cell.text, cell.before, cell.course)
        said = self._linked(cell.text if most is None else formats.shortened(cell.text, most), cell.link)
        return said if cell.share is None else f"{said} {_gauge(cell.share)}"

    def _linked(self, text: str, path: str) -> str:
        shown = escape(text)
        if path.startswith(("https://", "http://")):
            address = path
        elif path and self._link is not None:
            address = self._link(path)
        else:
            return shown
        return f'<a href="{escape(address)}">{shown}</a>'

    def _actions(self, actions: Iterable[Action]) -> Iterator[str]:
        if not self._with_actions:
            return
        yield f'<div style="{_CSS["actions"]}">'
        for action in actions:
            label = f'<span style="{_CSS["label"]};{_COLOURS[action.tone]}">{escape(action.label)}</span>'
            line = f'<code style="{_CSS["typed"]}">{escape(typed(action, "%mlops"))}</code>'
            yield f'<div style="{_CSS["action"]}">{label} {line}</div>'
        yield "</div>"


def _paragraph(text: str, tone: Tone) -> str:
    said = _CODE.sub(rf'<code style="{_CSS["typed"]}">\1</code>', escape(text))
    return f'<p style="{_CSS["paragraph"]};{_COLOURS[tone]}">{said}</p>'


def _box(field: str, key: str) -> str:
    said = f'aria-label="Choose {escape(key)}"'
    return f'<input type="checkbox" name="{escape(field)}" value="{escape(key)}" {said}>'


def _sorter(shown: str, order: str, choosing: Choosing) -> tuple[str, str]:
    """Return the head of a column as a link that orders by it, and what says how it orders now."""
    now = choosing.by == order
    # again turns it round; of what was measured, and of times, the largest are looked for
    largest = order.startswith("metrics.") or order in ("attributes.started_at", "attributes.duration")
    address = escape(choosing.ordered(order, not choosing.descending if now else largest))
    arrow = "" if not now else " ▾" if choosing.descending else " ▴"
    sorted_so = f' aria-sort="{"descending" if choosing.descending else "ascending"}"' if now else ""
    return f'<a href="{address}">{shown}{arrow}</a>', sorted_so


def _whole(cell: Cell) -> str:
    return f' title="{escape(cell.text)}"' if len(cell.text) > _LONG and not cell.bars else ""


def _shown(image: Image) -> str:
    if image.media not in _DRAWN_MEDIA:
        return _paragraph(image.alt, "muted")
    data = base64.b64encode(image.data).decode()
    said = _paragraph(image.caption, "muted") if image.caption else ""
    source = f"data:{image.media};base64,{data}"
    return f'{said}<img alt="{escape(image.alt)}" style="{_CSS["drawn"]}" src="{source}">'


def _changed(mark: str, line: str) -> str:
    text = f"{mark} {escape(line)}"
    ground = _GROUNDS.get(mark)
    return f'<span style="{ground}">{text}</span>' if ground else text


def _gauge(share: float) -> str:
    """Return a bar of that part of its full length; the number stands beside it, so it is silent."""
    full = 44
    long = max(min(share, 1.0), 0.0) * full
    bar = f'<rect width="{full}" height="8" rx="2" fill="#88888833"/>'
    bar += f'<rect width="{long:.1f}" height="8" rx="2" fill="{_BLUE}"/>'
    picture = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {full} 8">{bar}</svg>'
    return f'<img alt="" width="{full}" height="8" style="{_CSS["gauge"]}" src="{_data(picture)}">'


def _tiny(bars: Iterable[float], text: str, before: Iterable[float] = (), course: bool = False) -> str:
    """Return a small histogram as an image, what it was before in grey beside it; it holds numbers only."""
    if course:
        return _course(list(bars), text)
    sides = [formats.joined([max(float(bar), 0.0) for bar in side], 24) for side in (before, bars)]
    top = max((height for side in sides for height in side), default=0.0) or 1.0
    step, tall, wide = (9, 26, 4) if sides[0] else (5, 18, 4)
    marks = "".join(_marks(sides[0], top, tall, step, 0, wide, _GREY)) + "".join(
        _marks(sides[1], top, tall, step, wide if sides[0] else 0, wide, _BLUE)
    )
    width = max(map(len, sides)) * step
    picture = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {tall}">{marks}</svg>'
    size = f'width="{width}" height="{tall}"'
    return f'<img alt="{escape(text)}" {size} style="{_CSS["tiny"]}" src="{_data(picture)}">'


def _course(values: list[float], text: str) -> str:
    """Return a small curve as an image, from its lowest to its highest value."""
    wide, tall = 92, 20
    low, span = min(values), (max(values) - min(values)) or 1.0
    step = (wide - 6) / max(len(values) - 1, 1)
    places = [
        (3 + index * step, tall - 3 - (one - low) / span * (tall - 6)) for index, one in enumerate(values)
    ]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    last = f'<circle cx="{places[-1][0]:.1f}" cy="{places[-1][1]:.1f}" r="2.2" fill="{_BLUE}"/>'
    stroke = f'fill="none" stroke="{_BLUE}" stroke-width="1.5" stroke-linejoin="round"'
    line = f'<polyline points="{path}" {stroke}/>'
    picture = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {tall}">{line}{last}</svg>'
    size = f'width="{wide}" height="{tall}"'
    return f'<img alt="{escape(text)}" {size} style="{_CSS["tiny"]}" src="{_data(picture)}">'


def _marks(
    heights: Iterable[float], top: float, tall: int, step: int, inset: int, wide: int, colour: str
) -> Iterator[str]:
    for index, height in enumerate(heights):
        high = max(height / top * (tall - 1), 0.8)
        place = f'x="{index * step + inset}" y="{tall - high:.1f}"'
        yield f'<rect {place} width="{wide}" height="{high:.1f}" fill="{colour}"/>'


def _image(figure: Figure) -> str:
    try:
        drawn = _drawn(figure)
    except Failed:
        # a value must show itself even where the engine cannot draw
        return _paragraph(figure.alt, "muted")
    return f'<img alt="{escape(figure.alt)}" style="{_CSS["drawn"]}" src="{drawn}">'


@lru_cache(maxsize=32)  # a notebook shows the same value again and again; figures are frozen
def _drawn(figure: Figure) -> str:
    return _data(svg(figure))


def _data(picture: str) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(picture.encode()).decode()}"
