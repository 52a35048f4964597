"""The engine as papermill finds it by entry point, loaded when it is used: it imports papermill itself."""

from __future__ import annotations

from typing import Any


class Engine:
    """Answers for ``MLOpsEngine``, which papermill could not load while it is being imported."""

    def __getattr__(self, name: str) -> Any:
        from .engine import MLOpsEngine

        return getattr(MLOpsEngine, name)


ENGINE = Engine()
