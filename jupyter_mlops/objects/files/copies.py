"""Copies: stored files written out once, read-only, for checkouts that link to them. Used by checkouts alone.

A copy is compared with its address each time it is to be linked: a mode bit proves nothing, since whoever may
change a file may change its mode, and all its links with it. A copy that went bad is replaced by a new one.
"""

from __future__ import annotations

import errno
import mmap
import os
import secrets
import shutil
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from blake3 import blake3

from ...errors import BadInput
from ..blob import address, hexadecimal
from ..tree import Entry
from .exchange import can_clone, clone
from .source import hashed
from .writing import write_files

if TYPE_CHECKING:
    from ..objects import Objects

Advance = Callable[[int], None]
_READERS = 2
_LOT = 16
_LARGE = 16 << 20
_WINDOW = 64 << 20


class Copies:
    """The read-only copies of one project's stored files."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._folder = objects.folder / "copies" / "files"

    def link_files(self, entries: Iterable[Entry], top: Path, advance: Advance) -> None:
        """Put files below ``top`` that share their bytes with the copies, which are made where there is none.

        Where the file system can clone, they are files of their own that share blocks; else hard links, which
        are read-only. Raises ``BadInput`` where neither is possible.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        if os.stat(self._folder).st_dev != os.stat(top).st_dev:
            raise BadInput(
                f"{top.parent} is on another file system than the project, so nothing can be linked there",
                "leave --link out, or name a path beside the project",
            )
        clones = can_clone(top)
        wanted = [(entry, self._place(entry)) for entry in entries]
        lacking = self._lacking(wanted, advance)
        fresh = {place: entry for entry, place in reversed(wanted) if place in lacking}
        write_files(
            self._objects,
            [entry if clones else replace(entry, mode=_read_only(entry.mode)) for entry in fresh.values()],
            top,
            advance,
        )
        for place, entry in fresh.items():
            _share(f"{top}/{entry.path}", place, clones)
        for entry, place in wanted:
            if fresh.get(place) is not entry:
                _take(place, f"{top}/{entry.path}", entry.mode, clones)
                if place in lacking:
                    advance(entry.size)

    def _lacking(self, wanted: Sequence[tuple[Entry, str]], advance: Advance) -> set[str]:
        """Return the copies that are not there or are not what they should be; the others are done with."""
        places: dict[str, str] = {}
        sizes: Counter[str] = Counter()
        for entry, place in wanted:
            places[place] = entry.digest
            sizes[place] += entry.size
        found: set[str] = set()
        with ThreadPoolExecutor(_READERS, thread_name_prefix="checkout") as pool:
            lots = [tuple(places.items())[start : start + _LOT] for start in range(0, len(places), _LOT)]
            for sound, lot in zip(pool.map(_sound, lots), lots, strict=True):
                found.update(place for place, _ in lot if place not in sound)
                advance(sum(sizes[place] for place in sound))
        return found

    def _place(self, entry: Entry) -> str:
        name = hexadecimal(entry.digest)
        return f"{self._folder}/{name[:2]}/{name}{'.x' if entry.mode & 0o100 else ''}"


def _share(target: str, place: str, clones: bool) -> None:
    """Make what was just written to ``target`` the copy for the next time."""
    os.makedirs(os.path.dirname(place), exist_ok=True)
    aside = f"{place}.{secrets.token_hex(4)}"
    if clones and clone(Path(target), Path(aside)):
        os.chmod(aside, 0o444)
    else:
        _link(target, aside)
    os.replace(aside, place)


def _take(place: str, target: str, mode: int, clones: bool) -> None:
    if clones and clone(Path(place), Path(target)):
        os.chmod(target, mode)
        return
    try:
        _link(place, target)
    except OSError as error:
        if error.errno != errno.EMLINK:
            raise
        # one file has only so many names; from here on its content has a second copy
        shutil.copyfile(place, target)
        os.chmod(target, _read_only(mode))
        _share(target, place, clones)


def _sound(copies: Iterable[tuple[str, str]]) -> set[str]:
    return {place for place, digest in copies if _address(place) == digest}


def _address(place: str) -> str | None:
    """Return the address of a copy, or ``None`` where there is none.

    A large one that has no other name is mapped, which is twice as fast. Where it has one, whoever holds that
    may cut the file off, and to touch what is cut off from a mapped file ends the process.
    """
    try:
        status = os.lstat(place)
    except OSError:
        return None
    if stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and status.st_size > _LARGE:
        return _mapped(place, status.st_size)
    return hashed(place)


def _mapped(place: str, size: int) -> str:
    hasher = blake3(max_threads=blake3.AUTO)
    with open(place, "rb") as file:
        for start in range(0, size, _WINDOW):
            length = min(_WINDOW, size - start)
            with mmap.mmap(file.fileno(), length, access=mmap.ACCESS_READ, offset=start) as window:
                hasher.update(window)
    return address(hasher.digest())


def _link(existing: str, new: str) -> None:
    try:
        os.link(existing, new)
    except OSError as error:
        if error.errno in (errno.EPERM, errno.ENOTSUP, errno.EXDEV):
            raise BadInput(f"the file system of {new} has no links to files", "leave --link out") from error
        raise


def _read_only(mode: int) -> int:
    return 0o555 if mode & 0o100 else 0o444
