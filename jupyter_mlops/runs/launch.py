"""The launch: has notebooks executed, once or as sweeps, resumes and stops them. Used by ``Tracker``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..datasets import Datasets
from ..errors import BadInput, Conflict, NotFound
from ..objects import Objects
from ..people import Members, Role
from ..refs import check_name
from ..store import Store
from .capture import git_state
from .executor import LOCAL, open_executor
from .finder import Finder, text_of
from .ledger import Ledger, Member
from .leftovers import Leftovers
from .liveness import Liveness
from .notebook import check_kernel, find_notebook, parse_notebook, read_notebook
from .plain import checked_name, storable
from .plan import Plan, folder_of, planned
from .run import Run
from .runs import Runs, Sweep, decision
from .shelf import Shelf
from .sweep import Execution, default_workers

_MOST_WORKERS = 64


class Launch:
    """Plans what is to be executed, records it and has it executed."""

    def __init__(
        self,
        store: Store,
        people: Members,
        objects: Objects,
        datasets: Datasets,
        root: Path,
        state: Path,
        shelf: Shelf,
        ledger: Ledger,
        liveness: Liveness,
        leftovers: Leftovers,
        finder: Finder,
    ) -> None:
        self._store = store
        self._people = people
        self._objects = objects
        self._datasets = datasets
        self._root = root
        self._state = state
        self._shelf = shelf
        self._ledger = ledger
        self._liveness = liveness
        self._leftovers = leftovers
        self._finder = finder

    def execute(
        self,
        notebook: str | Path,
        parameters: Mapping[str, Any] | None = None,
        *,
        inputs: Mapping[str, Any] | None = None,
        grid: Mapping[str, Any] | None = None,
        experiment: str | None = None,
        workers: int | None = None,
        maximize: str | None = None,
        minimize: str | None = None,
    ) -> Runs:
        """Execute ``notebook`` and return the runs; see ``Tracker.execute``."""
        metric, goal = decision(maximize, minimize)
        if metric is not None:
            checked_name(metric, "a metric")
        path = find_notebook(notebook, self._root)
        name = path.relative_to(self._root).as_posix() if path.is_relative_to(self._root) else str(path)
        if experiment is None:
            # a notebook may be called what an experiment may not: "train (1).ipynb"
            experiment = " ".join(re.sub(r"[^\w.\- ]", " ", path.stem).split()).lstrip("-. ")[:100] or "runs"
        check_name(experiment, "experiment")
        read = read_notebook(path, name)
        at_a_time = _checked_workers(workers)
        plan = planned(
            read,
            folder_of(path, self._root),
            self._datasets,
            parameters or {},
            inputs or {},
            grid,
            at_a_time,
        )
        check_kernel(read)
        self._people.require(Role.CONTRIBUTOR)
        self._leftovers.settle()
        git = git_state(self._root)
        sweep = self._ledger.new_id()
        with self._liveness.hold(sweep):
            with self._objects.holding():
                digest = self._objects.put_bytes(read.data)
                members = self._ledger.begin_sweep(sweep, experiment, plan, digest, metric, goal, git)
            self._execute(sweep, experiment, plan, members)
        return self._finder.sweep(sweep)

    def resume(self, ref: str | Run | Runs | Sweep) -> Runs:
        """Execute the parameter sets of a sweep that have no finished run, and return the sweep.

        The notebook, the inputs and the parameters are those that were recorded when it began.
        """
        id = self._finder.sweep_id(text_of(ref))
        self._people.require(Role.CONTRIBUTOR)
        row = self._store.one("SELECT * FROM sweeps WHERE id = :id", id=id) or {}
        elsewhere = row["status"] == "running" and row["host"] != self._liveness.here
        if elsewhere:
            host = str(row["host"]).partition(":")[0]
            raise Conflict(f"sweep {id} runs on {host}", f"`mlops runs stop {id}` first, if it does not")
        with self._liveness.hold(id):
            self._await_members(id)
            notebook = parse_notebook(self._objects.read(row["notebook_digest"]), row["notebook"])
            plan = Plan.from_request(row["request"], notebook)
            if not (self._root / plan.folder).is_dir():
                raise NotFound(f"the notebook's folder {plan.folder} is gone", "put it back, then resume")
            check_kernel(notebook)
            members = self._ledger.reopen_sweep(id, plan, git_state(self._root))
            self._leftovers.tidy()
            if members:
                self._execute(id, row["experiment"], plan, members)
        return self._finder.sweep(id)

    def stop(self, ref: str | Run | Runs | Sweep, reason: str = "") -> Run | Runs:
        """Stop a run, or a sweep with all that is left of it, and return it as it is then.

        The process that executes it notices within a second. Raises ``Conflict`` if it has ended already.
        """
        text = text_of(ref)
        storable(reason, "the reason")
        self._people.require(Role.OPERATOR)
        self._leftovers.settle()
        run = None if self._finder.is_sweep(text) else self._finder.get(text)
        id = self._finder.sweep_id(text) if run is None else run.id
        done = (
            self._ledger.stop_run(id, reason) if run else self._ledger.stop_sweep(id, reason, Role.OPERATOR)
        )
        if not done:
            state = self._shelf.runs([id])[0].status if run else self._finder.sweep(id).sweep
            status = state.status if isinstance(state, Sweep) else state
            raise Conflict(f"{'run' if run else 'sweep'} {id} is {status} already")
        return self._shelf.runs([id])[0] if run else self._finder.sweep(id)

    def _execute(self, sweep: str, experiment: str, plan: Plan, members: Sequence[Member]) -> None:
        actor = self._people.actor.name
        executor = open_executor(LOCAL, self._root, self._state, actor, self._liveness)
        try:
            Execution(self._ledger, self._liveness, self._objects, executor, plan).run(
                sweep, experiment, members
            )
        finally:
            executor.close()

    def _await_members(self, sweep: str) -> None:
        """Wait for processes of a killed execution that are on their way out."""
        rows = self._store.all(
            "SELECT id FROM runs WHERE sweep = :sweep AND status = 'running' AND host = :here",
            sweep=sweep,
            here=self._liveness.here,
        )
        ids = [row["id"] for row in rows]
        if held := self._liveness.wait_until_free(ids):
            raise Conflict(f"run {held[0]} of sweep {sweep} is still being executed", "try again in a minute")


def _checked_workers(workers: int | None) -> int:
    if workers is None:
        return default_workers()
    if isinstance(workers, bool) or not isinstance(workers, int) or not 1 <= workers <= _MOST_WORKERS:
        raise BadInput(f"workers must be a number from 1 to {_MOST_WORKERS}, not {workers!r}")
    return workers
