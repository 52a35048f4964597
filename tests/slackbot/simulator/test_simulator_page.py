"""A person in a browser: reads, types, presses and fills in; and nobody else's page does."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from playwright.async_api import Browser, Page, async_playwright, expect
from slack_sdk.web.async_client import AsyncWebClient

from slackbot.simulator import Person, Simulator

from .simulator_parts import ANN, BO, Clock, connected, new_app, until

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"),
    *("--disable-component-update", "--no-first-run", "--disable-sync"),
]
APPROVAL: list[dict[str, Any]] = [
    {"type": "header", "text": {"type": "plain_text", "text": "Promote churn@v3 to production?"}},
    {
        "type": "actions",
        "elements": [
            {
                "type": "button",
                "action_id": "approve",
                "style": "primary",
                "text": {"type": "plain_text", "text": "Approve"},
                "value": "a8c2",
                "confirm": {
                    "title": {"type": "plain_text", "text": "Approve churn@v3?"},
                    "text": {"type": "mrkdwn", "text": "It will serve *production*."},
                    "confirm": {"type": "plain_text", "text": "Yes, approve"},
                    "deny": {"type": "plain_text", "text": "Not yet"},
                },
            },
            {
                "type": "button",
                "action_id": "reject",
                "style": "danger",
                "text": {"type": "plain_text", "text": "Reject"},
                "value": "a8c2",
            },
        ],
    },
]


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    if not CHROMIUM.exists() and not os.environ.get("MLOPS_REQUIRE_CHROMIUM"):
        pytest.skip("Chromium is not installed")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield browser
        await browser.close()


async def page_of(
    browser: Browser, simulator: Simulator, person: dict[str, str], where: str = "#churn"
) -> Page:
    page = await (await browser.new_context(viewport={"width": 1280, "height": 900})).new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
    page.complaints = complaints  # type: ignore[attr-defined]  # read at the end of a test
    await page.goto(f"{simulator.url}?user={person['email']}{where}")
    await expect(page.locator("#channel-name")).not_to_be_empty()
    return page


def message(page: Page, ts: str) -> Any:
    return page.locator(f'#messages [data-ts="{ts}"]')


async def test_a_second_person_approves_and_everybody_sees_the_card_change(
    simulator: Simulator, client: AsyncWebClient, browser: Browser
) -> None:
    app = new_app(simulator)
    approvers: list[str] = []

    @app.action("approve")
    async def approve(ack: Any, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        approvers.append(body["user"]["username"])
        await client.chat_update(
            channel=body["channel"]["id"],
            ts=body["message"]["ts"],
            text=f"Approved by <@{body['user']['id']}>",
        )

    posted = await client.chat_postMessage(channel="churn", text="Promote?", blocks=APPROVAL)
    async with connected(simulator, app):
        anns, bos = await page_of(browser, simulator, ANN), await page_of(browser, simulator, BO)
        button = message(bos, posted["ts"]).get_by_role("button", name="Approve")

        await button.click()
        await expect(bos.get_by_role("dialog")).to_contain_text("It will serve production.")
        await bos.get_by_role("button", name="Not yet").click()
        await button.click()
        await bos.get_by_role("button", name="Yes, approve").click()

        await expect(message(bos, posted["ts"])).to_contain_text("Approved by @Bo Berg")
        await expect(message(anns, posted["ts"])).to_contain_text("Approved by @Bo Berg")
        await expect(message(anns, posted["ts"]).get_by_role("button", name="Approve")).to_have_count(0)

    assert approvers == ["bo"]
    assert (anns.complaints, bos.complaints) == ([], [])  # type: ignore[attr-defined]


async def test_a_typed_command_is_answered_to_its_author_alone(
    simulator: Simulator, browser: Browser
) -> None:
    app = new_app(simulator)

    @app.command("/mlops")
    async def mlops(ack: Any, command: dict[str, Any], respond: Any) -> None:
        await ack()
        await respond(f"*{command['text']}*: three, best `7k3f`")

    async with connected(simulator, app):
        anns, bos = await page_of(browser, simulator, ANN), await page_of(browser, simulator, BO)
        await anns.get_by_role("textbox", name="Message").fill("/mlops runs")
        await anns.keyboard.press("Enter")

        answer = anns.locator("#messages .message")
        await expect(answer).to_contain_text("Only visible to you")
        await expect(answer.locator("strong", has_text="runs")).to_be_visible()
        await expect(answer.locator("code")).to_have_text("7k3f")

        # what Ann says to all arrives at Bo's page, and her answer is still not there
        await anns.get_by_role("textbox", name="Message").fill("good morning")
        await anns.get_by_role("button", name="Send").click()
        await expect(bos.locator("#messages")).to_contain_text("good morning")
        await expect(bos.locator("#messages .message")).to_have_count(1)

        # the same page as somebody else
        await bos.locator("#user").select_option(label="Ann Lee")
        await expect(bos.locator("#messages")).to_contain_text("best 7k3f")
    # a person is told when the app is gone
    await anns.get_by_role("textbox", name="Message").fill("/mlops runs")
    await anns.keyboard.press("Enter")
    await expect(anns.get_by_role("alert").filter(has_text="dispatch_failed")).to_be_visible()
    await expect(anns.get_by_role("status")).to_have_text("No bot is connected.")


async def test_a_modal_is_filled_and_corrected_in_the_browser(
    simulator: Simulator, client: AsyncWebClient, browser: Browser
) -> None:
    app = new_app(simulator)
    submitted: list[dict[str, Any]] = []
    view = {
        "type": "modal",
        "callback_id": "reject",
        "title": {"type": "plain_text", "text": "Reject"},
        "submit": {"type": "plain_text", "text": "Reject it"},
        "blocks": [
            {
                "type": "input",
                "block_id": "why",
                "label": {"type": "plain_text", "text": "Reason"},
                "element": {"type": "plain_text_input", "action_id": "reason", "multiline": True},
            },
            {
                "type": "input",
                "block_id": "kind",
                "label": {"type": "plain_text", "text": "Kind"},
                "element": {
                    "type": "static_select",
                    "action_id": "kind",
                    "options": [
                        {"text": {"type": "plain_text", "text": name}, "value": name}
                        for name in ("quality", "law")
                    ],
                },
            },
            {
                "type": "input",
                "block_id": "tell",
                "optional": True,
                "label": {"type": "plain_text", "text": "Tell"},
                "element": {
                    "type": "checkboxes",
                    "action_id": "tell",
                    "options": [
                        {"text": {"type": "mrkdwn", "text": f"*{name}*"}, "value": name}
                        for name in ("author", "channel")
                    ],
                },
            },
        ],
    }

    @app.action("reject")
    async def reject(ack: Any, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        await client.views_open(trigger_id=body["trigger_id"], view=view)

    @app.view("reject")
    async def rejected(ack: Any, view: dict[str, Any]) -> None:
        values = view["state"]["values"]
        if len(values["why"]["reason"]["value"]) < 5:
            await ack(response_action="errors", errors={"why": "Say a little more."})
            return
        await ack()
        submitted.append(values)

    posted = await client.chat_postMessage(channel="churn", text="Promote?", blocks=APPROVAL)
    async with connected(simulator, app):
        page = await page_of(browser, simulator, BO)
        await message(page, posted["ts"]).get_by_role("button", name="Reject").click()
        dialog = page.get_by_role("dialog", name="Reject")
        await dialog.get_by_label("Reason").fill("no")
        await dialog.get_by_role("button", name="Reject it").click()
        await expect(dialog).to_contain_text("Please complete this required field.")
        await dialog.get_by_label("Kind").select_option("law")
        await dialog.get_by_label("author").check()
        await dialog.get_by_role("button", name="Reject it").click()
        await expect(dialog).to_contain_text("Say a little more.")
        await dialog.get_by_label("Reason").fill("calibration is off")
        await dialog.get_by_role("button", name="Reject it").click()
        await expect(dialog).to_be_hidden()
        await until(lambda: submitted)

    (values,) = submitted
    assert values["why"]["reason"]["value"] == "calibration is off"
    assert values["kind"]["kind"]["selected_option"]["value"] == "law"
    assert [option["value"] for option in values["tell"]["tell"]["selected_options"]] == ["author"]


async def test_whatever_is_said_is_shown_as_text(
    simulator: Simulator, client: AsyncWebClient, ann: Person, browser: Browser
) -> None:
    nasty = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    hers = await ann.say(nasty, "churn")
    bots = await client.chat_postMessage(
        channel="churn",
        text="x",
        blocks=[
            {"type": "header", "text": {"type": "plain_text", "text": nasty}},
            {"type": "markdown", "text": f"{nasty} [click](javascript:document.title='owned')"},
            {
                "type": "section",
                "text": {"type": "mrkdwn", "text": "<javascript:document.title='owned'|click>"},
            },
            {"type": "image", "image_url": "http://192.0.2.1/tracker.png", "alt_text": nasty},
        ],
    )

    page = await page_of(browser, simulator, BO)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))

    await expect(message(page, hers["ts"])).to_contain_text(nasty)
    await expect(message(page, bots["ts"]).get_by_role("heading")).to_have_text(nasty)
    await expect(message(page, bots["ts"]).locator("a[href^=javascript]")).to_have_count(0)
    await expect(message(page, bots["ts"]).locator("script, img")).to_have_count(0)
    await page.reload()
    await expect(message(page, bots["ts"])).to_contain_text("click")
    assert await page.title() == "# churn · Local workspace"
    assert all(url.startswith(simulator.url) for url in requests)


async def test_pictures_tables_charts_and_threads_are_shown(
    simulator: Simulator, client: AsyncWebClient, browser: Browser
) -> None:
    picture = (await client.files_upload_v2(filename="dot.png", content=png(), title="AUC"))["file"]["id"]
    cells = [{"type": "raw_text", "text": "run"}, {"type": "raw_text", "text": "auc"}]
    rows = [
        [{"type": "raw_text", "text": f"run{n}"}, {"type": "raw_number", "value": n / 10}]
        for n in range(1, 8)
    ]
    posted = await client.chat_postMessage(
        channel="churn",
        text="Sweep",
        blocks=[
            {"type": "image", "slack_file": {"id": picture}, "alt_text": "AUC by depth"},
            {"type": "data_table", "caption": "Best runs", "rows": [cells, *rows]},
            {
                "type": "data_visualization",
                "title": "AUC",
                "chart": {
                    "type": "bar",
                    "series": [
                        {"name": "auc", "data": [{"label": "a", "value": 0.7}, {"label": "b", "value": 0.8}]}
                    ],
                    "axis_config": {"categories": ["a", "b"]},
                },
            },
        ],
    )
    await client.chat_postMessage(channel="churn", text="a reply", thread_ts=posted["ts"])

    page = await page_of(browser, simulator, BO)
    card = message(page, posted["ts"])
    shown = card.get_by_role("img", name="AUC by depth")
    await expect(shown).to_be_visible()
    await expect(shown).to_have_js_property("naturalWidth", 1)
    await expect(card.get_by_role("table", name="Best runs").get_by_role("row")).to_have_count(6)
    await card.get_by_role("button", name="Next rows").click()
    await expect(card.get_by_role("cell", name="run7")).to_be_visible()
    await expect(card.locator("svg rect")).to_have_count(2)
    await expect(page.locator("#messages")).not_to_contain_text("a reply")
    await card.get_by_role("button", name="1 reply").click()
    await expect(page.get_by_label("Replies")).to_contain_text("a reply")
    await page.get_by_role("textbox", name="Reply").fill("thank you")
    await page.get_by_role("button", name="Reply", exact=True).click()
    await expect(page.get_by_label("Replies")).to_contain_text("thank you")
    await expect(card.get_by_role("button", name="2 replies")).to_be_visible()


async def test_a_link_to_a_message_leads_to_it(
    simulator: Simulator, client: AsyncWebClient, clock: Clock, browser: Browser
) -> None:
    posted = []
    for number in range(30):
        posted.append(await client.chat_postMessage(channel="churn", text=f"message {number}"))
        clock.now += 1
    link = await client.chat_getPermalink(channel=posted[2]["channel"], message_ts=posted[2]["ts"])

    page = await page_of(browser, simulator, ANN, link["permalink"].removeprefix(simulator.url))

    await expect(message(page, posted[2]["ts"])).to_be_in_viewport()
    await expect(message(page, posted[29]["ts"])).not_to_be_in_viewport()


async def test_another_sites_page_can_neither_read_nor_press(
    simulator: Simulator, client: AsyncWebClient, ann: Person
) -> None:
    posted = await client.chat_postMessage(channel="churn", text="Promote?", blocks=APPROVAL)
    body = {"user": ANN["email"], "channel": "churn", "ts": posted["ts"], "action_id": "approve"}

    async with aiohttp.ClientSession() as session:

        async def refused(method: str, path: str, **headers: str) -> tuple[int, str]:
            url = simulator.url.rstrip("/") + path
            async with session.request(method, url, json=body, headers=headers) as response:
                return response.status, (await response.json()).get("error", "")

        read = f"/ui/messages?user={ANN['email']}&channel=churn"
        token = {"X-Page-Token": token_in(await (await session.get(simulator.url)).text())}
        assert await refused("GET", read, Host="evil.example") == (403, "forbidden_host")
        assert await refused("GET", "/api/auth.test", Host="evil.example") == (403, "forbidden_host")
        assert await refused("POST", "/ui/press") == (403, "invalid_page_token")
        assert await refused("POST", "/ui/press", **{"X-Page-Token": "guess"}) == (403, "invalid_page_token")
        assert await refused("POST", "/ui/press", Origin="http://evil.example", **token) == (
            403,
            "forbidden_host",
        )
        assert await refused("POST", "/ui/press", **token) == (504, "dispatch_failed")

        async with session.get(simulator.url) as page:
            assert "script-src 'self'" in page.headers["Content-Security-Policy"]
            assert "Access-Control-Allow-Origin" not in page.headers


def token_in(page: str) -> str:
    return page.split('name="page-token" content="')[1].split('"')[0]


def png() -> bytes:
    """Return a picture of one pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixel = zlib.compress(b"\0\x61\x1f\x69")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixel) + chunk(b"IEND", b"")
