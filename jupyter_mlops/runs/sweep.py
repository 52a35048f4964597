"""The execution of a sweep: its runs in processes of their own. Used by ``execute`` and ``resume``."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from .. import lifeline
from ..errors import MLOpsError
from ..objects import Entry, Objects
from ..people import Role
from .child import EXECUTED, INPUT, REQUEST, RESULT
from .ledger import Kept, Ledger, Member
from .liveness import Liveness
from .plain import canonical, clean
from .plan import Plan
from .run import RunError

_BETWEEN_LOOKS = 0.1
_LOOKS_UNTIL_ASKED = 5
_LOG_LINES = 15


def default_workers() -> int:
    """Return how many runs execute at a time unless told: one a core, at most four."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(usable, 4)


class Execution:
    """Executes runs of one plan. The caller holds the sweep's lock until ``run`` returns."""

    def __init__(
        self,
        root: Path,
        state: Path,
        actor: str,
        ledger: Ledger,
        liveness: Liveness,
        objects: Objects,
        plan: Plan,
    ) -> None:
        self._root = root
        self._state = state
        self._actor = actor
        self._ledger = ledger
        self._liveness = liveness
        self._objects = objects
        self._plan = plan
        self._folder = root / plan.folder
        self._stopping = threading.Event()

    def run(self, sweep: str, title: str, members: Sequence[Member]) -> None:
        """Execute ``members`` and show progress; an interrupt stops them all, records that and is raised."""
        workers = max(1, min(self._plan.workers, len(members)))
        pool = ThreadPoolExecutor(workers, thread_name_prefix="run")
        try:
            futures = {pool.submit(self._one, member, workers) for member in members}
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

    def _one(self, member: Member, workers: int) -> bool:
        """Execute one run and return whether it finished."""
        if self._stopping.is_set() or not self._ledger.begin_member(member.id):
            return False
        work = self._state / "runs" / member.id
        try:
            work.mkdir(parents=True, mode=0o700)
            self._prepare(work, member)
            with (work / "log").open("wb") as log:
                process = lifeline.spawn(
                    [sys.executable, "-P", "-m", "jupyter_mlops.runs.child", str(work)],
                    env=self._environment(member.id, workers),
                    cwd=work,
                    stdout=log,
                    stderr=log,
                )
                if not self._waited(member.id, process):
                    return False
            return self._record(member.id, work, process.returncode)
        except (MLOpsError, OSError) as error:
            # the run cannot be recorded as it went: say so in its place, and give up the sweep
            self._ledger.end(member.id, "failed", RunError(None, type(error).__name__, clean(str(error))))
            raise
        finally:
            shutil.rmtree(work, ignore_errors=True)
            self._liveness.forget(member.id)

    def _prepare(self, work: Path, member: Member) -> None:
        (work / INPUT).write_bytes(self._plan.notebook.data)
        request = {
            "parameters": dict(member.injected),
            "kernel": self._plan.notebook.kernel,
            "folder": str(self._folder),
            "root": str(self._root),
            "codes": self._plan.notebook.codes,
            "lock": str(self._liveness.path(member.id)),
        }
        (work / REQUEST).write_text(json.dumps(request, ensure_ascii=False), "utf-8")

    def _environment(self, id: str, workers: int) -> dict[str, str]:
        found = {
            **os.environ,
            "MLOPS_PROJECT": str(self._root),
            "MLOPS_RUN": id,
            "MLOPS_ACTOR": self._actor,
        }
        if workers > 1:
            # numerical libraries start a thread a core each, and would fight over them
            found.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))
        return found

    def _waited(self, id: str, process: lifeline.Follower) -> bool:
        """Wait for the run's process; return ``False`` if it was ended because somebody stopped the run."""
        looks = 0
        try:
            while True:
                try:
                    process.wait(_BETWEEN_LOOKS)
                    return True
                except subprocess.TimeoutExpired:
                    looks += 1
                asked = looks % _LOOKS_UNTIL_ASKED == 0 and not self._ledger.is_running(id)
                if self._stopping.is_set() or asked:
                    return False
        finally:
            # also after a good end: nothing that the notebook started outlives its run
            lifeline.end(process, grace=0)

    def _record(self, id: str, work: Path, status: int) -> bool:
        try:
            result: dict[str, Any] = json.loads((work / RESULT).read_text("utf-8"))
        except (OSError, ValueError):
            with self._objects.holding():  # until the fact is there, nothing else keeps the bytes
                self._ledger.end(id, "failed", _killed(status, work / "log"), kept=self._keep(work, {}))
            return False
        error = RunError(**result["error"]) if result["error"] else None
        with self._objects.holding():
            kept = self._keep(work, result)
            ended = self._ledger.end(id, "failed" if error else "finished", error, kept=kept)
        return ended and error is None

    def _keep(self, work: Path, result: dict[str, Any]) -> Kept:
        with self._objects.batch() as batch:
            executed = work / EXECUTED
            sources = [
                Entry(path, 0o644, blob.size, blob.digest)
                for path in result.get("sources", ())
                if (self._root / path).is_file() and (blob := batch.put_file(self._root / path))
            ]
            environment = result.get("environment")
            return Kept(
                batch.put_bytes(executed.read_bytes()) if executed.is_file() else None,
                batch.put_tree(sources) if sources else None,
                batch.put_bytes(canonical(environment)) if environment else None,
            )


def _killed(status: int, log: Path) -> RunError:
    if status < 0:
        name = signal.Signals(-status).name if -status in {s.value for s in signal.Signals} else str(-status)
        return RunError(None, "ProcessKilled", f"the run's process was killed by {name}")
    try:
        lines = log.read_text("utf-8", errors="replace").splitlines()[-_LOG_LINES:]
    except OSError:
        lines = []
    message = f"the run's process ended with status {status}"
    return RunError(None, "ProcessEnded", message, clean("\n".join(lines)))


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
