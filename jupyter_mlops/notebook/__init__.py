"""The notebook face: magics, their completion, and the panels. For ``%load_ext``."""

from __future__ import annotations

from typing import Any


def load(ipython: Any) -> None:
    """Register the magics and the matcher in a running IPython; a second time changes nothing."""
    from ..runs import Leaderboard
    from .completion import matcher
    from .leaderboard import shown_as_panel
    from .magics import MLOpsMagics

    unload(ipython)
    magics = MLOpsMagics(ipython)
    ipython.register_magics(magics)
    ipython.Completer.custom_matchers.append(matcher(ipython, magics.project))
    _displays(ipython).for_type(Leaderboard, shown_as_panel(magics.project))


def unload(ipython: Any) -> None:
    """Remove what ``load`` registered, and close the project that the magics hold open."""
    from ..runs import Leaderboard
    from .completion import IDENTIFIER
    from .magics import MLOpsMagics

    matchers = ipython.Completer.custom_matchers
    matchers[:] = [known for known in matchers if getattr(known, "matcher_identifier", "") != IDENTIFIER]
    held = ipython.magics_manager.registry.pop(MLOpsMagics.__name__, None)
    if held is not None:
        held.close()
        for kind in ("line", "cell"):
            ipython.magics_manager.magics[kind].pop("mlops", None)
        _displays(ipython).pop(Leaderboard, None)


def _displays(ipython: Any) -> Any:
    return ipython.display_formatter.ipython_display_formatter
