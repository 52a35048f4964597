"""The holder: which process has taken a row, told apart from one that died. For outbox and inbox."""

from __future__ import annotations

import os
import secrets
import socket

import psutil


def new_holder() -> str:
    """Return a token of this process, different at every call: host, process, its start, chance."""
    started = psutil.Process().create_time()
    return f"{socket.gethostname()}|{os.getpid()}|{started:.2f}|{secrets.token_hex(8)}"


def is_gone(holder: str) -> bool:
    """Tell whether the process that made ``holder`` has certainly ended; it ran on this host."""
    host, pid, started, _ = holder.rsplit("|", 3)
    if host != socket.gethostname():
        return False
    try:
        # a process number is used again, its starting time is not
        return abs(psutil.Process(int(pid)).create_time() - float(started)) > 0.05
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        return False
