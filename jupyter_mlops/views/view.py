"""View: the closed vocabulary in which values are shown. Made here, drawn by renderers."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..charts import Figure

Tone = Literal["plain", "muted", "good", "warning", "bad", "code"]


@dataclass(frozen=True, slots=True)
class Cell:
    """One piece of text in a table or list of facts, with its tone; ``link`` is a path in the page or a URL.

    ``bars`` are the heights of a tiny histogram; ``text`` is then its sparkline, for those who cannot draw.
    ``before`` are the heights that it had before, drawn behind it on the same scale. ``course`` says that the
    bars are the course of a curve. ``share`` of a whole, 0 to 1, is drawn as a bar beside the text.
    """

    text: str
    tone: Tone = "plain"
    link: str = ""
    bars: tuple[float, ...] = ()
    before: tuple[float, ...] = ()
    course: bool = False
    share: float | None = None


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading inside a view."""

    text: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and what they are."""

    rows: tuple[tuple[str, Cell], ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under columns. ``numeric`` are the right-aligned columns; ``more`` counts rows left out.

    The columns stand in the order of their importance: where room is short, the last ones are left out first.
    ``keys`` name the rows where some may be chosen; ``orders`` say by what a column orders them, if by any.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numeric: frozenset[int] = frozenset()
    more: int = 0
    empty: str = "nothing yet"
    keys: tuple[str, ...] = ()
    orders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure."""

    figure: Figure


@dataclass(frozen=True, slots=True)
class Image:
    """A picture that came as bytes: what it shows in words, its media type, the bytes, and its name."""

    alt: str
    media: str
    data: bytes
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Changes:
    """Lines of a changed text, each with its mark: ``+``, ``-``, a blank, or ``…`` where some are missing."""

    lines: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph; tone ``code`` keeps its lines as they are."""

    text: str
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class Action:
    """Something one may do about the value: a verb, its arguments; ``asks`` names what must be typed."""

    verb: str
    label: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    role: str = "viewer"
    confirm: str = ""
    asks: str = ""
    tone: Tone = "plain"


Block = Heading | Facts | Table | Picture | Image | Changes | Text | Action


@dataclass(frozen=True, slots=True)
class View:
    """How a value is seen: a title, one line that says it all, blocks, and a link into the page.

    The summary begins with the title, so that it can stand alone.
    """

    title: str
    summary: str = ""
    tone: Tone = "plain"
    blocks: tuple[Block, ...] = ()
    path: str = ""

    @property
    def actions(self) -> tuple[Action, ...]:
        """What one may do about it."""
        return tuple(block for block in self.blocks if isinstance(block, Action))

    @property
    def headline(self) -> tuple[str, str]:
        """The title, and what the summary says beyond it."""
        if self.summary.startswith(self.title):
            return self.title, self.summary[len(self.title) :]
        return self.title, f" · {self.summary}" if self.summary else ""


def facts(*pairs: tuple[str, Cell | str | None]) -> Facts:
    """Return the facts that are there: pairs of None or empty text are left out."""
    cells = ((name, value if isinstance(value, Cell) else Cell(value or "")) for name, value in pairs)
    return Facts(tuple((name, cell) for name, cell in cells if cell.text))


def table(
    columns: Iterable[str],
    rows: Iterable[Iterable[Cell | str]],
    numeric: Iterable[str] = (),
    more: int = 0,
    empty: str = "nothing yet",
) -> Table:
    """Return a table from cells and plain texts; ``numeric`` names columns."""
    names, right = tuple(columns), set(numeric)
    return Table(
        names,
        tuple(tuple(one if isinstance(one, Cell) else Cell(one) for one in row) for row in rows),
        frozenset(index for index, name in enumerate(names) if name in right),
        more,
        empty,
    )


def typed(action: Action, prefix: str = "mlops") -> str:
    """Return what one types to do it: ``mlops reject a8c2 --reason …``."""
    words = [prefix, action.verb, *(shlex.quote(str(value)) for value in action.arguments.values())]
    return " ".join(words) + (f" --{action.asks} …" if action.asks else "")
