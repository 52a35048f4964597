"""Durability: what survives a loss of power. Used by whatever writes files in ``objects``.

A failed fsync is never tried again: the system marks the pages clean and the second call would lie.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from mmap import mmap
from pathlib import Path
from typing import BinaryIO

from ..errors import MLOpsError, StoreFailed
from .blob import Buffer

_SYNCERS = 8
_PIECE = 4 << 20
_UNSUPPORTED = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP)


def sync(descriptor: int) -> None:
    """Return when what was written to the open file would survive a loss of power."""
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


def write_durably(path: Path, parts: Iterable[Buffer]) -> None:
    """Write ``parts`` to the new file ``path`` and return when it would survive a loss of power.

    Long ones go past the page cache where the system can do that: filling it and waiting until it is empty
    takes several times as long as the disk does.
    """
    piece = memoryview(mmap(-1, _PIECE))  # begins at a page, as the disk's own access to memory asks for
    filled = 0
    with open(path, "xb", buffering=0) as file:
        for part in parts:
            left = memoryview(part)
            while left:
                count = min(len(left), _PIECE - filled)
                piece[filled : filled + count] = left[:count]
                left = left[count:]
                filled += count
                if filled == _PIECE:
                    _pass_cache(file, True)
                    _write(file, piece)
                    filled = 0
        _pass_cache(file, False)
        _write(file, piece[:filled])
        sync(file.fileno())


def _write(file: BinaryIO, data: memoryview) -> None:
    while data:
        try:
            data = data[file.write(data) :]
        except OSError as error:
            # not every file system that takes the flag can do it, and none can after a part of a block
            if error.errno != errno.EINVAL or not _pass_cache(file, False):
                raise


def _pass_cache(file: BinaryIO, wanted: bool) -> bool:
    """Switch whether writes pass the page cache, where the file system allows it; return whether it did."""
    if sys.platform != "linux":
        return False
    import fcntl

    flags = fcntl.fcntl(file, fcntl.F_GETFL)
    changed = flags | os.O_DIRECT if wanted else flags & ~os.O_DIRECT
    if changed == flags:
        return False
    try:
        fcntl.fcntl(file, fcntl.F_SETFL, changed)
    except OSError:
        return False
    return True


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
