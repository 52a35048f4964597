"""The arguments of one Web API call, from a form, a query or JSON, with Slack's own complaints about them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .refusal import JSON, Refusal

_TS = re.compile(r"(\d{1,10})(?:\.(\d{1,6}))?")


def normal_ts(text: str) -> str | None:
    """Return a timestamp in the one width that sorts as text, or None if it is not a timestamp."""
    match = _TS.fullmatch(text)
    if match is None:
        return None
    return f"{match[1]:0>10}.{match[2] or '':0<6}"


@dataclass(frozen=True, slots=True)
class Arguments:
    """What was passed to a method. Absent, JSON null and an empty string are the same to Slack."""

    values: Mapping[str, Any]

    def __contains__(self, name: str) -> bool:
        return self.values.get(name) not in (None, "")

    def text(self, name: str, default: str = "") -> str:
        """Return a string; a number is taken as its digits, as Slack takes it."""
        value = self.values.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise Refusal("invalid_arguments", f"[ERROR] must provide a string [json-pointer:/{name}]")
        return str(value)

    def flag(self, name: str, default: bool = False) -> bool:
        """Return a boolean, written in any of the ways that forms have."""
        value = self.values.get(name)
        if value in (None, ""):
            return default
        known = {"true": True, "1": True, "false": False, "0": False}
        word = str(value).lower()
        if word not in known:
            raise Refusal("invalid_arguments", f"[ERROR] must provide a boolean [json-pointer:/{name}]")
        return known[word]

    def number(self, name: str, default: int, least: int, most: int, error: str = "invalid_arguments") -> int:
        """Return a whole number within bounds."""
        value = self.text(name)
        if value == "":
            return default
        if not value.isdecimal() or not least <= int(value) <= most:
            raise Refusal(error, f"[ERROR] must be between {least} and {most} [json-pointer:/{name}]")
        return int(value)

    def ts(self, name: str, error: str) -> str | None:
        """Return a timestamp, or None if there is none."""
        value = self.text(name)
        if not value:
            return None
        found = normal_ts(value)
        if found is None:
            raise Refusal(error)
        return found

    def json(self, name: str, error: str) -> Any:
        """Return a structured argument: JSON itself, or a string of it."""
        value = self.values.get(name)
        if value in (None, ""):
            return None
        if isinstance(value, str):
            try:
                return json.loads(value)
            except ValueError:
                raise Refusal(error) from None
        return value

    def to_dict(self) -> JSON:
        """Return the arguments as a plain dict, without the token."""
        return {name: value for name, value in self.values.items() if name != "token"}
