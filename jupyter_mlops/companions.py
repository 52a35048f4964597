"""Companions: the processes that stand beside a project, bot, simulator, page, worker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import Failed
from .lifeline import end, spawn
from .project import Project

SIMULATOR_FOLDER = "simulator"
_SIMULATOR_READY, _PAGE_READY = "simulator.json", "page.json"
_LOGS = "logs"
_START_SECONDS = 60.0


class Companions:
    """Starts companions and ends them together; each dies with this process, however it ends."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._logs = project.state / _LOGS
        self._logs.mkdir(exist_ok=True)

    def __enter__(self) -> Companions:
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(list(self._running.values())):
            end(process)
        self._running.clear()

    def start(
        self,
        name: str,
        *words: str,
        module: str = "jupyter_mlops",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start ``mlops WORDS`` on the project; what it says goes to a log in the project's state."""
        with self._log(name).open("ab") as log:
            self._running[name] = spawn(
                [sys.executable, "-m", module, "--project", str(self._project.root), *words],
                env={**os.environ, "MLOPS_ACTOR": self._project.actor.name, **(environment or {})},
                cwd=str(self._project.root),
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def start_simulator(self, port: int = 0) -> dict[str, Any]:
        """Start the local Slack and return its addresses and tokens once it answers."""
        ready = self._project.state / SIMULATOR_FOLDER / _SIMULATOR_READY
        before = _stamp(ready)
        self.start("simulator", "slack", "simulate", "--port", str(port))
        found: dict[str, Any] = self._when_written("simulator", ready, before)
        return found

    def start_page(self, port: int = 0) -> dict[str, Any]:
        """Start the page and return its address and the link of each person once it answers."""
        ready = self._project.state / _PAGE_READY
        before = _stamp(ready)
        # a server of its own kind: no verb of ours, because the faces stand above the verbs
        self.start("page", "--port", str(port), module="jupyter_mlops.server")
        found: dict[str, Any] = self._when_written("page", ready, before)
        return found

    def start_bot(self, simulator: Mapping[str, Any] | None = None, page: str = "") -> None:
        """Start the bot, on the given simulator or with the tokens of the environment on Slack."""
        environment = {"MLOPS_PAGE_URL": page} if page else {}
        if simulator is not None:
            environment |= {
                "SLACK_API_URL": simulator["api_url"],
                "SLACK_BOT_TOKEN": simulator["bot_token"],
                "SLACK_APP_TOKEN": simulator["app_token"],
            }
        self.start("bot", "slack", "run", environment=environment)

    def check(self) -> None:
        """Raise ``Failed`` if a companion ended by itself."""
        for name, process in self._running.items():
            if process.poll() is not None:
                raise Failed(f"the {name} ended: {self._last_words(name)}", f"see {self._log(name)}")

    def _when_written(self, name: str, path: Path, before: tuple[int, int] | None) -> Any:
        """Return the JSON that companion ``name`` writes to ``path``; ``before`` stamps an older one."""
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            self.check()
            if _stamp(path) not in (None, before):
                return json.loads(path.read_text("utf-8"))
            time.sleep(0.05)
        raise Failed(f"the {name} did not start within {_START_SECONDS:g} s", f"see {self._log(name)}")

    def _log(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def _last_words(self, name: str) -> str:
        lines = self._log(name).read_text("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


def _stamp(path: Path) -> tuple[int, int] | None:
    """Return what tells one writing of a file from the next, or ``None`` where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns
