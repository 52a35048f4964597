"""Runs are found by what people type; what cannot be read is pointed at; nothing typed becomes SQL."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_mlops.errors import BadInput, NotFound
from jupyter_mlops.project import Project
from jupyter_mlops.runs.finding.search import Query, parse_query
from jupyter_mlops.runs.finding.selection import Selection
from jupyter_mlops.store.dialect import PostgreSQLDialect, SQLiteDialect


@pytest.fixture
def history(project: Project) -> Project:
    """Four runs of two experiments: a, b and c of churn, d of fraud."""
    made: list[tuple[str, str, dict[str, Any], dict[str, float]]] = [
        ("churn", "a", {"C": 0.1, "penalty": "l1", "code": "007", "deep": True}, {"auc": 0.7, "val loss": 3}),
        ("churn", "b", {"C": 1, "penalty": "l2", "code": "7", "deep": False}, {"auc": 0.9}),
        ("churn", "c", {"C": 10.0, "penalty": None, "code": "x'y\"z"}, {"auc": math.nan}),
        ("fraud", "d", {"penalty": "L1_100%"}, {"recall": math.inf}),
    ]
    for experiment, name, parameters, metrics in made:
        with project.runs.start(experiment, parameters) as run:
            run.log_metrics(metrics)
            run.set_tags({"name": name, "team": "growth" if name in "ab" else "risk"})
    with project.runs.start("fraud") as run:
        run.set_tags({"name": "e"})
        run.fail(RuntimeError())
    return project


def names(project: Project, where: str, order_by: Any = "tags.name", **options: Any) -> str:
    return "".join(run.tags["name"] for run in project.runs.search(where, order_by, **options))


def test_the_filter_finds_what_it_says(history: Project) -> None:
    found = {where: names(history, where) for where in EXPECTED}
    assert found == EXPECTED


EXPECTED = {
    "": "abcde",
    "metrics.auc > 0.8": "b",
    "metrics.auc >= .7 and metrics.auc < 9e-1": "a",
    "metrics.auc != 0.7": "b",
    'metrics."val loss" = 3': "a",
    "metrics.recall = inf": "d",
    "metrics.auc is null": "cde",
    "metrics.auc is not null": "ab",
    "parameters.C in (0.1, 10)": "ac",
    "parameters.C not in (0.1, 10)": "b",
    "parameters.C = 1": "b",
    "parameters.penalty = 'l1'": "a",
    'parameters.penalty = "l1"': "a",
    "parameters.penalty != 'l1'": "bd",
    "parameters.penalty is null": "ce",
    "parameters.penalty like 'l%'": "abd",
    "parameters.penalty not like 'l%'": "",
    "parameters.penalty like '%100%'": "d",
    "parameters.penalty like 'l_'": "ab",
    "parameters.code = '007'": "a",
    "parameters.code = 'x''y\"z'": "c",
    "parameters.deep = true": "a",
    "parameters.deep = FALSE": "b",
    "tags.team in ('growth', 'other') and not tags.name = 'a'": "b",
    "tags.team = 'growth' or tags.name = 'd'": "abd",
    "tags.name = 'a' or tags.name = 'b' and metrics.auc > 1": "a",
    "(tags.name = 'a' or tags.name = 'b') and metrics.auc > 0.8": "b",
    "NOT (metrics.auc > 0.8 OR metrics.auc IS NULL)": "a",
    "not not tags.name = 'a'": "a",
    "attributes.experiment = 'fraud'": "de",
    "experiment like 'CH%'": "abc",
    "status = 'failed'": "e",
    "status in ('finished') and experiment = 'fraud'": "d",
    "actor = 'ann@example.com'": "abcde",
    "started_at > '2000-01-01'": "abcde",
    "started_at < '2000-01-01'": "",
    "notebook is null": "abcde",
    "tags.team = '; DROP TABLE runs; --'": "",
    "parameters.\"x' OR '1'='1\" = 'a'": "",
    "tags.name like '~%'": "",
}


def test_the_order_puts_missing_values_last(history: Project) -> None:
    assert names(history, "", "metrics.auc desc, tags.name") == "bacde"
    assert names(history, "", ["metrics.auc", "tags.name desc"]) == "abedc"
    assert names(history, "", "parameters.C desc, tags.name") == "cbade"
    assert names(history, "", None) == "edcba"
    assert names(history, "", None, limit=2) == "ed"
    assert names(history, "", None, limit=0) == ""
    assert names(history, "", None, limit=None, experiment="churn") == "cba"


@pytest.mark.parametrize(
    ("where", "column", "message"),
    [
        ("metrics.auc >", 14, "it ends here; it should go on with a value or a text in quotes"),
        ("metrics.auc >> 1", 14, "'>' was not expected"),
        ("metrics.auc > 0.8 und x = 1", 19, "'und' was not expected; it should go on with 'and' or 'or'"),
        ("metrik.auc > 0.8", 1, "there is no 'metrik' to look at"),
        ("experimnt = 'a'", 1, "there is no 'experimnt'"),
        ("status = 'failed' and attributes.stat = 'x'", 23, "runs have no attribute 'stat'"),
        ("metrics > 1", 8, "'metrics' needs a name"),
        ("metrics.auc = 'high'", 15, "metrics.auc is a number"),
        ("tags.n = 3", 10, "tags.n is text"),
        ("tags.n = true", 10, "tags.n is text"),
        ("tags.n > 'a'", 10, "'>' compares numbers"),
        ("metrics.auc like 'a'", 1, "metrics.auc is a number"),
        ("tags.n = 'open", 10, '"\'" makes no sense here'),
        ("(tags.n = 'a'", 14, "it ends here"),
        ("tags.n = 'a')", 13, "')' was not expected"),
        ("tags.n in ()", 12, "')' was not expected"),
        ("metrics.auc ; drop", 13, "';' makes no sense"),
        ("or", 3, "it ends here; it should go on with a comparison"),
        ("status = 'done'", 10, "there is no status 'done'"),
        ("kind in ('tracked', 'script')", 21, "there is no kind 'script'"),
        ("duration > 'soon'", 12, "duration is a length of time"),
        ("duration > 10x", 12, "'1' makes no sense here"),
        ("metrics.auc > 10s", 15, "metrics.auc is no length of time"),
    ],
)
def test_what_cannot_be_read_is_pointed_at(make_project, where: str, column: int, message: str) -> None:
    project = make_project()
    with pytest.raises(BadInput) as caught:
        project.runs.search(where)
    assert caught.value.message.startswith(f"the filter cannot be read at column {column}: ")
    assert message in caught.value.message
    assert "— \n" not in str(caught.value)
    typed, caret = caught.value.hint.splitlines()[-2:]
    assert typed == f"    {where}"
    assert caret == " " * (4 + column - 1) + "^"


def test_a_name_without_its_group_is_known(history: Project) -> None:
    for where, meant in (
        ("auc > 0.5", "metrics.auc?"),
        ("acu > 0.5", "metrics.auc?"),
        ("C = 1", "parameters.C?"),
        ("name = 'a'", "tags.name?"),
        ("experimnt = 'a'", "experiment?"),
    ):
        with pytest.raises(BadInput, match=f"did you mean {re.escape(meant)}"):
            history.runs.search(where)
    with pytest.raises(BadInput, match=r"order cannot be read at column 1: .* did you mean metrics\.auc\?"):
        history.runs.search(order_by="auc desc")


def test_a_status_is_one_of_the_known_ones_in_any_case(history: Project) -> None:
    with pytest.raises(BadInput, match="known: queued, running, finished, failed, stopped, pruned"):
        history.runs.search("status = 'xyz'")
    assert names(history, "status = 'FAILED'") == names(history, "status = 'failed'") == "e"


def test_a_length_of_time_may_have_a_unit(history: Project) -> None:
    for where in ("duration < 10m", "duration < '10m'", "duration < 600"):
        assert names(history, where) == names(history, ""), where
    assert names(history, "duration > 10m") == ""


def test_pruned_runs_are_found_by_their_status(make_project: Callable[..., Project]) -> None:
    project = make_project()
    for name in "abc":
        with project.runs.start("churn") as run:
            run.set_tags({"name": name})
        # as the judge and the sweep's record write it
        if name in "bc":
            with project.store.bookkeeping() as tx:
                pruned = 3 if name == "b" else None
                tx.execute(
                    "UPDATE runs SET status = 'stopped', pruned_step = :pruned WHERE id = :id",
                    id=run.id,
                    pruned=pruned,
                )
    assert names(project, "status = 'pruned'") == "b"
    assert names(project, "status != 'pruned'") == "ac"
    assert names(project, "not status != 'pruned'") == "b"
    assert names(project, "status in ('pruned', 'finished')") == "ab"
    assert names(project, "status not in ('pruned', 'finished')") == "c"
    assert names(project, "status = 'stopped'") == "bc"
    assert names(project, "pruned >= 3") == "b"
    assert names(project, "", "pruned, tags.name") == "bac"


def test_what_is_no_text_is_told_and_not_tried(make_project: Callable[..., Project]) -> None:
    runs: Any = make_project().runs
    wrong: list[tuple[Callable[[], Any], str]] = [
        (lambda: runs.search(None), "the filter is no text: None"),
        (lambda: runs.search(5), "the filter is no text: 5"),
        (lambda: runs.search(order_by=5), "the order is no text: 5"),
        (lambda: runs.search(order_by=[1]), r"the order is no text: \[1\]"),
        (lambda: runs.search('metrics."\ud800" > 1'), "the filter holds characters that cannot be stored"),
        (lambda: runs.get(None), "a NoneType names no run"),
        (lambda: runs.get(5), "a int names no run"),
        (lambda: runs.get("\ud800@latest"), "a ref holds characters that cannot be stored"),
    ]
    for ask, told in wrong:
        with pytest.raises(BadInput, match=told):
            ask()
    with runs.start("churn") as run:
        for log in (run.log_parameters, run.set_tags, run.log_metrics):
            with pytest.raises(BadInput, match="are given by name, not as a list"):
                log(["a"])


def test_a_wrong_order_or_limit_is_refused(make_project) -> None:
    project = make_project()
    with pytest.raises(BadInput, match="column 13: 'down' was not expected"):
        project.runs.search(order_by="metrics.auc down")
    with pytest.raises(BadInput, match="is not a number of runs"):
        project.runs.search(limit=-1)
    with pytest.raises(BadInput, match="longer than"):
        project.runs.search("status = 'failed' or " * 200 + "status = 'failed'")
    with pytest.raises(BadInput):
        project.runs.search("(" * 1990)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    for where, order in ((text, None), ("", text), (f"tags.a = '{text}'", None), (f"text ~ '{text}'", None)):
        try:
            query = parse_query(where, order)
        except BadInput:
            continue
        for statement, bound in selected(query):
            for typed in (value for value in bound.values() if isinstance(value, str)):
                assert len(typed) < 4 or typed in OURS or typed not in statement


OURS = ("null", "text", "true", "false")


def selected(query: Query) -> Iterator[tuple[str, dict[str, Any]]]:
    for dialect in (SQLiteDialect(), PostgreSQLDialect()):
        selection = Selection(query, dialect)
        for statement in selection.statements(50, 100_000, lambda sql, bound: 10):
            yield statement, selection.bound


def test_runs_are_named_by_prefix_experiment_and_best(history: Project) -> None:
    runs = history.runs
    first = runs.search("tags.name = 'a'")[0]
    assert runs.get(first.id) == runs.get(first.id[:6]) == runs.get(f"run:{first.id}") == first
    assert runs.get("fraud@latest").tags["name"] == "e"
    assert runs.get(first) == first
    assert runs.experiments() == ("churn", "fraud")
    with pytest.raises(BadInput, match=r"'churn' is an experiment — write churn@latest or churn@best"):
        runs.get("churn")
    with pytest.raises(BadInput, match="no sweep of 'churn' declared which metric decides"):
        runs.get("churn@best")
    with pytest.raises(NotFound, match=r"no experiment or sweep 'chrun' — did you mean churn"):
        runs.get("chrun@latest")
    with pytest.raises(NotFound, match="there is no run 'zzzzzzzzz'"):
        runs.get("zzzzzzzzz")
    with pytest.raises(NotFound):
        runs.get("_%")
    with pytest.raises(BadInput, match="is no ref of a run"):
        runs.get("churn@v1")
    letters: dict[str, int] = {}
    for run in runs.search():
        letters[run.id[0]] = letters.get(run.id[0], 0) + 1
    for letter, count in letters.items():
        if count > 1:
            with pytest.raises(BadInput, match="begins several runs"):
                runs.get(letter)


def test_several_runs_are_compared_and_drawn(history: Project) -> None:
    runs = history.runs.search(order_by="tags.name", experiment="churn")
    assert runs.id is None
    assert runs.best(maximize="auc").tags["name"] == "b"
    assert runs.best(minimize="auc").tags["name"] == "a"
    assert runs.varying == ("C", "code", "deep", "penalty")
    with pytest.raises(BadInput, match="which run is best was not declared"):
        runs.best()
    with pytest.raises(NotFound, match=r"has a value of 'acu' — did you mean auc"):
        runs.best(maximize="acu")
    frame = runs.to_pandas()
    assert list(frame["parameters.C"]) == [0.1, 1, 10.0]
    assert list(frame["metrics.auc"][:2]) == [0.7, 0.9]
    figure = runs.plot()
    assert figure.axes == ("C", "code", "deep", "penalty", "auc")
    assert len(figure.series) == 3
    assert runs.plot("bar", "auc").kind == "bar"
    assert runs.plot("line", "auc").kind == "line"
    with pytest.raises(BadInput, match="no kind of picture"):
        runs.plot("pie")
    with pytest.raises(NotFound, match="no run here has a metric 'x'"):
        runs.plot(metric="x")
    comparison = history.runs.compare(runs[0], runs[1].id)
    rows = {(row.group, row.name): row for row in comparison.rows}
    assert rows["parameter", "C"].values == (0.1, 1)
    assert rows["parameter", "C"].differs
    assert not rows["fact", "experiment"].differs
    assert rows["metric", "val loss"].values == (3.0, None)
    assert comparison.to_dict()["runs"] == [runs[0].id, runs[1].id]
    assert history.runs.search("status = 'queued'").to_dict() == {"items": [], "sweep": None}
    assert runs[0:2] == (runs[0], runs[1])
