"""The lock of a store: many writers, or one collector of garbage. Taken by ``Objects``.

The system gives a lock back when its process ends, however it ends, so none is ever stale.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import Conflict
from .durable import make_folder, storing

NAME = "lock"
_POLL = 0.05


@contextmanager
def shared(folder: Path) -> Iterator[None]:
    """Keep what is stored from being collected while the block runs; waits for a collection to end."""
    with _held(folder, False, None):
        yield


@contextmanager
def exclusive(folder: Path, wait: float = 10.0) -> Iterator[None]:
    """Be the only one who works on the store; raises ``Conflict`` if others still do after ``wait``."""
    with _held(folder, True, wait):
        yield


@contextmanager
def _held(folder: Path, alone: bool, wait: float | None) -> Iterator[None]:
    with storing():
        make_folder(folder)
        descriptor = os.open(folder / NAME, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = None if wait is None else time.monotonic() + wait
        while not _locked(descriptor, alone, block=deadline is None):
            if deadline is not None and time.monotonic() >= deadline:
                raise Conflict("the stored data is in use: a commit is running", "try again when it is done")
            time.sleep(_POLL)
        yield
    finally:
        os.close(descriptor)  # which gives the lock back


if sys.platform == "win32":
    import msvcrt
    import secrets

    _BYTES = 1 << 30

    def _locked(descriptor: int, alone: bool, block: bool) -> bool:
        """Whether the lock was got: writers lock one byte somewhere, a collector all of them."""
        os.lseek(descriptor, 0 if alone else secrets.randbelow(_BYTES), os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, _BYTES if alone else 1)
        except OSError:
            return False
        return True

    def in_use(folder: Path) -> int | None:
        """Mark ``folder`` as in use; this system cannot, so its age tells."""
        return None

    def removed_if_abandoned(folder: Path) -> bool | None:
        """Remove ``folder`` if nobody uses it any more; ``None``: that cannot be told here."""
        return None

else:
    import fcntl

    def _locked(descriptor: int, alone: bool, block: bool) -> bool:
        kind = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
        try:
            fcntl.flock(descriptor, kind if block else kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def in_use(folder: Path) -> int | None:
        """Mark ``folder`` as in use until the returned descriptor is closed or this process ends.

        Raises ``FileNotFoundError`` if it was taken for abandoned and removed meanwhile.
        """
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            folder.stat()
        except FileNotFoundError:
            os.close(descriptor)
            raise
        except OSError:  # no such locks on this file system
            os.close(descriptor)
            return None
        return descriptor

    def removed_if_abandoned(folder: Path) -> bool | None:
        """Remove ``folder`` if nobody uses it any more; ``None``: that cannot be told here."""
        try:
            descriptor = os.open(folder, os.O_RDONLY)
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            return False
        except OSError:
            return None
        finally:
            os.close(descriptor)
        return True
