"""The values of this ring: datasets, versions, columns and their profiles. Returned by ``Datasets``."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import BadInput
from ..value import Value

if TYPE_CHECKING:
    import polars as pl

    from ..objects import Entry
    from .lineage import Lineage

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


@dataclass(frozen=True, slots=True)
class Form:
    """How a file reads as a table: what a reader found out once, and needs to read it the same ever after.

    ``notes`` are sentences about what such a file cannot carry, or how it had to be read.
    """

    columns: tuple[Column, ...]
    rows: int
    options: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Findings:
    """What is known of a table: its form, and the profile of each column once that is made."""

    form: Form
    profile: tuple[ColumnProfile, ...] = ()

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return self.form.rows

    @property
    def columns(self) -> tuple[Column, ...]:
        """Its columns."""
        return self.form.columns

    @property
    def notes(self) -> tuple[str, ...]:
        """What the file cannot carry, or how it had to be read."""
        return self.form.notes

    def to_dict(self) -> dict[str, Any]:
        """Return the findings as JSON-ready types."""
        return {
            "rows": self.rows,
            "columns": [[column.name, column.type] for column in self.columns],
            "options": dict(self.form.options),
            "notes": list(self.notes),
            "profile": [column.to_dict() for column in self.profile],
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Findings:
        """Return the findings that ``to_dict`` described."""
        columns = tuple(Column(str(name), str(word)) for name, word in document["columns"])
        notes = tuple(str(note) for note in document["notes"])
        form = Form(columns, int(document["rows"]), dict(document["options"]), notes)
        return cls(form, tuple(ColumnProfile.from_dict(column) for column in document["profile"]))


class Content(Protocol):
    """What gives a version its bytes, and what is in them; the service that made it."""

    def load(self, version: DatasetVersion, format: str | None, columns: Sequence[str] | None) -> Any: ...

    def checkout(
        self, version: DatasetVersion, path: str | Path | None, *, link: bool, force: bool
    ) -> Checkout: ...

    def tables(self, version: DatasetVersion) -> tuple[str, ...]: ...

    def files(self, version: DatasetVersion) -> tuple[Entry, ...]: ...

    def form(self, version: DatasetVersion, path: str | None) -> Form: ...

    def scan(self, version: DatasetVersion, path: str | None) -> AbstractContextManager[pl.LazyFrame]: ...

    def scan_in_full(
        self, version: DatasetVersion, path: str | None, texts: Collection[str]
    ) -> AbstractContextManager[tuple[pl.LazyFrame, Path]]: ...

    def batches(
        self, version: DatasetVersion, path: str | None, columns: Sequence[str] | None
    ) -> AbstractContextManager[Any]: ...

    def describe(self, version: DatasetVersion) -> Findings: ...

    def lineage(self, version: DatasetVersion) -> Lineage: ...


@dataclass(frozen=True, slots=True)
class DatasetVersion(Value):
    """One immutable version of a dataset. Two are equal when name, number and digest are.

    ``digest`` is that of the content alone: the same wherever the same content is. ``rows``, ``columns`` and
    ``profile`` are of tables; those of a big one are found out when they are first asked for, and kept.
    ``findings`` is what is known of them already. ``key`` is remembered with the dataset. ``note`` says when
    a commit found its content known already, ``removed`` since when the version is hidden. ``there`` are its
    numbers in those remotes that gave it another one.
    """

    name: str
    number: int
    digest: str
    kind: str = field(compare=False)
    files: int = field(compare=False)
    bytes: int = field(compare=False)
    parents: tuple[str, ...] = field(compare=False)
    message: str = field(compare=False)
    at: str = field(compare=False)
    actor: str = field(compare=False)
    key: tuple[str, ...] = field(compare=False)
    aliases: tuple[str, ...] = field(compare=False)
    source: str = field(compare=False)
    findings: Findings | None = field(default=None, compare=False, repr=False)
    described: bool = field(default=False, compare=False, repr=False)
    reading: str = field(default="", compare=False, repr=False)
    removed: str = field(default="", compare=False, repr=False)
    note: str = field(default="", compare=False)
    there: Mapping[str, int] = field(default_factory=dict, compare=False, repr=False)
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
        """Whether it loads as a table, by its kind and the end of its name."""
        from .readers import is_table

        return self.kind == "table" or (self.kind == "file" and is_table(self.source))

    @property
    def rows(self) -> int | None:
        """How many rows the table has; ``None`` for what is no table."""
        return self.form().rows if self.tabular else None

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns of the table; none of what is no table."""
        return self.form().columns if self.tabular else ()

    @property
    def profile(self) -> tuple[ColumnProfile, ...]:
        """What each column holds; nothing of what is no table."""
        return self._described().profile if self.tabular else ()

    def describe(self) -> Description:
        """Return the version with the profile of every column and what is around it, to look at."""
        problem = ""
        if self.tabular:
            try:
                self._described()
            except BadInput as error:  # what cannot be read as a table can be shown all the same
                problem = str(error)
        lineage = self._content.lineage(self) if self._content else None
        files = self.contents() if self.kind == "folder" and self._content else ()
        return Description(self, problem, lineage, files)

    def contents(self) -> tuple[Entry, ...]:
        """Return the files of the version, each with its path, size and digest."""
        return self._bound().files(self)

    def form(self, path: str | None = None) -> Form:
        """Return how the version, or the file ``path`` of a folder, reads as a table."""
        if path is not None or not self.tabular:
            return self._bound().form(self, path)
        if self.findings is None:
            return self._learnt(Findings(self._bound().form(self, None))).form
        return self.findings.form

    def tables(self) -> tuple[str, ...]:
        """Return the paths inside the version that load as tables."""
        return self._bound().tables(self)

    def load(self, format: str | None = None, columns: Sequence[str] | None = None) -> Any:
        """Return the content as ``"pandas"``, ``"polars"``, ``"arrow"`` or ``"path"``, verified.

        The default is pandas for tables, a path for everything else. A path is a read-only copy that the
        project keeps; to work on the files, check them out. ``columns`` names those wanted of a table, in
        their order; of what is stored by column nothing else is read.
        """
        return self._bound().load(self, format, columns)

    def scan(self, path: str | None = None) -> AbstractContextManager[pl.LazyFrame]:
        """Lend the table, or the file ``path`` of a folder, as a polars query that may run in pieces."""
        return self._bound().scan(self, path)

    def scan_in_full(
        self, path: str | None = None, texts: Collection[str] = ()
    ) -> AbstractContextManager[tuple[pl.LazyFrame, Path]]:
        """Do what ``scan`` does with all that the file holds, an index without a name too, and lend the file.

        The columns ``texts`` of a text file come as their texts.
        """
        return self._bound().scan_in_full(self, path, texts)

    def batches(
        self, path: str | None = None, columns: Sequence[str] | None = None
    ) -> AbstractContextManager[Any]:
        """Lend the table, or the file ``path`` of a folder, as an Arrow reader of some rows at a time."""
        return self._bound().batches(self, path, columns)

    def checkout(self, path: str | Path | None = None, *, link: bool = False, force: bool = False) -> Path:
        """Write the committed bytes to ``path``, at once or not at all, and return where they are.

        Without ``path`` they get the name under which they were committed, in the current folder. A single
        file may go into an existing folder. An unchanged checkout of another version is replaced; raises
        ``Conflict`` where something would be lost; with ``force``, that stays beside the path, under its
        name with ``.replaced`` at the end. With ``link`` the files are read-only and share their bytes with
        the store.
        """
        return self.check_out(path, link=link, force=force).path

    def check_out(
        self, path: str | Path | None = None, *, link: bool = False, force: bool = False
    ) -> Checkout:
        """Do what ``checkout`` does, and return also what was replaced and exists nowhere else."""
        return self._bound().checkout(self, path, link=link, force=force)

    def to_dict(self) -> dict[str, Any]:
        """Return the version as JSON-ready types; of its table what is known already."""
        found = self.findings
        return {
            "ref": self.ref,
            "name": self.name,
            "number": self.number,
            "digest": self.digest,
            "kind": self.kind,
            "files": self.files,
            "bytes": self.bytes,
            "tabular": self.tabular,
            "rows": found.rows if found else None,
            "columns": [{"name": column.name, "type": column.type} for column in found.columns]
            if found
            else [],
            "profile": [profile.to_dict() for profile in found.profile] if found else [],
            "parents": list(self.parents),
            "message": self.message,
            "at": self.at,
            "actor": self.actor,
            "key": list(self.key),
            "aliases": list(self.aliases),
            "source": self.source,
            "removed": self.removed,
            "there": dict(self.there),
            "note": self.note,
        }

    def _described(self) -> Findings:
        if self.findings is None or not self.findings.profile:
            return self._learnt(self._bound().describe(self))
        return self.findings

    def _learnt(self, findings: Findings) -> Findings:
        # what the bytes hold cannot change, so a frozen value may come to know it
        object.__setattr__(self, "findings", findings)
        return findings

    def _bound(self) -> Content:
        if self._content is None:
            raise TypeError(f"{self.ref} was not made by a project, so it has no bytes to load")
        return self._content


