"""The errand: a process that outlives the command that sent it; nobody waits for it. Used by ``Project``."""

from __future__ import annotations

import os
import subprocess
import sys

from .lifeline import VARIABLE


def send(module: str, *words: str) -> None:
    """Start ``python -m module words`` on its own: no terminal, no lifeline, the lowest priority."""
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    # the first process ends at once, so that the second is nobody's child and leaves no zombie
    starter = (
        "import subprocess, sys; "
        "subprocess.Popen([sys.executable, '-m', *sys.argv[1:]], stdin=subprocess.DEVNULL, "
        "stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)"
    )
    subprocess.run(
        [sys.executable, "-I", "-S", "-c", starter, module, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
        check=False,
        timeout=30,
    )
