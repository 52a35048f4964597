"""Where there are many runs, a search does as much work as where there are few; every write keeps words."""

from __future__ import annotations

import itertools
import random
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jupyter_mlops.errors import BadInput
from jupyter_mlops.project import Project
from jupyter_mlops.store.dialect import typed_words

FEW, MANY = 600, 6_000
LETTERS = "23456789abcdefghjkmnpqrstuvwxyz"


def fill(project: Project, count: int) -> None:
    """Put so many finished runs where runs are kept, with a parameter, two metrics and two tags each."""
    drawn = random.Random(count)
    ids = ["".join(drawn.choices(LETTERS, k=8)) for _ in range(count)]
    runs = [
        {"id": id, "number": number, "at": f"2026-01-01T00:00:00.{number:06}Z"}
        for number, id in enumerate(ids, 1)
    ]
    metrics = [{"run": id, "name": name, "value": drawn.random()} for id in ids for name in ("auc", "loss")]
    parameters = [
        {"run": id, "name": "C", "value": f"{at % 10}", "number": at % 10} for at, id in enumerate(ids)
    ]
    parameters += [{"run": id, "name": "seed", "value": f"{at}", "number": at} for at, id in enumerate(ids)]
    tags = [{"run": id, "name": "name", "value": f"run {at}"} for at, id in enumerate(ids)]
    tags += [{"run": id, "name": "team", "value": "abcdefghij"[at % 10]} for at, id in enumerate(ids)]
    with project.store.bookkeeping() as tx:
        tx.many(
            "INSERT INTO runs (id, number, experiment, kind, status, host, actor, proof, at, started_at) "
            "VALUES (:id, :number, 'churn', 'tracked', 'finished', 'h', 'ann', 'local', :at, :at)",
            runs,
        )
        tx.many("INSERT INTO run_metrics (run, name, value, step) VALUES (:run, :name, :value, 0)", metrics)
        tx.many(
            "INSERT INTO run_parameters (run, name, value, number) VALUES (:run, :name, :value, :number)",
            parameters,
        )
        tx.many("INSERT INTO run_tags (run, name, value) VALUES (:run, :name, :value)", tags)
        for at, id in enumerate(ids):
            tx.describe("run", id, "common " + ("rare" if at == 7 else "other"))


@pytest.fixture
def worked(make_project: Callable[..., Project]) -> Callable[[Project, Callable[[], Any]], int]:
    """Return how many thousand steps SQLite's machine takes for what a function does."""

    def steps(project: Project, act: Callable[[], Any]) -> int:
        connection = project.store._connection()
        assert isinstance(connection, sqlite3.Connection)
        counted = itertools.count()
        connection.set_progress_handler(lambda: next(counted) * 0, 100)
        act()
        connection.set_progress_handler(None, 0)
        return next(counted)

    return steps


SEARCHES: list[tuple[str, str | None]] = [
    ("", None),
    ("", "metrics.auc desc"),
    ("parameters.C = 3", "metrics.auc desc"),
    ("parameters.C = 3", "metrics.auc"),
    ("tags.team = 'b'", "metrics.auc desc"),
    ("metrics.loss < 0.1", "metrics.auc desc, tags.team"),
    ("metrics.auc < 0.2", "metrics.auc desc"),
    ("experiment = 'churn' and status = 'finished'", "metrics.auc desc"),
    ("tags.name = 'run 7'", "metrics.auc desc"),
    ("metrics.loss < 0.0000001", "metrics.auc desc"),
    ("text matches 'rare'", "metrics.auc desc"),
    ("not (parameters.C > 3 or tags.team in ('a', 'b'))", "metrics.auc desc"),
    ("", "parameters.seed"),
    ("", "started_at desc"),
    ("status = 'failed'", "started_at"),
    ("tags.team = 'b'", None),
]


def test_ten_times_as_many_runs_are_little_more_work(
    make_project: Callable[..., Project], worked: Any
) -> None:
    few, many = make_project(), make_project()
    fill(few, FEW)
    fill(many, MANY)
    for where, order in SEARCHES:

        def found(project: Project, where: str = where, order: str | None = order) -> Any:
            return project.runs.search(where, order, 20)

        assert len(found(few)) == len(found(many)) or "0000001" in where
        little, much = (worked(project, lambda project=project: found(project)) for project in (few, many))
        # what is walked along, or looked into, grows with the root of their number at most
        assert much <= little * 3.2 + 10, (where, order, little, much)


