"""Datasets: commits, finds and lists versions and moves their aliases. Handed out by ``Project``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import BadInput, Conflict, NotFound, close_matches
from ..objects import Entry, Objects
from ..people import Members, Role
from ..refs import check_alias, check_name, parse_ref
from ..store import Store, Transaction, aliases
from . import facts
from .checkouts import Checkouts
from .content import Contents
from .description import Descriptions
from .lineage import Lineage, Links, lineage_of
from .preparation import Preparation, keys_of
from .version import Dataset, DatasetVersion, Findings

if TYPE_CHECKING:
    from .diff import DatasetDiff
    from .remotes import Remotes
    from .transfer import Remote, Transfer

KIND = "data"
WORTH_COMPACTING = 1 << 20  # bytes of a version that are worth comparing with its predecessor's
Observer = Callable[[DatasetVersion], None]
# the service's methods list and aliases hide what they are called like from its annotations
_Numbers = dict[int, str]
_Moves = tuple[aliases.AliasMove, ...]


def _nothing() -> None:
    """Take no notice."""


class Datasets:
    """The datasets of one project, seen by one actor."""

    def __init__(
        self,
        store: Store,
        people: Members,
        objects: Objects,
        remotes: Remotes | None = None,
        links: Links | None = None,
        announce: Callable[[], None] = _nothing,
    ) -> None:
        self._store = store
        self._people = people
        self._objects = objects
        self._remotes = remotes
        self._links = links or Links()
        self._announce = announce
        self._readers: list[Observer] = []
        self._committers: list[Observer] = []
        self._descriptions = Descriptions(store, objects)
        self._preparation = Preparation(store, objects, self._descriptions)
        self._contents = Contents(
            objects,
            self._descriptions,
            Checkouts(objects, self._kept),
            lambda version: _tell(self._readers, version),
            self.lineage,
            lambda ref: remotes.hint(ref) if remotes else "",
        )

    def commit(
        self,
        name: str,
        source: Any,
        message: str = "",
        key: str | Sequence[str] | None = None,
        parents: Sequence[str | DatasetVersion] | str | DatasetVersion = (),
        schema: Any = None,
        *,
        verify: bool = False,
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
        verify
            Read every file, also those whose size, times and inode are as they were at an earlier commit.
        """
        check_name(name, KIND)
        keys = keys_of(key)
        refs = tuple(self.get(parent).ref for parent in _several(parents))
        self._people.require(Role.CONTRIBUTOR)
        with self._objects.holding():  # so that gc leaves alone what is stored and no fact yet
            prepared = self._preparation.prepared(name, source, schema, keys, verify)
            with self._people.write(Role.CONTRIBUTOR) as transaction:
                keyed = facts.remember_key(transaction, name, keys)
                number, note, again = facts.record(transaction, name, prepared, message, refs)
        version = self._version(name, number)
        dropped = message and message != version.message
        told = (
            note,
            f"its message stays {version.message!r}" if dropped and version.message else "",
            "the message is not kept" if dropped and not version.message else "",
            f"the key of {name} is now {', '.join(version.key) or 'none'}" if keyed else "",
            prepared.doubt,
        )
        version = replace(version, note="; ".join(one for one in told if one))
        if prepared.findings is not None and version.findings is not None:
            version = replace(version, findings=prepared.findings)
        _tell(self._committers, version)
        if (again and version.bytes >= WORTH_COMPACTING) or (version.tabular and not version.described):
            self._announce()
        return version

    def get(self, ref: str | DatasetVersion) -> DatasetVersion:
        """Return the version that ``ref`` names; raises ``NotFound`` with close matches."""
        if isinstance(ref, DatasetVersion):
            ref = ref.ref
        parsed = parse_ref(ref, KIND)
        numbers = self._numbers(parsed.name)
        there = [number for number, removed in numbers.items() if not removed]
        if parsed.number is not None:
            if parsed.number not in numbers:
                newest = f"v{there[-1]}" if len(there) == 1 else f"v{there[0]} to v{there[-1]}"
                raise NotFound(f"{parsed.name} has no version v{parsed.number}", f"it has {newest}")
            if parsed.number not in there:
                raise _removed(f"{parsed.name}@v{parsed.number}", numbers[parsed.number])
            return self._version(parsed.name, parsed.number)
        if parsed.alias in (None, "latest"):
            return self._version(parsed.name, there[-1])
        known = aliases.of(self._store, KIND, parsed.name)
        if parsed.alias not in known:
            hint = f"its aliases: {', '.join(known)}" if known else "it has no aliases; latest always works"
            if str(parsed.alias).isdecimal():
                hint = f"versions are written {parsed.name}@v{parsed.alias}"
                raise NotFound(f"{parsed.name} has no alias '{parsed.alias}'", hint)
            raise NotFound(
                f"{parsed.name} has no alias '{parsed.alias}'", close_matches(str(parsed.alias), known, hint)
            )
        return self._version(parsed.name, known[str(parsed.alias)])

    def list(self, removed: bool = False) -> tuple[Dataset, ...]:
        """Return every dataset with its latest version, by name.

        With ``removed`` those whose versions are all removed, too.
        """
        pointing = aliases.every(self._store, KIND)
        counted = {
            row["dataset"]: int(row["versions"])
            for row in self._store.all(
                "SELECT dataset, COUNT(*) AS versions FROM versions WHERE removed_at IS NULL GROUP BY dataset"
            )
        }
        found = []
        for row in sorted(self._store.all(facts.LATEST), key=lambda row: str(row["dataset"])):
            name = row["dataset"]
            latest = self._from_row(row, pointing.get(name, {}))
            if removed or not latest.removed:
                found.append(Dataset(name, latest, counted.get(name, 0), pointing.get(name, {}), latest.key))
        return tuple(found)

    def versions(self, name: str, removed: bool = False) -> tuple[DatasetVersion, ...]:
        """Return the versions of one dataset, the newest first, with ``removed`` hidden ones too."""
        name = parse_ref(name, KIND).name
        if not removed or not facts.numbers(self._store, name):
            self._numbers(name)
        return self._line(name, removed)

    def diff(
        self,
        a: str | DatasetVersion,
        b: str | DatasetVersion,
        key: str | Sequence[str] | None = None,
        tolerance: float | None = None,
        rows: int | None = 10,
    ) -> DatasetDiff:
        """Return what changed from version ``a`` to version ``b``: files, columns, rows and cells.

        Rows are matched by ``key``, else by the key that the dataset remembers; without one, as a whole.
        Numbers are equal within ``tolerance``, the share of them by which they may differ. Of each kind, the
        first ``rows`` changed, added and removed rows are kept to be seen, with ``None`` all of them.
        """
        from .diff.comparison import compare

        return compare(
            self.get(a),
            self.get(b),
            files=self.files,
            scratch=self._objects.scratch,
            key=keys_of(key),
            tolerance=tolerance,
            rows=rows,
        )

    def lineage(self, ref: str | DatasetVersion) -> Lineage:
        """Return what the version came from and what was made of it: versions, runs and models."""
        return lineage_of(self.get(ref), self._store, self._links)

    def aliases(self, name: str) -> dict[str, int]:
        """Return the aliases of a dataset and the numbers they point at."""
        return aliases.of(self._store, KIND, name)

    def alias(self, ref: str | DatasetVersion, alias: str, reason: str = "") -> DatasetVersion:
        """Point ``alias`` at the version that ``ref`` names and return it; every move is kept."""
        check_alias(alias)
        version = self.get(ref)
        with self._people.write(Role.CONTRIBUTOR) as transaction:
            _check_there(transaction, version)
            previous = aliases.holder(transaction, KIND, version.name, alias)
            if previous != version.number:
                aliases.move(transaction, KIND, version.name, alias, version.number, reason)
                transaction.event(
                    "data.aliased",
                    f"data:{version.ref}",
                    name=version.name,
                    alias=alias,
                    number=version.number,
                    previous=previous,
                )
        note = f"{alias} points at it already"
        if previous != version.number:
            note = f"{alias} moved here from v{previous}" if previous else f"{alias} points at it now"
        return replace(self._version(version.name, version.number), note=note)

    def unalias(self, name: str, alias: str, reason: str = "") -> DatasetVersion:
        """Take an alias away and return the version that it pointed at; its history is kept."""
        version = self.get(f"{parse_ref(name, KIND).name}@{alias}")
        check_alias(alias)
        with self._people.write(Role.CONTRIBUTOR) as transaction:
            aliases.remove(transaction, KIND, version.name, alias, reason)
            transaction.event(
                "data.unaliased",
                f"data:{version.ref}",
                name=version.name,
                alias=alias,
                previous=version.number,
            )
        note = f"{alias} points at it no more"
        return replace(self._version(version.name, version.number), note=note)

    def history(self, name: str, alias: str) -> _Moves:
        """Return every move of one alias of a dataset, the newest first."""
        name = parse_ref(name, KIND).name
        self._numbers(name)
        return aliases.history(self._store, KIND, name, alias)

    def remove(self, ref: str | DatasetVersion, reason: str = "") -> DatasetVersion:
        """Hide the version that ``ref`` names and return it; ``restore`` brings it back.

        Its number is never given again, and ``gc`` frees its bytes later. Raises ``Conflict`` while an alias,
        a run or a model refers to it.
        """
        version = self.get(ref)
        with self._people.write(Role.CONTRIBUTOR) as transaction:
            _check_there(transaction, version)
            pointing = [
                f"{version.name}@{alias}"
                for alias, number in aliases.of(transaction, KIND, version.name).items()
                if number == version.number
            ]
            if users := [*pointing, *self._links.users(transaction, version.ref)]:
                more = f" and {len(users) - 5} more" if len(users) > 5 else ""
                raise Conflict(
                    f"{version.ref} is in use by {', '.join(users[:5])}{more}",
                    "move the alias first" if pointing else "what a run or a model was made from stays",
                )
            transaction.execute(
                "UPDATE versions SET removed_at = :at WHERE dataset = :name AND number = :number",
                at=transaction.at,
                name=version.name,
                number=version.number,
            )
            transaction.event(
                "data.removed",
                f"data:{version.ref}",
                name=version.name,
                number=version.number,
                reason=reason,
            )
        note = f"removed; `mlops data restore {version.ref}` brings it back until gc frees its bytes"
        return replace(self._version(version.name, version.number), note=note)

    def restore(self, ref: str | DatasetVersion) -> DatasetVersion:
        """Bring the removed version that ``ref`` names back and return it.

        Raises ``Conflict`` if its bytes are gone.
        """
        from ..objects.upkeep.reach import lacking

        parsed = parse_ref(ref.ref if isinstance(ref, DatasetVersion) else ref, KIND)
        numbers = facts.numbers(self._store, parsed.name)
        if parsed.number is None:
            removed = [f"{parsed.name}@v{number}" for number, at in numbers.items() if at]
            raise BadInput(
                "restore needs the version's number",
                f"removed: {', '.join(removed)}" if removed else "none of it is removed",
            )
        if parsed.number not in numbers:
            self._numbers(parsed.name)
            raise NotFound(f"{parsed.name} has no version v{parsed.number}")
        with self._objects.holding(), self._people.write(Role.CONTRIBUTOR) as transaction:
            version = self._version(parsed.name, parsed.number)
            if version.removed:
                if lacking(self._objects, [(version.digest, True)]):
                    hint = self._remotes.hint(version.ref) if self._remotes else ""
                    raise Conflict(
                        f"{version.ref} was removed and gc has freed its bytes",
                        hint or "commit the same content again",
                    )
                transaction.execute(
                    "UPDATE versions SET removed_at = NULL WHERE dataset = :name AND number = :number",
                    name=version.name,
                    number=version.number,
                )
                transaction.event(
                    "data.restored", f"data:{version.ref}", name=version.name, number=version.number
                )
        note = "" if version.removed else "it was not removed"
        return replace(self._version(parsed.name, parsed.number), note=note)

    def push(self, ref: str | DatasetVersion | None = None, remote: str | None = None) -> Transfer:
        """Bring to a remote what it lacks of a version, of a dataset's versions, or of all."""
        return self._at_remotes().push(self, ref, remote)

    def pull(self, ref: str | DatasetVersion | None = None, remote: str | None = None) -> Transfer:
        """Fetch from a remote what is lacking here of a version, of a dataset's versions, or of all."""
        return self._at_remotes().pull(self, ref, remote)

    def remotes(self) -> tuple[Remote, ...]:
        """Return the remotes of the project."""
        return self._at_remotes().list()

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

    def undescribed(self) -> tuple[DatasetVersion, ...]:
        """Return the tables that nobody has described yet, the smallest first."""
        rows = self._store.all(
            f"{facts.VERSIONS} WHERE v.removed_at IS NULL AND v.kind <> 'folder' "  # noqa: S608 fixed text
            "AND s.profile_json IS NULL AND NOT EXISTS (SELECT 1 FROM descriptions p "
            "WHERE p.content = v.digest AND p.reading = v.reading AND p.problem IS NOT NULL) ORDER BY v.bytes"
        )
        return tuple(version for row in rows if (version := self._from_row(row, {})).tabular)

    def describe(self, version: DatasetVersion) -> Findings:
        """Find out what a table holds, and keep it."""
        return self._contents.describe(version)

    def roots(self) -> Iterator[tuple[str, bool]]:
        """Yield the digest of every version that is not removed; True says that it is a tree's."""
        for _, digest in self.named():
            yield digest, True

    def named(self) -> Iterator[tuple[str, str]]:
        """Yield the ref and the tree's digest of every version that is not removed."""
        for row in self._store.all(
            "SELECT dataset, number, digest FROM versions WHERE removed_at IS NULL ORDER BY dataset, number"
        ):
            yield f"{KIND}:{row['dataset']}@v{row['number']}", row["digest"]

    def families(self) -> Iterator[tuple[str, ...]]:
        """Yield the digests of one file in the successive versions of a dataset, those that differ."""
        lines: dict[str, list[tuple[str, str]]] = {}
        for row in self._store.all(
            "SELECT dataset, kind, digest FROM versions WHERE removed_at IS NULL ORDER BY dataset, number"
        ):
            lines.setdefault(row["dataset"], []).append((row["kind"], row["digest"]))
        for line in lines.values():
            paths: dict[str, dict[str, None]] = {}
            for kind, digest in dict.fromkeys(line):
                for entry in self._objects.tree(digest):
                    path = entry.path if kind == "folder" else ""  # one file is one line whatever its name
                    paths.setdefault(path, {})[entry.digest] = None
            yield from (tuple(digests) for digests in paths.values() if len(digests) > 1)

    def files(self, version: DatasetVersion) -> tuple[Entry, ...]:
        """Return the files of a version, by path."""
        return self._contents.files(version)

    def fact_of(self, ref: str | DatasetVersion) -> dict[str, Any]:
        """Return all that another project needs to have the version, as JSON-ready types."""
        version = self.get(ref)
        known = self._descriptions.known(version.digest, version.reading) if version.findings else None
        return {
            "name": version.name,
            "number": version.number,
            "digest": version.digest,
            "kind": version.kind,
            "files": version.files,
            "bytes": version.bytes,
            "reading": version.reading,
            "detail": {name: version.detail[name] for name in ("source", "modes") if name in version.detail},
            "parents": list(version.parents),
            "message": version.message,
            "at": version.at,
            "actor": version.actor,
            "key": list(version.key),
            "findings": known.to_dict() if known else None,
        }

    def known(self, name: str) -> tuple[tuple[int, str, str, str, bool], ...]:
        """Return number, digest, kind, reading and whether it is removed of a dataset's versions."""
        rows = self._store.all(
            "SELECT number, digest, kind, reading, removed_at FROM versions WHERE dataset = :name "
            "ORDER BY number",
            name=name,
        )
        return tuple(
            (int(row["number"]), row["digest"], row["kind"], row["reading"], row["removed_at"] is not None)
            for row in rows
        )

    def adopt(
        self, name: str, fact: Mapping[str, Any], number: int | None = None, times: int = 1, remote: str = ""
    ) -> DatasetVersion:
        """Record a version from another project whose bytes are stored here, and return it.

        If ``times`` versions, removed ones too, have its content, it is known already and nothing is written.
        """
        check_name(name, KIND)
        with self._people.write(Role.CONTRIBUTOR) as transaction:
            got, new = facts.adopt(transaction, name, fact, number, times, remote)
        version = self._version(name, got)
        return version if new else replace(version, note=f"known already: this is {version.ref}")

    def note_there(self, address: str, numbers: Mapping[tuple[str, int], int]) -> None:
        """Remember by dataset and number which numbers a remote gave to versions."""
        if numbers:
            with self._store.bookkeeping() as transaction:
                facts.note_there(transaction, address, numbers)

    def _numbers(self, name: str) -> _Numbers:
        """Return the numbers of a dataset's versions; raises ``NotFound`` where there is none to see."""
        found = facts.numbers(self._store, name)
        if not found:
            names = [row["name"] for row in self._store.all("SELECT name FROM datasets ORDER BY name")]
            hint = (
                "`mlops data list` shows what there is"
                if names
                else "`mlops data commit` makes the first one"
            )
            raise NotFound(f"there is no dataset '{name}'", close_matches(name, names, hint))
        if all(found.values()):
            newest = max(found)
            raise _removed(f"{name}@v{newest}", found[newest])
        return found

    def _line(self, name: str, removed: bool) -> tuple[DatasetVersion, ...]:
        pointing = aliases.of(self._store, KIND, name)
        which = "" if removed else "AND v.removed_at IS NULL "
        rows = self._store.all(
            f"{facts.VERSIONS} WHERE v.dataset = :name {which}ORDER BY v.number DESC",
            name=name,
        )
        return tuple(self._from_row(row, pointing) for row in rows)

    def _kept(self, name: str) -> Iterator[tuple[str, str]]:
        """Yield kind and digest of a dataset's versions, the newest first."""
        for row in self._store.all(
            "SELECT kind, digest FROM versions WHERE dataset = :name AND removed_at IS NULL "
            "ORDER BY number DESC",
            name=name,
        ):
            yield row["kind"], row["digest"]

    def _at_remotes(self) -> Remotes:
        if self._remotes is None:
            raise BadInput("these datasets were opened without a project, so they have no remotes")
        return self._remotes

    def _there(self, detail: Mapping[str, Any]) -> Mapping[str, int]:
        noted: Mapping[str, int] = detail.get("there") or {}
        names = self._remotes.names() if noted and self._remotes is not None else {}
        return {names[address]: number for address, number in noted.items() if address in names}

    def _version(self, name: str, number: int) -> DatasetVersion:
        row = self._store.one(
            f"{facts.VERSIONS} WHERE v.dataset = :name AND v.number = :number",
            name=name,
            number=number,
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
            parents=tuple(json.loads(row["parents"])),
            message=row["message"],
            at=row["at"],
            actor=row["actor"],
            key=tuple(json.loads(row["key_columns"])),
            aliases=tuple(alias for alias, number in pointing.items() if number == row["number"]),
            source=detail["source"],
            findings=facts.findings_from(row),
            described=bool(row["described"]),
            reading=row["reading"],
            removed=row["removed_at"] or "",
            there=self._there(detail),
            detail=detail,
            _content=self._contents,
        )


def _several(
    parents: Sequence[str | DatasetVersion] | str | DatasetVersion,
) -> Sequence[str | DatasetVersion]:
    return (parents,) if isinstance(parents, str | DatasetVersion) else parents


def _check_there(transaction: Transaction, version: DatasetVersion) -> None:
    """Raise ``NotFound`` if somebody removed the version since it was looked up."""
    if removed := facts.numbers(transaction, version.name).get(version.number, ""):
        raise _removed(version.ref, removed)


def _removed(ref: str, at: str) -> NotFound:
    return NotFound(f"{ref} was removed on {at[:10]}", f"`mlops data restore {ref}` brings it back")


def _tell(observers: Sequence[Observer], version: DatasetVersion) -> None:
    for observer in tuple(observers):
        observer(version)
