"""The notebook face: magics, their completion, and the approvals panel. For ``%load_ext``."""

from __future__ import annotations

from typing import Any


def load(ipython: Any) -> None:
    """Register the magics and the matcher in a running IPython; a second time changes nothing."""
    from .completion import Matcher
    from .magics import MLOpsMagics

    unload(ipython)
    ipython.register_magics(MLOpsMagics)
    ipython.Completer.custom_matchers.append(Matcher(ipython))


def unload(ipython: Any) -> None:
    """Remove what ``load`` registered, and close the project that the magics hold open."""
    from .completion import Matcher
    from .magics import MLOpsMagics

    matchers = ipython.Completer.custom_matchers
    matchers[:] = [matcher for matcher in matchers if not isinstance(matcher, Matcher)]
    held = ipython.magics_manager.registry.pop(MLOpsMagics.__name__, None)
    if held is not None:
        held.close()
        for kind in ("line", "cell"):
            ipython.magics_manager.magics[kind].pop("mlops", None)
