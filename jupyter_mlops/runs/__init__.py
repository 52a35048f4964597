"""Runs: tracked code and executed notebooks, their sweeps, search and values. Handed out by ``Project``.

The names are loaded when they are first used: a notebook's ``log_metric`` needs only ``context``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .artifact import Artifact as Artifact
    from .comparing.comparison import Comparison as Comparison
    from .comparing.importance import Importance as Importance
    from .comparing.leaderboard import Leaderboard as Leaderboard
    from .comparing.notebook_diff import NotebookDiff as NotebookDiff
    from .comparing.reproduction import Held as Held
    from .comparing.reproduction import Reproduction as Reproduction
    from .points import MetricPoint as MetricPoint
    from .run import Run as Run
    from .run import RunError as RunError
    from .run import RunInfo as RunInfo
    from .runs import Runs as Runs
    from .runs import Sweep as Sweep
    from .tracker import Tracker as Tracker
    from .tracking.active import ActiveRun as ActiveRun
    from .written import Written as Written

_HOME = {
    "ActiveRun": "tracking.active",
    "Artifact": "artifact",
    "Comparison": "comparing.comparison",
    "Held": "comparing.reproduction",
    "Importance": "comparing.importance",
    "Leaderboard": "comparing.leaderboard",
    "MetricPoint": "points",
    "NotebookDiff": "comparing.notebook_diff",
    "Reproduction": "comparing.reproduction",
    "Run": "run",
    "RunError": "run",
    "RunInfo": "run",
    "Runs": "runs",
    "Sweep": "runs",
    "Tracker": "tracker",
    "Written": "written",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
