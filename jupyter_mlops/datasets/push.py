"""The push: one transfer of versions to a remote. Made by ``Remotes``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from ..objects import Objects
from ..objects.blob import raw_digest
from ..objects.remotes.remote import RemoteObjects
from ..objects.remotes.upload import upload
from ..refs import parse_ref
from . import shipped
from .shipped import KIND, Content
from .shipping import Refs, Versions, as_far_as_possible, bar, by_content, refs_of, several
from .transfer import Moved, Transfer
from .version import DatasetVersion


class Push:
    """One push."""

    def __init__(self, there: RemoteObjects, versions: Versions, objects: Objects, remote: str) -> None:
        self._there = there
        self._versions = versions
        self._objects = objects
        self._remote = remote
        self._refs: dict[str, Refs] = {}
        self._bytes = 0

    def run(self, chosen: Sequence[DatasetVersion], told: Callable[[str, Iterable[Moved]], None]) -> Transfer:
        """Push ``chosen`` and return what was done; those that are whole travel even if others are not."""
        times = _times(self._versions, {version.name for version in chosen})
        done: dict[str, Moved] = {}
        for version in chosen:
            known = self._at(version.name).numbers(_content(version))
            if len(known) >= times[version.ref]:
                there = f"{version.name}@v{known[times[version.ref] - 1]}"
                done[version.ref] = Moved(version.ref, there, "known")
        sent, failure = as_far_as_possible(self._to_send(chosen, done), self._send)
        pushed = []
        try:
            for version in sent:
                if version.ref in done:
                    continue  # only bytes were lost there
                pushed.append(self._refer(version, times[version.ref]))
        finally:
            if new := [moved for moved in pushed if moved.state == "pushed"]:
                told(self._remote, new)
        if failure is not None:
            raise failure
        everything = done | {moved.here: moved for moved in pushed}
        faults = [fault for refs in self._refs.values() for fault in refs.faults]
        return Transfer(
            "push",
            self._remote,
            self._there.url,
            tuple(everything[version.ref] for version in chosen),
            self._bytes,
            "; ".join(faults),
        )

    def _to_send(self, chosen: Sequence[DatasetVersion], done: Mapping[str, Moved]) -> list[DatasetVersion]:
        """Return the versions that are not there, or may have lost bytes there; a named one is looked at."""
        if self._there.lost or len(chosen) == 1:
            return list(chosen)
        absent = self._there.known.lacking({raw_digest(version.digest) for version in chosen})
        return [
            version for version in chosen if version.ref not in done or raw_digest(version.digest) in absent
        ]

    def _send(self, versions: Sequence[DatasetVersion]) -> None:
        roots = [(version.digest, True) for version in versions]
        sent = upload(self._there, self._objects, roots, bar(f"push {several(versions)}"))
        self._bytes += sent.bytes

    def _refer(self, version: DatasetVersion, times: int) -> Moved:
        """Write the ref of a version whose bytes are there, under its number or the next free one."""
        fact = self._versions.fact_of(version)
        parents = {ref: digest for ref in version.parents if (digest := self._digest(ref))}
        while True:
            refs = self._at(version.name)
            known = refs.numbers(_content(version))
            if len(known) >= times:  # somebody else has just pushed it
                return Moved(version.ref, f"{version.name}@v{known[times - 1]}", "known")
            number = refs.free(version.number)
            body = shipped.written(version.name, number, fact, parents)
            if self._there.create_ref(shipped.file_of(version.name, number), body):
                refs.add(shipped.read(version.name, number, body, self._there.url))
                return Moved(version.ref, f"{version.name}@v{number}", "pushed")
            del self._refs[version.name]  # taken meanwhile

    def _at(self, name: str) -> Refs:
        if name not in self._refs:
            self._refs[name] = refs_of(self._there, shipped.folder_of(name))[name]
        return self._refs[name]

    def _digest(self, ref: str) -> str:
        parsed = parse_ref(ref, KIND)
        known = {number: digest for number, digest, *_ in self._versions.known(parsed.name)}
        return known.get(parsed.number or 0, "")


def chosen_by(versions: Versions, ref: str | DatasetVersion | None) -> list[DatasetVersion]:
    """Return the versions that ``ref`` names, the oldest first: a bare name means all of them."""
    if ref is None:
        return [
            version for dataset in versions.list() for version in reversed(versions.versions(dataset.name))
        ]
    if isinstance(ref, str) and parse_ref(ref, KIND).bare:
        return list(reversed(versions.versions(ref)))
    return [versions.get(ref)]


def _content(version: DatasetVersion) -> Content:
    return version.digest, version.kind, version.reading


def _times(versions: Versions, names: Iterable[str]) -> dict[str, int]:
    """Return of each version the how-manieth of its content it is; removed ones count."""
    times = {}
    for name in names:
        for numbers in by_content(versions.known(name)).values():
            for count, number in enumerate(numbers, 1):
                times[f"{name}@v{number}"] = count
    return times
