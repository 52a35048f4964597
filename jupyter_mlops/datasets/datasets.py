"""Datasets: commits, finds and lists versions and moves their aliases. Handed out by ``Project``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..errors import BadInput, NotFound, close_matches
from ..objects import Objects
from ..people import Members, Role
from ..refs import check_alias, check_name, parse_ref
from ..store import Store, Transaction, aliases
from ..store.events import canonical
from . import source as sources
from .content import Contents
from .progress import progress
from .version import Column, ColumnProfile, Dataset, DatasetVersion

KIND = "data"
# the service's method list hides the type from its annotations
_Columns = list[list[str]]
_Profiles = list[dict[str, Any]]
_Numbers = list[int]
Observer = Callable[[DatasetVersion], None]
_VERSIONS = "SELECT v.*, d.key_columns FROM versions v JOIN datasets d ON d.name = v.dataset"
_LATEST = f"{_VERSIONS} WHERE v.number = (SELECT MAX(number) FROM versions WHERE dataset = v.dataset)"  # noqa: S608 fixed text


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A version whose bytes are stored and which is no fact yet."""

    digest: str
    kind: str
    files: int
    bytes: int
    rows: int | None
    columns: _Columns
    profile: _Profiles
    detail: Mapping[str, Any]
    declared: bool

    def same_as(self, row: Mapping[str, Any]) -> bool:
        """Whether a stored version has this content, and loads as the caller of commit declared."""
        if (row["digest"], row["kind"]) != (self.digest, self.kind):
            return False
        return not self.declared or json.loads(row["columns_json"]) == self.columns


