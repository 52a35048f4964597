"""A person in Chromium: comes by link, reads, votes with the mouse and the keyboard, on desktop and phone."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from jupyter_mlops.project import Project
from jupyter_mlops.server.identity import page_links
from tests.conftest import BO, CY, MakeProject

from .conftest import Served
from .stories import VERIFIED, customers, raise_alert, request_production

Serve = Callable[[Project], Served]
Open = Callable[..., Any]


@pytest.fixture(autouse=True)
def jp_asyncio_loop() -> None:
    """Keep the plugin's event loop away: Playwright has one of its own in this thread."""


@pytest.fixture(autouse=True)
def jp_server_cleanup() -> None:
    """There is no server in this process to clean up after."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """The machine's Chromium, driven by Playwright."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None and not os.environ.get("MLOPS_REQUIRE_CHROMIUM"):
        pytest.skip("chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Any) -> Iterator[Open]:
    """Open the page as somebody: ``visit(served, BO)``; what the browser complains about fails the test."""
    contexts, complaints = [], []

    def come(served: Served, name: str, **options: Any) -> Any:
        context = chromium.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda said: complaints.append(said.text) if complains(said) else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(page_links(served.project, served.url)[name])
        return page

    yield come
    for context in contexts:
        context.close()
    assert complaints == []


def complains(said: Any) -> bool:
    """Whether the console's message is a fault of the page; a refused vote is none."""
    return said.type == "error" and "status of 409" not in said.text


@pytest.fixture
def asked(make_project: MakeProject) -> Project:
    """A project where Ann has asked for production, and an alert is open."""
    project = make_project(VERIFIED)
    request_production(project)
    raise_alert(project)
    return project


def test_bo_votes_on_the_page_and_sees_the_alias_moved(
    page_process: Serve, asked: Project, visit: Open
) -> None:
    page = visit(page_process(asked), BO)
    assert "token" not in page.url
    page.get_by_role("link", name="Look and decide").click()
    assert (
        page.get_by_role("heading", level=1).inner_text().startswith("Promote churn-model@v1 to production")
    )
    assert not page.get_by_role("button", name="Yes, approve").is_visible()
    page.get_by_text("Approve…").click()
    assert page.get_by_text("production points at churn-model@v1 at once").is_visible()
    page.get_by_label("Reason").first.fill("looked at the segments")
    page.get_by_role("button", name="Yes, approve").click()
    page.get_by_text("looked at the segments").first.wait_for()

    assert asked.models.get("churn-model@production").ref == "churn-model@v1"
    page.get_by_role("link", name="Models", exact=True).first.click()
    assert "production" in page.locator("main").inner_text()
    (vote,) = asked.approvals.list(state=None)[0].votes
    assert (vote.actor, vote.proof) == (BO, "jupyter")


def test_cy_rejects_with_the_keyboard_alone(page_process: Serve, asked: Project, visit: Open) -> None:
    served = page_process(asked)
    (ask,) = asked.approvals.list()
    page = visit(served, CY)
    page.goto(f"{served.url}mlops/approvals/{ask.id}")
    summary = page.locator("summary", has_text="Reject…")
    summary.focus()
    page.keyboard.press("Enter")
    page.wait_for_function("document.activeElement.name === 'reason'")
    page.keyboard.press("Enter")  # without a reason the browser itself refuses
    page.keyboard.type("calibration is off")
    page.keyboard.press("Enter")
    page.get_by_text("calibration is off").first.wait_for()
    assert asked.approvals.get(ask.id).state == "rejected"


def test_a_vote_that_comes_too_late_says_so_on_the_page(
    page_process: Serve, asked: Project, visit: Open
) -> None:
    served = page_process(asked)
    (ask,) = asked.approvals.list()
    page = visit(served, BO)
    page.goto(f"{served.url}mlops/approvals/{ask.id}")
    cy = served.person(CY)
    token = cy.form_token(cy.get("mlops/audit"))
    assert cy.submit(f"mlops/approvals/{ask.id}/reject", {"_xsrf": token, "reason": "no"}).status == 303
    page.get_by_text("Approve…").click()
    with page.expect_response(lambda answer: answer.request.method == "POST") as answer:
        page.get_by_role("button", name="Yes, approve").click()
    assert answer.value.status == 409
    assert page.get_by_role("alert").is_visible()
    assert page.get_by_text("Approve…").count() == 0


def test_no_table_of_data_is_cut_at_ordinary_widths(page_process: Serve, asked: Project, visit: Open) -> None:
    told = "corrected spend of the first customers, a new column, and thirty more of them"
    for rows in (300, 400):
        asked.datasets.commit("customers-of-every-region-by-month-2026-11", customers(rows), message=told)
    asked.datasets.commit("trial", customers(50))
    asked.datasets.remove("trial@v1")
    served = page_process(asked)
    name = asked.datasets.list()[0].name
    for width in (1280, 800):
        page = visit(served, BO, viewport={"width": width, "height": 800})
        for path in ("", "data", f"data/{name}", f"data/{name}/2", f"data/{name}/2/diff/1", "data/trial"):
            page.goto(f"{served.url}mlops/{path}")
            cut = page.evaluate(
                "[...document.querySelectorAll('.value, .top nav')]"
                ".filter(one => one.scrollWidth > one.clientWidth + 1).length"
            )
            assert cut == 0, (path, width)


def test_no_page_is_wider_than_the_window(page_process: Serve, asked: Project, visit: Open) -> None:
    served = page_process(asked)
    (ask,) = asked.approvals.list()
    (alert,) = asked.alerts.list()
    lists = ["", "runs", "data", "models", "approvals", "alerts", "audit"]
    for width, scheme in ((1200, "light"), (1200, "dark"), (360, "light"), (360, "dark")):
        page = visit(served, BO, viewport={"width": width, "height": 800}, color_scheme=scheme)
        for path in (*lists, "models/churn-model/1", f"approvals/{ask.id}", f"alerts/{alert.id}"):
            page.goto(f"{served.url}mlops/{path}")
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
            assert page.get_by_role("heading", level=1).count() == 1, path
