"""Writing: stored files into a fresh folder, and out of the way again, in parallel. Used by checkouts."""

from __future__ import annotations

import os
import shutil
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..durable import make_all_durable
from ..tree import Entry
from .exchange import all_durable, begin_writing
from .folder import scan

if TYPE_CHECKING:
    from ..objects import Objects

Advance = Callable[[int], None]
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_SMALL = 64 << 10
_BIG = 16 << 20  # decoded by several threads of its own
_TOGETHER = 256
_AHEAD = 6
_WRITERS = 4
_REMOVERS = 8
_FEW = 32  # from here on one call for the whole file system is faster than one a file


def write_files(objects: Objects, entries: Iterable[Entry], top: Path, advance: Advance) -> None:
    """Write stored files below ``top``, where nobody looks yet; every byte is compared with its address."""
    small: defaultdict[str, list[Entry]] = defaultdict(list)
    big = []
    for entry in entries:
        if entry.size <= _SMALL:
            small[entry.digest].append(entry)
        else:
            big.append(entry)
    above = os.fspath(top)
    with _writers() as run:
        batch: list[tuple[bytes, Entry]] = []
        for digest, data in objects.read_small(small):
            batch.extend((data, entry) for entry in small.pop(digest))
            if len(batch) >= _TOGETHER:
                run(partial(_write, batch, above), _bytes_of(batch), advance)
                batch = []
        run(partial(_write, batch, above), _bytes_of(batch), advance)
        # what is left out is in several pieces after all, or missing, and then reading it says so
        big.extend(entry for each in small.values() for entry in each)
        for entry in big:
            if entry.size < _BIG:
                run(partial(_copy, objects, entry, top, _ignore), entry.size, advance)
    for entry in big:
        if entry.size >= _BIG:
            with _written_early(top / entry.path, advance) as early:
                _copy(objects, entry, top, early)


def make_written_durable(top: Path, paths: Sequence[str]) -> None:
    """Return when the files ``paths`` below ``top``, and the folders they are in, survive a loss of power."""
    if len(paths) > _FEW and all_durable(top):
        return
    folders = {Path(top, path).parent for path in paths}
    make_all_durable([top / path for path in paths])
    make_all_durable(sorted({above for folder in folders for above in _up_to(top, folder)}))


def remove_all(folder: Path) -> None:
    """Remove ``folder`` and all in it, as far as that is possible.

    Several threads, because a journal that makes one of them wait does not make the others wait.
    """
    try:
        inside = list(scan(os.fspath(folder)))
        names = [f"{each.place}/{file[0]}" for each in inside for file in each.files]
        names += [f"{each.place}/{name}" for each in inside for name in each.others]
        with ThreadPoolExecutor(_REMOVERS, thread_name_prefix="checkout") as pool:
            lots = [names[start : start + _TOGETHER] for start in range(0, len(names), _TOGETHER)]
            for _ in pool.map(_unlink, lots):
                pass
        for each in reversed(inside):
            os.rmdir(each.place)
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)


def _unlink(names: Sequence[str]) -> None:
    for name in names:
        os.unlink(name)


@contextmanager
def _writers() -> Iterator[Callable[[Callable[[], None], int, Advance], None]]:
    """Lend a function that runs a piece of work on one of several threads and reports its bytes when done."""
    waiting: deque[tuple[Future[None], int, Advance]] = deque()

    def settle(left: int) -> None:
        while len(waiting) > left:
            future, size, advance = waiting.popleft()
            future.result()
            advance(size)

    pool = ThreadPoolExecutor(_WRITERS, thread_name_prefix="checkout")

    def run(work: Callable[[], None], size: int, advance: Advance) -> None:
        settle(_AHEAD)
        waiting.append((pool.submit(work), size, advance))

    try:
        yield run
        settle(0)
    finally:
        pool.shutdown(cancel_futures=True)


def _write(files: Sequence[tuple[bytes, Entry]], top: str) -> None:
    for data, entry in files:
        descriptor = os.open(f"{top}/{entry.path}", _NEW, 0o600)
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(descriptor, left) :]
            if os.name == "posix":
                os.fchmod(descriptor, entry.mode)
        finally:
            os.close(descriptor)


def _copy(objects: Objects, entry: Entry, top: Path, advance: Advance) -> None:
    objects.write_to(entry.digest, top / entry.path, entry.mode, advance)


@contextmanager
def _written_early(path: Path, advance: Advance) -> Iterator[Advance]:
    """Lend an ``advance`` that has the new file ``path`` written to the disk every few megabytes."""
    descriptor, done, begun = -1, 0, 0

    def early(count: int) -> None:
        nonlocal descriptor, done, begun
        advance(count)
        done += count
        if done - begun >= _BIG:
            if descriptor < 0:
                descriptor = os.open(path, os.O_RDONLY)
            begin_writing(descriptor, begun, done - begun)
            begun = done

    try:
        yield early
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _bytes_of(files: Sequence[tuple[bytes, Entry]]) -> int:
    return sum(len(data) for data, _ in files)


def _up_to(top: Path, folder: Path) -> Iterator[Path]:
    while folder != top:
        yield folder
        folder = folder.parent
    yield top


def _ignore(_: int) -> None:
    """Take no notice of progress."""
