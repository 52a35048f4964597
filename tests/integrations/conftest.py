"""What tests of integrations share with those of runs."""

from __future__ import annotations

from ..runs.conftest import write_notebook

__all__ = ["write_notebook"]
