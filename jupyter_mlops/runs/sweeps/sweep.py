"""The execution of a sweep: its runs handed to an executor, what comes of them recorded. Used by launch."""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import replace

from ...errors import MLOpsError
from ...objects import Entry, Objects
from ..execution.executor import Executor, Outcome, Task, overdue
from ..ledger import Kept, Ledger
from ..liveness import Liveness
from ..plain import canonical, clean
from ..run import RunError
from ..tracking.capture import GitState
from ..tracking.imports import Imported
from .plan import Plan
from .pruning import Pruned
from .roster import Lease, Member, Roster

_BETWEEN_LOOKS = 0.5
_GRACE = 60.0


class Execution:
    """Executes the queued runs of a sweep. Where the sweep is not detached, the caller holds its lock.

    ``kept`` are sources that come before those of today. ``lease`` is asked for whenever a run is taken up;
    ``alive`` whether a run that executes is still ours.
    """

    def __init__(
        self,
        roster: Roster,
        ledger: Ledger,
        liveness: Liveness,
        objects: Objects,
        executor: Executor,
        sweep: str,
        experiment: str,
        plan: Plan,
        git: GitState,
        *,
        kept: Imported | None = None,
        hash_seed: str = "",
        lease: Callable[[], Lease] | None = None,
        alive: Callable[[str], bool] | None = None,
    ) -> None:
        self._roster = roster
        self._ledger = ledger
        self._liveness = liveness
        self._objects = objects
        self._executor = executor
        self._sweep = sweep
        self._experiment = experiment
        self._plan = plan
        self._git = git
        self._kept = kept or Imported()
        self._hash_seed = hash_seed
        self._lease = lease
        self._alive = alive or ledger.is_running
        self._workers = plan.workers
        # what is resumed or executed again shares the machine as it did then: that can change the last digits
        self._sharing = plan.workers if plan.like else max(1, min(plan.workers, plan.strategy.size))
        self._asking = threading.Lock()
        self._stopping = threading.Event()

    def prepare(self, size: int) -> None:
        """Have the executor start what so many runs will need; the sweep need not be recorded yet."""
        self._workers = max(1, min(self._plan.workers, size))
        known = itertools.islice(self._plan.known(), min(size, self._workers + 1))
        samples = [Member("", at, injected) for at, injected in enumerate(known)]
        while len(samples) < min(size, self._workers + 1):
            samples.append(Member("", len(samples), self._plan.given))
        self._executor.prepare([self._task(member) for member in samples])

    def run(self, refresh: Callable[[], None], stopped: Callable[[], bool] = lambda: False) -> int:
        """Execute runs until nothing is left or ``stopped`` says so, and return how many there were.

        ``refresh`` is called about twice a second. Whatever is raised, an interrupt too, ends the runs first.
        """
        pool = ThreadPoolExecutor(self._workers, thread_name_prefix="run")
        count = 0
        try:
            left = {pool.submit(self._work) for _ in range(self._workers)}
            while left:
                done, left = wait(left, timeout=_BETWEEN_LOOKS, return_when=FIRST_COMPLETED)
                count += sum(future.result() for future in done)
                if stopped():
                    self._stopping.set()
                refresh()
            return count
        finally:
            self._stopping.set()
            pool.shutdown(wait=True, cancel_futures=True)

    def _work(self) -> int:
        """Execute one run after another; return how many."""
        count = 0
        while not self._stopping.is_set() and (member := self._next()) is not None:
            self._one(member)
            count += 1
        return count

    def _next(self) -> Member | None:
        """Take up the next run; where sets depend on what was learnt, one is asked for first."""
        strategy, id = self._plan.strategy, self._sweep
        while not self._stopping.is_set():
            lease = self._lease() if self._lease else None
            if (member := self._roster.take(id, self._plan, lease)) or not strategy.adaptive:
                return member
            with self._asking:
                trials = self._roster.trials(id, strategy.names, self._plan.metric or "")
                if len(trials) >= strategy.size or not self._roster.is_open(id):
                    return None
                drawn = strategy.next(trials, self._plan.goal or "")
                self._roster.add(id, self._plan, drawn, len(trials), self._git)
        return None

    def _task(self, member: Member) -> Task:
        notebook = self._plan.notebook
        inputs = {name: fixed.ref for name, fixed in self._plan.inputs_of(member.injected).items()}
        return Task(
            member.id,
            self._experiment,
            notebook.data,
            notebook.name,
            notebook.kernel,
            self._plan.folder,
            member.injected,
            notebook.codes,
            inputs,
            self._plan.seconds,
            self._plan.cold,
            self._sharing,
            self._kept.files,
            self._kept.paths,
            self._hash_seed,
        )

    def _one(self, member: Member) -> None:
        try:
            question = _Question(member.id, self._stopping, self._alive, self._plan.seconds)
            outcome = self._executor.run(self._task(member), question)
            if question.overdue and (outcome is None or outcome.stopped):
                outcome = replace(
                    outcome or Outcome(), error=overdue(self._plan.seconds or 0.0), stopped=False
                )
            if outcome is not None and outcome.stopped:
                self._keep_stopped(member, outcome)
            elif outcome is not None:
                self._record(member, outcome)
        except (MLOpsError, OSError) as error:
            # the run cannot be recorded as it went: say so in its place if possible, and give up the sweep
            self._stopping.set()
            with suppress(MLOpsError):
                told = RunError(None, type(error).__name__, clean(str(error)))
                self._ledger.end(member.id, "failed", told, token=member.token)
            raise
        finally:
            self._liveness.forget(member.id)

    def _record(self, member: Member, outcome: Outcome) -> None:
        error = outcome.error
        with self._objects.holding():  # until the fact is there, nothing else keeps the bytes
            kept = self._keep(outcome)
            if error is None:
                self._ledger.end(member.id, "finished", kept=kept, token=member.token)
            elif error.name == Pruned.__name__ and (reason := self._ledger.pruned(member.id)):
                self._ledger.end(member.id, "stopped", None, reason, kept, member.token)
            elif outcome.died and member.tries <= self._plan.retries and not self._stopping.is_set():
                self._roster.again(member, self._plan, error, kept)
            else:
                self._ledger.end(member.id, "failed", error, kept=kept, token=member.token)

    def _keep_stopped(self, member: Member, outcome: Outcome) -> None:
        """Keep how far a run came that somebody stopped, where that can be had."""
        with suppress(MLOpsError, OSError), self._objects.holding():
            self._ledger.keep(member.id, self._keep(outcome))

    def _keep(self, outcome: Outcome) -> Kept:
        with self._objects.batch() as batch:
            sources = [
                Entry(path, 0o644, len(data), batch.put_bytes(data)) for path, data in outcome.sources.items()
            ]
            return Kept(
                batch.put_bytes(outcome.executed) if outcome.executed is not None else None,
                batch.put_tree(sources) if sources else None,
                batch.put_bytes(canonical(outcome.environment)) if outcome.environment else None,
                outcome.warm,
                outcome.why,
            )


class _Question:
    """Whether a run is to stop: asked by its executor all the time, looked up in the store now and then."""

    def __init__(
        self, run: str, stopping: threading.Event, alive: Callable[[str], bool], seconds: float | None
    ) -> None:
        self._run = run
        self._stopping = stopping
        self._alive = alive
        self._asked = time.monotonic()
        # the limit is kept by the executor, which can say how far the run came; this is for one that does not
        self._deadline = math.inf if seconds is None else self._asked + seconds + _GRACE
        self.overdue = False

    def __call__(self) -> bool:
        if self._stopping.is_set():
            return True
        now = time.monotonic()
        self.overdue = self.overdue or now > self._deadline
        if self.overdue or now - self._asked < _BETWEEN_LOOKS:
            return self.overdue
        self._asked = now
        return not self._alive(self._run)
