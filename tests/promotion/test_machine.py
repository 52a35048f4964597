"""The approvals against a model of them: whatever people do in whatever order, nothing moves unapproved.

The model is a few fields; the real thing is a project on each kind of store, with its clock in our hands.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from jupyter_mlops.errors import Conflict, MLOpsError, Refused
from jupyter_mlops.people import Actor
from jupyter_mlops.project import Project, init_project, open_project

from .conftest import ANN, BO, CI, CY, DEE, EVE, FRAME, model
from .rush import Clock

FAY = "fay@example.com"
PEOPLE = (ANN, BO, CY, DEE, EVE, FAY, CI)
TOML = """
[project]
name = "churn"

[people]
viewer = ["dee@example.com"]
contributor = ["eve@example.com"]
approver = ["bo@example.com", "cy@example.com", "fay@example.com"]
admin = ["ann@example.com"]
services = ["ci"]

[aliases.production]
approvals = 2
identity = "verified"
expires = "2880m"
"""
VERSIONS = (1, 2, 3)
AT = st.integers(0, 3)  # which request, counted from the newest
Fresh = Callable[[], tuple[Path, str]]


@dataclass
class Asked:
    """A request as the model of the machine knows it."""

    id: str
    number: int
    requester: str
    holder: int | None
    policy: str
    until: datetime
    state: str = "pending"
    yes: set[str] = field(default_factory=set)
    voted: set[str] = field(default_factory=set)


class Machine(RuleBasedStateMachine):
    """People ask, vote, withdraw, roll back and lose their role, while time passes."""

    fresh: Fresh

    def __init__(self) -> None:
        super().__init__()
        root, store = self.fresh()
        self.clock = Clock()
        self.root = root
        self.patch = pytest.MonkeyPatch()
        if store:
            self.patch.setenv("MLOPS_STORE", store)
        self.projects: dict[tuple[str, str], Project] = {}
        self.approvers = {ANN, BO, CY, FAY}
        self.asked: list[Asked] = []
        self.held: list[int] = []
        self.moves = 0
        self.rules = 0  # how often the rule for production changed; it is never the same again
        for number in VERSIONS:
            assert (
                self.open(EVE).models.register("churn", model(float(number)), FRAME.head()).number == number
            )

    def open(self, who: str, proof: str = "slack") -> Project:
        if (who, proof) not in self.projects:
            self.projects[who, proof] = open_project(self.root, actor=Actor(who, proof), clock=self.clock)
        return self.projects[who, proof]

    def teardown(self) -> None:
        report = self.open(ANN).audit.verify()
        assert report.ok, report.fault
        for project in self.projects.values():
            project.close()
        self.patch.undo()
        shutil.rmtree(self.root)

    @property
    def holder(self) -> int | None:
        return self.held[-1] if self.held else None

    @property
    def rule_now(self) -> str:
        return f"{2 * 1440 + self.rules}m"

    def overtake(self) -> None:
        """Let the model end what time, moves and policy have overtaken, as any look by the real one does."""
        for asked in self.asked:
            if asked.state == "pending" and asked.until <= self.clock():
                asked.state = "expired"
            elif asked.state == "pending" and (asked.holder, asked.policy) != (self.holder, self.rule_now):
                asked.state = "invalidated"

    @rule(number=st.sampled_from(VERSIONS), who=st.sampled_from((ANN, BO, EVE, CI)))
    def promote(self, number: int, who: str) -> None:
        if who == BO and BO not in self.approvers:
            with pytest.raises(Refused):
                self.open(who).models.promote(f"churn@v{number}", "production")
            return
        answer = self.open(who).models.promote(f"churn@v{number}", "production")
        self.overtake()
        same = [asked for asked in self.asked if asked.number == number and asked.state == "pending"]
        if self.holder == number:
            assert answer.moved
        elif same:
            assert answer.id == same[0].id
        else:
            assert answer.state == "pending"
            assert answer.id not in {asked.id for asked in self.asked}
            lifetime = timedelta(minutes=2 * 1440 + self.rules)
            self.asked.append(
                Asked(answer.id, number, who, self.holder, self.rule_now, self.clock() + lifetime)
            )

    @precondition(lambda self: self.asked)
    @rule(
        who=st.sampled_from((ANN, BO, CY, FAY)),
        proof=st.sampled_from(("slack", "jupyter", "local")),
    )
    def vote_for_the_newest(self, who: str, proof: str) -> None:
        self.vote(self.asked[-1], who, proof, yes=True)

    @precondition(lambda self: self.asked)
    @rule(at=AT, voters=st.permutations((ANN, BO, CY, FAY)))
    def everybody_votes(self, at: int, voters: list[str]) -> None:
        for who in voters:
            self.vote(self.asked[-1 - at % len(self.asked)], who, "slack", yes=True)

    @rule(number=st.sampled_from(VERSIONS), voters=st.permutations((ANN, BO, CY, FAY)))
    def promote_and_pass(self, number: int, voters: list[str]) -> None:
        self.promote(number, EVE)
        for who in voters:
            self.vote(self.asked[-1], who, "slack", yes=True)

    @precondition(lambda self: self.asked)
    @rule(at=AT, who=st.sampled_from(PEOPLE), yes=st.booleans())
    def anybody_votes(self, at: int, who: str, yes: bool) -> None:
        self.vote(self.asked[-1 - at % len(self.asked)], who, "slack", yes)

    def vote(self, asked: Asked, who: str, proof: str, yes: bool) -> None:
        self.overtake()
        expected: type[MLOpsError] | None = None
        if asked.state != "pending" or who in asked.voted:
            expected = Conflict
        elif who in (asked.requester, EVE) or who not in self.approvers or proof == "local":
            expected = Refused  # Eve registered every version
        approvals = self.open(who, proof).approvals
        foretold = approvals.may_vote(asked.id)
        assert (None if foretold is None else type(foretold)) is expected
        if expected is not None:
            with pytest.raises(expected):
                approvals.approve(asked.id) if yes else approvals.reject(asked.id, "no")
            return
        answer = approvals.approve(asked.id) if yes else approvals.reject(asked.id, "no")
        asked.voted.add(who)
        if not yes:
            asked.state = "rejected"
        else:
            asked.yes.add(who)
            if len(asked.yes & self.approvers) >= 2:
                asked.state = "moved"
                self.held.append(asked.number)
                self.moves += 1
        assert answer.state == asked.state
        self.overtake()

    @precondition(lambda self: self.asked)
    @rule(at=AT, who=st.sampled_from((ANN, BO, EVE)))
    def revoke(self, at: int, who: str) -> None:
        asked = self.asked[-1 - at % len(self.asked)]
        self.overtake()
        approvals = self.open(who).approvals
        if who not in (asked.requester, ANN):
            with pytest.raises(Refused):
                approvals.revoke(asked.id)
        elif asked.state != "pending":
            with pytest.raises(Conflict):
                approvals.revoke(asked.id)
        else:
            assert approvals.revoke(asked.id).state == "revoked"
            asked.state = "revoked"

    @rule(who=st.sampled_from((ANN, ANN, EVE)))
    def rollback(self, who: str) -> None:
        models = self.open(who).models
        if who == EVE or len(self.held) < 2:
            with pytest.raises(Refused if who == EVE else Conflict):
                models.rollback("churn", "production")
            return
        assert models.rollback("churn", "production", "complaints").moved
        self.held.pop()
        self.moves += 1
        self.overtake()

    @rule(hours=st.sampled_from((1, 1, 1, 20, 30)))
    def wait(self, hours: int) -> None:
        self.clock.turn(hours=hours)

    @rule(who=st.sampled_from((BO, CY, FAY)))
    def gain_or_lose_the_role(self, who: str) -> None:
        self.approvers ^= {who}
        self.record()

    @precondition(lambda self: self.asked)
    @rule(at=AT, voters=st.permutations((BO, CY, FAY)))
    def somebody_votes_and_leaves(self, at: int, voters: list[str]) -> None:
        asked = self.asked[-1 - at % len(self.asked)]
        self.vote(asked, voters[0], "slack", yes=True)
        self.approvers -= {voters[0]}
        self.record()
        self.vote(asked, voters[1], "slack", yes=True)

    @precondition(lambda self: len(self.asked) % 4 == 3)
    @rule()
    def change_the_rule(self) -> None:
        self.rules += 1
        self.record()
        self.overtake()

    def record(self) -> None:
        """Put another policy in force, as two admins who agree could."""
        project = self.open(ANN)
        policy = project.people.policy
        people = replace(policy.people, approver=tuple(sorted(self.approvers - {ANN})))
        production = replace(policy.aliases["production"], expires=self.rule_now)
        changed = replace(policy, people=people, aliases={"production": production})
        with project.store.write(ANN, "slack") as transaction:
            project.people.record(transaction, changed)

    @rule()
    def settle(self) -> None:
        self.open(DEE).approvals.settle()
        self.overtake()

    @invariant()
    def the_alias_is_where_the_votes_put_it(self) -> None:
        (churn,) = self.open(DEE).models.list()
        assert churn.aliases.get("production") == self.holder
        assert len(self.open(DEE).models.history("churn", "production")) == self.moves

    @invariant()
    def requests_are_as_the_model_says(self) -> None:
        approvals = self.open(DEE).approvals
        for asked in self.asked:
            real = approvals.get(asked.id)
            if asked.state not in ("expired", "invalidated") and asked.until > self.clock():
                assert (real.state, real.requester) in ((asked.state, asked.requester),)
            elif asked.state in ("expired", "invalidated"):
                assert real.state in ("pending", "expired", "invalidated")
            assert {vote.actor for vote in real.votes} == asked.voted
            if real.moved:
                live = {vote.actor for vote in real.votes if vote.counts}
                assert len(live) >= 2
                assert not live & {asked.requester, EVE, CI}


@pytest.fixture
def fresh(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> Fresh:
    from tests.conftest import fresh_database

    numbers = itertools.count(1)

    def make() -> tuple[Path, str]:
        root = tmp_path / f"project{next(numbers)}"
        root.mkdir()
        (root / "mlops.toml").write_text(TOML, "utf-8")
        store = fresh_database(request.getfixturevalue("postgresql")) if kind == "postgresql" else ""
        with pytest.MonkeyPatch.context() as patch:
            if store:
                patch.setenv("MLOPS_STORE", store)
            init_project(root, actor=ANN).close()
        return root, store

    return make


@pytest.mark.parametrize(("kind", "examples"), [("sqlite", 40), ("postgresql", 8)])
def test_whatever_people_do_nothing_moves_that_was_not_approved(
    fresh: Fresh, kind: str, examples: int
) -> None:
    made: Any = type("MachineOnThisStore", (Machine,), {"fresh": staticmethod(fresh)})
    run_state_machine_as_test(
        made,
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=True,
            database=None,
            phases=(Phase.generate,),
        ),
    )
