"""The written: where an artifact or a notebook of a run was put. Returned by their ``check_out``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..value import Value


@dataclass(frozen=True, slots=True)
class Written(Value):
    """A file or folder that was written; ``aside`` is where that is now which it replaced by force."""

    path: Path
    aside: Path | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the places as JSON-ready types."""
        return {"path": str(self.path), "aside": str(self.aside) if self.aside else None}
