"""Power: what a disk may hold after a loss of power, replayed from the calls that a story made.

Data of a file is certain once the file was synced, names in a folder once the folder was. Of everything else
any part may be there: each file keeps some of its unsynced writes, torn at sectors, or zeros in their place;
each folder the first few of its unsynced changes. A rename between folders happens in both or in neither.
"""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SECTOR = 512
EXCHANGE = 2  # of renameat2: the two change places
_ENTRY = struct.Struct("<cQQIII")


@dataclass(frozen=True)
class Call:
    """One recorded call: ``letter`` says which, see ``calls.c``."""

    letter: str
    inode: int
    number: int
    one: str
    other: str
    data: bytes


def recorded(log: Path) -> list[Call]:
    """Return the calls of a log, in order."""
    raw, at, calls = log.read_bytes(), 0, []
    while at < len(raw):
        letter, inode, number, *sizes = _ENTRY.unpack_from(raw, at)
        at += _ENTRY.size
        parts = []
        for size in sizes:
            parts.append(raw[at : at + size])
            at += size
        calls.append(
            Call(letter.decode(), inode, number, os.fsdecode(parts[0]), os.fsdecode(parts[1]), parts[2])
        )
    return calls


@dataclass
class File:
    """The bytes of a file: those that are certain, and the writes that are not. ``data=None`` cuts it."""

    certain: bytearray = field(default_factory=bytearray)
    waiting: list[tuple[int, bytes | None]] = field(default_factory=list)

    def settle(self) -> None:
        for offset, data in self.waiting:
            _apply(self.certain, offset, data)
        self.waiting.clear()

    def after_loss(self, chance: random.Random, kept: float) -> bytes:
        """Return bytes that may be there: each waiting write is kept with probability ``kept``."""
        content = bytearray(self.certain)
        for offset, data in self.waiting:
            if chance.random() < kept:
                _apply(content, offset, data)
            elif data is not None and chance.random() < 0.5:
                end = chance.randrange(0, len(data) + 1, SECTOR)  # torn
                if chance.random() < 0.3:
                    _apply(content, offset, bytes(len(data)))  # its length got there, its bytes did not
                _apply(content, offset, data[:end])
        return bytes(content)


@dataclass
class Folder:
    """The names in a folder: those that are certain, and the changes that are not."""

    certain: dict[str, int] = field(default_factory=dict)
    now: dict[str, int] = field(default_factory=dict)
    waiting: list[Change] = field(default_factory=list)


@dataclass(eq=False)
class Change:
    """Names that change at one instant; ``None`` is gone. ``twin`` is the half of it in another folder."""

    names: dict[str, int | None]
    twin: tuple[Folder, Change] | None = None


class Disk:
    """A disk under one folder, fed with calls; ``after_loss`` writes what it may look like afterwards."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._files: dict[int, File] = {}
        self._folders: dict[int, Folder] = {}
        self._top = root.stat().st_ino
        self._load(root)

    def feed(self, call: Call) -> None:
        """Let one call happen."""
        match call.letter:
            case "C":
                self._files[call.inode] = File()
                self._changed(call.one, {Path(call.one).name: call.inode})
            case "W" if call.inode in self._files:
                self._files[call.inode].waiting.append((call.number, call.data))
            case "T" if call.inode in self._files:
                self._files[call.inode].waiting.append((call.number, None))
            case "S":
                if call.inode in self._folders:
                    _settle(self._folders[call.inode])
                elif call.inode in self._files:
                    self._files[call.inode].settle()
            case "A":
                for file in self._files.values():
                    file.settle()
                for folder in self._folders.values():
                    _settle(folder)
            case "M":
                self._folders[call.inode] = Folder()
                self._changed(call.one, {Path(call.one).name: call.inode})
            case "L":
                self._changed(call.other, {Path(call.other).name: call.inode})
            case "U":
                self._changed(call.one, {Path(call.one).name: None})
            case "R":
                self._renamed(call)

    def after_loss(self, target: Path, chance: random.Random, kept: float) -> None:
        """Write to ``target`` what may be left if power goes now; ``kept`` = 0 drops all that is unsynced."""
        done: set[int] = set()  # changes that happened, by identity
        for folder in self._folders.values():
            reached = sum(1 for _ in _while(chance, kept, len(folder.waiting)))
            done.update(id(change) for change in folder.waiting[:reached])
        for folder in self._folders.values():
            for change in folder.waiting:
                if change.twin is not None and id(change) in done:
                    done.add(id(change.twin[1]))
        files = {inode: file.after_loss(chance, kept) for inode, file in self._files.items()}
        self._write(self._top, target, done, files)

    def _write(self, inode: int, target: Path, done: set[int], files: dict[int, bytes]) -> None:
        target.mkdir()
        folder = self._folders[inode]
        names = dict(folder.certain)
        for change in folder.waiting:
            if id(change) in done:
                _change(names, change)
        for name, child in names.items():
            if child in self._folders:
                self._write(child, target / name, done, files)
            elif not name.endswith("-shm"):  # shared memory of SQLite's, which nobody reads after a reboot
                (target / name).write_bytes(files[child])

    def _load(self, place: Path) -> None:
        folder = self._folders.setdefault(place.stat().st_ino, Folder())
        for path in place.iterdir():
            inode = path.lstat().st_ino
            folder.certain[path.name] = folder.now[path.name] = inode
            if path.is_dir():
                self._load(path)
            else:
                self._files[inode] = File(bytearray(path.read_bytes()))

    def _folder(self, path: str) -> Folder | None:
        """Return the folder that holds ``path``, or ``None`` outside of this disk."""
        parts = Path(os.path.normpath(path)).relative_to(self.root).parts if self._inside(path) else None
        if parts is None:
            return None
        folder = self._folders[self._top]
        for part in parts[:-1]:
            folder = self._folders[folder.now[part]]
        return folder

    def _inside(self, path: str) -> bool:
        return Path(os.path.normpath(path)).is_relative_to(self.root)

    def _changed(self, path: str, names: dict[str, int | None]) -> tuple[Folder, Change] | None:
        folder = self._folder(path)
        if folder is None:
            return None
        change = Change(names)
        _change(folder.now, change)
        folder.waiting.append(change)
        return folder, change

    def _renamed(self, call: Call) -> None:
        old, new = Path(call.one), Path(call.other)
        source, target = self._folder(call.one), self._folder(call.other)
        back = target.now[new.name] if call.number == EXCHANGE and target is not None else None
        if source is target:
            self._changed(call.other, {old.name: back, new.name: call.inode})
            return
        left = self._changed(call.one, {old.name: back})
        entered = self._changed(call.other, {new.name: call.inode})
        if left is not None and entered is not None:
            left[1].twin, entered[1].twin = entered, left


def _settle(folder: Folder) -> None:
    for change in folder.waiting:
        _change(folder.certain, change)
        if change.twin is not None:
            other, half = change.twin
            change.twin = half.twin = None
            # everything before the other half in its folder may stay uncertain, it alone is certain now
            other.waiting.remove(half)
            _change(other.certain, half)
    folder.waiting.clear()


def _change(names: dict[str, int], change: Change) -> None:
    for name, inode in change.names.items():
        if inode is None:
            names.pop(name, None)
        else:
            names[name] = inode


def _apply(content: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        del content[offset:]
        content.extend(bytes(offset - len(content)))
        return
    content.extend(bytes(max(0, offset - len(content))))
    content[offset : offset + len(data)] = data


def _while(chance: random.Random, kept: float, most: int) -> Iterator[int]:
    for number in range(most):
        if chance.random() >= kept:
            return
        yield number
