"""Block Kit as Slack takes it: every block, element and view checked against ``slackbot.limits``.

Called by each method that takes blocks or a view. A key, type or length that Slack does not document is
refused; so are the few documented block types that this simulator cannot show, and it says that it is the one
that refuses.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from .. import limits
from .refusal import JSON, Refusal
from .shapes import (
    Check,
    Problem,
    Problems,
    anything,
    at_least_one,
    boolean,
    by_type,
    exactly_one,
    items,
    number,
    one_of,
    shape,
    string,
)

FileExists = Callable[[str], bool]
"""Tells whether a ``slack_file`` id names an image that the app may show."""


def _text(most: int, *kinds: str) -> Check:
    words = string(most, least=1)
    all_kinds = {
        "plain_text": shape({"type": anything, "text": words}, {"emoji": boolean}),
        "mrkdwn": shape({"type": anything, "text": words}, {"verbatim": boolean}),
    }
    return by_type({kind: all_kinds[kind] for kind in kinds or all_kinds})


def _plain(most: int) -> Check:
    return _text(most, "plain_text")


_TYPE = {"type": anything}
_BLOCK = {"block_id": string(limits.BLOCK_ID, least=1)}
_ACTION = {"action_id": string(limits.ACTION_ID, least=1)}
_FOCUS = {"focus_on_load": boolean}

_CONFIRM = shape(
    {
        "title": _plain(limits.CONFIRM_TITLE),
        "text": _text(limits.CONFIRM_TEXT),
        "confirm": _plain(limits.CONFIRM_BUTTON),
        "deny": _plain(limits.CONFIRM_BUTTON),
    },
    {"style": one_of("primary", "danger")},
)
_CONFIRMED = {"confirm": _CONFIRM}


def _option(text: Check, url: bool = False) -> Check:
    more: dict[str, Check] = {"description": _text(limits.OPTION_DESCRIPTION)}
    if url:
        more["url"] = string(limits.OPTION_URL, least=1)
    return shape({"text": text, "value": string(limits.OPTION_VALUE, least=1)}, more)


_PLAIN_OPTION = _option(_plain(limits.OPTION_TEXT))
_ANY_OPTION = _option(_text(limits.OPTION_TEXT))
_GROUP = shape(
    {
        "label": _plain(limits.OPTION_GROUP_LABEL),
        "options": items(_PLAIN_OPTION, limits.SELECT_OPTIONS, least=1),
    }
)


def options_of(element: JSON) -> list[JSON]:
    """Return every option of a menu, whether grouped or not."""
    grouped = [option for group in element.get("option_groups", ()) for option in group["options"]]
    return [*element.get("options", ()), *grouped]


def _initial_among_options(element: Any, at: str, problems: Problems) -> None:
    values = [option["value"] for option in options_of(element)]
    repeated = [value for value, count in Counter(values).items() if count > 1]
    if repeated:
        problems.append(Problem(f"options must have unique values: {repeated[0]}", f"{at}/options"))
    for key in ("initial_option", "initial_options"):
        chosen = element.get(key, [])
        for option in chosen if isinstance(chosen, list) else [chosen]:
            if option not in options_of(element):
                problems.append(Problem(f"{key} must match the options", f"{at}/{key}"))


def _select(own: dict[str, Check], *also: Check, many: bool = False) -> Check:
    more = {"max_selected_items": number(1)} if many else {}
    common = {**_ACTION, **_CONFIRMED, **_FOCUS, "placeholder": _plain(limits.PLACEHOLDER)}
    return shape(_TYPE, {**common, **own, **more}, *also)


_OPTIONS: dict[str, Check] = {
    "options": items(_PLAIN_OPTION, limits.SELECT_OPTIONS, least=1),
    "option_groups": items(_GROUP, limits.SELECT_GROUPS, least=1),
}
_ID = string(least=1)


def _choices(option: Check) -> dict[str, Check]:
    return {"options": items(option, limits.CHOICES, least=1)}


def _length_order(element: Any, at: str, problems: Problems) -> None:
    if element.get("min_length", 0) > element.get("max_length", limits.INPUT_LENGTH):
        problems.append(Problem("min_length must not be more than max_length", f"{at}/min_length"))


_PLACEHOLDER = {"placeholder": _plain(limits.PLACEHOLDER)}
_DISPATCH = {
    "dispatch_action_config": shape(
        {"trigger_actions_on": items(one_of("on_enter_pressed", "on_character_entered"), 2, least=1)}
    )
}
_TYPED = {**_ACTION, **_PLACEHOLDER, **_DISPATCH, **_FOCUS}

_SLACK_FILE = shape({}, {"id": string(least=1), "url": string(least=1)}, exactly_one("id", "url"))
_PICTURE = {"image_url": string(limits.IMAGE_URL, least=1), "slack_file": _SLACK_FILE}
_ALT = {"alt_text": string(limits.IMAGE_ALT_TEXT, least=1)}

_ELEMENTS: dict[str, Check] = {
    "button": shape(
        {**_TYPE, "text": _plain(limits.BUTTON_TEXT)},
        {
            **_ACTION,
            **_CONFIRMED,
            "value": string(limits.BUTTON_VALUE, least=1),
            "url": string(limits.BUTTON_URL, least=1),
            "style": one_of("primary", "danger"),
            "accessibility_label": string(limits.ACCESSIBILITY_LABEL, least=1),
        },
    ),
    "overflow": shape(
        {
            **_TYPE,
            "options": items(_option(_plain(limits.OPTION_TEXT), url=True), limits.OVERFLOW_OPTIONS, least=1),
        },
        {**_ACTION, **_CONFIRMED},
    ),
    "static_select": _select(
        {**_OPTIONS, "initial_option": _PLAIN_OPTION},
        exactly_one("options", "option_groups"),
        _initial_among_options,
    ),
    "multi_static_select": _select(
        {**_OPTIONS, "initial_options": items(_PLAIN_OPTION, limits.SELECT_OPTIONS, least=1)},
        exactly_one("options", "option_groups"),
        _initial_among_options,
        many=True,
    ),
    "users_select": _select({"initial_user": _ID}),
    "multi_users_select": _select({"initial_users": items(_ID)}, many=True),
    "channels_select": _select({"initial_channel": _ID, "response_url_enabled": boolean}),
    "multi_channels_select": _select({"initial_channels": items(_ID)}, many=True),
    "checkboxes": shape(
        {**_TYPE, **_choices(_ANY_OPTION)},
        {**_ACTION, **_CONFIRMED, **_FOCUS, "initial_options": items(_ANY_OPTION, limits.CHOICES, least=1)},
        _initial_among_options,
    ),
    "radio_buttons": shape(
        {**_TYPE, **_choices(_ANY_OPTION)},
        {**_ACTION, **_CONFIRMED, **_FOCUS, "initial_option": _ANY_OPTION},
        _initial_among_options,
    ),
    "datepicker": shape(
        _TYPE, {**_ACTION, **_CONFIRMED, **_FOCUS, **_PLACEHOLDER, "initial_date": string(10, 10)}
    ),
    "timepicker": shape(
        _TYPE,
        {
            **_ACTION,
            **_CONFIRMED,
            **_FOCUS,
            **_PLACEHOLDER,
            "initial_time": string(5, 5),
            "timezone": string(least=1),
        },
    ),
    "plain_text_input": shape(
        _TYPE,
        {
            **_TYPED,
            "initial_value": string(limits.INPUT_LENGTH),
            "multiline": boolean,
            "min_length": number(0, limits.INPUT_LENGTH),
            "max_length": number(1, limits.INPUT_LENGTH),
        },
        _length_order,
    ),
    "number_input": shape(
        {**_TYPE, "is_decimal_allowed": boolean},
        {
            **_TYPED,
            "initial_value": string(least=1),
            "min_value": string(least=1),
            "max_value": string(least=1),
        },
    ),
    "email_text_input": shape(_TYPE, {**_TYPED, "initial_value": string()}),
    "url_text_input": shape(_TYPE, {**_TYPED, "initial_value": string()}),
    "image": shape({**_TYPE, **_ALT}, _PICTURE, exactly_one("image_url", "slack_file")),
}

_MENUS = ("static_select", "users_select", "channels_select")
_MULTI_MENUS = tuple(f"multi_{menu}" for menu in _MENUS)
_PICKED = ("checkboxes", "radio_buttons", "datepicker", "timepicker")
_WRITTEN = ("plain_text_input", "number_input", "email_text_input", "url_text_input")


def _elements(*kinds: str) -> dict[str, Check]:
    return {kind: _ELEMENTS[kind] for kind in kinds}


_STYLE = shape(
    {}, {style: boolean for style in ("bold", "italic", "strike", "code", "underline", "highlight")}
)
_RICH_INLINE = by_type(
    {
        "text": shape({**_TYPE, "text": string(least=1)}, {"style": _STYLE}),
        "link": shape(
            {**_TYPE, "url": string(least=1)}, {"text": string(), "style": _STYLE, "unsafe": boolean}
        ),
        "emoji": shape({**_TYPE, "name": string(least=1)}, {"unicode": string(), "style": _STYLE}),
        "user": shape({**_TYPE, "user_id": string(least=1)}, {"style": _STYLE}),
        "channel": shape({**_TYPE, "channel_id": string(least=1)}, {"style": _STYLE}),
        "broadcast": shape({**_TYPE, "range": one_of("here", "channel", "everyone")}, {"style": _STYLE}),
    }
)
_RICH_SECTION = shape({**_TYPE, "elements": items(_RICH_INLINE)})
_BORDER = {"border": number(0, 1)}
_RICH_PARTS = {
    "rich_text_section": _RICH_SECTION,
    "rich_text_list": shape(
        {
            **_TYPE,
            "style": one_of("bullet", "ordered"),
            "elements": items(by_type({"rich_text_section": _RICH_SECTION}), least=1),
        },
        {**_BORDER, "indent": number(0, 8), "offset": number(0)},
    ),
    "rich_text_quote": shape({**_TYPE, "elements": items(_RICH_INLINE)}, _BORDER),
    "rich_text_preformatted": shape(
        {**_TYPE, "elements": items(_RICH_INLINE)}, {**_BORDER, "language": string()}
    ),
}
_RICH_TEXT = shape({**_TYPE, "elements": items(by_type(_RICH_PARTS))}, _BLOCK)

_RAW_TEXT = shape({**_TYPE, "text": string(least=1)})
_RAW_NUMBER = shape({**_TYPE, "value": number(whole=False)}, {"text": string(least=1)})
_CELL = by_type({"raw_text": _RAW_TEXT, "raw_number": _RAW_NUMBER, "rich_text": _RICH_TEXT})
_HEADER_CELL = by_type({"raw_text": _RAW_TEXT, "raw_number": _RAW_NUMBER})


def words_of(value: Any) -> Iterator[str]:
    """Yield every text that a person would read in a block or a part of one."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "text" and isinstance(item, str):
                yield item
            else:
                yield from words_of(item)
    elif isinstance(value, list):
        for item in value:
            yield from words_of(item)


