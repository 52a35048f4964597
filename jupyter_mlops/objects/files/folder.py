"""The folder: what lies in a folder on disk, listed without opening any file. Used by sources and checkouts.

Plain tuples and one ``scandir`` a folder, because a listing of 20,000 files is what every commit begins with.
"""

from __future__ import annotations

import marshal
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from blake3 import blake3

# name, permission bits, size, mtime, ctime, inode: what shows that somebody wrote a file; a restored mtime
# still shows in ctime
File = tuple[str, int, int, int, int, int]
_POSIX = os.name == "posix"


@dataclass(slots=True)
class Folder:
    """One folder: where it is, its path below the top, its files, its folders, and what is neither."""

    place: str
    path: str
    files: list[File]
    folders: list[str]
    others: list[str]

    @property
    def size(self) -> int:
        """How many bytes its files have."""
        return sum([file[2] for file in self.files])

    def below(self, name: str) -> str:
        """Return the path below the top of what is named ``name`` here."""
        return f"{self.path}/{name}" if self.path else name

    def fingerprint(self, inner: Sequence[bytes] = ()) -> bytes:
        """Return a digest of the state of every file, and of what ``inner`` tells of the folders."""
        return bytes(blake3(marshal.dumps((self.files, self.folders, list(inner)), 2)).digest())


def file_of(name: str, status: os.stat_result) -> File:
    """Return what a listing holds of one file."""
    # where ctime is the time of creation it tells nothing
    changed = status.st_ctime_ns if _POSIX else 0
    return name, status.st_mode & 0o777, status.st_size, status.st_mtime_ns, changed, status.st_ino


def scan(top: str) -> Iterator[Folder]:
    """Yield the folder ``top`` and all below it, each before what lies in it; links are never followed.

    Raises ``OSError`` of what cannot be listed or vanishes meanwhile, with its name.
    """
    ahead = [(top, "")]
    while ahead:
        place, path = ahead.pop()
        folder = _listed(place, path)
        yield folder
        ahead.extend((f"{place}/{name}", folder.below(name)) for name in reversed(folder.folders))


def _listed(place: str, path: str) -> Folder:
    files: list[File] = []
    folders: list[str] = []
    others: list[str] = []
    with os.scandir(place) as entries:
        for entry in entries:
            # a junction of Windows is a folder and leads elsewhere; a stat of the entry has no inode there
            status = entry.stat(follow_symlinks=False) if _POSIX else os.lstat(entry.path)
            kind = stat.S_IFMT(status.st_mode)
            if kind == stat.S_IFREG:
                files.append(file_of(entry.name, status))
            elif kind == stat.S_IFDIR and not _leads_elsewhere(entry):
                folders.append(entry.name)
            else:
                others.append(entry.name)
    files.sort()
    folders.sort()
    return Folder(place, path, files, folders, others)


def _leads_elsewhere(entry: os.DirEntry[str]) -> bool:
    return not _POSIX and bool(getattr(os.lstat(entry.path), "st_reparse_tag", 0))
