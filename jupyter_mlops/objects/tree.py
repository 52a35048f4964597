"""The tree: the files of a version, by path. Kept as a blob of its own, so equal content has one address."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import BadInput
from .blob import damaged


@dataclass(frozen=True, slots=True)
class Entry:
    """One file: its path inside the tree (with ``/``), permission bits, raw size and address."""

    path: str
    mode: int
    size: int
    digest: str


def encoded(entries: Iterable[Entry]) -> bytes:
    """Return the one form of a tree: sorted, and of the mode only whether the file may be executed.

    A colleague's umask must not make equal content look new, so the other bits are no content.
    """
    rows = sorted(
        (entry.path, 0o755 if entry.mode & 0o100 else 0o644, entry.size, entry.digest) for entry in entries
    )
    for path, *_ in rows:
        check_path(path)
    if len({path for path, *_ in rows}) != len(rows):
        raise BadInput("a tree names one path twice")
    return json.dumps(rows, separators=(",", ":"), ensure_ascii=False).encode()


def decoded(data: bytes, digest: str) -> tuple[Entry, ...]:
    """Return the files of a tree, each path checked again before anybody writes there."""
    try:
        entries = tuple(
            Entry(str(path), int(mode), int(size), str(at)) for path, mode, size, at in json.loads(data)
        )
        for entry in entries:
            check_path(entry.path)
    except (ValueError, TypeError) as error:
        raise damaged(digest) from error
    return entries


def check_path(path: str) -> None:
    """Raise ``BadInput`` unless ``path`` names a file inside a folder on every system."""
    if any(part in ("", ".", "..") for part in path.split("/")):
        raise BadInput(f"{path!r} is no path inside a folder")
    if "\\" in path or any(ord(letter) < 32 or ord(letter) == 127 for letter in path):
        raise BadInput(f"the file name {path!r} holds a backslash or control character", "rename the file")
    try:
        path.encode()
    except UnicodeEncodeError:
        raise BadInput(f"the file name {path!r} is no valid UTF-8", "rename the file") from None
