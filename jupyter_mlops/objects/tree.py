"""The tree: the files of a version, as one node a folder. Used by ``Objects`` and by whoever compares.

A node is a blob of its own: the names in one folder with mode, size and address. A folder's row holds
the address of that folder's node, so equal folders are kept once and a changed file rewrites a node a level.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ..errors import BadInput
from .blob import damaged

FOLDER = 0o040000
Row = tuple[str, int, int, str]


@dataclass(frozen=True, slots=True)
class Entry:
    """One file: its path inside the tree (with ``/``), permission bits, raw size and address."""

    path: str
    mode: int
    size: int
    digest: str


def store_tree(put: Callable[[bytes], str], entries: Iterable[Entry]) -> str:
    """Keep the nodes of a tree through ``put``, the deepest first, and return the address of the top one."""
    folders: dict[str, list[Row]] = {"": []}
    for entry in entries:
        check_path(entry.path)
        folder, _, name = entry.path.rpartition("/")
        above = folder
        while above not in folders:
            folders[above] = []
            above = above.rpartition("/")[0]
        folders[folder].append((name, entry.mode, entry.size, entry.digest))
    # a folder comes before what lies in it, so backwards every folder is complete when its turn comes
    for path in sorted(folders, reverse=True)[:-1]:
        rows = folders[path]
        above, _, name = path.rpartition("/")
        folders[above].append((name, FOLDER, sum(row[2] for row in rows), put(encoded(rows))))
    return put(encoded(folders[""]))


def encoded(rows: Iterable[Row]) -> bytes:
    """Return the one form of a node: sorted by name, of a file's mode only whether it may be executed.

    A colleague's umask must not make equal content look new, so the other bits are no content. Names are
    escaped to ASCII, which also carries names that are no valid UTF-8.
    """
    kept = sorted((name, _kept(mode), size, digest) for name, mode, size, digest in rows)
    if len({row[0] for row in kept}) != len(kept):
        raise BadInput("a tree names one path twice")
    return json.dumps(kept, separators=(",", ":")).encode()


def rows_of(data: bytes, digest: str) -> tuple[Row, ...]:
    """Return the rows of a node, each name checked again before anybody writes there."""
    try:
        rows = tuple((str(name), int(mode), int(size), str(at)) for name, mode, size, at in json.loads(data))
        for row in rows:
            check_name(row[0])
        if len({row[0] for row in rows}) != len(rows):
            raise ValueError("one name twice")
    except (ValueError, TypeError) as error:
        raise damaged(digest) from error
    return rows


def nodes(read: Callable[[str], bytes], digest: str) -> Iterator[tuple[str, str, tuple[Row, ...]]]:
    """Yield every folder of a tree, each before what lies in it: its path, its node's address and rows."""
    ahead = [("", digest)]
    while ahead:
        path, at = ahead.pop()
        rows = rows_of(read(at), at)
        yield path, at, rows
        ahead.extend(
            (f"{path}/{row[0]}" if path else row[0], row[3]) for row in reversed(rows) if row[1] == FOLDER
        )


def flattened(read: Callable[[str], bytes], digest: str) -> tuple[Entry, ...]:
    """Return the files of a tree, by path."""
    found: list[Entry] = []
    for folder, _, rows in nodes(read, digest):
        above = f"{folder}/" if folder else ""
        found.extend(Entry(above + name, mode, size, at) for name, mode, size, at in rows if mode != FOLDER)
    return tuple(sorted(found, key=lambda entry: entry.path))


def check_path(path: str) -> None:
    """Raise ``BadInput`` unless ``path`` names a file inside a folder."""
    for name in path.split("/"):
        check_name(name)


def check_name(name: str) -> None:
    """Raise ``BadInput`` unless ``name`` is one that a file in a folder can have.

    Any bytes that a POSIX system takes are kept. What another system cannot hold is refused there.
    """
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise BadInput(f"{name!r} is no name inside a folder")
    if name.isascii():
        return
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        raise BadInput(
            f"the file name {name!r} is none that a file system holds", "rename the file"
        ) from None


def _kept(mode: int) -> int:
    if mode & FOLDER:
        return FOLDER
    return 0o755 if mode & 0o100 else 0o644
