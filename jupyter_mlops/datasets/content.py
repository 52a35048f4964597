"""Contents: what a version holds, given back as a table, as files, or as a copy. Made by ``Datasets``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import BadInput, Conflict, close_matches
from ..objects import Entry, Objects
from ..objects.blob import hexadecimal
from ..objects.checkout import holds_file, holds_tree
from .progress import progress
from .readers import Form, Reader, reader_for
from .version import DatasetVersion

FORMATS = ("pandas", "polars", "arrow", "path")


class Contents:
    """Loads and checks out versions, verified, and tells ``on_read`` about it."""

    def __init__(self, objects: Objects, on_read: Callable[[DatasetVersion], None]) -> None:
        self._objects = objects
        self._on_read = on_read

    def load(self, version: DatasetVersion, format: str | None) -> Any:
        """Return the version as a table in ``format``, or as the path of a read-only copy."""
        chosen = format or ("pandas" if version.tabular else "path")
        if chosen not in FORMATS:
            raise BadInput(
                f"{format!r} is no format", close_matches(chosen, FORMATS, f"known: {', '.join(FORMATS)}")
            )
        loaded = self._copy(version) if chosen == "path" else self._table(version, chosen)
        self._on_read(version)
        return loaded

    def checkout(self, version: DatasetVersion, path: str | Path | None) -> Path:
        """Write the version's files to ``path``, whole or not at all."""
        target = Path(path if path is not None else version.source).expanduser()
        entries = self._objects.tree(version.digest)
        with progress(version.ref, version.bytes) as advance:
            if version.kind == "folder":
                self._objects.checkout_tree(entries, target, _modes(version, entries), advance)
            else:
                if target.is_dir():
                    target = target / version.source
                entry = entries[0]
                self._objects.checkout(entry.digest, target, _modes(version, entries)[entry.path], advance)
        self._on_read(version)
        return target

    def _table(self, version: DatasetVersion, format: str) -> Any:
        reader, entry = self._reader(version)
        if reader is None or version.rows is None:
            raise BadInput(
                f"{version.ref} is no table", f'load it as "path", or check it out: {version.source}'
            )
        form = Form(version.columns, version.rows, version.detail.get("options", {}))
        with self._objects.lent(entry.digest, Path(entry.path).suffix) as path:
            if format == "polars":
                return reader.polars(path, form)
            table = reader.arrow(path, form)
        if format == "arrow":
            return table
        return table.to_pandas(date_as_object=reader.dates_as_objects)

    def _reader(self, version: DatasetVersion) -> tuple[Reader | None, Entry]:
        entry = self._objects.tree(version.digest)[0]
        return (None if version.kind == "folder" else reader_for(entry.path)), entry

    def _copy(self, version: DatasetVersion) -> Path:
        """Return a copy that the project keeps for reading, made again if it is not what was committed."""
        entries = self._objects.tree(version.digest)
        place = self._objects.folder / "copies" / hexadecimal(version.digest) / version.source
        readable = {path: (mode & 0o555) | 0o444 for path, mode in _modes(version, entries).items()}
        for attempt in (1, 2):
            if self._holds(version, place, entries):
                break
            if place.exists():
                with self._objects.scratch() as aside:
                    place.rename(aside / "old")
            try:
                if version.kind == "folder":
                    self._objects.checkout_tree(entries, place, readable)
                else:
                    self._objects.checkout(entries[0].digest, place, readable[entries[0].path])
            except Conflict:
                # somebody else made the copy at the same moment
                if attempt == 2:
                    raise
        return place

    def _holds(self, version: DatasetVersion, place: Path, entries: tuple[Entry, ...]) -> bool:
        if not place.exists():
            return False
        return (
            holds_tree(place, entries) if version.kind == "folder" else holds_file(place, entries[0].digest)
        )


def _modes(version: DatasetVersion, entries: tuple[Entry, ...]) -> dict[str, int]:
    """Return the permission bits of each file as they were committed."""
    recorded = version.detail.get("modes", {})
    return {entry.path: int(recorded.get(entry.path, recorded.get("", entry.mode))) for entry in entries}
