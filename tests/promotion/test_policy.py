"""Changes of policy: what tightens applies, what loosens needs the votes that the old policy asked for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from jupyter_mlops.errors import BadInput, Conflict, Refused
from jupyter_mlops.people import PolicyInForce
from jupyter_mlops.promotion import Approval

from .conftest import ANN, BO, CY, EVE, TOML, MakeTeam

RULE = """
approvals = 2
identity = "verified"
expires = "2d"
gates = [
  { scorer = "accuracy", at_least = 0.8 },
  { scorer = "accuracy", not_worse_than = "champion", margin = 0.01 },
  { signature = "compatible" },
]
"""
ADMIN = 'admin = ["ann@example.com"]'
OPEN = 'expires = "2d"'
START = TOML.format(production=RULE).replace('"cy@example.com"', '"cy@example.com", "fay@example.com"')


def swapped(old: str, new: str) -> Callable[[str], str]:
    def swap(text: str) -> str:
        assert old in text
        return text.replace(old, new)

    return swap


LOOSENING = [
    (swapped("approvals = 2", "approvals = 1"), "production: needs 1 approvals instead of 2"),
    (swapped('identity = "verified"', ""), "production: a claimed identity is enough"),
    (swapped('expires = "2d"', 'expires = "3d"'), "production: requests stay open 3d instead of 2d"),
    (
        swapped("at_least = 0.8", "at_least = 0.79"),
        "production: the gate 'accuracy at least 0.8' is removed or weakened",
    ),
    (swapped("margin = 0.01", "margin = 0.02"), "'accuracy not worse than champion − 0.01' is removed"),
    (swapped('not_worse_than = "champion"', 'not_worse_than = "challenger"'), "not worse than champion"),
    (
        swapped('  { signature = "compatible" },\n', ""),
        "production: the gate 'signature compatible' is removed or weakened",
    ),
    (swapped("[aliases.production]" + "\n" + RULE, ""), "production: its rule is removed"),
    (
        swapped('"fay@example.com"', '"fay@example.com", "mal@example.com"'),
        "mal@example.com becomes approver",
    ),
    (swapped('"fay@example.com"', '"mal@example.com"'), "production: mal@example.com may approve"),
    (swapped(ADMIN, ADMIN.replace("]", ', "mal@example.com"]')), "mal@example.com becomes admin"),
    (
        swapped(OPEN, OPEN + '\napprovers = ["approver", "eve@example.com"]'),
        "production: eve@example.com may approve",
    ),
    (swapped(OPEN, OPEN + '\napprovers = ["contributor"]'), "eve@example.com may approve"),
    (
        swapped('"bo@example.com", "cy@example.com", ', ""),
        "production: leaves fewer than 2 people besides ann@example.com",
    ),
    (
        swapped("[aliases.production]", '[trust]\ntypes = ["evil.Type"]\n\n[aliases.production]'),
        "models may hold evil.Type",
    ),
    (swapped("holdout@golden", "easy@golden"), "churn production: its gates judge on other data"),
    (
        swapped("[aliases.challenger]", "[models.churn.aliases.production]\n\n[aliases.challenger]"),
        "churn production: needs 0 approvals instead of 2",
    ),
]
TIGHTENING = [
    swapped("approvals = 2", "approvals = 3"),
    swapped('expires = "2d"', 'expires = "1d"'),
    swapped("at_least = 0.8", "at_least = 0.85"),
    swapped("margin = 0.01", "margin = 0"),
    swapped('"fay@example.com"', ""),
    swapped("[aliases.challenger]", "[aliases.challenger]\napprovals = 1"),
    swapped("[aliases.challenger]\n", ""),
    swapped('contributor = ["eve@example.com"]', 'contributor = ["eve@example.com", "new@example.com"]'),
    swapped("[aliases.challenger]", "[aliases.staging]\n\n[aliases.challenger]"),
    swapped('services = ["ci"]', 'services = ["ci", "cron"]'),
    swapped(
        "[aliases.challenger]",
        f"[models.fraud.aliases.production]\n{RULE.replace('= 2', '= 3')}\n[aliases.challenger]",
    ),
]


@pytest.mark.parametrize(("edit", "says"), LOOSENING)
def test_loosening_waits_for_the_votes_that_the_old_policy_asks_for(
    make_team: MakeTeam, edit: Callable[[str], str], says: str
) -> None:
    team = make_team(toml=START.replace("{", "{{").replace("}", "}}"), versions=0)
    before = team.project.people.in_force().digest
    ask = team.apply(edit(START))
    assert isinstance(ask, Approval)
    assert (ask.kind, ask.model, ask.state, ask.needed) == ("policy", "policy", "pending", 2)
    assert any(says in change for change in ask.changes), ask.changes
    assert team.project.people.in_force().digest == before
    with pytest.raises(Refused, match="asked for this"):
        team(ANN, "slack").approvals.approve(ask.id)
    with pytest.raises(Refused, match="verified identity"):
        team(BO).approvals.approve(ask.id)
    with pytest.raises(Refused, match="no approver"):
        team("mal@example.com", "slack").approvals.approve(ask.id)
    assert team(BO, "slack").approvals.approve(ask.id).state == "pending"
    assert team.project.people.in_force().digest == before
    assert team(CY, "slack").approvals.approve(ask.id).moved
    in_force = team.project.people.in_force()
    assert (in_force.number, in_force.policy) == (2, team.written(edit(START)))
    assert team.events("policy") == ["policy.applied", "policy.applied"]
    assert team.apply(edit(START)).note == "unchanged: policy 2 is in force"


@pytest.mark.parametrize("edit", TIGHTENING)
def test_everything_else_applies_at_once(make_team: MakeTeam, edit: Callable[[str], str]) -> None:
    team = make_team(toml=START.replace("{", "{{").replace("}", "}}"), versions=0)
    applied = team.apply(edit(START))
    assert isinstance(applied, PolicyInForce)
    assert (applied.number, applied.policy, applied.file_differs) == (2, team.written(edit(START)), False)
    assert team.project.people.in_force().digest == applied.digest
    assert team.project.approvals.list(None) == ()


def test_the_same_policy_changes_nothing_and_says_so(make_team: MakeTeam) -> None:
    team = make_team(versions=0)
    before = team.project.audit.verify().head
    same = team.apply(TOML.format(production="approvals = 1") + "# a comment\n")
    assert (same.number, same.note) == (1, "unchanged: policy 1 is in force")
    assert team.project.audit.verify().head == before


def test_only_an_admin_applies(make_team: MakeTeam) -> None:
    team = make_team(versions=0)
    for who in (BO, EVE):
        with pytest.raises(Refused, match="admin"):
            team.apply(TOML.format(production="approvals = 3"), actor=who)


def test_a_policy_without_an_admin_is_refused(make_team: MakeTeam) -> None:
    team = make_team(versions=0)
    with pytest.raises(BadInput, match="no admin"):
        team.apply(TOML.format(production="approvals = 1").replace('admin = ["ann@example.com"]', ""))


def test_an_edited_file_that_was_not_applied_is_not_used(make_team: MakeTeam) -> None:
    team = make_team()
    (team.project.root / "mlops.toml").write_text(TOML.format(production=""), "utf-8")
    assert team("bo@example.com").policies.show().file_differs
    assert team("bo@example.com").models.promote("churn@v1", "production").state == "pending"
    assert not team.project.policies.show().file_differs


def test_a_newer_file_replaces_the_change_that_waits(make_team: MakeTeam) -> None:
    team = make_team("approvals = 1", versions=0)
    first = team.apply(TOML.format(production='approvals = 1\nexpires = "8d"'))
    assert team.apply(TOML.format(production='approvals = 1\nexpires = "8d"')).id == first.id
    second = team.apply(TOML.format(production='approvals = 1\nexpires = "9d"'))
    assert team.project.approvals.get(first.id).state == "invalidated"
    assert [ask.id for ask in team.project.approvals.list()] == [second.id]
    with pytest.raises(Conflict, match="applied again"):
        team(BO).approvals.approve(first.id)


def test_a_change_of_policy_overtakes_what_was_asked_under_the_old_one(make_team: MakeTeam) -> None:
    team = make_team("approvals = 1")
    ask = team.project.models.promote("churn@v1", "production")
    elsewhere = team.apply(
        TOML.format(production="approvals = 1").replace(
            "[aliases.champion]", "[aliases.champion]\napprovals = 1"
        )
    )
    assert elsewhere.number == 2
    assert team.project.approvals.get(ask.id).state == "pending"
    stricter = TOML.format(production="approvals = 2")
    team.apply(stricter.replace("[aliases.champion]", "[aliases.champion]\napprovals = 1"))
    overtaken = team.project.approvals.get(ask.id)
    assert (overtaken.state, overtaken.outcome) == (
        "invalidated",
        "the policy for production changed meanwhile",
    )
    assert team.events(f"approval:{ask.id}") == ["approval.requested", "approval.invalidated"]


def test_a_loosening_is_overtaken_by_another_policy(make_team: MakeTeam) -> None:
    team = make_team("approvals = 1", versions=0)
    ask = team.apply(TOML.format(production=""))
    tightened = team.apply(
        TOML.format(production="approvals = 1").replace(
            "[aliases.champion]", "[aliases.champion]\napprovals = 1"
        )
    )
    assert tightened.number == 2
    assert team.project.approvals.get(ask.id).outcome == "the policy changed meanwhile"
    with pytest.raises(Conflict, match="invalidated already"):
        team(BO).approvals.approve(ask.id)
    assert team.project.people.policy.aliases["production"].approvals == 1


def test_somebody_alone_is_not_locked_out(make_team: MakeTeam) -> None:
    alone = TOML.replace('approver = ["bo@example.com", "cy@example.com"]', "")
    team = make_team("approvals = 1", toml=alone, versions=0)
    joined = team.apply(TOML.format(production="approvals = 1"))
    assert isinstance(joined, PolicyInForce)
    # from now on somebody else can vote, so somebody else must
    assert isinstance(team.apply(TOML.format(production="")), Approval)


def test_a_service_is_nobody_who_could_agree(make_team: MakeTeam) -> None:
    alone = TOML.replace('"bo@example.com", "cy@example.com"', '"ci"')
    team = make_team("approvals = 1", toml=alone, versions=0)
    assert isinstance(team.apply(alone.format(production="")), PolicyInForce)


def test_the_only_other_voter_s_vote_is_enough(make_team: MakeTeam) -> None:
    team = make_team("approvals = 2", toml=TOML.replace(', "cy@example.com"', ""), versions=0)
    ask = team.apply(TOML.format(production="approvals = 1").replace(', "cy@example.com"', ""))
    assert ask.needed == 1
    assert team(BO).approvals.approve(ask.id).moved


def test_the_rules_of_every_loosened_alias_must_be_met(make_team: MakeTeam) -> None:
    strict = TOML.format(production='approvals = 1\napprovers = ["bo@example.com"]').replace(
        "[aliases.champion]", '[aliases.champion]\napprovals = 1\napprovers = ["cy@example.com"]'
    )
    team = make_team(toml=strict.replace("{", "{{").replace("}", "}}"), versions=0)
    ask = team.apply(TOML.format(production=""))
    assert team(BO).approvals.approve(ask.id).state == "pending"
    assert team(CY).approvals.approve(ask.id).moved


def test_a_rejected_change_is_not_applied(make_team: MakeTeam) -> None:
    team = make_team("approvals = 1", versions=0)
    ask = team.apply(TOML.format(production=""))
    assert team(BO).approvals.reject(ask.id, "no").state == "rejected"
    assert team.project.people.policy.aliases["production"].approvals == 1
