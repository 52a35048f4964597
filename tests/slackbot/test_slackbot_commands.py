"""What people type after /mlops is what they type elsewhere, and only they see the answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from jupyter_mlops.commands.tree import verbs
from jupyter_mlops.errors import BadInput
from slackbot.listeners.commands import split
from slackbot.simulator import Person
from tests.slackbot.conftest import ANN, BO, DEE, EVE, Running, until

Sit = Callable[[str], Person]


def words(responses: list[dict[str, Any]]) -> str:
    """Return all that the one answer says."""
    (message,) = responses
    assert message["is_ephemeral"]
    return json.dumps(message, ensure_ascii=False)


async def test_every_noun_lists_and_help_names_every_verb(
    bot: Running, person: Sit, ask: Callable[..., Any], raise_alert: Callable[..., Any]
) -> None:
    approval, alert = ask(bot.project), raise_alert(bot.project)
    await bot.start()
    dee = person(DEE)
    for typed, told in {
        "help": "/mlops approve",
        "help approve": "--reason",
        "approve --help": "--reason",
        "whoami": "dee@example.com",
        "models": "fraud",
        "models show fraud@v1": "fraud@v1",
        "models versions fraud": "fraud@v1",
        "approvals": approval.id,
        f"approvals show {approval.id}": "production",
        "alerts": alert.id,
        f"alerts show {alert.id[:4]}": "flights@v2",
        "data": "dataset",
        "runs": "run",
        "status": "churn",
        "": "churn",
    }.items():
        assert told in words(await dee.command(f"/mlops {typed}", "churn")), typed
    assert bot.messages("churn") == []


async def test_help_names_every_verb_and_the_options_of_one(sqlite_bot: Running, person: Sit) -> None:
    await sqlite_bot.start()
    dee = person(DEE)
    said = words(await dee.command("/mlops help", "churn"))
    typed = {" ".join(path) for path, verb in verbs().items() if verb.chat}
    assert len(typed) >= 20
    assert {verb for verb in typed if f"`/mlops {verb}" not in said} == set()
    assert "too long" not in said
    data = words(await dee.command("/mlops help data", "churn"))
    assert "/mlops data diff A B" in data
    assert "/mlops runs" not in data
    diff = words(await dee.command("/mlops help data diff", "churn"))
    assert "--tolerance SHARE" in diff
    assert "--json" not in diff


async def test_whoami_knows_the_person_by_slack(sqlite_bot: Running, person: Sit) -> None:
    await sqlite_bot.start()
    said = words(await person(BO).command("/mlops whoami", "churn"))
    assert "Bo@Example.com" in said
    assert "slack" in said.lower()
    assert "approver" in said


async def test_approving_by_command_moves_the_alias(
    bot: Running, person: Sit, ask: Callable[..., Any]
) -> None:
    approval = ask(bot.project)
    await bot.start()
    said = words(await person(BO).command(f"/mlops approve {approval.id[:6]} —reason “looks good”", "churn"))
    assert "moved" in said
    decided = bot.project.approvals.get(approval.id)
    assert (decided.state, decided.votes[0].reason) == ("moved", "looks good")


async def test_rejecting_by_command_needs_a_reason(
    sqlite_bot: Running, person: Sit, ask: Callable[..., Any]
) -> None:
    approval = ask(sqlite_bot.project)
    await sqlite_bot.start()
    bo = person(BO)
    assert "--reason" in words(await bo.command(f"/mlops reject {approval.id}", "churn"))
    assert sqlite_bot.project.approvals.get(approval.id).state == "pending"
    await bo.command(f"/mlops reject {approval.id} --reason calibration", "churn")
    assert sqlite_bot.project.approvals.get(approval.id).state == "rejected"


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("aprove a8c2", "did you mean approve"),
        ("approve", "Missing argument"),
        ("approve nosuchid", "nosuchid"),
        ("models show frad@v1", "frad"),
        ('approve a8c2 --reason "open', "quotation mark"),
        ("runs frobnicate", "no verb"),
        ("promote fraud@v1 production", "no verb 'promote'"),
        ("whoami --set ann@example.com", "not for the chat"),
        ("whoami --set=ann@example.com", "not for the chat"),
        ("--project /tmp status", "not for the chat"),
        ("help frobnicate", "no verb"),
    ],
)
async def test_what_makes_no_sense_is_one_clear_line(
    sqlite_bot: Running, person: Sit, typed: str, told: str
) -> None:
    await sqlite_bot.start()
    (message,) = await person(BO).command(f"/mlops {typed}", "churn")
    assert told in message["text"]
    assert "\n" not in message["text"]
    assert not message.get("blocks")
    assert not (sqlite_bot.project.state / "actor").exists()


async def test_a_stranger_may_do_nothing(sqlite_bot: Running, person: Sit, ask: Callable[..., Any]) -> None:
    approval = ask(sqlite_bot.project)
    await sqlite_bot.start()
    eve = person(EVE)
    for typed in ("help", "whoami", "runs", "status", f"approve {approval.id}"):
        (message,) = await eve.command(f"/mlops {typed}", "churn")
        assert "is not in [people]" in message["text"]
    assert sqlite_bot.project.approvals.get(approval.id).state == "pending"


async def test_the_requester_is_refused_by_command_too(
    sqlite_bot: Running, person: Sit, ask: Callable[..., Any]
) -> None:
    approval = ask(sqlite_bot.project)
    await sqlite_bot.start()
    await person(ANN).command(f"/mlops approve {approval.id}", "churn")
    assert sqlite_bot.project.approvals.get(approval.id).state == "pending"


async def test_a_private_answer_has_buttons_that_work(
    sqlite_bot: Running, person: Sit, ask: Callable[..., Any]
) -> None:
    approval = ask(sqlite_bot.project)
    await sqlite_bot.start()
    bo = person(BO)
    (shown,) = await bo.command(f"/mlops approvals show {approval.id}", "churn")
    await bo.press("churn", shown["ts"], "approve")
    await until(lambda: sqlite_bot.project.approvals.get(approval.id).moved)


async def test_somebody_taken_out_of_the_policy_may_do_nothing_from_then_on(
    sqlite_bot: Running, person: Sit
) -> None:
    await sqlite_bot.start()
    dee = person(DEE)
    assert "viewer" in words(await dee.command("/mlops whoami", "churn"))
    file = sqlite_bot.project.root / "mlops.toml"
    file.write_text(file.read_text().replace('viewer = ["dee@example.com"]', ""))
    from jupyter_mlops.config import read_config

    sqlite_bot.project.policies.apply(read_config(sqlite_bot.project.root).policy)
    (message,) = await dee.command("/mlops whoami", "churn")
    assert "is not in [people]" in message["text"]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("approve a8c2 --reason 'it is good'", ["approve", "a8c2", "--reason", "it is good"]),
        ("approve a8c2 —reason “it’s good”", ["approve", "a8c2", "--reason", "it's good"]),
        ("approve a8c2 --reason it’s", ["approve", "a8c2", "--reason", "it’s"]),
        ("reject x --reason a&amp;b&lt;c", ["reject", "x", "--reason", "a&b<c"]),
        ('runs list --where "metrics.auc > 0.8"', ["runs", "list", "--where", "metrics.auc > 0.8"]),
        ("", []),
    ],
)
def test_words_are_read_as_phones_write_them(typed: str, expected: list[str]) -> None:
    assert split(typed) == expected


def test_an_open_quotation_mark_is_pointed_out() -> None:
    with pytest.raises(BadInput, match="quotation mark"):
        split('approve "a8c2')


@pytest.mark.parametrize("how", ["refresh", "close", "pull the cable"])
async def test_a_connection_that_ends_is_made_anew(sqlite_bot: Running, person: Sit, how: str) -> None:
    await sqlite_bot.start()
    sockets = sqlite_bot.simulator.socket_mode
    if how == "refresh":
        await sockets.refresh()
    else:
        await sockets.drop(abruptly=how == "pull the cable")
    await until(lambda: sockets.connections, 30, "a new connection")
    assert "viewer" in words(await person(DEE).command("/mlops whoami", "churn"))
