"""Every command that the README shows is typed here, in order, in what the demo left."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scenario.playing import Demo, environment

pytestmark = pytest.mark.xdist_group("demo")
ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
# these two are the set-up itself, and run by .ci/run
SET_UP = ["make demo", "make test"]


def commands() -> list[str]:
    blocks = re.findall(r"^```console\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    return [
        line.removeprefix("$ ") for block in blocks for line in block.splitlines() if line.startswith("$ ")
    ]


def test_the_set_up_is_two_commands_and_ci_runs_them() -> None:
    assert commands()[:2] == SET_UP
    checked = (ROOT / ".ci" / "run").read_text()
    assert all(f"{command} " in checked for command in SET_UP)


def test_every_other_command_does_what_it_says(demo: Demo, tmp_path: Path) -> None:
    shutil.copytree(demo.folder, tmp_path / "mlops-demo")
    script = [
        "set -e",
        *(line for line in commands() if line not in SET_UP and not line.startswith(". .venv")),
    ]
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=tmp_path,
        env={**environment(), "PATH": f"{Path(sys.executable).parent}:{environment()['PATH']}"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr


def test_every_picture_and_file_that_it_names_is_there() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert (ROOT / target).exists(), target
