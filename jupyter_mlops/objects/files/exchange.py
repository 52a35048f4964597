"""The exchange: renames that lose nothing, and calls for many files at once. Used by checkouts.

Python has none of them; they are asked of the system's C library, and where it cannot, callers do without.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

_HERE = -100  # AT_FDCWD
_NEW_ONLY = {"linux": 1, "darwin": 4}  # RENAME_NOREPLACE, RENAME_EXCL
_SWAP = {"linux": 2, "darwin": 2}  # RENAME_EXCHANGE, RENAME_SWAP
_WRITE = 2  # SYNC_FILE_RANGE_WRITE
_CLONE = 0x40049409  # FICLONE
_UNABLE = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)


def swapped(one: Path, other: Path) -> bool:
    """Let two files or folders take each other's place in one step; ``False`` if the system cannot."""
    return _renamed(one, other, _SWAP)


def moved(source: Path, target: Path) -> None:
    """Rename ``source`` to ``target``; raises ``FileExistsError`` if more than an empty folder is there."""
    try:
        if _renamed(source, target, _NEW_ONLY):
            return
    except FileExistsError:
        if source.is_dir() and not source.is_symlink():
            source.rename(target)  # which replaces an empty folder and nothing else
            return
        raise
    if source.is_dir():
        source.rename(target)
        return
    try:
        os.link(source, target)  # unlike a rename, it never replaces what appeared meanwhile
    except FileExistsError:
        raise
    except OSError as error:
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from error
        source.rename(target)  # no hard links on this file system
    else:
        source.unlink()


def can_clone(folder: Path) -> bool:
    """Return whether files in ``folder`` can share blocks until one of them is written."""
    one, other = folder / "one", folder / "other"
    try:
        one.write_bytes(b"x")
        return clone(one, other)
    finally:
        one.unlink(missing_ok=True)
        other.unlink(missing_ok=True)


def clone(source: Path, target: Path) -> bool:
    """Make ``target`` a new file that shares its blocks with ``source``; ``False`` where that cannot be."""
    if sys.platform == "darwin":
        library = _library()
        return not library.clonefile(os.fsencode(source), os.fsencode(target), 0)
    if not sys.platform.startswith("linux"):
        return False
    import fcntl

    with source.open("rb") as reader, target.open("xb") as writer:
        try:
            fcntl.ioctl(writer.fileno(), _CLONE, reader.fileno())
            return True
        except OSError:
            target.unlink()
            return False


def all_durable(folder: Path) -> bool:
    """Make all that was written to the file system of ``folder`` durable; ``False`` if the system cannot."""
    library = _library()
    if not sys.platform.startswith("linux") or library is None or not hasattr(library, "syncfs"):
        return False
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if library.syncfs(descriptor):
            raise _error(folder)
    finally:
        os.close(descriptor)
    return True


def begin_writing(descriptor: int, start: int, size: int) -> None:
    """Let the system write these bytes of a file to the disk now, without waiting for it.

    Else it begins when the file is made durable, and all the time until then the disk has nothing to do.
    """
    library = _library()
    if sys.platform.startswith("linux") and hasattr(library, "sync_file_range"):
        offsets = ctypes.c_int64(start), ctypes.c_int64(size)
        library.sync_file_range(descriptor, *offsets, _WRITE)  # a hint; errors show in fsync


def _renamed(source: Path, target: Path, flags: dict[str, int]) -> bool:
    flag = flags.get(sys.platform)
    library = _library()
    if flag is None or library is None:
        return False
    names = os.fsencode(source), os.fsencode(target)
    if sys.platform == "darwin":
        failed = library.renamex_np(*names, flag)
    elif hasattr(library, "renameat2"):
        failed = library.renameat2(_HERE, names[0], _HERE, names[1], flag)
    else:  # a C library without it
        return False
    if not failed:
        return True
    if ctypes.get_errno() in _UNABLE:
        return False
    raise _error(target)


@cache
def _library() -> Any:
    if os.name != "posix":
        return None
    return ctypes.CDLL(None, use_errno=True)


def _error(path: Path) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), str(path))
