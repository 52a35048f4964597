"""The shipped version: one version of a dataset as a remote's ref file tells it. Used by ``Remotes``.

What comes back from a remote may have been written by anybody, so each part is checked before it is believed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote, unquote

from ..errors import BadInput, Damaged
from ..objects.blob import digest_of, raw_digest
from ..objects.tree import check_name as check_file_name
from ..refs import check_name, parse_ref
from ..store.events import canonical

KIND = "data"
_FORMAT = 1
_REF = re.compile(r"refs/([A-Za-z0-9_.%\-]{1,1200})/([1-9][0-9]{0,8})\.json")
_LONGEST_TEXT, _LONGEST_NAME = 1 << 20, 300
_MOST = 1 << 60
Content = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Shipped:
    """A version in a remote: its dataset, its number there, and all that makes it one."""

    name: str
    number: int
    fact: Mapping[str, Any]
    parents: Mapping[str, str]

    @property
    def ref(self) -> str:
        """What it is called there."""
        return f"{self.name}@v{self.number}"

    @property
    def digest(self) -> str:
        """The address of its content."""
        return str(self.fact["digest"])

    @property
    def content(self) -> Content:
        """What is equal for versions that are the same."""
        return content_of(self.fact)


def content_of(fact: Mapping[str, Any]) -> Content:
    """Return what is equal for versions that are the same: digest, kind and declared types."""
    return str(fact["digest"]), str(fact["kind"]), str(fact["reading"])


def folder_of(name: str) -> str:
    """Return the folder of a dataset's refs: its name, spelt so that every store takes it."""
    check_name(name, KIND)
    spelt = quote(name, safe="")
    return spelt[:-1] + "%2E" if spelt.endswith(".") else spelt


def file_of(name: str, number: int) -> str:
    """Return the name of a version's ref file."""
    return f"refs/{folder_of(name)}/{number}.json"


def place_of(file: str) -> tuple[str, int] | None:
    """Return the dataset and number of which a file is the ref; nothing for what is no ref of ours."""
    match = _REF.fullmatch(file)
    if match is None:
        return None
    name = unquote(match.group(1))
    try:
        if folder_of(name) != match.group(1):
            return None
    except BadInput:
        return None
    return name, int(match.group(2))


def written(name: str, number: int, fact: Mapping[str, Any], parents: Mapping[str, str]) -> bytes:
    """Return the ref file of a version; ``parents`` are the digests of its parents by ref."""
    told = {
        "format": _FORMAT,
        "dataset": name,
        "number": number,
        "version": {key: value for key, value in fact.items() if key not in ("name", "number")},
        "parents": dict(parents),
    }
    return canonical({**told, "check": digest_of(canonical(told).encode())}).encode()


def read(name: str, number: int, body: bytes, url: str) -> Shipped:
    """Return the version that a ref file tells of; raises ``Damaged``, naming it, for anything odd in it."""
    try:
        told = json.loads(body)
        check = told.pop("check")
        if told["format"] != _FORMAT:
            raise BadInput("it was made by a newer version")
        if check != digest_of(canonical(told).encode()):
            raise BadInput("it is not what was written")
        if (told["dataset"], told["number"]) != (name, number):
            raise BadInput(f"it tells of {told['dataset']!r} version {told['number']!r}")
        return Shipped(name, number, _checked(told["version"]), _checked_parents(told["parents"]))
    except (ValueError, TypeError, KeyError, AttributeError, Damaged, RecursionError) as error:
        why = error.message if isinstance(error, BadInput | Damaged) else "it cannot be read"
        raise Damaged(
            f"{file_of(name, number)} of the remote {url} is damaged: {why}",
            "delete that file there, then push again from a project that has the version",
        ) from error


def _checked(fact: Any) -> dict[str, Any]:
    """Return a version's facts; raises for any that a project of ours does not write."""
    raw_digest(_text(fact, "digest"))
    _need(fact["kind"] in ("file", "folder", "table"), "kind")
    for key in ("files", "bytes"):
        _need(_is_count(fact[key], _MOST), key)
    _text(fact, "reading", _MOST)
    _text(fact, "message", _LONGEST_TEXT)
    _need(bool(_text(fact, "actor", _LONGEST_NAME).strip()), "actor")
    _need(datetime.fromisoformat(_text(fact, "at", 40)).tzinfo is not None, "at")
    for parent in _texts(fact, "parents"):
        parse_ref(parent, KIND)
    _texts(fact, "key")
    detail = fact["detail"]
    check_file_name(_text(detail, "source", _LONGEST_NAME * 4))
    modes = detail.get("modes") or {}
    _need(all(_is_count(mode, 0o777) for mode in modes.values()), "modes")
    _need(fact.get("findings") is None or isinstance(fact["findings"], dict), "findings")
    return {**fact, "detail": {"source": detail["source"], "modes": dict(modes)}}


def _checked_parents(parents: Any) -> dict[str, str]:
    for ref, digest in parents.items():
        parse_ref(ref, KIND)
        raw_digest(digest)
    return dict(parents)


def here(shipped: Shipped, known: Callable[[str], Mapping[int, str]]) -> dict[str, Any]:
    """Return the facts of a version with its parents as they are called here.

    ``known`` tells the digests of a dataset's versions by number. A parent whose name means something else
    here is left out: no lineage is better than a wrong one.
    """
    parents = []
    for ref in shipped.fact["parents"]:
        parsed, digest = parse_ref(ref, KIND), shipped.parents.get(ref)
        versions = known(parsed.name)
        same = [number for number, each in versions.items() if each == digest]
        if not same and parsed.number not in versions:
            parents.append(ref)  # it may come later
        elif same:
            parents.append(f"{parsed.name}@v{parsed.number if parsed.number in same else same[0]}")
    return {**shipped.fact, "parents": parents}


def _text(table: Any, key: str, most: int = _LONGEST_NAME) -> str:
    value = table[key]
    _need(isinstance(value, str) and len(value) <= most, key)
    return str(value)


def _texts(table: Any, key: str) -> list[str]:
    value = table[key]
    _need(isinstance(value, list) and all(isinstance(each, str) for each in value), key)
    return list(value)


def _is_count(value: Any, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most


def _need(true: bool, what: str) -> None:
    if not true:
        raise BadInput(f"its {what} makes no sense")
