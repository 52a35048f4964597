"""``mlops up``: chat, page, bot and worker with one command, all gone with it, however it goes."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.conftest import MakeProject
from tests.scenario.playing import environment

SECONDS = 90


@contextmanager
def started(root: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start ``mlops up`` and hand it out with what it said once everything answers."""
    process = subprocess.Popen(
        [sys.executable, "-m", "jupyter_mlops", "--project", str(root), "up"],
        env={**environment(), "MLOPS_ACTOR": "ann@example.com", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        try:
            said = ""
            assert process.stdout is not None
            for line in process.stdout:
                said += line
                if "Ctrl-C" in line:
                    break
            yield process, said
        finally:
            process.kill()


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_everything_comes_up_and_goes_together(make_project: MakeProject, ending: signal.Signals) -> None:
    project = make_project()
    with started(project.root) as (process, said):
        chat = re.search(r"chat +(\S+)", said)
        bo = re.search(r"page +(\S+) +\(bo@example\.com\)", said)
        assert chat is not None, said
        assert bo is not None, said
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        assert b"/ui/static/page.js" in urllib.request.urlopen(chat.group(1), timeout=20).read()
        assert b"bo@example.com" in browser.open(bo.group(1), timeout=20).read()
        everybody = psutil.Process(process.pid).children(recursive=True)
        assert len(everybody) >= 4
        process.send_signal(ending)
        process.wait(SECONDS)
        _, left = psutil.wait_procs(everybody, timeout=20)
        assert left == []
    if ending is signal.SIGINT:
        assert process.returncode == 130


def test_a_companion_that_ends_is_named(make_project: MakeProject) -> None:
    project = make_project()
    with started(project.root) as (process, _):
        (bot,) = [
            child
            for child in psutil.Process(process.pid).children(recursive=True)
            if child.cmdline()[-2:] == ["slack", "run"]
        ]
        bot.kill()
        deadline = time.monotonic() + SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        assert process.stdout is not None
        assert "the bot ended" in process.stdout.read()
        assert process.returncode == 3


def test_a_second_one_in_the_same_folder_leaves_the_first_alone(make_project: MakeProject) -> None:
    project = make_project()
    with started(project.root) as (first, said):
        before = (project.state / "simulator" / "simulator.json").read_text()
        with started(project.root) as (second, refused):
            second.wait(SECONDS)
        assert second.returncode == 3
        assert "the simulator ended" in refused
        assert (project.state / "simulator" / "simulator.json").read_text() == before
        assert first.poll() is None, said
