"""Figure: a picture as a value (kind, series, axes, alternative text), made by whoever has something to show.

A figure holds plain Python numbers and texts only, so it can be stored, sent and drawn by any face. Texts
from outside (column names, run names) are kept whole; cutting them to size is the renderer's work.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date
from itertools import pairwise
from typing import Any, Literal, TypedDict, Unpack

from ..errors import BadInput
from ..value import Value

Kind = Literal["line", "scatter", "bar", "grouped_bar", "histogram", "parallel", "graph", "heatmap"]
XType = Literal["number", "category", "time"]
Point = float | int | str | None
Points = Mapping[str, tuple[Iterable[Any], Iterable[Any]]]


@dataclass(frozen=True, slots=True)
class Series:
    """One line, one group of bars or one run: ``y`` over ``x``."""

    name: str
    x: tuple[Point, ...]
    y: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """A dashed line across the plot at ``value``: a threshold or a floor."""

    label: str
    value: float
    axis: Literal["x", "y"] = "y"


@dataclass(frozen=True, slots=True)
class GraphNode:
    """A box of a graph: the name by which edges know it, its label, what kind it is, and a little more."""

    name: str
    label: str
    kind: str
    detail: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Figure(Value):
    """A picture as data. Use the constructors of this module; they check lengths and write ``alt``."""

    kind: Kind
    title: str
    series: tuple[Series, ...]
    x_label: str = ""
    y_label: str = ""
    units: str = ""
    alt: str = ""
    subtitle: str = ""
    axes: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    highlight: tuple[str, ...] = ()
    x_type: XType = "number"
    x_log: bool = False
    y_log: bool = False
    horizontal: bool = False
    color_by: str = ""
    nodes: tuple[GraphNode, ...] = ()
    edges: tuple[tuple[int, int], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the figure as JSON-ready types."""
        plain: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        plain["series"] = [{"name": s.name, "x": list(s.x), "y": list(s.y)} for s in self.series]
        plain["rules"] = [{"label": r.label, "value": r.value, "axis": r.axis} for r in self.rules]
        plain["nodes"] = [
            {"name": n.name, "label": n.label, "kind": n.kind, "detail": n.detail} for n in self.nodes
        ]
        plain["edges"] = [list(edge) for edge in self.edges]
        plain["axes"], plain["highlight"] = list(self.axes), list(self.highlight)
        return plain

    def __repr__(self) -> str:
        return f"<Figure: {self.alt}>"


class Labels(TypedDict, total=False):
    """The keywords that every constructor takes: texts around the plot, rules, and what to emphasise."""

    x_label: str
    y_label: str
    units: str
    alt: str
    subtitle: str
    rules: Iterable[Rule]
    highlight: Iterable[str]


def line(
    title: str, series: Points, *, x_log: bool = False, y_log: bool = False, **labels: Unpack[Labels]
) -> Figure:
    """Return curves: one line for each name, through its ``(xs, ys)`` in the order given."""
    return _curves("line", title, series, x_log, y_log, {"x_label": "step", **labels})


def scatter(
    title: str, series: Points, *, x_log: bool = False, y_log: bool = False, **labels: Unpack[Labels]
) -> Figure:
    """Return points: one colour for each name, at its ``(xs, ys)``."""
    return _curves("scatter", title, series, x_log, y_log, labels)


def bar(
    title: str,
    categories: Iterable[Any],
    values: Iterable[Any],
    *,
    horizontal: bool | None = None,
    **labels: Unpack[Labels],
) -> Figure:
    """Return one bar for each category; they lie down when their names are long or many."""
    return _bars("bar", title, categories, {"": values}, horizontal, labels)


def grouped_bar(
    title: str,
    categories: Iterable[Any],
    groups: Mapping[str, Iterable[Any]],
    *,
    horizontal: bool | None = None,
    **labels: Unpack[Labels],
) -> Figure:
    """Return the bars of all groups beside each other in every category, such as reference and current."""
    return _bars("grouped_bar", title, categories, groups, horizontal, labels)


def histogram(
    title: str, edges: Iterable[Any], counts: Mapping[str, Iterable[Any]], **labels: Unpack[Labels]
) -> Figure:
    """Return given bins as touching bars; several names are laid over each other.

    Parameters
    ----------
    edges
        The bins' borders, ascending: one more than there are counts.
    counts
        Counts or shares of each bin, by name.
    """
    borders = tuple(number(edge) for edge in edges)
    finite = [edge for edge in borders if edge is not None]
    if len(finite) != len(borders) or any(right < left for left, right in pairwise(finite)):
        raise BadInput(f"the bin edges of {title!r} are not ascending finite numbers", "sort the edges first")
    made = tuple(Series(text(name), borders, tuple(map(number, values))) for name, values in counts.items())
    for one in made:
        if len(one.y) != max(len(borders) - 1, 0):
            raise BadInput(
                f"{title!r} has {len(borders)} bin edges and {len(one.y)} counts of {one.name!r}",
                "give one more edge than counts",
            )
    return _finished("histogram", title, made, labels)


