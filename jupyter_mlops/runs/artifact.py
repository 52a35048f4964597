"""Artifacts: files, folders, tables, figures, texts and models that a run keeps. Made by ``ActiveRun``."""

from __future__ import annotations

import io
import json
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from ..charts import Figure, GraphNode, Rule, Series
from ..datasets.progress import progress
from ..datasets.source import opened
from ..errors import BadInput, Failed, NotFound, close_matches
from ..objects import Entry, Objects
from ..objects.files.checkout import Manner, place_file, place_tree, refuse_ours
from ..value import Value
from .plain import plain
from .tracking.pictures import Drawn, Picture, drawn, media_of, shown_file
from .written import Written

_TABLES = ("DataFrame", "LazyFrame", "Table", "RecordBatch")
_LARGEST_PICTURE = 20_000_000
_PARQUET = ".parquet"
_OCCUPIED = "name another path, or replace it with --force (force=True), which moves it aside"


class SavedModel(Protocol):
    """What the models' ring answers when it stores an estimator."""

    @property
    def digest(self) -> str: ...
    @property
    def bytes(self) -> int: ...
    @property
    def detail(self) -> Mapping[str, Any]: ...


SaveModel = Callable[[Any, Any], SavedModel]
LoadModel = Callable[[str], Any]


class Keeper(Protocol):
    """Where an artifact finds its bytes."""

    @property
    def objects(self) -> Objects: ...
    @property
    def load_model(self) -> LoadModel | None: ...


@dataclass(frozen=True, slots=True)
class Artifact(Value):
    """What a run keeps by name.

    ``kind`` is ``file``, ``folder``, ``table``, ``model``, ``json``, ``text``, ``picture``, ``figure`` (one
    of ours) or ``chart`` (one of another library, as it describes itself).
    """

    name: str
    kind: str
    digest: str
    bytes: int
    detail: Mapping[str, Any] = field(default_factory=dict)
    _keeper: Keeper | None = field(default=None, compare=False, repr=False)

    def load(self) -> Any:
        """Return the content, verified.

        Bytes of a file or picture, the path of a read-only copy of a folder, a pandas DataFrame of a table, a
        figure, the estimator of a model, a text, or what JSON holds.
        """
        keeper = self._bound()
        if self.kind == "model":
            if keeper.load_model is None:
                raise Failed(f"the model {self.name} cannot be loaded here", "open it through a project")
            return keeper.load_model(self.digest)
        if self.kind == "folder":
            place = keeper.objects.folder / "copies" / self.digest.partition(":")[2] / "folder"
            entries = keeper.objects.tree(self.digest)
            keeper.objects.checkout_tree(entries, place, {entry.path: 0o444 for entry in entries})
            return place
        if self.kind == "table":
            import pandas

            return pandas.read_parquet(io.BytesIO(keeper.objects.read(self.digest)))
        if self.kind == "figure":
            return _figure(json.loads(keeper.objects.read(self.digest)))
        if self.kind in ("json", "chart"):
            return json.loads(keeper.objects.read(self.digest))
        if self.kind == "text":
            return keeper.objects.read(self.digest).decode()
        return keeper.objects.read(self.digest)

    @property
    def is_read(self) -> bool:
        """Whether it was read from a project, so that its bytes can be had."""
        return self._keeper is not None

    @property
    def has_picture(self) -> bool:
        """Whether ``picture`` has something to show."""
        return self.kind == "figure" or "picture" in self.detail

    def picture(self) -> Picture | Figure | None:
        """Return what it looks like, verified: a figure of ours, or an image that browsers show."""
        if self.kind == "figure":
            return _figure(json.loads(self._bound().objects.read(self.digest)))
        beside = self.detail.get("picture")
        return Picture(beside["media"], self._bound().objects.read(beside["digest"])) if beside else None

    @property
    def files(self) -> tuple[Entry, ...]:
        """The files of a folder or a model, by their paths in it; anything else is one file by itself."""
        return self._bound().objects.tree(self.digest) if self.kind in ("folder", "model") else ()

    def open(self, path: str = "") -> BinaryIO:
        """Return the stored bytes, to be read and verified; of a folder those of its file ``path``."""
        digest = self.digest
        if files := self.files:
            found = [entry.digest for entry in files if entry.path == path]
            if not found:
                known = close_matches(path, (entry.path for entry in files))
                raise NotFound(f"there is no file '{path}' in {self.name}", known)
            digest = found[0]
        return self._bound().objects.open(digest)

    def checkout(self, path: str | Path) -> Path:
        """Write the stored bytes to ``path`` and return it.

        Raises ``Conflict`` if something else is there.
        """
        return self.check_out(path).path

    def check_out(self, path: str | Path | None = None, *, force: bool = False) -> Written:
        """Write the stored bytes to ``path``, whole or not at all, and return where they are.

        Without ``path`` under its own name, here; a single file may go into an existing folder. Raises
        ``Conflict`` if something else is there; with ``force`` that is moved to ``PATH.replaced``.
        """
        objects, name = self._bound().objects, self.file_name
        target = Path(path if path is not None else name).expanduser()
        folder = self.kind in ("folder", "model")
        if not folder and target.is_dir():
            target = target / name
        refuse_ours(objects, target, name, folder)
        manner = Manner(force=force, aside=True, hint=_OCCUPIED)
        with progress(self.name, self.bytes) as advance:
            if folder:
                aside = place_tree(objects, objects.tree(self.digest), target, {}, advance, manner)
            else:
                aside = place_file(objects, self.digest, target, 0o644, advance, manner)
        return Written(target, aside.place if aside else None)

    @property
    def file_name(self) -> str:
        """What its file or folder is called unless somebody says otherwise."""
        name = Path(self.name).name or "artifact"
        return name if self.kind != "table" else f"{name.removesuffix(_PARQUET)}{_PARQUET}"

    def to_dict(self) -> dict[str, Any]:
        """Return the artifact as JSON-ready types."""
        return {
            "name": self.name,
            "kind": self.kind,
            "digest": self.digest,
            "bytes": self.bytes,
            "detail": dict(self.detail),
        }

    def _bound(self) -> Keeper:
        if self._keeper is None:
            raise TypeError(f"artifact {self.name} was not read from a project, so it has no bytes to load")
        return self._keeper


