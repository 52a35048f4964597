"""`mlops slack …` as typed in a shell, with the bot and its simulator as processes of their own."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlops.cli import run
from jupyter_mlops.companions import Companions
from jupyter_mlops.project import Project
from slackbot import limits
from slackbot.manifest import SCOPES, manifest
from slackbot.simulator import Person

from .conftest import BO, until


async def test_the_bot_and_its_simulator_run_beside_a_project(
    sqlite_project: Project, ask: Callable[..., Any]
) -> None:
    approval = ask(sqlite_project)
    with Companions(sqlite_project) as companions:
        simulator = companions.start_simulator()
        companions.start_bot(simulator)
        async with Person(simulator["url"], "Bo@Example.com") as bo:
            message = await bo.wait_for_message(
                "ml-approvals", lambda found: approval.id in json.dumps(found), 60
            )
            await bo.press("ml-approvals", message["ts"], "approve")
            await until(lambda: sqlite_project.approvals.get(approval.id).moved)
            (answer,) = await bo.command("/mlops whoami", "churn")
            assert BO.casefold() in json.dumps(answer).casefold()
        logs = "".join(log.read_text() for log in (sqlite_project.state / "logs").iterdir())
    assert simulator["bot_token"] not in logs
    assert simulator["app_token"] not in logs
    assert "Traceback" not in logs


def test_the_outbox_says_what_waits_and_why(
    sqlite_project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_ACTOR", "ann@example.com")
    where = ["--project", str(sqlite_project.root)]
    assert run([*where, "slack", "outbox"]) == 0
    assert "everything is told" in capsys.readouterr().out
    assert run([*where, "slack", "outbox", "--retry", "nothing"]) == 2
    assert "no message that was given up" in capsys.readouterr().err


def test_a_bot_without_tokens_says_which_one_is_missing(
    sqlite_project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_ACTOR", "ann@example.com")
    assert run(["--project", str(sqlite_project.root), "slack", "run"]) == 2
    said = capsys.readouterr().err
    assert "SLACK_BOT_TOKEN" in said
    assert len(said.strip().splitlines()) == 1


def test_the_manifest_asks_for_what_the_bot_uses_and_no_more(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--json", "slack", "manifest"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown == manifest().to_dict()
    assert len(shown["display_information"]["name"]) <= 35
    assert shown["settings"]["socket_mode_enabled"]
    needed = {
        "chat_postMessage": "chat:write",
        "chat_update": "chat:write",
        "chat_postEphemeral": "chat:write",
        "conversations_list": "channels:read",
        "conversations_history": "channels:history",
        "users_info": "users:read",
        "files_upload_v2": "files:write",
        "views_open": "commands",
        "auth_test": "commands",
        "apps_connections_open": "commands",
    }
    package = Path(limits.__file__).parent
    sources = "".join(path.read_text() for path in package.rglob("*.py") if "simulator" not in path.parts)
    used = set(re.findall(r"client\.((?:chat|conversations|users|files|views|auth|apps)_\w+)\(", sources))
    assert used == set(needed)
    assert {needed[method] for method in used} <= set(SCOPES)
