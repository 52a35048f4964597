"""The reach: every stored digest that a root needs, through trees, recipes and bases. Used by upkeep.

Nothing is assumed of what cannot be read: what a damaged tree needs is unknown, and said to be.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING

from ...errors import Damaged
from ..blob import address, raw_digest
from ..packs.pack import GROUP, RECIPE, parsed
from ..tree import FOLDER

if TYPE_CHECKING:
    from ..objects import Objects

_MANY = 5000
Root = tuple[str, bool]  # address, whether it is a tree


class Reach:
    """What is needed so far, and what of it is missing or cannot be read."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._walked: set[Root] = set()
        self._roots: set[bytes] = set()
        self.needed: set[bytes] = set()
        self.missing: set[bytes] = set()

    def add(self, roots: Iterable[Root]) -> None:
        """Walk from ``roots``; what was walked before costs nothing."""
        ahead = list(roots)
        self._roots.update(raw_digest(digest) for digest, _ in ahead)
        while ahead:
            files: set[str] = set()
            trees: list[str] = []
            for root in ahead:
                if root not in self._walked:
                    self._walked.add(root)
                    files.add(root[0])
                    if root[1]:
                        trees.append(root[0])
            self._add_files(files)
            ahead = [below for tree in trees for below in self._below(tree)]

    @property
    def absent(self) -> int:
        """How many roots are not stored here at all."""
        return len(self.missing & self._roots)

    @property
    def torn(self) -> int:
        """How many digests are missing of what is stored here otherwise."""
        return len(self.missing - self._roots)

    def addresses(self) -> set[str]:
        """Return the addresses of all that is needed."""
        return {address(digest) for digest in self.needed}

    def add_bases(self) -> None:
        """Add what is needed to decode what is needed."""
        fresh = set(self.needed)
        while fresh:
            groups: dict[tuple[str, int], bytes] = {}
            for portion in _portions(fresh):
                for digest, place in self._objects.index.many(portion).items():
                    if place.kind == GROUP:
                        groups.setdefault((place.pack, place.offset), digest)
            bases = {base for digest in groups.values() for base in self._bases(digest)}
            fresh = bases - self.needed
            self.needed |= fresh
            self.missing |= fresh - self._objects.index.has(fresh)

    def _add_files(self, files: Iterable[str]) -> None:
        digests = {raw_digest(each) for each in files} - self.needed
        self.needed |= digests
        for portion in _portions(digests):
            places = self._objects.index.many(portion)
            self.missing.update(digest for digest in portion if digest not in places)
            for digest, place in places.items():
                if place.kind == RECIPE:
                    self._add_chunks(digest)

    def _add_chunks(self, digest: bytes) -> None:
        try:
            chunks = {raw_digest(each) for each, _ in self._objects.chunks(address(digest))} - self.needed
        except Damaged:
            self.missing.add(digest)
            return
        self.needed |= chunks
        if chunks:
            self.missing |= chunks - self._objects.index.has(chunks)

    def _below(self, tree: str) -> Iterator[Root]:
        try:
            rows = self._objects.node(tree)
        except Damaged:
            self.missing.add(raw_digest(tree))
            return
        for _, mode, _, digest in rows:
            yield digest, mode == FOLDER

    def _bases(self, digest: bytes) -> tuple[bytes, ...]:
        try:
            return parsed(self._objects.record(address(digest)))[0].bases
        except Damaged:
            self.missing.add(digest)
            return ()


def lacking(objects: Objects, roots: Iterable[Root]) -> set[str]:
    """Return what ``roots`` need and is not stored; empty when they are whole."""
    reach = Reach(objects)
    reach.add(roots)
    reach.add_bases()
    return {address(digest) for digest in reach.missing}


def _portions(digests: Collection[bytes]) -> Iterator[list[bytes]]:
    ordered = sorted(digests)
    for start in range(0, len(ordered), _MANY):
        yield ordered[start : start + _MANY]
