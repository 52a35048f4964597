"""The main job, end to end: what the demo says it did is what the project, the chat and the report hold."""

from __future__ import annotations

import asyncio
import json
import random
import re
import signal
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest

from jupyter_mlops.companions import SIMULATOR_FOLDER
from jupyter_mlops.demo.story import ANN, BO, EXPERIMENT, GRID, MODEL
from jupyter_mlops.project import open_project
from slackbot.simulator import Person, Simulator
from tests.scenario.playing import DEMO, SECONDS, Demo, environment

pytestmark = pytest.mark.xdist_group("demo")
SETS = len(GRID["learning_rate"]) * len(GRID["max_leaf_nodes"])
DATASETS = {"flights", "flights-holdout", "flights-july"}


def chat_of(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Return what Bo reads in each channel of the project's local Slack."""

    async def read() -> dict[str, list[dict[str, Any]]]:
        with open_project(folder, actor=ANN) as project:
            channels = [name.removeprefix("#") for name in project.config.slack.channels]
        people = [{"email": ANN, "name": "Ann"}, {"email": BO, "name": "Bo"}]
        simulator = Simulator(folder / ".mlops" / SIMULATOR_FOLDER, users=people, channels=channels)
        await simulator.start()
        try:
            async with Person(simulator.url, BO) as bo:
                return {
                    channel: [one for one in await bo.messages(channel) if not one["is_ephemeral"]]
                    for channel in channels
                }
        finally:
            await simulator.stop()

    return asyncio.run(read())


def story_of(folder: Path) -> dict[str, Any]:
    """Return what must be the same however often the demo was interrupted."""
    with open_project(folder, actor=ANN) as project:
        finished = [
            run for run in project.runs.search(limit=None, experiment=EXPERIMENT) if run.status == "finished"
        ]
        sets = Counter(
            (run.parameters["learning_rate"], run.parameters["max_leaf_nodes"]) for run in finished
        )
        verbs = Counter(event.verb for event in project.events())
        return {
            "versions": {v.ref: v.digest for name in DATASETS for v in project.datasets.versions(name)},
            "sets": sets,
            "aucs": sorted(run.metrics["auc"] for run in finished),
            "models": {version.ref: version.digest for version in project.models.versions(MODEL)},
            "holder": project.models.get(f"{MODEL}@production").ref,
            "moves": len(project.models.history(MODEL, "production")),
            "requests": [(request.state, len(request.votes)) for request in project.approvals.list(None)],
            "alerts": [alert.key for alert in project.alerts.list(None)],
            "once": {verb: verbs[verb] for verb in ("approval.requested", "approval.moved", "alert.opened")},
            "audit": project.audit.verify().ok,
        }


def test_production_moved_by_somebody_else_s_click(demo: Demo) -> None:
    with demo.open() as project:
        (request,) = project.approvals.list(None)
        assert request.state == "moved"
        assert request.requester == ANN
        assert [(vote.actor, vote.proof, vote.vote) for vote in request.votes] == [(BO, "slack", "approve")]
        assert project.models.get(f"{MODEL}@production").ref == request.model == demo.answer["model"]
        assert project.audit.verify().ok


def test_every_parameter_set_ran_on_the_same_version(demo: Demo) -> None:
    with demo.open() as project:
        runs = project.runs.search(limit=None, experiment=EXPERIMENT)
        assert len(runs) == SETS
        assert {run.status for run in runs} == {"finished"}
        assert {run.inputs["data"] for run in runs} == {"flights@v1"}
        assert demo.answer["auc"] == max(run.metrics["auc"] for run in runs) > 0.9


def test_the_chat_tells_it_once_each(demo: Demo) -> None:
    chat = chat_of(demo.folder)
    assert {channel: len(messages) for channel, messages in chat.items()} == {
        "flights": 1,
        "ml-approvals": 1,
        "ml-oncall": 1,
    }
    decided = json.dumps(chat["ml-approvals"][0])
    assert BO in decided
    assert '"action_id": "approve"' not in decided
    assert "Acknowledge" in json.dumps(chat["ml-oncall"][0])
    assert '"image"' in json.dumps(chat["flights"][0]["blocks"])


def test_the_report_is_one_page_with_pictures(demo: Demo) -> None:
    page = Path(demo.answer["report"]).read_text()
    assert page.count("data:image/svg+xml") >= 2
    assert "<script" not in page
    assert not re.search(r"(src|href)=\"https?:", page)


def test_the_demo_again_changes_nothing(demo: Demo) -> None:
    before = story_of(demo.folder)
    done = subprocess.run(
        [*DEMO, str(demo.folder)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert story_of(demo.folder) == before
    assert {channel: len(messages) for channel, messages in chat_of(demo.folder).items()} == {
        "flights": 1,
        "ml-approvals": 1,
        "ml-oncall": 1,
    }


def family(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Return the process with all its descendants."""
    parent = psutil.Process(process.pid)
    return [parent, *parent.children(recursive=True)]


def test_killed_at_any_moment_it_ends_the_same(demo: Demo, tmp_path: Path) -> None:
    folder = tmp_path / "mlops-demo"
    moments = random.Random(20130101)
    for longest in (3.0, 12.0, 25.0, 40.0):
        process = subprocess.Popen(
            [*DEMO, str(folder)], env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            process.wait(moments.uniform(0.3, 1.0) * longest)
        except subprocess.TimeoutExpired:
            everybody = family(process)
            process.send_signal(signal.SIGKILL)
            process.wait()
            _, left = psutil.wait_procs(everybody[1:], timeout=15)
            assert left == [], "processes outlived the demo"
    done = subprocess.run(
        [*DEMO, str(folder)], env=environment(), capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    assert story_of(folder) == story_of(demo.folder)
    counted = {channel: len(messages) for channel, messages in chat_of(folder).items()}
    assert counted == {"flights": 1, "ml-approvals": 1, "ml-oncall": 1}