def _characters(most: int, *keys: str) -> Check:
    def check(block: Any, at: str, problems: Problems) -> None:
        total = sum(len(word) for key in keys for word in words_of(block.get(key)))
        if total > most:
            problems.append(Problem(f"must be less than {most + 1} characters in all cells", at))

    return check


def _equal_rows(block: Any, at: str, problems: Problems) -> None:
    width = len(block["rows"][0])
    for index, row in enumerate(block["rows"]):
        if len(row) != width:
            problems.append(Problem(f"every row must have {width} cells", f"{at}/rows/{index}"))


def _header_row(block: Any, at: str, problems: Problems) -> None:
    for index, cell in enumerate(block["rows"][0]):
        _HEADER_CELL(cell, f"{at}/rows/0/{index}", problems)
    if block.get("row_header_column_index", 0) >= len(block["rows"][0]):
        problems.append(Problem("must name a column", f"{at}/row_header_column_index"))


_LABEL = string(limits.CHART_LABEL, least=1)
_POINT = shape({"label": _LABEL, "value": number(whole=False)})
_SERIES = shape({"name": _LABEL, "data": items(_POINT, limits.CHART_POINTS, least=1)})
_AXES = shape(
    {"categories": items(_LABEL, limits.CHART_POINTS, least=1)},
    {"x_label": string(limits.CHART_AXIS_LABEL), "y_label": string(limits.CHART_AXIS_LABEL)},
)


