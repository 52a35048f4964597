"""Checkouts: stored bytes as files again, whole or not at all, never over what is kept nowhere else.

Used by ``Objects`` and by datasets. New files are written beside their place, verified as they are written,
made durable, and then take the place of what was there in one step: at any moment all of the old is there, or
all of the new. What was there is looked at again after that step, and put back if it changed meanwhile. Files
that are kept nowhere else and are replaced by force can stay beside their place, in what was there.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import BadInput, Conflict, Failed, MLOpsError
from ..durable import make_durable
from ..locks import in_use, removed_if_abandoned
from ..tree import Entry
from .copies import Copies
from .exchange import moved, swapped
from .snapshot import Snapshot
from .source import hashed
from .writing import make_written_durable, remove_all, write_files

if TYPE_CHECKING:
    from ..objects import Objects

Advance = Callable[[int], None]
Found = Mapping[str, str | None]
_NAMED = 5
_PART = ".mlops-", ".part"
_CONTENT = "new"
_WORTH = 1 << 20  # smaller files are written as fast as they are linked
_ASIDE = ".replaced"  # the end of the name under which replaced files stay
_LONGEST = 200  # letters of a name that get another end
_ONLY = ""  # the path of a file that is not in a folder


@dataclass(frozen=True, slots=True)
class Manner:
    """How a checkout is made: as links or not, and what it may replace.

    ``lost`` gets what is there and differs: content by path, ``None`` for what is no regular file. It returns
    the paths that exist nowhere else; ``force`` replaces those too, and with ``aside`` they stay beside.
    """

    link: bool = False
    force: bool = False
    aside: bool = False
    lost: Callable[[Found], Sequence[str]] = sorted
    hint: str = "name another path, or move it away"


@dataclass(frozen=True, slots=True)
class Aside:
    """Files that were replaced by force and are kept nowhere else: their paths, and the place they are at."""

    place: Path
    files: tuple[str, ...]


def place_file(
    objects: Objects,
    digest: str,
    path: Path,
    mode: int,
    advance: Advance,
    manner: Manner = Manner(),
    size: int | None = None,
) -> Aside | None:
    """Write one blob to ``path``; leaves a file of the same content alone, else asks ``manner``.

    Returns where files are that were replaced and exist nowhere else.
    """
    entry = Entry(_ONLY, mode, objects.size(digest) if size is None else size, digest)
    return _place(objects, (entry,), path, advance, manner)


def place_tree(
    objects: Objects,
    entries: Sequence[Entry],
    path: Path,
    modes: Mapping[str, int],
    advance: Advance,
    manner: Manner = Manner(),
) -> Aside | None:
    """Write a tree into the folder ``path``; leaves an equal folder alone, else asks ``manner``.

    Returns where files are that were replaced and exist nowhere else.
    """
    files = [
        Entry(entry.path, modes.get(entry.path, entry.mode), entry.size, entry.digest) for entry in entries
    ]
    return _place(objects, files, path, advance, manner)


def refuse_ours(objects: Objects, path: Path, name: str, folder: bool) -> None:
    """Raise ``BadInput`` for places that must not be replaced, with force or without."""
    place = path.parent.resolve() / path.name if path.name not in ("", "..") else path.resolve()
    state = objects.folder.resolve().parent
    if state.is_relative_to(place) or place.is_relative_to(state):
        raise BadInput(f"{path} holds the project's own state", "name a folder for the data alone")
    if folder and Path.cwd().is_relative_to(place):
        # replacing it would leave this process in a folder that is gone
        raise BadInput(f"{path} is the current folder", f"name a folder in it, such as {name}")


def _place(
    objects: Objects, files: Sequence[Entry], path: Path, advance: Advance, manner: Manner
) -> Aside | None:
    before: Snapshot | None = None
    lost: Sequence[str] = ()
    found: Found = {}
    if not _is_free(path, files):
        before, found = _found(objects, path)
        wanted = {entry.path: entry.digest for entry in files}
        if found == wanted:
            advance(sum(entry.size for entry in files))
            return None
        others = {
            name: digest for name, digest in found.items() if digest is None or wanted.get(name) != digest
        }
        lost = manner.lost(others) if others and (manner.aside or not manner.force) else ()
        if lost and not manner.force:
            raise _occupied(path, lost, manner.hint)
    with _beside(path, sum(entry.size for entry in files)) as folder:
        new = folder / _CONTENT
        _make_folders(files, folder)
        # what stays beside its place shares no file with what takes it
        rest = files if manner.link or lost else _reuse(files, found, path, new, advance)
        _write(objects, rest, folder, advance, manner.link)
        make_written_durable(folder, [_named(entry.path) for entry in files])
        aside = None
        if before is None:
            _move(new, path)
        elif lost:
            aside = Aside(_put_aside(new, path), tuple(lost))
            if before.same_files(_state(aside.place)):
                _thin(aside, found)
        else:
            _replace(new, path, None if manner.force else before)
        make_durable(path.parent)
    return aside


def _make_folders(files: Sequence[Entry], folder: Path) -> None:
    if os.name != "posix":
        for entry in files:
            _check_portable(entry.path)
    if not files:
        (folder / _CONTENT).mkdir()
    for inner in sorted({_named(entry.path).rpartition("/")[0] for entry in files} - {""}):
        (folder / inner).mkdir(parents=True, exist_ok=True)


def _reuse(files: Sequence[Entry], found: Found, path: Path, new: Path, advance: Advance) -> Sequence[Entry]:
    """Give large files that stay as they are a second name in ``new``, and return the files to be written.

    The first name goes with the old folder. They are compared with their address like all others.
    """
    if not found or _ONLY in found:
        return files
    new.chmod(stat.S_IMODE(path.stat().st_mode))  # a folder that was closed to others stays closed
    rest = []
    for entry in files:
        same = entry.size >= _WORTH and found.get(entry.path) == entry.digest
        if same and _linked(path / entry.path, new / entry.path, entry):
            advance(entry.size)
        else:
            rest.append(entry)
    return rest


def _linked(place: Path, name: Path, entry: Entry) -> bool:
    """Give a file that has one name and the right mode another, if its content is right too."""
    status = place.lstat()
    if status.st_nlink != 1 or stat.S_IMODE(status.st_mode) != entry.mode:
        return False
    try:
        os.link(place, name)
    except OSError:  # no links to files here
        return False
    if hashed(os.fspath(name)) == entry.digest:
        return True
    name.unlink()
    return False


def _write(objects: Objects, files: Sequence[Entry], folder: Path, advance: Advance, link: bool) -> None:
    """Write the files as ``new`` in the folder made for them, verified."""
    named = [Entry(_named(entry.path), entry.mode, entry.size, entry.digest) for entry in files]
    if link:
        Copies(objects).link_files(named, folder, advance)
    else:
        write_files(objects, named, folder, advance)


def _named(path: str) -> str:
    return f"{_CONTENT}/{path}" if path else _CONTENT


def _move(new: Path, path: Path) -> None:
    try:
        moved(new, path)
    except OSError as error:
        if os.path.lexists(path):
            raise _appeared(path) from error
        raise


def _replace(new: Path, path: Path, before: Snapshot | None) -> None:
    """Swap ``new`` with what is at ``path``, unless that is not as it was ``before``."""
    old = new
    if not swapped(new, path):
        # such a system has no single step for it
        old = new.with_name("old")
        path.rename(old)
        try:
            moved(new, path)
        except BaseException:
            old.rename(path)
            raise
    if before is not None and not before.same_files(_state(old)):
        if old is new:
            swapped(new, path)
        else:
            path.rename(new)
            old.rename(path)
        raise Conflict(f"{path} changed while it was to be replaced", "nothing was replaced; try again")


def _put_aside(new: Path, path: Path) -> Path:
    """Let ``new`` take the place of what is at ``path``, and return where that is now."""
    aside = _free_name(path)
    mark = new.lstat().st_ino
    # from its final name on, what is there is never in a place that is tidied up
    moved(new, aside)
    try:
        if swapped(aside, path):
            return aside
    except BaseException:
        if aside.lstat().st_ino == mark:
            aside.rename(new)
        raise
    aside.rename(new)
    path.rename(aside)
    try:
        moved(new, path)
    except BaseException:
        aside.rename(path)
        raise
    return aside


def _free_name(path: Path) -> Path:
    number = 1
    while True:
        end = _ASIDE if number == 1 else f"{_ASIDE}-{number}"
        name = path.name if len(os.fsencode(path.name)) <= _LONGEST else ""
        if not os.path.lexists(place := path.with_name(name + end)):
            return place
        number += 1


def _thin(aside: Aside, found: Found) -> None:
    """Leave of what was replaced only the files that exist nowhere else."""
    if _ONLY in found:
        return
    left = set(aside.files)
    for name in found:
        if name not in left:
            (aside.place / name).unlink()
    for folder, _, _ in os.walk(aside.place, topdown=False):
        if folder != os.fspath(aside.place):
            with suppress(OSError):  # not empty
                Path(folder).rmdir()


def _is_free(path: Path, files: Sequence[Entry]) -> bool:
    """Whether nothing is at ``path``, or an empty folder where a folder is to be."""
    try:
        if not stat.S_ISDIR(path.lstat().st_mode):
            return False
        with os.scandir(path) as inside:
            return next(inside, None) is None and all(entry.path for entry in files)
    except FileNotFoundError:
        return True
    except OSError as error:
        raise _unwritable(path, error) from error


def _found(objects: Objects, path: Path) -> tuple[Snapshot, Found]:
    """Return what is at ``path``: its state, and its content by path."""
    try:
        state = _state(path)
        if path.is_symlink() or not path.is_dir():
            return state, {_ONLY: hashed(os.fspath(path))}
        return state, dict(state.digests(objects))
    except OSError as error:
        raise _unwritable(path, error) from error


def _state(path: Path) -> Snapshot:
    # what is known of files is known by their full path
    whole = Path(os.path.realpath(path.parent), path.name)
    return Snapshot(whole, "" if path.is_dir() and not path.is_symlink() else "file")


def _check_portable(path: str) -> None:
    """Raise ``BadInput`` for names that mean something else, or nothing, on this system."""
    if any(letter in '\\:*?"<>|' or ord(letter) < 32 for letter in path):
        raise BadInput(f"this system cannot hold a file named {path!r}", "check it out on another one")


def _occupied(path: Path, lost: Sequence[str], hint: str) -> Conflict:
    what = f"{path} is there already and holds something different"
    if list(lost) == [_ONLY]:
        return Conflict(what, hint)
    more = f" and {len(lost) - _NAMED} more" if len(lost) > _NAMED else ""
    names = ", ".join(repr(name) if not name.isprintable() else name for name in lost[:_NAMED])
    return Conflict(f"{what}: {names}{more}", hint)


def _appeared(path: Path) -> Conflict:
    return Conflict(f"{path} appeared while it was to be written", "nothing was written; try again")


def _unwritable(path: Path, error: OSError, needed: int = 0) -> MLOpsError:
    if isinstance(error, NotADirectoryError | FileExistsError):
        return BadInput(f"{path} cannot be written: {error.strerror}", "name a path in a folder")
    hint = f"it needs {needed / 1e6:,.1f} MB; check its folder and the free space; nothing was changed"
    return Failed(f"{path} cannot be written: {error.strerror or error}", hint)


@contextmanager
def _beside(path: Path, needed: int) -> Iterator[Path]:
    """Lend a folder beside ``path``, gone when the block ends, or with the next checkout after a kill."""
    folder, mark = None, None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _tidy(path.parent)
        while folder is None:
            folder = path.parent / secrets.token_hex(6).join(_PART)
            folder.mkdir(mode=0o700)
            try:
                mark = in_use(folder)
            except FileNotFoundError:  # another checkout took it for abandoned
                folder = None
        yield folder
    except MLOpsError:
        raise
    except OSError as error:
        raise _unwritable(path, error, needed) from error
    finally:
        if folder is not None:
            remove_all(folder)
        if mark is not None:
            os.close(mark)


def _tidy(parent: Path) -> None:
    """Remove what killed checkouts left in ``parent``."""
    before, after = _PART
    with suppress(OSError), os.scandir(parent) as entries:
        left = [
            entry.path for entry in entries if entry.name.startswith(before) and entry.name.endswith(after)
        ]
        for place in left:
            removed_if_abandoned(Path(place))
