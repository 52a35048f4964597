"""Tracking: runs of the caller's own code, and the run that a kernel belongs to. Used by ``Tracker``."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...datasets import Datasets
from ...errors import NotFound
from ...objects import Objects
from ...people import Members, Role
from ...refs import check_name
from ...store import Store
from ..artifact import SaveModel
from ..ledger import Ledger
from ..leftovers import Leftovers
from ..liveness import Liveness
from ..plain import checked_name, clean, plain
from ..run import Run, RunError
from ..shelf import Shelf
from ..sweeps.plan import Plan, resolve_inputs
from . import context
from .active import ActiveRun
from .keeping import Keeping
from .records import Records
from .working_copy import WorkingCopy

_SETTLE_SECONDS = 1.0


class Tracking:
    """Records what the caller's code does as it does it."""

    def __init__(
        self,
        store: Store,
        people: Members,
        objects: Objects,
        datasets: Datasets,
        root: Path,
        shelf: Shelf,
        ledger: Ledger,
        liveness: Liveness,
        leftovers: Leftovers,
        save_model: SaveModel | None,
    ) -> None:
        self._store = store
        self._people = people
        self._objects = objects
        self._datasets = datasets
        self._root = root
        self._shelf = shelf
        self._ledger = ledger
        self._liveness = liveness
        self._leftovers = leftovers
        self._save_model = save_model
        self._records = Records(store, people)
        self._keeping = Keeping(objects, root)
        self._working_copy = WorkingCopy(root)
        self._settled = -_SETTLE_SECONDS

    @contextmanager
    def start(
        self,
        experiment: str,
        parameters: Mapping[str, Any] | None = None,
        inputs: Mapping[str, Any] | None = None,
        *,
        code: str | None = None,
    ) -> Iterator[ActiveRun]:
        """Record the block as a run of ``experiment``; see ``Tracker.start``."""
        check_name(experiment, "experiment")
        given = {
            checked_name(name, "a parameter"): plain(value, f"parameter {name}")
            for name, value in (parameters or {}).items()
        }
        fixed = resolve_inputs(self._datasets, inputs or {})
        self._settle()
        git = self._working_copy.state()
        self._keeping.begin()
        id = self._ledger.new_id()
        with self._liveness.hold(id):
            self._ledger.begin_tracked(id, experiment, given, fixed, git)
            known = {
                "id": id,
                "experiment": experiment,
                "status": "running",
                "parameters": given,
                "metrics": {},
                "tags": {},
                "inputs": {name: each.ref for name, each in fixed.items()},
                "outputs": (),
                "artifacts": {},
            }
            asked = {each.asked: each.ref for each in fixed.values()}
            run = self._active(known, lambda: self._shelf.stored(id), asked)
            leave = context.entered(run, self._root)
            process, ended = os.getpid(), False
            try:
                yield run
            except BaseException as error:
                if os.getpid() == process:
                    ended = self._end(run, code, *_told(error))
                raise
            else:
                if os.getpid() == process:
                    ended = self._end(run, code, *_told(run.failure))
            finally:
                leave()
                run.close()
                if os.getpid() == process:  # a forked child may leave the block too, and the run goes on
                    run.over(lambda: self._shelf.stored(id) if ended else self._shelf.runs([id])[0])
        if os.getpid() == process:
            self._liveness.forget(id)

    def attach(self, id: str) -> ActiveRun:
        """Return the running run that this process belongs to, to log to.

        Called in the kernel of an execution.
        """
        runs = self._shelf.runs([id])
        if not runs:
            raise NotFound(
                f"there is no run '{id}'", "unset MLOPS_RUN; it is set for executed notebooks only"
            )
        fixed = {ref: ref for ref in runs[0].inputs.values()}
        if runs[0].sweep:
            row = self._store.one("SELECT request FROM sweeps WHERE id = :id", id=runs[0].sweep) or {}
            plan = Plan.inputs_from(row["request"])
            fixed |= {each.asked: each.ref for each in plan.values() if each.ref in fixed}
        return self._active({"id": id}, lambda: runs[0], fixed)

    def _active(
        self, known: Mapping[str, Any], read: Callable[[], Run], fixed: Mapping[str, str]
    ) -> ActiveRun:
        return ActiveRun(
            known,
            read,
            self._shelf.journal.pen(known["id"]),
            self._records,
            self._objects,
            self._datasets,
            fixed,
            self._save_model,
        )

    def _settle(self) -> None:
        """Record as ended what killed processes left, once in a while: runs may start many times a second."""
        if time.monotonic() - self._settled > _SETTLE_SECONDS:
            self._people.require(Role.CONTRIBUTOR)
            self._settled = time.monotonic()
            self._leftovers.settle()

    def _end(
        self, run: ActiveRun, code: str | None, status: str, error: RunError | None, reason: str
    ) -> bool:
        """Record the end; return whether nobody else had recorded one before."""
        run.close()
        with self._objects.holding():  # until the fact is there, nothing else keeps the bytes
            return self._ledger.end(run.id, status, error, reason, self._keeping.keep(code))


def _told(error: BaseException | None) -> tuple[str, RunError | None, str]:
    """Return the status of a run whose block ended with ``error``, what is kept of it, and the reason."""
    if isinstance(error, KeyboardInterrupt):
        return "stopped", None, "interrupted"
    if error is None or (isinstance(error, SystemExit) and not error.code):
        return "finished", None, ""
    return "failed", _raised(error), ""


def _raised(error: BaseException) -> RunError:
    text = "".join(traceback.format_exception(error))
    return RunError(None, type(error).__name__, clean(str(error)), clean(text))
