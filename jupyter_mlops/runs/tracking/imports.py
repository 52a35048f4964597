"""Imports: the project's own sources, copied at the moment a process imports them. Begun in a run's process.

What is imported is what is kept: whenever that happens, also if the file changes later or is deleted, and
if the process is killed. A repeated run begins with kept sources, which are found before all others.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import sysconfig
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from typing import Any

OUTSIDE = "outside"
_SOURCES, _LINES, _KEPT = "sources", "imports", "kept"
_MOST_BYTES = 5_000_000
_MOST_OUTSIDE = 300
_PACKAGE, _STDLIB = str(Path(__file__).parents[2]) + os.sep, str(Path(os.__file__).parent) + os.sep


@dataclass(frozen=True, slots=True)
class Imported:
    """The sources that were imported, by path below the project.

    ``paths`` are the folders in which Python found them; ``notes`` say what is not as it should be. What lies
    outside of the project is below ``outside/``.
    """

    files: Mapping[str, bytes] = field(default_factory=dict)
    paths: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return what is kept of it with the environment: all but the bytes."""
        return {"paths": list(self.paths), "notes": list(self.notes)}


class Recorder:
    """Copies what is imported: into memory, or to the folder ``target``, where it outlives the process.

    With a ``target`` the process is the run's own, and modules outside of the project are its sources too.
    """

    def __init__(self, root: Path, target: Path | None = None, kept: Path | None = None) -> None:
        self._root = root.resolve()
        self._kept = None if kept is None else kept.resolve()
        self._target = target
        self._guard = threading.RLock()
        _prefixes()  # now: under the guard, nothing may be imported
        self._places: dict[str, tuple[str, str] | None] = {}
        self._tops: dict[str, str] = {}
        self._outside = 0
        self.files: dict[str, bytes] = {}
        self.paths: dict[str, None] = {}
        self.notes: dict[str, None] = {}
        self.seen = 0

    def saw(self, name: str, file: str) -> None:
        """Copy the source of the module ``name``, which is being imported from ``file``."""
        with self._guard:
            self.seen += 1
            if (place := self._place(name, file)) is None:
                return
            try:
                data = Path(file).read_bytes()
            except OSError:
                return
            self._keep(*place, data)

    def loaded(self) -> Imported:
        """Return all of the project's sources in this process, those imported before the recording too."""
        for name, module in sys.modules.copy().items():  # others may import meanwhile
            file = getattr(module, "__file__", None)
            if not isinstance(file, str) or not file.endswith(".py"):
                continue
            with self._guard:
                place = self._place(name, file)
            if place is None or place[0] in self.files:
                continue
            if _changed_since_compiled(file):
                self._say(f"{place[0]} was edited after it was imported: the edited text is kept")
            self.saw(name, file)
        return self.imported()

    def imported(self) -> Imported:
        """Return what was recorded."""
        return Imported(dict(self.files), tuple(self.paths), tuple(self.notes))

    def _place(self, name: str, file: str) -> tuple[str, str] | None:
        """Return under what path a module is kept and where Python found it; ``None`` if it is not ours."""
        if file not in self._places:
            self._places[file] = self._placed(name, file)
        return self._places[file]

    def _placed(self, name: str, file: str) -> tuple[str, str] | None:
        if "site-packages" in file or file.startswith((_STDLIB, _PACKAGE)):
            return None
        path = Path(os.path.realpath(file))
        if path.suffix != ".py":
            return None
        depth = name.count(".") + (path.name == "__init__.py")
        top = path.parents[min(depth, len(path.parents) - 1)]
        for base in (self._kept, self._root):
            if base is None or not path.is_relative_to(base):
                continue
            below = path.relative_to(base)
            hidden = any(part.startswith(".") for part in below.parts)
            if hidden or installed(path, base):
                return None
            return below.as_posix(), top.relative_to(base).as_posix() if top.is_relative_to(base) else "."
        # of a process that is not the run's own, the script alone is what ran
        if (self._target is None and name != "__main__") or installed(path, None):
            return None
        self._outside += 1
        if self._outside > _MOST_OUTSIDE:
            self._say(f"more than {_MOST_OUTSIDE} modules outside of the project: the rest is not kept")
            return None
        folder = self._tops.setdefault(str(top), _free(top.name or "root", self._tops.values()))
        return f"{OUTSIDE}/{folder}/{path.relative_to(top).as_posix()}", f"{OUTSIDE}/{folder}"

    def _keep(self, key: str, path: str, data: bytes) -> None:
        if len(data) > _MOST_BYTES:
            self._say(f"{key} has {len(data):,} bytes: it is not kept")
            return
        if key in self.files:
            if self.files[key] == data:
                return
            self._say(f"{key} changed while the run went on, and was imported again: the last text is kept")
        self.files[key] = data
        self.paths[path] = None
        if self._target is not None:
            copy = self._target / _SOURCES / key
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(data)
            self._write({"path": path})

    def _say(self, note: str) -> None:
        if note not in self.notes:
            self.notes[note] = None
            self._write({"note": note})

    def _write(self, line: Mapping[str, str]) -> None:
        if self._target is not None:
            with (self._target / _LINES).open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(line) + "\n")


