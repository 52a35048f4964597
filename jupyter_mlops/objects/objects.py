"""Objects: bytes kept by content under one folder, where nothing else writes. Used by every service.

The order of a write: temporary file, decoded again and compared, made durable, renamed into place, its folder
made durable. Only then may a fact name the address.
"""

from __future__ import annotations

import io
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, cast

from ..errors import Damaged, MLOpsError, StoreFailed
from . import checkout
from .blob import (
    Blob,
    VerifiedReader,
    compress,
    compressed,
    decompressed,
    digest_of,
    digest_of_file,
    hexadecimal,
    raw_size,
    steps,
)
from .source import changed, opened
from .tree import Entry, decoded, encoded

_SMALL = 1 << 20
_STALE_SECONDS = 86_400
Advance = Callable[[int], None]


def _ignore(_: int) -> None:
    """Take no notice of progress."""


class Batch:
    """Several blobs that become durable and visible together when the block ends, or none of them."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._folder: Path | None = None
        self._fresh: dict[str, Path] = {}
        self._known: set[str] = set()

    def __enter__(self) -> Batch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                with _storing():
                    self._publish()
        finally:
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)

    def put_bytes(self, data: bytes) -> str:
        """Keep ``data`` and return its address."""
        digest = digest_of(data)
        if not self._has(digest):
            with _storing():
                path = self._place(digest)
                kept = compressed(data)
                _check(decompressed(kept) == data)
                path.write_bytes(kept)
                self._fresh[digest] = path
        return digest

    def put_file(self, path: str | Path, advance: Advance = _ignore) -> Blob:
        """Keep the content of a file, telling ``advance`` how many bytes are done.

        Raises ``SourceChanged`` if the file changed while it was read.
        """
        path = Path(path)
        with opened(path) as (source, status):
            if status.st_size <= _SMALL:
                data = source.read(_SMALL + 1)
                if len(data) != status.st_size:
                    raise changed(path)
                advance(len(data))
                return Blob(self.put_bytes(data), len(data))
            blob = digest_of_file(source)
            if self._has(blob.digest):
                advance(blob.size)
                return blob
            source.seek(0)
            with _storing():
                temporary = self._place(blob.digest)
                with temporary.open("xb") as target:
                    again = _compressed_again(path, source, blob, target, advance)
                if again != blob:
                    raise changed(path)
                _check(_sound(temporary, blob.digest))
                self._fresh[blob.digest] = temporary
            return blob

    def put_tree(self, entries: Iterable[Entry]) -> str:
        """Keep a tree of files that are kept already and return its address."""
        entries = tuple(entries)
        for entry in entries:
            if entry.digest not in self._fresh and not self._objects.has(entry.digest):
                raise Damaged(
                    f"the tree names {entry.path!r}, whose bytes are not stored", "store its bytes first"
                )
        return self.put_bytes(encoded(entries))

    def _has(self, digest: str) -> bool:
        """Whether the bytes are kept already and sound; bytes that went bad are written once more."""
        if digest in self._fresh or digest in self._known:
            return True
        if self._objects.has(digest) and _sound(self._objects.place(digest), digest):
            self._known.add(digest)
            return True
        return False

    def _place(self, digest: str) -> Path:
        if self._folder is None:
            self._folder = self._objects.temporary_folder()
        return self._folder / f"{hexadecimal(digest)}.{secrets.token_hex(4)}"

    def _publish(self) -> None:
        checkout.make_all_durable(self._fresh.values())
        folders = set()
        for digest, path in self._fresh.items():
            place = self._objects.place(digest)
            if place.parent not in folders:
                place.parent.mkdir(exist_ok=True)
                folders.add(place.parent)
            path.replace(place)
        # another process may have renamed what we found here a moment ago, and not yet made that durable
        folders.update(self._objects.place(digest).parent for digest in self._known)
        for folder in (*sorted(folders), self._objects.folder):
            if folder.exists():
                checkout.make_durable(folder)


class Objects:
    """The bytes of one project, by content."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def batch(self) -> Batch:
        """Open a block that keeps several blobs and makes them durable once, at its end."""
        return Batch(self)

    def put_bytes(self, data: bytes) -> str:
        """Keep ``data`` durably and return its address."""
        with self.batch() as batch:
            return batch.put_bytes(data)

    def put_file(self, path: str | Path, advance: Advance = _ignore) -> Blob:
        """Keep the content of a file durably."""
        with self.batch() as batch:
            return batch.put_file(path, advance)

    def put_tree(self, entries: Iterable[Entry]) -> str:
        """Keep a tree durably and return its address."""
        with self.batch() as batch:
            return batch.put_tree(entries)

    def has(self, digest: str) -> bool:
        """Return whether bytes are kept under ``digest``; whether they are sound shows when they are read."""
        return self.place(digest).is_file()

    def size(self, digest: str) -> int:
        """Return how many bytes ``digest`` names."""
        return raw_size(self._kept(digest), digest)

    def read(self, digest: str) -> bytes:
        """Return the bytes under ``digest``, verified."""
        with self.open(digest) as file:
            return file.read()

    def open(self, digest: str) -> BinaryIO:
        """Return the bytes under ``digest`` as a stream; its end raises ``Damaged`` unless they are right."""
        return cast(BinaryIO, io.BufferedReader(VerifiedReader(self._kept(digest), digest), 1 << 20))

    def tree(self, digest: str) -> tuple[Entry, ...]:
        """Return the files of a tree, by path."""
        return decoded(self.read(digest), digest)

    def checkout(self, digest: str, path: str | Path, mode: int = 0o644, advance: Advance = _ignore) -> None:
        """Write the bytes under ``digest`` to ``path`` at once or not at all.

        Raises ``Conflict`` if something different is there already.
        """
        checkout.place_file(self, digest, Path(path), mode, advance)

    def checkout_tree(
        self,
        entries: Iterable[Entry],
        path: str | Path,
        modes: Mapping[str, int] | None = None,
        advance: Advance = _ignore,
    ) -> None:
        """Write the files of a tree into the folder ``path`` at once or not at all.

        ``modes`` overrides permission bits by path. Raises ``Conflict`` if something different is there.
        """
        checkout.place_tree(self, tuple(entries), Path(path), modes or {}, advance)

    def write_to(self, digest: str, path: Path, mode: int, advance: Advance = _ignore) -> None:
        """Write the bytes under ``digest`` to the new file ``path``, verified, where nobody looks yet."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
        with open(descriptor, "wb") as target, self.open(digest) as source:
            for piece in steps(source, self.size(digest)):
                target.write(piece)
                advance(len(piece))
        path.chmod(mode)

    @contextmanager
    def lent(self, digest: str, suffix: str = "") -> Iterator[Path]:
        """Lend the bytes under ``digest`` as a file, verified, that is gone when the block ends."""
        with self.scratch() as folder:
            path = folder / f"content{suffix}"
            with _storing():
                self.write_to(digest, path, 0o600)
            yield path

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Lend an empty folder beside the kept bytes, gone when the block ends."""
        with _storing():
            folder = self.temporary_folder()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def temporary_folder(self) -> Path:
        """Make a folder for one operation and remove those that killed processes left a day ago."""
        parent = self.folder / "tmp"
        if not parent.is_dir():
            parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            checkout.make_durable(self.folder.parent)
        mine = parent / secrets.token_hex(8)
        mine.mkdir(mode=0o700)
        now = mine.stat().st_mtime  # the file system's clock wrote all of these
        for other in parent.iterdir():
            try:
                if now - other.stat().st_mtime > _STALE_SECONDS:
                    shutil.rmtree(other, ignore_errors=True)
            except FileNotFoundError:
                continue  # its owner is done
        return mine

    def place(self, digest: str) -> Path:
        """Return where the bytes under ``digest`` are kept, or would be."""
        name = hexadecimal(digest)
        return self.folder / name[:2] / name[2:]

    def _kept(self, digest: str) -> Path:
        path = self.place(digest)
        if not path.is_file():
            raise Damaged(
                f"the stored bytes {digest[:15]}… are missing",
                "commit the same content again, which restores them",
            )
        return path


def _compressed_again(path: Path, source: BinaryIO, blob: Blob, target: BinaryIO, advance: Advance) -> Blob:
    from zstandard import ZstdError

    try:
        return compress(source, blob.size, target, advance)
    except ZstdError as error:  # fewer bytes than announced
        raise changed(path) from error


def _check(same: bool) -> None:
    # a compressor's bug must show while the original is still at hand
    if not same:
        raise StoreFailed("bytes written to the store came back different", "check the disk and the memory")


def _sound(path: Path, digest: str) -> bool:
    try:
        with VerifiedReader(path, digest) as reader:
            for _ in steps(cast(BinaryIO, reader), raw_size(path, digest)):
                pass
    except (Damaged, OSError):
        return False
    return True


@contextmanager
def _storing() -> Iterator[None]:
    """Say plainly what kept the store from being written; a full disk is the common case."""
    try:
        yield
    except MLOpsError:
        raise
    except OSError as error:
        raise StoreFailed(
            f"the stored bytes could not be written: {error.strerror or error}",
            "free some space, or check who may write to .mlops, and repeat; nothing was changed",
        ) from error
