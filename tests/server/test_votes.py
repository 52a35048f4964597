"""Votes and acknowledgements on the page and over REST, by people whom Jupyter knows and by others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from jupyter_mlops.project import Project
from tests.conftest import ANN, BO, CY, DEE, MakeProject

from .conftest import Served
from .stories import VERIFIED, raise_alert, request_production

Serve = Callable[..., Served]


@pytest.fixture
def project(make_project: MakeProject, store_url: str) -> Project:
    """A project on each kind of store, where only verified people decide about production."""
    return make_project(VERIFIED, store=store_url)


def test_the_deciding_vote_on_the_page_moves_the_alias(serve: Serve, project: Project) -> None:
    ask = request_production(project)
    served = serve(project, people=True)
    bo = served.person(BO)
    page = bo.get(f"mlops/approvals/{ask.id}")
    assert "Yours is the deciding vote: production points at churn-model@v1 at once." in page.text

    vote = {"_xsrf": bo.form_token(page), "reason": "looked at the segments"}
    reply = bo.submit(f"mlops/approvals/{ask.id}/approve", vote)

    assert (reply.status, reply.headers["Location"]) == (303, f"/a%40b/mlops/approvals/{ask.id}")
    assert project.approvals.get(ask.id).state == "moved"
    assert project.models.get("churn-model@production").ref == "churn-model@v1"
    (cast,) = project.approvals.get(ask.id).votes
    assert (cast.actor, cast.proof, cast.reason) == (BO, "jupyter", "looked at the segments")
    assert "Yes, approve" not in bo.get(f"mlops/approvals/{ask.id}").text


def test_the_deciding_vote_over_rest_moves_the_alias(serve: Serve, project: Project) -> None:
    ask = request_production(project)
    served = serve(project, people=True)
    bo = served.person(BO)
    header = {"X-XSRFToken": bo.form_token(bo.get("mlops/audit"))}
    listed = bo.get("mlops/api/approvals").json()["items"]
    assert [item["id"] for item in listed] == [ask.id]

    answer = bo.post(f"mlops/api/approvals/{ask.id}/approve", {"reason": "fine"}, **header)

    assert (answer.status, answer.json()["state"]) == (200, "moved")
    assert bo.get("mlops/api/approvals").json() == {"items": []}
    assert bo.get("mlops/api/approvals?all=1").json()["items"][0]["state"] == "moved"
    again = bo.post(f"mlops/api/approvals/{ask.id}/approve", {}, **header)
    assert (again.status, again.json()["code"]) == (409, "conflict")


def test_a_rejection_needs_its_reason_and_ends_the_request(serve: Serve, project: Project) -> None:
    ask = request_production(project)
    bo = serve(project, people=True).person(BO)
    address = f"mlops/approvals/{ask.id}"
    token = bo.form_token(bo.get(address))
    without = bo.submit(f"{address}/reject", {"_xsrf": token, "reason": ""})
    assert without.status == 400
    assert "reason" in without.text
    assert project.approvals.get(ask.id).state == "pending"
    assert bo.submit(f"{address}/reject", {"_xsrf": token, "reason": "calibration"}).status == 303
    assert project.approvals.get(ask.id).state == "rejected"
    assert "calibration" in bo.get(address).text


def test_who_asked_cannot_decide_and_is_told_why(serve: Serve, project: Project) -> None:
    ask = request_production(project)
    ann = serve(project, people=True).person(ANN)
    page = ann.get(f"mlops/approvals/{ask.id}")
    assert "Yes, approve" not in page.text
    vote = {"_xsrf": ann.form_token(ann.get("mlops/audit"))}
    reply = ann.submit(f"mlops/approvals/{ask.id}/approve", vote)
    assert reply.status == 403
    assert 'role="alert"' in reply.text
    assert project.approvals.get(ask.id).state == "pending"


def test_a_viewer_looks_and_decides_nothing(serve: Serve, project: Project) -> None:
    ask, alert = request_production(project), raise_alert(project)
    dee = serve(project, people=True).person(DEE)
    assert "Yes, approve" not in dee.get(f"mlops/approvals/{ask.id}").text
    assert "needs the role operator" in dee.get(f"mlops/alerts/{alert.id}").text
    header = {"X-XSRFToken": dee.form_token(dee.get("mlops/audit"))}
    for address in (f"approvals/{ask.id}/approve", f"alerts/{alert.id}/acknowledge"):
        reply = dee.post(f"mlops/api/{address}", {}, **header)
        assert (reply.status, reply.json()["code"]) == (403, "refused")
    assert project.approvals.get(ask.id).state == "pending"
    assert project.alerts.get(alert.id).state == "open"


def test_a_claimed_name_cannot_vote_where_identity_is_verified_and_is_told_where(
    serve: Serve, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = request_production(project)
    monkeypatch.setenv("MLOPS_ACTOR", BO)
    script = serve(project).script()
    page = script.get(f"mlops/approvals/{ask.id}")
    assert "Yes, approve" not in page.text
    assert "Only votes of verified people count here" in page.text
    assert "mlops up" in page.text
    reply = script.post(f"mlops/api/approvals/{ask.id}/approve")
    assert (reply.status, reply.json()["code"]) == (403, "refused")
    assert project.approvals.get(ask.id).votes == ()


def test_a_claimed_name_votes_where_the_policy_allows_it(
    serve: Serve, make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(VERIFIED.replace('identity = "verified"', ""))
    ask = request_production(project)
    monkeypatch.setenv("MLOPS_ACTOR", CY)
    script = serve(project).script()
    assert "Yes, approve" in script.get(f"mlops/approvals/{ask.id}").text
    assert script.post(f"mlops/api/approvals/{ask.id}/approve").json()["state"] == "moved"


def test_an_operator_takes_care_of_an_alert(serve: Serve, project: Project) -> None:
    alert = raise_alert(project)
    olly = serve(project, people=True).person("olly@example.com")
    address = f"mlops/alerts/{alert.id}"
    page = olly.get(address)
    assert alert.title in page.text
    assert olly.submit(f"{address}/acknowledge", {"_xsrf": olly.form_token(page)}).status == 303
    assert project.alerts.get(alert.id).state == "acknowledged"
    assert project.alerts.get(alert.id).changed_by == "olly@example.com"
    assert "Acknowledge<" not in olly.get(address).text


def test_markup_in_what_people_wrote_is_only_text(serve: Serve, make_project: MakeProject) -> None:
    project = make_project(VERIFIED)
    nasty = "<img src=x onerror=alert(1)><script>alert(2)</script>\"'"
    ask = request_production(project, reason=nasty)
    alert: Any = raise_alert(project, title=nasty)
    bo = serve(project, people=True).person(BO)
    for path in ("", "approvals", f"approvals/{ask.id}", "alerts", f"alerts/{alert.id}", "audit", "models"):
        page = bo.get(f"mlops/{path}")
        assert page.status == 200
        assert "<img src=x" not in page.text, path
        assert "<script>" not in page.text, path
    for path in ("audit?about=<script>alert(1)</script>", "runs?where=<script>alert(1)</script>"):
        assert "<script>alert" not in bo.get(f"mlops/{path.replace('<', '%3C').replace('>', '%3E')}").text
