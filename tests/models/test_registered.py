"""Registered models: versions that are what they were, found by ref, by alias, and by when."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from jupyter_mlops.errors import BadInput, Conflict, NotFound, Refused, UnsafeModel
from jupyter_mlops.project import Project

FRAME = pd.DataFrame({"age": [31, 42, 53, 64] * 5, "balance": [0.5, 1.5, 2.5, 9.0] * 5})
CHURNED = ["no", "yes"] * 10
OpenAs = Callable[..., Project]


def fitted(c: float = 1.0) -> BaseEstimator:
    return LogisticRegression(C=c).fit(FRAME, CHURNED)


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def turn(self, **step: float) -> None:
        self.now += timedelta(**step)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def dated(make_project: Callable[..., Project], store_url: str, clock: Clock) -> Iterator[Project]:
    """A project whose time the test turns."""
    return make_project(store=store_url, clock=clock)


def test_an_estimator_becomes_a_version_that_loads(project: Project) -> None:
    version = project.models.register("churn", fitted(), FRAME.head())
    assert (version.ref, version.number, version.run) == ("churn@v1", 1, None)
    assert (version.author, version.actor) == ("ann@example.com", "ann@example.com")
    assert str(version.signature) == "(age integer, balance number) -> class"
    assert np.array_equal(version.load().predict(FRAME), fitted().predict(FRAME))
    pd.testing.assert_frame_equal(version.example(), FRAME.head())
    assert project.models.get("churn@v1") == version
    (event,) = project.events(about="model:churn@v1")
    assert event.verb == "model.registered"
    assert event.data == {"name": "churn", "number": 1, "digest": version.digest, "run": None}


def test_the_same_model_again_is_the_version_that_it_is(project: Project) -> None:
    first = project.models.register("churn", fitted(), FRAME.head())
    again = project.models.register("churn", fitted(), FRAME.head())
    assert again == first
    assert again.note == "unchanged: this is churn@v1"
    other = project.models.register("churn", fitted(c=2.0), FRAME.head())
    assert (other.number, other.note) == (2, "")
    assert project.models.register("churn", fitted(), FRAME.head()).ref == "churn@v1"
    assert project.models.register("fraud", fitted(), FRAME.head()).ref == "fraud@v1"
    assert len([event for event in project.events() if event.verb == "model.registered"]) == 3


def test_models_and_versions_are_listed(project: Project) -> None:
    for c in (1.0, 2.0, 3.0):
        project.models.register("churn", fitted(c))
    project.models.register("arrival delay", fitted())
    project.models.promote("churn@v2", "challenger")
    delay, churn = project.models.list()
    assert (delay.name, delay.versions, churn.versions) == ("arrival delay", 1, 3)
    assert churn.latest.ref == "churn@v3"
    assert churn.aliases == {"challenger": 2}
    assert [version.number for version in project.models.versions("churn")] == [3, 2, 1]
    assert [version.aliases for version in project.models.versions("churn")] == [(), ("challenger",), ()]
    assert churn.to_dict()["latest"]["signature"]["inputs"][0] == {"name": "age", "type": ""}


@pytest.mark.parametrize(
    ("ref", "says", "hint"),
    [
        ("chrun@v1", "no model 'chrun'", "did you mean churn?"),
        ("churn@v7", "churn@v7 does not exist", "the latest is churn@v2"),
        ("churn@challengr", "no declared alias", "did you mean challenger?"),
        ("churn@production", "no version of churn holds production yet", "promote"),
    ],
)
def test_what_does_not_exist_is_not_found_with_a_way_on(
    project: Project, ref: str, says: str, hint: str
) -> None:
    for c in (1.0, 2.0):
        project.models.register("churn", fitted(c))
    with pytest.raises(NotFound, match=says) as missing:
        project.models.get(ref)
    assert hint in missing.value.hint


def test_a_bare_name_reads_the_latest(project: Project) -> None:
    for c in (1.0, 2.0):
        project.models.register("churn", fitted(c))
    for ref in ("churn", "churn@latest", "model:churn", project.models.get("churn@v2")):
        assert project.models.get(ref).ref == "churn@v2"
    with pytest.raises(BadInput, match="names a data"):
        project.models.get("data:churn")


def test_who_held_an_alias_when(dated: Project, clock: Clock) -> None:
    models = dated.models
    for c in (1.0, 2.0):
        models.register("churn", fitted(c))
        clock.turn(hours=1)
        models.promote(f"churn@v{int(c)}", "challenger", reason=f"try {c}")
        clock.turn(days=1)
    # registered on the 1st at 12:00 and the 2nd at 13:00, promoted an hour later each
    assert models.get("churn@challenger").ref == "churn@v2"
    assert models.get("churn@challenger", at="2026-11-01").ref == "churn@v1"
    assert models.get("churn@challenger", at="2026-11-02T13:30").ref == "churn@v1"
    assert models.get("churn@challenger", at="2026-11-02T15:30+01:00").ref == "churn@v2"
    assert models.get("churn@challenger", at=datetime(2026, 11, 2, 14, tzinfo=UTC)).ref == "churn@v2"
    assert models.get("churn", at="2026-11-01").ref == "churn@v1"
    assert models.get("churn", at="2026-11-02").ref == "churn@v2"
    for at in ("2026-10-31", "2026-11-01T12:30"):
        with pytest.raises(NotFound, match="challenger at"):
            models.get("churn@challenger", at=at)
    with pytest.raises(NotFound, match="no version yet"):
        models.get("churn", at="2026-10-31")
    with pytest.raises(BadInput, match="no date"):
        models.get("churn@challenger", at="yesterday")
    with pytest.raises(BadInput, match="the same at any time"):
        models.get("churn@v1", at="2026-11-01")
    newest, first = models.history("churn", "challenger")
    assert (newest.number, newest.previous, newest.reason) == (2, 1, "try 2.0")
    assert (first.number, first.previous) == (1, None)
    with pytest.raises(NotFound, match="no declared alias"):
        models.history("churn", "chalenger")


def test_only_contributors_register(project: Project, as_actor: OpenAs) -> None:
    for name in ("dee@example.com", "stranger@example.com"):
        with pytest.raises(Refused):
            as_actor(project, name).models.register("churn", fitted())
    assert as_actor(project, "ci").models.register("churn", fitted()).author == "ci"


@pytest.mark.parametrize("name", ["", "../etc", "a@b", "<b>", "x" * 101, "a\n"])
def test_names_that_cannot_be_are_refused(project: Project, name: str) -> None:
    with pytest.raises(BadInput, match="cannot name a model"):
        project.models.register(name, fitted())
    assert project.models.list() == ()


def test_a_model_with_unknown_types_leaves_no_trace(project: Project) -> None:
    forest = RandomForestClassifier(n_estimators=2).fit(FRAME, CHURNED)
    with pytest.raises(UnsafeModel, match=r"sklearn\.tree\._tree\.Tree"):
        project.models.register("churn", forest)
    assert project.models.list() == ()


def test_a_run_gives_its_model_its_author_and_its_id(project: Project, as_actor: OpenAs) -> None:
    with as_actor(project, "bo@example.com").runs.start("churn") as run:
        run.log_model(fitted(), input_example=FRAME.head())
    by_ref = project.models.register("churn", run.id)
    assert (by_ref.run, by_ref.author, by_ref.actor) == (run.id, "bo@example.com", "ann@example.com")
    assert by_ref.digest == run.artifacts["model"].digest
    assert project.models.register("churn", project.runs.get(run.id)) == by_ref
    assert project.models.register("churn", "churn@latest").note == "unchanged: this is churn@v1"
    assert by_ref.load().predict(FRAME).shape == (20,)
    # the same model from nowhere is another version: its origin differs
    assert project.models.register("churn", fitted(), FRAME.head()).ref == "churn@v2"


def test_runs_give_their_best(project: Project) -> None:
    for c, auc in ((0.1, 0.7), (1.0, 0.9), (10.0, 0.8)):
        with project.runs.start("churn", parameters={"C": c}) as run:
            run.log_model(fitted(c))
            run.log_metric("auc", auc)
    runs = project.runs.search(experiment="churn")
    version = project.models.register("churn", runs.best(maximize="auc"))
    assert version.load().C == 1.0


def test_a_run_without_one_clear_model_is_refused(project: Project) -> None:
    with project.runs.start("churn") as run:
        run.log_metric("auc", 0.5)
    with pytest.raises(BadInput, match="logged no model"):
        project.models.register("churn", run.id)
    with project.runs.start("churn") as run:
        for name in ("first", "second"):
            run.log_model(fitted(), name=name)
    with pytest.raises(BadInput, match="several models: first, second"):
        project.models.register("churn", run.id)
    with project.runs.start("churn") as run:
        run.log_model(fitted(), name="only one")
    with pytest.raises(BadInput, match="already has its input example"):
        project.models.register("churn", run.id, input_example=FRAME)
    assert project.models.register("churn", run.id).number == 1


def test_promoting_a_bare_name_is_refused(project: Project) -> None:
    project.models.register("churn", fitted())
    with pytest.raises(BadInput, match="names no version"):
        project.models.promote("churn", "challenger")
    assert project.models.promote("churn@latest", "challenger").moved


def test_no_conflict_between_two_who_register_at_once(project: Project, as_actor: OpenAs) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def register(c: float) -> Any:
        return project.models.register("churn", fitted(c)).number

    with ThreadPoolExecutor(4) as pool:
        numbers = list(pool.map(register, [1.0, 2.0, 3.0, 4.0, 1.0, 2.0]))
    assert sorted(set(numbers)) == [1, 2, 3, 4]
    assert numbers[0] == numbers[4]
    assert numbers[1] == numbers[5]
    with pytest.raises(Conflict, match="nothing to roll back to"):
        project.models.rollback("churn", "challenger")
