"""Collection of garbage: frees bytes that nothing needs any more, never by surprise. Called by ``Upkeep``.

What nothing needs is condemned, and freed by a later run if nothing needed it for the whole grace. Packs that
go wait in the trash for another grace. Nobody writes meanwhile: a commit holds the lock that this needs
alone, from its first byte to its fact.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import Damaged
from ...value import Value
from ..durable import placed
from ..packs.pack import pack_path, records_of
from .notes import Notes, alone
from .reach import Reach, Root
from .repack import QUARANTINE, TRASH, moved_to, repacked, unread

if TYPE_CHECKING:
    from ..objects import Objects

DAY = 86_400.0
_LIVE = 0.6
_HEXADECIMAL = re.compile("[0-9a-f]{64}")
Roots = Callable[[], Iterable[Root]]


@dataclass(frozen=True, slots=True, repr=False)
class GarbageReport(Value):
    """What a collection found, and did if it was not a rehearsal. Bytes are as stored.

    ``condemned`` is needed by nothing, ``due`` of it for longer than the grace. ``freed`` left the packs, and
    ``trash`` waits in the trash of which ``emptied`` went for good. ``undone`` says that the trash was
    to be brought back, ``restored`` how much came of it.
    """

    done: bool
    grace: float
    stored: int
    condemned: int
    due: int
    freed: int
    packs: int
    rewritten: int
    trash: int
    emptied: int
    absent: int
    restored: int = 0
    undone: bool = False

    def with_restored(self, restored: int) -> GarbageReport:
        """Return the report, saying that so many bytes came back from the trash."""
        return replace(self, restored=restored, undone=True)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON-ready types."""
        return {
            "done": self.done,
            "grace": self.grace,
            "stored": self.stored,
            "condemned": self.condemned,
            "due": self.due,
            "freed": self.freed,
            "packs": self.packs,
            "rewritten": self.rewritten,
            "trash": self.trash,
            "emptied": self.emptied,
            "absent": self.absent,
            "restored": self.restored,
        }


