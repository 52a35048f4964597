"""A finished sweep is one message that says what ran and which run is best; its runs are none."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import nbformat
import pytest

from jupyter_mlops.charts import line, png
from jupyter_mlops.project import Project
from slackbot.simulator import Person, Simulator
from tests.slackbot.conftest import BO, TEAM_POLICY, Running

CODE = """
import jupyter_mlops as mlops
if C == 0:
    raise ValueError("C must not be 0 <!channel>")
mlops.log_metric("auc", 0.7 + C / 100)
"""


@pytest.fixture
def notebook(sqlite_project: Project) -> str:
    """A notebook of one parameter, in the project."""
    parameters = nbformat.v4.new_code_cell("C = 1.0", metadata={"tags": ["parameters"]})
    made = nbformat.v4.new_notebook(cells=[parameters, nbformat.v4.new_code_cell(CODE)])
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(made, sqlite_project.root / "train.ipynb")
    return "train.ipynb"


async def test_a_sweep_is_told_with_its_best_run_and_a_picture(
    sqlite_bot: Running, notebook: str, person: Callable[[str], Person]
) -> None:
    runs = sqlite_bot.project.runs.execute(
        notebook, grid={"C": [0, 1, 2]}, experiment="churn", maximize="auc"
    )
    await sqlite_bot.start()
    delivery = await sqlite_bot.settled(f"sweep:{runs.id}")
    (message,) = sqlite_bot.messages("churn")
    shown = json.dumps(message.body, ensure_ascii=False)
    for told in (
        "Sweep finished: churn",
        "2 of 3 runs finished, 1 failed",
        runs.best().id,
        "0.72",
        "C = 2",
        notebook,
    ):
        assert told in shown
    assert "ValueError" in shown
    assert "<!channel>" not in shown
    (image,) = [block for block in message.body["blocks"] if block["type"] == "image"]
    assert image["slack_file"] == {"id": delivery.file}
    assert image["alt_text"]
    (answer,) = await person(BO).command(f"/mlops runs show {runs.best().id}", "churn")
    assert "0.72" in json.dumps(answer)


async def test_an_upload_that_fails_costs_the_picture_and_not_the_message(
    sqlite_bot: Running, notebook: str
) -> None:
    runs = sqlite_bot.project.runs.execute(notebook, grid={"C": [1, 2]}, experiment="churn", maximize="auc")
    sqlite_bot.simulator.faults.error_500("files.completeUploadExternal", times=5)
    await sqlite_bot.start()
    await sqlite_bot.settled(f"sweep:{runs.id}")
    (message,) = sqlite_bot.messages("churn")
    assert "image" not in [block["type"] for block in message.body["blocks"]]
    assert runs.plot("parallel").alt in json.dumps(message.body, ensure_ascii=False)


async def test_a_picture_that_a_run_kept_is_shown_with_it(sqlite_bot: Running, tmp_path: Path) -> None:
    file = tmp_path / "matrix.png"
    file.write_bytes(png(line("auc", {"auc": ([1, 2], [0.5, 0.8])})))
    with sqlite_bot.project.runs.start("by-hand") as run:
        run.log_artifact(file)
    await sqlite_bot.start()
    delivery = await sqlite_bot.settled(f"run:{run.id}")
    (message,) = sqlite_bot.messages("churn")
    (image,) = [block for block in message.body["blocks"] if block["type"] == "image"]
    assert (image["slack_file"], image["alt_text"]) == ({"id": delivery.file}, "matrix.png")


async def test_a_run_of_its_own_is_told_and_one_of_a_notebook_still_open_is_not(sqlite_bot: Running) -> None:
    with sqlite_bot.project.runs.start("by-hand", parameters={"rate": 0.1}) as run:
        run.log_metric("loss", 0.25)
    with sqlite_bot.project.runs.start("by-hand") as going:
        await sqlite_bot.start()
        await sqlite_bot.settled(f"run:{run.id}")
        (message,) = sqlite_bot.messages("churn")
        assert "0.25" in json.dumps(message.body)
    await sqlite_bot.settled(f"run:{going.id}")
    assert len(sqlite_bot.messages("churn")) == 2


async def test_old_runs_are_no_news_but_an_open_alert_is(
    make_project: Callable[..., Project], simulator: Simulator, raise_alert: Callable[..., Any]
) -> None:
    from jupyter_mlops.project import init_project, open_project
    from jupyter_mlops.store import Store

    now = Store.moment
    project = make_project(toml=TEAM_POLICY)
    past = init_project(project.root, "ann@example.com", clock=lambda: now(project.store) - timedelta(days=9))
    with past.runs.start("long-ago") as run:
        run.log_metric("loss", 0.5)
    open_alert = raise_alert(past, key="open")
    past.close()
    running = Running(project, simulator)
    await running.start()
    await running.settled(f"alert:{open_alert.id}")
    cancelled = await running.settled(f"run:{run.id}", "cancelled")
    assert "over before" in cancelled.error
    assert running.messages("churn") == []
    await running.stop()
    with open_project(project.root, "ann@example.com") as again:
        assert again.audit.verify().ok
