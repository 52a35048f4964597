"""The execution of a sweep: its runs handed to an executor, what comes of them recorded. Used by launch."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

from ..errors import MLOpsError
from ..objects import Entry, Objects
from ..people import Role
from .executor import Executor, Outcome, Task
from .ledger import Kept, Ledger, Member
from .liveness import Liveness
from .plain import canonical, clean
from .plan import Plan
from .run import RunError

_BETWEEN_QUESTIONS = 0.5


def default_workers() -> int:
    """Return how many runs execute at a time unless told: one a core, at most four."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(usable, 4)


class Execution:
    """Executes runs of one plan. The caller holds the sweep's lock until ``run`` returns."""

    def __init__(
        self, ledger: Ledger, liveness: Liveness, objects: Objects, executor: Executor, plan: Plan
    ) -> None:
        self._ledger = ledger
        self._liveness = liveness
        self._objects = objects
        self._executor = executor
        self._plan = plan
        self._stopping = threading.Event()

    def run(self, sweep: str, title: str, members: Sequence[Member]) -> None:
        """Execute ``members`` and show progress; an interrupt stops them all, records that and is raised."""
        workers = max(1, min(self._plan.workers, len(members)))
        tasks = {member.id: self._task(member, title, workers) for member in members}
        self._executor.prepare(list(tasks.values()))
        pool = ThreadPoolExecutor(workers, thread_name_prefix="run")
        try:
            futures = {pool.submit(self._one, task) for task in tasks.values()}
            with Progress(title, len(members)) as advance:
                while futures:
                    done, futures = wait(futures, timeout=0.5, return_when=FIRST_COMPLETED)
                    for future in done:
                        advance(future.result())
        except BaseException as error:
            self._stopping.set()
            pool.shutdown(wait=True, cancel_futures=True)
            reason = "interrupted" if isinstance(error, KeyboardInterrupt) else clean(f"gave up: {error}")
            self._ledger.stop_sweep(sweep, reason, Role.NONE)
            raise
        pool.shutdown()

    def _task(self, member: Member, experiment: str, workers: int) -> Task:
        notebook = self._plan.notebook
        inputs = {name: fixed.ref for name, fixed in self._plan.inputs_of(member.injected).items()}
        return Task(
            member.id,
            experiment,
            notebook.data,
            notebook.name,
            notebook.kernel,
            self._plan.folder,
            member.injected,
            notebook.codes,
            inputs,
            workers=workers,
        )

    def _one(self, task: Task) -> bool:
        """Execute one run and return whether it finished."""
        if self._stopping.is_set() or not self._ledger.begin_member(task.id):
            return False
        try:
            outcome = self._executor.run(task, self._question(task.id))
            return outcome is not None and self._record(task.id, outcome)
        except (MLOpsError, OSError) as error:
            # the run cannot be recorded as it went: say so in its place, and give up the sweep
            self._ledger.end(task.id, "failed", RunError(None, type(error).__name__, clean(str(error))))
            raise
        finally:
            self._liveness.forget(task.id)

    def _question(self, id: str) -> Callable[[], bool]:
        """Return a function that says whether the run is to stop; it asks the store now and then."""
        asked = time.monotonic()

        def stopped() -> bool:
            nonlocal asked
            if self._stopping.is_set():
                return True
            if time.monotonic() - asked < _BETWEEN_QUESTIONS:
                return False
            asked = time.monotonic()
            return not self._ledger.is_running(id)

        return stopped

    def _record(self, id: str, outcome: Outcome) -> bool:
        with self._objects.holding():  # until the fact is there, nothing else keeps the bytes
            kept = self._keep(outcome)
            ended = self._ledger.end(id, "failed" if outcome.error else "finished", outcome.error, kept=kept)
        return ended and outcome.error is None

    def _keep(self, outcome: Outcome) -> Kept:
        with self._objects.batch() as batch:
            sources = [
                Entry(path, 0o644, len(data), batch.put_bytes(data)) for path, data in outcome.sources.items()
            ]
            return Kept(
                batch.put_bytes(outcome.executed) if outcome.executed is not None else None,
                batch.put_tree(sources) if sources else None,
                batch.put_bytes(canonical(outcome.environment)) if outcome.environment else None,
            )


class Progress:
    """A bar over the runs of a sweep: in notebooks and terminals, not in log files."""

    def __init__(self, title: str, total: int) -> None:
        from tqdm.asyncio import tqdm_asyncio
        from tqdm.auto import tqdm

        # None: tqdm looks whether the output is a terminal, which it must not ask in a notebook
        hidden = None if tqdm is tqdm_asyncio else False
        self._bar = tqdm(total=total, desc=title, unit="run", disable=hidden)
        self._failed = 0

    def __enter__(self) -> Callable[[bool], None]:
        return self._advance

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def _advance(self, finished: bool) -> None:
        self._failed += not finished
        if self._failed:
            self._bar.set_postfix(failed=self._failed, refresh=False)
        self._bar.update()
