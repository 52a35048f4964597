"""The full disk: how it shows in an error of SQLite's, and what is said of it. Used by what keeps such files.

What works on the index, the notes or what is known of a remote says the same then, in one place.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import suppress
from pathlib import Path

from ..errors import StoreFailed

_WORKING_SPACE = 1 << 20
_HINT = "the disk is full: free some space and repeat; nothing was lost"


def failed(said: str, error: sqlite3.Error, path: Path, hint: str) -> StoreFailed:
    """Return the error to raise for what SQLite did with ``path``; ``hint`` unless the disk is full."""
    return StoreFailed(f"{said}: {error}", _HINT if is_full(error, path) else hint)


def is_full(error: sqlite3.Error, path: Path) -> bool:
    """Whether ``error`` came of a full disk below ``path``, a file that may not be there yet."""
    code = _code(error)
    if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN):
        # of its shared memory, and of a file that it cannot make, SQLite says only that it failed
        with suppress(OSError):
            return shutil.disk_usage(path.parent).free < _WORKING_SPACE
    return code == sqlite3.SQLITE_FULL


def is_held(error: sqlite3.Error) -> bool:
    """Whether another connection holds the file, so that the same may succeed in a moment."""
    return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _code(error: sqlite3.Error) -> int:
    # errors that are raised in Python have no code
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
