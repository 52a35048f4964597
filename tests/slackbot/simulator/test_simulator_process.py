"""The simulator as a process of its own: where it says it is, and what is left when it is killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import sys
from pathlib import Path

import pytest

from jupyter_mlops.errors import BadInput, Conflict
from slackbot.simulator import READY_FILE, Person, Simulator, run

from .simulator_parts import ANN, client_of, until

SERVE = """
import asyncio, pathlib, sys
from slackbot.simulator import run
asyncio.run(run(pathlib.Path(sys.argv[1]), [{"email": "ann@example.com", "name": "Ann Lee"}], ["churn"]))
"""


async def test_a_running_simulator_says_where_it_is_to_its_owner_alone(tmp_path: Path) -> None:
    ready: list[Simulator] = []
    task = asyncio.create_task(run(tmp_path, [ANN], ["churn"], on_ready=ready.append))
    await until(lambda: ready)
    file = tmp_path / READY_FILE

    found = json.loads(file.read_text(encoding="utf-8"))
    assert found["url"] == ready[0].url
    assert found["api_url"] == ready[0].api_url
    assert found["pid"] == os.getpid()
    for secret in (file, tmp_path / "workspace.sqlite"):
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert (await client_of(ready[0], found["bot_token"]).auth_test())["ok"]
    with pytest.raises(Conflict, match="already runs"):
        Simulator(tmp_path)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not file.exists()


async def test_what_was_posted_survives_a_kill(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", SERVE, str(tmp_path))
    try:
        await until(lambda: (tmp_path / READY_FILE).exists(), seconds=60)
        found = json.loads((tmp_path / READY_FILE).read_text(encoding="utf-8"))
        async with Person(found["url"], ANN["email"]) as ann:
            said = await ann.say("remember this", "churn")
    finally:
        process.send_signal(signal.SIGKILL)
        await process.wait()

    again = Simulator(tmp_path)
    await again.start()
    async with Person(again.url, ANN["email"]) as ann:
        assert [message["ts"] for message in await ann.messages("churn")] == [said["ts"]]
    assert again.bot_token == found["bot_token"]
    await again.stop()


async def test_it_listens_on_loopback_only_and_says_when_a_port_is_taken(tmp_path: Path) -> None:
    first, second = Simulator(tmp_path / "a"), Simulator(tmp_path / "b")
    try:
        with pytest.raises(BadInput, match=r"0\.0\.0\.0"):
            await first.start(host="0.0.0.0")
        await first.start()
        port = int(first.url.rstrip("/").rsplit(":", 1)[1])
        with pytest.raises(Conflict, match=f"port {port} is in use"):
            await second.start(port=port)
    finally:
        await first.stop()
        await second.stop()


async def test_a_file_left_by_a_killed_one_is_gone_before_the_next_is_ready(tmp_path: Path) -> None:
    (tmp_path / READY_FILE).write_text('{"url": "http://127.0.0.1:1/"}', encoding="utf-8")
    ready: list[Simulator] = []

    task = asyncio.create_task(run(tmp_path, on_ready=ready.append))
    await until(lambda: not (tmp_path / READY_FILE).exists() or ready)
    await until(lambda: ready)

    assert json.loads((tmp_path / READY_FILE).read_text(encoding="utf-8"))["url"] == ready[0].url
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
