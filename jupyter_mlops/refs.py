"""Refs: how people name versions (``churn@v3``, ``churn@golden``) and runs. Parsed here and nowhere else."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .errors import BadInput

KINDS = ("data", "run", "model", "monitor")
_NAME = re.compile(r"[\w][\w.\- ]{0,99}")
_VERSION = re.compile(r"v([1-9][0-9]{0,17})")


@dataclass(frozen=True, slots=True)
class Ref:
    """``name`` and at most one of ``number`` and ``alias``; a bare name has neither and reads the latest."""

    name: str
    number: int | None = None
    alias: str | None = None

    @property
    def bare(self) -> bool:
        """Whether only a name was given."""
        return self.number is None and self.alias is None

    def __str__(self) -> str:
        if self.number is not None:
            return f"{self.name}@v{self.number}"
        return f"{self.name}@{self.alias}" if self.alias else self.name


def parse_ref(text: str, kind: str) -> Ref:
    """Return the parts of ``name``, ``name@v3`` or ``name@alias``, with or without ``kind:`` in front.

    ``name@latest`` reads as the bare name with alias ``latest``. Raises ``BadInput`` for anything else.
    """
    before, colon, after = text.partition(":")
    if colon and before in KINDS:
        if before != kind:
            raise BadInput(f"'{text}' names a {before}, a {kind} is wanted here")
        text = after
    name, at, selector = text.partition("@")
    check_name(name, kind)
    if not at:
        return Ref(name)
    if match := _VERSION.fullmatch(selector):
        return Ref(name, number=int(match.group(1)))
    if selector != "latest":
        check_alias(selector)
    return Ref(name, alias=selector)


def check_name(name: str, kind: str) -> None:
    """Raise ``BadInput`` unless ``name`` can name a dataset, a model or an experiment."""
    if not _NAME.fullmatch(name) or name.strip() != name:
        noun = {"data": "dataset"}.get(kind, kind)
        raise BadInput(
            f"{name!r} cannot name {'an' if noun[0] in 'aeiou' else 'a'} {noun}",
            "use letters, digits, '-', '_', '.' or inner spaces; start with a letter or digit",
        )


def check_alias(alias: str) -> None:
    """Raise ``BadInput`` unless ``alias`` can be an alias: not ``latest``, not ``v<number>``."""
    if alias == "latest" or re.fullmatch(r"v[0-9]+", alias):
        raise BadInput(
            f"'{alias}' is reserved", "versions are named v1, v2, …; latest is always the newest one"
        )
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_\-]{0,63}", alias):
        raise BadInput(f"{alias!r} cannot be an alias", "use letters, digits, '-' and '_', at most 64")
