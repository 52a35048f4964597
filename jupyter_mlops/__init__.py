"""Notebook-native MLOps: versioned data, parameterised runs, models with approvals, drift alerts.

Everything here is loaded when it is first used, so that importing the package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .value import draw_values_with

if TYPE_CHECKING:
    from .errors import MLOpsError as MLOpsError
    from .models.autolog import autolog as autolog
    from .project import Project as Project
    from .project import drift as drift
    from .project import init_project as init  # noqa: F401 typed face of a lazy name
    from .project import open_project as open  # noqa: F401 the same
    from .runs.tracking.context import current_run as current_run
    from .runs.tracking.context import load_dataset as load_dataset
    from .runs.tracking.context import load_model as load_model
    from .runs.tracking.context import log_artifact as log_artifact
    from .runs.tracking.context import log_input as log_input
    from .runs.tracking.context import log_metric as log_metric
    from .runs.tracking.context import log_metrics as log_metrics
    from .runs.tracking.context import log_model as log_model
    from .runs.tracking.context import log_parameters as log_parameters
    from .runs.tracking.context import report as report
    from .runs.tracking.context import set_tags as set_tags

__version__ = "0.1.0"

_HOME = {
    "MLOpsError": ("errors", "MLOpsError"),
    "Project": ("project", "Project"),
    "init": ("project", "init_project"),
    "open": ("project", "open_project"),
    "drift": ("project", "drift"),
    "autolog": ("models.autolog", "autolog"),
    **{
        name: ("runs.tracking.context", name)
        for name in (
            "current_run",
            "load_dataset",
            "load_model",
            "log_artifact",
            "log_input",
            "log_metric",
            "log_metrics",
            "log_model",
            "log_parameters",
            "report",
            "set_tags",
        )
    },
}
__all__ = sorted(_HOME)  # pinned by a test


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOME[name]
    home = import_module(f".{module}", __name__)
    if module in ("runs.tracking.context", "models.autolog"):
        import_module(".runs.tracking.context", __name__).open_projects_with(_open)
    return getattr(home, attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})


def _draw(value: Any) -> Any:
    from .views import bundle

    return bundle(value)


def _open() -> Any:
    from .project import open_project

    return open_project()


draw_values_with(_draw)


def load_ipython_extension(ipython: Any) -> None:
    """Add ``%mlops`` and ``%%mlops`` with their completion to a notebook: ``%load_ext jupyter_mlops``."""
    from .notebook import load

    load(ipython)


def unload_ipython_extension(ipython: Any) -> None:
    """Take them away again."""
    from .notebook import unload

    unload(ipython)


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    from .server import _jupyter_server_extension_points as points

    return points()
