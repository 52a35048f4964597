"""The approvals panel: one votes in the notebook as the local actor, or reads where to vote instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets
import pytest
from sklearn.linear_model import LogisticRegression

from jupyter_mlops.notebook.panel import ApprovalsPanel
from jupyter_mlops.project import Project
from tests.conftest import BO, POLICY, MakeProject

AsActor = Callable[..., Project]


def asked(project: Project) -> Any:
    model = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    return project.models.promote(project.models.register("fraud", model).ref, "production", reason="better")


def widgets_of(panel: ApprovalsPanel, kind: type) -> list[Any]:
    found, waiting = [], [panel.widget]
    while waiting:
        widget = waiting.pop()
        if isinstance(widget, kind):
            found.append(widget)
        waiting.extend(getattr(widget, "children", ()))
    return found


def button(panel: ApprovalsPanel, name: str) -> Any:
    return next(one for one in widgets_of(panel, ipywidgets.Button) if one.description == name)


def said(panel: ApprovalsPanel) -> str:
    return " ".join(one.value for one in widgets_of(panel, ipywidgets.HTML))


def test_a_click_is_a_vote_and_moves_the_alias(make_project: MakeProject, as_actor: AsActor) -> None:
    project = make_project()
    request = asked(project)
    panel = ApprovalsPanel(as_actor(project, BO))
    button(panel, "Approve").click()
    assert project.approvals.get(request.id).moved
    assert "No request waits" in said(panel)
    panel.close()


def test_rejecting_needs_a_reason(make_project: MakeProject, as_actor: AsActor) -> None:
    project = make_project()
    request = asked(project)
    panel = ApprovalsPanel(as_actor(project, BO))
    button(panel, "Reject").click()
    assert "reason" in said(panel)
    assert project.approvals.get(request.id).state == "pending"
    widgets_of(panel, ipywidgets.Text)[0].value = "not calibrated"
    button(panel, "Reject").click()
    assert project.approvals.get(request.id).state == "rejected"


def test_who_asked_sees_why_they_cannot_vote(make_project: MakeProject) -> None:
    project = make_project()
    asked(project)
    panel = ApprovalsPanel(project)
    assert [one.description for one in widgets_of(panel, ipywidgets.Button)] == ["Refresh"]


def test_a_verified_policy_says_where_to_vote(make_project: MakeProject, as_actor: AsActor) -> None:
    project = make_project(POLICY + 'identity = "verified"\n')
    asked(project)
    panel = ApprovalsPanel(as_actor(project, BO))
    assert "Slack" in said(panel)
    assert [one.description for one in widgets_of(panel, ipywidgets.Button)] == ["Refresh"]


@pytest.mark.parametrize("mime", ["text/plain", "text/html", "application/vnd.jupyter.widget-view+json"])
def test_a_saved_notebook_keeps_a_readable_form(make_project: MakeProject, mime: str) -> None:
    project = make_project()
    request = asked(project)
    shown = ApprovalsPanel(project)._repr_mimebundle_()
    assert mime in shown
    if mime != "application/vnd.jupyter.widget-view+json":
        assert request.id in shown[mime]
