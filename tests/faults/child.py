"""The child of the laboratory: imports everything once, then forks for every order. Run by ``laboratory``.

An order is a line of JSON on standard input, an answer one on standard output.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from jupyter_mlops import errors

from . import stories
from .calls import Calls

MODES = {"off": 0, "count": 1, "kill": 2, "fail": 3, "record": 4}
ALL_KINDS = 127


def preloaded() -> Any:
    """Return the library that sees every call, or ``None`` where there is none."""
    library = ctypes.CDLL(None)
    if not hasattr(library, "calls_arm"):
        return None
    library.calls_counted.restype = ctypes.c_long
    return library


def obey(order: dict[str, Any], library: Any) -> dict[str, Any]:
    """Run one story in a fork, do to it what the order says, and return what became of it."""
    reading, writing = os.pipe()
    started = time.monotonic()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _perform(order, library, writing)
    os.close(writing)
    timer = threading.Timer(order.get("after", 0), os.kill, (pid, signal.SIGKILL))
    told: list[str] = []
    with os.fdopen(reading, "rb") as pipe:
        if order.get("acks") == 0:
            timer.start()
        for line in pipe:
            told.append(line.decode().rstrip("\n"))
            if len(told) == order.get("acks"):
                timer.start()
    timer.cancel()
    if timer.ident is not None:
        timer.join()
    _, status = os.waitpid(pid, 0)
    return {
        "status": os.waitstatus_to_exitcode(status),
        "told": told,
        "calls": library.calls_counted(),
        "seconds": time.monotonic() - started,
    }


def _perform(order: dict[str, Any], library: Any, writing: int) -> None:
    def told(line: str) -> None:
        tell(writing, line.encode() + b"\n")
        library.calls_mark(line.encode())

    status, tell = 1, os.write  # the pipe is none of the calls that count
    try:
        root = Path(order["root"])
        if order.get("pragma"):
            _with_pragma(order["pragma"])
        if order.get("mode", "off") != "off":
            library.calls_arm(
                os.fsencode(order.get("watched", root)),
                MODES[order["mode"]],
                order.get("at", 0),
                order.get("kinds", ALL_KINDS),
                order.get("error", 0),
                int(order.get("sticky", False)),
                os.fsencode(order.get("log", "")),
                os.fsencode(order.get("deaf", "")),
            )
        stories.STORIES[order["story"]](root, told, **order.get("given", {}))
        status = 0
    except errors.MLOpsError as error:
        told(f"refused {type(error).__name__}: {error}")
        status = 3
    except BaseException as error:
        told(f"raised {type(error).__name__}: {error}")
        if order.get("trace"):
            import traceback

            told(traceback.format_exc())
    finally:
        os._exit(status)


def _with_pragma(pragma: str) -> None:
    """Open every connection to the facts with one more setting: a control that must lose something."""
    from jupyter_mlops.store.sqlite import SQLiteEngine

    connect = SQLiteEngine.connect

    def careless(self: SQLiteEngine) -> Any:
        connection = connect(self)
        connection.execute(f"PRAGMA {pragma}")
        return connection

    SQLiteEngine.connect = careless  # type: ignore[method-assign]


def main() -> None:
    stories.silence()
    # what every fork would otherwise import again
    import polars
    import pyarrow.parquet  # noqa: F401

    import jupyter_mlops.datasets.datasets
    import jupyter_mlops.objects.objects  # noqa: F401

    del polars
    for number in range(1, 6):
        stories.letters(number)
    library = preloaded()
    print(json.dumps({"ready": library is not None}), flush=True)
    library = library or Calls()
    for line in sys.stdin:
        print(json.dumps(obey(json.loads(line), library)), flush=True)


if __name__ == "__main__":
    main()