def _points_match_categories(chart: Any, at: str, problems: Problems) -> None:
    names = [series["name"] for series in chart["series"]]
    if len(set(names)) != len(names):
        problems.append(Problem("series names must be unique", f"{at}/series"))
    categories = chart["axis_config"]["categories"]
    for index, series in enumerate(chart["series"]):
        if sorted(point["label"] for point in series["data"]) != sorted(categories):
            problems.append(
                Problem("must have exactly one point for each category", f"{at}/series/{index}/data")
            )


def _positive(segment: Any, at: str, problems: Problems) -> None:
    if segment["value"] <= 0:
        problems.append(Problem("must be more than 0", f"{at}/value"))


_DRAWN = shape(
    {**_TYPE, "series": items(_SERIES, limits.CHART_SERIES, least=1), "axis_config": _AXES},
    {},
    _points_match_categories,
)
_PIE = shape(
    {
        **_TYPE,
        "segments": items(
            shape({"label": _LABEL, "value": number(whole=False)}, {}, _positive),
            limits.CHART_SEGMENTS,
            least=1,
        ),
    }
)

_INPUT_ELEMENTS = _elements(*_MENUS, *_MULTI_MENUS, *_PICKED, *_WRITTEN)

_PLAIN_BLOCKS: dict[str, Check] = {
    "actions": shape(
        {
            **_TYPE,
            "elements": items(
                by_type(_elements("button", "overflow", *_MENUS, *_PICKED)), limits.ACTIONS_ELEMENTS, least=1
            ),
        },
        _BLOCK,
    ),
    "alert": shape(
        {**_TYPE, "text": _text(limits.ALERT_TEXT)},
        {**_BLOCK, "level": one_of("default", "info", "warning", "error", "success")},
    ),
    "context": shape(
        {
            **_TYPE,
            "elements": items(
                by_type(
                    {
                        "image": _ELEMENTS["image"],
                        "plain_text": _text(limits.TEXT),
                        "mrkdwn": _text(limits.TEXT),
                    }
                ),
                limits.CONTEXT_ELEMENTS,
                least=1,
            ),
        },
        _BLOCK,
    ),
    "data_table": shape(
        {
            **_TYPE,
            "caption": string(least=1),
            "rows": items(
                items(_CELL, limits.DATA_TABLE_COLUMNS, least=1),
                limits.DATA_TABLE_ROWS,
                least=limits.DATA_TABLE_ROWS_LEAST,
            ),
        },
        {
            **_BLOCK,
            "page_size": number(1, limits.DATA_TABLE_PAGE_SIZE),
            "row_header_column_index": number(0),
        },
        _equal_rows,
        _header_row,
        _characters(limits.DATA_TABLE_CHARACTERS, "rows"),
    ),
    "data_visualization": shape(
        {
            **_TYPE,
            "title": string(limits.CHART_TITLE, least=1),
            "chart": by_type({"line": _DRAWN, "bar": _DRAWN, "area": _DRAWN, "pie": _PIE}),
        },
        _BLOCK,
    ),
    "divider": shape(_TYPE, _BLOCK),
    "header": shape({**_TYPE, "text": _plain(limits.HEADER_TEXT)}, _BLOCK),
    "image": shape(
        {**_TYPE, **_ALT},
        {**_BLOCK, **_PICTURE, "title": _plain(limits.IMAGE_TITLE)},
        exactly_one("image_url", "slack_file"),
    ),
    "input": shape(
        {**_TYPE, "label": _plain(limits.INPUT_LABEL), "element": by_type(_INPUT_ELEMENTS)},
        {**_BLOCK, "hint": _plain(limits.INPUT_HINT), "optional": boolean, "dispatch_action": boolean},
    ),
    "markdown": shape({**_TYPE, "text": string(limits.MARKDOWN_TEXT, least=1)}, _BLOCK),
    "rich_text": _RICH_TEXT,
    "section": shape(
        _TYPE,
        {
            **_BLOCK,
            "text": _text(limits.TEXT),
            "fields": items(_text(limits.SECTION_FIELD_TEXT), limits.SECTION_FIELDS, least=1),
            "accessory": by_type(_elements("button", "overflow", "image", *_MENUS, *_MULTI_MENUS, *_PICKED)),
            "expand": boolean,
        },
        at_least_one("text", "fields"),
    ),
    "table": shape(
        {**_TYPE, "rows": items(items(_CELL, limits.TABLE_COLUMNS, least=1), limits.TABLE_ROWS, least=1)},
        {
            **_BLOCK,
            "column_settings": items(
                shape({}, {"align": one_of("left", "center", "right"), "is_wrapped": boolean}),
                limits.TABLE_COLUMNS,
            ),
        },
        _characters(limits.TABLE_CHARACTERS, "rows"),
    ),
}
_CHILDREN = (
    "actions",
    "context",
    "data_table",
    "data_visualization",
    "divider",
    "header",
    "image",
    "section",
)
_BLOCKS: dict[str, Check] = {
    **_PLAIN_BLOCKS,
    "container": shape(
        {
            **_TYPE,
            "title": _plain(limits.CONTAINER_TITLE),
            "child_blocks": items(
                by_type({kind: _PLAIN_BLOCKS[kind] for kind in _CHILDREN}), limits.CONTAINER_BLOCKS, least=1
            ),
        },
        {
            **_BLOCK,
            "subtitle": _plain(limits.CONTAINER_SUBTITLE),
            "is_collapsible": boolean,
            "default_collapsed": boolean,
        },
    ),
}


