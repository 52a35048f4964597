"""What every value that a verb returns can do: show itself. Read by every ring; drawn by ``views``."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

Bundle = Mapping[str, Any]
_draw: Callable[[Any], Bundle] | None = None


def draw_values_with(draw: Callable[[Any], Bundle]) -> None:
    """Make ``draw`` turn values into MIME bundles; the package wires its views in at import."""
    global _draw
    _draw = draw


class Value:
    """Base of the values that people look at: text, HTML in a notebook, a dictionary for machines."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the value as JSON-ready types."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        """The value's place on the page, where ``$MLOPS_PAGE_URL`` says where the page is; else empty."""
        base = os.environ.get("MLOPS_PAGE_URL", "").rstrip("/")
        return f"{base}/{getattr(self, 'path', '')}" if base else ""

    def __str__(self) -> str:
        """Return what a terminal shows, so that ``print`` tells what the command line does."""
        return str(bundle(self)["text/plain"])

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Bundle:
        return bundle(self)


def bundle(value: Any) -> Bundle:
    """Return the MIME bundle of ``value``: always ``text/plain``, and ``text/html`` where a view exists."""
    return {"text/plain": repr(value)} if _draw is None else _draw(value)


@dataclass(frozen=True, slots=True, repr=False)
class Listing(Value, Sequence[Any]):
    """A list of values of one ``kind``, shown as a table; ``note`` says what is not among them."""

    kind: str
    items: tuple[Any, ...]
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return ``{"items": [...]}``, the shape of every listing in JSON."""
        return {"items": [item.to_dict() for item in self.items]}

    def to_pandas(self) -> Any:
        """Return the listing as a DataFrame, one row an item."""
        import pandas

        return pandas.DataFrame([item.to_dict() for item in self.items])

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Any, ...]: ...
    def __getitem__(self, index: int | slice) -> Any:
        return self.items[index]

    def __len__(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        return f"<{len(self.items)} {self.kind}>"
