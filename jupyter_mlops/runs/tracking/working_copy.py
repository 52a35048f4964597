"""The working copy: git's commit and whether files differ, asked seldom. Used by ``Tracking``."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from .capture import GitState, git_folder, git_state

_SECONDS = 1.0


class WorkingCopy:
    """Asks git at most once a second, and at once when a commit, a checkout or an ``add`` was made.

    An edit of a file shows a second late; what a run imported is kept by its bytes whatever git says.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._guard = threading.Lock()
        self._folder: Path | None = None
        self._marks: tuple[int | None, ...] | None = None
        self._asked = 0.0
        self._state = GitState()

    def state(self) -> GitState:
        """Return the commit that is checked out, and whether anything differed from it a second ago."""
        with self._guard:
            if time.monotonic() - self._asked < _SECONDS and self._marks == self._changed():
                return self._state
            if self._folder is None:
                self._folder = git_folder(self._root)
            self._marks = self._changed()  # before git looks, so that nothing falls between
            self._state = git_state(self._root)
            self._asked = time.monotonic()
            return self._state

    def _changed(self) -> tuple[int | None, ...]:
        """Return when git last wrote what a commit, a checkout and an ``add`` change."""
        if self._folder is None:
            return ()
        return tuple(_time(self._folder / name) for name in ("HEAD", "logs/HEAD", "index"))


def _time(path: Path) -> int | None:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return None
