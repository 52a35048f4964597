"""Durability: what survives a loss of power. Used by whatever writes files in ``objects``.

A failed fsync is never tried again: the system marks the pages clean and the second call would lie.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from ..errors import MLOpsError, StoreFailed

_SYNCERS = 8
_UNSUPPORTED = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP)


def sync(descriptor: int) -> None:
    """Return when what was written to the open file would survive a loss of power."""
    import sys

    if sys.platform == "darwin":
        import fcntl

        try:
            # fsync of this system leaves the bytes in the drive's own cache
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
    os.fsync(descriptor)


def make_durable(path: Path) -> None:
    """Return when ``path``, a file or a folder, would survive a loss of power."""
    folder = path.is_dir()
    if folder and os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        sync(descriptor)
    except OSError as error:
        # some file systems cannot sync a folder; a failed write must never be taken for that
        if not (folder and error.errno in _UNSUPPORTED):
            raise
    finally:
        os.close(descriptor)


def make_all_durable(paths: Collection[Path]) -> None:
    """Return when all of ``paths`` would survive a loss of power; syncing several at once halves the wait."""
    if len(paths) <= _SYNCERS:
        for path in paths:
            make_durable(path)
        return
    with ThreadPoolExecutor(_SYNCERS) as pool:
        for _ in pool.map(make_durable, paths):
            pass


def make_folder(path: Path) -> None:
    """Make the folder ``path`` and those above it, durably; does nothing where it is there."""
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(exist_ok=True, mode=0o700)
    make_durable(path.parent)


def placed(temporary: Path, target: Path) -> None:
    """Rename a durable file to ``target``, durably."""
    make_folder(target.parent)
    temporary.replace(target)
    make_durable(target.parent)


@contextmanager
def storing() -> Iterator[None]:
    """Say plainly what kept the store from being written; a full disk is the common case."""
    try:
        yield
    except MLOpsError:
        raise
    except OSError as error:
        raise StoreFailed(
            f"the stored bytes could not be written: {error.strerror or error}",
            "free some space, or check who may write to .mlops, and repeat; nothing was changed",
        ) from error
