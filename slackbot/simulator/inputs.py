"""Inputs: what a person chose or typed, as Slack puts it into actions and ``state.values``.

A page sends plain values: a string for text, dates and single choices, a list of strings for several choices.
The element says what they mean, and what of it Slack would not let the person submit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from .. import limits
from .blockkit import elements_of
from .elements import options_of
from .refusal import JSON, Refusal

Value = str | list[str] | None
Values = Mapping[str, Mapping[str, Value]]

_ONE_OPTION = frozenset({"static_select", "radio_buttons", "overflow"})
_MANY_OPTIONS = frozenset({"multi_static_select", "checkboxes"})
_KEYS = {
    "users_select": "selected_user",
    "channels_select": "selected_channel",
    "multi_users_select": "selected_users",
    "multi_channels_select": "selected_channels",
    "datepicker": "selected_date",
    "timepicker": "selected_time",
}
_INITIAL = {
    "users_select": "initial_user",
    "channels_select": "initial_channel",
    "multi_users_select": "initial_users",
    "multi_channels_select": "initial_channels",
    "datepicker": "initial_date",
    "timepicker": "initial_time",
}
_SHAPES = {
    "datepicker": (re.compile(r"\d{4}-\d{2}-\d{2}"), "Enter a date."),
    "timepicker": (re.compile(r"\d{2}:\d{2}"), "Enter a time."),
    "email_text_input": (re.compile(r"[^@\s]+@[^@\s]+"), "Enter a valid email address."),
    "url_text_input": (re.compile(r"https?://\S+"), "Enter a valid URL."),
}


def _is_many(kind: str) -> bool:
    return kind in _MANY_OPTIONS or kind.startswith("multi_")


def initial(element: JSON) -> Value:
    """Return what an element holds before anybody touched it."""
    kind = element["type"]
    if kind in _ONE_OPTION:
        option = element.get("initial_option")
        return str(option["value"]) if option else None
    if kind in _MANY_OPTIONS:
        return [option["value"] for option in element.get("initial_options", ())]
    if kind in _INITIAL:
        value: Value = element.get(_INITIAL[kind], [] if _is_many(kind) else None)
        return value
    return element.get("initial_value")


def stated(element: JSON, value: Value) -> JSON:
    """Return a value as Slack reports it; refuse one that the element does not offer."""
    kind = element["type"]
    if kind == "button":
        return {
            "type": kind,
            "text": element["text"],
            **({"value": element["value"]} if "value" in element else {}),
        }
    if _is_many(kind):
        if not isinstance(value, list):
            raise Refusal("invalid_value", status=400)
    elif isinstance(value, list):
        raise Refusal("invalid_value", status=400)
    if kind in _ONE_OPTION or kind in _MANY_OPTIONS:
        options = {option["value"]: option for option in options_of(element)}
        wanted = value if isinstance(value, list) else [value] if value else []
        if not set(wanted) <= set(options):
            raise Refusal("invalid_value", status=400)
        if kind in _MANY_OPTIONS:
            return {"type": kind, "selected_options": [options[name] for name in wanted]}
        return {"type": kind, "selected_option": options[wanted[0]] if wanted else None}
    return {"type": kind, _KEYS.get(kind, "value"): value or (None if not _is_many(kind) else [])}


def complaint(element: JSON, value: Value, optional: bool) -> str | None:
    """Return what Slack tells a person who may not submit this yet."""
    if not value:
        return None if optional else "Please complete this required field."
    kind = element["type"]
    if kind in _SHAPES and isinstance(value, str):
        pattern, words = _SHAPES[kind]
        return None if pattern.fullmatch(value) else words
    if kind == "number_input":
        return _number_complaint(element, str(value))
    if kind == "plain_text_input":
        least, most = element.get("min_length", 0), element.get("max_length", limits.INPUT_LENGTH)
        if len(value) < least:
            return f"Must be at least {least} characters."
        if len(value) > most:
            return f"Must be at most {most} characters."
    most_selected = element.get("max_selected_items")
    if most_selected is not None and len(value) > most_selected:
        return f"Choose at most {most_selected}."
    return None


def _number_complaint(element: JSON, value: str) -> str | None:
    if not re.fullmatch(r"-?\d+(\.\d+)?" if element["is_decimal_allowed"] else r"-?\d+", value):
        return "Enter a number."
    if "min_value" in element and float(value) < float(element["min_value"]):
        return f"Must be at least {element['min_value']}."
    if "max_value" in element and float(value) > float(element["max_value"]):
        return f"Must be at most {element['max_value']}."
    return None


def state_values(blocks: list[JSON], given: Values) -> JSON:
    """Return ``state.values`` for all that can hold a value, given or initial."""
    state: JSON = {}
    for block, element in elements_of(blocks):
        if element["type"] in ("button", "overflow"):
            continue
        block_id, action_id = block["block_id"], element["action_id"]
        value = given.get(block_id, {}).get(action_id, initial(element))
        state.setdefault(block_id, {})[action_id] = stated(element, value)
    return state


def complaints(blocks: list[JSON], given: Values) -> dict[str, str]:
    """Return, by block, why a modal may not be submitted yet."""
    found = {}
    for block, element in elements_of(blocks):
        if block["type"] == "input":
            value = given.get(block["block_id"], {}).get(element["action_id"], initial(element))
            words = complaint(element, value, block.get("optional", False))
            if words is not None:
                found[block["block_id"]] = words
    return found
