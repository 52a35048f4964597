"""How runs are seen: ranked, running, failed; with their curves and pictures, and in narrow places."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from jupyter_mlops.charts import bar, heatmap
from jupyter_mlops.runs import Run, RunError, RunInfo, Runs, Sweep
from jupyter_mlops.views import to_html, to_markdown, to_text, view
from jupyter_mlops.views.leaderboard import view_of_runs
from jupyter_mlops.views.view import Cell, Changes, Image, Picture, Table, View
from tests.conftest import MakeProject

AT, LATER = "2026-11-03T14:05:22.000000Z", "2026-11-03T14:05:32.000000Z"
SWEEP = Sweep("sw33p234", "churn", "train.ipynb", 24, "running", "auc", "maximize", AT, None, "ann")


def made(number: int, status: str = "finished", auc: float | None = None, **known: Any) -> Run:
    given: dict[str, Any] = {"parameters": {"C": number}, "metrics": {} if auc is None else {"auc": auc}}
    times = {"started_at": AT, "ended_at": LATER} if status != "queued" else {}
    return Run(
        f"run{number:05}",
        number,
        "churn",
        status,
        "ann",
        "local",
        "notebook",
        AT,
        **{**given, **times, **known},
    )


def board(seen: View) -> Table:
    return next(block for block in seen.blocks if isinstance(block, Table))


def test_a_running_sweep_says_how_far_it_is_and_what_is_best_so_far() -> None:
    runs = Runs(
        (
            *(made(number, auc=number / 10) for number in range(6)),
            *(made(number, "running", ended_at=None) for number in (6, 7)),
            *(made(number, "queued") for number in range(8, 24)),
        ),
        SWEEP,
    )
    seen = view(runs)
    assert "6 of 24 done · 2 running · about 1 min 30 s left · best run00005, auc 0.5" in seen.summary
    # what happens now stands on top; what waits is only counted
    assert [row[0].text for row in board(seen).rows][:3] == ["run00006", "run00007", "run00005"]
    assert len(board(seen).rows) == 8
    assert "about 5 s left" in view_of_runs(runs, seconds_left=5.0).summary
    assert not [block for block in seen.blocks if isinstance(block, Picture)]


def test_the_metric_that_decides_comes_first_with_bars() -> None:
    runs = [made(1, auc=0.5), made(2, auc=1.0), made(3, auc=math.nan), made(4, auc=0.75)]
    runs = [replace(run, metrics={"aaa": 1.0, **run.metrics}) for run in runs]
    table = board(view(Runs(tuple(runs), replace(SWEEP, status="finished"))))
    assert table.columns[:3] == ("run", "status", "auc")
    shares = [row[2].share for row in table.rows]
    assert shares == pytest.approx([1.0, 0.53, 0.06, None])
    assert [row[2].text for row in table.rows] == ["1", "0.75", "0.5", "NaN"]


def test_no_failed_run_hides() -> None:
    trace = "Cell In[5], line 2\n      1 x = 1\n----> 2 frame[name]"
    errors = [RunError(3, "KeyError", f"'{name}'", trace, "x = 1\nframe[name]") for name in "abc"]
    failed = [made(number, "failed", error=error) for number, error in enumerate(errors)]
    odd = made(9, "failed", error=RunError(None, "KernelDied", "killed"))
    for value in (Runs((*failed, odd)), (*failed, odd), Runs((*failed, odd), SWEEP)):
        for width in (80, 200):
            said = to_text(view(value), width)
            assert "4 runs failed" in said
            assert "KeyError: 'a'" in said
            assert "frame[name]" in said
            assert "run00001, run00002" in said
            assert "KernelDied: killed" in said
    page = to_html(view(Runs((*failed, odd))), link=lambda path: f"/mlops/{path}")
    assert 'href="/mlops/runs/run00001"' in page


def test_no_line_is_blamed_that_no_traceback_names() -> None:
    error = RunError(3, "TimeLimit", "longer than 4 seconds", "", "loop()\nnever_reached()")
    told = to_text(view(Runs((made(1, "failed", error=error),))))
    assert "cell 4" in told
    assert "never_reached" not in told


def test_a_pruned_run_is_not_called_stopped() -> None:
    runs = Runs((made(1, "stopped", pruned=3), made(2, "stopped"), made(3, auc=0.5)))
    assert "1 stopped · 1 pruned" in view(runs).summary


@pytest.mark.parametrize("width", [80, 200])
@pytest.mark.parametrize("count", [0, 1, 500])
def test_any_number_of_runs_fits_the_terminal(count: int, width: int) -> None:
    long = "a_parameter_with_a_name_that_is_too_long_for_any_table_that_one_would_read"
    runs = [made(number, auc=[0.5, math.inf, -math.inf, math.nan][number % 4]) for number in range(count)]
    runs = [
        replace(run, parameters={long: run.number, **{f"p{n}": run.number * n for n in range(8)}})
        for run in runs
    ]
    lines = to_text(view(Runs(tuple(runs))), width).split("\n")
    assert max(map(len, lines)) <= width
    assert len(lines) < 230


def test_a_run_shows_its_curves_and_the_pictures_it_kept(make_project: MakeProject) -> None:
    project = make_project()
    with project.runs.start("curves") as run:
        for step in range(5):
            run.log_metrics({"train_loss": 1 / (step + 1), "valid_loss": 2 / (step + 1)}, step)
            run.log_metric("broken", math.nan, step)
        run.log_metric("auc", 0.8)
        run.log_artifact(bar("shares", ["a", "b"], [1, 2]), "shares")
        run.log_artifact(_dot(), "dot.png")
    read = project.runs.get(run.id)
    pictures = [block.figure for block in view(read).blocks if isinstance(block, Picture)]
    # train and valid loss are read together; a curve of nothing is no curve
    assert [figure.title for figure in pictures] == ["loss", "shares"]
    assert [series.name for series in pictures[0].series] == ["train_loss", "valid_loss"]
    assert [block.media for block in view(read).blocks if isinstance(block, Image)] == ["image/png"]
    assert to_html(view(read)).count("data:image/png;base64,") == 1
    assert "dot" in to_markdown(view(read))
    # a run that nobody read from a project still shows itself
    assert not [block for block in view(made(1, auc=0.5)).blocks if isinstance(block, Picture)]


def test_a_curve_is_found_among_many_metrics(make_project: MakeProject) -> None:
    project = make_project()
    with project.runs.start("autologged") as run:
        run.log_metrics({f"m{number:02}": number for number in range(30)})
        for step in range(3):
            run.log_metrics({f"z{number:02}": step for number in range(14)}, step)
    read = project.runs.get(run.id)
    drawn = [block.figure for block in view(read).blocks if isinstance(block, Picture)]
    assert [figure.title for figure in drawn] == [f"z{number:02}" for number in range(12)]
    assert "… and 2 other curves: z12, z13" in to_text(view(read))
    assert [series.name for series in read.plot().series] == [f"z{number:02}" for number in range(14)]


def test_a_list_begins_with_what_most_of_its_runs_have(make_project: MakeProject) -> None:
    project = make_project()
    for strength in (0.1, 1.0):
        logged = {f"LogisticRegression__{name}": strength for name in ("C", "tol")}
        with project.runs.start("auto", parameters={"C": strength, **logged}) as run:
            run.log_metrics({name: 0.5 for name in ("accuracy", "f1", "test_auc", "training_auc", "zero")})
    for rate in (0.1, 0.2, 0.3):
        with project.runs.start("rates", parameters={"rate": rate, "data": "d@v1"}) as run:
            run.log_metric("score", rate)
    columns = board(view(project.runs.search())).columns
    assert columns[:5] == ("run", "status", "experiment", "started (UTC)", "took")
    # three runs have a rate and a score, two have the others; what repeats C is left out
    assert columns[5:9] == ("rate", "score", "C", "LogisticRegression__tol")
    told = to_text(view(project.runs.search()), 80)
    assert all(word in told for word in ("experiment", "took", "started (UTC)", "rate", "score"))
    (more,) = [line for line in told.split("\n") if "more column" in line]
    assert "accuracy" in more
    assert "training_auc" not in " ".join(columns)


def test_what_was_asked_for_is_shown_though_all_runs_have_it_alike(make_project: MakeProject) -> None:
    project = make_project()
    for rate in (0.1, 0.5, 0.5):
        with project.runs.start("rates", parameters={"rate": rate, "mode": "ok"}) as run:
            run.log_metrics({name: rate for name in ("a", "b", "c", "d", "e")})
            run.set_tags({"team": "red"})
    found = project.runs.search("parameters.rate > 0.3 and tags.team = 'red'", "metrics.e desc")
    assert board(view(found)).columns[5:8] == ("rate", "team", "e")
    assert board(view(project.runs.leaderboard("parameters.rate > 0.3"))).columns[5] == "rate"
    # nothing tells a single run apart from others: it shows all that it was set to
    (alone,) = project.runs.search("parameters.rate < 0.3")
    told = to_text(view(project.runs.search("parameters.rate < 0.3")))
    assert "mode  ok" in told
    assert "mode  ok" in to_text(view([alone]))


def test_what_a_sweep_tries_is_shown_before_it_differs() -> None:
    runs = Runs((made(1, "running", ended_at=None), made(2, "queued"), made(3, "queued")), SWEEP)
    assert "C" in board(view(runs)).columns


def test_a_run_that_never_started_says_when_it_was_queued() -> None:
    waiting = made(1, "queued")
    assert "queued  " in to_text(view(waiting))
    assert "started  " not in to_text(view(waiting))
    table = board(view([waiting, made(2, auc=0.5)]))
    started = table.columns.index("started (UTC)")
    assert [row[started].text for row in table.rows] == ["", "2026-11-03 14:05"]


def test_what_looks_like_nothing_is_written_out() -> None:
    odd = made(1, parameters={"none": None, "nan": math.nan, "empty": ""}, metrics={"loss": math.nan})
    told = to_text(view(odd))
    for line in ("none   none", "nan    NaN", 'empty  ""', "loss  NaN"):
        assert line in told
    other = made(2, parameters={"none": 1, "nan": 2, "empty": "x"})
    rows = {row[0].text: row[1].text for row in board(view([odd, other])).rows}
    assert rows  # the table of both can be drawn
    compared = to_text(view(Runs((odd, other)).compare()))
    assert '""' in compared
    assert "NaN" in compared


def test_names_are_whole_where_there_is_room() -> None:
    long = "GridSearchCV.estimator__fit_intercept_of_the_last_step"
    run = made(1, parameters={long: True}, metrics={f"{long}.loss": 0.5})
    assert f"{long}  " in to_text(view(run), 80)
    wordy = replace(run, parameters={long: "word " * 40}, metrics={})
    assert long not in to_text(view(wordy), 80)  # the value needs the room more


def test_a_small_matrix_shows_its_numbers_where_nothing_is_drawn() -> None:
    seen = view(heatmap("confusion", ["no", "yes"], {"no": [52, 1], "yes": [6, 84]}, y_label="actual"))
    lines = to_text(seen).split("\n")
    assert [line.split() for line in lines[-2:]] == [["no", "52", "1"], ["yes", "6", "84"]]
    assert "| yes | 6 | 84 |" in to_markdown(seen)
    large = heatmap("large", range(30), {str(row): range(30) for row in range(30)})
    assert len(to_text(view(large)).split("\n")) < 5


def test_the_name_of_a_picture_is_said_once_in_a_terminal(make_project: MakeProject) -> None:
    project = make_project()
    with project.runs.start("pictures") as run:
        run.log_artifact(_dot(), "dot.png")
    _, _, pictures = to_text(view(project.runs.get(run.id))).partition("Artifacts\n")
    # in the table of artifacts, and where the picture would be
    assert pictures.count("dot.png") == 2
    assert to_html(view(project.runs.get(run.id))).count(">dot.png</p>") == 1


def test_what_made_a_run_stands_above_its_pictures(make_project: MakeProject) -> None:
    project = make_project()
    with project.runs.start("pictures") as run:
        run.log_artifact(_dot(), "dot.png")
    told = to_text(view(project.runs.get(run.id)))
    assert told.index("What made it") < told.index("Artifacts")


def _dot() -> Any:
    from matplotlib.figure import Figure

    figure = Figure((1, 1))
    figure.subplots().plot([0, 1])
    return figure


def test_pictures_that_a_browser_does_not_draw_are_named() -> None:
    seen = View("v", blocks=(Image("a <b>page</b>", "application/pdf", b"%PDF"),))
    assert "<img" not in to_html(seen)
    assert "a &lt;b&gt;page" in to_html(seen)
    assert "a <b>page" in to_text(seen)


def test_changed_lines_keep_their_marks_everywhere() -> None:
    seen = View("v", blocks=(Changes((("-", "a <b>"), ("+", "```"), (" ", "same"), ("…", "3 equal lines"))),))
    assert "- a <b>\n+ ```\n  same\n… 3 equal lines" in to_text(seen)
    assert "````diff\n- a <b>" in to_markdown(seen)
    assert "- a &lt;b&gt;" in to_html(seen)
    assert "\x1b[31m- a" in to_text(seen, colour=True)


def test_bars_beside_numbers_cost_no_column() -> None:
    cells = tuple((Cell("x" * 28), Cell("y" * 28), Cell("0.5", share=0.5), Cell("1")) for _ in range(2))
    wide = View("v", blocks=(Table(("a", "b", "c", "d"), cells, frozenset({2, 3})),))
    assert "███" in to_text(wide, 120)
    narrow = to_text(wide, 66)
    assert "█" not in narrow
    assert narrow.count("more column") == 0


def test_in_a_notebook_things_are_linked_where_the_page_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = Runs(
        (made(1, "failed", error=RunError(2, "KeyError", "'a'"), info=RunInfo(executed_digest="b3:1")),)
    )
    assert "href" not in failed._repr_mimebundle_()["text/html"]
    monkeypatch.setenv("MLOPS_PAGE_URL", "http://127.0.0.1:8888/mlops/")
    shown = failed._repr_mimebundle_()["text/html"]
    assert 'href="http://127.0.0.1:8888/mlops/runs/run00001/notebook"' in shown
    monkeypatch.setenv("MLOPS_PAGE_URL", "javascript:alert(1)//")
    assert "href" not in failed._repr_mimebundle_()["text/html"]