def elements_of(blocks: list[JSON]) -> Iterator[tuple[JSON, JSON]]:
    """Yield every interactive element with the block it is in, containers' children too."""
    for block in blocks:
        kind = block["type"]
        if kind == "actions":
            yield from ((block, element) for element in block["elements"])
        elif kind == "section" and block.get("accessory", {}).get("type", "image") != "image":
            yield block, block["accessory"]
        elif kind == "input":
            yield block, block["element"]
        elif kind == "container":
            yield from elements_of(block["child_blocks"])


def _flat(blocks: list[JSON]) -> Iterator[JSON]:
    for block in blocks:
        yield block
        yield from block.get("child_blocks", ())


def _unique_ids(blocks: list[JSON], at: str, problems: Problems) -> None:
    block_ids = Counter(block["block_id"] for block in _flat(blocks) if "block_id" in block)
    problems.extend(
        Problem(f"block_id `{name}` already exists", at) for name, count in block_ids.items() if count > 1
    )
    seen: set[tuple[int, str]] = set()
    for block, element in elements_of(blocks):
        name = element.get("action_id")
        if name is None:
            continue
        if (id(block), name) in seen:
            problems.append(Problem(f"action_id `{name}` already exists", at))
        seen.add((id(block), name))


def _files_exist(value: Any, at: str, file_exists: FileExists, problems: Problems) -> None:
    if isinstance(value, list):
        for index, item in enumerate(value):
            _files_exist(item, f"{at}/{index}", file_exists, problems)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key == "slack_file":
                # Slack also takes the file's private URL; its last part but one names the file
                name = item.get("id") or item["url"].rstrip("/").rsplit("/", 2)[-2].rsplit("-", 1)[-1]
                if not file_exists(name):
                    problems.append(Problem("invalid slack file", f"{at}/{key}"))
            else:
                _files_exist(item, f"{at}/{key}", file_exists, problems)


