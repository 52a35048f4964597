"""The values of this ring: datasets, versions, columns and their profiles. Returned by ``Datasets``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ..value import Value

Scalar = int | float | str


@dataclass(frozen=True, slots=True)
class Column:
    """A column's name and the word for its type, such as ``int64``, ``string`` or ``datetime[us, UTC]``."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """What one column holds, in a few numbers.

    ``missing`` counts nulls and NaN; the rest is of the other values, and of numbers the finite ones.
    ``quantiles`` are at 5, 25, 50, 75 and 95 %. ``edges`` and ``counts`` are the histogram of numbers and
    dates: a bin holds its lower edge and what is below its upper one, the last bin both. ``top`` are the most
    frequent texts, categories or booleans. ``sampled`` is 0 where all of that is exact; else ``distinct`` is
    an estimate, and quantiles, histogram and ``top`` are of that many evenly spaced rows.
    """

    name: str
    type: str
    missing: int
    distinct: int | None = None
    min: Scalar | None = None
    max: Scalar | None = None
    mean: float | None = None
    quantiles: tuple[float, ...] = ()
    edges: tuple[Scalar, ...] = ()
    counts: tuple[int, ...] = ()
    top: tuple[tuple[str, int], ...] = ()
    sampled: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the profile as JSON-ready types."""
        return {
            name: [list(item) if isinstance(item, tuple) else item for item in value]
            if isinstance(value := getattr(self, name), tuple)
            else value
            for name in self.__slots__
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> ColumnProfile:
        """Return the profile that ``to_dict`` described."""
        lists = {name: tuple(document[name]) for name in ("quantiles", "edges", "counts")}
        top = tuple((str(text), int(count)) for text, count in document["top"])
        return cls(**{**document, **lists, "top": top})


class Content(Protocol):
    """What gives a version its bytes; the service that made it."""

    def load(self, version: DatasetVersion, format: str | None) -> Any: ...

    def checkout(self, version: DatasetVersion, path: str | Path | None) -> Path: ...


@dataclass(frozen=True, slots=True)
class DatasetVersion(Value):
    """One immutable version of a dataset. Two are equal when name, number and digest are.

    ``digest`` is that of the content alone: the same wherever the same content is. ``rows`` is ``None`` and
    ``columns`` is empty for what is no table. ``key`` is remembered with the dataset. ``note`` says when a
    commit found its content known already.
    """

    name: str
    number: int
    digest: str
    kind: str = field(compare=False)
    files: int = field(compare=False)
    bytes: int = field(compare=False)
    rows: int | None = field(compare=False)
    columns: tuple[Column, ...] = field(compare=False, repr=False)
    profile: tuple[ColumnProfile, ...] = field(compare=False, repr=False)
    parents: tuple[str, ...] = field(compare=False)
    message: str = field(compare=False)
    at: str = field(compare=False)
    actor: str = field(compare=False)
    key: tuple[str, ...] = field(compare=False)
    aliases: tuple[str, ...] = field(compare=False)
    source: str = field(compare=False)
    note: str = field(default="", compare=False)
    detail: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    _content: Content | None = field(default=None, compare=False, repr=False)

    @property
    def ref(self) -> str:
        """How to name this version: ``customers@v2``."""
        return f"{self.name}@v{self.number}"

    @property
    def path(self) -> str:
        """Where the page shows it."""
        return f"data/{self.name}/{self.number}"

    @property
    def tabular(self) -> bool:
        """Whether it loads as a table."""
        return self.rows is not None

    def describe(self) -> Description:
        """Return the version with the profile of every column, to look at."""
        return Description(self)

    def load(self, format: str | None = None) -> Any:
        """Return the content as ``"pandas"``, ``"polars"``, ``"arrow"`` or ``"path"``, verified.

        The default is pandas for tables, a path for everything else. A path is a read-only copy that the
        project keeps; to work on the files, check them out.
        """
        return self._bound().load(self, format)

    def checkout(self, path: str | Path | None = None) -> Path:
        """Write the committed bytes to ``path``, at once or not at all, and return where they are.

        Without ``path`` they get the name under which they were committed, in the current folder. A single
        file may go into an existing folder. Raises ``Conflict`` if something different is there already.
        """
        return self._bound().checkout(self, path)

    def to_dict(self) -> dict[str, Any]:
        """Return the version as JSON-ready types."""
        return {
            "ref": self.ref,
            "name": self.name,
            "number": self.number,
            "digest": self.digest,
            "kind": self.kind,
            "files": self.files,
            "bytes": self.bytes,
            "rows": self.rows,
            "columns": [{"name": column.name, "type": column.type} for column in self.columns],
            "profile": [profile.to_dict() for profile in self.profile],
            "parents": list(self.parents),
            "message": self.message,
            "at": self.at,
            "actor": self.actor,
            "key": list(self.key),
            "aliases": list(self.aliases),
            "source": self.source,
            "note": self.note,
        }

    def _bound(self) -> Content:
        if self._content is None:
            raise TypeError(f"{self.ref} was not made by a project, so it has no bytes to load")
        return self._content


@dataclass(frozen=True, slots=True)
class Description(Value):
    """A version seen in full: every column with its type, what is missing, its range and its shape."""

    version: DatasetVersion

    @property
    def ref(self) -> str:
        """How to name the version."""
        return self.version.ref

    @property
    def path(self) -> str:
        """Where the page shows it."""
        return self.version.path

    def to_dict(self) -> dict[str, Any]:
        """Return the version as JSON-ready types, its profile included."""
        return self.version.to_dict()


@dataclass(frozen=True, slots=True)
class Dataset(Value):
    """A dataset as a line in a listing: its latest version, how many there are, where its aliases point."""

    name: str
    latest: DatasetVersion
    versions: int
    aliases: Mapping[str, int]
    key: tuple[str, ...]

    @property
    def ref(self) -> str:
        """How to name it."""
        return self.name

    @property
    def path(self) -> str:
        """Where the page shows it."""
        return f"data/{self.name}"

    def to_dict(self) -> dict[str, Any]:
        """Return the dataset as JSON-ready types; its latest version without columns and profile."""
        latest = self.latest.to_dict()
        del latest["columns"], latest["profile"]
        return {
            "name": self.name,
            "versions": self.versions,
            "aliases": dict(self.aliases),
            "key": list(self.key),
            "latest": latest,
        }
