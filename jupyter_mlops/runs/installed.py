"""Installed distributions by name, read again only when something was installed. Used by ``capture``."""

from __future__ import annotations

import contextlib
import os
import sys
from functools import lru_cache
from importlib import metadata

_LONGEST_HEADER = 8_192


def distributions() -> dict[str, str]:
    """Return the version of every distribution that Python finds here, by name."""
    return dict(_read(tuple(_places())))


def _places() -> list[tuple[str, int]]:
    """Return where Python looks, and when something came or went there: each distribution has a folder."""
    found = []
    for place in sys.path:
        with contextlib.suppress(OSError):
            found.append((place, os.stat(place or ".").st_mtime_ns))
    return found


@lru_cache(maxsize=4)
def _read(_: tuple[tuple[str, int], ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for distribution in metadata.distributions():
        name, version = _named(distribution)
        if name:
            found.setdefault(name, version)
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def _named(distribution: metadata.Distribution) -> tuple[str, str]:
    """Return name and version, read from the first lines: the whole text would go through a mail parser."""
    text = (distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or "")[:_LONGEST_HEADER]
    header = dict(line.split(": ", 1) for line in text.partition("\n\n")[0].splitlines() if ": " in line)
    if "Name" in header and "Version" in header:
        return header["Name"].strip(), header["Version"].strip()
    return distribution.metadata["Name"] or "", distribution.version
