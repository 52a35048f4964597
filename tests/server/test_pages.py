"""What the pages show: the project's things, linked with each other, and the history with its proof."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from jupyter_mlops.project import Project
from tests.conftest import BO, MakeProject

from .conftest import Browser, Served
from .stories import VERIFIED, customers, fitted, raise_alert, request_production

Serve = Callable[..., Served]


@pytest.fixture
def told(make_project: MakeProject, store_url: str) -> Project:
    """A project in which something of everything has happened."""
    project = make_project(VERIFIED, store=store_url)
    project.datasets.commit("customers", customers(), message="first export")
    project.datasets.commit("customers", customers(500, shift=12), message="week 46")
    project.datasets.commit("trial", customers(50), parents=["customers@v1"])
    project.datasets.remove("trial@v1", "not needed")
    with project.runs.start("by hand", parameters={"C": 0.5}, inputs={"data": "customers@v1"}) as run:
        run.log_metric("auc", 0.81)
        run.log_model(*fitted())
    version = project.models.register("churn-model", run.id)
    project.models.promote(version.ref, "challenger", reason="to look at")
    request_production(project)
    raise_alert(project)
    return project


def test_every_thing_has_its_page_and_every_link_leads_somewhere(serve: Serve, told: Project) -> None:
    bo = serve(told, people=True).person(BO)
    seen, waiting = set(), [""]
    while waiting:
        path = waiting.pop()
        seen.add(path)
        page = bo.get(f"mlops/{path}")
        assert page.status == 200, (path, page.text)
        for address in re.findall(r'href="/a%40b/mlops/([^"#]*)"', page.text):
            if address not in seen and address not in waiting:
                waiting.append(address.replace("&amp;", "&"))
    (run,) = told.runs.search()
    (ask,) = told.approvals.list()
    (alert,) = told.alerts.list()
    assert {
        "runs",
        f"runs/{run.id}",
        "data/customers",
        "data/customers/1",
        "data/customers/2",
        "data/customers/2/diff/1",
        "models/churn-model",
        "models/churn-model/1",
        f"approvals/{ask.id}",
        f"alerts/{alert.id}",
        "audit",
    } <= seen


def test_what_was_removed_is_shown_as_removed(serve: Serve, told: Project) -> None:
    told.datasets.commit("customers", customers(60))
    told.datasets.remove("customers@v3")
    bo = serve(told, people=True).person(BO)
    for path in ("data", "data/trial", "data/customers"):
        _, _, below = bo.get(f"mlops/{path}").text.partition("Removed</h2>")
        name = "customers@v3" if path.endswith("customers") else "trial"
        assert name in below, path
    gone = bo.get("mlops/data/trial/1").text
    assert "It was removed." in gone
    assert "mlops data restore trial@v1" in gone
    listed = bo.get("mlops/api/data").json()["items"]
    assert [one["name"] for one in listed] == ["customers"]
    listed = bo.get("mlops/api/data?all=1").json()["items"]
    assert [(one["name"], bool(one["latest"]["removed"])) for one in listed] == [
        ("customers", False),
        ("trial", True),
    ]
    assert bo.get("mlops/data/trial/2").status == 404
    assert bo.get("mlops/data/never").status == 404


def test_versions_of_two_datasets_are_compared_on_a_page(serve: Serve, told: Project) -> None:
    told.datasets.commit("others", customers(40))
    diff = told.datasets.diff("customers@v2", "others@v1")
    bo = serve(told, people=True).person(BO)
    assert "customers@v2 → others@v1" in bo.get(f"mlops/{diff.path}").text
    assert bo.get(f"mlops/api/{diff.path}").json()["after"] == "others@v1"


def test_the_overview_tells_what_waits_for_whom(serve: Serve, told: Project) -> None:
    served = serve(told, people=True)
    bo, dee = served.person(BO).get("mlops/").text, served.person("dee@example.com").get("mlops/").text
    assert "Look and decide" in bo
    assert "better on every segment" in bo
    assert "Look and decide" not in dee
    assert "Waits for others" in dee


def test_a_version_in_the_place_of_a_dataset_is_not_found(serve: Serve, told: Project) -> None:
    bo = serve(told, people=True).person(BO)
    name = told.datasets.list()[0].name
    assert bo.get(f"mlops/data/{name}").status == 200
    assert bo.get(f"mlops/data/{name}@v77").status == 404


def test_a_model_shows_how_its_aliases_moved(serve: Serve, told: Project) -> None:
    bo = serve(told, people=True).person(BO)
    for path in ("models/churn-model", "models/churn-model/1"):
        page = bo.get(f"mlops/{path}").text
        assert "History of challenger" in page
        assert "to look at" in page


def test_runs_are_filtered_and_a_slip_in_the_filter_is_said_above_it(serve: Serve, told: Project) -> None:
    bo = serve(told, people=True).person(BO)
    (run,) = told.runs.search()
    assert run.id in bo.get("mlops/runs?where=metrics.auc+%3E+0.8").text
    assert run.id not in bo.get("mlops/runs?where=metrics.auc+%3E+0.9").text
    slip = bo.get("mlops/runs?where=metrics.auc+%3E%3E+0.9")
    assert slip.status == 400
    assert 'role="alert"' in slip.text
    assert 'value="metrics.auc &gt;&gt; 0.9"' in slip.text


def test_the_history_is_paged_and_can_be_narrowed(serve: Serve, make_project: MakeProject) -> None:
    project = make_project(VERIFIED)
    for number in range(1, 120):
        with project.people.write(project.people.role_of(project.people.actor.name)) as transaction:
            transaction.event("note.taken", f"note:{number % 2}", number=number)
    bo = serve(project, people=True).person(BO)
    path, numbers = "audit", []
    while path:
        page = bo.get(f"mlops/{path}").text
        numbers += [int(number) for number in re.findall(r"<tr[^>]*><td[^>]*>(\d+)<", page)]
        older = re.search(r'href="/a%40b/mlops/([^"]*)">Older', page)
        path = older.group(1).replace("&amp;", "&") if older else ""
    assert numbers == list(range(120, 0, -1))
    narrowed = bo.get("mlops/audit?about=note:1").text
    assert "note:1" in narrowed
    assert "note:0" not in narrowed


def test_the_page_verifies_the_chain_and_sees_what_was_altered(
    serve: Serve, make_project: MakeProject
) -> None:
    project = make_project(VERIFIED)
    bo = serve(project, people=True).person(BO)
    assert _verified(bo).status == 200
    assert "was altered" not in _verified(bo).text
    with project.store.bookkeeping() as transaction:
        transaction.execute("DROP TRIGGER events_no_update")
        transaction.execute("UPDATE events SET actor = 'somebody else' WHERE seq = 1")
    assert "entry 1 was altered" in _verified(bo).text


def _verified(browser: Browser) -> object:
    return browser.submit("mlops/audit/verify", {"_xsrf": browser.form_token(browser.get("mlops/audit"))})


def test_unknown_things_have_a_page_with_a_way_on(serve: Serve, told: Project) -> None:
    bo = serve(told, people=True).person(BO)
    for path in (
        "models/churn-modle/1",
        "data/custommers",
        "runs/zzzz",
        "approvals/zzzz",
        "alerts/zzzz",
        "nowhere",
    ):
        page = bo.get(f"mlops/{path}")
        assert page.status == 404, path
        assert "<nav" in page.text
    assert "did you mean churn-model?" in bo.get("mlops/models/churn-modle/1").text


def test_rest_answers_with_what_the_verbs_return(serve: Serve, told: Project) -> None:
    bo = serve(told, people=True).person(BO)
    (run,) = told.runs.search()
    assert [item["ref"] for item in bo.get("mlops/api/data/customers").json()["items"]] == [
        "customers@v2",
        "customers@v1",
    ]
    described = told.datasets.get("customers@v2").describe()
    assert bo.get("mlops/api/data/customers/2").json() == described.to_dict()
    assert bo.get("mlops/api/models/churn-model/1").json() == told.models.get("churn-model@v1").to_dict()
    assert [item["id"] for item in bo.get("mlops/api/runs?where=metrics.auc+%3E+0.8").json()["items"]] == [
        run.id
    ]
    assert bo.get(f"mlops/api/runs/{run.id}").json()["metrics"] == {"auc": 0.81}
    assert bo.get("mlops/api/models/churn-model/history/challenger").json()["items"][0]["number"] == 1
    assert bo.get("mlops/api/data/customers/2/diff/1").json()["rows"] == [400, 500]
    assert "run:" + run.id in {
        node["ref"] for node in bo.get("mlops/api/data/customers/1/lineage").json()["nodes"]
    }
    assert bo.get("mlops/api/alerts").json()["items"][0]["state"] == "open"
    assert bo.get("mlops/api/audit?limit=3").json()["items"][-1]["verb"] == "alert.opened"
    assert bo.get("mlops/api/audit/verify").json()["ok"] is True
    assert bo.get("mlops/api/policy").json()["number"] == 1
    assert bo.get("mlops/api/status").json()["actor"] == BO


def executed_project(project: Project) -> tuple[str, str]:
    """Execute a notebook twice, the second time into an error; return the ids of the runs."""
    cells = ("C = 1", "print('C is', C)\nif C > 1:\n    raise ValueError('<b>too much</b>')")
    document = {
        "cells": [
            {
                "cell_type": "code",
                "id": f"cell-{number}",
                "source": source,
                "metadata": {"tags": ["parameters"]} if number == 0 else {},
                "outputs": [],
                "execution_count": None,
            }
            for number, source in enumerate(cells)
        ],
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    (project.root / "train.ipynb").write_text(json.dumps(document), "utf-8")
    runs = [project.runs.execute("train.ipynb", {"C": value}, experiment="e")[0] for value in (1, 2)]
    assert [run.status for run in runs] == ["finished", "failed"]
    return runs[0].id, runs[1].id


def test_a_failed_run_is_one_click_from_its_executed_notebook(
    serve: Serve, make_project: MakeProject
) -> None:
    project = make_project(VERIFIED)
    finished, failed = executed_project(project)
    bo = serve(project, people=True).person(BO)
    listed = bo.get("mlops/runs").text
    assert f'href="/a%40b/mlops/runs/{failed}/notebook"' in listed
    page = bo.get(f"mlops/runs/{failed}/notebook")
    assert re.search(
        rf'sandbox="".*src="/a%40b/mlops/runs/{failed}/notebook/content#cell-id%3Dcell-1"', page.text
    )
    content = bo.get(f"mlops/runs/{failed}/notebook/content")
    assert content.status == 200
    policy = content.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "sandbox" in policy
    assert "allow-scripts" not in policy
    assert "C is 2" in content.text
    assert "ValueError" in content.text
    assert "<b>too much</b>" not in content.text
    assert "<iframe" in bo.get(f"mlops/runs/{finished}").text
    # a sweep's id leads to the sweep, and has no notebook
    sweep = project.runs.get(failed).sweep
    assert failed in bo.get(f"mlops/runs/{sweep}").text
    assert bo.get(f"mlops/runs/{sweep}/notebook").status == 404
    assert bo.get(f"mlops/api/runs/{sweep}").json()["sweep"]["id"] == sweep


def test_two_runs_are_compared_on_a_page(serve: Serve, make_project: MakeProject) -> None:
    project = make_project(VERIFIED)
    finished, failed = executed_project(project)
    bo = serve(project, people=True).person(BO)
    page = bo.get(f"mlops/runs/{finished}/compare/{failed}")
    assert page.status == 200
    assert "C is 1" in page.text
    assert "C is 2" in page.text
    answer = bo.get(f"mlops/api/runs/{finished}/compare/{failed}").json()
    assert answer["runs"] == [finished, failed]
    assert bo.get(f"mlops/runs/{finished}/compare/zzzz").status == 404


def test_a_run_recorded_by_hand_has_no_executed_notebook(serve: Serve, told: Project) -> None:
    bo = serve(told, people=True).person(BO)
    (run,) = told.runs.search()
    assert "<iframe" not in bo.get(f"mlops/runs/{run.id}").text
    for path in ("notebook", "notebook/content"):
        assert bo.get(f"mlops/runs/{run.id}/{path}").status == 404
