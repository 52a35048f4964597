"""The overview: what waits, what runs, what serves, what drifts. Shown by a bare ``mlops``."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

from ..project import Project
from ..value import Value


@dataclass(frozen=True, slots=True)
class Overview(Value):
    """The state of one project. ``waiting`` are requests this actor may vote on, ``asked`` the others.

    ``notes`` are what needs saying: an edited policy, deliveries that wait. ``path`` is the page's start.
    """

    project: str
    actor: str
    role: str
    datasets: tuple[Any, ...]
    running: tuple[Any, ...]
    recent: tuple[Any, ...]
    models: tuple[Any, ...]
    waiting: tuple[Any, ...]
    asked: tuple[Any, ...]
    alerts: tuple[Any, ...]
    notes: tuple[str, ...]

    @property
    def path(self) -> str:
        """The page's start."""
        return ""

    def to_dict(self) -> dict[str, Any]:
        """Return the overview as JSON-ready types."""
        listed = ("datasets", "running", "recent", "models", "waiting", "asked", "alerts")
        return {
            "project": self.project,
            "actor": self.actor,
            "role": self.role,
            **{name: [item.to_dict() for item in getattr(self, name)] for name in listed},
            "notes": list(self.notes),
        }


def overview(project: Project) -> Overview:
    """Return what there is to know about ``project`` now, as its actor sees it."""
    identity = project.people.whoami()
    pending = project.approvals.list("pending")
    waiting = tuple(approval for approval in pending if project.approvals.may_vote(approval.id) is None)
    return Overview(
        project=project.config.name,
        actor=identity.name,
        role=identity.role,
        datasets=project.datasets.list(),
        running=tuple(project.runs.search("attributes.status = 'running'", limit=10)),
        recent=tuple(project.runs.search(limit=5)),
        models=project.models.list(),
        waiting=waiting,
        asked=tuple(approval for approval in pending if approval not in waiting),
        alerts=project.alerts.list("open"),
        notes=tuple(_notes(project)),
    )


def _notes(project: Project) -> list[str]:
    notes = []
    if project.people.in_force().file_differs:
        notes.append("mlops.toml says another policy than the one in force: `mlops policy apply`")
    for point in entry_points(group="mlops.status"):
        notes.extend(point.load()(project))
    return notes
