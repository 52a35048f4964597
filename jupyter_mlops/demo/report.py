"""The report: values of a project as one HTML page with pictures, readable anywhere. Written by the demo."""

from __future__ import annotations

import html
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}
section {{ border-top: 1px solid #8884; padding: 1rem 0 2rem; overflow-x: auto }}
img {{ max-width: 100%; height: auto }}
</style>
<h1>{title}</h1>
{sections}
</html>
"""


def write_report(path: Path, title: str, values: Iterable[Any]) -> None:
    """Write ``values`` to ``path`` as one page that needs nothing else; replaces what is there at once."""
    from ..views import to_html, view

    sections = "\n".join(f"<section>{to_html(view(value), heading=2)}</section>" for value in values)
    temporary = path.with_suffix(".part")
    temporary.write_text(_PAGE.format(title=html.escape(title), sections=sections), "utf-8")
    temporary.replace(path)
