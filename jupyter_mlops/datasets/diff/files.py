"""Files: which paths two versions share, and where their content differs. Called by ``comparison``."""

from __future__ import annotations

from collections.abc import Sequence

from ...objects import Entry
from .value import FileChanges


def changes(before: Sequence[Entry], after: Sequence[Entry]) -> FileChanges:
    """Compare two listings of files by their paths and digests."""
    old, new = ({entry.path: entry for entry in entries} for entries in (before, after))
    shared = [path for path in old if path in new]
    changed = tuple(sorted(path for path in shared if old[path].digest != new[path].digest))
    added = tuple(sorted(path for path in new if path not in old))
    removed = tuple(sorted(path for path in old if path not in new))
    sizes = {
        path: (
            old[path].size if path in old else None,
            new[path].size if path in new else None,
        )
        for path in (*changed, *added, *removed)
    }
    return FileChanges(added, removed, changed, len(shared) - len(changed), sizes)
