"""Checkouts: the files of a version where a person works, and what they may replace. Used by ``Contents``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from ..errors import Conflict, Damaged
from ..objects import Entry, Objects
from ..objects.blob import hexadecimal
from ..objects.files.checkout import Aside, Manner, place_file, place_tree, refuse_ours
from ..objects.files.snapshot import mode_of
from ..objects.tree import FOLDER
from .progress import progress
from .version import Checkout, DatasetVersion

Versions = Callable[[str], Iterable[tuple[str, str]]]
_HINT = "commit it, name another path, or replace it with --force (force=True), which moves it aside"


class Checkouts:
    """Writes versions as files. ``kept`` yields kind and digest of a dataset's versions, the newest first."""

    def __init__(self, objects: Objects, kept: Versions) -> None:
        self._objects = objects
        self._kept = kept

    def checkout(
        self,
        version: DatasetVersion,
        path: str | Path | None = None,
        *,
        link: bool = False,
        force: bool = False,
    ) -> Checkout:
        """Write the version's files to ``path``, whole or not at all, and return where they are.

        What is there is replaced if each file of it is in some version of this dataset; else raises
        ``Conflict`` that names what would be lost, or with ``force`` leaves that in a place beside.
        """
        target = Path(path if path is not None else version.source).expanduser()
        if version.kind != "folder" and target.is_dir():
            target = target / version.source
        refuse_ours(self._objects, target, version.source, version.kind == "folder")
        manner = Manner(
            link,
            force,
            True,
            lambda found: self._lost(version.name, dict(found)),
            f"in no version: {_hint(version, target)}",
        )
        with progress(version.ref, version.bytes) as advance:
            aside = self._write(version, target, manner, advance)
        return Checkout(target) if aside is None else Checkout(target, aside.place, aside.files)

    def copy(self, version: DatasetVersion) -> Path:
        """Return a read-only copy that the project keeps, made again if it is not what was committed."""
        place = self._objects.folder / "copies" / hexadecimal(version.digest) / version.source
        for attempt in (1, 2):
            try:
                self._write(version, place, Manner(), lambda _: None, read_only=True)
                break
            except Conflict:
                # damaged, or somebody else made the copy at the same moment
                if attempt == 2:
                    raise
                with suppress(FileNotFoundError), self._objects.scratch() as aside:
                    place.rename(aside / "old")
        return place

    def _write(
        self,
        version: DatasetVersion,
        target: Path,
        manner: Manner,
        advance: Callable[[int], None],
        read_only: bool = False,
    ) -> Aside | None:
        entries = self._objects.tree(version.digest)
        recorded = version.detail.get("modes", {})
        modes = {entry.path: _mode(recorded, entry, read_only) for entry in entries}
        if version.kind == "folder":
            return place_tree(self._objects, entries, target, modes, advance, manner)
        (entry,) = entries
        return place_file(self._objects, entry.digest, target, modes[entry.path], advance, manner)

    def _lost(self, name: str, found: dict[str, str | None]) -> list[str]:
        """Return those of the found files that are in no version of the dataset, or whose bytes are gone."""
        left = dict(found)
        visited: set[tuple[str, str]] = set()
        for kind, digest in self._kept(name):
            with suppress(Damaged):
                if kind == "folder":
                    self._explain(digest, left, visited)
                elif left.get("") in {row[3] for row in self._objects.node(digest)}:
                    del left[""]
            if not left:
                break
        explained = {digest for path, digest in found.items() if path not in left and digest is not None}
        gone = self._objects.missing(explained)
        return sorted(path for path, digest in found.items() if path in left or digest in gone)

    def _explain(self, digest: str, left: dict[str, str | None], visited: set[tuple[str, str]]) -> None:
        """Take from ``left`` what a tree has at the same path; nodes that versions share are read once."""
        ahead = [("", digest)]
        while ahead:
            folder = ahead.pop()
            if folder in visited:
                continue
            visited.add(folder)
            for name, mode, _, at in self._objects.node(folder[1]):
                path = f"{folder[0]}/{name}" if folder[0] else name
                if mode == FOLDER:
                    ahead.append((path, at))
                elif left.get(path) == at:
                    del left[path]


def _hint(version: DatasetVersion, target: Path) -> str:
    inside = f"check it out into a folder of its own, such as {target / version.source}, or "
    return (inside if version.kind == "folder" else "") + _HINT


def _mode(recorded: Mapping[str, int], entry: Entry, read_only: bool) -> int:
    mode = mode_of(recorded, entry.path, entry.mode)
    return (mode & 0o555) | 0o444 if read_only else mode
