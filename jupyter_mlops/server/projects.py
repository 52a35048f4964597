"""The projects that a server has open, one for each person who asks. Used by the handlers' threads."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..config import FILE
from ..people import Actor, identify
from ..project import STATE, Project, find_root, open_project

_Key = tuple[Path, int, str, str]


@dataclass(slots=True)
class _Opened:
    project: Project
    users: int = 0


class OpenProjects:
    """Opens the project in each person's name, keeps the last few of them open, closes the others.

    Every call belongs on a worker thread: opening reads files and facts.
    """

    def __init__(self, root_dir: str, capacity: int = 8) -> None:
        self._root_dir = root_dir
        self._capacity = capacity
        self._guard = threading.Lock()
        self._opened: OrderedDict[_Key, _Opened] = OrderedDict()

    @contextmanager
    def lease(self, actor: Actor | None) -> Iterator[Project]:
        """Lend the project, opened in the name of ``actor``, or of the local actor where it is ``None``.

        The project is looked for each time, so one that is made while the server runs is found, and an edited
        mlops.toml is read again.
        """
        root = project_root(self._root_dir)
        who = identify(None, root / STATE, root) if actor is None else actor
        key = (root, (root / FILE).stat().st_mtime_ns, who.name, who.proof)
        with self._guard:
            opened = self._opened.get(key)
            if opened is None:
                opened = self._opened[key] = _Opened(open_project(root, actor=who))
            opened.users += 1
            self._opened.move_to_end(key)
            idle = self._take_idle()
        try:
            _close(idle)
            yield opened.project
        finally:
            with self._guard:
                opened.users -= 1
                idle = self._take_idle()
            _close(idle)

    def close(self) -> None:
        """Close every project; nobody may use one any more."""
        with self._guard:
            opened, self._opened = self._opened, OrderedDict()
        _close([entry.project for entry in opened.values()])

    def _take_idle(self) -> list[Project]:
        surplus = len(self._opened) - self._capacity
        keys = [key for key, entry in self._opened.items() if not entry.users][: max(surplus, 0)]
        return [self._opened.pop(key).project for key in keys]


def project_root(root_dir: str) -> Path:
    """Return the project's folder: ``$MLOPS_PROJECT``, else ``root_dir`` or the nearest above it."""
    if os.environ.get("MLOPS_PROJECT"):
        return find_root()
    start = Path(root_dir).expanduser().resolve()
    holder = next((folder for folder in (start, *start.parents) if (folder / FILE).is_file()), start)
    return find_root(holder)


def _close(projects: list[Project]) -> None:
    for project in projects:
        project.close()
