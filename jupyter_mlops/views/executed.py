"""The executed notebook as a page of its own, drawn by nbconvert. Called by server and panel.

What a notebook put out may be any HTML. So the page allows no script, no frame and nothing from outside, and
it is shown in a sandboxed frame only: there it can neither act nor see who looks at it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from ..runs.comparing.notebook_diff import MARKER, is_written
from . import formats
from .html import escape

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; media-src data:"
_LONGEST_TEXT, _LARGEST = 200_000, 12_000_000  # letters of one output, and of all together
# what needs a script to be seen is left to the other forms that it came with
_FORMS = (
    "text/html",
    "image/svg+xml",
    "image/png",
    "image/jpeg",
    "image/gif",
    "text/markdown",
    "text/latex",
    "text/plain",
)
_STYLE = """
:root { color-scheme: light dark;
  --ink: #23272b; --soft: #667078; --line: #8884; --shade: #8881; --bad: #d94848 }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e6e4; --soft: #98a2a8 } }
html { scroll-behavior: auto; scroll-padding-top: 1rem }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); margin: 0; padding: .75rem 1rem 2rem }
.cell { margin: 0 0 1rem; padding-left: .75rem; border-left: 3px solid transparent }
.cell:target { border-left-color: var(--bad) }
.prompt { color: var(--soft); font: 12px ui-monospace, Menlo, Consolas, monospace }
.prompt:empty, .text_cell .prompt { display: none }
pre, code { font: 13px/1.45 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace }
pre { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere }
.input_area { background: var(--shade); border: 1px solid var(--line); border-radius: 4px;
  padding: .5rem .75rem }
.output_wrapper { margin: .4rem 0 0; overflow-x: auto }
.output_area { margin: .3rem 0 }
.output_stderr pre { color: var(--soft) }
.output_error { border-left: 3px solid var(--bad); padding-left: .75rem }
img, svg { max-width: 100%; height: auto }
table { border-collapse: collapse; font-size: 13px }
th, td { padding: .2rem .6rem; text-align: right; border-bottom: 1px solid var(--line) }
.hl-ipython3 .k, .hl-ipython3 .kn, .hl-ipython3 .kc, .hl-ipython3 .ow { color: #8a6fd1; font-weight: 600 }
.hl-ipython3 .s1, .hl-ipython3 .s2, .hl-ipython3 .sd, .hl-ipython3 .sa { color: #248a50 }
.hl-ipython3 .c1, .hl-ipython3 .cm { color: #777b83; font-style: italic }
.hl-ipython3 .mi, .hl-ipython3 .mf { color: #b5651d }
.hl-ipython3 .nf, .hl-ipython3 .nc, .hl-ipython3 .nb, .hl-ipython3 .nd { color: #3b7dd8 }
.ansi-red-fg, .ansi-red-intense-fg { color: #d94848 }
.ansi-green-fg, .ansi-green-intense-fg { color: #248a50 }
.ansi-yellow-fg { color: #a97100 } .ansi-blue-fg, .ansi-blue-intense-fg { color: #3b7dd8 }
.ansi-cyan-fg { color: #2b8a9a } .ansi-magenta-fg { color: #a255a0 } .ansi-bold { font-weight: 600 }
"""


def notebook_page(document: Mapping[str, Any], title: str) -> str:
    """Return a whole HTML document: the cells of an executed notebook with what they put out."""
    body = _exported(document)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>{body}</body></html>"
    )


def notebook_frame(document: Mapping[str, Any], title: str) -> str:
    """Return a sandboxed frame that holds the page, for where there is no server to ask for it."""
    page = notebook_page(document, title)
    style = "width:100%;height:36em;border:1px solid rgba(128,128,128,0.35);border-radius:4px;resize:vertical"
    # quotes and ampersands alone: clean() would take the page's own line breaks away
    inner = page.replace("&", "&amp;").replace('"', "&quot;")
    return f'<iframe sandbox="" title="{escape(title)}" style="{style}" srcdoc="{inner}"></iframe>'


def anchor_of(document: Mapping[str, Any], cell: int | None) -> str:
    """Return where in the page a cell stands, counted as written from 0; empty where it cannot be told."""
    if cell is None:
        return ""
    written = [one for one in document.get("cells", ()) if is_written(one)]
    id = written[cell].get("id") if cell < len(written) else None
    return f"cell-id={id}" if id else ""


def _exported(document: Mapping[str, Any]) -> str:
    import nbformat

    cells = list(_bounded(document))
    metadata = {name: one for name, one in (document.get("metadata") or {}).items() if name != "widgets"}
    whole = {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": cells}
    text, _ = _exporter().from_notebook_node(nbformat.from_dict(whole))  # type: ignore[no-untyped-call]
    return str(text)


def _bounded(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the cells with outputs that a browser can bear."""
    room = _LARGEST
    ids: set[str] = set()
    for place, cell in enumerate(document.get("cells", ())):
        if MARKER in ((cell.get("metadata") or {}).get("tags") or ()):
            continue  # whoever shows the page says what failed, and in which cell
        bare = {
            "metadata": {},
            **cell,
            "source": _joined(cell.get("source", "")),
            "id": cell.get("id") or f"cell-{place}",
        }
        if bare["id"] in ids:
            bare["id"] = f"cell-{place}-again"
        ids.add(bare["id"])
        outputs = []
        for output in cell.get("outputs") or ():
            shown = _shown(output)
            size = sum(len(str(one)) for one in (shown.get("data") or {"": shown.get("text", "")}).values())
            if size > room:
                said = f"[an output of {formats.size(size)} is left out here; the notebook itself has it]"
                shown = {"output_type": "stream", "name": "stderr", "text": said}
                size = 0
            room -= size
            outputs.append(shown)
        yield {"execution_count": None, **bare, "outputs": outputs} if cell["cell_type"] == "code" else bare


def _shown(output: Mapping[str, Any]) -> dict[str, Any]:
    if output.get("output_type") == "stream":
        return {**output, "text": _cut(output.get("text", ""))}
    if output.get("output_type") in ("display_data", "execute_result"):
        data = output.get("data") or {}
        kept = {
            form: _cut(data[form]) if form == "text/plain" else _joined(data[form])
            for form in _FORMS
            if form in data
        }
        return {**output, "data": kept}
    return dict(output)


def _joined(text: Any) -> str:
    """Return a text that a notebook's file keeps line by line."""
    return "".join(map(str, text)) if isinstance(text, list) else str(text)


def _cut(text: Any) -> str:
    whole = _joined(text)
    if len(whole) <= _LONGEST_TEXT:
        return whole
    half = _LONGEST_TEXT // 2
    return f"{whole[:half]}\n… {len(whole) - 2 * half:,} characters …\n{whole[-half:]}"


@lru_cache(maxsize=1)
def _exporter() -> Any:
    from nbconvert import HTMLExporter

    # the bare cells: the full templates ask for scripts and styles from the web
    make: Any = HTMLExporter
    return make(template_name="basic", exclude_anchor_links=True)
