"""The server extension: a page and a REST interface behind Jupyter's own authentication."""

from __future__ import annotations

from typing import Any


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    """Tell Jupyter Server what to load; it asks the package that its configuration names."""
    from .app import MLOpsApp

    return [{"module": "jupyter_mlops.server", "app": MLOpsApp}]