def heatmap(
    title: str, columns: Iterable[Any], rows: Mapping[str, Iterable[Any]], **labels: Unpack[Labels]
) -> Figure:
    """Return a coloured field for each row and column, such as a confusion matrix.

    Parameters
    ----------
    rows
        The values of each row by its name, in the order of ``columns``.
    """
    names = tuple(text(column) for column in columns)
    made = tuple(Series(text(name), names, tuple(map(number, values))) for name, values in rows.items())
    for one in made:
        if len(one.y) != len(names):
            raise BadInput(
                f"row {one.name!r} of {title!r} has {len(one.y)} values for {len(names)} columns",
                "give one value for each column",
            )
    return _finished("heatmap", title, made, labels, x_type="category")


def parallel(
    title: str,
    axes: Iterable[Any],
    lines: Mapping[str, Sequence[Any]],
    *,
    color_by: str | None = None,
    **labels: Unpack[Labels],
) -> Figure:
    """Return parallel coordinates: one upright axis for each parameter and metric, one line for each run.

    Parameters
    ----------
    lines
        Each run's values by its name, in the order of ``axes``; numbers, texts, booleans or None.
    color_by
        The axis whose value colours the lines; by default the last one that holds numbers only.
    """
    names = tuple(text(axis) for axis in axes)
    made = tuple(Series(text(name), names, tuple(map(_point, values))) for name, values in lines.items())
    for one in made:
        if len(one.y) != len(names):
            raise BadInput(
                f"{one.name!r} has {len(one.y)} values for {len(names)} axes", "give one value for each axis"
            )
    if color_by is not None and color_by not in names:
        raise BadInput(f"{title!r} has no axis {color_by!r} to colour by", f"the axes are {', '.join(names)}")
    color = color_by if color_by is not None else _last_numeric(names, made)
    return _finished("parallel", title, made, labels, x_type="category", axes=names, color_by=color)


def graph(
    title: str,
    nodes: Mapping[str, tuple[str, str, str]],
    edges: Iterable[tuple[str, str]],
    **labels: Unpack[Labels],
) -> Figure:
    """Return boxes from left to right with lines between them, such as what was made from what.

    Parameters
    ----------
    nodes
        Label, kind and a detail of each node, by its name.
    edges
        Pairs of names: from, to.
    """
    made = tuple(
        GraphNode(text(name), text(label), text(kind), text(detail))
        for name, (label, kind, detail) in nodes.items()
    )
    places = {name: place for place, name in enumerate(nodes)}
    drawn = []
    for source, target in edges:
        for name in (source, target):
            if name not in places:
                raise BadInput(f"{title!r} has an edge to {name!r}, which is no node", "give every node")
        drawn.append((places[source], places[target]))
    finished = _finished("graph", title, (), labels)
    alt = text(labels.get("alt", "")) or _described_graph(title, made, drawn)
    return replace(finished, nodes=made, edges=tuple(drawn), alt=alt)


def number(value: Any) -> float | int | None:
    """Return ``value`` as a plain finite number, or None where there is none (NaN, infinite, missing)."""
    if value is None or isinstance(value, str):
        return None
    if isinstance(value, int):
        return int(value)
    try:
        plain = float(value)
    except (TypeError, ValueError):
        return None
    if not math.isfinite(plain):
        return None
    return int(plain) if hasattr(value, "__index__") else plain


def text(value: Any) -> str:
    """Return ``value`` as text that JSON and XML can hold: no control characters, no half surrogates."""
    return "".join(
        " " if char in "\t\r\n" else "\ufffd" if unicodedata.category(char) in ("Cc", "Cs") else char
        for char in str(value).replace("\ufffe", "\ufffd").replace("\uffff", "\ufffd")
    )


def _point(value: Any) -> Point:
    """Return a coordinate: a number, a text, or None. Booleans become texts: they are categories."""
    if value is None or isinstance(value, str):
        return None if value is None else text(value)
    if isinstance(value, bool) or type(value).__name__ in ("bool", "bool_"):
        return str(bool(value)).lower()
    if _is_time(value):
        moment = value if isinstance(value, date) else value.astype("datetime64[us]").item()
        return (
            None if moment is None or moment != moment else str(moment.isoformat())
        )  # NaT differs from itself
    if hasattr(value, "__float__") or hasattr(value, "__index__"):
        return number(value)
    return text(value)


def _is_time(value: Any) -> bool:
    return isinstance(value, date) or type(value).__name__ == "datetime64"


