"""Liveness: whether the process behind a run lives, told by file locks. Used by shelf and tracker.

A process id would lie after a restart and be given to somebody else; a lock is given back by the system
at the very moment its holder is gone.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import Conflict


class _Lock:
    """An open lock file."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


_locks: set[_Lock] = set()


class Liveness:
    """The locks of the runs that execute in one working copy of a project."""

    def __init__(self, state: Path) -> None:
        self._folder = state / "locks"
        self._at = f"{self._folder}{os.sep}"
        self.journals = state / "runs-journal"
        self._place = state / "place"
        self._here = ""

    @property
    def here(self) -> str:
        """This host and working copy, as recorded with each run: only what ran here can be judged here."""
        if not self._here:
            if not self._place.exists():
                made = self._place.with_name(f"place.{secrets.token_hex(4)}")
                made.write_text(secrets.token_hex(8), "utf-8")
                try:
                    os.link(made, self._place)  # the first one wins, and nobody ever reads half a name
                except FileExistsError:
                    pass
                finally:
                    made.unlink()
            self._here = f"{socket.gethostname()}:{self._place.read_text('utf-8').strip()}"
        return self._here

    def path(self, id: str) -> Path:
        """Return the file that the process behind the run or sweep ``id`` keeps locked."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return self._folder / id

    def held(self, id: str) -> bool:
        """Return whether a living process, this one included, holds the lock of ``id``."""
        return is_held(self._at + id)

    @contextmanager
    def hold(self, id: str) -> Iterator[None]:
        """Hold the lock of ``id`` during the block; raises ``Conflict`` if another process does."""
        with holding(self._at + id):
            yield

    def wait_until_free(self, ids: list[str], seconds: float = 30.0) -> list[str]:
        """Wait for processes that are on their way out.

        Return the ids that are still held when time is up.
        """
        deadline = time.monotonic() + seconds
        while held := [id for id in ids if self.held(id)]:
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        return held

    def forget(self, id: str) -> None:
        """Remove the lock file of a run that has ended for good."""
        with suppress(FileNotFoundError):
            os.unlink(self._at + id)


@contextmanager
def holding(path: str | Path) -> Iterator[None]:
    """Lock ``path`` during the block; raises ``Conflict`` if another process holds it."""
    # Python opens files so that no program that is started inherits them; a fork does, see _in_child
    try:
        lock = _Lock(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except FileNotFoundError:
        Path(path).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = _Lock(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    _locks.add(lock)
    try:
        deadline = time.monotonic() + 1.0
        while True:
            try:
                fcntl.flock(lock.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                # somebody may only be looking
                if time.monotonic() > deadline:
                    raise Conflict(f"{Path(path).name} is being executed by another process") from None
                time.sleep(0.01)
        yield
    finally:
        _locks.discard(lock)
        lock.close()


def is_held(path: str | Path) -> bool:
    """Return whether somebody holds the lock ``path``."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _in_child() -> None:
    """Let go of locks of the parent: a child that outlives it would make its runs look alive."""
    for lock in _locks:
        lock.close()
    _locks.clear()


os.register_at_fork(after_in_child=_in_child)
