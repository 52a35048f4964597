"""The examination of one pack: every byte hashed, every record decoded. Used by verification.

It reads files itself, so it neither relies on what reads rely on nor changes anything.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from blake3 import blake3

from ..packs.codec import unpacked
from ..packs.pack import GROUP, RECIPE, Head, Pack, pack_path, parsed, recipe_of, records_of, scanned

if TYPE_CHECKING:
    from ..objects import Objects

_CACHE = 64 << 20
_HOPS = 4


@dataclass(frozen=True, slots=True)
class Examination:
    """What a pack turned out to be: how large, what is wrong with it, which of its records are sound.

    ``lost`` is what it should hold and does not; ``suspects`` are packs whose records it needs, in vain.
    """

    name: str
    size: int
    problem: str
    sound: tuple[tuple[int, Head], ...]
    lost: frozenset[bytes]
    suspects: frozenset[str]


class Examiner:
    """Examines packs of one store; for any thread."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._lock = threading.Lock()
        self._bases: OrderedDict[bytes, bytes] = OrderedDict()
        self._kept = 0

    def examine(self, name: str) -> Examination:
        """Read the pack ``name`` to its end and say what it is."""
        path = pack_path(self._objects.folder, name)
        try:
            data = memoryview(path.read_bytes())
        except FileNotFoundError:
            return self._told(name, 0, "is missing", (), set())
        except OSError as error:
            return self._told(name, 0, f"cannot be read: {error.strerror or error}", (), set())
        whole = blake3(data).hexdigest() == name
        try:
            pack = records_of(path) if whole else scanned(path)[0]
        except (ValueError, OSError):
            pack = Pack(name, len(data), ())
            whole = False
        sound, suspects = [], set()
        for offset, head in pack.records:
            try:
                suspects |= self._check(data[offset : offset + head.total], head)
            except ValueError:
                continue
            sound.append((offset, head))
        bad = len(pack.records) - len(sound)
        problem = ""
        if bad:
            problem = "holds records that cannot be decoded"
        elif not whole:
            problem = "is not what was written"
        return self._told(name, len(data), problem, tuple(sound), suspects)

    def _told(
        self, name: str, size: int, problem: str, sound: tuple[tuple[int, Head], ...], suspects: set[str]
    ) -> Examination:
        lost: set[bytes] = set()
        if problem:
            lost.update(self._objects.index.places(name))
            lost.update(digest for pack, _, digest in self._objects.index.spoiled() if pack == name)
            lost -= {digest for _, head in sound for digest, _ in head.members}
        return Examination(name, size, problem, sound, frozenset(lost), frozenset(suspects))

    def _check(self, data: memoryview, head: Head) -> set[str]:
        """Raise ``ValueError`` unless the record is sound; return the packs of bases that cannot be used."""
        found, payload = parsed(data)
        if found != head:
            raise ValueError("its footer says something else")
        if found.kind == GROUP:
            bases = []
            for digest in found.bases:
                try:
                    bases.append(self._base(digest))
                except (ValueError, OSError):
                    place = self._objects.index.find(digest)
                    return {place.pack} if place else set()
            _check_members(found, unpacked(found.codec, payload, found.raw, b"".join(bases)))
        elif found.kind == RECIPE:
            listed = recipe_of(unpacked(found.codec, payload, found.raw))
            if sum(size for _, size in listed) != found.members[0][1]:
                raise ValueError("the sizes of its chunks do not add up")
        else:
            _check_members(found, unpacked(found.codec, payload, found.raw))
        return set()

    def _base(self, digest: bytes, hops: int = 0) -> bytes:
        with self._lock:
            if digest in self._bases:
                self._bases.move_to_end(digest)
                return self._bases[digest]
        place = self._objects.index.find(digest)
        if place is None or hops > _HOPS:
            raise ValueError("a base is missing")
        with pack_path(self._objects.folder, place.pack).open("rb") as file:
            file.seek(place.offset)
            head, payload = parsed(file.read(place.length))
        bases = b"".join(self._base(each, hops + 1) for each in head.bases)
        raw = unpacked(head.codec, payload, head.raw, bases)[place.start : place.start + place.size]
        if blake3(raw).digest() != digest:
            raise ValueError("a base is damaged")
        with self._lock:
            if digest not in self._bases:
                self._bases[digest] = raw
                self._kept += len(raw)
            while self._kept > _CACHE:
                self._kept -= len(self._bases.popitem(last=False)[1])
        return raw


def _check_members(head: Head, raw: bytes) -> None:
    view, start = memoryview(raw), 0
    for digest, size in head.members:
        if blake3(view[start : start + size]).digest() != digest:
            raise ValueError("its bytes are not what its digest says")
        start += size
    if start != len(raw):
        raise ValueError("it holds more than its members")
