"""A shape: what a JSON value must look like. The words that ``blockkit`` is written in.

A check looks at one value and adds what it finds wrong to a list of problems, each with its JSON pointer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .refusal import JSON


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that Slack would not take, and where it is."""

    message: str
    pointer: str
    constraint: JSON | None = None

    def __str__(self) -> str:
        return f"[ERROR] {self.message} [json-pointer:{self.pointer}]"

    def to_dict(self) -> JSON:
        """Return the problem as ``blocks.validate`` reports it."""
        problem: JSON = {"code": "failed_constraint", "message": self.message, "pointer": self.pointer}
        if self.constraint is not None:
            problem["constraint"] = self.constraint
        return problem


Problems = list[Problem]
Check = Callable[[Any, str, Problems], None]


def string(most: int | None = None, least: int = 0) -> Check:
    """Take a string of so many characters."""

    def check(value: Any, at: str, problems: Problems) -> None:
        if not isinstance(value, str):
            problems.append(Problem("must provide a string", at, {"type": "string"}))
        elif len(value) < least:
            problems.append(
                Problem(
                    f"must be more than {least - 1} characters", at, {"type": "min_length", "expected": least}
                )
            )
        elif most is not None and len(value) > most:
            problems.append(
                Problem(
                    f"must be less than {most + 1} characters", at, {"type": "max_length", "expected": most}
                )
            )

    return check


def number(least: float | None = None, most: float | None = None, whole: bool = True) -> Check:
    """Take a number within bounds; a whole one unless told otherwise."""

    def check(value: Any, at: str, problems: Problems) -> None:
        kinds = (int,) if whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds):
            kind = "integer" if whole else "number"
            problems.append(Problem(f"must provide a {kind}", at, {"type": kind}))
        elif least is not None and value < least:
            problems.append(Problem(f"must be at least {least}", at, {"type": "minimum", "expected": least}))
        elif most is not None and value > most:
            problems.append(Problem(f"must be at most {most}", at, {"type": "maximum", "expected": most}))

    return check


def boolean(value: Any, at: str, problems: Problems) -> None:
    """Take true or false."""
    if not isinstance(value, bool):
        problems.append(Problem("must provide a boolean", at, {"type": "boolean"}))


def one_of(*allowed: str) -> Check:
    """Take one of a few words."""

    def check(value: Any, at: str, problems: Problems) -> None:
        if value not in allowed:
            problems.append(
                Problem(
                    f"must be a valid enum value: {value!r}", at, {"type": "enum", "expected": list(allowed)}
                )
            )

    return check


def items(check_one: Check, most: int | None = None, least: int = 0) -> Check:
    """Take a list of so many values, each of one shape."""

    def check(value: Any, at: str, problems: Problems) -> None:
        if not isinstance(value, list):
            problems.append(Problem("must provide an array", at, {"type": "array"}))
            return
        if len(value) < least:
            problems.append(
                Problem(f"no fewer than {least} items allowed", at, {"type": "min_items", "expected": least})
            )
        if most is not None and len(value) > most:
            problems.append(
                Problem(f"no more than {most} items allowed", at, {"type": "max_items", "expected": most})
            )
            return
        for index, item in enumerate(value):
            check_one(item, f"{at}/{index}", problems)

    return check


def shape(required: Mapping[str, Check], optional: Mapping[str, Check] | None = None, *also: Check) -> Check:
    """Take an object with these keys and no others; then apply what holds between them."""
    known = {**required, **(optional or {})}

    def check(value: Any, at: str, problems: Problems) -> None:
        if not isinstance(value, dict):
            problems.append(Problem("must provide an object", at, {"type": "object"}))
            return
        found = len(problems)
        problems.extend(
            Problem(f"missing required field: {key}", at, {"type": "required", "expected": [key]})
            for key in required
            if key not in value
        )
        for key, item in value.items():
            if key in known:
                known[key](item, f"{at}/{key}", problems)
            else:
                problems.append(
                    Problem(f"invalid additional property: {key}", at, {"type": "additional_property"})
                )
        if len(problems) == found:
            for rule in also:
                rule(value, at, problems)

    return check


def by_type(shapes: Mapping[str, Check]) -> Check:
    """Take an object whose ``type`` says which of these shapes it has."""

    def check(value: Any, at: str, problems: Problems) -> None:
        if not isinstance(value, dict):
            problems.append(Problem("must provide an object", at, {"type": "object"}))
            return
        kind = value.get("type")
        if kind is None:
            problems.append(
                Problem("missing required field: type", at, {"type": "required", "expected": ["type"]})
            )
        elif not isinstance(kind, str) or kind not in shapes:
            problems.append(
                Problem(
                    f"unsupported type: {kind}", f"{at}/type", {"type": "enum", "expected": sorted(shapes)}
                )
            )
        else:
            shapes[kind](value, at, problems)

    return check


def exactly_one(*keys: str) -> Check:
    """Hold an object to having exactly one of some optional keys."""

    def check(value: Any, at: str, problems: Problems) -> None:
        if sum(key in value for key in keys) != 1:
            problems.append(Problem(f"must provide exactly one of {', '.join(keys)}", at, {"type": "one_of"}))

    return check


def at_least_one(*keys: str) -> Check:
    """Hold an object to having at least one of some optional keys."""

    def check(value: Any, at: str, problems: Problems) -> None:
        if not any(value.get(key) for key in keys):
            problems.append(Problem(f"must provide one of {', '.join(keys)}", at, {"type": "any_of"}))

    return check


def anything(value: Any, at: str, problems: Problems) -> None:
    """Take any value; something else looks at it."""
