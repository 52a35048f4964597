"""Gates: conditions that we compute on declared data before an alias may move."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from jupyter_mlops.errors import BadConfig, BadInput, NotFound

from .conftest import CHURNED, FRAME, TOML, MakeTeam, Team, holdout, model


def gated(make_team: MakeTeam, gates: str, data: pd.DataFrame | None = None, **options: Any) -> Team:
    team = make_team(f"gates = [{gates}]", **options)
    team.project.datasets.commit("holdout", holdout() if data is None else data)
    team.project.datasets.alias("holdout@v1", "golden")
    return team


def test_a_scorer_is_measured_on_the_declared_data(make_team: MakeTeam) -> None:
    team = gated(make_team, '{ scorer = "accuracy", at_least = 0.9 }')
    report = team.project.models.gate("churn@v1", "production")
    assert report.passed
    (result,) = report.results
    assert (result.name, result.passed, result.threshold) == ("accuracy at least 0.9", True, 0.9)
    assert result.value == pytest.approx(1.0)
    assert (result.rows, report.rows) == (40, 40)
    assert (report.data, report.data_digest) == ("holdout@v1", team.project.datasets.get("holdout@v1").digest)
    assert team.project.models.promote("churn@v1", "production").state == "moved"


def test_what_a_run_claims_does_not_count(make_team: MakeTeam) -> None:
    flipped = holdout().assign(churned=np.where(CHURNED == "yes", "no", "yes"))
    team = gated(make_team, '{ scorer = "accuracy", at_least = 0.9 }', flipped)
    ask = team.project.models.promote("churn@v1", "production", reason="it logged accuracy 0.99")
    assert (ask.state, ask.moved) == ("blocked", False)
    assert ask.gates is not None
    assert ask.gates.failed == ("accuracy at least 0.9",)
    assert "not even 0.9" in ask.gates.results[0].explanation
    assert team.events(f"approval:{ask.id}") == ["approval.blocked"]
    assert team.project.models.get("churn@v1").aliases == ()


def test_a_blocked_request_is_the_same_until_something_changes(make_team: MakeTeam) -> None:
    team = gated(make_team, '{ scorer = "accuracy", at_least = 0.9 }', holdout().assign(churned="yes"))
    models = team.project.models
    blocked = models.promote("churn@v1", "production")
    assert blocked.state == "blocked"
    assert models.promote("churn@v1", "production").id == blocked.id
    team.project.datasets.commit("holdout", holdout())
    team.project.datasets.alias("holdout@v2", "golden")
    again = models.promote("churn@v1", "production")
    assert (again.state, again.id == blocked.id) == ("moved", False)


def test_a_floor_counts_from_exactly_there(make_team: MakeTeam) -> None:
    half = holdout().assign(churned=["yes", "no"] * 10 + list(CHURNED[20:]))
    team = gated(make_team, '{ scorer = "accuracy", at_least = 0.75 }', half)
    (result,) = team.project.models.gate("churn@v1", "production").results
    assert (result.value, result.passed) == (0.75, True)


def test_not_worse_than_judges_both_on_the_same_data(make_team: MakeTeam) -> None:
    gates = '{ scorer = "neg_log_loss", not_worse_than = "champion", margin = 0.05 }'
    team = gated(make_team, gates, versions=0)
    models = team.project.models
    for c in (10.0, 0.001, 9.0):
        models.register("churn", model(c), FRAME.head())
    first = models.gate("churn@v2", "production")
    assert first.passed
    assert "nothing holds champion yet" in first.results[0].explanation
    models.promote("churn@v1", "champion")
    worse, as_good = (models.gate(f"churn@v{number}", "production").results[0] for number in (2, 3))
    assert not worse.passed
    assert as_good.passed
    assert worse.value is not None
    assert worse.threshold == as_good.threshold
    assert worse.value < worse.threshold
    assert "churn@v1 has" in worse.explanation


def test_a_signature_must_suit_the_callers_of_the_holder(make_team: MakeTeam) -> None:
    team = gated(make_team, '{ signature = "compatible" }', versions=1)
    models = team.project.models
    assert "nothing holds production yet" in models.gate("churn@v1", "production").results[0].explanation
    assert models.promote("churn@v1", "production").moved
    wider = FRAME.assign(age=1)
    models.register("churn", model(frame=wider), wider.head())
    models.register("churn", model(frame=FRAME[["z", "x"]]), FRAME[["z", "x"]].head())
    models.register("churn", model(frame=FRAME.to_numpy()))
    assert (
        models.gate("churn@v2", "production").results[0].explanation
        == "against churn@v1: needs a new column age"
    )
    assert models.gate("churn@v3", "production").passed
    unsigned = models.gate("churn@v4", "production")
    assert not unsigned.passed
    assert "input_example" in unsigned.results[0].explanation


def test_a_model_of_an_array_is_judged_on_the_columns_in_order(make_team: MakeTeam) -> None:
    team = gated(make_team, '{ scorer = "accuracy", at_least = 0.9 }', versions=0)
    array = FRAME.to_numpy()
    team.project.models.register("churn", model(frame=array), array[:3])
    assert team.project.models.gate("churn@v1", "production").passed


def test_a_scorer_without_declared_data_is_refused(make_team: MakeTeam) -> None:
    toml = TOML.replace('evaluate = {{ data = "holdout@golden", target = "churned" }}', "")
    team = make_team('gates = [{ scorer = "roc_auc", at_least = 0.8 }]', toml=toml)
    for ask in (team.project.models.gate, team.project.models.promote):
        with pytest.raises(BadInput, match="no data is declared to judge churn on") as refused:
            ask("churn@v1", "production")
        assert "[models.churn]" in refused.value.hint
    assert team.project.approvals.list(None) == ()


@pytest.mark.parametrize(
    ("gates", "data", "error", "says"),
    [
        ('{ scorer = "acuracy", at_least = 0.9 }', holdout(), BadConfig, "did you mean accuracy"),
        (
            '{ scorer = "accuracy", at_least = 0.9 }',
            holdout().rename(columns={"churned": "churn"}),
            BadInput,
            "did you mean churn",
        ),
        ('{ scorer = "accuracy", at_least = 0.9 }', holdout().head(0), BadInput, "no rows"),
    ],
)
def test_what_cannot_be_judged_is_one_clear_line(
    make_team: MakeTeam, gates: str, data: pd.DataFrame, error: type[Exception], says: str
) -> None:
    team = gated(make_team, gates, data)
    with pytest.raises(error, match=says):
        team.project.models.promote("churn@v1", "production")
    assert team.project.approvals.list(None) == ()


def test_evaluation_data_that_does_not_exist_is_not_found(make_team: MakeTeam) -> None:
    team = make_team('gates = [{ scorer = "accuracy", at_least = 0.9 }]')
    with pytest.raises(NotFound, match="holdout"):
        team.project.models.promote("churn@v1", "production")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (holdout().drop(columns=["z"]), "churn@v1 needs z"),
        (holdout().assign(x="text"), "could not be computed"),
        (holdout().assign(x=np.nan), "could not be computed"),
    ],
)
def test_a_model_that_cannot_be_scored_has_not_passed(
    make_team: MakeTeam, data: pd.DataFrame, says: str
) -> None:
    team = gated(make_team, '{ scorer = "accuracy", at_least = 0.9 }', data)
    ask = team.project.models.promote("churn@v1", "production")
    assert ask.state == "blocked"
    assert ask.gates is not None
    (result,) = ask.gates.results
    assert (result.passed, result.value) == (False, None)
    assert says in result.explanation


def test_equal_questions_have_equal_reports(make_team: MakeTeam) -> None:
    team = gated(make_team, '{ scorer = "accuracy", at_least = 0.9 }')
    models = team.project.models
    assert models.gate("churn@v1", "production") == models.gate("churn@v1", "production")
    digests = {
        models.gate(ref, alias).digest
        for ref in ("churn@v1", "churn@v2")
        for alias in ("production", "challenger")
    }
    assert len(digests) == 4


def test_judging_changes_nothing(make_team: MakeTeam) -> None:
    team = gated(make_team, '{ scorer = "accuracy", at_least = 0.9 }')
    before = team.project.audit.verify().head
    team("dee@example.com").models.gate("churn", "production")
    assert team.project.audit.verify().head == before
