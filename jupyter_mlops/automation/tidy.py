"""The tidying: what commits leave for later, done in the background by a process that ends by itself.

It describes big tables and stores near-equal chunks as differences. ``Project`` sends it after a commit
that left work; one at a time on a project, at the lowest priority, for at most two minutes.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from ..errors import BadInput, MLOpsError
from ..people import Actor
from ..project import Project, open_project

SECONDS = 120.0
_LOCK = "tidy.lock"
_NICE = 19
_GRACE_SECONDS = 30.0


def tidy_up(project: Project, seconds: float = SECONDS) -> None:
    """Describe tables and compact, the quick things first, until all is done or the time is over."""
    from .upkeep import Upkeep

    end = time.monotonic() + seconds
    while waiting := project.datasets.undescribed():  # somebody may commit meanwhile
        if time.monotonic() >= end:
            return
        with suppress(BadInput):  # no readable table, which is remembered
            project.datasets.describe(waiting[0])
    if (left := end - time.monotonic()) > 0:
        Upkeep(project).compact(seconds=left)


def main(root: str) -> None:
    """Tidy the project at ``root``, unless another process is at it; commits of meanwhile are seen, too."""
    folder = Path(root)
    if not (folder / ".mlops").is_dir():
        return
    lock = FileLock(folder / ".mlops" / _LOCK, timeout=0, mode=0o600)
    try:
        with lock, open_project(folder, Actor("upkeep")) as project:
            tidy_up(project)
    except (Timeout, MLOpsError, OSError):
        return  # the next commit sends somebody again; nothing was promised


def _modest() -> None:
    """Make this process give way to all others, and end for certain."""
    if hasattr(signal, "setitimer"):
        os.nice(_NICE)
        # a table that takes longer is described when somebody looks at it; a kill harms nothing
        signal.setitimer(signal.ITIMER_REAL, SECONDS + _GRACE_SECONDS)


if __name__ == "__main__":
    _modest()
    main(sys.argv[1])