def stored(objects: Objects, source: Any, name: str | None) -> Artifact:
    """Make the bytes of ``source`` durable and describe them; raises ``BadInput`` for what cannot be kept."""
    if isinstance(source, str) and "\n" in source:
        return stored_text(objects, source, name)
    if isinstance(source, str | Path):
        return _of_path(objects, source, name)
    if isinstance(source, Figure):
        data = _json(source.to_dict(), sort_keys=True)
        return _of_bytes(objects, name or "figure", "figure", data, {"alt": source.alt})
    if type(source).__name__ in _TABLES:
        return _of_path(objects, source, name or "table")
    if isinstance(source, Mapping | list | tuple):
        name = name or "data.json"
        return _of_bytes(objects, name, "json", _json(plain(source, f"artifact {name}")), {})
    if isinstance(source, bytes) and name is not None:
        return _of_bytes(objects, name, "file", source, _shown(source))
    if (figure := drawn(source, name)) is not None:
        return _of_drawn(objects, figure)
    raise BadInput(
        f"a {type(source).__name__} cannot be an artifact",
        "give a path, a DataFrame, a figure, a list or dict; save anything else to a file first",
    )


def stored_text(objects: Objects, text: str, name: str | None) -> Artifact:
    """Make a text durable and describe it."""
    return _of_bytes(objects, name or "text.txt", "text", text.encode("utf-8", "replace"), {})


def _of_path(objects: Objects, source: Any, name: str | None) -> Artifact:
    if isinstance(source, str | Path) and _is_empty(Path(source).expanduser()):
        # no version of data, but a log; files in /proc say that they are empty
        data = Path(source).expanduser().read_bytes()
        return _of_bytes(objects, name or Path(source).name, "file", data, {})
    # a table's file is called so by itself
    with opened((name or "").removesuffix(_PARQUET), source, None, objects) as found:
        media = shown_file(found.readable) if found.kind == "file" and found.readable else None
        with objects.batch() as batch, progress(found.name, found.size) as advance:
            kept = found.store(objects, batch, advance)
        if found.kind == "folder":
            return Artifact(name or found.name, "folder", kept.digest, kept.bytes, {"files": kept.files})
        detail: dict[str, Any] = {"source": found.name}
        if media is not None and kept.bytes <= _LARGEST_PICTURE:
            detail["picture"] = {"media": media, "bytes": kept.bytes, "digest": kept.only}
        return Artifact(name or found.name, found.kind, kept.only, kept.bytes, detail)


def _is_empty(path: Path) -> bool:
    try:
        status = path.stat()
    except (OSError, ValueError):  # why it cannot be had is told when it is opened
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size == 0


def _of_drawn(objects: Objects, figure: Drawn) -> Artifact:
    detail = dict(figure.detail)
    picture = figure.picture or Picture(str(detail.get("media", "")), figure.data)
    with objects.batch() as batch:
        digest = batch.put_bytes(figure.data)
        if figure.picture is not None or figure.kind == "picture":
            beside = batch.put_bytes(picture.data)
            detail["picture"] = {**picture.to_dict(), "digest": beside}
    return Artifact(figure.name, figure.kind, digest, len(figure.data), detail)


def _of_bytes(objects: Objects, name: str, kind: str, data: bytes, detail: Mapping[str, Any]) -> Artifact:
    digest = objects.put_bytes(data)
    if "picture" in detail:
        detail = {"picture": {**detail["picture"], "digest": digest}}
    return Artifact(name, kind, digest, len(data), detail)


def _shown(data: bytes) -> dict[str, Any]:
    media = media_of(data)
    return {"picture": Picture(media, data).to_dict()} if media else {}


def _json(document: Any, sort_keys: bool = False) -> bytes:
    return json.dumps(document, ensure_ascii=False, sort_keys=sort_keys).encode()


def _figure(document: Mapping[str, Any]) -> Figure:
    listed: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in document.items()
        if name not in ("series", "rules", "nodes", "edges")
    }
    series = tuple(Series(s["name"], tuple(s["x"]), tuple(s["y"])) for s in document["series"])
    rules = tuple(Rule(r["label"], r["value"], r["axis"]) for r in document["rules"])
    nodes = tuple(GraphNode(**node) for node in document.get("nodes", ()))
    edges = tuple((start, end) for start, end in document.get("edges", ()))
    return Figure(series=series, rules=rules, nodes=nodes, edges=edges, **listed)
