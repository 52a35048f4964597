"""Votes: who may give them, what they count for, and the move that the deciding one makes."""

from __future__ import annotations

import json
import threading

import pytest

from jupyter_mlops.errors import BadInput, Conflict, NotFound, Refused, StoreFailed
from jupyter_mlops.people import Actor

from .conftest import ANN, BO, CI, CY, DEE, EVE, FRAME, TOML, MakeTeam, Team, holdout, model


def holder(team: Team, alias: str = "production") -> int | None:
    return team.project.models.list()[0].aliases.get(alias)


def test_the_deciding_vote_moves_the_alias_in_the_same_transaction(make_team: MakeTeam) -> None:
    team = make_team("approvals = 2")
    ask = team.project.models.promote("churn@v1", "production", reason="AUC 0.87")
    assert (ask.state, ask.needed, ask.requester, ask.reason) == ("pending", 2, ANN, "AUC 0.87")
    first = team(BO).approvals.approve(ask.id, "looks good")
    assert (first.state, holder(team)) == ("pending", None)
    second = team(CY, "slack").approvals.approve(ask.id)
    assert (second.state, second.moved, holder(team)) == ("moved", True, 1)
    assert [(vote.actor, vote.proof, vote.reason, vote.counts) for vote in second.votes] == [
        (BO, "local", "looks good", True),
        (CY, "slack", "", True),
    ]
    assert second.outcome == f"approved by {BO}, {CY}"
    assert team.events(f"approval:{ask.id}") == [
        "approval.requested",
        "approval.voted",
        "approval.voted",
        "approval.moved",
    ]
    (moved,) = team.project.events(about="model:churn")
    assert (moved.verb, moved.actor, moved.proof) == ("model.aliased", CY, "slack")
    assert moved.data == {
        "alias": "production",
        "number": 1,
        "previous": None,
        "reason": "AUC 0.87",
        "approval": ask.id,
    }
    (move,) = team.project.models.history("churn", "production")
    assert (move.approval, move.actor) == (ask.id, CY)
    assert team.project.audit.verify().ok


def test_an_alias_that_asks_for_nothing_moves_at_once(make_team: MakeTeam) -> None:
    team = make_team()
    ask = team.project.models.promote("churn@v1", "challenger")
    assert (ask.state, ask.needed, ask.votes) == ("moved", 0, ())
    assert holder(team, "challenger") == 1


def test_a_repeat_returns_the_same_request(make_team: MakeTeam) -> None:
    team = make_team()
    ask = team.project.models.promote("churn@v1", "production", reason="once")
    assert team(EVE).models.promote("churn@v1", "production", reason="twice").id == ask.id
    team(BO).approvals.approve(ask.id)
    assert team.project.models.promote("churn@v1", "production").id == ask.id
    at_once = team.project.models.promote("churn@v2", "challenger")
    assert team.project.models.promote("churn@v2", "challenger").id == at_once.id
    assert len(team.project.models.history("churn", "challenger")) == 1
    other = team.project.models.promote("churn@v2", "production")
    team(BO).approvals.approve(other.id)
    # v1 held it once, and does not any more: asking again is a new request
    assert team.project.models.promote("churn@v1", "production").state == "pending"


@pytest.mark.parametrize(
    ("who", "says"),
    [
        (ANN, "ann@example.com asked for this"),
        ("ANN@Example.com", "asked for this"),
        (EVE, "trained this model"),
        (DEE, "is no approver"),
        ("stranger@example.com", "is no approver"),
        (CI, "services never vote"),
    ],
)
def test_who_may_not_vote(make_team: MakeTeam, who: str, says: str) -> None:
    toml = TOML.replace(
        'approver = ["bo@example.com"', 'approver = ["eve@example.com", "ci", "bo@example.com"'
    )
    team = make_team(toml=toml, versions=0)
    with team(EVE).runs.start("churn") as run:
        run.log_model(model(), input_example=FRAME.head())
    team.project.models.register("churn", run.id)
    ask = team.project.models.promote("churn@v1", "production")
    before = team.project.audit.verify().head
    for vote in (team(who).approvals.approve, lambda id: team(who).approvals.reject(id, "no")):
        with pytest.raises(Refused, match=says):
            vote(ask.id)
    refusal = team(who).approvals.may_vote(ask.id)
    assert isinstance(refusal, Refused)
    assert says in refusal.message
    assert team.project.audit.verify().head == before
    assert holder(team) is None


def test_who_registered_it_may_not_vote_for_it(make_team: MakeTeam) -> None:
    team = make_team(versions=0)
    team(BO).models.register("churn", model(), FRAME.head())
    ask = team(EVE).models.promote("churn@v1", "production")
    with pytest.raises(Refused, match="registered this model") as refused:
        team(BO).approvals.approve(ask.id)
    assert "cy@example.com" in refused.value.hint
    assert BO not in refused.value.hint
    assert team(CY).approvals.approve(ask.id).moved


