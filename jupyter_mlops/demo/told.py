"""What the demo leaves behind, and the lines to type next. The value of ``mlops demo``."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any

from ..store import AuditReport
from ..value import Value
from ..views import formats, view
from ..views.view import Heading, Text, View, facts

_NEXT = (
    ("mlops", "how things stand"),
    ('mlops runs list --order "metrics.auc desc"', "the nine runs, best first"),
    ("mlops models history {model} production", "who moved it, when"),
    ("mlops rollback {model} production", "point it back"),
    ("mlops up", "chat and page, by hand"),
)


@dataclass(frozen=True, slots=True)
class Told(Value):
    """What the demo leaves: the project's folder, the model in production, its metric, the report."""

    folder: str
    model: str
    metric: float
    approval: str
    alert: str
    report: str
    audit: AuditReport

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-ready types."""
        return {
            "folder": self.folder,
            "model": self.model,
            "auc": self.metric,
            "approval": self.approval,
            "alert": self.alert,
            "report": self.report,
            "audit": self.audit.to_dict(),
        }


@view.register
def _(told: Told) -> View:
    name = told.model.partition("@")[0]
    width = max(len(line.format(model=name)) for line, _ in _NEXT)
    lines = [f"cd {shlex.quote(told.folder)}"]
    lines += [f"{line.format(model=name):{width}}   # {why}" for line, why in _NEXT]
    said = f"{told.model} is in production, auc {formats.metric(told.metric)}"
    return View(
        "The story is told",
        said,
        "good" if told.audit.ok else "bad",
        (
            facts(("project", told.folder), ("report", told.report)),
            Heading("What to type next"),
            Text("\n".join(lines), "code"),
        ),
    )
