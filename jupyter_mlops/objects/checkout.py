"""Checkouts: stored bytes as files again, whole or not at all, never over others. Used by ``Objects``."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BadInput, Conflict, Failed, MLOpsError
from .blob import digest_of_file
from .source import opened
from .tree import Entry

if TYPE_CHECKING:
    from .objects import Objects

_SYNCERS = 8
_UNSUPPORTED = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP)


def make_durable(path: Path) -> None:
    """Return when ``path``, a file or a folder, would survive a loss of power."""
    folder = path.is_dir()
    if folder and os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        os.fsync(descriptor)
    except OSError as error:
        # some file systems cannot sync a folder; a failed write must never be taken for that
        if not (folder and error.errno in _UNSUPPORTED):
            raise
    finally:
        os.close(descriptor)


def make_all_durable(paths: Collection[Path]) -> None:
    """Return when all of ``paths`` would survive a loss of power; syncing several at once halves the wait."""
    if len(paths) <= _SYNCERS:
        for path in paths:
            make_durable(path)
        return
    with ThreadPoolExecutor(_SYNCERS) as pool:
        for _ in pool.map(make_durable, paths):
            pass


def place_file(objects: Objects, digest: str, path: Path, mode: int, advance: Callable[[int], None]) -> None:
    """Write one blob to ``path``; leaves a file of the same content alone and refuses anything else there."""
    if os.path.lexists(path):
        if holds_file(path, digest):
            return
        raise _occupied(path)
    with _beside(path) as temporary:
        objects.write_to(digest, temporary, mode, advance)
        make_durable(temporary)
        try:
            os.link(temporary, path)  # unlike a rename, it never replaces what appeared meanwhile
        except FileExistsError:
            raise _occupied(path) from None
        except OSError:
            if os.path.lexists(path):
                raise _occupied(path) from None
            temporary.replace(path)  # no hard links on this file system
        make_durable(path.parent)


def place_tree(
    objects: Objects,
    entries: tuple[Entry, ...],
    path: Path,
    modes: Mapping[str, int],
    advance: Callable[[int], None],
) -> None:
    """Write a tree into the folder ``path``; leaves an equal folder alone and refuses anything else there."""
    if os.path.lexists(path) and not (_is_folder(path) and not any(path.iterdir())):
        if holds_tree(path, entries):
            return
        raise _occupied(path)
    with _beside(path) as temporary:
        temporary.mkdir()
        for folder in sorted({str(Path(entry.path).parent) for entry in entries}):
            (temporary / folder).mkdir(parents=True, exist_ok=True)
        for entry in entries:
            objects.write_to(entry.digest, temporary / entry.path, modes.get(entry.path, entry.mode), advance)
        make_all_durable([temporary / entry.path for entry in entries])
        try:
            temporary.rename(path)  # replaces an empty folder and nothing else
        except OSError as error:
            if os.path.lexists(path):
                raise _occupied(path) from error
            raise
        make_durable(path.parent)


def holds_tree(path: Path, entries: tuple[Entry, ...]) -> bool:
    """Return whether ``path`` is a folder with exactly these files and this content."""
    if not _is_folder(path):
        return False
    wanted = {entry.path: entry.digest for entry in entries}
    found: set[str] = set()
    for folder, _, names in os.walk(path):
        found.update((Path(folder) / name).relative_to(path).as_posix() for name in names)
    return found == set(wanted) and all(holds_file(path / name, digest) for name, digest in wanted.items())


def _is_folder(path: Path) -> bool:
    return stat.S_ISDIR(path.lstat().st_mode)


def holds_file(path: Path, digest: str) -> bool:
    """Return whether ``path`` is a file with exactly this content."""
    try:
        with opened(path) as (file, _):
            return digest_of_file(file).digest == digest
    except MLOpsError:
        return False


def _occupied(path: Path) -> Conflict:
    return Conflict(
        f"{path} is there already and holds something different", "name another path, or move it away"
    )


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """Lend an unused name in the folder of ``path``; what is left there is removed."""
    temporary = path.parent / f".mlops-{secrets.token_hex(6)}.part"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
    except MLOpsError:
        raise
    except OSError as error:
        if isinstance(error, NotADirectoryError | FileExistsError):
            raise BadInput(
                f"{path} cannot be written: {error.strerror}", "name a path in a folder"
            ) from error
        raise Failed(
            f"{path} cannot be written: {error.strerror or error}", "check its folder and the free space"
        ) from error
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            with suppress(OSError):
                temporary.unlink()