class KeptFinder:
    """Finds the modules that are kept before any others, wherever a notebook says that they are."""

    def __init__(self, paths: Sequence[str], names: Sequence[str]) -> None:
        self._paths = list(paths)
        self._names = frozenset(names)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return where the kept module ``name`` is, or ``None`` if it is not kept."""
        if path is not None or name not in self._names:
            return None
        return PathFinder.find_spec(name, self._paths)


_ORIGINAL = SourceFileLoader.path_stats
_recorders: list[Recorder] = []
_patched = threading.Lock()


def begin(root: str, target: str, kept: str = "", paths: Sequence[str] = ()) -> None:
    """Record every import of this process from now on; called in a notebook's kernel before its first cell.

    With ``kept``, a folder made by ``laid_out``, the modules in it are found before all others, in ``paths``.
    """
    folder = Path(target)
    (folder / _SOURCES).mkdir(parents=True, exist_ok=True)
    _watch(Recorder(Path(root), folder, Path(kept) if kept else None))
    if kept:
        places = [os.path.normpath(os.path.join(kept, path)) for path in paths]
        names = [
            entry.name.removesuffix(".py")
            for place in places
            if os.path.isdir(place)
            for entry in os.scandir(place)
            if not entry.is_symlink()
        ]
        sys.path[:0] = places
        sys.meta_path.insert(0, KeptFinder(places, names))


@contextlib.contextmanager
def recording(root: Path) -> Iterator[Recorder]:
    """Record the imports of this process, in memory, while the block runs."""
    recorder = Recorder(root)
    _watch(recorder)
    try:
        yield recorder
    finally:
        _unwatch(recorder)


def collected(target: Path) -> Imported | None:
    """Return what a process that began with ``target`` has imported; ``None`` if it never began."""
    folder = target / _SOURCES
    if not folder.is_dir():
        return None
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    paths: dict[str, None] = {}
    notes: dict[str, None] = {}
    with contextlib.suppress(OSError):
        for text in (target / _LINES).read_text("utf-8").splitlines():
            with contextlib.suppress(ValueError):  # the process was killed while it wrote the last line
                line = json.loads(text)
                if "path" in line:
                    paths[line["path"]] = None
                else:
                    notes[line["note"]] = None
    return Imported(files, tuple(paths), tuple(notes))


def laid_out(sources: Mapping[str, bytes], root: Path, work: Path) -> Path:
    """Write kept sources below ``work``, as they lay in the project, and return that folder.

    What else lies beside them in the project is linked: modules read files that are next to them.
    """
    folder = work / _KEPT
    places = {Path()}
    for key, data in sources.items():
        file = folder / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        places.update(Path(key).parents)
    for place in places:
        with contextlib.suppress(OSError):  # the folder is gone, or links cannot be made here
            for entry in os.scandir(root / place):
                link = folder / place / entry.name
                if not entry.name.startswith(".") and entry.name != "__pycache__" and not link.exists():
                    link.symlink_to(entry.path)
    return folder


def installed(path: Path, root: Path | None) -> bool:
    """Return whether a source file belongs to the interpreter or a distribution, so that a version names it.

    Below ``root`` only what lies in an environment of its own does.
    """
    if "site-packages" in path.parts or "dist-packages" in path.parts:
        return True
    return any(
        path.is_relative_to(prefix) and not (root is not None and root.is_relative_to(prefix))
        for prefix in _prefixes()
    )


@cache
def _prefixes() -> list[Path]:
    named = {sys.prefix, sys.base_prefix, sysconfig.get_path("stdlib"), sysconfig.get_path("purelib")}
    return [Path(os.path.realpath(prefix)) for prefix in named if prefix]


def _watch(recorder: Recorder) -> None:
    """Have ``recorder`` told of every source file that becomes a module, however it was found."""
    with _patched:
        _recorders.append(recorder)
        SourceFileLoader.path_stats = _path_stats  # type: ignore[method-assign]


def _unwatch(recorder: Recorder) -> None:
    with _patched:
        _recorders.remove(recorder)
        if not _recorders and SourceFileLoader.path_stats is _path_stats:
            SourceFileLoader.path_stats = _ORIGINAL  # type: ignore[method-assign]


def _path_stats(self: Any, path: Any) -> Any:
    # a loader looks at its file just before it reads it; here, and not around the reading, because a frame
    # of ours would be seen in the traceback of a module with a syntax error
    for recorder in tuple(_recorders):
        with contextlib.suppress(Exception):  # whatever happens here, the user's import goes on
            recorder.saw(self.name, path)
    return _ORIGINAL(self, path)


def _changed_since_compiled(file: str) -> bool:
    """Return whether a module's file is newer than the byte code that Python wrote when it imported it."""
    from importlib.util import cache_from_source

    try:
        header = Path(cache_from_source(file)).read_bytes()[:16]
        status = os.stat(file)
    except (OSError, NotImplementedError, ValueError):
        return False
    if len(header) < 16 or int.from_bytes(header[4:8], "little") != 0:  # named by hash, not by time
        return False
    compiled = (int.from_bytes(header[8:12], "little"), int.from_bytes(header[12:16], "little"))
    return compiled != (int(status.st_mtime) & 0xFFFFFFFF, status.st_size & 0xFFFFFFFF)


def _free(name: str, taken: Any) -> str:
    known = set(taken)
    return next(
        each for each in (name, *(f"{name}-{n}" for n in range(2, len(known) + 3))) if each not in known
    )
