"""Runs: starts, executes, finds, stops and resumes them. Handed out by ``Project`` as ``project.runs``."""

from __future__ import annotations

import re
import shutil
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .. import lifeline
from ..datasets import Datasets
from ..errors import BadInput, Conflict, NotFound
from ..objects import Entry, Objects
from ..people import Members, Role
from ..refs import check_name
from ..store import Store
from . import context
from .active import ActiveRun
from .artifact import LoadModel, SaveModel
from .capture import environment, git_state, loaded_sources
from .comparison import Comparison, compared
from .finder import Finder, text_of
from .ledger import Kept, Ledger, Member
from .liveness import Liveness
from .notebook import check_kernel, find_notebook, parse_notebook, read_notebook
from .plain import checked_name, clean, plain, storable
from .plan import Plan, folder_of, planned, resolve_inputs
from .records import Records
from .run import Run, RunError
from .runs import Runs, Sweep, decision
from .shelf import Shelf
from .sweep import Execution, canonical, default_workers

_MOST_WORKERS = 64


class Tracker:
    """The runs of one project, seen by one actor."""

    def __init__(
        self,
        store: Store,
        people: Members,
        objects: Objects,
        datasets: Datasets,
        root: Path,
        state: Path,
        *,
        save_model: SaveModel | None = None,
        load_model: LoadModel | None = None,
    ) -> None:
        self._store = store
        self._people = people
        self._objects = objects
        self._datasets = datasets
        self._root = root.resolve()
        self._state = state
        self._save_model = save_model
        self._liveness = Liveness(state)
        self._shelf = Shelf(store, objects, self._liveness, load_model)
        self._ledger = Ledger(store, people, self._shelf)
        self._records = Records(store, people)
        self._finder = Finder(store, self._shelf)
        context.follow(datasets, self._root)

    @contextmanager
    def start(
        self,
        experiment: str,
        parameters: Mapping[str, Any] | None = None,
        inputs: Mapping[str, Any] | None = None,
        *,
        code: str | None = None,
    ) -> Iterator[ActiveRun]:
        """Record the block as a run of ``experiment``: finished at its end, failed if it raises.

        Parameters
        ----------
        inputs
            Dataset refs by name. Loads of these datasets inside the block give these versions.
        code
            The text of the code in the block, where it is in no file: a notebook's cell.
        """
        check_name(experiment, "experiment")
        given = {
            checked_name(name, "a parameter"): plain(value, f"parameter {name}")
            for name, value in (parameters or {}).items()
        }
        fixed = resolve_inputs(self._datasets, inputs or {})
        self._people.require(Role.CONTRIBUTOR)
        self.settle()
        git = git_state(self._root)
        id = self._ledger.new_id()
        with self._liveness.hold(id):
            self._ledger.begin_tracked(id, experiment, given, fixed, git)
            run = self._active(id, {each.asked: each.ref for each in fixed.values()})
            leave = context.entered(run, self._root)
            try:
                yield run
            except KeyboardInterrupt:
                self._end(id, code, "stopped", reason="interrupted")
                raise
            except BaseException as error:
                if isinstance(error, SystemExit) and not error.code:
                    self._end(id, code, "finished")
                else:
                    self._end(id, code, "failed", _raised(error))
                raise
            else:
                error_told = _raised(run.failure) if run.failure else None
                status = "failed" if error_told else "finished"
                self._end(id, code, status, error_told)
            finally:
                leave()
                run.refresh(self._shelf.runs([id])[0])
        self._liveness.forget(id)

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
        """Execute ``notebook`` once, or once for every combination of ``grid``; return the runs as a sweep.

        Whatever is wrong with the request raises before anything starts; a run that fails raises nothing.

        Parameters
        ----------
        parameters
            Values for names that the notebook's parameters cell declares; texts are read by its types.
        inputs
            Dataset refs by name. They are resolved once, for all runs; a parameter of that
            name gets the version.
        grid
            Values to try, by parameter.
        workers
            How many runs execute at a time; by default one a core, at most four.
        maximize, minimize
            The metric by which the best run is told.
        """
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
        self.settle()
        git = git_state(self._root)
        sweep = self._ledger.new_id()
        with self._liveness.hold(sweep):
            with self._objects.holding():
                digest = self._objects.put_bytes(read.data)
                members = self._ledger.begin_sweep(sweep, experiment, plan, digest, metric, goal, git)
            self._execute(sweep, experiment, plan, members)
        return self.sweep(sweep)

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
            self._tidy()
            if members:
                self._execute(id, row["experiment"], plan, members)
        return self.sweep(id)

    def stop(self, ref: str | Run | Runs | Sweep, reason: str = "") -> Run | Runs:
        """Stop a run, or a sweep with all that is left of it, and return it as it is then.

        The process that executes it notices within a second. Raises ``Conflict`` if it has ended already.
        """
        text = text_of(ref)
        storable(reason, "the reason")
        self._people.require(Role.OPERATOR)
        self.settle()
        run = None if self._finder.is_sweep(text) else self.get(text)
        id = self._finder.sweep_id(text) if run is None else run.id
        done = (
            self._ledger.stop_run(id, reason) if run else self._ledger.stop_sweep(id, reason, Role.OPERATOR)
        )
        if not done:
            state = self._shelf.runs([id])[0].status if run else self.sweep(id).sweep
            status = state.status if isinstance(state, Sweep) else state
            raise Conflict(f"{'run' if run else 'sweep'} {id} is {status} already")
        return self._shelf.runs([id])[0] if run else self.sweep(id)

    def get(self, ref: str | Run | Runs | Sweep) -> Run:
        """Return one run: id or its beginning, ``<experiment>@latest``, ``<experiment or sweep>@best``."""
        return self._finder.get(ref)

    def best(self, name: str) -> Run:
        """Return the best finished run of a sweep or experiment, by the metric last declared for it."""
        return self._finder.best(name)

    def search(
        self,
        where: str = "",
        order_by: str | Sequence[str] | None = None,
        limit: int | None = 50,
        experiment: str | None = None,
    ) -> Runs:
        """Return the runs that fit, the newest first or as ``order_by`` says.

        Parameters
        ----------
        where
            Such as ``metrics.auc > 0.8 and parameters.penalty = 'l1'``, also ``tags.`` and ``attributes.``.
        order_by
            Such as ``metrics.auc desc``, or a list of such. Runs without a value come last.
        limit
            At most so many; ``None`` for all.
        """
        return self._finder.search(where, order_by, limit, experiment)

    def compare(self, *refs: str | Run) -> Comparison:
        """Return runs side by side."""
        if len(refs) < 2:
            raise BadInput("comparing needs two runs or more")
        return compared(tuple(self.get(ref) for ref in refs))

    def sweep(self, ref: str | Run | Runs | Sweep) -> Runs:
        """Return the runs of a sweep in order, of each parameter set the newest."""
        return self._finder.sweep(ref)

    def sweeps(self, experiment: str | None = None, limit: int = 50) -> tuple[Sweep, ...]:
        """Return sweeps, the newest first."""
        return self._finder.sweeps(experiment, limit)

    def experiments(self) -> tuple[str, ...]:
        """Return the names of all experiments."""
        return self._finder.experiments()

    def roots(self) -> Iterator[tuple[str, str, bool]]:
        """Yield all stored bytes that runs need: whose they are, their digest, whether that is a tree's."""
        return self._shelf.roots()

    def settle(self) -> int:
        """Record as ended what killed processes left behind.

        Return how many runs. Reads show it so anyway.
        """
        count = self._ledger.settle()
        self._tidy()
        return count

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
        return self._active(id, fixed)

    def _active(self, id: str, fixed: Mapping[str, str]) -> ActiveRun:
        return ActiveRun(
            self._shelf.runs([id])[0], self._records, self._objects, self._datasets, fixed, self._save_model
        )

    def _execute(self, sweep: str, experiment: str, plan: Plan, members: Sequence[Member]) -> None:
        actor = self._people.actor.name
        Execution(self._root, self._state, actor, self._ledger, self._liveness, self._objects, plan).run(
            sweep, experiment, members
        )

    def _end(
        self, id: str, code: str | None, status: str, error: RunError | None = None, reason: str = ""
    ) -> None:
        with self._objects.holding():  # until the fact is there, nothing else keeps the bytes
            self._ledger.end(id, status, error, reason, self._keep(code))

    def _keep(self, code: str | None) -> Kept:
        with self._objects.batch() as batch:
            entries = [
                Entry(path, 0o644, blob.size, blob.digest)
                for path in loaded_sources(self._root)
                if (blob := batch.put_file(self._root / path))
            ]
            if code is not None:
                data = code.encode("utf-8", "replace")
                entries = [e for e in entries if e.path != "cell.py"]
                entries.append(Entry("cell.py", 0o644, len(data), batch.put_bytes(data)))
            sources = batch.put_tree(entries) if entries else None
            return Kept(None, sources, batch.put_bytes(canonical(environment())))

    def _tidy(self) -> None:
        """Remove the folders of runs that a killed execution left, and end processes that it left."""
        for work in (self._state / "runs").glob("*"):
            run = next(iter(self._shelf.runs([work.name])), None)
            if (run is None or run.ended) and not self._liveness.held(work.name):
                lifeline.end_marked(context.VARIABLE, [work.name])
                shutil.rmtree(work, ignore_errors=True)
                self._liveness.forget(work.name)

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


def _raised(error: BaseException) -> RunError:
    text = "".join(traceback.format_exception(error))
    return RunError(None, type(error).__name__, clean(str(error)), clean(text))
