"""The launch: has notebooks executed, once or as sweeps, resumes and stops them. Used by ``Tracker``."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...config import duration
from ...datasets import Datasets
from ...errors import BadInput, Conflict, Failed, MLOpsError, NotFound
from ...objects import Objects
from ...objects.upkeep.reach import lacking
from ...people import Members, Role
from ...refs import check_name
from ...store import Store
from ..execution.executor import LOCAL, check_executor, open_executor
from ..execution.notebook import check_kernel, find_notebook, parse_notebook, read_notebook
from ..execution.sharing import default_workers
from ..finding.finder import Finder, text_of
from ..ledger import Ledger
from ..leftovers import Leftovers
from ..liveness import Liveness
from ..plain import checked_name, clean, storable
from ..run import Run
from ..runs import Runs, Sweep, decision
from ..shelf import Shelf
from ..tracking.capture import GitState, git_state
from .parameters import MOST_RUNS
from .plan import Plan, Sought, folder_of, planned
from .progress import Watch, shown
from .pruning import MEDIAN
from .queue import Queue
from .repetition import Repetition
from .roster import Lease, Roster
from .sweep import Execution

_MOST_WORKERS = 64
_MOST_RETRIES = 10
_UNASKED_RUNS = 1_000
_SOME = "--search random --trials 100 (search='random', trials=100)"
_LATEST = "@latest"
_DECIDES = "add --maximize auc or --minimize loss (maximize='auc')"


class TooMany(BadInput):
    """Raised for a sweep of very many runs, which somebody has to confirm."""

    def __init__(self, size: int) -> None:
        self.confirmable = size <= MOST_RUNS
        words = f"these are {size:,} runs"
        if self.confirmable:
            hint = f"--yes (confirm=True) executes them all; {_SOME} tries some"
        else:
            words = f"{words}, and {MOST_RUNS:,} are the most at a time"
            hint = f"try fewer values, or {_SOME}"
        super().__init__(words, hint)


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
        queue: Queue,
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
        self._roster = Roster(store, people, shelf, ledger)
        self.queue = queue
        self.repetition = Repetition(store, objects, datasets, root, shelf, finder)

    def execute(
        self,
        notebook: str | Path | None,
        parameters: Mapping[str, Any] | None = None,
        *,
        inputs: Mapping[str, Any] | None = None,
        sought: Sought,
        like: str | Run | None = None,
        maximize: str | None = None,
        minimize: str | None = None,
        experiment: str | None = None,
        workers: int | None = None,
        executor: str | None = None,
        wait: bool = True,
        cold: bool = False,
        limit: str | float | None = None,
        retries: int = 1,
        prune: bool | None = None,
        prune_after: int = 0,
        confirm: bool = False,
    ) -> Runs:
        """Execute ``notebook`` and return the runs; see ``Tracker.execute``."""
        metric, goal = decision(maximize, minimize)
        if metric is not None:
            checked_name(metric, "a metric")
        if like is not None:
            if sought != Sought(seed=sought.seed):
                raise BadInput(
                    "a run is executed again once, not searched around", "leave out grid, space and search"
                )
            run, plan = self.repetition.planned(like, notebook, parameters or {}, inputs or {})
            plan = replace(
                plan,
                executor=check_executor(executor or LOCAL),
                cold=bool(cold),
                seconds=_checked_limit(limit),
                retries=_checked_retries(retries),
                metric=metric or plan.metric,
                goal=goal or plan.goal,
            )
            check_name(experiment or run.experiment, "experiment")
            return self._begin(experiment or run.experiment, plan, wait)
        if notebook is None:
            raise BadInput(
                "no notebook is named", "name one, or the run to execute again: --like RUN (like=)"
            )
        path = find_notebook(notebook, self._root)
        name = path.relative_to(self._root).as_posix() if path.is_relative_to(self._root) else str(path)
        if experiment is None:
            # a notebook may be called what an experiment may not: "train (1).ipynb"
            experiment = " ".join(re.sub(r"[^\w.\- ]", " ", path.stem).split()).lstrip("-. ")[:100] or "runs"
        check_name(experiment, "experiment")
        at_a_time = _checked_workers(workers)
        read = read_notebook(path, name)
        folder = folder_of(path, self._root)
        plan = planned(read, folder, self._datasets, parameters or {}, inputs or {}, sought, at_a_time)
        if plan.strategy.adaptive and metric is None:
            raise BadInput("an optuna search needs to know what is good", _DECIDES)
        if plan.strategy.size > (MOST_RUNS if confirm else _UNASKED_RUNS):
            raise TooMany(plan.strategy.size)
        plan = replace(
            plan,
            executor=check_executor(executor or LOCAL),
            cold=bool(cold),
            seconds=_checked_limit(limit),
            retries=_checked_retries(retries),
            metric=metric,
            goal=goal,
            pruner=_pruner(prune, metric),
            prune_after=_checked_step(prune_after),
        )
        return self._begin(experiment, plan, wait)

    def _begin(self, experiment: str, plan: Plan, wait: bool) -> Runs:
        self._people.require(Role.CONTRIBUTOR)
        self._leftovers.settle()
        git = git_state(self._root)
        sweep = self._ledger.new_id()

        def begin(detached: bool) -> None:
            with self._objects.holding():
                digest = self._objects.put_bytes(plan.notebook.data)
                self._roster.begin(sweep, experiment, plan, digest, git, detached)

        if not wait:
            check_kernel(plan.notebook)
            begin(detached=True)
            return self._finder.sweep(sweep)
        with self._liveness.hold(sweep), self._executing(sweep, experiment, plan, git) as execution:
            execution.prepare(plan.strategy.size)
            check_kernel(plan.notebook)  # takes a while, in which templates import what they need
            begin(detached=False)
            self._perform(execution, sweep, plan)
        return self._finder.sweep(sweep)

    def resume(self, ref: str | Run | Runs | Sweep) -> Runs:
        """Execute the parameter sets of a sweep that have no finished run, and return the sweep.

        The notebook, the inputs and the parameters are those that were recorded when it began.
        """
        id = self._finder.sweep_id(text_of(ref))
        self._people.require(Role.CONTRIBUTOR)
        row = self._store.one("SELECT * FROM sweeps WHERE id = :id", id=id) or {}
        if row["status"] == "running" and row["detached"]:
            raise Conflict(f"sweep {id} is in the queue, for `mlops worker`", f"`mlops runs stop {id}` first")
        elsewhere = row["status"] == "running" and row["host"] != self._liveness.here
        if elsewhere:
            host = str(row["host"]).partition(":")[0]
            raise Conflict(f"sweep {id} runs on {host}", f"`mlops runs stop {id}` first, if it does not")
        with self._liveness.hold(id):
            self._await_members(id)
            plan = self._remembered(row)
            git = git_state(self._root)
            missing = self._roster.reopen(id, plan, git)
            self._leftovers.tidy()
            if missing:
                with self._executing(id, row["experiment"], plan, git) as execution:
                    execution.prepare(missing)
                    self._perform(execution, id, plan)
        return self._finder.sweep(id)

    def work(
        self,
        sweep: str,
        *,
        workers: int,
        lease: Callable[[], Lease],
        alive: Callable[[str], bool],
        stopped: Callable[[], bool],
    ) -> int:
        """Execute what is queued of a detached sweep, beside others that do; return how many runs it were.

        ``lease`` is asked for whenever a run is taken up, ``alive`` now and then whether it is still ours.
        """
        row = self._store.one("SELECT * FROM sweeps WHERE id = :id", id=sweep)
        if row is None:
            raise NotFound(f"there is no sweep '{sweep}'")
        plan = replace(self._remembered(row), workers=workers)
        if self._store.shared:
            self._fetch(plan)
        git = git_state(self._root)
        with self._executing(sweep, row["experiment"], plan, git, lease, alive) as execution:
            execution.prepare(self._roster.left(sweep))
            return execution.run(lambda: None, stopped)

    def stop(self, ref: str | Run | Runs | Sweep, reason: str = "") -> Run | Runs:
        """Stop a run, or a sweep with all that is left of it, and return it as it is then.

        ``EXPERIMENT@latest`` means the sweep, as for ``resume``, while that of the latest run goes on. The
        process that executes it notices within a second. Raises ``Conflict`` if it has ended already.
        """
        text = text_of(ref)
        storable(reason, "the reason")
        self._people.require(Role.OPERATOR)
        self._leftovers.settle()
        run = None if self._finder.is_sweep(text) else self._finder.get(text)
        if run is not None and run.sweep and text.endswith(_LATEST):
            sweep = self._finder.sweep(run.sweep).sweep
            run = None if sweep and sweep.status == "running" else run
        id = self._finder.sweep_id(text) if run is None else run.id
        done = (
            self._ledger.stop_run(id, reason) if run else self._ledger.stop_sweep(id, reason, Role.OPERATOR)
        )
        if not done:
            state = self._shelf.runs([id])[0].status if run else self._finder.sweep(id).sweep
            status = state.status if isinstance(state, Sweep) else state
            raise Conflict(f"{'run' if run else 'sweep'} {id} is {status} already")
        return self._shelf.runs([id])[0] if run else self._finder.sweep(id)

    def _remembered(self, row: Mapping[str, Any]) -> Plan:
        """Return the plan of a recorded sweep; raises where it cannot be executed here."""
        notebook = parse_notebook(self.queue.notebook(row), row["notebook"])
        plan = Plan.from_request(row["request"], notebook)
        if not (self._root / plan.folder).is_dir():
            raise NotFound(f"the notebook's folder {plan.folder} is gone", "put it back, then resume")
        check_kernel(notebook)
        return plan

    def _fetch(self, plan: Plan) -> None:
        """Have the bytes of a plan's inputs here: they may have been committed on another machine."""
        for fixed in plan.inputs.values():
            version = self._datasets.get(fixed.ref)
            if lacking(self._objects, [(version.digest, True)]):
                self._datasets.pull(version.ref)

    @contextmanager
    def _executing(
        self,
        sweep: str,
        experiment: str,
        plan: Plan,
        git: GitState,
        lease: Callable[[], Lease] | None = None,
        alive: Callable[[str], bool] | None = None,
    ) -> Iterator[Execution]:
        actor = self._people.actor.name
        executor = open_executor(plan.executor, self._root, self._state, actor, self._liveness)
        try:
            yield Execution(
                self._roster,
                self._ledger,
                self._liveness,
                self._objects,
                executor,
                sweep,
                experiment,
                plan,
                git,
                kept=self.repetition.kept(plan.like) if plan.like else None,
                hash_seed=self.repetition.hash_seed(plan.like) if plan.like else "",
                lease=lease,
                alive=alive,
            )
        finally:
            executor.close()

    def _perform(self, execution: Execution, sweep: str, plan: Plan) -> None:
        """Execute what is queued and show it; whatever ends that early is recorded, and raised."""
        try:
            with shown(
                Watch(self._store, self._shelf, sweep, plan), lambda: self._finder.sweep(sweep)
            ) as refresh:
                execution.run(refresh)
        except BaseException as error:
            reason = "interrupted" if isinstance(error, KeyboardInterrupt) else clean(f"gave up: {error}")
            # where that cannot be recorded, letting go of the lock says it
            with suppress(MLOpsError):
                self._ledger.stop_sweep(sweep, reason, Role.NONE)
                if isinstance(error, KeyboardInterrupt):
                    done = len(self._finder.sweep(sweep).finished)
                    error.add_note(
                        f"{done:,} of {plan.strategy.size:,} runs finished; "
                        f"`mlops runs resume {sweep}` executes what is missing"
                    )
            if isinstance(error, OSError) and not isinstance(error, MLOpsError):
                hint = f"what was recorded is kept: `mlops runs resume {sweep}` executes what is missing"
                raise Failed(f"sweep {sweep} cannot go on: {error}", hint) from error
            raise

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


def _checked_retries(retries: int) -> int:
    if isinstance(retries, bool) or not isinstance(retries, int) or not 0 <= retries <= _MOST_RETRIES:
        raise BadInput(f"retries must be a number from 0 to {_MOST_RETRIES}, not {retries!r}")
    return retries


def _checked_step(step: int) -> int:
    if isinstance(step, bool) or not isinstance(step, int) or step < 0:
        raise BadInput(f"prune_after must be a step, 0 or more, not {step!r}")
    return step


def _checked_limit(limit: str | float | None) -> float | None:
    """Return the time limit of a run in seconds; raises ``BadInput`` for what is no length of time."""
    if limit is None:
        return None
    seconds = duration(limit).total_seconds() if isinstance(limit, str) else limit
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < math.inf:
        raise BadInput(
            f"limit is {limit!r}, no length of time", "write 30s, 10m or 2h, or a number of seconds"
        )
    return float(seconds)


def _pruner(prune: bool | None, metric: str | None) -> str | None:
    """Return by which rule hopeless runs are stopped: by default there is one where the metric is known."""
    if prune and metric is None:
        raise BadInput("hopeless by which metric?", _DECIDES)
    return MEDIAN if prune is not False and metric is not None else None
