"""The leaderboard's panel: one sorts, filters, ticks, compares and registers with the mouse."""

from __future__ import annotations

import math
from typing import Any

import ipywidgets
import pytest
from sklearn.linear_model import LogisticRegression

from jupyter_mlops.notebook.leaderboard import LeaderboardPanel
from jupyter_mlops.project import Project
from tests.conftest import MakeProject

WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def tried(make_project: MakeProject) -> Project:
    """A project with twenty runs, one of which failed, and odd names and values in them."""
    project = make_project()
    for number in range(19):
        parameters = {"C": number, "<script>": f"<b>{number}</b>"}
        with project.runs.start("churn", parameters=parameters) as run:
            run.log_metrics({"auc": number / 20, "odd": math.nan if number % 2 else math.inf})
            for step in range(3):
                run.log_metric("loss", 1 / (step + 1), step)
            if number == 18:
                run.log_model(LogisticRegression().fit([[0.0], [1.0]], [0, 1]))
    with (
        pytest.raises(ValueError, match="bad"),
        project.runs.start("churn", parameters={"C": 99}),
    ):
        raise ValueError("bad <i>split</i>")
    return project


@pytest.fixture
def panel(tried: Project) -> LeaderboardPanel:
    """The panel over all of them."""
    return LeaderboardPanel(tried.runs.search(limit=None).leaderboard("metrics.auc"), lambda: tried)


def widgets_of(panel: LeaderboardPanel, kind: type) -> list[Any]:
    found, waiting = [], [panel.widget]
    while waiting:
        widget = waiting.pop(0)
        if isinstance(widget, kind):
            found.append(widget)
        waiting.extend(getattr(widget, "children", ()))
    return found


def button(panel: LeaderboardPanel, name: str) -> Any:
    found = widgets_of(panel, ipywidgets.Button)
    return next(one for one in found if one.description.rstrip(" ▾▴") == name)


def ticks(panel: LeaderboardPanel) -> list[Any]:
    return [one for one in widgets_of(panel, ipywidgets.Checkbox) if one.layout.display != "none"]


def shown(panel: LeaderboardPanel) -> str:
    return " ".join(one.value for one in widgets_of(panel, ipywidgets.HTML))


def test_a_click_on_a_column_ranks_by_it_and_another_turns_it_round(panel: LeaderboardPanel) -> None:
    assert button(panel, "auc").description == "auc ▾"
    button(panel, "C").click()
    assert button(panel, "C").description == "C ▴"
    assert [run.parameters["C"] for run in panel.board.runs[:3]] == [0, 1, 2]
    button(panel, "C").click()
    assert button(panel, "C").description == "C ▾"
    assert panel.board.runs[0].parameters["C"] == 99


def test_sorting_changes_what_columns_say_and_not_which_there_are(panel: LeaderboardPanel) -> None:
    before = widgets_of(panel, ipywidgets.VBox)
    for name in ("loss", "C", "C", "auc"):
        button(panel, name).click()
        # a front end that is to make them anew while somebody clicks loses its way
        after = widgets_of(panel, ipywidgets.VBox)
        assert all(one is other for one, other in zip(before, after, strict=False))


def test_a_filter_narrows_the_table_and_a_slip_in_it_is_pointed_at(panel: LeaderboardPanel) -> None:
    field = widgets_of(panel, ipywidgets.Text)[0]
    field.value = "metrics.auc > 0.8"
    assert len(ticks(panel)) == len(panel.board.runs) == 2
    field.value = "metrics.auc >> 0.8"
    assert "cannot be read" in shown(panel)
    assert len(panel.board.runs) == 2
    field.value = "metrics.auc > 7"
    assert "No run fits" in shown(panel)
    button(panel, "Clear").click()
    assert len(panel.board.runs) == 20


