"""The bundle: one value in every form that a notebook's front end may choose from. Called by values."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import quote

from ..charts import Figure, vega_lite
from .dispatch import view
from .html import Link, to_html
from .text import to_text


def bundle(value: Any) -> dict[str, Any]:
    """Return ``value`` as plain text of 80 columns and as HTML; a figure also as Vega-Lite.

    Where ``$MLOPS_PAGE_URL`` says where the page is, the HTML links into it.
    """
    seen = view(value)
    made: dict[str, Any] = {"text/plain": to_text(seen), "text/html": to_html(seen, link=_page())}
    if isinstance(value, Figure):
        made["application/vnd.vegalite.v5+json"] = vega_lite(value)
    return made


def _page() -> Link | None:
    base = os.environ.get("MLOPS_PAGE_URL", "").rstrip("/")
    if not base.startswith(("http://", "https://")):
        return None
    return lambda path: f"{base}/{quote(path, safe='/?=&#')}"
