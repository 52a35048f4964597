"""Verification: finds what is no longer what was stored, sets it aside and mends it. Called by ``Upkeep``.

It trusts neither times nor modes nor the index: a pack is read, hashed, and every record in it decoded. A
damaged pack is moved to ``quarantine`` after its sound records were copied; nothing is ever deleted.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ...errors import Damaged
from ...value import Value
from ..blob import address, raw_digest
from ..packs.pack import GROUP, RECIPE, pack_path, records_of
from ..tree import FOLDER
from .examine import Examination, Examiner
from .notes import alone
from .reach import Reach
from .repack import QUARANTINE, kept_in, unlinked

if TYPE_CHECKING:
    from ..batch import Batch
    from ..objects import Objects

Level = Literal["quick", "sample", "full"]
Source = Callable[[frozenset[str], "Batch"], Collection[str]]
Advance = Callable[[int], None]
Progress = Callable[[int], AbstractContextManager[Advance]]
_SHARE = 0.01
_ROUNDS = 20


class Version(NamedTuple):
    """What the report names when it is damaged: its name, its address, whether it is a tree."""

    name: str
    digest: str
    tree: bool


@dataclass(frozen=True, slots=True)
class Damage:
    """One pack that is not what was stored: what is wrong with it, and how many of its records are lost."""

    pack: str
    problem: str
    records: int

    def to_dict(self) -> dict[str, Any]:
        """Return the damage as JSON-ready types."""
        return {"pack": self.pack, "problem": self.problem, "records": self.records}


@dataclass(frozen=True, slots=True, repr=False)
class VerifyReport(Value):
    """What a verification found and mended. ``versions`` are damaged still, ``healed`` were before it.

    ``absent`` are not stored on this machine at all, where facts are shared and bytes are not. ``gave`` says
    which of the sources mended something, ``mended_from`` what they are called.
    """

    level: str
    packs: int
    checked: int
    bytes: int
    seconds: float
    damages: tuple[Damage, ...]
    versions: tuple[str, ...]
    healed: tuple[str, ...]
    absent: tuple[str, ...]
    lost: int
    quarantined: int
    gave: tuple[int, ...] = ()
    mended_from: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether everything that was looked at is as it was stored."""
        return not self.damages and not self.versions and not self.healed

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON-ready types."""
        return {
            "passed": self.passed,
            "level": self.level,
            "packs": self.packs,
            "checked": self.checked,
            "bytes": self.bytes,
            "seconds": round(self.seconds, 3),
            "damages": [damage.to_dict() for damage in self.damages],
            "versions": list(self.versions),
            "healed": list(self.healed),
            "absent": list(self.absent),
            "lost": self.lost,
            "quarantined": self.quarantined,
            "mended_from": list(self.mended_from),
        }


def verify(
    objects: Objects,
    versions: Iterable[Version],
    level: Level = "full",
    sources: Sequence[Source] = (),
    *,
    only: bool = False,
    repair: bool = True,
    shared: bool = False,
    progress: Progress = lambda _: nullcontext(lambda _: None),
    wait: float = 10.0,
) -> VerifyReport:
    """Check what is stored; name every damaged version, quarantine damaged packs and mend what can be.

    Parameters
    ----------
    level
        ``quick`` looks at the packs' names and sizes, ``sample`` reads one in a hundred, those first that
        were not read for longest, ``full`` reads all.
    sources
        Each is asked for missing digests and puts those it has into a batch.
    only
        Read just the packs that ``versions`` need.
    shared
        Versions may be known here whose bytes are on other machines.
    """
    started = time.monotonic()
    versions = tuple(versions)
    if not (objects.folder / "packs").is_dir() and not versions:
        return VerifyReport(level, 0, 0, 0, 0.0, (), (), (), (), 0, 0)
    with alone(objects.folder, wait), objects.holding():
        work = _Verification(objects, versions, sources, shared)
        work.look(level, only, progress)
        if repair and (work.anything or objects.index.spoiled()):
            work.mend()
        return work.report(level, time.monotonic() - started)


@dataclass(frozen=True, slots=True)
class _Found:
    """What is wrong with one pack, and what was in it and is nowhere else as far as the index knows."""

    name: str
    problem: str
    lost: frozenset[bytes]
    examination: Examination | None = None


class _Verification:
    """One run: what it read, what is wrong, what is lost."""

    def __init__(
        self, objects: Objects, versions: tuple[Version, ...], sources: Sequence[Source], shared: bool
    ) -> None:
        self._objects = objects
        self._versions = versions
        self._sources = sources
        self._gave: list[int] = []
        self._shared = shared
        self._found: list[_Found] = []
        self._lost: set[bytes] = set()
        self._packs = self._checked = self._bytes = self._quarantined = 0
        self._before: tuple[str, ...] = ()
        self._after: tuple[str, ...] = ()
        self._absent: tuple[str, ...] = ()

    @property
    def anything(self) -> bool:
        """Whether anything is wrong."""
        return bool(self._found or self._before)

    def look(self, level: Level, only: bool, progress: Progress) -> None:
        """Find what is wrong and which versions that damages."""
        index = self._objects.index
        known = [row.name for row in index.packs()]  # first: the pack of a commit is there before it is known
        sizes = dict(self._listed())
        gone = {name: set(index.places(name)) for name in known if name not in sizes}
        spoiled = index.spoiled()
        index.adopt()
        for name, digests in gone.items():
            self._found.append(_Found(name, "is missing", frozenset(digests - index.has(digests))))
        rows = {row.name: row for row in index.packs()}
        self._packs = len(sizes)
        ordered = sorted(sizes, key=lambda name: (rows[name].verified or 0.0) if name in rows else 0.0)
        suspects = {name for name, size in sizes.items() if name not in rows or rows[name].size != size}
        suspects |= {pack for pack, _, _ in spoiled if pack in sizes}
        chosen = self._chosen(level, only, suspects, ordered, sizes)
        with progress(sum(sizes[name] for name in chosen)) as advance:
            self._examine(chosen, advance)
        self._lost = {digest for found in self._found for digest in found.lost}
        self._lost |= {digest for _, _, digest in spoiled} - index.has({digest for _, _, digest in spoiled})
        self._lost |= self._dependent(self._lost)
        if level != "quick" or self._found or spoiled or self._roots_missing():
            self._before, self._absent = self._damaged()
        self._after = self._before

    def mend(self) -> None:
        """Keep what is sound of damaged packs, set them aside, and get back from elsewhere what is lost."""
        torn = [found.examination for found in self._found if found.examination is not None]
        with self._objects.batch(replace=True) as batch:
            for examination in torn:
                path = pack_path(self._objects.folder, examination.name)
                if aside := kept_in(self._objects.folder / QUARANTINE, path):
                    self._quarantined += 1
                    self._salvage(examination, aside, batch)
        # the same records in the same order make the same pack, which has taken the damaged one's place
        same = {pack.name for pack in batch.packs}
        gone = [found.name for found in self._found if found.name not in same]
        self._objects.index.forget(gone)
        for name in gone:
            unlinked(pack_path(self._objects.folder, name))
        for name in same | {pack for pack, _, _ in self._objects.index.spoiled()}:
            # found sound now, or in need of a base that is sound in another place
            self._objects.index.reexamine(name)
        self._heal()
        self._lost = self._gone()
        self._after, self._absent = self._damaged()

    def report(self, level: Level, seconds: float) -> VerifyReport:
        """Say what came of it."""
        return VerifyReport(
            level,
            self._packs,
            self._checked,
            self._bytes,
            seconds,
            tuple(Damage(each.name, each.problem, len(each.lost)) for each in self._found),
            self._after,
            tuple(name for name in self._before if name not in self._after),
            self._absent,
            len(self._lost),
            self._quarantined,
            tuple(self._gave),
        )

    def _listed(self) -> Iterator[tuple[str, int]]:
        for path in sorted((self._objects.folder / "packs").glob("??/*.pack")):
            with suppress(FileNotFoundError):
                yield path.stem, path.stat().st_size

    def _chosen(
        self, level: Level, only: bool, suspects: set[str], ordered: Sequence[str], sizes: Mapping[str, int]
    ) -> list[str]:
        """Return the packs to read, those first that were not for longest."""
        chosen = set(suspects)
        if only:
            reach = self._reach()
            reach.add_bases()
            chosen |= {place.pack for place in self._objects.index.many(reach.needed).values()}
        elif level == "full":
            chosen.update(ordered)
        elif level == "sample":
            most = _SHARE * sum(sizes.values())
            for name in ordered:
                if most <= 0:
                    break
                chosen.add(name)
                most -= sizes[name]
        return [name for name in ordered if name in chosen]

    def _examine(self, names: Sequence[str], advance: Advance) -> None:
        examiner = Examiner(self._objects)
        sound: list[str] = []
        ahead, asked = list(names), set(names)
        with ThreadPoolExecutor(min(os.cpu_count() or 1, 4)) as pool:
            while ahead:
                suspects: set[str] = set()
                for result in pool.map(examiner.examine, ahead):
                    self._checked += 1
                    self._bytes += result.size
                    advance(result.size)
                    suspects |= result.suspects
                    if not result.problem:
                        sound.append(result.name)
                        continue
                    places = self._objects.index.many(result.lost)
                    elsewhere = {each for each, place in places.items() if place.pack != result.name}
                    lost = result.lost - elsewhere
                    self._found.append(_Found(result.name, result.problem, lost, result))
                ahead = sorted(suspects - asked)
                asked |= suspects
        self._objects.index.verified(sound, time.time())

    def _salvage(self, examination: Examination, aside: Path, batch: Batch) -> None:
        with aside.open("rb") as file:
            for offset, head in examination.sound:
                file.seek(offset)
                with suppress(Damaged):
                    # decoded a moment ago; a group whose base is lost is kept for when that is mended
                    batch.put_record(file.read(head.total), checked=True)

    def _dependent(self, lost: set[bytes]) -> set[bytes]:
        """Return what cannot be decoded without what is lost."""
        dependent = {digest for _, _, digests in self._needing(lost) for digest in digests}
        places = self._objects.index.many(dependent)
        return {digest for digest in dependent if digest not in places or places[digest].kind == GROUP}

    def _needing(self, lost: set[bytes]) -> Iterator[tuple[str, int, list[bytes]]]:
        """Yield the groups that need what is lost: pack, offset and members."""
        if not lost & self._objects.index.bases():
            return
        for name, _ in self._listed():
            with suppress(ValueError, OSError):
                for offset, head in records_of(pack_path(self._objects.folder, name)).records:
                    if head.kind == GROUP and not lost.isdisjoint(head.bases):
                        yield name, offset, [digest for digest, _ in head.members]

    def _roots_missing(self) -> bool:
        roots = {raw_digest(version.digest) for version in self._versions}
        return not self._shared and self._objects.index.has(roots) != roots

    def _damaged(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the names of versions that need what is lost, and of those that are not here at all."""
        walk = _Walk(self._objects, self._lost)
        away = self._away()
        damaged = [
            version.name
            for version in self._versions
            if raw_digest(version.digest) not in away and not walk.whole(version.digest, version.tree)
        ]
        absent = [version.name for version in self._versions if raw_digest(version.digest) in away]
        return tuple(damaged), tuple(absent)

    def _away(self) -> set[bytes]:
        """Return the roots that are not here and need not be."""
        if not self._shared:
            return set()
        roots = {raw_digest(version.digest) for version in self._versions}
        return roots - self._objects.index.has(roots) - self._lost

    def _heal(self) -> None:
        """Ask the sources for what is missing until they have no more of it."""
        for number, source in enumerate(self._sources):
            missing = self._gone()
            for _ in range(_ROUNDS):  # a tree that came back says what else is missing
                if not missing:
                    return
                with self._objects.batch() as batch:
                    source(frozenset(address(digest) for digest in missing), batch)
                left = self._gone()
                if left == missing:
                    break
                missing = left
                if number not in self._gave:
                    self._gave.append(number)
        for name, offset, _ in self._needing(self._gone()):
            # it must not count as stored, or storing the same again would not mend it
            self._objects.index.spoil(name, offset)

    def _gone(self) -> set[bytes]:
        """Return what is needed and is nowhere."""
        reach = self._reach()
        reach.add_bases()
        return reach.missing - self._away()

    def _reach(self) -> Reach:
        reach = Reach(self._objects)
        reach.add((version.digest, version.tree) for version in self._versions)
        return reach