class Datasets:
    """The datasets of one project, seen by one actor."""

    def __init__(self, store: Store, people: Members, objects: Objects) -> None:
        self._store = store
        self._people = people
        self._objects = objects
        self._readers: list[Observer] = []
        self._committers: list[Observer] = []
        self._contents = Contents(objects, lambda version: _tell(self._readers, version))

    def commit(
        self,
        name: str,
        source: Any,
        message: str = "",
        key: str | Sequence[str] | None = None,
        parents: Sequence[str | DatasetVersion] | str | DatasetVersion = (),
        schema: Any = None,
    ) -> DatasetVersion:
        """Make ``source`` the next version of the dataset ``name`` and return it.

        Content equal to the latest version is that version, and its ``note`` says so.

        Parameters
        ----------
        source
            A path of a file or folder, a pandas or polars DataFrame, or an Arrow table. Files keep their
            bytes; CSV, Parquet and JSON lines load as tables.
        key
            The columns that tell rows apart; remembered with the dataset.
        parents
            Refs of the versions that this one was made from.
        schema
            Types by column, such as ``{"zip": "string"}``, where those found in the data are not meant.
        """
        check_name(name, KIND)
        keys = _keys(key)
        refs = tuple(self.get(parent).ref for parent in _several(parents))
        self._people.require(Role.CONTRIBUTOR)
        prepared = self._prepared(name, source, schema)
        _check_key(keys, prepared)
        with self._people.write(Role.CONTRIBUTOR) as transaction:
            number, note = _recorded(transaction, name, prepared, message, keys, refs)
        version = replace(self._version(name, number), note=note)
        _tell(self._committers, version)
        return version

    def get(self, ref: str | DatasetVersion) -> DatasetVersion:
        """Return the version that ``ref`` names; raises ``NotFound`` with close matches."""
        if isinstance(ref, DatasetVersion):
            ref = ref.ref
        parsed = parse_ref(ref, KIND)
        numbers = self._numbers(parsed.name)
        if parsed.number is not None:
            if parsed.number not in numbers:
                newest = f"v{numbers[-1]}" if len(numbers) == 1 else f"v{numbers[0]} to v{numbers[-1]}"
                raise NotFound(f"{parsed.name} has no version v{parsed.number}", f"it has {newest}")
            return self._version(parsed.name, parsed.number)
        if parsed.alias in (None, "latest"):
            return self._version(parsed.name, numbers[-1])
        known = aliases.of(self._store, KIND, parsed.name)
        if parsed.alias not in known:
            hint = f"its aliases: {', '.join(known)}" if known else "it has no aliases; latest always works"
            raise NotFound(
                f"{parsed.name} has no alias '{parsed.alias}'", close_matches(str(parsed.alias), known, hint)
            )
        return self._version(parsed.name, known[str(parsed.alias)])

    def list(self) -> tuple[Dataset, ...]:
        """Return every dataset with its latest version, by name."""
        pointing = aliases.every(self._store, KIND)
        counted = {
            row["dataset"]: int(row["versions"])
            for row in self._store.all("SELECT dataset, COUNT(*) AS versions FROM versions GROUP BY dataset")
        }
        rows = self._store.all(_LATEST)
        found = []
        for row in sorted(rows, key=lambda row: str(row["dataset"])):
            name = row["dataset"]
            latest = self._from_row(row, pointing.get(name, {}))
            found.append(Dataset(name, latest, counted.get(name, 1), pointing.get(name, {}), latest.key))
        return tuple(found)

    def versions(self, name: str) -> tuple[DatasetVersion, ...]:
        """Return the versions of one dataset, the newest first."""
        name = parse_ref(name, KIND).name
        self._numbers(name)
        pointing = aliases.of(self._store, KIND, name)
        rows = self._store.all(_VERSIONS + " WHERE v.dataset = :name ORDER BY v.number DESC", name=name)
        return tuple(self._from_row(row, pointing) for row in rows)

    def alias(self, ref: str | DatasetVersion, alias: str, reason: str = "") -> DatasetVersion:
        """Point ``alias`` at the version that ``ref`` names and return it; every move is kept."""
        check_alias(alias)
        version = self.get(ref)
        with self._people.write(Role.CONTRIBUTOR) as transaction:
            if aliases.holder(transaction, KIND, version.name, alias) != version.number:
                previous = aliases.move(transaction, KIND, version.name, alias, version.number, reason)
                transaction.event(
                    "data.aliased",
                    f"data:{version.ref}",
                    name=version.name,
                    alias=alias,
                    number=version.number,
                    previous=previous,
                )
        return self._version(version.name, version.number)

    def history(self, name: str, alias: str) -> tuple[aliases.AliasMove, ...]:
        """Return every move of one alias of a dataset, the newest first."""
        name = parse_ref(name, KIND).name
        self._numbers(name)
        return aliases.history(self._store, KIND, name, alias)

    def observe(
        self, on_read: Observer | None = None, on_commit: Observer | None = None
    ) -> Callable[[], None]:
        """Call ``on_read`` after loads and checkouts, ``on_commit`` after commits; the result ends that."""
        observed = [(self._readers, on_read), (self._committers, on_commit)]
        for observers, observer in observed:
            if observer is not None:
                observers.append(observer)

        def end() -> None:
            for observers, observer in observed:
                if observer in observers:
                    observers.remove(observer)

        return end

    def _prepared(self, name: str, given: Any, schema: Any) -> _Prepared:
        """Store the bytes of what was given, durably, and describe it, once for equal content."""
        with sources.opened(name, given, schema, self._objects) as source:
            with self._objects.batch() as batch, progress(name, source.size) as advance:
                entries = source.store(batch, advance)
                digest = batch.put_tree(entries)
                columns, profile, rows, options = self._described(name, digest, source)
            detail = {"source": source.name, "modes": dict(source.modes), "options": options}
            return _Prepared(
                digest,
                source.kind,
                len(entries),
                sum(entry.size for entry in entries),
                rows,
                columns,
                profile,
                detail,
                source.schema is not None,
            )

    def _described(
        self, name: str, digest: str, source: sources.Source
    ) -> tuple[_Columns, _Profiles, int | None, Mapping[str, Any]]:
        if source.schema is None and (known := self._with_content(name, digest, source.kind)):
            options = json.loads(known["detail"])["options"]
            return (
                json.loads(known["columns_json"]),
                json.loads(known["profile_json"]),
                known["row_count"],
                options,
            )
        form = source.form()
        if form is None:
            return [], [], None, {}
        columns = [[column.name, column.type] for column in form.columns]
        return columns, source.profile(form), form.rows, form.options

    def _with_content(self, name: str, digest: str, kind: str) -> dict[str, Any] | None:
        return self._store.one(
            "SELECT * FROM versions WHERE dataset = :name AND digest = :digest AND kind = :kind "
            "ORDER BY number DESC LIMIT 1",
            name=name,
            digest=digest,
            kind=kind,
        )

    def _numbers(self, name: str) -> _Numbers:
        rows = self._store.all("SELECT number FROM versions WHERE dataset = :name ORDER BY number", name=name)
        if not rows:
            names = [row["name"] for row in self._store.all("SELECT name FROM datasets ORDER BY name")]
            hint = (
                "`mlops data list` shows what there is"
                if names
                else "`mlops data commit` makes the first one"
            )
            raise NotFound(f"there is no dataset '{name}'", close_matches(name, names, hint))
        return [int(row["number"]) for row in rows]

    def _version(self, name: str, number: int) -> DatasetVersion:
        row = self._store.one(
            _VERSIONS + " WHERE v.dataset = :name AND v.number = :number", name=name, number=number
        )
        if row is None:
            raise NotFound(f"{name} has no version v{number}")
        return self._from_row(row, aliases.of(self._store, KIND, name))

    def _from_row(self, row: Mapping[str, Any], pointing: Mapping[str, int]) -> DatasetVersion:
        detail = json.loads(row["detail"])
        return DatasetVersion(
            name=row["dataset"],
            number=int(row["number"]),
            digest=row["digest"],
            kind=row["kind"],
            files=int(row["files"]),
            bytes=int(row["bytes"]),
            rows=None if row["row_count"] is None else int(row["row_count"]),
            columns=tuple(Column(*column) for column in json.loads(row["columns_json"])),
            profile=tuple(ColumnProfile.from_dict(each) for each in json.loads(row["profile_json"])),
            parents=tuple(json.loads(row["parents"])),
            message=row["message"],
            at=row["at"],
            actor=row["actor"],
            key=tuple(json.loads(row["key_columns"])),
            aliases=tuple(alias for alias, number in pointing.items() if number == row["number"]),
            source=detail["source"],
            detail=detail,
            _content=self._contents,
        )


