"""The upload: what a remote lacks, in new packs of its own. Made by ``datasets`` for one push.

Records go as they are kept, checked again; compression that was put off is done now. A difference to other
bytes goes as such only where those are there as well, else it is made plain: nothing is sent that nobody
asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

from blake3 import blake3

from ...errors import Damaged
from ..blob import address, raw_digest
from ..objects import Objects
from ..packs.codec import packed
from ..packs.index import Place
from ..packs.pack import CHUNK, GROUP, RECIPE, Head, PackWriter, parsed, record, thorough
from ..tree import FOLDER
from .crew import done_by
from .known import TRAILER, Held, Listed, listed, tail_size
from .plan import Plan
from .remote import RemoteObjects, pack_name

_WORKERS = 4
_LARGEST, _SMALLEST = 32 << 20, 4 << 20
_PORTION = 20_000
_PLAIN = -1  # a group that is to become chunks of their own
_Made = tuple[Path, int]  # a pack, and what its records take as they are kept
Bar = Callable[[int], AbstractContextManager[Callable[[int], None]]]


@dataclass(frozen=True, slots=True)
class Sent:
    """What an upload moved: bytes, and how many packs they are in."""

    bytes: int
    packs: int


def upload(remote: RemoteObjects, objects: Objects, roots: Iterable[tuple[str, bool]], bar: Bar) -> Sent:
    """Bring what ``roots`` need, files and trees (told by the flag), to the remote.

    Packs that were uploaded before a failure count: the next attempt sends the rest.
    """
    with Plan() as plan:
        for places in _needed(objects, roots):
            lacking = remote.known.lacking(places)
            plan.add(_held(digest, places[digest]) for digest in lacking)
        plan.replace(_made_plain(remote, objects, plan))
        total = plan.total()
        if not total:
            return Sent(0, 0)
        with objects.scratch() as aside, bar(total) as advance:
            moved, packs = 0, 0
            size = min(_LARGEST, max(_SMALLEST, total // _WORKERS))
            tasks = (partial(_uploaded, remote, *made) for made in _packs(remote, objects, plan, aside, size))
            for pack, sent, done in done_by(_WORKERS, tasks, remote.storage.abort):
                remote.known.add([pack])
                moved, packs = moved + sent, packs + 1
                advance(done)
            return Sent(moved, packs)


def _needed(objects: Objects, roots: Iterable[tuple[str, bool]]) -> Iterator[dict[bytes, Place]]:
    """Yield, in portions, where everything is that ``roots`` are made of."""
    portion: dict[bytes, Place] = {}
    for some in _blobs(objects, roots):
        places = _places(objects, some)
        portion |= places
        for digest, place in places.items():
            if place.kind != RECIPE:
                continue
            chunks = {raw_digest(chunk) for chunk, _ in objects.chunks(address(digest))}
            portion |= _places(objects, chunks - portion.keys())
            if len(portion) >= _PORTION:
                yield portion
                portion = {}
    yield portion


def _blobs(objects: Objects, roots: Iterable[tuple[str, bool]]) -> Iterator[set[bytes]]:
    """Yield, in portions, the digests of every node and file below ``roots``, each once."""
    seen: set[str] = set()
    portion: set[bytes] = set()
    ahead = list(roots)
    while ahead:
        digest, is_tree = ahead.pop()
        if digest in seen:
            continue
        seen.add(digest)
        portion.add(raw_digest(digest))
        if is_tree:
            for _, mode, _, below in objects.node(digest):
                if mode == FOLDER:
                    ahead.append((below, True))
                elif below not in seen:
                    seen.add(below)
                    portion.add(raw_digest(below))
        if len(portion) >= _PORTION:
            yield portion
            portion = set()
    yield portion


def _places(objects: Objects, digests: set[bytes]) -> dict[bytes, Place]:
    places = objects.index.many(digests)
    if len(places) < len(digests) and objects.index.adopt():
        places = objects.index.many(digests)
    for digest in digests:
        if digest not in places:
            raise Damaged(
                f"the stored bytes {address(digest)[:15]}… are missing",
                "`mlops data verify` tells what is damaged",
            )
    return places


def _held(digest: bytes, place: Place) -> Held:
    return Held(place.pack, place.offset, place.length, place.kind, digest)


def _made_plain(remote: RemoteObjects, objects: Objects, plan: Plan) -> list[Held]:
    """Return the groups of ``plan`` whose bases the remote has not, and will not have, as chunks."""
    plain = []
    for held in plan.records(GROUP):
        head, _ = parsed(objects.record(address(held.digest)))
        places = objects.index.many(head.bases)
        sent = {
            base for base, place in places.items() if place.kind == CHUNK and plan.wants(_held(base, place))
        }
        if remote.known.lacking(set(head.bases) - sent, plain=True):
            plain.append(held._replace(kind=_PLAIN))
    return plain


def _packs(remote: RemoteObjects, objects: Objects, plan: Plan, aside: Path, size: int) -> Iterator[_Made]:
    """Yield the packs that hold the records of ``plan``, each made when it is asked for."""
    number, done = 0, 0
    writer: PackWriter | None = None
    # together at the end, so that who pulls gets what thousands of files are made of at one go
    for held in chain(plan.records(CHUNK, GROUP, _PLAIN), plan.records(RECIPE)):
        for data, head in _records(remote, objects, held):
            if writer is not None and writer.size + len(data) > size:
                writer.close()
                yield writer.path, done
                writer, done = None, 0
            if writer is None:
                number += 1
                writer = PackWriter(aside / f"{number}.pack")
            writer.add(data, (head,))
        done += held.length
    if writer is not None:
        writer.close()
        yield writer.path, done


def _records(remote: RemoteObjects, objects: Objects, held: Held) -> Iterator[tuple[bytes, Head]]:
    data = thorough(objects.record(address(held.digest)), objects.settings.level)
    head, _ = parsed(data)
    if held.kind != _PLAIN or head.kind != GROUP:
        yield data, head
        return
    for digest in remote.known.lacking([digest for digest, _ in head.members]):
        raw = objects.read(address(digest))
        codec, payload = packed(raw, objects.settings.level)
        made = record(CHUNK, codec, len(raw), payload, [(digest, len(raw))])
        yield made, parsed(made)[0]


def _uploaded(remote: RemoteObjects, path: Path, done: int) -> tuple[Listed, int, int]:
    """Bring one pack to the remote, then the index that makes it known.

    Return what it holds, its size, and what its records take as they are kept here.
    """
    data = path.read_bytes()
    path.unlink()
    name = blake3(data).hexdigest()
    tail = data[-tail_size(data[-TRAILER:], len(data)) :]
    pack = listed(name, len(data), tail)
    remote.storage.write(pack_name(name), data)
    remote.storage.write(f"index/{name}", tail)
    return pack, len(data) + len(tail), done
