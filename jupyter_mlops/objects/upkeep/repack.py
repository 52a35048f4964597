"""Repacking: copies the records that are still read out of packs, so that these can go. Used by upkeep alone.

Records are copied as they are, each decoded and compared on the way; those that were packed in haste are
packed again. A pack goes when what it held is on disk elsewhere and sound; one that cannot be read to its end
stays for verification.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from blake3 import blake3

from ...errors import Damaged
from ..blob import address
from ..durable import make_durable, make_folder
from ..packs.pack import RECIPE, Pack, iterated, pack_path, records_of, thorough

if TYPE_CHECKING:
    from ..batch import Batch
    from ..objects import Objects
    from ..packs.index import Place

TRASH, QUARANTINE = "trash", "quarantine"
_READ = 4 << 20
_PORTION = 256 << 20
Discard = Callable[[Path], None]
_Keep = Callable[[bytes], bool]


@dataclass(slots=True)
class Repacked:
    """What a repacking did: the packs that went, those that could not be read, those that came."""

    gone: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    fresh: list[Pack] = field(default_factory=list)


def repacked(
    objects: Objects,
    names: Collection[str],
    discard: Discard,
    keep: _Keep = lambda _: True,
    trusted: Collection[str] = (),
    going_on: Callable[[], bool] = lambda: True,
) -> Repacked:
    """Copy what is read from the packs ``names``, and for which ``keep`` is true, and discard these packs.

    What is read from elsewhere goes with them once that place is seen to be sound; the packs ``trusted``
    were. Stops between packs when ``going_on`` says so.
    """
    done = Repacked()
    for portion in _portions(objects, names):
        if not going_on():
            break
        with objects.batch(replace=True) as batch:
            copied = [name for name in portion if _copied(objects, batch, name, keep, trusted, done)]
        for pack in batch.packs:
            check_written(objects, pack)
        done.fresh += batch.packs
        # the same records in the same order make the same pack, which has taken the old one's place
        same = {pack.name for pack in batch.packs}
        copied = [name for name in copied if name not in same]
        objects.index.forget(copied)
        for name in copied:
            discard(pack_path(objects.folder, name))
        done.gone += copied
    return done


def unread(objects: Objects, pack: Pack, keep: _Keep = lambda _: True) -> int:
    """Return how many bytes of the records of ``pack`` are read from elsewhere, or not kept."""
    places = objects.index.many({digest for _, head in pack.records for digest, _ in head.members})
    return sum(
        head.total
        for offset, head in pack.records
        if not _read_here(places, pack.name, offset, (digest for digest, _ in head.members if keep(digest)))
    )


def check_written(objects: Objects, pack: Pack) -> None:
    """Raise ``Damaged`` unless the pack on disk is what was written."""
    if name_of(pack_path(objects.folder, pack.name)) != pack.name:
        raise Damaged(
            f"the pack {pack.name[:12]}… came back different from the disk",
            "nothing was removed; check the disk, then `mlops data verify --full`",
        )


def name_of(path: Path) -> str:
    """Return the name that the bytes of a pack give it."""
    hasher = blake3()
    with path.open("rb", buffering=0) as file:
        while piece := file.read(_READ):
            hasher.update(piece)
    return hasher.hexdigest()


def unlinked(path: Path) -> None:
    """Remove a pack for good."""
    with suppress(FileNotFoundError, PermissionError):  # where a reader keeps it open it goes another time
        path.unlink()


def moved_to(folder: Path) -> Discard:
    """Return how to move packs into ``folder``, dated today."""

    def move(path: Path) -> None:
        make_folder(folder)
        target = folder / path.name
        with suppress(FileNotFoundError, PermissionError):
            os.utime(path)  # the time in the trash counts from here
            shutil.move(path, target)
            make_durable(folder)

    return move


def kept_in(folder: Path, path: Path) -> Path | None:
    """Keep a pack in ``folder`` too, under a name of its own, and return where; ``None`` if it is gone."""
    make_folder(folder)
    target = folder / path.name
    for number in count(2):
        try:
            os.link(path, target)
            break
        except FileExistsError:
            target = folder / f"{path.stem}.{number}.pack"
        except FileNotFoundError:
            return None
        except OSError:
            path.replace(target)  # no hard links on this file system
            break
    make_durable(folder)
    return target


def _copied(
    objects: Objects, batch: Batch, name: str, keep: _Keep, trusted: Collection[str], done: Repacked
) -> bool:
    path = pack_path(objects.folder, name)
    try:
        pack = records_of(path)
        places = objects.index.many({digest for _, head in pack.records for digest, _ in head.members})
        for offset, head, data in iterated(path, pack):
            digests = [digest for digest, _ in head.members if keep(digest)]
            elsewhere = not _read_here(places, name, offset, digests)
            if elsewhere and all(_sound(objects, places.get(one), one, trusted) for one in digests):
                continue
            batch.put_record(thorough(data, objects.settings.level))
    except (ValueError, OSError, Damaged):
        done.unreadable.append(name)
        return False
    return True


def _read_here(places: Mapping[bytes, Place], name: str, offset: int, digests: Iterable[bytes]) -> bool:
    found = (places.get(digest) for digest in digests)
    return any(place is not None and (place.pack, place.offset) == (name, offset) for place in found)


def _sound(objects: Objects, place: Place | None, digest: bytes, trusted: Collection[str]) -> bool:
    """Whether ``digest`` is sound where it is read from, so that this copy of it may go."""
    if place is None:
        return False
    if place.pack in trusted:
        return True
    try:
        if place.kind == RECIPE:
            objects.record(address(digest))
        else:
            objects.read(address(digest))
    except Damaged:
        return False
    return True


def _portions(objects: Objects, names: Iterable[str]) -> Iterator[Sequence[str]]:
    """Yield the packs in portions that need little more room while they are copied."""
    portion: list[str] = []
    size = 0
    for name in names:
        with suppress(OSError):
            size += pack_path(objects.folder, name).stat().st_size
            portion.append(name)
        if size >= _PORTION:
            yield portion
            portion, size = [], 0
    if portion:
        yield portion
