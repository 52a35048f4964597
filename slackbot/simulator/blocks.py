"""Blocks and views of Block Kit: their shapes and limits. ``blockkit`` holds messages and modals to them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .. import limits
from .elements import (
    ALT,
    BLOCK,
    ELEMENTS,
    MENUS,
    MULTI_MENUS,
    PICKED,
    PICTURE,
    TYPE,
    WRITTEN,
    elements,
    plain,
    text,
)
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

_STYLE = shape(
    {}, {style: boolean for style in ("bold", "italic", "strike", "code", "underline", "highlight")}
)
_RICH_INLINE = by_type(
    {
        "text": shape({**TYPE, "text": string(least=1)}, {"style": _STYLE}),
        "link": shape(
            {**TYPE, "url": string(least=1)}, {"text": string(), "style": _STYLE, "unsafe": boolean}
        ),
        "emoji": shape({**TYPE, "name": string(least=1)}, {"unicode": string(), "style": _STYLE}),
        "user": shape({**TYPE, "user_id": string(least=1)}, {"style": _STYLE}),
        "channel": shape({**TYPE, "channel_id": string(least=1)}, {"style": _STYLE}),
        "broadcast": shape({**TYPE, "range": one_of("here", "channel", "everyone")}, {"style": _STYLE}),
    }
)
_RICH_SECTION = shape({**TYPE, "elements": items(_RICH_INLINE)})
_BORDER = {"border": number(0, 1)}
_RICH_PARTS = {
    "rich_text_section": _RICH_SECTION,
    "rich_text_list": shape(
        {
            **TYPE,
            "style": one_of("bullet", "ordered"),
            "elements": items(by_type({"rich_text_section": _RICH_SECTION}), least=1),
        },
        {**_BORDER, "indent": number(0, 8), "offset": number(0)},
    ),
    "rich_text_quote": shape({**TYPE, "elements": items(_RICH_INLINE)}, _BORDER),
    "rich_text_preformatted": shape(
        {**TYPE, "elements": items(_RICH_INLINE)}, {**_BORDER, "language": string()}
    ),
}
_RICH_TEXT = shape({**TYPE, "elements": items(by_type(_RICH_PARTS))}, BLOCK)

_RAW_TEXT = shape({**TYPE, "text": string(least=1)})
_RAW_NUMBER = shape({**TYPE, "value": number(whole=False)}, {"text": string(least=1)})
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


def characters(most: int, *keys: str) -> Check:
    """Hold the texts under some keys to so many characters together."""

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
    {**TYPE, "series": items(_SERIES, limits.CHART_SERIES, least=1), "axis_config": _AXES},
    {},
    _points_match_categories,
)
_PIE = shape(
    {
        **TYPE,
        "segments": items(
            shape({"label": _LABEL, "value": number(whole=False)}, {}, _positive),
            limits.CHART_SEGMENTS,
            least=1,
        ),
    }
)

_INPUT_ELEMENTS = elements(*MENUS, *MULTI_MENUS, *PICKED, *WRITTEN)

_PLAIN_BLOCKS: dict[str, Check] = {
    "actions": shape(
        {
            **TYPE,
            "elements": items(
                by_type(elements("button", "overflow", *MENUS, *PICKED)), limits.ACTIONS_ELEMENTS, least=1
            ),
        },
        BLOCK,
    ),
    "alert": shape(
        {**TYPE, "text": text(limits.ALERT_TEXT)},
        {**BLOCK, "level": one_of("default", "info", "warning", "error", "success")},
    ),
    "context": shape(
        {
            **TYPE,
            "elements": items(
                by_type(
                    {
                        "image": ELEMENTS["image"],
                        "plain_text": text(limits.TEXT),
                        "mrkdwn": text(limits.TEXT),
                    }
                ),
                limits.CONTEXT_ELEMENTS,
                least=1,
            ),
        },
        BLOCK,
    ),
    "data_table": shape(
        {
            **TYPE,
            "caption": string(least=1),
            "rows": items(
                items(_CELL, limits.DATA_TABLE_COLUMNS, least=1),
                limits.DATA_TABLE_ROWS,
                least=limits.DATA_TABLE_ROWS_LEAST,
            ),
        },
        {
            **BLOCK,
            "page_size": number(1, limits.DATA_TABLE_PAGE_SIZE),
            "row_header_column_index": number(0),
        },
        _equal_rows,
        _header_row,
        characters(limits.DATA_TABLE_CHARACTERS, "rows"),
    ),
    "data_visualization": shape(
        {
            **TYPE,
            "title": string(limits.CHART_TITLE, least=1),
            "chart": by_type({"line": _DRAWN, "bar": _DRAWN, "area": _DRAWN, "pie": _PIE}),
        },
        BLOCK,
    ),
    "divider": shape(TYPE, BLOCK),
    "header": shape({**TYPE, "text": plain(limits.HEADER_TEXT)}, BLOCK),
    "image": shape(
        {**TYPE, **ALT},
        {**BLOCK, **PICTURE, "title": plain(limits.IMAGE_TITLE)},
        exactly_one("image_url", "slack_file"),
    ),
    "input": shape(
        {**TYPE, "label": plain(limits.INPUT_LABEL), "element": by_type(_INPUT_ELEMENTS)},
        {**BLOCK, "hint": plain(limits.INPUT_HINT), "optional": boolean, "dispatch_action": boolean},
    ),
    "markdown": shape({**TYPE, "text": string(limits.MARKDOWN_TEXT, least=1)}, BLOCK),
    "rich_text": _RICH_TEXT,
    "section": shape(
        TYPE,
        {
            **BLOCK,
            "text": text(limits.TEXT),
            "fields": items(text(limits.SECTION_FIELD_TEXT), limits.SECTION_FIELDS, least=1),
            "accessory": by_type(elements("button", "overflow", "image", *MENUS, *MULTI_MENUS, *PICKED)),
            "expand": boolean,
        },
        at_least_one("text", "fields"),
    ),
    "table": shape(
        {**TYPE, "rows": items(items(_CELL, limits.TABLE_COLUMNS, least=1), limits.TABLE_ROWS, least=1)},
        {
            **BLOCK,
            "column_settings": items(
                shape({}, {"align": one_of("left", "center", "right"), "is_wrapped": boolean}),
                limits.TABLE_COLUMNS,
            ),
        },
        characters(limits.TABLE_CHARACTERS, "rows"),
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
BLOCKS: dict[str, Check] = {
    **_PLAIN_BLOCKS,
    "container": shape(
        {
            **TYPE,
            "title": plain(limits.CONTAINER_TITLE),
            "child_blocks": items(
                by_type({kind: _PLAIN_BLOCKS[kind] for kind in _CHILDREN}), limits.CONTAINER_BLOCKS, least=1
            ),
        },
        {
            **BLOCK,
            "subtitle": plain(limits.CONTAINER_SUBTITLE),
            "is_collapsible": boolean,
            "default_collapsed": boolean,
        },
    ),
}


_VIEW = {
    **TYPE,
    "blocks": anything,
}
_VIEW_MORE: dict[str, Check] = {
    "callback_id": string(limits.VIEW_CALLBACK_ID),
    "external_id": string(limits.VIEW_EXTERNAL_ID),
    "private_metadata": string(limits.VIEW_PRIVATE_METADATA),
}
VIEWS = {
    "modal": shape(
        {**_VIEW, "title": plain(limits.VIEW_TITLE)},
        {
            **_VIEW_MORE,
            "submit": plain(limits.VIEW_SUBMIT),
            "close": plain(limits.VIEW_CLOSE),
            "clear_on_close": boolean,
            "notify_on_close": boolean,
            "submit_disabled": boolean,
        },
    ),
    "home": shape(_VIEW, _VIEW_MORE),
}
