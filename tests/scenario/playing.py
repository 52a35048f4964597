"""The demo as a newcomer starts it: one command in a fresh folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlops.project import Project, open_project

DEMO = [sys.executable, "-m", "jupyter_mlops", "demo"]
SECONDS = 420


@dataclass(frozen=True)
class Demo:
    """A demo that was played to its end: its folder and what it answered."""

    folder: Path
    answer: dict[str, Any]

    def open(self) -> Project:
        """Open what it left."""
        return open_project(self.folder, actor="ann@example.com")


def environment() -> dict[str, str]:
    """Return an environment in which nothing points at another project or at Slack."""
    return {
        key: value for key, value in os.environ.items() if not key.startswith(("MLOPS_", "SLACK_", "JUPYTER"))
    }


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The demo, played once without interruption."""
    folder = tmp_path_factory.mktemp("demo") / "mlops-demo"
    done = subprocess.run(
        [*DEMO, str(folder), "--json"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Demo(folder, json.loads(done.stdout))
