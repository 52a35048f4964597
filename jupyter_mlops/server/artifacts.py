"""Artifacts: what runs kept, to be looked at and to be taken away. Contents of pages, as in ``contents``.

A file may be anything, made by anybody who may log. So what a browser shows of it stands in a sandbox: it
runs no script, fetches nothing and has no origin; everything else is only ever saved.
"""

from __future__ import annotations

import mimetypes
import shutil
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO, cast
from urllib.parse import quote, unquote

from ..errors import NotFound
from ..project import Project
from ..runs import Artifact, Run
from ..runs.tracking.pictures import media_of
from ..views import formats
from ..views.preview import preview
from ..views.runs import artifact_path
from ..views.view import Cell, Heading, View, table
from .contents import Asked, Page

_TEXTS = {
    ".txt", ".log", ".md", ".csv", ".tsv", ".json", ".jsonl", ".yaml", ".yml", ".toml", ".ini", ".cfg",
    ".py", ".ipynb", ".sql", ".sh", ".xml", ".tex",
}  # fmt: skip
_PAGES = (".html", ".htm")
_MOST_FILES, _HEAD, _IN_MEMORY = 200, 1_024, 4_000_000


@dataclass(frozen=True, slots=True)
class Sent:
    """A file on its way to somebody: its name, media type and bytes, and whether a browser may show it."""

    name: str
    media: str
    data: BinaryIO
    shown: bool


def artifact(project: Project, asked: Asked) -> Page:
    """One artifact: what it is, what it looks like, and ways to open and to save it."""
    run, found = _found(project, asked)
    address = f"{artifact_path(run, found)}/content"
    blocks = [*preview(found)]
    if files := found.files:
        rows = [
            (Cell(one.path, link=f"{address}?path={quote(one.path, safe='')}"), formats.size(one.size))
            for one in files[:_MOST_FILES]
        ]
        more = max(len(files) - _MOST_FILES, 0)
        blocks += [Heading("Files"), table(("file", "size"), rows, numeric=("size",), more=more)]
    shown = "" if files else _media(found, found.name)[1]
    data = {
        "artifact": found,
        "value": asked.draw(found, heading=1),
        "content": asked.draw(View("", blocks=tuple(blocks)), heading=1) if blocks else "",
        "address": address,
        "opens": bool(shown),
        "framed": shown.startswith("text/html"),
        "steps": [("Runs", "runs"), (f"run {run.id}", run.path)],
    }
    return Page("artifact.html", found.name, data, "runs")


def artifact_content(project: Project, asked: Asked) -> Sent:
    """The bytes of an artifact, of one file in it, or a folder as a zip file."""
    _, found = _found(project, asked)
    path = asked.query.get("path", "")
    packed = bool(found.files) and not path
    name = f"{found.name}.zip" if packed else path or found.name
    if found.kind == "table":
        name = f"{name.removesuffix('.parquet')}.parquet"
    media, shown = ("application/zip", "") if packed else _media(found, name, path)
    saved = asked.query.get("download", "") not in ("", "0")
    # a copy, for a slow line may take the bytes when the project is no longer open
    copy = cast(BinaryIO, tempfile.SpooledTemporaryFile(_IN_MEMORY))  # noqa: SIM115 closed by the handler
    try:
        (_pack if packed else _copy)(found, path, copy)
        copy.seek(0)
    except BaseException:
        copy.close()
        raise
    return Sent(PurePosixPath(name).name, shown or media, copy, bool(shown) and not saved)


def _copy(found: Artifact, path: str, target: BinaryIO) -> None:
    with found.open(path) as source:
        shutil.copyfileobj(source, target, 1 << 20)


def _pack(found: Artifact, path: str, target: BinaryIO) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        for one in found.files:
            with found.open(one.path) as source, packed.open(one.path, "w", force_zip64=True) as inside:
                shutil.copyfileobj(source, inside, 1 << 20)


def _found(project: Project, asked: Asked) -> tuple[Run, Artifact]:
    id, name = asked.words[0], unquote(asked.words[1])
    run = project.runs.get(id)
    if name not in run.artifacts:
        raise NotFound(f"run {run.id} keeps no '{name}'", f"it keeps {', '.join(run.artifacts) or 'nothing'}")
    return run, run.artifacts[name]


def _media(found: Artifact, name: str, path: str = "") -> tuple[str, str]:
    """Return the media type of a file, and the one by which a browser shows it; empty where it does not."""
    suffix = PurePosixPath(name).suffix.lower()
    with found.open(path) as opened:
        picture = media_of(opened.read(_HEAD))
    if picture:
        return picture, picture
    media = mimetypes.guess_type(name)[0] or "application/octet-stream"
    if suffix in _PAGES:
        return "text/html", "text/html; charset=utf-8"
    if not path and found.kind in ("json", "figure", "chart"):
        return "application/json", "application/json"
    if suffix in _TEXTS or (not path and found.kind == "text"):
        return media, "text/plain; charset=utf-8"
    return media, ""