def _curves(kind: Kind, title: str, series: Points, x_log: bool, y_log: bool, labels: Labels) -> Figure:
    made: list[Series] = []
    types: set[XType] = set()
    for name, (xs, ys) in series.items():
        raw = list(xs)
        x, y = tuple(map(_point, raw)), tuple(map(number, ys))
        if len(x) != len(y):
            raise BadInput(f"{name!r} has {len(x)} x values and {len(y)} y values", "give one y for each x")
        for value, plain in zip(raw, x, strict=True):
            if plain is not None:
                types.add("time" if _is_time(value) else "category" if isinstance(plain, str) else "number")
        made.append(Series(text(name), x, y))
    x_type: XType = "number" if not types else types.pop() if len(types) == 1 else "category"
    if types:  # numbers and texts mixed: all are names
        made = [Series(s.name, tuple(None if x is None else str(x) for x in s.x), s.y) for s in made]
    return _finished(kind, title, tuple(made), labels, x_type=x_type, x_log=x_log, y_log=y_log)


def _bars(
    kind: Kind,
    title: str,
    categories: Iterable[Any],
    groups: Mapping[str, Iterable[Any]],
    horizontal: bool | None,
    labels: Labels,
) -> Figure:
    names = tuple(text(category) for category in categories)
    made = tuple(Series(text(name), names, tuple(map(number, values))) for name, values in groups.items())
    for one in made:
        if len(one.y) != len(names):
            of = f" of {one.name!r}" if one.name else ""
            raise BadInput(
                f"{title!r} has {len(names)} categories and {len(one.y)} values{of}",
                "give one value for each category",
            )
    lies = (len(names) > 8 or any(len(name) > 12 for name in names)) if horizontal is None else horizontal
    return _finished(kind, title, made, labels, x_type="category", horizontal=lies)


def _finished(
    kind: Kind,
    title: str,
    series: tuple[Series, ...],
    labels: Labels,
    *,
    x_type: XType = "number",
    axes: tuple[str, ...] = (),
    x_log: bool = False,
    y_log: bool = False,
    horizontal: bool = False,
    color_by: str = "",
) -> Figure:
    highlight = labels.get("highlight", ())
    title, y_label = text(title), text(labels.get("y_label", ""))
    return Figure(
        kind=kind,
        title=title,
        series=series,
        x_label=text(labels.get("x_label", "")),
        y_label=y_label,
        units=text(labels.get("units", "")),
        alt=text(labels.get("alt", "")) or _described(kind, title, series, y_label, axes),
        subtitle=text(labels.get("subtitle", "")),
        axes=axes,
        rules=tuple(
            Rule(text(rule.label), value, rule.axis)
            for rule in labels.get("rules", ())
            if (value := number(rule.value)) is not None
        ),
        # a bare text is iterable too, and its letters are nobody's names
        highlight=(text(highlight),) if isinstance(highlight, str) else tuple(map(text, highlight)),
        x_type=x_type,
        x_log=x_log,
        y_log=y_log,
        horizontal=horizontal,
        color_by=color_by,
    )


def _last_numeric(labels: tuple[str, ...], series: tuple[Series, ...]) -> str:
    for index in reversed(range(len(labels))):
        column = [one.y[index] for one in series if one.y[index] is not None]
        if column and not any(isinstance(value, str) for value in column):
            return labels[index]
    return ""


_KIND_WORDS = {
    "line": "Line chart",
    "scatter": "Scatter plot",
    "bar": "Bar chart",
    "grouped_bar": "Grouped bar chart",
    "histogram": "Histogram",
    "parallel": "Parallel coordinates",
    "graph": "Graph",
    "heatmap": "Heatmap",
}


def _described_graph(title: str, nodes: Sequence[GraphNode], edges: Sequence[tuple[int, int]]) -> str:
    """Write the alternative text of a graph: what leads to what, the first few of it."""
    if not nodes:
        return f"Graph of {title}: nothing."
    steps = [f"{nodes[a].label} to {nodes[b].label}" for a, b in edges[:8]]
    more = f" and {len(edges) - 8} more" if len(edges) > 8 else ""
    return f"Graph of {title}: {', '.join(steps) + more if steps else nodes[0].label + ' alone'}."


def _described(
    kind: Kind, title: str, series: tuple[Series, ...], y_label: str, axes: tuple[str, ...]
) -> str:
    """Write alternative text: what is drawn, of what, and the range that it covers."""
    values = [value for one in series for value in one.y if isinstance(value, (int, float))]
    names = [one.name for one in series if one.name]
    if kind == "parallel":
        what = f"{len(series)} {'line' if len(series) == 1 else 'lines'} over {', '.join(axes) or 'no axes'}"
        return f"{_KIND_WORDS[kind]} of {title}: {what}."
    if not values:
        return f"{_KIND_WORDS[kind]} of {title}: no data."
    parts = [f"{len(values)} {'value' if len(values) == 1 else 'values'}"]
    if names:
        listed = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        parts.append(f"of {listed}")
    return (
        f"{_KIND_WORDS[kind]} of {title}: {' '.join(parts)}; "
        f"{y_label or 'values'} from {min(values):.4g} to {max(values):.4g}."
    )
