"""The download: what a project lacks, out of a remote's packs. Made by ``datasets`` for one pull.

Nothing that was fetched is believed: records are decoded and hashed before they are kept, and files of many
chunks are hashed as a whole before it is kept what they are made of. Folders come last, so each one is whole.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from itertools import islice
from typing import TypeVar

from blake3 import blake3
from zstandard import ZstdError, frame_content_size

from ...errors import Damaged, MLOpsError
from ..batch import Batch
from ..blob import address, raw_digest
from ..objects import Objects
from ..packs.codec import PLAIN, unpacked
from ..packs.pack import CHUNK, GROUP, RECIPE, Head, parsed, recipe_of
from ..packs.records import Recipe, Records
from ..tree import FOLDER, rows_of
from .crew import done_by
from .known import Held
from .plan import Plan
from .remote import WORKERS, RemoteObjects, pack_name

_RANGE = 8 << 20
_GAP = 64 << 10  # fetching so much for nothing is cheaper than asking again
_LONGEST = 64 << 20
_PORTION, _LOT = 10_000, 64
Bar = Callable[[int], AbstractContextManager[Callable[[int], None]]]
_Got = list[tuple[Held, bytes | None]]
_T = TypeVar("_T")


class Download:
    """Fetches from one remote into one store. One thread at a time."""

    def __init__(self, remote: RemoteObjects, objects: Objects) -> None:
        self._remote = remote
        self._objects = objects
        self._bad: set[tuple[str, int]] = set()
        self.moved = 0

    def fetch(self, roots: Iterable[tuple[str, bool]], bar: Bar) -> None:
        """Make everything be here that ``roots`` need, files and trees (told by the flag).

        What came before a failure is kept, and need not come again. Raises ``Damaged``, naming the remote's
        file, where bytes are not what they should be, or are not there.
        """
        files, folders = self._folders(roots)
        missing = [raw_digest(digest) for digest in self._objects.missing(files)]
        with Plan() as plan:
            for some in _portions(missing):
                self._want(plan, set(some))
            self._want_bases(plan)
            with bar(plan.total()) as advance:
                self._store(plan.records(CHUNK), advance)
                self._store_differences(plan, advance)
            self._store_recipes(plan)
        with self._objects.batch() as batch:
            for record in folders:
                batch.put_record(record, checked=True)

    def heal(self, digests: Collection[str], batch: Batch) -> set[str]:
        """Put into ``batch`` those of ``digests``, chunks and files, that the remote has; return them."""
        healed = set()
        for digest in digests:
            try:
                for record in self._healing(raw_digest(digest)):
                    batch.put_record(record) if isinstance(record, bytes) else batch.put_chunk(record[0])
                healed.add(digest)
            except Damaged:
                continue
        return healed

    def _folders(self, roots: Iterable[tuple[str, bool]]) -> tuple[set[str], list[bytes]]:
        """Return the files below ``roots``, and records of the folders that are not here, deepest first."""
        roots = list(roots)
        files = {digest for digest, is_tree in roots if not is_tree}
        ahead = {digest for digest, is_tree in roots if is_tree}
        seen: set[str] = set()
        levels: list[list[bytes]] = []
        while ahead:
            seen |= ahead
            absent = self._objects.missing(ahead)
            nodes = {digest: self._objects.read(digest) for digest in ahead - absent}
            fetched, records = self._contents({raw_digest(digest) for digest in absent})
            nodes |= {address(digest): data for digest, data in fetched.items()}
            levels.append(records)
            ahead = set()
            for digest, data in nodes.items():
                for _, mode, _, below in rows_of(data, digest):
                    raw_digest(below)
                    (ahead if mode == FOLDER else files).add(below)
            ahead -= seen
        return files, [record for level in reversed(levels) for record in level]

    def _contents(self, digests: set[bytes]) -> tuple[dict[bytes, bytes], list[bytes]]:
        """Return the bytes of small files or folders, and the records that keep them."""
        records = self._taken(digests)
        contents, kept = {}, []
        recipes: dict[bytes, Sequence[tuple[bytes, int]]] = {}
        for digest, record in records.items():
            head, payload = parsed(record)
            if head.kind == RECIPE:
                recipes[digest] = self._listed(head, payload)
            else:
                contents[digest] = self._raw(digest, record)
                kept.append(record)
        needed = {chunk for chunks in recipes.values() for chunk, _ in chunks}
        here = self._objects.index.has(needed)
        chunks = self._taken(needed - here)
        raw = {digest: self._raw(digest, record) for digest, record in chunks.items()}
        for digest, listed in recipes.items():
            data = b"".join(
                self._objects.read(address(chunk)) if chunk in here else raw[chunk] for chunk, _ in listed
            )
            if blake3(data).digest() != digest:
                raise self._lost(digest, "its chunks make other bytes")
            contents[digest] = data
        return contents, [*kept, *chunks.values(), *(records[digest] for digest in recipes)]

    def _want(self, plan: Plan, files: set[bytes]) -> None:
        """Want the chunks of ``files`` that are not here."""
        chosen = self._chosen(files)
        recipes = [held for held in chosen.values() if held.kind == RECIPE]
        chunks = [held for held in chosen.values() if held.kind != RECIPE]
        for held, record in self._sound(_in_order(recipes)):
            head, payload = parsed(record)
            plan.keep_recipe(held.digest, f"{pack_name(held.pack)} at byte {held.offset}", record)
            needed = {chunk for chunk, _ in self._listed(head, payload)}
            chunks += self._chosen(needed - self._objects.index.has(needed)).values()
            plan.add(chunks)
            chunks = []
        plan.add(chunks)

    def _want_bases(self, plan: Plan) -> None:
        """Want the chunks that wanted differences need and that are not here."""
        for some in _portions(plan.records(GROUP)):
            ahead = list(some)
            while ahead:
                bases = {base for held in ahead for base in self._remote.known.bases(held)}
                wanted = list(self._chosen(bases - self._objects.index.has(bases)).values())
                ahead = [held for held in wanted if held.kind == GROUP and not plan.wants(held)]
                plan.add(wanted)

    def _store(self, records: Iterable[Held], advance: Callable[[int], None]) -> None:
        """Fetch and keep records that need no others."""
        failure: BaseException | None = None
        with self._objects.batch() as batch:
            fetched = _portions(self._sound(records), _LOT)
            while True:
                try:
                    lot = next(fetched)
                except StopIteration:
                    break
                except (MLOpsError, KeyboardInterrupt) as error:
                    failure = error  # what came so far is kept
                    break
                batch.put_records([record for _, record in lot])
                advance(sum(held.length for held, _ in lot))
        if failure is not None:
            raise failure

    def _store_differences(self, plan: Plan, advance: Callable[[int], None]) -> None:
        """Fetch and keep records that need others, which are here by now or are among them."""
        left: list[Held] = []
        for some in _portions(plan.records(GROUP)):
            left += self._store_ready(some, advance)
        while left:
            rest = self._store_ready(left, advance)
            if len(rest) == len(left):
                raise self._lost(left[0].digest, "what it needs is not there")
            left = rest

    def _store_ready(self, groups: list[Held], advance: Callable[[int], None]) -> list[Held]:
        """Fetch and keep those of ``groups`` whose bases are here, and return the others."""
        ready: list[Held] = []
        rest: list[Held] = []
        for held in groups:
            bases = set(self._remote.known.bases(held))
            (ready if self._objects.index.has(bases) >= bases else rest).append(held)
        with self._objects.batch() as batch:
            for held, record in self._sound(ready):
                head, _ = parsed(record)
                pieces = self._pieces(held, record)
                places = self._objects.index.many(head.bases)
                if all(base in places and places[base].kind == CHUNK for base in head.bases):
                    batch.put_record(record, checked=True)
                else:  # a difference to a difference is none that the store keeps
                    for piece in pieces.values():
                        batch.put_chunk(piece)
                advance(held.length)
        return rest

    def _store_recipes(self, plan: Plan) -> None:
        """Keep what files are made of, once the chunks are here and make them."""
        reading = Records(self._objects.folder, self._objects.index)
        with self._objects.batch() as batch:
            for digest, place, record in plan.recipes():
                head, payload = parsed(record)
                whole = blake3()
                try:
                    recipe = Recipe(digest, head.members[0][1], unpacked(head.codec, payload, head.raw))
                    for chunk in reading.sequence(recipe):
                        whole.update(chunk)
                except ValueError as error:
                    raise self._damaged(place, str(error)) from error
                if whole.digest() != digest:
                    raise self._damaged(place, "the chunks it lists make another file")
                batch.put_record(record, checked=True)

    def _healing(self, digest: bytes) -> Iterator[bytes | tuple[bytes]]:
        """Yield what mends ``digest``: records, or the bytes of a chunk that is a difference there."""
        record = self._taken({digest})[digest]
        head, payload = parsed(record)
        if head.kind == CHUNK:
            yield record
        elif head.kind == GROUP:
            yield (self._raw(digest, record),)
        else:
            whole = blake3()
            for chunk, size in self._listed(head, payload):
                mending: bytes | None = None
                try:
                    raw = self._objects.read(address(chunk))
                except Damaged:
                    mending = self._taken({chunk})[chunk]
                    raw = self._raw(chunk, mending)
                if len(raw) != size:
                    raise self._lost(digest, "its chunks make other bytes")
                whole.update(raw)
                if mending is not None:
                    yield (raw,)
            if whole.digest() != digest:
                raise self._lost(digest, "its chunks make other bytes")
            yield record

    def _taken(self, digests: set[bytes]) -> dict[bytes, bytes]:
        """Return a sound record for each of ``digests``."""
        return {
            held.digest: record for held, record in self._sound(_in_order(self._chosen(digests).values()))
        }

    def _raw(self, digest: bytes, record: bytes) -> bytes:
        """Return the raw bytes of a chunk in a sound record."""
        head, payload = parsed(record)
        if head.kind == CHUNK:
            return unpacked(head.codec, payload, head.raw)
        try:
            return self._split(head, payload, self._bases(head))[digest]
        except ValueError as error:
            raise self._lost(digest, str(error)) from error

    def _pieces(self, held: Held, record: bytes) -> dict[bytes, bytes]:
        head, payload = parsed(record)
        try:
            return self._split(head, payload, self._bases(head))
        except ValueError as error:
            raise self._damaged(f"{pack_name(held.pack)} at byte {held.offset}", str(error)) from error

    def _bases(self, head: Head) -> bytes:
        found = []
        for base in head.bases:
            if self._objects.index.find(base) is not None:
                found.append(self._objects.read(address(base)))
            else:
                found.append(self._raw(base, self._taken({base})[base]))
        return b"".join(found)

    @staticmethod
    def _split(head: Head, payload: memoryview, bases: bytes) -> dict[bytes, bytes]:
        """Return the chunks of a group; raises ``ValueError`` unless they are what it says."""
        raw = unpacked(head.codec, payload, head.raw, bases)
        pieces, start = {}, 0
        for digest, size in head.members:
            pieces[digest] = raw[start : start + size]
            start += size
            if blake3(pieces[digest]).digest() != digest:
                raise ValueError("its bytes are not what it says")
        return pieces

    @staticmethod
    def _listed(head: Head, payload: memoryview) -> tuple[tuple[bytes, int], ...]:
        return recipe_of(unpacked(head.codec, payload, head.raw))

    def _chosen(self, digests: Collection[bytes]) -> dict[bytes, Held]:
        """Return the record from which each of ``digests`` is to come, plain ones where there are any."""
        chosen = {}
        for digest, records in self._remote.known.find(digests).items():
            usable = [held for held in records if (held.pack, held.offset) not in self._bad]
            if not usable:
                raise self._damaged(f"{pack_name(records[0].pack)} at byte {records[0].offset}", "")
            chosen[digest] = usable[0]
        for digest in digests:
            if digest not in chosen:
                raise self._lost(digest, "no pack holds it")
        return chosen

    def _sound(self, records: Iterable[Held]) -> Iterator[tuple[Held, bytes]]:
        """Yield the records with their bytes; damaged ones come from another pack, if one has them."""
        while records:
            again: set[bytes] = set()
            tasks = (partial(_fetched, self._remote, run) for run in _runs(records))
            for got in done_by(WORKERS, tasks, self._remote.storage.abort):
                for held, record in got:
                    if record is None:
                        self._bad.add((held.pack, held.offset))
                        again.add(held.digest)
                    else:
                        self.moved += len(record)
                        yield held, record
            records = _in_order(self._chosen(again).values())

    def _damaged(self, place: str, why: str) -> Damaged:
        return Damaged(
            f"{place} of the remote {self._remote.url} is damaged{f': {why}' if why else ''}",
            "delete that file there, then run `mlops data push REF` in a project that has the version",
        )

    def _lost(self, digest: bytes, why: str) -> Damaged:
        return Damaged(
            f"the remote {self._remote.url} has not all bytes: {address(digest)[:15]}…, {why}",
            "run `mlops data push REF` in a project that has the version",
        )


def _portions(items: Iterable[_T], size: int = _PORTION) -> Iterator[list[_T]]:
    iterator = iter(items)
    while some := list(islice(iterator, size)):
        yield some


def _in_order(records: Iterable[Held]) -> list[Held]:
    """Return records as they lie, each once."""
    return sorted({(held.pack, held.offset, held.digest): held for held in records}.values())


def _runs(records: Iterable[Held]) -> Iterator[list[Held]]:
    """Yield records together that are worth fetching at once."""
    run: list[Held] = []
    for held in records:
        if run:
            first, last = run[0], run[-1]
            gap = held.offset - last.offset - last.length
            if held.pack != first.pack or gap > _GAP or held.offset + held.length - first.offset > _RANGE:
                yield run
                run = []
        run.append(held)
    if run:
        yield run


def _fetched(remote: RemoteObjects, run: list[Held]) -> _Got:
    """Fetch neighbouring records; those that are not what they should be come as ``None``."""
    first = run[0]
    end = max(held.offset + held.length for held in run)
    try:
        data = remote.storage.read(pack_name(first.pack), first.offset, end)
    except FileNotFoundError:
        return [(held, None) for held in run]
    got: _Got = []
    for held in run:
        record = data[held.offset - first.offset :][: held.length]
        got.append((held, record if _is_sound(held, record) else None))
    return got


def _is_sound(held: Held, record: bytes) -> bool:
    """Whether a record is the one that was asked for; differences are decoded later, with what they need."""
    try:
        head, payload = parsed(record)
        if (
            head.kind != held.kind
            or head.raw > _LONGEST
            or all(each != held.digest for each, _ in head.members)
        ):
            return False
        # a bomb would be decoded whole
        if head.codec not in PLAIN and frame_content_size(payload) > head.raw:
            return False
        if head.kind == GROUP:
            return sum(size for _, size in head.members) == head.raw
        (member,) = head.members
        raw = unpacked(head.codec, payload, head.raw)
        if head.kind == CHUNK:
            return member == (blake3(raw).digest(), head.raw)
        return sum(size for _, size in recipe_of(raw)) == member[1]
    except (ValueError, ZstdError):
        return False
