"""Elements of Block Kit: texts, buttons, menus and inputs, as Slack takes them. ``blocks`` contain them."""

from __future__ import annotations

from collections import Counter
from typing import Any

from .. import limits
from .refusal import JSON
from .shapes import (
    Check,
    Problem,
    Problems,
    anything,
    boolean,
    by_type,
    exactly_one,
    items,
    number,
    one_of,
    shape,
    string,
)


def text(most: int, *kinds: str) -> Check:
    """Take a text object of these kinds, of both if none is named."""
    words = string(most, least=1)
    all_kinds = {
        "plain_text": shape({"type": anything, "text": words}, {"emoji": boolean}),
        "mrkdwn": shape({"type": anything, "text": words}, {"verbatim": boolean}),
    }
    return by_type({kind: all_kinds[kind] for kind in kinds or all_kinds})


def plain(most: int) -> Check:
    """Take a text object without formatting."""
    return text(most, "plain_text")


TYPE = {"type": anything}
BLOCK = {"block_id": string(limits.BLOCK_ID, least=1)}
_ACTION = {"action_id": string(limits.ACTION_ID, least=1)}
_FOCUS = {"focus_on_load": boolean}

_CONFIRM = shape(
    {
        "title": plain(limits.CONFIRM_TITLE),
        "text": text(limits.CONFIRM_TEXT),
        "confirm": plain(limits.CONFIRM_BUTTON),
        "deny": plain(limits.CONFIRM_BUTTON),
    },
    {"style": one_of("primary", "danger")},
)
_CONFIRMED = {"confirm": _CONFIRM}


def _option(label: Check, url: bool = False) -> Check:
    more: dict[str, Check] = {"description": text(limits.OPTION_DESCRIPTION)}
    if url:
        more["url"] = string(limits.OPTION_URL, least=1)
    return shape({"text": label, "value": string(limits.OPTION_VALUE, least=1)}, more)


_PLAIN_OPTION = _option(plain(limits.OPTION_TEXT))
_ANY_OPTION = _option(text(limits.OPTION_TEXT))
_GROUP = shape(
    {
        "label": plain(limits.OPTION_GROUP_LABEL),
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
    common = {**_ACTION, **_CONFIRMED, **_FOCUS, "placeholder": plain(limits.PLACEHOLDER)}
    return shape(TYPE, {**common, **own, **more}, *also)


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


_PLACEHOLDER = {"placeholder": plain(limits.PLACEHOLDER)}
_DISPATCH = {
    "dispatch_action_config": shape(
        {"trigger_actions_on": items(one_of("on_enter_pressed", "on_character_entered"), 2, least=1)}
    )
}
_TYPED = {**_ACTION, **_PLACEHOLDER, **_DISPATCH, **_FOCUS}

_SLACK_FILE = shape({}, {"id": string(least=1), "url": string(least=1)}, exactly_one("id", "url"))
PICTURE = {"image_url": string(limits.IMAGE_URL, least=1), "slack_file": _SLACK_FILE}
ALT = {"alt_text": string(limits.IMAGE_ALT_TEXT, least=1)}

ELEMENTS: dict[str, Check] = {
    "button": shape(
        {**TYPE, "text": plain(limits.BUTTON_TEXT)},
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
            **TYPE,
            "options": items(_option(plain(limits.OPTION_TEXT), url=True), limits.OVERFLOW_OPTIONS, least=1),
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
        {**TYPE, **_choices(_ANY_OPTION)},
        {**_ACTION, **_CONFIRMED, **_FOCUS, "initial_options": items(_ANY_OPTION, limits.CHOICES, least=1)},
        _initial_among_options,
    ),
    "radio_buttons": shape(
        {**TYPE, **_choices(_ANY_OPTION)},
        {**_ACTION, **_CONFIRMED, **_FOCUS, "initial_option": _ANY_OPTION},
        _initial_among_options,
    ),
    "datepicker": shape(
        TYPE, {**_ACTION, **_CONFIRMED, **_FOCUS, **_PLACEHOLDER, "initial_date": string(10, 10)}
    ),
    "timepicker": shape(
        TYPE,
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
        TYPE,
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
        {**TYPE, "is_decimal_allowed": boolean},
        {
            **_TYPED,
            "initial_value": string(least=1),
            "min_value": string(least=1),
            "max_value": string(least=1),
        },
    ),
    "email_text_input": shape(TYPE, {**_TYPED, "initial_value": string()}),
    "url_text_input": shape(TYPE, {**_TYPED, "initial_value": string()}),
    "image": shape({**TYPE, **ALT}, PICTURE, exactly_one("image_url", "slack_file")),
}

MENUS = ("static_select", "users_select", "channels_select")
MULTI_MENUS = tuple(f"multi_{menu}" for menu in MENUS)
PICKED = ("checkboxes", "radio_buttons", "datepicker", "timepicker")
WRITTEN = ("plain_text_input", "number_input", "email_text_input", "url_text_input")


def elements(*kinds: str) -> dict[str, Check]:
    """Return the shapes of these kinds of element."""
    return {kind: ELEMENTS[kind] for kind in kinds}
