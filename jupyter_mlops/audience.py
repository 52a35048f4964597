"""The audience: whether a person watches the cell that executes. Asked by what shows progress or controls."""

from __future__ import annotations

import sys
from typing import Any


def kernel() -> Any:
    """Return the notebook kernel that this process is, or ``None``. Loads nothing."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None)


def display(value: Any) -> Any:
    """Show ``value`` under the cell that executes, and return what updates it. For kernels."""
    return sys.modules["IPython.core.display_functions"].display(value, display_id=True)


def attended() -> bool:
    """Return whether somebody is there to press what a cell shows.

    nbclient, and with it papermill and nbconvert, tells the kernel that nobody answers ``input()``. What such
    a notebook keeps of widgets is dead, and shown in place of what can be read.
    """
    here = kernel()
    if here is None:
        return True
    return bool(here.get_parent("shell").get("content", {}).get("allow_stdin", True))
