"""Keeping: stores what made a run of the caller's own code, paying for what changed. Used by ``Tracking``."""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ...objects import Entry, Objects
from ..ledger import Kept
from ..plain import canonical
from .capture import environment
from .imports import Imported, Recorder, recording

_CELL = "cell.py"


class Keeping:
    """The sources and the environment of one process, as its runs find them.

    Imports are recorded from the first run to the end of the process: a module that is edited later is
    kept as it was imported.
    """

    def __init__(self, objects: Objects, root: Path) -> None:
        self._objects = objects
        self._root = root
        self._guard = threading.Lock()
        self._recorder: Recorder | None = None
        self._loaded = (-1, -1, Imported())
        self._sources: tuple[Mapping[str, bytes], str | None, list[str]] = ({}, None, [])
        self._environment: tuple[Mapping[str, Any], str] = ({}, "")

    def begin(self) -> None:
        """Record what is imported from now on."""
        with self._guard:
            if self._recorder is None:
                stack = ExitStack()
                self._recorder = stack.enter_context(recording(self._root))
                weakref.finalize(self, stack.close)

    def keep(self, code: str | None) -> Kept:
        """Store sources and environment, and ``code`` as a source; the caller holds what is stored."""
        self.begin()
        with self._guard:
            imported = self._imported()
            files = dict(imported.files)
            if code is not None:
                files[_CELL] = code.encode("utf-8", "replace")
            document = {**environment(), "sources": imported.to_dict()}
            known, sources, pieces = self._sources
            described, digest = self._environment
            # the digests are from an earlier run, which may be gone with all that it kept
            if known == files and described == document and not self._objects.missing([*pieces, digest]):
                return Kept(None, sources, digest)
            with self._objects.batch() as batch:
                entries = [
                    Entry(path, 0o644, len(data), batch.put_bytes(data))
                    for path, data in sorted(files.items())
                ]
                sources = batch.put_tree(entries) if entries else None
                digest = batch.put_bytes(canonical(document))
            pieces = [entry.digest for entry in entries] + ([sources] if sources else [])
            self._sources, self._environment = (files, sources, pieces), (document, digest)
            return Kept(None, sources, digest)

    def _imported(self) -> Imported:
        modules, seen, imported = self._loaded
        if self._recorder is not None and (modules, seen) != (len(sys.modules), self._recorder.seen):
            # there are thousands of modules: going through them takes as long as all the rest of a run
            imported = self._recorder.loaded()
            self._loaded = (len(sys.modules), self._recorder.seen, imported)
        return imported
