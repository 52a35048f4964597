"""The fork: a process that a template forked for us, behind a line to its keeper. Used by executors."""

from __future__ import annotations

import contextlib
import json
import select
import signal
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any

_TO_START = 120.0


class Refused(Exception):
    """The template will not or cannot fork; the text says why, and nothing was started."""


class Keepers:
    """Lines of this process to keepers that have nothing to keep: the next fork is theirs, not one more's."""

    def __init__(self) -> None:
        self._free: dict[str, list[socket.socket]] = {}

    def take(self, address: str) -> socket.socket | None:
        """Return a line to a keeper of the template at ``address``, if there is one."""
        free = self._free.get(address)
        return free.pop() if free else None

    def give(self, address: str, line: socket.socket) -> None:
        """Have a line to a keeper of the template at ``address`` used again."""
        self._free.setdefault(address, []).append(line)


class Fork:
    """A working process behind a template's keeper. It dies when this line is closed, or its owner dies."""

    def __init__(
        self, connection: socket.socket, pid: int, waiting: bytes, address: str, keepers: Keepers | None
    ) -> None:
        self._line = connection
        self._waiting = waiting
        self._address = address
        self._keepers = keepers
        self._told = False
        self.pid = pid
        self.ready = False
        self.status: int | None = None

    def fileno(self) -> int:
        """Return what becomes readable when there is news."""
        return self._line.fileno()

    def poll(self) -> int | None:
        """Take what the keeper said meanwhile; return the exit status, ``None`` while the process lives."""
        self._take(b"")
        while self.status is None and self._readable(0):
            try:
                data = self._line.recv(4096)
            except OSError:
                data = b""
            if not data:
                self.status = -signal.SIGKILL  # the keeper was killed, and its child with it
                break
            self._take(data)
        return self.status

    def wait(self, seconds: float | None = None) -> int | None:
        """Wait until the process has ended; return its exit status, ``None`` when time is up."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while (status := self.poll()) is None:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return None
            self._readable(left)
        return status

    def send_signal(self, number: int) -> None:
        """Signal the process and its group, if they live."""
        if self.status is None:
            with contextlib.suppress(OSError):
                self._line.sendall(json.dumps({"signal": int(number)}).encode() + b"\n")

    def close(self) -> None:
        """Let go: the process, if it lives, and all it started is killed."""
        if self._told and self._keepers is not None:
            self._keepers.give(self._address, self._line)
            self._keepers = None
        else:
            self._line.close()

    def _readable(self, seconds: float | None) -> bool:
        poll = select.poll()
        poll.register(self._line, select.POLLIN)
        return bool(poll.poll(None if seconds is None else seconds * 1000))

    def _take(self, data: bytes) -> None:
        *lines, self._waiting = (self._waiting + data).split(b"\n")
        for line in lines:
            message: Mapping[str, Any] = json.loads(line)
            self.ready |= bool(message.get("ready"))
            if "exit" in message:
                self.status, self._told = int(message["exit"]), True


def fork(
    address: str,
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: str,
    output: int,
    errors: int,
    input: int | None = None,
    executable: str = "",
    calls: Sequence[tuple[str, Sequence[Any]]] = (),
    folders: Sequence[str] = (),
    keepers: Keepers | None = None,
    seconds: float = _TO_START,
) -> Fork:
    """Have the template at ``address`` fork a process, and return it; raises ``Refused``.

    Parameters
    ----------
    output, errors, input
        The descriptors that the process writes to and, if it reads anything, reads from.
    calls
        Functions that a kernel calls before its first cell, as ``module:function``, with their arguments.
    folders
        Where the kernel will find modules before installed ones, beside ``folder``.
    keepers
        Where a keeper is looked for that is free, and waits again when the process has ended.
    """
    request = {
        "arguments": list(arguments),
        "env": dict(environment),
        "cwd": folder,
        "executable": executable,
        "folders": list(folders),
        "calls": [[name, list(given)] for name, given in calls],
    }
    data = json.dumps(request).encode() + b"\n"
    given = [*([] if input is None else [input]), output, errors]
    if keepers is not None and (free := keepers.take(address)):
        with contextlib.suppress(Refused):  # what is wrong with it, a new one tells
            return Fork(free, *_asked(free, data, given, seconds), address, keepers)
    line = socket.socket(socket.AF_UNIX)
    try:
        line.connect(address)
    except OSError as error:
        line.close()
        raise _none(error) from error
    return Fork(line, *_asked(line, data, given, seconds), address, keepers)


def _asked(line: socket.socket, data: bytes, given: Sequence[int], seconds: float) -> tuple[int, bytes]:
    """Ask over a line for a fork; return its number, and what was said beside that. A refusal closes it."""
    try:
        line.settimeout(seconds)
        sent = socket.send_fds(line, [data], given)
        if rest := data[sent:]:  # even nothing cannot be sent to a template that has refused by now
            line.sendall(rest)
        answer = b""
        while not (part := answer.partition(b"\n"))[1]:
            more = line.recv(4096)
            if not more:
                raise Refused("the template was killed")
            answer += more
        message = json.loads(part[0])
        if "refused" in message:
            raise Refused(str(message["refused"]))
        return int(message["pid"]), part[2]
    except (OSError, ValueError) as error:
        line.close()
        raise _none(error) from error
    except Refused:
        line.close()
        raise


def _none(error: Exception) -> Refused:
    return Refused(f"there is no template ({error})")