def collect(
    objects: Objects, roots: Roots, grace: float = DAY, delete: bool = False, wait: float = 10.0
) -> GarbageReport:
    """Condemn what nothing needs; with ``delete``, free what was condemned ``grace`` seconds ago or before.

    Raises ``Conflict`` while a commit runs, and ``Damaged`` where it cannot be told what is needed.

    Parameters
    ----------
    roots
        Answers, whenever asked, what is needed: addresses, each with whether it is that of a tree.
    """
    if not (objects.folder / "packs").is_dir():
        return GarbageReport(delete, grace, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    with alone(objects.folder, wait) as notes:
        objects.index.adopt()
        reach = Reach(objects)
        reach.add(roots())  # most of the walk, while others still work
        with objects.excluding(wait):
            objects.index.adopt()
            reach.add(roots())
            reach.add_bases()
            return _Collection(objects, notes, reach, grace).run(delete)


class _Collection:
    """One run, alone with the store."""

    def __init__(self, objects: Objects, notes: Notes, reach: Reach, grace: float) -> None:
        self._objects = objects
        self._notes = notes
        self._reach = reach
        self._grace = grace
        self._now = time.time()
        self._trash = objects.folder / TRASH

    def run(self, delete: bool) -> GarbageReport:
        """Look, and with ``delete`` do."""
        stored = self._objects.stored().stored
        lengths = self._dead()
        due = self._due(lengths)
        trashed, stale = self._in_trash()
        packs: list[str] = []
        rewritten = 0
        if delete:
            self._refuse_guessing()
            since = self._notes.condemned()
            self._notes.pardon(since.keys() - lengths.keys())
            self._notes.condemn(lengths.keys() - since.keys(), self._now)
            packs, rewritten = self._free(due.keys())
            for path in stale:
                path.unlink(missing_ok=True)
            self._drop_copies()
        left = self._objects.stored().stored
        emptied = sum(stale.values()) if delete else 0
        return GarbageReport(
            delete,
            self._grace,
            stored,
            sum(lengths.values()),
            sum(due.values()),
            stored - left,
            len(packs),
            rewritten,
            (self._in_trash()[0] if delete else trashed),
            emptied,
            self._reach.absent,
        )

    def _dead(self) -> dict[bytes, int]:
        """Return what is needed by nothing, with the bytes that its record takes if nothing else is in it."""
        live: set[tuple[str, int]] = set()
        dead: dict[bytes, tuple[str, int, int]] = {}
        for digest, place in self._objects.index.every():
            if digest in self._reach.needed:
                live.add((place.pack, place.offset))
            else:
                dead[digest] = (place.pack, place.offset, place.length)
        counted: set[tuple[str, int]] = set()
        lengths = {}
        for digest, (pack, offset, length) in dead.items():
            once = (pack, offset) not in live and (pack, offset) not in counted
            counted.add((pack, offset))
            lengths[digest] = length if once else 0
        return lengths

    def _due(self, lengths: dict[bytes, int]) -> dict[bytes, int]:
        """Return what was condemned longer ago than the grace, and lies in packs that nobody used since."""
        ages = {}
        for row in self._objects.index.packs():
            try:
                ages[row.name] = self._age(pack_path(self._objects.folder, row.name).stat().st_mtime)
            except OSError:
                ages[row.name] = 0.0
        condemned = {
            digest: at
            for digest, at in self._notes.condemned().items()
            if digest in lengths and self._old(at)
        }
        places = self._objects.index.many(condemned.keys())
        return {
            digest: lengths[digest]
            for digest in condemned
            if digest in places and ages.get(places[digest].pack, 0.0) >= self._grace
        }

    def _free(self, due: Iterable[bytes]) -> tuple[list[str], int]:
        """Move packs to the trash that hold little but what is due; the rest of them is kept in new packs."""
        going = set(due)
        names = {place.pack for place in self._objects.index.many(going).values()}
        chosen = [name for name in sorted(names) if self._wasteful(name, going)]
        done = repacked(self._objects, chosen, moved_to(self._trash), keep=lambda digest: digest not in going)
        places = self._objects.index.many(going)
        self._notes.pardon(going - places.keys())
        return done.gone, len(done.fresh)

    def _wasteful(self, name: str, going: set[bytes]) -> bool:
        try:
            pack = records_of(pack_path(self._objects.folder, name))
        except (ValueError, OSError):
            return False  # verification says so
        total = sum(head.total for _, head in pack.records)
        return unread(self._objects, pack, lambda digest: digest not in going) > (1 - _LIVE) * total

    def _drop_copies(self) -> None:
        """Remove files that were written out for links and loads of what nothing needs any more."""
        copies = self._objects.folder / "copies"
        for path in (*copies.glob("files/??/*"), *copies.glob("*")):
            name = path.name.partition(".")[0]
            if _HEXADECIMAL.fullmatch(name) and bytes.fromhex(name) not in self._reach.needed:
                with suppress(FileNotFoundError):
                    if not self._old(path.stat().st_mtime):
                        continue
                    if path.is_dir():
                        shutil.rmtree(path, ignore_errors=True)
                    else:
                        path.unlink()  # files that are linked to it stay

    def _in_trash(self) -> tuple[int, dict[Path, int]]:
        """Return how many bytes are in the trash, and which files were there longer than the grace."""
        total, stale = 0, {}
        for path in self._trash.glob("*.pack"):
            status = path.stat()
            total += status.st_size
            if self._old(status.st_mtime):
                stale[path] = status.st_size
        return total, stale

    def _refuse_guessing(self) -> None:
        """Raise ``Damaged`` if something needed is gone that might say what else is needed."""
        torn = self._reach.torn
        if self._reach.missing and (
            self._objects.index.spoiled() or _holds(self._objects.folder / QUARANTINE)
        ):
            torn = len(self._reach.missing)
        if torn:
            raise Damaged(
                f"{torn} pieces of stored data are missing, and nobody can tell what else they need",
                "`mlops data verify --full` names them and mends what it can; then repeat",
            )

    def _old(self, at: float) -> bool:
        return self._age(at) >= self._grace

    def _age(self, at: float) -> float:
        # a clock that went backwards must not make anything old
        return max(0.0, self._now - at)


def _holds(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def undo(objects: Objects) -> int:
    """Bring back every pack that is in the trash; return how many bytes that are."""
    size = 0
    with alone(objects.folder, 10.0):
        for path in sorted((objects.folder / TRASH).glob("*.pack")):
            size += path.stat().st_size
            placed(path, pack_path(objects.folder, path.stem))
        objects.index.adopt()
    return size
