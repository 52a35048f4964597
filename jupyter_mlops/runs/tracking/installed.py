"""Installed distributions by name, read again only when something was installed. Used by ``capture``."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from functools import lru_cache
from importlib import metadata

_LONGEST_HEADER = 8_192


def distributions() -> Mapping[str, str]:
    """Return the version of every distribution that Python finds here, by name."""
    places = []
    for place in sys.path:
        with contextlib.suppress(OSError):
            # each distribution has a folder there: it comes, goes or gets another name
            places.append((place, os.stat(place or ".").st_mtime_ns))
    return _found(tuple(places))


@lru_cache(maxsize=4)
def _found(places: tuple[tuple[str, int], ...]) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for place, changed in places:
        found = {**_read(place, changed), **found}
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


@lru_cache(maxsize=64)
def _read(place: str, _: int) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for distribution in metadata.distributions(path=[place]):
        name, version = _named(distribution)
        if name:
            found.setdefault(name, version)
    return found


def _named(distribution: metadata.Distribution) -> tuple[str, str]:
    """Return name and version, read from the first lines: the whole text would go through a mail parser."""
    text = (distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or "")[:_LONGEST_HEADER]
    header = dict(line.split(": ", 1) for line in text.partition("\n\n")[0].splitlines() if ": " in line)
    if "Name" in header and "Version" in header:
        return header["Name"].strip(), header["Version"].strip()
    return distribution.metadata["Name"] or "", distribution.version
