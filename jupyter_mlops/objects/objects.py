"""Objects: bytes kept by content under one folder, where nothing else writes. Used by every service.

The order of a write: a pack aside, its chunks decoded again and compared, made durable, renamed into place,
its folder made durable, made known to the index. Only then may a fact name the address.
"""

from __future__ import annotations

import io
import os
import secrets
import shutil
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, cast

from blake3 import blake3

from ..errors import Damaged
from . import locks
from .batch import Batch, ignore
from .blob import Blob, Buffer, address, damaged, raw_digest
from .durable import make_folder, storing
from .files import checkout
from .packs.index import ChunkIndex
from .packs.intake import Advance
from .packs.pack import RECIPE
from .packs.records import Records
from .packs.stream import Stream
from .settings import Settings, settings_of
from .tree import Entry, Row, flattened, rows_of

_STALE_SECONDS = 86_400
_BUFFER = 64 << 10


@dataclass(frozen=True, slots=True)
class Stored:
    """What a store holds: packs, distinct chunks, files of several chunks, raw bytes, bytes on the disk."""

    packs: int
    chunks: int
    files: int
    raw: int
    stored: int


class Objects:
    """The bytes of one project, by content."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.index = ChunkIndex(self.folder)
        self._records = Records(self.folder, self.index)
        self._sole: int | None = None

    @cached_property
    def settings(self) -> Settings:
        """How this store cuts and compresses; raises ``StoreFailed`` for a store of another kind."""
        return settings_of(self.folder)

    def prepared(self) -> Settings:
        """Return the settings of this store, which has been made now if it was not there."""
        settings = settings_of(self.folder, write=True)
        with storing():
            make_folder(self.folder / "packs")
        return settings

    # -- locks

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Keep everything that is stored from being collected as garbage until the block ends."""
        if self._sole == threading.get_ident():
            yield  # who excludes all others would wait for itself
            return
        with locks.shared(self.folder):
            yield

    @contextmanager
    def excluding(self, wait: float = 10.0) -> Iterator[None]:
        """Be the only one who works on the store; raises ``Conflict`` if others still do after ``wait``."""
        with locks.exclusive(self.folder, wait):
            self._sole = threading.get_ident()
            try:
                yield
            finally:
                self._sole = None

    # -- writing

    def batch(self, replace: bool = False) -> Batch:
        """Open a block that keeps several blobs and makes them durable once, at its end.

        With ``replace``, what is stored already is stored again, and read from its new place.
        """
        return Batch(self, replace)

    def put_bytes(self, data: Buffer) -> str:
        """Keep ``data`` durably and return its address."""
        with self.batch() as batch:
            return batch.put_bytes(data)

    def put_file(self, path: str | Path, advance: Advance = ignore) -> Blob:
        """Keep the content of a file durably."""
        with self.batch() as batch:
            return batch.put_file(path, advance)

    def put_tree(self, entries: Iterable[Entry]) -> str:
        """Keep a tree durably and return its address."""
        with self.batch() as batch:
            return batch.put_tree(entries)

    # -- asking

    def has(self, digest: str) -> bool:
        """Return whether all that ``digest`` names is kept; whether it is sound shows when it is read."""
        return not self.missing((digest,))

    def missing(self, digests: Collection[str]) -> set[str]:
        """Return those of ``digests`` that are not kept, or not whole."""
        raw = {raw_digest(digest): digest for digest in digests}
        places = self._records.known(raw)
        gone = {digest for each, digest in raw.items() if each not in places}
        for each, place in places.items():
            if place.kind == RECIPE:
                try:
                    chunks = {digest for digest, _ in self._records.recipe(each).chunks()}
                except Damaged:
                    gone.add(raw[each])
                    continue
                if not self.index.has(chunks) >= chunks:
                    gone.add(raw[each])
        return gone

    def size(self, digest: str) -> int:
        """Return how many bytes ``digest`` names."""
        return self._records.place(raw_digest(digest)).size

    def chunks(self, digest: str) -> tuple[tuple[str, int], ...]:
        """Return the address and size of every chunk of a file, in order."""
        return tuple(
            (address(each), size) for each, size in self._records.recipe(raw_digest(digest)).chunks()
        )

    def stored(self) -> Stored:
        """Return what there is in total."""
        self.index.adopt()
        return Stored(*self.index.totals())

    # -- reading

    def read(self, digest: str) -> bytes:
        """Return the bytes under ``digest``, verified."""
        recipe = self._records.recipe(raw_digest(digest))
        data = b"".join(self._records.sequence(recipe))
        if len(recipe) > 1 and blake3(data).digest() != recipe.digest:
            raise damaged(digest)
        return data

    def read_small(self, digests: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Yield the bytes, verified, of those that are one chunk, in the order in which they are stored.

        Longer ones are left out; ``write_to`` and ``open`` stream them.
        """
        for digest, data in self._records.small(raw_digest(digest) for digest in digests):
            yield address(digest), data

    def open(self, digest: str) -> BinaryIO:
        """Return the bytes under ``digest`` as a file to read and seek in, verified chunk by chunk.

        One that is read from start to end raises ``Damaged`` there unless it is right as a whole.
        """
        stream = Stream(self._records, self._records.recipe(raw_digest(digest)))
        return cast(BinaryIO, io.BufferedReader(stream, _BUFFER))

    def record(self, digest: str) -> bytes:
        """Return the whole record that holds ``digest``, checked, as it lies in its pack."""
        return self._records.record(raw_digest(digest))

    def tree(self, digest: str) -> tuple[Entry, ...]:
        """Return the files of a tree, by path."""
        return flattened(self.read, digest)

    def node(self, digest: str) -> tuple[Row, ...]:
        """Return one folder of a tree: name, mode, size and address of what lies directly in it."""
        return rows_of(self.read(digest), digest)

    # -- files

    def write_to(self, digest: str, path: Path, mode: int, advance: Advance = ignore) -> None:
        """Write the bytes under ``digest`` to the new file ``path``, verified, where nobody looks yet."""
        recipe = self._records.recipe(raw_digest(digest))
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
        whole = blake3()
        with open(descriptor, "wb", buffering=1 << 20) as target:
            for chunk in self._records.sequence(recipe):
                if len(recipe) > 1:
                    whole.update(chunk)
                target.write(chunk)
                advance(len(chunk))
        if len(recipe) > 1 and whole.digest() != recipe.digest:
            raise damaged(digest)
        path.chmod(mode)

    def checkout(self, digest: str, path: str | Path, mode: int = 0o644, advance: Advance = ignore) -> None:
        """Write the bytes under ``digest`` to ``path`` at once or not at all.

        Raises ``Conflict`` if something different is there already.
        """
        checkout.place_file(self, digest, Path(path), mode, advance)

    def checkout_tree(
        self,
        entries: Iterable[Entry],
        path: str | Path,
        modes: Mapping[str, int] | None = None,
        advance: Advance = ignore,
    ) -> None:
        """Write the files of a tree into the folder ``path`` at once or not at all.

        ``modes`` overrides permission bits by path. Raises ``Conflict`` if something different is there.
        """
        checkout.place_tree(self, tuple(entries), Path(path), modes or {}, advance)

    @contextmanager
    def lent(self, digest: str, suffix: str = "") -> Iterator[Path]:
        """Lend the bytes under ``digest`` as a file, verified, that is gone when the block ends."""
        with self.scratch() as folder:
            path = folder / f"content{suffix}"
            with storing():
                self.write_to(digest, path, 0o600)
            yield path

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Lend an empty folder beside the kept bytes, gone when the block ends.

        Folders that killed processes left are removed on the way.
        """
        with storing():
            folder, descriptor = self._temporary()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            if descriptor is not None:
                os.close(descriptor)

    def _temporary(self) -> tuple[Path, int | None]:
        parent = self.folder / "tmp"
        make_folder(parent)
        while True:
            mine = parent / secrets.token_hex(8)
            mine.mkdir(mode=0o700)
            try:
                descriptor = locks.in_use(mine)
                break
            except FileNotFoundError:  # somebody thought that its owner was killed
                continue
        now = mine.stat().st_mtime  # the file system's clock wrote all of these
        for other in parent.iterdir():
            with suppress(FileNotFoundError):  # its owner is done
                if (
                    other != mine
                    and locks.removed_if_abandoned(other) is None
                    and now - other.stat().st_mtime > _STALE_SECONDS
                ):
                    shutil.rmtree(other, ignore_errors=True)
        return mine, descriptor