@dataclass(frozen=True, slots=True)
class Checkout:
    """Where a version was written. ``files`` were there before, are in no version, and are ``aside`` now."""

    path: Path
    aside: Path | None = None
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Description(Value):
    """A version seen in full: every column with its type, what is missing, its range and its shape.

    ``problem`` says why a file cannot be read as the table that its name promises. ``lineage`` is what the
    version came from and what was made of it.
    """

    version: DatasetVersion
    problem: str = ""
    lineage: Lineage | None = None
    files: tuple[Entry, ...] = ()

    @property
    def ref(self) -> str:
        """How to name the version."""
        return self.version.ref

    def load(self, format: str | None = None, columns: Sequence[str] | None = None) -> Any:
        """Return the content of the version, as its own ``load`` does."""
        return self.version.load(format, columns)

    @property
    def path(self) -> str:
        """Where the page shows it."""
        return self.version.path

    def to_dict(self) -> dict[str, Any]:
        """Return the version as JSON-ready types, its profile and the files of a folder included."""
        files = [{"path": one.path, "size": one.size, "digest": one.digest} for one in self.files]
        return self.version.to_dict() | {"contents": files}


@dataclass(frozen=True, slots=True)
class Dataset(Value):
    """A dataset as a line in a listing: its latest version, how many there are, where its aliases point.

    Removed versions do not count; ``latest`` is one where there is no other.
    """

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
    def removed(self) -> str:
        """Since when there is nothing left of it but removed versions, or ""."""
        return self.latest.removed

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
