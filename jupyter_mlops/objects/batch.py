"""The batch: bytes that become durable together when its block ends. Made by ``Objects``."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from blake3 import blake3

from ..errors import BadInput, Damaged, MLOpsError, StoreFailed
from .blob import Blob, Buffer, address, raw_digest
from .packs.codec import unpacked
from .packs.intake import Advance, Intake
from .packs.pack import CHUNK, GROUP, RECIPE, Head, Pack, head_of, parsed, recipe_payload
from .packs.packing import Packing
from .tree import Entry, store_tree

if TYPE_CHECKING:
    from .objects import Objects


def ignore(_: int) -> None:
    """Take no notice of progress."""


class Batch:
    """Keeps bytes, each content once. What it keeps is durable, and can be read, when the block ends.

    A block that ends with an error leaves nothing, but for full packs, which the next attempt uses again.
    """

    def __init__(self, objects: Objects, replace: bool = False) -> None:
        self._objects = objects
        self._replace = replace
        self._stack = ExitStack()
        self._broken = False

    def __enter__(self) -> Batch:
        with ExitStack() as stack:
            objects = self._objects
            self._settings = objects.prepared()
            stack.enter_context(objects.holding())
            aside = stack.enter_context(objects.scratch())
            objects.index.adopt()
            self._packing = Packing(objects.folder, objects.index, self._settings.level, aside, self._replace)
            self._intake = Intake(self._packing, self._settings)
            stack.callback(self._packing.end)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:
            if kind is None:
                with self._guarded():
                    self._packing.finish()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Let a batch that lost something on the way never end as if it had not."""
        if self._broken:
            raise StoreFailed("an earlier error kept bytes from being stored", "repeat the whole command")
        try:
            yield
        except MLOpsError as error:
            self._broken = isinstance(error, StoreFailed)  # the others are told before anything is promised
            raise
        except BaseException:
            self._broken = True
            raise

    @property
    def packs(self) -> tuple[Pack, ...]:
        """The packs that were written, all of them when the block has ended; with records if it replaces."""
        return tuple(self._packing.packs)

    def has(self, digest: str) -> bool:
        """Return whether ``digest`` is stored, or will be when the block ends."""
        raw = raw_digest(digest)
        return not self._packing.unknown((raw,))

    def put_bytes(self, data: Buffer) -> str:
        """Keep ``data`` and return its address."""
        if len(data) <= self._settings.small:
            return self.put_chunk(data)
        with self._guarded():
            return self._intake.stream(io.BytesIO(data), len(data), ignore).digest

    def put_chunk(self, data: Buffer) -> str:
        """Keep ``data`` as one chunk, whatever its size, and return its address."""
        with self._guarded():
            return address(self._packing.hand_over((data,)).result().digests[0])

    def put_recipe(self, digest: str, size: int, chunks: Sequence[tuple[str, int]]) -> str:
        """Keep that ``digest`` is these chunks, one after the other, and return it."""
        listed = [(raw_digest(each), length) for each, length in chunks]
        if sum(length for _, length in listed) != size:
            raise BadInput(f"the chunks of {digest[:15]}… do not make {size} bytes")
        if [each for each, _ in chunks] != [digest]:  # a file of one chunk is that chunk
            with self._guarded():
                self._intake.recipe(raw_digest(digest), size, recipe_payload(listed))
        return digest

    def put_record(self, data: bytes, checked: bool = False) -> tuple[str, ...]:
        """Keep a whole record as it is and return the addresses it holds.

        Raises ``Damaged`` unless it holds what it says; ``checked``: the caller has made sure of that.
        """
        try:
            head, payload = parsed(data)
            digests = [digest for digest, _ in head.members]
            if not checked and (self._replace or self._packing.unknown(digests)):
                self._check(head, payload)
        except ValueError as error:
            raise Damaged(f"a record to be stored is damaged: {error}", "fetch it again") from error
        with self._guarded():
            if self._packing.claim(digests):
                self._packing.add(data, head)
        return tuple(address(digest) for digest in digests)

    def put_records(self, records: Iterable[bytes]) -> None:
        """Keep whole records as they are; the caller has made sure that they hold what they say."""
        heads = {
            digest: (data, head)
            for data in records
            for head in (head_of(data),)
            for digest, _ in head.members
        }
        with self._guarded():
            fresh = self._packing.claim(heads)
            chosen = {id(heads[digest][0]): heads[digest] for digest in heads if digest in fresh}
            if chosen:
                self._packing.add_several(list(chosen.values()))

    def put_file(self, path: str | Path, advance: Advance = ignore) -> Blob:
        """Keep the content of a file, telling ``advance`` how many bytes are done.

        Raises ``SourceChanged`` if the file changed while it was read.
        """
        with self._guarded():
            return self._intake.file(Path(path), advance)

    def put_files(self, paths: Iterable[str | Path], advance: Advance = ignore) -> list[Blob]:
        """Keep the content of many files and return it in their order; they are worked on together."""
        with self._guarded():
            return self._intake.files(paths, advance)

    def put_tree(self, entries: Iterable[Entry]) -> str:
        """Keep a tree of files that are kept already and return its address."""
        entries = tuple(entries)
        unknown = self._packing.unknown(raw_digest(entry.digest) for entry in entries)
        if unknown:
            missing = {address(each) for each in unknown}
            path = next(entry.path for entry in entries if entry.digest in missing)
            raise Damaged(f"the tree names {path!r}, whose bytes are not stored", "store its bytes first")
        return store_tree(self.put_bytes, entries)

    def _check(self, head: Head, payload: memoryview) -> None:
        """Raise ``ValueError`` unless a record holds what its digests say."""
        if head.kind == RECIPE:
            unpacked(head.codec, payload, head.raw)
            return
        if head.bases and not self._objects.index.has(head.bases) >= set(head.bases):
            self._packing.flush()
        bases = b"".join(self._objects.read(address(each)) for each in head.bases)
        raw = unpacked(head.codec, payload, head.raw, bases)
        start = 0
        for digest, size in head.members:
            if blake3(memoryview(raw)[start : start + size]).digest() != digest:
                raise ValueError(f"{address(digest)[:15]}… is something else")
            start += size
        if start != len(raw) or head.kind not in (CHUNK, GROUP):
            raise ValueError("its sizes do not add up")