def test_approvers_may_be_named(make_team: MakeTeam) -> None:
    team = make_team('approvals = 1\napprovers = ["dee@example.com"]')
    ask = team.project.models.promote("churn@v1", "production")
    with pytest.raises(Refused, match="no approver"):
        team(BO).approvals.approve(ask.id)
    assert team("Dee@example.com").approvals.approve(ask.id).moved


def test_one_person_has_one_vote(make_team: MakeTeam) -> None:
    team = make_team("approvals = 2")
    ask = team.project.models.promote("churn@v1", "production")
    team(BO).approvals.approve(ask.id)
    before = team.project.audit.verify().head
    for again in (team(BO), team(BO, "slack"), team("BO@example.com", "jupyter")):
        with pytest.raises(Conflict, match="voted on"):
            again.approvals.approve(ask.id)
        assert isinstance(again.approvals.may_vote(ask.id), Conflict)
    assert team.project.audit.verify().head == before
    assert team.project.approvals.get(ask.id).state == "pending"


def test_a_claimed_identity_is_not_enough_where_a_verified_one_is_asked_for(make_team: MakeTeam) -> None:
    team = make_team('approvals = 1\nidentity = "verified"')
    ask = team.project.models.promote("churn@v1", "production")
    with pytest.raises(Refused, match="verified identity") as refused:
        team(BO).approvals.approve(ask.id)
    assert "Slack" in refused.value.hint
    assert f"/mlops/approvals/{ask.id}" in refused.value.hint
    assert team(BO, "slack").approvals.may_vote(ask.id) is None
    assert team(BO, "jupyter").approvals.approve(ask.id).moved


def test_a_rejection_needs_a_reason_and_ends_it(make_team: MakeTeam) -> None:
    team = make_team("approvals = 2")
    ask = team.project.models.promote("churn@v1", "production")
    team(CY).approvals.approve(ask.id)
    with pytest.raises(BadInput, match="reason"):
        team(BO).approvals.reject(ask.id, "  ")
    rejected = team(BO).approvals.reject(ask.id, "calibration")
    assert (rejected.state, rejected.outcome) == ("rejected", f"{BO}: calibration")
    for late in (team(CY).approvals.approve, team(BO).approvals.approve):
        with pytest.raises(Conflict, match="rejected already"):
            late(ask.id)
    fresh = team.project.models.promote("churn@v1", "production", reason="calibrated")
    assert (fresh.state, fresh.votes, fresh.id == ask.id) == ("pending", (), False)
    assert team.project.approvals.get(ask.id).state == "rejected"


def test_only_requester_and_admin_withdraw(make_team: MakeTeam) -> None:
    team = make_team()
    ask = team(EVE).models.promote("churn@v1", "production")
    with pytest.raises(Refused, match="cannot withdraw"):
        team(BO).approvals.revoke(ask.id)
    assert team("Eve@example.com").approvals.revoke(ask.id, "not yet").outcome == "not yet"
    with pytest.raises(Conflict, match="revoked already"):
        team(BO).approvals.approve(ask.id)
    second = team(EVE).models.promote("churn@v1", "production")
    assert team(ANN).approvals.revoke(second.id).state == "revoked"
    third = team(EVE).models.promote("churn@v1", "production")
    team(BO).approvals.approve(third.id)
    with pytest.raises(Conflict, match="moved already"):
        team(EVE).approvals.revoke(third.id)
    assert holder(team) == 1


def test_a_request_expires_when_it_is_used_too_late(make_team: MakeTeam) -> None:
    team = make_team('approvals = 2\nexpires = "2h"')
    ask = team.project.models.promote("churn@v1", "production")
    team(BO).approvals.approve(ask.id)
    team.clock.turn(hours=1, minutes=59)
    assert team(CY).approvals.may_vote(ask.id) is None
    team.clock.turn(minutes=1)
    assert team.project.approvals.get(ask.id).state == "expired"
    assert team.project.approvals.list() == ()
    assert [each.id for each in team.project.approvals.list("expired")] == [ask.id]
    with pytest.raises(Conflict, match="expired"):
        team(CY).approvals.approve(ask.id)
    assert team.events(f"approval:{ask.id}")[-1] == "approval.expired"
    assert holder(team) is None
    assert len(team.project.approvals.get(ask.id).votes) == 1
    again = team.project.models.promote("churn@v1", "production")
    assert (again.state, again.id == ask.id) == ("pending", False)


def test_expiry_is_recorded_once_by_whoever_settles(make_team: MakeTeam) -> None:
    team = make_team('approvals = 1\nexpires = "2h"')
    ask = team.project.models.promote("churn@v1", "production")
    assert team(DEE).approvals.settle() == ()
    team.clock.turn(hours=3)
    (settled,) = team(DEE).approvals.settle()
    assert (settled.id, settled.state) == (ask.id, "expired")
    assert team(DEE).approvals.settle() == ()
    assert team.events(f"approval:{ask.id}") == ["approval.requested", "approval.expired"]