def test_the_runs_that_fit_are_found_whichever_way_is_taken(project: Project) -> None:
    fill(project, FEW)
    everything = project.runs.search(limit=None)
    best = sorted(everything, key=lambda run: -run.metrics["auc"])
    assert project.runs.search("", "metrics.auc desc", None).items == tuple(best)
    for where, fits in (
        ("tags.name = 'run 7'", lambda run: run.tags["name"] == "run 7"),
        ("tags.name in ('run 7', 'run 8') or metrics.loss < 0.01", None),
        ("parameters.C = 3 and tags.team = 'd'", lambda run: run.parameters["C"] == 3),
        ("text ~ 'rare'", lambda run: run.tags["name"] == "run 7"),
        ("text ~ 'comm*' and parameters.C < 4", lambda run: run.parameters["C"] < 4),
    ):
        wanted = fits or (lambda run: run.tags["name"] in ("run 7", "run 8") or run.metrics["loss"] < 0.01)
        for limit in (5, 50, None):
            found = project.runs.search(where, "metrics.auc desc", limit)
            assert found.items == tuple(run for run in best if wanted(run))[:limit]


def by_words(project: Project, words: str) -> list[str]:
    return [run.id for run in project.runs.search(f"text matches '{words}'")]


def test_every_write_keeps_the_words(project: Project, write_notebook: Callable[..., Any]) -> None:
    with project.runs.start("first try", {"optimizer": "Nesterov"}) as run:
        assert by_words(project, "nesterov first") == [run.id]
        run.log_parameters({"nested": {"depth": ["shallow"]}, "path": "C:\\data\\Käse.csv"})
        assert by_words(project, "shallow") == by_words(project, "KASE csv") == [run.id]
        run.set_tags({"owner": "Zoë"})
        assert by_words(project, "zoe") == [run.id]
        run.set_tags({"owner": "Bo"})
        assert by_words(project, "zoe") == []
        run.fail(ValueError("could not convert string to float: 'abc'"))
    assert by_words(project, "valueerror CONVERT bo") == [run.id]
    notebook = write_notebook(project.root / "train it.ipynb", "kernel_name = 'rbf'", "1 / 0")
    runs = project.runs.execute(notebook, {"kernel_name": "polynomial"}, experiment="kernels")
    assert by_words(project, "train polynomial ZeroDivisionError") == [runs[0].id]
    assert by_words(project, "poly*") == [runs[0].id]
    assert by_words(project, "poly") == []


def test_runs_from_before_words_were_kept_are_found(project: Project) -> None:
    with project.runs.start("old", {"optimizer": "Nesterov"}) as run:
        run.set_tags({"owner": "Zoë"})
        run.fail(ValueError("too small"))
    project.runs.note(run.id, "keep")
    with project.store.bookkeeping() as tx:  # as an older version leaves it
        tx.execute("DELETE FROM texts")
        tx.insert("texts_due", kind="run", id=run.id)
    for words in ("nesterov", "zoe", "small", "keep", "old"):
        assert by_words(project, words) == [run.id]
    assert project.store.all("SELECT * FROM texts_due") == []


def names(length: int) -> Iterator[str]:
    yield "x" * length
    yield "é" * length


def test_long_and_strange_texts_do_no_harm(project: Project) -> None:
    for text in (
        *names(3_000),
        *names(100_000),
        "\u0301\u200d",
        "'; DROP TABLE texts; --",
        '"" AND OR NEAR(',
    ):
        with project.runs.start("odd", {"text": text}) as run:
            run.set_tags({"t": text[:4_000]})
        project.runs.note(run.id, text[:9_000])
        assert (
            project.runs.search(f"parameters.text like '{text[:40].replace(chr(39), '_')}%'")[0].id == run.id
        )
        if len(text) < 1_000:
            quoted = text.replace("'", "''")
            assert (
                project.runs.search(f"parameters.text = '{quoted}' and tags.t = '{quoted}'")[0].id == run.id
            )
    assert len(project.runs.search("text matches 'DROP table; -- texts'")) == 1
    assert len(project.runs.search("text matches 'xxxxx*'")) == 2


SAID = ("odd", "text", "a", "b")


def test_anything_may_be_pasted_among_the_words(project: Project) -> None:
    with project.runs.start("odd", {"text": "a b"}) as run:
        run.log_metric("auc", 1)

    @settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.text(max_size=40))
    def harmless(typed: str) -> None:
        quoted = typed.replace("'", "''")
        if "\0" in typed:
            with pytest.raises(BadInput, match="cannot be stored"):
                by_words(project, quoted)
            return
        words = typed_words(typed)
        if not words:
            with pytest.raises(BadInput, match="there is no word in this text"):
                by_words(project, quoted)
            return
        known = all(any(one == w or (star and one.startswith(w)) for one in SAID) for w, star in words)
        assert by_words(project, quoted) == ([run.id] if known else [])

    harmless()
    assert len(project.runs.search("text ~ 'a*'", "metrics.auc", 10**40)) == 1
