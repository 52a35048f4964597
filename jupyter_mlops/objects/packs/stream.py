"""The stream: stored bytes as a file that can be read and sought in. Made by ``Objects.open``."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator

from blake3 import blake3

from ..blob import address, damaged
from .records import Recipe, Records

_KEPT = 8


class Stream(io.RawIOBase):
    """The raw bytes of a file, decoded chunk by chunk as they are asked for.

    Read from the start to the end, they are also checked as a whole: the end raises ``Damaged`` if they are
    not what was stored.
    """

    def __init__(self, records: Records, recipe: Recipe) -> None:
        super().__init__()
        self._records = records
        self._recipe = recipe
        self._position = 0
        self._hasher = blake3()
        self._hashed = 0
        self._last = -1
        self._next = -1
        self._sequence: Iterator[bytes] | None = None
        self._chunks: OrderedDict[int, bytes] = OrderedDict()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._recipe.size}[whence]
        if start + offset < 0:
            raise ValueError("nothing lies before the start")
        self._position = start + offset
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if not len(buffer):
            return 0
        if self._position >= self._recipe.size:
            self._finish()
            return 0
        number = bisect_right(self._recipe.starts, self._position) - 1
        chunk = self._chunk(number)
        start = self._position - self._recipe.starts[number]
        count = min(len(buffer), len(chunk) - start)
        view = memoryview(chunk)[start : start + count]
        buffer[:count] = view
        if self._position == self._hashed and count:
            self._hasher.update(view)
            self._hashed += count
        self._position += count
        self._finish()
        return count

    def close(self) -> None:
        self._leave()
        self._chunks.clear()
        super().close()

    def _chunk(self, number: int) -> bytes:
        if number in self._chunks:
            self._chunks.move_to_end(number)
            return self._chunks[number]
        if number != self._next or self._sequence is None:
            self._leave()
        if self._sequence is None and number == self._last + 1:
            # the second chunk in a row: whoever reads is going to read on
            self._sequence = self._records.sequence(self._recipe, number)
        if self._sequence is not None:
            chunk = next(self._sequence)
            self._next = number + 1
        else:
            (chunk,) = self._records.chunks([self._recipe.chunk(number)[0]])
        self._last = number
        self._chunks[number] = chunk
        if len(self._chunks) > _KEPT:
            self._chunks.popitem(last=False)
        return chunk

    def _leave(self) -> None:
        if self._sequence is not None:
            self._sequence.close()  # type: ignore[attr-defined]  # it is a generator
            self._sequence = None

    def _finish(self) -> None:
        if self._hashed == self._recipe.size and self._hasher.digest() != self._recipe.digest:
            raise damaged(address(self._recipe.digest))
