"""What a person sees: the request in a browser, a click on Approve, the message changes, production moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.async_api import Browser, expect

from tests.slackbot.conftest import BO, Running

from .simulator.test_simulator_page import browser, message, page_of

__all__ = ["browser"]


async def test_the_second_person_presses_approve_in_the_browser_and_production_moves(
    sqlite_bot: Running, browser: Browser, ask: Callable[..., Any]
) -> None:
    approval = ask(sqlite_bot.project)
    await sqlite_bot.start()
    posted = await sqlite_bot.settled(f"approval:{approval.id}")
    page = await page_of(browser, sqlite_bot.simulator, {"email": BO}, "#ml-approvals")
    request = message(page, posted.ts)
    await expect(request).to_contain_text("Promote fraud@v1 to production")
    await expect(request).to_contain_text("pending, 0 of 1 approval")

    await request.get_by_role("button", name="Approve").click()
    await page.get_by_role("dialog").get_by_role("button", name="Approve").click()

    await expect(request).to_contain_text(f"approved by {BO}", ignore_case=True, timeout=20_000)
    await expect(request.get_by_role("button", name="Approve")).to_have_count(0)
    decided = sqlite_bot.project.approvals.get(approval.id)
    assert decided.moved
    assert [(vote.actor.lower(), vote.proof) for vote in decided.votes] == [(BO, "slack")]
    assert sqlite_bot.project.models.get("fraud@production").ref == "fraud@v1"
    assert page.complaints == []  # type: ignore[attr-defined]
