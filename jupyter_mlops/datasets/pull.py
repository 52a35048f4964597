"""The pull: one transfer of versions from a remote. Made by ``Remotes``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..errors import Damaged, NotFound, close_matches
from ..objects import Objects
from ..objects.remotes.download import Download
from ..objects.remotes.remote import RemoteObjects
from ..objects.upkeep.reach import lacking
from ..refs import Ref
from . import shipped
from .shipped import Content, Shipped
from .shipping import Refs, Versions, as_far_as_possible, bar, by_content, refs_of, several
from .transfer import Moved, Transfer
from .version import DatasetVersion


class Pull:
    """One pull."""

    def __init__(self, there: RemoteObjects, versions: Versions, objects: Objects, remote: str) -> None:
        self._there = there
        self._versions = versions
        self._objects = objects
        self._remote = remote
        self._download: Download = Download(there, objects)

    def run(self, ref: Ref | None, as_there: bool = False) -> Transfer:
        """Pull what ``ref`` names and return what was done; what is whole there arrives.

        ``as_there`` says that its number is the remote's; else a version here that lacks bytes comes first.
        """
        version = self._incomplete(ref) if ref is not None and not as_there else None
        if version is not None:
            return self._done([self._bytes_of(version)])
        refs = refs_of(self._there, "" if ref is None else shipped.folder_of(ref.name))
        found = self._selected(refs, ref)
        arrived = self._arrived(found)
        wanted = [each for each in found if each[0].ref not in arrived]
        there = {ref for ref, moved in arrived.items() if moved.state == "known"}
        absent = self._objects.missing({version.digest for version, _ in found if version.ref in there})
        # folders are kept last, so what has its top one is whole, unless the store was damaged since
        named = ref is not None and not ref.bare
        wanted += [(each, 0) for each, _ in found if each.ref in there and (named or each.digest in absent)]
        fetched, failure = as_far_as_possible(wanted, self._fetch)
        for each, times in fetched:
            if times:
                fact = shipped.here(each, self._digests)
                adopted = self._versions.adopt(each.name, fact, each.number, times, self._remote)
                arrived[each.ref] = Moved(adopted.ref, each.ref, "pulled")
            elif each.digest in absent:
                arrived[each.ref] = replace(arrived[each.ref], state="fetched")
        if failure is not None:
            raise failure
        for each_refs in refs.values():
            each_refs.require(ref.number if ref is not None else None)
        return self._done([arrived[each.ref] for each, _ in found])

    def _arrived(self, found: Sequence[tuple[Shipped, int]]) -> dict[str, Moved]:
        """Return those of the remote's versions that are known here, by what they are called there."""
        names = {version.name for version, _ in found}
        lines = {name: self._versions.known(name) for name in names}
        known = {name: by_content(line) for name, line in lines.items()}
        removed = {f"{name}@v{number}" for name, line in lines.items() for number, *_, gone in line if gone}
        arrived = {}
        for version, times in found:
            numbers = known[version.name].get(version.content, [])
            if len(numbers) >= times:
                here = f"{version.name}@v{numbers[times - 1]}"
                arrived[version.ref] = Moved(here, version.ref, "removed" if here in removed else "known")
        return arrived

    def _incomplete(self, ref: Ref) -> DatasetVersion | None:
        """Return the version that ``ref`` names here, by an alias, or by number if bytes are missing."""
        if ref.alias not in (None, "latest"):
            return self._versions.get(str(ref))
        for number, digest, _, _, removed in self._versions.known(ref.name):
            if number == ref.number and not removed and lacking(self._objects, [(digest, True)]):
                return self._versions.get(str(ref))
        return None

    def _bytes_of(self, version: DatasetVersion) -> Moved:
        """Fetch the bytes of a version that is known here."""
        before = self._download.moved
        self._download.fetch([(version.digest, True)], bar(f"pull {version.ref}"))
        return Moved(version.ref, "", "fetched" if self._download.moved > before else "known")

    def _selected(self, refs: Mapping[str, Refs], ref: Ref | None) -> list[tuple[Shipped, int]]:
        """Return the remote's versions that ``ref`` names, each with the how-manieth of its content it is."""
        found = []
        for name in sorted(refs):
            counted: dict[Content, int] = defaultdict(int)
            for version in refs[name].versions():
                counted[version.content] += 1
                found.append((version, counted[version.content]))
        if ref is None:
            return found
        if not found and not (ref.name in refs and refs[ref.name].faults):
            names = sorted(refs_of(self._there, ""))
            hint = f"it has: {', '.join(names)}" if names else "nothing was pushed to it so far"
            raise NotFound(
                f"the remote '{self._remote}' has no dataset '{ref.name}'",
                close_matches(ref.name, names, hint),
            )
        if ref.bare:
            return found
        number = found[-1][0].number if ref.number is None and found else ref.number
        chosen = [each for each in found if each[0].number == number]
        if not chosen and not refs[ref.name].faults:
            if any(ref.number == known[0] for known in self._versions.known(ref.name)):
                return []
            numbers = ", ".join(f"v{version.number}" for version, _ in found[-10:])
            raise NotFound(f"the remote '{self._remote}' has no {ref}", f"it has {numbers}")
        return chosen

    def _fetch(self, versions: Sequence[tuple[Shipped, int]]) -> None:
        roots = list(dict.fromkeys((version.digest, True) for version, _ in versions))
        named = several([version for version, _ in versions])
        try:
            self._download.fetch(roots, bar(f"pull {named}"))
        except Damaged as error:
            raise Damaged(f"{named} cannot be pulled: {error.message}", error.hint) from error

    def _digests(self, name: str) -> dict[int, str]:
        return {number: digest for number, digest, *_ in self._versions.known(name)}

    def _done(self, moved: Sequence[Moved]) -> Transfer:
        return Transfer("pull", self._remote, self._there.url, tuple(moved), self._download.moved)