def _only_once(blocks: list[JSON], kinds: tuple[str, ...], most: int, at: str, problems: Problems) -> None:
    if sum(block["type"] in kinds for block in _flat(blocks)) > most:
        problems.append(Problem(f"no more than {most} {kinds[0]} blocks allowed", at))


def check_blocks(
    blocks: Any, surface: limits.Surface, file_exists: FileExists, at: str = "/blocks"
) -> Problems:
    """Return what Slack would refuse in a list of blocks on one surface."""
    problems: Problems = []
    most = limits.MESSAGE_BLOCKS if surface == "message" else limits.VIEW_BLOCKS
    allowed = limits.BLOCK_TYPES[surface]

    def check_block(block: Any, where: str, found: Problems) -> None:
        kind = block.get("type") if isinstance(block, dict) else None
        if isinstance(kind, str) and kind in allowed and kind not in _BLOCKS:
            found.append(Problem(f"this simulator cannot show the block type: {kind}", f"{where}/type"))
        else:
            by_type({kind: _BLOCKS[kind] for kind in _BLOCKS if kind in allowed})(block, where, found)

    items(check_block, most)(blocks, at, problems)
    if problems:
        return problems
    _unique_ids(blocks, at, problems)
    _files_exist(blocks, at, file_exists, problems)
    if surface == "message":
        _only_once(blocks, ("table",), limits.TABLES_PER_MESSAGE, at, problems)
        _only_once(blocks, ("data_visualization",), limits.CHARTS_PER_MESSAGE, at, problems)
        if sum(len(block["text"]) for block in blocks if block["type"] == "markdown") > limits.MARKDOWN_TEXT:
            problems.append(
                Problem(f"must be less than {limits.MARKDOWN_TEXT + 1} characters of markdown", at)
            )
        tables = [block for block in _flat(blocks) if block["type"] == "data_table"]
        _characters(limits.DATA_TABLE_CHARACTERS, "tables")({"tables": tables}, at, problems)
    return problems


