"""Runs: starts, executes, finds, stops and resumes them. Handed out by ``Project`` as ``project.runs``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..datasets import Datasets
from ..errors import BadInput
from ..objects import Objects
from ..people import Members
from ..store import Store
from .artifact import LoadModel, SaveModel
from .comparing.comparison import Comparison, compared, compared_closely
from .comparing.leaderboard import Leaderboard, leaderboard_of, parts_asked
from .comparing.reproduction import TOLERANCE, Reproduction
from .finding.finder import Finder
from .ledger import Ledger
from .leftovers import Leftovers
from .liveness import Liveness
from .removal import Removal
from .run import Run
from .runs import Runs, Sweep
from .shelf import Shelf
from .sweeps.launch import Launch
from .sweeps.plan import Sought
from .sweeps.queue import Queue
from .sweeps.roster import Lease, Roster
from .tracking import context
from .tracking.active import ActiveRun
from .tracking.tracking import Tracking


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
        root = root.resolve()
        liveness = Liveness(state)
        self._shelf = shelf = Shelf(store, objects, liveness, load_model)
        ledger = Ledger(store, people, shelf)
        self._finder = finder = Finder(store, shelf)
        self.queue = queue = Queue(store, objects, shelf, Roster(store, people, shelf, ledger))
        self._leftovers = leftovers = Leftovers(state, shelf, ledger, liveness, queue)
        finder.settle = leftovers.settle
        self._tracking = Tracking(
            store, people, objects, datasets, root, shelf, ledger, liveness, leftovers, save_model
        )
        self._launch = Launch(
            store, people, objects, datasets, root, state, shelf, ledger, liveness, leftovers, finder, queue
        )
        self._removal = Removal(store, people, shelf, finder, leftovers)
        context.follow(datasets, root)

    def start(
        self,
        experiment: str,
        parameters: Mapping[str, Any] | None = None,
        inputs: Mapping[str, Any] | None = None,
        *,
        code: str | None = None,
    ) -> AbstractContextManager[ActiveRun]:
        """Record the block as a run of ``experiment``: finished at its end, failed if it raises.

        Parameters
        ----------
        inputs
            Dataset refs by name. Loads of these datasets inside the block give these versions.
        code
            The text of the code in the block, where it is in no file: a notebook's cell.
        """
        return self._tracking.start(experiment, parameters, inputs, code=code)

    def execute(
        self,
        notebook: str | Path | None = None,
        parameters: Mapping[str, Any] | None = None,
        *,
        inputs: Mapping[str, Any] | None = None,
        grid: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        space: Mapping[str, Any] | None = None,
        search: str | Sequence[Mapping[str, Any]] = "grid",
        trials: int | None = None,
        maximize: str | None = None,
        minimize: str | None = None,
        experiment: str | None = None,
        workers: int | None = None,
        executor: str | None = None,
        like: str | Run | None = None,
        wait: bool = True,
        cold: bool = False,
        limit: str | float | None = None,
        retries: int = 1,
        seed: int | None = None,
        prune: bool | None = None,
        prune_after: int = 0,
        confirm: bool = False,
    ) -> Runs:
        """Execute ``notebook`` once, or once for each parameter set of a search; return the runs as a sweep.

        Whatever is wrong with the request raises before anything starts; a run that fails raises nothing.

        Parameters
        ----------
        parameters
            Values for names that the notebook's parameters cell declares; texts are read by its types.
        inputs
            Dataset refs by name. They are resolved once, for all runs; a parameter of that
            name gets the version.
        grid
            Values to try, by parameter: every combination. Or a list of parameter sets.
        space
            What may be drawn, by parameter: ``(low, high)``, ``(low, high, "log")``, a list to choose from,
            or a text such as ``"0.01:10:log"``.
        search
            ``grid``, ``list``, ``random`` or ``optuna``, which learns from what earlier runs gave.
        trials
            How many sets a ``random`` or ``optuna`` search tries.
        maximize, minimize
            The metric by which the best run is told.
        workers
            How many runs execute at a time; by default one a core, at most four.
        executor
            Where: ``local`` or an installed one.
        like
            A run to execute again: with its notebook unless one is given, its sources, parameters and data.
            What ``parameters`` and ``inputs`` name is changed. ``reproduction`` then compares the two.
        wait
            ``False`` queues the runs for whoever works at this project, and returns at once.
        cold
            Start every kernel anew.
        limit
            How long a run may take: ``"10m"``, or seconds. Longer ones fail.
        retries
            How often a run is tried again whose kernel died.
        seed
            What random draws depend on; the same seed draws the same sets.
        prune
            Whether runs are stopped that ``report`` shows to be worse than the median of others at that
            step. By default they are where the metric is declared.
        prune_after
            The step before which no run is stopped so.
        confirm
            Needed for more than 1,000 runs.
        """
        return self._launch.execute(
            notebook,
            parameters,
            inputs=inputs,
            sought=Sought(grid, space, search, trials, seed),
            like=like,
            maximize=maximize,
            minimize=minimize,
            experiment=experiment,
            workers=workers,
            executor=executor,
            wait=wait,
            cold=cold,
            limit=limit,
            retries=retries,
            prune=prune,
            prune_after=prune_after,
            confirm=confirm,
        )

    def reproduction(
        self, ref: str | Run, original: str | Run | None = None, tolerance: float = TOLERANCE
    ) -> Reproduction:
        """Hold a run against the one it was executed like, or against ``original``.

        Metrics are close that differ by less than ``tolerance``, in proportion.
        """
        return self._launch.repetition.reproduction(ref, original, tolerance)

    def resume(self, ref: str | Run | Runs | Sweep) -> Runs:
        """Execute the parameter sets of a sweep that have no finished run, and return the sweep.

        The notebook, the inputs and the parameters are those that were recorded when it began.
        """
        return self._launch.resume(ref)

    def work(
        self,
        sweep: str,
        *,
        workers: int,
        lease: Callable[[], Lease],
        alive: Callable[[str], bool],
        stopped: Callable[[], bool],
    ) -> int:
        """Execute what is queued of a detached sweep, for ``mlops worker``; return how many runs it were."""
        return self._launch.work(sweep, workers=workers, lease=lease, alive=alive, stopped=stopped)

    def executed_by(self, worker: str) -> Runs:
        """Return the runs that a worker took up, in order, but for those that were tried again since."""
        return self._finder.executed_by(worker)

    def stop(self, ref: str | Run | Runs | Sweep, reason: str = "") -> Run | Runs:
        """Stop a run, or a sweep with all that is left of it, and return it as it is then.

        The process that executes it notices within a second. Raises ``Conflict`` if it has ended already.
        """
        return self._launch.stop(ref, reason)

    def get(self, ref: str | Run | Runs | Sweep) -> Run:
        """Return one run: id or its beginning, ``<experiment>@latest``, ``<experiment or sweep>@best``."""
        return self._finder.get(ref)

    def named(self, ref: str | Run | Runs | Sweep) -> Run | Runs:
        """Return what ``ref`` names: the runs of a sweep where it is a sweep's id, else one run."""
        return self._finder.named(ref)

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
            Such as ``metrics.auc > 0.8 and parameters.penalty = 'l1'``, also ``tags.``, ``inputs.``,
            ``attributes.`` and ``text matches 'word other*'``. The whole grammar is in `docs/search.md`.
        order_by
            Such as ``metrics.auc desc``, or a list of such. Runs without a value come last.
        limit
            At most so many; ``None`` for all.
        """
        found = self._finder.search(where, order_by, limit, experiment)
        return replace(found, asked=parts_asked(where, order_by))

    def note(self, ref: str | Run | Runs | Sweep, text: str) -> Run:
        """Write a note beside a run, in place of the one before, and return the run."""
        return self._removal.note(ref, text)

    def remove(self, ref: str | Run | Runs | Sweep, reason: str = "") -> Run | Runs:
        """Hide a run, or a sweep with all its runs, and return it; ``restore`` brings it back.

        ``gc`` frees its bytes later. Raises ``Conflict`` while it runs, and if a model was made from it.
        """
        return self._removal.remove(ref, reason)

    def restore(self, ref: str | Run | Runs | Sweep) -> Run | Runs:
        """Bring a removed run, or the removed runs of a sweep, back, and return it.

        Raises ``Conflict`` if bytes of it are gone.
        """
        return self._removal.restore(ref)

    def compare(self, *refs: str | Run) -> Comparison:
        """Return runs side by side; two of them down to environment, sources and executed notebook."""
        if len(refs) < 2:
            raise BadInput("comparing needs two runs or more", "name another one")
        runs = tuple(self.get(ref) for ref in refs)
        return compared_closely(*runs) if len(runs) == 2 else compared(runs)

    def leaderboard(
        self, where: str = "", order_by: str | None = None, experiment: str | None = None, limit: int = 100
    ) -> Leaderboard:
        """Return runs as a leaderboard: in a notebook with controls to sort, filter, pick and compare.

        Without ``order_by`` an experiment's stand by the metric last declared for it, others newest first.
        """
        return leaderboard_of(self._finder, where, order_by, experiment, limit)

    def sweep(self, ref: str | Run | Runs | Sweep) -> Runs:
        """Return the runs of a sweep in order, of each parameter set the newest."""
        return self._finder.sweep(ref)

    def sweeps(self, experiment: str | None = None, limit: int = 50) -> tuple[Sweep, ...]:
        """Return sweeps, the newest first."""
        return self._finder.sweeps(experiment, limit)

    def experiments(self) -> tuple[str, ...]:
        """Return the names of all experiments."""
        return self._finder.experiments()

    def check_experiment(self, name: str) -> None:
        """Raise ``NotFound`` where runs are known, and none of an experiment of that name."""
        self._finder.check_experiment(name)

    def roots(self) -> Iterator[tuple[str, str, bool]]:
        """Yield all stored bytes that runs need: whose they are, their digest, whether that is a tree's."""
        return self._shelf.roots()

    def settle(self) -> int:
        """Record as ended what killed processes left behind.

        Return how many runs. Reads show it so anyway.
        """
        return self._leftovers.settle()

    def attach(self, id: str) -> ActiveRun:
        """Return the running run that this process belongs to, to log to.

        Called in the kernel of an execution.
        """
        return self._tracking.attach(id)
