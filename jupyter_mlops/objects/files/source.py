"""Sources: files outside the store, opened without harm and read so that a change in between is noticed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from blake3 import blake3

from ...errors import BadInput, NotFound, SourceChanged, close_matches
from ..blob import STEP

# opening a FIFO must not wait for its writer, and a link put in place of the file must not be followed
_FLAGS = (
    os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
)
_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFDIR: "a folder",
}
_LONG = 16 << 20
State = tuple[int, ...]


def state_of(status: os.stat_result) -> State:
    """Return what changes when somebody writes a file; a restored mtime still shows in ctime."""
    changed = status.st_ctime_ns if os.name == "posix" else 0
    return status.st_ino, status.st_size, status.st_mtime_ns, changed


def check_regular(path: Path, status: os.stat_result) -> None:
    """Raise ``BadInput`` unless ``status`` is that of a regular file."""
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "no regular file")
        raise BadInput(f"{path} is {kind}", "commit regular files and folders of them")


@contextmanager
def opened(path: Path) -> Iterator[tuple[BinaryIO, os.stat_result]]:
    """Open a regular file for reading; raises ``SourceChanged`` if it is not the same when the block ends."""
    try:
        check_regular(path, path.lstat())
        descriptor = os.open(path, _FLAGS)
    except OSError as error:
        raise unreadable(path, error) from error
    with open(descriptor, "rb", buffering=0) as file:
        before = os.fstat(descriptor)
        check_regular(path, before)
        try:
            yield file, before
        except OSError as error:
            if error.filename is None:  # reading failed; errors of other files name them
                raise unreadable(path, error) from error
            raise
        if state_of(os.fstat(descriptor)) != state_of(before):
            raise changed(path)
    try:
        now = path.lstat()
    except OSError as error:
        raise changed(path) from error
    if state_of(now) != state_of(before):
        raise changed(path)


def hashed(path: str) -> str | None:
    """Return the address of a file's content as it is now, or ``None`` for what is no readable file.

    Unlike ``opened`` it does not notice a writer; whoever asks looks at the state of the file himself.
    """
    try:
        descriptor = os.open(path, _FLAGS)
    except OSError:
        return None
    hasher = blake3()
    with suppress(OSError), open(descriptor, "rb", buffering=0) as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return None
        if status.st_size > _LONG:
            for piece in _read_ahead(file):
                hasher.update(piece)
        else:
            while data := file.read(min(STEP, status.st_size + 1)):
                hasher.update(data)
        return f"b3:{hasher.hexdigest()}"
    return None


def _read_ahead(file: BinaryIO) -> Iterator[memoryview]:
    """Yield what is left of ``file``; while one piece is worked on, the next one is read."""
    buffers = [memoryview(bytearray(STEP)) for _ in range(2)]
    with ThreadPoolExecutor(1) as reader:
        waiting = reader.submit(file.readinto, buffers[0])  # type: ignore[attr-defined]  # raw files have it
        while count := waiting.result():
            piece = buffers[0][:count]
            buffers.reverse()
            waiting = reader.submit(file.readinto, buffers[0])  # type: ignore[attr-defined]
            yield piece


def changed(path: Path) -> SourceChanged:
    """Return the error that says ``path`` changed while it was read."""
    return SourceChanged(f"{path} changed while it was read", "commit again when nothing writes to it")


def unreadable(path: Path, error: OSError) -> BadInput | NotFound:
    """Return the error that says why ``path`` cannot be read, with similar names that can."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        try:
            siblings = [entry.name for entry in os.scandir(path.parent)]
        except OSError:
            siblings = []
        hint = close_matches(path.name, siblings, "check the path; it is read from the current folder")
        return NotFound(f"there is no {path}", hint)
    return BadInput(f"{path} cannot be read: {error.strerror or error}", "check who may read it")
