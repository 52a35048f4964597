"""Copies: stored files written out once, read-only, for checkouts that link to them. Used by checkouts alone.

A copy is compared with its address each time it is to be linked: a mode bit proves nothing, since whoever may
change a file may change its mode, and all its links with it. A copy that went bad is replaced by a new one.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BadInput
from .blob import hexadecimal
from .exchange import can_clone, clone
from .source import hashed
from .tree import Entry
from .writing import write_files

if TYPE_CHECKING:
    from .objects import Objects

Advance = Callable[[int], None]
_READERS = 2


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
        wanted = tuple(entries)
        self._folder.mkdir(parents=True, exist_ok=True)
        if os.stat(self._folder).st_dev != os.stat(top).st_dev:
            raise BadInput(
                f"{top.parent} is on another file system than the project, so nothing can be linked there",
                "leave --link out, or name a path beside the project",
            )
        clones = can_clone(top)
        lacking = self._lacking(wanted)
        fresh = [entry for entry in wanted if lacking.pop(self._place(entry), None)]
        write_files(
            self._objects,
            fresh if clones else [replace(entry, mode=_read_only(entry.mode)) for entry in fresh],
            top,
            advance,
        )
        written = {id(entry) for entry in fresh}
        for entry in fresh:
            self._share(top / entry.path, self._place(entry), clones)
        for entry in wanted:
            if id(entry) not in written:
                self._take(self._place(entry), top / entry.path, entry.mode, clones)
                advance(entry.size)

    def _lacking(self, wanted: Iterable[Entry]) -> dict[Path, bool]:
        """Return the copies that are not there or are not what they should be."""
        places = {self._place(entry): entry.digest for entry in wanted}
        with ThreadPoolExecutor(_READERS, thread_name_prefix="checkout") as pool:
            sound = pool.map(_sound, places.items(), chunksize=1)
            return {place: True for place, good in zip(places, sound, strict=True) if not good}

    def _share(self, target: Path, place: Path, clones: bool) -> None:
        """Make what was just written to ``target`` the copy for the next time."""
        place.parent.mkdir(parents=True, exist_ok=True)
        aside = place.with_name(f"{place.name}.{secrets.token_hex(4)}")
        if clones and clone(target, aside):
            aside.chmod(0o444)
        else:
            _link(target, aside)
        os.replace(aside, place)

    def _take(self, place: Path, target: Path, mode: int, clones: bool) -> None:
        if clones and clone(place, target):
            target.chmod(mode)
            return
        try:
            _link(place, target)
        except OSError as error:
            if error.errno != errno.EMLINK:
                raise
            # one file has only so many names; from here on its content has a second copy
            shutil.copyfile(place, target)
            target.chmod(_read_only(mode))
            self._share(target, place, clones)

    def _place(self, entry: Entry) -> Path:
        name = hexadecimal(entry.digest)
        return self._folder / name[:2] / (f"{name}.x" if entry.mode & 0o100 else name)


def _sound(copy: tuple[Path, str]) -> bool:
    return hashed(os.fspath(copy[0])) == copy[1]


def _link(existing: Path, new: Path) -> None:
    try:
        os.link(existing, new)
    except OSError as error:
        if error.errno in (errno.EPERM, errno.ENOTSUP, errno.EXDEV):
            raise BadInput(
                f"the file system of {new.parent} has no links to files", "leave --link out"
            ) from error
        raise


def _read_only(mode: int) -> int:
    return 0o555 if mode & 0o100 else 0o444
