"""The snapshot: a file or folder on disk as it was found, kept as a tree without reading what is known.

Used by datasets and runs when they commit, and by checkouts to see what lies where they are to write.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import NotFound
from ..blob import Blob
from ..tree import FOLDER, Row, check_name, encoded
from .folder import File, Folder, file_of, scan
from .seen import Reading, Seen
from .source import changed, check_regular, hashed, unreadable

if TYPE_CHECKING:
    from ..batch import Batch
    from ..objects import Objects

Advance = Callable[[int], None]
EXECUTABLE = "/x"


@dataclass(frozen=True, slots=True)
class Kept:
    """A stored tree: its address, how many files of how many bytes, and the address of a single file."""

    digest: str
    files: int
    bytes: int
    only: str


class Snapshot:
    """A file or folder as it was found; ``name`` is what a single file is called inside the tree."""

    def __init__(self, top: Path, name: str = "") -> None:
        self._top = os.fspath(top)
        self._name = name
        self._started = time.time_ns()
        self._folders = self._listed()
        self._readings: list[Reading] = []
        self._era = 0

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return sum(folder.size for folder in self._folders)

    @property
    def files(self) -> int:
        """How many files there are."""
        return sum(len(folder.files) for folder in self._folders)

    def modes(self) -> dict[str, int]:
        """Return the permission bits: the usual ones, those of files that may be executed, others by path."""
        usual = Counter([file[1] for folder in self._folders for file in folder.files])
        plain = max((mode for mode in usual if not mode & 0o100), key=usual.__getitem__, default=0o644)
        executable = max((mode for mode in usual if mode & 0o100), key=usual.__getitem__, default=0o755)
        found = {"": plain} if executable == 0o755 else {"": plain, EXECUTABLE: executable}
        if usual.keys() - {plain, executable}:
            for folder in self._folders:
                for file in folder.files:
                    if file[1] not in (plain, executable):
                        found[_key(folder.below(file[0]))] = file[1]
        return found

    def keep(self, objects: Objects, batch: Batch, advance: Advance, verify: bool = False) -> Kept:
        """Keep the tree and every file of it, reading those that may have changed since they were last read.

        ``verify`` reads all of them. Raises ``SourceChanged`` if something is not as it was found.
        """
        seen = Seen(objects)
        known, entries = self._recalled(objects, seen, verify)
        unread = [
            (folder, file)
            for folder in self._folders
            if folder.place not in known
            for file in folder.files
            if _digest(entries, folder, file) is None
        ]
        advance(self.size - sum(file[2] for _, file in unread))
        blobs = self._read(batch, unread, advance)
        nodes: dict[str, tuple[str, int, int]] = {}
        for folder in reversed(self._folders):
            if folder.place in known:
                nodes[folder.place] = known[folder.place]
                continue
            found = [
                (file, _digest(entries, folder, file) or blobs[folder.place, file[0]])
                for file in folder.files
            ]
            inner = _inner(folder, nodes)
            node = batch.put_bytes(encoded(_rows(found, folder, inner)))
            size = folder.size + sum(each[1] for each in inner)
            count = len(folder.files) + sum(each[2] for each in inner)
            nodes[folder.place] = node, size, count
            state = folder.fingerprint([each[0].encode() for each in inner])
            self._readings.append(Reading(folder.place, state, node, size, count, found))
        if unread:
            self._refuse_changes()
        node, size, count = nodes[self._top]
        only = ""
        if self._name:
            (file,) = self._folders[0].files
            only = blobs.get((self._top, file[0]), "") or _digest(entries, self._folders[0], file) or ""
        return Kept(node, count, size, only)

    def remember(self, objects: Objects) -> None:
        """Note what was read, so that it need not be read again; what it became must be stored by now."""
        if self._readings:
            places = [folder.place for folder in self._folders]
            Seen(objects).remember(self._top, self._era, self._started, self._readings, places)

    def digests(self, objects: Objects) -> Iterator[tuple[str, str | None]]:
        """Yield the path and address of every file; ``None`` for what is no regular file or not readable."""
        entries = Seen(objects).entries([folder.place for folder in self._folders])
        for folder in self._folders:
            for file in folder.files:
                yield (
                    folder.below(file[0]),
                    _digest(entries, folder, file) or hashed(self._place(folder, file)),
                )
            for name in folder.others:
                yield folder.below(name), None

    def is_current(self) -> bool:
        """Return whether everything is still as it was found."""
        try:
            return self._listed() == self._folders
        except OSError:
            return False

    def same_files(self, other: Snapshot) -> bool:
        """Return whether nobody wrote, made or removed a file between this snapshot and ``other``."""
        mine, others = ([_written(folder) for folder in each._folders] for each in (self, other))
        return mine == others

    def _listed(self) -> list[Folder]:
        if not self._name:
            return list(scan(self._top))
        file = file_of(self._name, os.lstat(self._top))
        return [Folder(self._top, "", [file], [], [])]

    def _place(self, folder: Folder, file: File) -> str:
        return folder.place if self._name else f"{folder.place}/{file[0]}"

    def refuse_others(self) -> None:
        """Raise ``BadInput`` if there are links, pipes or the like, or names that no tree can hold."""
        for folder in self._folders:
            for name in folder.others:
                place = Path(folder.place, name)
                try:
                    check_regular(place, place.lstat())
                except OSError as error:
                    raise changed(place) from error
                raise changed(place)
            for name in (*folder.folders, *(file[0] for file in folder.files)):
                if not name.isascii():
                    check_name(name)

    def _recalled(
        self, objects: Objects, seen: Seen, verify: bool
    ) -> tuple[dict[str, tuple[str, int, int]], dict[str, dict[str, tuple[File, str]]]]:
        """Return the folders that are unchanged with all below them, and of the others the known files."""
        recalled = seen.recall(self._top)
        self._era = recalled.era
        if verify:
            return {}, {}
        known: dict[str, tuple[str, int, int]] = {}
        for folder in reversed(self._folders):
            row = recalled.folders.get(folder.place)
            if row is None or row.state is None or not row.stored:
                continue
            places = [f"{folder.place}/{name}" for name in folder.folders]
            if not all(place in known for place in places):
                continue
            inner = _inner(folder, known)
            if folder.fingerprint([each[0].encode() for each in inner]) == row.state:
                known[folder.place] = row.node, row.size, row.files
        rest = [f.place for f in self._folders if f.place in recalled.folders and f.place not in known]
        asked = rest if not self._name else [self._top]
        entries = seen.entries(asked)
        doubtful = {
            digest
            for place in rest
            if not recalled.folders[place].stored
            for _, digest in entries.get(place, {}).values()
        }
        if doubtful and (missing := objects.missing(doubtful)):
            entries = {
                place: {name: each for name, each in files.items() if each[1] not in missing}
                for place, files in entries.items()
            }
        return known, entries

    def _read(
        self, batch: Batch, unread: Sequence[tuple[Folder, File]], advance: Advance
    ) -> dict[tuple[str, str], str]:
        places = [self._place(folder, file) for folder, file in unread]
        try:
            blobs: Sequence[Blob] = batch.put_files(places, advance)
        except NotFound as error:
            gone = next((place for place in places if not os.path.lexists(place)), self._top)
            raise changed(Path(gone)) from error
        for place, (_, file), blob in zip(places, unread, blobs, strict=True):
            if blob.size != file[2]:
                raise changed(Path(place))
        return {
            (folder.place, file[0]): blob.digest for (folder, file), blob in zip(unread, blobs, strict=True)
        }

    def _refuse_changes(self) -> None:
        """Raise ``SourceChanged`` if what lies there is not what was found, and say which file."""
        try:
            now = self._listed()
        except OSError as error:
            raise changed(Path(error.filename or self._top)) from error
        if now == self._folders:
            return
        before = {folder.below(file[0]): file for folder in self._folders for file in folder.files}
        after = {folder.below(file[0]): file for folder in now for file in folder.files}
        other = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
        raise changed(Path(self._top) if self._name or not other else Path(self._top, other[0]))


def snapshot(top: Path, name: str = "") -> Snapshot:
    """Return what lies at ``top``, to read all of it; raises ``BadInput`` for links, pipes and the like."""
    try:
        found = Snapshot(top, name)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise changed(Path(error.filename or top)) from error
    except OSError as error:
        raise unreadable(Path(error.filename or top), error) from error
    found.refuse_others()
    return found


def mode_of(modes: Mapping[str, int], path: str, mode: int) -> int:
    """Return the bits that ``Snapshot.modes`` recorded of the file that a tree holds with ``mode``."""
    found = modes.get(_key(path)) if len(modes) > 1 else None
    if found is not None:
        return found
    return modes.get(EXECUTABLE, 0o755) if mode & 0o100 else modes.get("", 0o644)


def _key(path: str) -> str:
    """Return a path as text that any database holds; no path inside a tree begins with a slash."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return f"/{os.fsencode(path).hex()}"
    return path


def _digest(entries: Mapping[str, Mapping[str, tuple[File, str]]], folder: Folder, file: File) -> str | None:
    files = entries.get(folder.place)
    known = files.get(file[0]) if files else None
    return known[1] if known is not None and known[0] == file else None


def _inner(folder: Folder, nodes: Mapping[str, tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    return [nodes[f"{folder.place}/{name}"] for name in folder.folders]


def _rows(
    found: Sequence[tuple[File, str]], folder: Folder, inner: Sequence[tuple[str, int, int]]
) -> list[Row]:
    rows = [(file[0], file[1], file[2], digest) for file, digest in found]
    folders = zip(folder.folders, inner, strict=True)
    return rows + [(name, FOLDER, size, node) for name, (node, size, count) in folders if count]


def _written(folder: Folder) -> tuple[str, list[tuple[str, int, int, int]], list[str], list[str]]:
    # moving a tree changes the ctime of its top alone, a hard link that of a file
    files = [(name, size, mtime, inode) for name, _, size, mtime, _, inode in folder.files]
    return folder.path, files, folder.folders, folder.others
