"""The leaderboard: ranked, filtered and picked; and which parameters mattered."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import pytest

from jupyter_mlops.errors import BadInput, NotFound
from jupyter_mlops.project import Project
from jupyter_mlops.runs import Runs
from jupyter_mlops.views import to_html, to_text, view
from tests.conftest import MakeProject

Track = Callable[..., Any]


@pytest.fixture
def tried(make_project: MakeProject) -> Project:
    """A project with eight tracked runs: aucs, one of them NaN, one infinite, and a run that failed."""
    project = make_project()
    for number, auc in enumerate((0.81, 0.9, 0.7, math.nan, 0.85, math.inf, 0.6)):
        with project.runs.start("churn", parameters={"C": 10.0**-number, "kind": "ab"[number % 2]}) as run:
            run.log_metric("auc", auc)
    with (
        pytest.raises(ValueError, match="bad"),
        project.runs.start("churn", parameters={"C": 5.0, "kind": "a"}) as run,
    ):
        raise ValueError("bad split")
    return project


def aucs(runs: Runs) -> list[float | None]:
    return [run.metrics.get("auc") for run in runs]


def test_runs_without_a_value_come_last_in_memory_as_in_the_store(tried: Project) -> None:
    in_store = tried.runs.leaderboard(order_by="metrics.auc desc", experiment="churn")
    in_memory = tried.runs.search(limit=None).leaderboard("metrics.auc")
    assert aucs(in_memory.runs)[:5] == [0.9, 0.85, 0.81, 0.7, 0.6]
    assert [one for one in aucs(in_store.runs) if one is not None and math.isfinite(one)] == [
        0.9, 0.85, 0.81, 0.7, 0.6,
    ]  # fmt: skip
    assert len(in_memory.runs) == len(in_store.runs) == 8
    assert in_memory.runs[-1].status == "failed" or not math.isfinite(in_memory.runs[-1].metrics["auc"])


def test_one_ranks_filters_and_picks(tried: Project) -> None:
    board = tried.runs.search(limit=None).leaderboard()
    board.sort("metrics.auc").filter("metrics.auc > 0.75 and metrics.auc < 1")
    assert aucs(board.runs) == [0.9, 0.85, 0.81]
    board.pick(board.runs[0], board.runs[2].id[:5])
    assert aucs(board.picked) == [0.9, 0.81]
    board.sort("parameters.C", descending=True)
    assert aucs(board.runs) == [0.81, 0.9, 0.85]
    board.filter()
    assert len(board.runs) == 8
    assert aucs(board.picked) == [0.9, 0.81]
    assert board.sort("metrics.auc asc").order.descending is False
    assert len(board.picked.compare().runs) == 2


def test_a_slip_changes_nothing_on_the_board(tried: Project) -> None:
    board = tried.runs.search(limit=None).leaderboard("metrics.auc")
    before = [run.id for run in board.runs]
    for slip in (
        lambda: board.filter("metrics.auc >> 1"),
        lambda: board.sort("auc"),
        lambda: board.sort("metrics."),
        lambda: board.pick("zzzz"),
        lambda: board.pick(""),
    ):
        with pytest.raises((BadInput, NotFound)):
            slip()
        assert [run.id for run in board.refresh().runs] == before
        assert len(board.picked) == 0


def test_more_rows_are_read_when_asked_for(tried: Project) -> None:
    board = tried.runs.leaderboard(limit=3)
    assert (len(board.runs), board.total) == (3, None)
    assert len(board.more().runs) == board.total == 8


def test_the_board_says_how_it_stands_and_what_failed(tried: Project) -> None:
    board = tried.runs.search(limit=None).leaderboard("metrics.auc")
    said = to_text(view(board.pick(board.runs[0])))
    assert "metrics.auc, largest first · 1 picked · 1 failed" in said
    assert f"✓ {board.runs[0].id}" in said
    assert "ValueError: bad split" in said
    assert "No run fits" in to_text(view(board.filter("metrics.auc > 0.99 and metrics.auc < 1")))
    assert board.to_dict()["picked"] == [run.id for run in board.picked]


def test_an_experiment_stands_by_the_metric_its_sweep_declared(tried: Project) -> None:
    assert tried.runs.leaderboard(experiment="churn").order is None
    assert "no runs" in view(tried.runs.leaderboard("tags.none = 'x'")).title


def test_names_that_mean_something_to_the_grammar_can_be_ranked_by(make_project: MakeProject) -> None:
    project = make_project()
    names = ("auc desc", "a.b", "<script>", "über 'x'")
    for value in (1.0, 3.0, 2.0):
        with project.runs.start("odd") as run:
            run.log_metrics(dict.fromkeys(names, value))
    for name in names:
        for board in (project.runs.leaderboard(), project.runs.search().leaderboard()):
            board.sort(f"metrics.{name}", descending=True)
            assert [run.metrics[name] for run in board.runs] == [3.0, 2.0, 1.0], name
            assert "<script>" not in to_html(view(board))


def swept(project: Project, count: int, noise: float = 0.0) -> Runs:
    """Track runs whose auc follows from ``C`` alone, and return them."""
    made = random.Random(5)
    for _ in range(count):
        given = {"C": made.choice([0.1, 1.0, 10.0]), "penalty": made.choice(["l1", "l2"]), "seed": 0}
        with project.runs.start("imp", parameters=given) as run:
            run.log_metric("auc", noise * made.random() if noise else 0.8 + given["C"] / 100)
    return project.runs.search(limit=None, experiment="imp")


def test_the_parameter_that_decides_is_told_from_the_one_that_does_not(make_project: MakeProject) -> None:
    runs = swept(make_project(), 16)
    told = runs.importance("auc")
    assert told.trusted
    assert told.score is not None
    assert told.score > 0.5
    assert list(told.shares) == ["C", "penalty"]
    assert told.shares["C"] > 0.9
    assert told == runs.importance("auc")
    assert "C explains most" in told.plot().alt
    assert "permutation importance" in to_text(view(told))


@pytest.mark.parametrize(
    ("count", "noise", "doubt"),
    [(5, 0.0, "too few"), (24, 1.0, "say little")],
)
def test_importance_says_when_it_cannot_tell(
    make_project: MakeProject, count: int, noise: float, doubt: str
) -> None:
    told = swept(make_project(), count, noise).importance("auc")
    assert not told.trusted
    assert doubt in told.doubt
    assert doubt in to_text(view(told), 200)
    if doubt == "too few":
        with pytest.raises(NotFound, match="too few"):
            told.plot()


def test_nothing_depends_on_parameters_that_never_change(make_project: MakeProject) -> None:
    project = make_project()
    for _ in range(12):
        with project.runs.start("same", parameters={"C": 1.0}) as run:
            run.log_metric("auc", 0.5)
    assert "differ in no parameter" in project.runs.search().importance().doubt


def test_every_kind_of_picture_says_in_words_what_it_shows(tried: Project) -> None:
    runs = tried.runs.search(limit=None)
    for kind in ("parallel", "bar", "line", "scatter"):
        figure = runs.plot(kind)
        assert figure.alt.startswith(("Parallel", "Bar", "Line", "Scatter"))
        assert "auc" in figure.alt
        assert view(figure)
    assert runs.plot("scatter", parameter="C").x_log
    assert runs.plot("scatter", parameter="kind").x_type == "category"
    with pytest.raises(NotFound, match="has a parameter 'D'"):
        runs.plot("scatter", parameter="D")
    with pytest.raises(BadInput, match="no kind"):
        runs.plot("pie")
    with pytest.raises(NotFound, match="no run here has a metric"):
        runs.plot(metric="acu")


def test_many_curves_are_thinned_and_the_first_stand_out(make_project: MakeProject) -> None:
    project = make_project()
    for number in range(12):
        with project.runs.start("long", parameters={"lr": number}) as run:
            for step in range(3_000):
                run.log_metric("loss", 1 / (step + 1 + number), step)
    figure = project.runs.search(limit=None).plot("line")
    assert len(figure.series) == 12
    assert max(len(one.x) for one in figure.series) < 1_500
    assert {one.x[0] for one in figure.series} == {0}
    assert {one.x[-1] for one in figure.series} == {2_999}
    assert len(figure.highlight) == 3


def test_of_very_many_curves_the_best_are_drawn_and_the_rest_is_counted(make_project: MakeProject) -> None:
    from dataclasses import replace

    from jupyter_mlops.runs import Sweep

    project = make_project()
    for number in range(55):
        with project.runs.start("crowd", parameters={"lr": number}) as run:
            run.log_metric("auc", number / 100, 0)
            run.log_metric("auc", number / 90, 1)
    found = project.runs.search(limit=None)
    sweep = Sweep("s", "crowd", "n.ipynb", 55, "finished", "auc", "maximize", found[0].created_at, None, "a")
    figure = replace(found, sweep=sweep).plot("line")
    assert len(figure.series) == 50
    assert figure.subtitle == "first 50 of 55 runs"
    assert figure.series[0].name.endswith("54")
    assert figure.highlight == tuple(one.name for one in figure.series[:3])
