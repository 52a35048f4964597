"""Several people at once: whatever the order, one outcome, told once."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from jupyter_mlops.errors import Conflict

from .conftest import ANN, BO, CY, TOML, MakeTeam, Team
from .rush import Act, act, vote_and_die

FAY, GUS = "fay@example.com", "gus@example.com"
MANY = TOML.replace('"cy@example.com"', '"cy@example.com", "fay@example.com", "gus@example.com"')


def at_once(team: Team, acts: Sequence[Act]) -> list[tuple[str, str, str]]:
    """Let every act happen in a process of its own, all released at the same moment; return the answers."""
    spawn = multiprocessing.get_context("spawn")
    answers = spawn.Queue()
    start = spawn.Barrier(len(acts))
    processes = [
        spawn.Process(target=act, args=(team.project.root, team.clock, each, start, answers)) for each in acts
    ]
    for process in processes:
        process.start()
    told = [answers.get(timeout=120) for _ in processes]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * len(processes)
    return told


def holds(team: Team, alias: str = "production") -> int | None:
    return team.project.models.list()[0].aliases.get(alias)


def test_four_who_approve_at_once_move_it_once(make_team: MakeTeam) -> None:
    team = make_team("approvals = 2", toml=MANY)
    ask = team.project.models.promote("churn@v1", "production")
    told = at_once(team, [(who, "approve", (ask.id,)) for who in (BO, CY, FAY, GUS)])
    assert Counter(state for _, state, _ in told) == {"pending": 1, "moved": 1, "conflict": 2}
    assert len(team.project.approvals.get(ask.id).votes) == 2
    assert len(team.project.models.history("churn", "production")) == 1
    assert Counter(team.events(f"approval:{ask.id}")) == {
        "approval.requested": 1,
        "approval.voted": 2,
        "approval.moved": 1,
    }
    assert team.project.audit.verify().ok


def test_yes_and_no_at_once_have_one_outcome(make_team: MakeTeam) -> None:
    team = make_team(toml=MANY)
    ask = team.project.models.promote("churn@v1", "production")
    acts: list[Act] = [
        (BO, "approve", (ask.id,)),
        (CY, "reject", (ask.id, "calibration")),
        (ANN, "revoke", (ask.id, "not yet")),
    ]
    told = at_once(team, acts)
    decided = team.project.approvals.get(ask.id)
    assert Counter(state for _, state, _ in told) == {decided.state: 1, "conflict": 2}
    assert (holds(team) == 1) == decided.moved
    endings = [
        verb
        for verb in team.events(f"approval:{ask.id}")
        if verb not in ("approval.requested", "approval.voted")
    ]
    assert endings == [f"approval.{decided.state}"]


def test_two_requests_for_one_alias_have_one_winner(make_team: MakeTeam) -> None:
    team = make_team(versions=2)
    asks = [team.project.models.promote(f"churn@v{number}", "production") for number in (1, 2)]
    told = at_once(team, [(BO, "approve", (asks[0].id,)), (CY, "approve", (asks[1].id,))])
    assert Counter(state for _, state, _ in told) == {"moved": 1, "conflict": 1}
    states = {ask.model: team.project.approvals.get(ask.id).state for ask in asks}
    assert sorted(states.values()) == ["invalidated", "moved"]
    assert states[f"churn@v{holds(team)}"] == "moved"
    assert len(team.project.models.history("churn", "production")) == 1


def test_the_same_request_asked_by_several_at_once_is_one(make_team: MakeTeam) -> None:
    team = make_team()
    told = at_once(team, [(who, "promote", ("churn@v1", "production")) for who in (BO, CY, ANN, "ci")])
    assert {state for _, state, _ in told} == {"pending"}
    assert len({id for _, _, id in told}) == 1
    assert len(team.project.approvals.list(None)) == 1


def test_one_person_at_several_screens_votes_once(make_team: MakeTeam) -> None:
    team = make_team("approvals = 2")
    ask = team.project.models.promote("churn@v1", "production")

    def press(proof: str) -> str:
        try:
            return team(BO, proof).approvals.approve(ask.id).state
        except Conflict:
            return "conflict"

    for proof in ("local", "slack", "jupyter"):
        team(BO, proof)
    with ThreadPoolExecutor(6) as pool:
        told = Counter(pool.map(press, ["local", "slack", "jupyter"] * 2))
    assert told == {"pending": 1, "conflict": 5}
    assert len(team.project.approvals.get(ask.id).votes) == 1


@pytest.mark.parametrize("where", ["_count", "_end", "_carry_out", "move"])
def test_a_vote_that_dies_half_way_never_happened(make_team: MakeTeam, where: str) -> None:
    team = make_team()
    ask = team.project.models.promote("churn@v1", "production")
    before = team.project.audit.verify().head
    spawn = multiprocessing.get_context("spawn")
    process = spawn.Process(target=vote_and_die, args=(team.project.root, team.clock, BO, ask.id, where))
    process.start()
    process.join()
    assert process.exitcode == 137
    assert team.project.audit.verify().head == before
    assert team.project.approvals.get(ask.id) == ask
    assert holds(team) is None
    assert team(BO, "slack").approvals.approve(ask.id).moved