class _Walk:
    """Whether versions are whole, each part looked at once."""

    def __init__(self, objects: Objects, lost: set[bytes]) -> None:
        self._objects = objects
        self._lost = lost
        self._files: dict[str, bool] = {}
        self._trees: dict[str, bool] = {}

    def whole(self, digest: str, tree: bool) -> bool:
        """Whether all that ``digest`` needs is there and not lost."""
        if not self._all_whole([digest]):
            return False
        if tree and digest not in self._trees:
            self._trees[digest] = self._tree_whole(digest)
        return not tree or self._trees[digest]

    def _tree_whole(self, digest: str) -> bool:
        try:
            rows = self._objects.node(digest)
        except Damaged:
            return False
        return self._all_whole([row[3] for row in rows]) and all(
            self.whole(row[3], True) for row in rows if row[1] == FOLDER
        )

    def _all_whole(self, digests: Sequence[str]) -> bool:
        fresh = {digest: raw_digest(digest) for digest in digests if digest not in self._files}
        places = self._objects.index.many(set(fresh.values()))
        for digest, raw in fresh.items():
            there = raw in places and raw not in self._lost
            if there and places[raw].kind == RECIPE:
                there = self._chunks_whole(digest)
            self._files[digest] = there
        return all(self._files[digest] for digest in digests)

    def _chunks_whole(self, digest: str) -> bool:
        try:
            chunks = {raw_digest(each) for each, _ in self._objects.chunks(digest)}
        except Damaged:
            return False
        return chunks.isdisjoint(self._lost) and self._objects.index.has(chunks) == chunks
