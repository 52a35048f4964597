"""View: the closed vocabulary in which values are shown. Made here, drawn by renderers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..charts import Figure

Tone = Literal["plain", "muted", "good", "warning", "bad", "code"]


@dataclass(frozen=True, slots=True)
class Cell:
    """One piece of text in a table or list of facts, with its tone; ``link`` is a path in the page or a URL."""

    text: str
    tone: Tone = "plain"
    link: str = ""


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
    """Rows under columns. ``numeric`` are the right-aligned columns; ``more`` counts rows left out."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numeric: frozenset[int] = frozenset()
    more: int = 0
    empty: str = "nothing yet"


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure."""

    figure: Figure


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


Block = Heading | Facts | Table | Picture | Text | Action


@dataclass(frozen=True, slots=True)
class View:
    """How a value is seen: a title, one line that says it all, blocks, and a link into the page."""

    title: str
    summary: str = ""
    tone: Tone = "plain"
    blocks: tuple[Block, ...] = ()
    path: str = ""

    @property
    def actions(self) -> tuple[Action, ...]:
        """What one may do about it."""
        return tuple(block for block in self.blocks if isinstance(block, Action))