def test_a_request_is_overtaken_when_the_alias_moves(make_team: MakeTeam) -> None:
    team = make_team()
    first = team.project.models.promote("churn@v1", "production")
    second = team.project.models.promote("churn@v2", "production")
    elsewhere = team.project.models.promote("churn@v2", "challenger")
    assert elsewhere.moved
    team(BO).approvals.approve(second.id)
    overtaken = team.project.approvals.get(first.id)
    assert (overtaken.state, overtaken.outcome) == ("invalidated", "production moved to churn@v2 meanwhile")
    with pytest.raises(Conflict, match="invalidated already"):
        team(CY).approvals.approve(first.id)
    assert holder(team) == 2


def test_a_request_is_overtaken_when_the_evaluation_data_changes(make_team: MakeTeam) -> None:
    team = make_team('approvals = 1\ngates = [{ scorer = "accuracy", at_least = 0.9 }]')
    team.project.datasets.commit("holdout", holdout())
    team.project.datasets.alias("holdout@v1", "golden")
    ask = team.project.models.promote("churn@v1", "production")
    team.project.datasets.commit("holdout", holdout().head(30))
    assert team(BO).approvals.may_vote(ask.id) is None
    team.project.datasets.alias("holdout@v2", "golden")
    assert isinstance(team(BO).approvals.may_vote(ask.id), Conflict)
    with pytest.raises(Conflict, match="did not count: the data"):
        team(BO).approvals.approve(ask.id)
    assert team.project.approvals.get(ask.id).state == "invalidated"
    assert team.events(f"approval:{ask.id}") == ["approval.requested", "approval.invalidated"]
    assert holder(team) is None


@pytest.mark.parametrize(
    ("tampering", "says"),
    [
        ("UPDATE model_versions SET digest = 'b3:other' WHERE number = 1", "no longer the same model"),
        ("UPDATE approvals SET gates = '{}'", "gates was altered"),
        ("UPDATE approvals SET number = 2", "the request was altered"),
        (
            "INSERT INTO aliases (kind, name, alias, number) VALUES ('model', 'churn', 'production', 2)",
            "moved to churn@v2",
        ),
    ],
)
def test_a_vote_counts_for_nothing_but_what_was_asked(make_team: MakeTeam, tampering: str, says: str) -> None:
    team = make_team()
    ask = team.project.models.promote("churn@v1", "production")
    if "gates" in tampering:
        report = ask.gates
        assert report is not None
        tampering = tampering.replace("{}", json.dumps({**report.to_dict(), "rows": 1_000}))
    with team.project.store.bookkeeping() as transaction:
        transaction.execute(tampering)
    with pytest.raises(Conflict, match=says):
        team(BO).approvals.approve(ask.id)
    assert team.project.approvals.get(ask.id).state == "invalidated"
    assert holder(team) != 1


def test_a_vote_of_somebody_who_lost_the_role_no_longer_counts(make_team: MakeTeam) -> None:
    team = make_team("approvals = 2")
    ask = team.project.models.promote("churn@v1", "production")
    team(BO).approvals.approve(ask.id)
    without_bo = TOML.format(production="approvals = 2").replace('"bo@example.com", ', '"fay@example.com", ')
    with team.project.store.write(ANN, "local") as transaction:
        team.project.people.record(transaction, team.written(without_bo))
    assert [vote.counts for vote in team.project.approvals.get(ask.id).votes] == [False]
    assert team(CY).approvals.approve(ask.id).state == "pending"
    decided = team("fay@example.com").approvals.approve(ask.id)
    assert decided.moved
    assert {vote.actor: vote.counts for vote in decided.votes} == {
        BO: False,
        CY: True,
        "fay@example.com": True,
    }


def test_votes_are_never_altered(make_team: MakeTeam) -> None:
    team = make_team("approvals = 2")
    ask = team.project.models.promote("churn@v1", "production")
    team(BO).approvals.approve(ask.id)
    for statement in ("UPDATE votes SET vote = 'reject'", "DELETE FROM votes"):
        with pytest.raises(StoreFailed, match="append-only"), team.project.store.bookkeeping() as transaction:
            transaction.execute(statement)


def test_requests_are_found_by_the_beginning_of_their_id(make_team: MakeTeam) -> None:
    team = make_team()
    ask = team.project.models.promote("churn@v1", "production")
    other = team.project.models.promote("churn@v2", "production")
    assert team.project.approvals.get(ask.id[:6].upper()) == ask
    assert [each.id for each in team.project.approvals.list()] == [other.id, ask.id]
    assert team.project.approvals.binding(ask.id) == ask.binding
    assert ask.binding != other.binding
    for nothing in ("", "%", "_" * 10, "o0o0", "a' OR 1=1"):
        with pytest.raises(NotFound, match="no approval"):
            team(BO).approvals.approve(nothing)
    with pytest.raises(BadInput, match="no state"):
        team.project.approvals.list("open")


