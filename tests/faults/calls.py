"""The portable twin of ``calls.c``: sees the calls that Python makes, and the statements given to SQLite."""

from __future__ import annotations

import mmap
import os
import signal
import struct
from collections.abc import Callable
from typing import Any

from jupyter_mlops.store.sqlite import SQLiteEngine

OFF, COUNT, KILL, FAIL = 0, 1, 2, 3
_KINDS = {
    "mkdir": 32,
    "unlink": 16,
    "rmdir": 16,
    "replace": 8,
    "rename": 8,
    "link": 8,
    "fsync": 4,
    "write": 2,
    "pwrite": 2,
    "ftruncate": 64,
}


class Calls:
    """Counts calls by name wherever they happen; kills or fails at the Nth."""

    def __init__(self) -> None:
        self._count = mmap.mmap(-1, 8)  # shared with the parent, which reads it when this process was killed

    def calls_counted(self) -> int:
        return int(struct.unpack("q", self._count[:8])[0])

    def calls_mark(self, text: bytes) -> None:
        """Nothing is recorded here."""

    def calls_arm(
        self, root: bytes, mode: int, at: int, kinds: int, error: int, sticky: int, log: bytes, deaf: bytes
    ) -> None:
        del root, log, deaf
        self._count[:8] = struct.pack("q", 0)
        self._mode, self._at, self._error, self._sticky = mode, at, error, sticky
        for name, kind in _KINDS.items():
            if kind & kinds:
                setattr(os, name, self._watched(getattr(os, name)))
        execute = SQLiteEngine.execute

        def executing(engine: SQLiteEngine, connection: Any, sql: str, parameters: Any) -> Any:
            self._call()
            result = execute(engine, connection, sql, parameters)
            self._call()
            return result

        if mode != FAIL:
            SQLiteEngine.execute = executing  # type: ignore[assignment, method-assign]

    def _watched(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self._call()
            return real(*arguments, **named)

        return call

    def _call(self) -> None:
        number = self.calls_counted() + 1
        self._count[:8] = struct.pack("q", number)
        if self._mode == KILL and number == self._at:
            os.kill(os.getpid(), signal.SIGKILL)
        if self._mode == FAIL and (number == self._at or (self._sticky and number > self._at)):
            raise OSError(self._error, os.strerror(self._error))