def test_what_failed_is_one_click_away_from_any_page(panel: LeaderboardPanel) -> None:
    button(panel, "1 failed").click()
    assert [run.status for run in panel.board.runs] == ["failed"]
    assert "ValueError: bad &lt;i&gt;split" in shown(panel)
    ticks(panel)[0].value = True
    button(panel, "Executed notebook").click()
    assert "executed no notebook" in shown(panel)
    button(panel, "Details").click()
    assert "Traceback" in shown(panel)


def test_ticks_last_over_pages_and_orders(panel: LeaderboardPanel) -> None:
    best = panel.board.runs[0]
    ticks(panel)[0].value = True
    later = next(one for one in widgets_of(panel, ipywidgets.Button) if one.icon == "chevron-right")
    later.click()
    assert len(ticks(panel)) == 5
    ticks(panel)[1].value = True
    assert len(panel.board.picked) == 2
    assert panel.board.picked[0] == best
    button(panel, "C").click()
    assert len(panel.board.picked) == 2
    button(panel, "Compare").click()
    assert f"comparison of {best.id}" in shown(panel)


def test_pictures_are_drawn_of_what_is_ticked_or_of_all(panel: LeaderboardPanel) -> None:
    button(panel, "Curves").click()
    assert widgets_of(panel, ipywidgets.Dropdown)[0].value == "loss"  # auc was logged once: no curve
    for name, said in (("Curves", "Line chart"), ("Parallel", "Parallel coordinates")):
        button(panel, name).click()
        assert said in shown(panel)
    widgets_of(panel, ipywidgets.Dropdown)[0].value = "auc"
    button(panel, "Importance").click()
    assert "what auc depends on" in shown(panel)


def test_a_ticked_run_is_registered(panel: LeaderboardPanel, tried: Project) -> None:
    register = button(panel, "Register")
    assert register.disabled
    ticks(panel)[0].value = True
    register.click()
    assert "a model needs a name" in shown(panel)
    widgets_of(panel, ipywidgets.Text)[1].value = "churn-model"
    register.click()
    assert tried.models.get("churn-model@v1").run == panel.board.picked[0].id


def test_no_outside_text_becomes_markup_in_the_panel(panel: LeaderboardPanel) -> None:
    for name in ("<script>", "odd", "status"):
        button(panel, name).click()
        assert "<script>" not in shown(panel)
        assert "<b>1" not in shown(panel)


def test_a_saved_notebook_keeps_the_table(panel: LeaderboardPanel) -> None:
    saved = panel._repr_mimebundle_()
    assert saved.keys() >= {WIDGET, "text/plain", "text/html"}
    best = panel.board.runs[0].id
    assert best in saved["text/plain"]
    assert best in saved["text/html"]
    panel.close()


def test_no_runs_and_one_run_have_a_panel_too(make_project: MakeProject) -> None:
    project = make_project()
    empty = LeaderboardPanel(project.runs.leaderboard(), lambda: project)
    assert "There are no runs yet" in shown(empty)
    with project.runs.start("one"):
        pass
    button(empty, "Refresh").click()
    assert len(ticks(empty)) == 1
    assert button(empty, "Curves").disabled


def test_the_extension_gives_leaderboards_their_panel_and_takes_it_away(
    tried: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from IPython.core.interactiveshell import InteractiveShell

    from jupyter_mlops.notebook import load, unload

    displayed: list[dict[str, Any]] = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: displayed.append(data))
    shell = InteractiveShell()
    board = tried.runs.leaderboard()
    plain, _ = shell.display_formatter.format(board)
    load(shell)
    try:
        # in a terminal, where nobody can press anything
        assert shell.display_formatter.format(board) == (plain, {})
        monkeypatch.setattr("jupyter_mlops.notebook.leaderboard.pressable", lambda: True)
        assert shell.display_formatter.format(board) == ({}, {})
    finally:
        unload(shell)
    panel, table = displayed
    assert panel.keys() == {WIDGET, "text/plain"}
    assert WIDGET not in table
    assert plain["text/html"] in table["text/html"]
    assert f'class="mlops-{panel[WIDGET]["model_id"]}"' in table["text/html"]
    assert shell.display_formatter.format(board) == (plain, {})
