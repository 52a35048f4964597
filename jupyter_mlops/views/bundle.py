"""The bundle: one value in every form that a notebook's front end may choose from. Called by values."""

from __future__ import annotations

from typing import Any

from ..charts import Figure, vega_lite
from .dispatch import view
from .html import to_html
from .text import to_text


def bundle(value: Any) -> dict[str, Any]:
    """Return ``value`` as plain text of 80 columns and as HTML; a figure also as Vega-Lite."""
    seen = view(value)
    made: dict[str, Any] = {"text/plain": to_text(seen), "text/html": to_html(seen)}
    if isinstance(value, Figure):
        made["application/vnd.vegalite.v5+json"] = vega_lite(value)
    return made
