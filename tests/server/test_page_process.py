"""The page's own server as `mlops up` starts it: a process that says when it is ready and ends on demand."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlops.project import Project
from jupyter_mlops.server.identity import page_links
from jupyter_mlops.server.page import READY_FILE, page_command
from tests.conftest import BO, MakeProject

from .conftest import Browser


@pytest.fixture
def project(make_project: MakeProject) -> Project:
    return make_project()


@pytest.fixture
def process(project: Project, tmp_path: Path, jp_environ: None) -> Iterator[subprocess.Popen[bytes]]:
    """The running server."""
    with (tmp_path / "page.log").open("wb") as log:
        running = subprocess.Popen(page_command(project.root), stdout=log, stderr=log, cwd=tmp_path)
        yield running
        running.kill()
        running.wait()


def ready(project: Project, process: subprocess.Popen[bytes]) -> Any:
    """Wait until the server says that it is ready."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if (project.state / READY_FILE).is_file():
            return json.loads((project.state / READY_FILE).read_text("utf-8"))
        time.sleep(0.05)
    raise AssertionError("the page did not start")


def test_the_page_runs_for_everybody_of_the_project_until_told_to_end(
    project: Project, process: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    url = ready(project, process)["url"]
    bo = Browser(url)
    link = page_links(project, url)[BO]
    assert bo.get(link.removeprefix(url)).status == 302
    assert bo.get("mlops/api/whoami").json()["name"] == BO
    assert bo.get("mlops/audit").status == 200
    assert bo.get("api/contents").status == 403
    assert Browser(url).get("mlops/api/whoami").status == 403

    process.send_signal(signal.SIGTERM)

    assert process.wait(30) == 0
    assert not (project.state / READY_FILE).exists()
    log = (tmp_path / "page.log").read_text("utf-8")
    assert "Traceback" not in log
    assert link.partition("token=")[2] not in log
