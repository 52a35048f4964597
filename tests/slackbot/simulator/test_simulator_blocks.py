"""What Slack takes in blocks and views, and what it refuses, asked of ``blocks.validate``."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slackblocks import _limits as theirs
from slackblocks import _surfaces

from slackbot import limits

from .simulator_parts import error_of

Block = dict[str, Any]


def plain(text: str) -> Block:
    return {"type": "plain_text", "text": text}


def mrkdwn(text: str) -> Block:
    return {"type": "mrkdwn", "text": text}


def cell(text: str) -> Block:
    return {"type": "raw_text", "text": text}


def option(value: str) -> Block:
    return {"text": plain(value), "value": value}


BUTTON = {
    "type": "button",
    "action_id": "approve",
    "text": plain("Approve"),
    "value": "a8c2",
    "style": "primary",
    "confirm": {
        "title": plain("Sure?"),
        "text": mrkdwn("*Really*"),
        "confirm": plain("Yes"),
        "deny": plain("No"),
    },
}
SELECT = {"type": "static_select", "action_id": "s", "options": [option("a"), option("b")]}
IMAGE = {"type": "image", "image_url": "https://example.com/a.png", "alt_text": "a"}
TABLE = {"type": "table", "rows": [[cell("a"), cell("b")], [cell("1"), cell("2")]]}
DATA_TABLE = {
    "type": "data_table",
    "caption": "Runs",
    "rows": [
        [cell("run"), cell("auc")],
        [cell("7k3f"), {"type": "raw_number", "value": 0.8, "text": "0.80"}],
    ],
}
CHART = {
    "type": "data_visualization",
    "title": "AUC",
    "chart": {
        "type": "line",
        "series": [{"name": "auc", "data": [{"label": "1", "value": 0.7}, {"label": "2", "value": 0.8}]}],
        "axis_config": {"categories": ["1", "2"], "x_label": "run"},
    },
}
INPUT = {"type": "input", "label": plain("Why"), "element": {"type": "plain_text_input", "action_id": "why"}}
GOOD: list[Block] = [
    {"type": "header", "text": plain("x" * limits.HEADER_TEXT)},
    {"type": "section", "text": mrkdwn("x" * limits.TEXT), "accessory": BUTTON},
    {"type": "section", "fields": [mrkdwn("x" * 100)] * limits.SECTION_FIELDS},
    {"type": "actions", "elements": [BUTTON, SELECT]},
    {"type": "context", "elements": [mrkdwn("by Ann"), IMAGE]},
    {"type": "divider"},
    {**IMAGE, "title": plain("a")},
    {"type": "markdown", "text": "# Title"},
    TABLE,
    DATA_TABLE,
    CHART,
    {
        "type": "data_visualization",
        "title": "Shares",
        "chart": {"type": "pie", "segments": [{"label": "a", "value": 1}]},
    },
    {
        "type": "container",
        "title": plain("More"),
        "child_blocks": [{"type": "divider"}],
    },
    {
        "type": "rich_text",
        "elements": [
            {
                "type": "rich_text_section",
                "elements": [{"type": "text", "text": "x", "style": {"bold": True}}],
            }
        ],
    },
    INPUT,
]


def changed(block: Block, *path: Any, to: Any) -> Block:
    """Return a copy of a block in which one place holds something else."""
    result: Any = copy.deepcopy(block)
    place = result
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = to
    return dict(result)


SECTION = GOOD[1]
ACTIONS = GOOD[3]
BAD: list[tuple[Block, str]] = [
    ({"type": "shout"}, "/0/type"),
    ({"text": plain("x")}, "/0"),
    ({"type": "alert", "text": plain("x")}, "/0/type"),
    ({"type": "carousel", "elements": []}, "/0/type"),
    (changed(GOOD[0], "text", "text", to="x" * (limits.HEADER_TEXT + 1)), "/0/text/text"),
    (changed(GOOD[0], "text", to=mrkdwn("x")), "/0/text/type"),
    (changed(GOOD[0], "text", "text", to=""), "/0/text/text"),
    (changed(GOOD[0], "colour", to="red"), "/0"),
    (changed(SECTION, "text", "text", to="x" * (limits.TEXT + 1)), "/0/text/text"),
    ({"type": "section"}, "/0"),
    ({"type": "section", "fields": [mrkdwn("x")] * (limits.SECTION_FIELDS + 1)}, "/0/fields"),
    ({"type": "section", "fields": [mrkdwn("x" * (limits.SECTION_FIELD_TEXT + 1))]}, "/0/fields/0/text"),
    (changed(SECTION, "accessory", to=INPUT["element"]), "/0/accessory/type"),
    (changed(SECTION, "block_id", to="x" * (limits.BLOCK_ID + 1)), "/0/block_id"),
    ({"type": "actions", "elements": []}, "/0/elements"),
    (changed(ACTIONS, "elements", to=[{**BUTTON, "action_id": str(n)} for n in range(26)]), "/0/elements"),
    (changed(ACTIONS, "elements", to=[BUTTON, BUTTON]), ""),
    (
        changed(ACTIONS, "elements", 0, "text", "text", to="x" * (limits.BUTTON_TEXT + 1)),
        "/0/elements/0/text/text",
    ),
    (changed(ACTIONS, "elements", 0, "value", to="x" * (limits.BUTTON_VALUE + 1)), "/0/elements/0/value"),
    (changed(ACTIONS, "elements", 0, "value", to=7), "/0/elements/0/value"),
    (changed(ACTIONS, "elements", 0, "style", to="green"), "/0/elements/0/style"),
    (changed(ACTIONS, "elements", 0, "action_id", to="x" * 256), "/0/elements/0/action_id"),
    (changed(ACTIONS, "elements", 0, "confirm", "title", to=mrkdwn("x")), "/0/elements/0/confirm/title/type"),
    (
        changed(ACTIONS, "elements", 0, "confirm", "confirm", to=plain("x" * (limits.CONFIRM_BUTTON + 1))),
        "/0/elements/0/confirm/confirm/text",
    ),
    (changed(ACTIONS, "elements", 1, "options", to=[]), "/0/elements/1/options"),
    (changed(ACTIONS, "elements", 1, "options", to=[option("a"), option("a")]), "/0/elements/1/options"),
    (changed(ACTIONS, "elements", 1, "initial_option", to=option("c")), "/0/elements/1/initial_option"),
    (changed(ACTIONS, "elements", 1, "options", 0, "value", to="x" * 151), "/0/elements/1/options/0/value"),
    ({"type": "context", "elements": [mrkdwn("x")] * 11}, "/0/elements"),
    ({"type": "image", "image_url": "https://example.com/a.png"}, "/0"),
    ({"type": "image", "alt_text": "a"}, "/0"),
    ({"type": "image", "slack_file": {"id": "F0"}, "alt_text": "a"}, "/0/slack_file"),
    ({"type": "markdown", "text": "x" * (limits.MARKDOWN_TEXT + 1)}, "/0/text"),
    (changed(TABLE, "rows", to=[[cell("x")]] * (limits.TABLE_ROWS + 1)), "/0/rows"),
    (changed(TABLE, "rows", to=[[cell("x" * 2_000)]] * 6), "/0"),
    (changed(TABLE, "rows", 0, to=[cell("x")] * 21), "/0/rows/0"),
    (changed(DATA_TABLE, "rows", to=DATA_TABLE["rows"][:1]), "/0/rows"),
    (changed(DATA_TABLE, "rows", 1, to=[cell("x")]), "/0/rows/1"),
    (changed(DATA_TABLE, "rows", 0, 0, to={"type": "rich_text", "elements": []}), "/0/rows/0/0/type"),
    (changed(DATA_TABLE, "page_size", to=101), "/0/page_size"),
    (changed(CHART, "title", to="x" * (limits.CHART_TITLE + 1)), "/0/title"),
    (changed(CHART, "chart", "axis_config", "categories", to=["1", "3"]), "/0/chart/series/0/data"),
    (changed(CHART, "chart", "series", to=CHART["chart"]["series"] * 2), "/0/chart/series"),
    (changed(GOOD[11], "chart", "segments", 0, "value", to=0), "/0/chart/segments/0/value"),
    (changed(GOOD[12], "child_blocks", to=[{"type": "divider"}] * 11), "/0/child_blocks"),
    (changed(INPUT, "element", to=BUTTON), "/0/element/type"),
    (changed(INPUT, "element", "max_length", to=3_001), "/0/element/max_length"),
]


@pytest.mark.parametrize("block", GOOD, ids=lambda block: str(block["type"]))
async def test_a_block_within_the_limits_is_taken(client: AsyncWebClient, block: Block) -> None:
    await client.api_call("blocks.validate", json={"blocks": [block]})


@pytest.mark.parametrize(("block", "pointer"), BAD)
async def test_a_block_beyond_them_is_refused_where_it_is_wrong(
    client: AsyncWebClient, block: Block, pointer: str
) -> None:
    with pytest.raises(SlackApiError) as caught:
        await client.api_call("blocks.validate", json={"blocks": [block]})

    response = caught.value.response
    assert response["error"] == "invalid_blocks"
    assert pointer in [error["pointer"] for error in response["errors"]]


async def test_a_refused_message_says_where_as_slack_does(client: AsyncWebClient) -> None:
    blocks = [{"type": "divider"}, {"type": "header", "text": plain("x" * 151)}]

    with pytest.raises(SlackApiError) as caught:
        await client.chat_postMessage(channel="churn", text="x", blocks=blocks)

    assert caught.value.response["response_metadata"]["messages"] == [
        "[ERROR] must be less than 151 characters [json-pointer:/blocks/1/text/text]"
    ]


@pytest.mark.parametrize(
    "blocks",
    [
        [{"type": "divider"}] * (limits.MESSAGE_BLOCKS + 1),
        [TABLE, TABLE],
        [CHART, CHART, CHART],
        [{"type": "markdown", "text": "x" * 6_001}] * 2,
        [{"type": "divider", "block_id": "same"}] * 2,
    ],
)
async def test_a_message_has_limits_of_its_own(client: AsyncWebClient, blocks: list[Block]) -> None:
    await client.api_call("blocks.validate", json={"blocks": blocks[:1]})
    assert await error_of(client.api_call("blocks.validate", json={"blocks": blocks})) == "invalid_blocks"


VIEW: Block = {
    "type": "modal",
    "title": plain("x" * limits.VIEW_TITLE),
    "submit": plain("Send"),
    "blocks": [INPUT, {"type": "alert", "text": plain("mind"), "level": "warning"}],
}


@pytest.mark.parametrize(
    "view",
    [
        {name: value for name, value in VIEW.items() if name != "submit"},
        {name: value for name, value in VIEW.items() if name != "title"},
        changed(VIEW, "title", to=plain("x" * (limits.VIEW_TITLE + 1))),
        changed(VIEW, "title", to=mrkdwn("x")),
        changed(VIEW, "private_metadata", to="x" * (limits.VIEW_PRIVATE_METADATA + 1)),
        changed(VIEW, "callback_id", to="x" * (limits.VIEW_CALLBACK_ID + 1)),
        changed(VIEW, "blocks", to=[{"type": "divider"}] * (limits.VIEW_BLOCKS + 1)),
        changed(VIEW, "blocks", to=[TABLE]),
        changed(VIEW, "blocks", to=[{"type": "markdown", "text": "x"}]),
        changed(VIEW, "size", to="large"),
        changed(VIEW, "type", to="popup"),
        {"type": "home", "blocks": [{"type": "alert", "text": plain("x")}]},
    ],
)
async def test_a_view_beyond_the_limits_is_refused(client: AsyncWebClient, view: Block) -> None:
    await client.api_call("blocks.validate", json={"view": VIEW})
    await client.api_call("blocks.validate", json={"view": {"type": "home", "blocks": [TABLE]}})

    assert await error_of(client.api_call("blocks.validate", json={"view": view})) == "invalid_view"


async def test_validation_takes_exactly_one_thing(client: AsyncWebClient) -> None:
    assert await error_of(client.api_call("blocks.validate", json={})) == "invalid_arguments"
    both = {"blocks": [], "view": VIEW}
    assert await error_of(client.api_call("blocks.validate", json=both)) == "invalid_arguments"


SAME = {
    "MESSAGE_BLOCKS": "MESSAGE_BLOCKS_MAX_ITEMS",
    "ATTACHMENTS": "MESSAGE_ATTACHMENTS_MAX_ITEMS",
    "CHARTS_PER_MESSAGE": "MESSAGE_DATA_VISUALIZATIONS_MAX_ITEMS",
    "MARKDOWN_TEXT": "MARKDOWN_TOTAL_TEXT_MAX_LENGTH",
    "TEXT": "SECTION_TEXT_MAX_LENGTH",
    "SECTION_FIELDS": "SECTION_FIELDS_MAX_ITEMS",
    "SECTION_FIELD_TEXT": "SECTION_FIELDS_ITEM_MAX_LENGTH",
    "HEADER_TEXT": "HEADER_TEXT_MAX_LENGTH",
    "CONTEXT_ELEMENTS": "CONTEXT_ELEMENTS_MAX_ITEMS",
    "ACTIONS_ELEMENTS": "ACTIONS_ELEMENTS_MAX_ITEMS",
    "IMAGE_URL": "IMAGE_IMAGE_URL_MAX_LENGTH",
    "IMAGE_ALT_TEXT": "IMAGE_ALT_TEXT_MAX_LENGTH",
    "IMAGE_TITLE": "IMAGE_TITLE_MAX_LENGTH",
    "INPUT_LABEL": "INPUT_LABEL_MAX_LENGTH",
    "INPUT_HINT": "INPUT_HINT_MAX_LENGTH",
    "ALERT_TEXT": "ALERT_TEXT_MAX_LENGTH",
    "CONTAINER_BLOCKS": "CONTAINER_CHILD_BLOCKS_MAX_ITEMS",
    "CONTAINER_TITLE": "CONTAINER_TITLE_MAX_LENGTH",
    "CONTAINER_SUBTITLE": "CONTAINER_SUBTITLE_MAX_LENGTH",
    "TABLE_ROWS": "TABLE_ROWS_MAX_ITEMS",
    "TABLE_COLUMNS": "TABLE_COLUMNS_MAX_ITEMS",
    "DATA_TABLE_ROWS_LEAST": "DATA_TABLE_ROWS_MIN_ITEMS",
    "DATA_TABLE_COLUMNS": "DATA_TABLE_COLUMNS_MAX_ITEMS",
    "DATA_TABLE_PAGE_SIZE": "DATA_TABLE_PAGE_SIZE_MAX",
    "DATA_TABLE_CHARACTERS": "DATA_TABLE_TOTAL_CONTENT_MAX_LENGTH",
    "CHART_TITLE": "DATA_VISUALIZATION_TITLE_MAX_LENGTH",
    "CHART_POINTS": "DATA_VISUALIZATION_DATA_MAX_ITEMS",
    "CHART_LABEL": "DATA_VISUALIZATION_POINT_LABEL_MAX_LENGTH",
    "CHART_AXIS_LABEL": "DATA_VISUALIZATION_AXIS_LABEL_MAX_LENGTH",
    "ACTION_ID": "ACTION_ID_MAX_LENGTH",
    "BLOCK_ID": "BLOCK_ID_MAX_LENGTH",
    "BUTTON_TEXT": "BUTTON_TEXT_MAX_LENGTH",
    "BUTTON_VALUE": "BUTTON_VALUE_MAX_LENGTH",
    "BUTTON_URL": "BUTTON_URL_MAX_LENGTH",
    "ACCESSIBILITY_LABEL": "BUTTON_ACCESSIBILITY_LABEL_MAX_LENGTH",
    "CONFIRM_TITLE": "CONFIRMATION_TITLE_MAX_LENGTH",
    "CONFIRM_TEXT": "CONFIRMATION_TEXT_MAX_LENGTH",
    "CONFIRM_BUTTON": "CONFIRMATION_CONFIRM_MAX_LENGTH",
    "OPTION_TEXT": "OPTION_TEXT_MAX_LENGTH",
    "OPTION_VALUE": "OPTION_VALUE_MAX_LENGTH",
    "OPTION_DESCRIPTION": "OPTION_DESCRIPTION_MAX_LENGTH",
    "OPTION_URL": "OPTION_URL_MAX_LENGTH",
    "OPTION_GROUP_LABEL": "OPTION_GROUP_LABEL_MAX_LENGTH",
    "SELECT_OPTIONS": "SELECT_OPTIONS_MAX_ITEMS",
    "SELECT_GROUPS": "SELECT_OPTION_GROUPS_MAX_ITEMS",
    "OVERFLOW_OPTIONS": "OVERFLOW_OPTIONS_MAX_ITEMS",
    "CHOICES": "CHECKBOXES_OPTIONS_MAX_ITEMS",
    "PLACEHOLDER": "SELECT_PLACEHOLDER_MAX_LENGTH",
    "INPUT_LENGTH": "PLAIN_TEXT_INPUT_MAX_LENGTH_MAX",
    "VIEW_BLOCKS": "VIEW_BLOCKS_MAX_ITEMS",
    "VIEW_TITLE": "VIEW_TITLE_MAX_LENGTH",
    "VIEW_SUBMIT": "VIEW_SUBMIT_MAX_LENGTH",
    "VIEW_CLOSE": "VIEW_CLOSE_MAX_LENGTH",
    "VIEW_CALLBACK_ID": "VIEW_CALLBACK_ID_MAX_LENGTH",
    "VIEW_EXTERNAL_ID": "VIEW_EXTERNAL_ID_MAX_LENGTH",
    "VIEW_PRIVATE_METADATA": "VIEW_PRIVATE_METADATA_MAX_LENGTH",
}
SMALLER = {
    # these grew in the course of 2026; ours are the numbers that every version of Slack's pages allows
    "DATA_TABLE_ROWS": "DATA_TABLE_ROWS_MAX_ITEMS",
    "CHART_SERIES": "DATA_VISUALIZATION_SERIES_MAX_ITEMS",
    "CHART_SEGMENTS": "DATA_VISUALIZATION_SEGMENTS_MAX_ITEMS",
}


def test_the_limits_are_those_of_an_independent_table() -> None:
    ours = {name: getattr(limits, name) for name in SAME}

    assert ours == {name: getattr(theirs, other) for name, other in SAME.items()}
    for name, other in SMALLER.items():
        assert getattr(limits, name) <= getattr(theirs, other)


def test_the_blocks_of_each_surface_are_those_of_an_independent_table() -> None:
    assert dict(limits.BLOCK_TYPES) == _surfaces._BLOCK_TYPES_BY_SURFACE