def _recorded(
    transaction: Transaction,
    name: str,
    prepared: _Prepared,
    message: str,
    keys: tuple[str, ...] | None,
    parents: tuple[str, ...],
) -> tuple[int, str]:
    """Make ``prepared`` a fact unless it is the latest version already; return its number and what to note.

    Another process may have committed since the bytes were read, so the latest version is looked up here.
    """
    _remember_key(transaction, name, keys)
    latest = transaction.one(
        "SELECT * FROM versions WHERE dataset = :name ORDER BY number DESC LIMIT 1", name=name
    )
    if latest is not None and prepared.same_as(latest):
        return int(latest["number"]), f"unchanged: this is {name}@v{latest['number']}"
    older = transaction.one(
        "SELECT MAX(number) AS number FROM versions WHERE dataset = :name AND digest = :digest",
        name=name,
        digest=prepared.digest,
    )
    number = int(latest["number"]) + 1 if latest is not None else 1
    transaction.insert(
        "versions",
        dataset=name,
        number=number,
        digest=prepared.digest,
        kind=prepared.kind,
        files=prepared.files,
        bytes=prepared.bytes,
        row_count=prepared.rows,
        columns_json=canonical(prepared.columns),
        profile_json=canonical(prepared.profile),
        detail=canonical(prepared.detail),
        parents=canonical(parents),
        message=message,
        at=transaction.at,
        actor=transaction.actor,
    )
    transaction.event(
        "data.committed",
        f"data:{name}@v{number}",
        name=name,
        number=number,
        digest=prepared.digest,
        kind=prepared.kind,
        rows=prepared.rows,
        bytes=prepared.bytes,
        message=message,
    )
    shared = older["number"] if older else None
    return number, "" if shared is None else f"same content as {name}@v{shared}"


def _remember_key(transaction: Transaction, name: str, keys: tuple[str, ...] | None) -> None:
    known = transaction.one("SELECT key_columns FROM datasets WHERE name = :name", name=name)
    text = canonical(keys or ())
    if known is None:
        transaction.insert(
            "datasets", name=name, key_columns=text, at=transaction.at, actor=transaction.actor
        )
    elif keys is not None and known["key_columns"] != text:
        transaction.execute(
            "UPDATE datasets SET key_columns = :text WHERE name = :name", text=text, name=name
        )
        transaction.event(
            "data.keyed", f"data:{name}", name=name, key=list(keys), previous=json.loads(known["key_columns"])
        )


def _keys(key: str | Sequence[str] | None) -> tuple[str, ...] | None:
    if key is None:
        return None
    keys = (key,) if isinstance(key, str) else tuple(key)
    if len(set(keys)) < len(keys):
        raise BadInput("key names a column twice")
    return keys


def _check_key(keys: tuple[str, ...] | None, prepared: _Prepared) -> None:
    names = [name for name, _ in prepared.columns]
    for key in keys or ():
        if key not in names:
            hint = close_matches(
                key, names, f"columns: {', '.join(names[:10])}" if names else "it is no table"
            )
            raise BadInput(f"there is no column {key!r} to be a key", hint)


def _several(
    parents: Sequence[str | DatasetVersion] | str | DatasetVersion,
) -> Sequence[str | DatasetVersion]:
    return (parents,) if isinstance(parents, str | DatasetVersion) else parents


def _tell(observers: Sequence[Observer], version: DatasetVersion) -> None:
    for observer in tuple(observers):
        observer(version)
