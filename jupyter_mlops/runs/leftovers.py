"""Leftovers: what killed processes leave behind, ended and cleared away. Used by tracking and launch."""

from __future__ import annotations

import shutil
from pathlib import Path

from .. import lifeline
from .ledger import Ledger
from .liveness import Liveness
from .shelf import Shelf
from .sweeps.queue import Queue
from .tracking import context


class Leftovers:
    """Records as ended what has no process any more, and removes its folders."""

    def __init__(self, state: Path, shelf: Shelf, ledger: Ledger, liveness: Liveness, queue: Queue) -> None:
        self._state = state
        self._shelf = shelf
        self._ledger = ledger
        self._liveness = liveness
        self._queue = queue

    def settle(self) -> int:
        """Record as ended what killed processes left behind, and return how many runs that were."""
        count = self._ledger.settle() + self._queue.recover()
        self.tidy()
        return count

    def tidy(self) -> None:
        """Remove what a killed execution left: folders and metric files of its runs, and processes."""
        self._shelf.journal.tidy()
        for work in (self._state / "runs").glob("*"):
            run = next(iter(self._shelf.runs([work.name])), None)
            if (run is None or run.ended) and not self._liveness.held(work.name):
                lifeline.end_marked(context.VARIABLE, [work.name])
                shutil.rmtree(work, ignore_errors=True)
                self._liveness.forget(work.name)
