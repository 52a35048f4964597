"""Templates: started in the background for what a sweep will need. Used by ``LocalExecutor``."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path

from .... import lifeline
from . import template as script
from .doubt import Reading

_MOST_FORKS = 250
_TO_LISTEN = 30.0
_TO_LEAVE = 1.0
_BETWEEN_LOOKS = 0.005
_LONGEST_PATH = 80  # a socket's address holds 107 bytes, and kernels append to theirs
_RUNNER = "jupyter_mlops.runs.execution.child:serve"
_RUNNER_READY = ("jupyter_mlops.runs.execution.child:rehearse",)
_KERNEL_READY = ("jupyter_mlops.runs.tracking.imports",)
# an allocator that pyarrow has but does not use would start a thread when it is loaded
_ADDED = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}


class Template:
    """A process that forks."""

    def __init__(
        self,
        address: str,
        work: str,
        reading: Reading,
        ready: Sequence[str],
        environment: Mapping[str, str],
    ) -> None:
        added = {name: value for name, value in _ADDED.items() if name not in environment}
        if "PYTHONHASHSEED" not in environment:
            # forks hash alike, so what the hashes are is known, and told with the run
            added["PYTHONHASHSEED"] = str(secrets.randbelow(4294967295) + 1)
        self._address = address
        self.hash_seed = {**environment, **added}["PYTHONHASHSEED"]
        self.forks = 0
        config = {
            "work": work,
            "modules": list(reading.modules),
            "seeded": reading.seeded,
            "ready": list(ready),
            "left": [],
            "listener": None,
            "socket": address,
            "owner": os.getpid(),
            "added": list(added),
            "executable": sys.executable,
        }
        self._process = lifeline.spawn(
            [sys.executable, script.__file__, json.dumps(config)], env={**environment, **added}
        )

    @property
    def address(self) -> str:
        """Where it listens; waits until it does, which is long before it has imported anything."""
        deadline = time.monotonic() + _TO_LISTEN
        while not os.path.exists(self._address) and self._process.poll() is None:
            if time.monotonic() > deadline or not os.path.isdir(os.path.dirname(self._address)):
                break
            time.sleep(_BETWEEN_LOOKS)
        return self._address

    @property
    def usable(self) -> bool:
        """Return whether it lives and is not worn out."""
        return self._process.poll() is None and self.forks < _MOST_FORKS

    def close(self) -> None:
        """Let it end; what was forked from it goes on."""
        self._process.line.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(0)

    def wait(self, until: float) -> None:
        """Wait until it has ended, which one that imports is not asked for after ``until``."""
        try:
            self._process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Templates:
    """The templates of one executor, in a folder that only this user may enter. Used by several threads."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._folder: Path | None = None
        self._known: dict[tuple[object, ...], Template] = {}
        self._worn: list[Template] = []
        self._count = 0

    def runner(self, environment: Mapping[str, str]) -> Template:
        """Return the template of run processes."""
        return self._get((_RUNNER,), _RUNNER, Reading(), _RUNNER_READY, environment)

    def kernel(self, reading: Reading, environment: Mapping[str, str]) -> Template:
        """Return the template of kernels for notebooks that read as ``reading``."""
        lasting = tuple(sorted(script.lasting(environment).items()))
        key = ("kernel", reading, sys.executable, *sys.path, *_installed_at(), lasting)
        return self._get(key, "kernel", reading, _KERNEL_READY, environment)

    def place(self, name: str) -> Path:
        """Make and return a folder with a short path, for the sockets of one run."""
        with self._guard:
            folder = self._home() / name
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def close(self) -> None:
        """End all templates and wait until they are gone."""
        with self._guard:
            closing = [*self._known.values(), *self._worn]
            self._known, self._worn = {}, []
            try:
                for template in closing:
                    template.close()
                until = time.monotonic() + _TO_LEAVE
                for template in closing:
                    template.wait(until)
            finally:
                if self._folder is not None:
                    shutil.rmtree(self._folder, ignore_errors=True)
                    self._folder = None

    def _get(
        self,
        key: tuple[object, ...],
        work: str,
        reading: Reading,
        ready: Sequence[str],
        environment: Mapping[str, str],
    ) -> Template:
        with self._guard:
            home = self._home()
            found = self._known.get(key)
            if found is None or not found.usable:
                if found is not None:
                    found.close()
                    self._worn.append(found)
                self._count += 1
                found = Template(str(home / f"t{self._count}"), work, reading, ready, environment)
                self._known[key] = found
            found.forks += 1
            return found

    def _home(self) -> Path:
        if self._folder is not None and not self._folder.is_dir():
            # somebody cleared up: nobody can reach the templates any more
            for template in self._known.values():
                template.close()
            self._worn += self._known.values()
            self._known, self._folder = {}, None
        if self._folder is None:
            made = tempfile.mkdtemp(prefix="mlops-")
            if len(made) > _LONGEST_PATH:
                os.rmdir(made)
                made = tempfile.mkdtemp(prefix="mlops-", dir="/tmp")
            self._folder = Path(made)
            # a second Ctrl-C may cut short whoever would close this
            weakref.finalize(self, _remove, made, os.getpid())
        return self._folder


def _remove(folder: str, owner: int) -> None:
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


def _installed_at() -> tuple[int, ...]:
    """Return when something was last installed or removed."""
    found = []
    for name in ("purelib", "platlib"):
        with contextlib.suppress(OSError):
            found.append(os.stat(sysconfig.get_path(name)).st_mtime_ns)
    return tuple(found)