def too_long(blocks: list[JSON]) -> bool:
    """Tell whether a message's blocks hold more text than Slack takes; tables have their own limit."""
    counted = [block for block in _flat(blocks) if block["type"] not in ("table", "data_table", "container")]
    return sum(len(word) for word in words_of(counted)) > limits.MESSAGE_BLOCKS_CHARACTERS


_VIEW = {
    **_TYPE,
    "blocks": anything,
}
_VIEW_MORE: dict[str, Check] = {
    "callback_id": string(limits.VIEW_CALLBACK_ID),
    "external_id": string(limits.VIEW_EXTERNAL_ID),
    "private_metadata": string(limits.VIEW_PRIVATE_METADATA),
}
_VIEWS = {
    "modal": shape(
        {**_VIEW, "title": _plain(limits.VIEW_TITLE)},
        {
            **_VIEW_MORE,
            "submit": _plain(limits.VIEW_SUBMIT),
            "close": _plain(limits.VIEW_CLOSE),
            "clear_on_close": boolean,
            "notify_on_close": boolean,
            "submit_disabled": boolean,
        },
    ),
    "home": shape(_VIEW, _VIEW_MORE),
}


def check_view(view: Any, file_exists: FileExists, at: str = "/view") -> Problems:
    """Return what Slack would refuse in a modal or a Home view."""
    problems: Problems = []
    by_type(_VIEWS)(view, at, problems)
    if problems:
        return problems
    surface: limits.Surface = "home" if view["type"] == "home" else "modal"
    problems += check_blocks(view["blocks"], surface, file_exists, f"{at}/blocks")
    if problems:
        return problems
    kinds = [block["type"] for block in view["blocks"]]
    if surface == "modal" and "input" in kinds and "submit" not in view:
        problems.append(
            Problem("missing required field: submit", at, {"type": "required", "expected": ["submit"]})
        )
    if sum(bool(element.get("focus_on_load")) for _, element in elements_of(view["blocks"])) > 1:
        problems.append(Problem("only one element may have focus_on_load", f"{at}/blocks"))
    return problems


def accept_blocks(blocks: Any, file_exists: FileExists) -> list[JSON]:
    """Return a message's blocks with the ids that Slack gives them, or refuse them."""
    if not isinstance(blocks, list):
        raise Refusal("invalid_blocks_format")
    problems = check_blocks(blocks, "message", file_exists)
    if problems:
        raise Refusal("invalid_blocks", *map(str, problems))
    return with_ids(blocks)


def accept_view(view: Any, file_exists: FileExists) -> JSON:
    """Return a modal with the ids that Slack gives its blocks, or refuse it."""
    if len(json.dumps(view, ensure_ascii=False).encode()) > limits.VIEW_BYTES:
        raise Refusal("view_too_large")
    problems = check_view(view, file_exists)
    if not problems and view["type"] != "modal":
        problems = [Problem("must be a modal", "/view/type")]
    if problems:
        raise Refusal("invalid_arguments", *map(str, problems))
    return {**view, "blocks": with_ids(view["blocks"])}


def with_ids(blocks: list[JSON]) -> list[JSON]:
    """Return blocks in which every block and every interactive element has an id, as Slack stores them."""
    copy: list[JSON] = json.loads(json.dumps(blocks))
    taken = {
        block["block_id"] for block in _flat(copy) if "block_id" in block and block["type"] != "markdown"
    }
    for index, block in enumerate(_flat(copy)):
        if block["type"] == "markdown" or "block_id" not in block:
            block["block_id"] = next(
                name
                for name in (f"b{index}{'x' * more}" for more in range(len(taken) + 1))
                if name not in taken
            )
            taken.add(block["block_id"])
    for index, (_, element) in enumerate(elements_of(copy)):
        element.setdefault("action_id", f"a{index}")
    return copy
