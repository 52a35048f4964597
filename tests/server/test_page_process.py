"""The page's own server as `mlops up` starts it: a process that says when it is ready and ends on demand."""

from __future__ import annotations

import json
import signal
import stat
from collections.abc import Callable

from jupyter_mlops.server.identity import page_links
from jupyter_mlops.server.page import READY_FILE
from tests.conftest import BO, MakeProject

from .conftest import Browser, PageProcess


def test_the_page_runs_for_everybody_of_the_project_until_told_to_end(
    make_project: MakeProject, page_process: Callable[..., PageProcess]
) -> None:
    project = make_project()
    served = page_process(project)
    bo = served.person(BO)
    told = json.loads((project.state / READY_FILE).read_text("utf-8"))
    assert told == {"url": served.url, "links": page_links(project, served.url)}
    assert stat.S_IMODE((project.state / READY_FILE).stat().st_mode) == 0o600
    assert bo.get("mlops/api/whoami").json()["name"] == BO
    assert bo.get("mlops/audit").status == 200
    assert bo.get("api/contents").status == 403
    assert Browser(served.url).get("mlops/api/whoami").status == 403

    served.process.send_signal(signal.SIGTERM)

    assert served.process.wait(30) == 0
    assert not (project.state / READY_FILE).exists()
    log = served.log.read_text("utf-8")
    assert "Traceback" not in log
    assert page_links(project, served.url)[BO].partition("token=")[2] not in log
