"""The Vega-Lite rendering of figures: a specification for JupyterLab, SVG for pages, PNG for Slack.

Nothing from outside is ever a field name, an expression or a format: field names are ``x``, ``y``, ``series``
and their like, and every outside text is a string in the inline data or a title. Rendering loads nothing: no
fonts, no URLs.
"""

from __future__ import annotations

from collections.abc import Callable
from textwrap import wrap
from typing import Any, TypeVar

from ..errors import BadInput, Failed
from .axes import Drawing
from .bars import bars, histogram
from .boxes import boxes
from .coordinates import parallel
from .curves import curves
from .figure import Figure
from .heatmap import heatmap
from .palette import INKS, SUBTITLE_LETTER, TITLE_LETTER, config, shortened

Spec = dict[str, Any]
Drawn = TypeVar("Drawn")

SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
VEGA_LITE = "5.21"  # JupyterLab 4 draws version 5: the same picture everywhere

_DRAWERS: dict[str, Callable[[Figure, str], Drawing]] = {
    "line": curves,
    "scatter": curves,
    "bar": bars,
    "grouped_bar": bars,
    "histogram": histogram,
    "parallel": parallel,
    "graph": boxes,
    "heatmap": heatmap,
}


def vega_lite(figure: Figure, theme: str = "auto") -> Spec:
    """Return ``figure`` as a Vega-Lite 5 specification with its data inside.

    ``theme`` "auto" is transparent and can be read on light and on dark; "light" and "dark" are opaque.
    """
    if theme not in INKS:
        raise BadInput(f"no theme {theme!r}", f"themes: {', '.join(INKS)}")
    drawing = _DRAWERS[figure.kind](figure, theme) if _has_data(figure) else _nothing(theme)
    wide = drawing.body.get("width")
    title: Spec = {"text": _lines(shortened(figure.title, 64), wide, TITLE_LETTER)}
    subtitle = " · ".join(part for part in (figure.subtitle, drawing.note) if part)
    if subtitle:
        title["subtitle"] = _lines(shortened(subtitle, 100), wide, SUBTITLE_LETTER)
    return {
        "$schema": SCHEMA,
        "description": figure.alt,
        **({"title": title} if figure.title or subtitle else {}),
        **drawing.body,
        "config": config(theme),
        # without this JupyterLab offers a link that posts the data to an editor on the web
        "usermeta": {"embedOptions": {"actions": False}},
    }


def _lines(text: str, wide: Any, letter: float) -> str | list[str]:
    """Return ``text`` in as many lines as the plot's width asks for.

    The engine makes room by the letters of its own font; a browser's may be wider, and are cut at the edge.
    """
    if not isinstance(wide, int):
        return text
    lines = wrap(text, max(int(wide / letter), 12))
    return lines if len(lines) > 1 else text


def svg(figure: Figure, theme: str = "auto") -> str:
    """Return ``figure`` as an SVG document."""
    import vl_convert

    def convert(spec: Spec) -> str:
        return vl_convert.vegalite_to_svg(spec, VEGA_LITE, allowed_base_urls=[])

    return _rendered(figure, convert, theme)


def png(figure: Figure, scale: float = 2.0, theme: str = "light") -> bytes:
    """Return ``figure`` as a PNG image with ``scale`` pixels to a unit; opaque unless ``theme`` is "auto"."""
    import vl_convert

    def convert(spec: Spec) -> bytes:
        return vl_convert.vegalite_to_png(spec, VEGA_LITE, scale=scale, allowed_base_urls=[])

    return _rendered(figure, convert, theme)


def _rendered(figure: Figure, convert: Callable[[Spec], Drawn], theme: str) -> Drawn:
    spec = vega_lite(figure, theme)
    try:
        return convert(spec)
    except ValueError as error:  # vl_convert raises it for whatever its engine meets
        raise Failed(
            f"the figure {figure.title!r} could not be drawn", str(error).partition("\n")[0]
        ) from error


def _has_data(figure: Figure) -> bool:
    return bool(figure.nodes) or any(value is not None for one in figure.series for value in one.y)


def _nothing(theme: str) -> Drawing:
    """Say that there is nothing to draw, where the plot would have been."""
    mark = {"type": "text", "text": "no data", "fontSize": 15, "color": INKS[theme].faint}
    return Drawing({"width": 360, "height": 90, "data": {"values": [{}]}, "mark": mark})
