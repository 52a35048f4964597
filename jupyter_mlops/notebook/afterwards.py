"""What is seen of a panel afterwards: its table, wherever no kernel stands behind its controls. For panels.

A saved notebook keeps the name of a widget, not the widget, and a front end that does not find it says so
instead of showing the other forms of that output. So the table is an output of its own, which the living
panel hides; and where the panel is not alive, the table hides what is said in its place.
"""

from __future__ import annotations

from typing import Any

from ..audience import attended, kernel
from ..value import Bundle

_WIDGET = "application/vnd.jupyter.widget-view+json"
# JupyterLab and Notebook: the output before this one, while nothing has been drawn in it
_EMPTY = (
    ".jp-OutputArea-child:has(+ .jp-OutputArea-child .{mark}) "
    ".jp-OutputArea-output:not(:has(*)) {{ display: none }}"
)


def pressable() -> bool:
    """Return whether there is somebody, in a notebook, to press what a cell shows."""
    return kernel() is not None and attended()


def show(panel: Any, table: Bundle) -> None:
    """Display the box ``panel``, and ``table`` for when it is gone."""
    import ipywidgets
    from IPython.display import display

    mark = f"mlops-{panel.model_id}"
    hiding = ipywidgets.HTML(f"<style>.{mark} {{ display: none }}</style>", layout={"display": "none"})
    panel.children = (*panel.children, hiding)
    html = f'<div class="{mark}">{table["text/html"]}</div><style>{_EMPTY.format(mark=mark)}</style>'
    for data in (
        {_WIDGET: panel._repr_mimebundle_()[_WIDGET], "text/plain": ""},
        {**table, "text/html": html},
    ):
        display(data, raw=True)  # type: ignore[no-untyped-call]  # of IPython
