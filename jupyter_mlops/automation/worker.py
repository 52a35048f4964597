"""The worker: keeps the project's records true while nobody looks. For ``mlops worker``."""

from __future__ import annotations

import time

from ..project import Project

_PAUSE_SECONDS = 2.0


def tidy(project: Project) -> int:
    """Record what time did: requests that expired, runs whose process is gone. Return how many changed."""
    return len(project.approvals.settle()) + project.runs.settle()


def work(project: Project) -> None:
    """Tidy every two seconds until interrupted."""
    while True:
        tidy(project)
        time.sleep(_PAUSE_SECONDS)