def test_several_ids_that_begin_alike_are_told_apart(make_team: MakeTeam) -> None:
    team = make_team()
    asks = [team.project.models.promote("churn@v1", "production")]
    beginning = asks[0].id[0]
    while sum(ask.id.startswith(beginning) for ask in asks) < 2:
        team.project.approvals.revoke(asks[-1].id)
        asks.append(team.project.models.promote("churn@v1", "production"))
    with pytest.raises(BadInput, match=f"several approvals begin with {beginning}"):
        team.project.approvals.get(beginning)


@pytest.mark.parametrize("alias", ["prodution", "nonsense"])
def test_an_alias_that_is_not_declared_is_refused(make_team: MakeTeam, alias: str) -> None:
    team = make_team()
    for ask in (team.project.models.promote, team.project.models.gate):
        with pytest.raises(NotFound, match="no declared alias of churn") as missing:
            ask("churn@v1", alias)
        expected = (
            "did you mean production?"
            if alias == "prodution"
            else "declared: challenger, champion, production"
        )
        assert expected in missing.value.hint
    with pytest.raises(NotFound, match="no declared alias"):
        team.project.models.rollback("churn", alias)
    with pytest.raises(BadInput, match="reserved"):
        team.project.models.promote("churn@v1", "latest")


def test_viewers_do_not_ask(make_team: MakeTeam) -> None:
    team = make_team()
    with pytest.raises(Refused, match="contributor"):
        team(DEE).models.promote("churn@v1", "challenger")
    assert team(CI).models.promote("churn@v1", "production").requester == CI


def test_waiting_ends_with_the_decision_or_the_time(make_team: MakeTeam) -> None:
    team = make_team()
    ask = team.project.models.promote("churn@v1", "production")
    assert ask.wait(0).state == "pending"
    assert ask.wait("1s").state == "pending"
    voter = threading.Thread(target=lambda: team(BO).approvals.approve(ask.id))
    team(BO)
    voter.start()
    assert ask.wait(60).moved
    voter.join()
    assert ask.wait().moved
    with pytest.raises(BadInput, match="no length of time"):
        ask.wait("soon")


def test_a_rollback_returns_to_who_held_it_before(make_team: MakeTeam) -> None:
    team = make_team("", versions=3)
    models = team.project.models
    for number in (1, 2, 3):
        assert models.promote(f"churn@v{number}", "production").moved
    back = team(BO).models.rollback("churn", "production", "complaints from support")
    assert (back.kind, back.state, back.model, back.reason) == (
        "rollback",
        "moved",
        "churn@v2",
        "complaints from support",
    )
    assert holder(team) == 2
    # once more goes further back, not to and fro
    assert team(BO).models.rollback("churn", "production").model == "churn@v1"
    with pytest.raises(Conflict, match="the first that holds production"):
        team(BO).models.rollback("churn", "production")
    assert models.promote("churn@v3", "production").moved
    assert team(BO).models.rollback("churn", "production").model == "churn@v1"
    assert [move.number for move in models.history("churn", "production")] == [1, 3, 1, 2, 3, 2, 1]
    assert models.history("churn", "production")[3].reason == "complaints from support"
    with pytest.raises(Refused, match="operator"):
        team(EVE).models.rollback("churn", "production")


def test_a_rollback_overtakes_what_was_asked_for(make_team: MakeTeam) -> None:
    team = make_team(versions=3)
    for number in (1, 2):
        team(BO).approvals.approve(team.project.models.promote(f"churn@v{number}", "production").id)
    ask = team.project.models.promote("churn@v3", "production")
    assert ask.holder == "churn@v2"
    team(CY).models.rollback("churn", "production")
    assert team.project.approvals.get(ask.id).outcome == "production moved to churn@v1 meanwhile"
    assert team.project.models.promote("churn@v1", "production").kind == "rollback"


def test_a_request_is_json(make_team: MakeTeam) -> None:
    team = make_team('approvals = 1\ngates = [{ signature = "compatible" }]')
    document = team.project.models.promote("churn@v1", "production", "why").to_dict()
    assert json.loads(json.dumps(document)) == document
    assert document["gates"]["results"][0]["passed"] is True
    assert (document["model"], document["state"], document["moved"], document["votes"]) == (
        "churn@v1",
        "pending",
        False,
        [],
    )


def test_nobody_but_a_proof_that_we_know_acts() -> None:
    with pytest.raises(BadInput, match="no proof"):
        Actor(BO, "telepathy")
