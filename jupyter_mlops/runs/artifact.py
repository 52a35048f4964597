"""Artifacts: files, folders, tables, figures and models that a run keeps. Made by ``ActiveRun``."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ..charts import Figure, Rule, Series
from ..datasets.source import opened
from ..errors import BadInput, Failed
from ..objects import Objects
from ..value import Value

_TABLES = ("DataFrame", "LazyFrame", "Table", "RecordBatch")
_PICTURES = {".png": "image/png", ".svg": "image/svg+xml", ".pdf": "application/pdf"}


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
    """What a run keeps by name: ``file``, ``folder``, ``table``, ``figure``, ``picture`` or ``model``."""

    name: str
    kind: str
    digest: str
    bytes: int
    detail: Mapping[str, Any] = field(default_factory=dict)
    _keeper: Keeper | None = field(default=None, compare=False, repr=False)

    def load(self) -> Any:
        """Return the content, verified.

        Bytes of a file or picture, the path of a read-only copy of a folder, a pandas DataFrame of a table, a
        figure, or the estimator of a model.
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
        return keeper.objects.read(self.digest)

    def checkout(self, path: str | Path) -> Path:
        """Write the stored bytes to ``path`` and return it.

        Raises ``Conflict`` if something else is there.
        """
        target = Path(path).expanduser()
        objects = self._bound().objects
        if self.kind in ("folder", "model"):
            objects.checkout_tree(objects.tree(self.digest), target)
        else:
            if target.is_dir():
                target = target / Path(self.name).name
            objects.checkout(self.digest, target)
        return target

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
    if isinstance(source, Figure):
        data = json.dumps(source.to_dict(), ensure_ascii=False, sort_keys=True).encode()
        return _of_bytes(objects, name or "figure", "figure", data, {"alt": source.alt})
    if callable(getattr(source, "savefig", None)):
        return _picture(objects, source, name or "figure.png")
    if type(source).__name__ in _TABLES:
        name = name or "table"
    elif not isinstance(source, str | Path):
        raise BadInput(
            f"a {type(source).__name__} cannot be an artifact",
            "give a path, a DataFrame, or a figure; save anything else to a file first",
        )
    with opened(name or "", source, None, objects) as found:
        with objects.batch() as batch:
            kept = found.store(objects, batch, lambda _: None)
        if found.kind == "folder":
            return Artifact(name or found.name, "folder", kept.digest, kept.bytes, {"files": kept.files})
        return Artifact(name or found.name, found.kind, kept.only, kept.bytes, {"source": found.name})


def _picture(objects: Objects, figure: Any, name: str) -> Artifact:
    suffix = Path(name).suffix.lower()
    if suffix not in _PICTURES:
        name, suffix = f"{name}.png", ".png"
    buffer = io.BytesIO()
    figure.savefig(buffer, format=suffix[1:], bbox_inches="tight")
    return _of_bytes(objects, name, "picture", buffer.getvalue(), {"media": _PICTURES[suffix]})


def _of_bytes(objects: Objects, name: str, kind: str, data: bytes, detail: Mapping[str, Any]) -> Artifact:
    return Artifact(name, kind, objects.put_bytes(data), len(data), detail)


def _figure(document: Mapping[str, Any]) -> Figure:
    listed: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in document.items()
        if name not in ("series", "rules")
    }
    series = tuple(Series(s["name"], tuple(s["x"]), tuple(s["y"])) for s in document["series"])
    rules = tuple(Rule(r["label"], r["value"], r["axis"]) for r in document["rules"])
    return Figure(series=series, rules=rules, **listed)
