"""Files: which paths two versions share, and where their content differs. Called by ``comparison``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...objects import Entry
from .value import FileChanges


def changes(before: Sequence[Entry], after: Sequence[Entry]) -> FileChanges:
    """Compare two listings of files by their paths and digests."""
    old, new = ({entry.path: entry for entry in entries} for entries in (before, after))
    shared = [path for path in old if path in new]
    changed = tuple(sorted(path for path in shared if old[path].digest != new[path].digest))
    there = sorted(path for path in new if path not in old)
    gone = sorted(path for path in old if path not in new)
    renamed = _renamed({path: old[path] for path in gone}, {path: new[path] for path in there})
    added = tuple(path for path in there if path not in {now for _, now in renamed})
    removed = tuple(path for path in gone if path not in {was for was, _ in renamed})
    sizes = {
        path: (
            old[path].size if path in old else None,
            new[path].size if path in new else None,
        )
        for path in (*changed, *added, *removed)
    }
    sizes |= {now: (new[now].size, new[now].size) for _, now in renamed}
    return FileChanges(added, removed, changed, len(shared) - len(changed), sizes, renamed)


def _renamed(gone: Mapping[str, Entry], there: Mapping[str, Entry]) -> tuple[tuple[str, str], ...]:
    """Return pairs of a path that is gone and a new one with the same content; empty files tell nothing."""
    waiting: dict[str, list[str]] = {}
    for path, entry in there.items():
        if entry.size:
            waiting.setdefault(entry.digest, []).append(path)
    return tuple((path, waiting[one.digest].pop(0)) for path, one in gone.items() if waiting.get(one.digest))
