"""The shipping: what a push and a pull have in common. Used by both."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import Damaged
from . import shipped
from .progress import progress
from .shipped import Content, Shipped
from .version import Dataset, DatasetVersion

if TYPE_CHECKING:
    from ..objects.remotes.remote import RemoteObjects


class Versions(Protocol):
    """What a push or a pull needs of ``Datasets``."""

    def get(self, ref: str | DatasetVersion) -> DatasetVersion: ...

    def list(self) -> tuple[Dataset, ...]: ...

    def versions(self, name: str) -> tuple[DatasetVersion, ...]: ...

    def fact_of(self, ref: str | DatasetVersion) -> dict[str, Any]: ...

    def aliases(self, name: str) -> dict[str, int]: ...

    def alias(self, ref: str | DatasetVersion, alias: str, reason: str = "") -> DatasetVersion: ...

    def known(self, name: str) -> tuple[tuple[int, str, str, str, bool], ...]: ...

    def note_there(self, address: str, numbers: Mapping[tuple[str, int], int]) -> None: ...

    def adopt(
        self, name: str, fact: Mapping[str, Any], number: int | None = None, times: int = 1, remote: str = ""
    ) -> DatasetVersion: ...


class Refs:
    """What one dataset's refs in a remote tell: its versions by number, and which cannot be read."""

    def __init__(self) -> None:
        self._faults: dict[int, Damaged] = {}
        self._versions: dict[int, Shipped] = {}
        self._taken: set[int] = set()

    def add(self, version: Shipped) -> None:
        """Take in a version."""
        self._versions[version.number] = version
        self._taken.add(version.number)

    def damaged(self, number: int, fault: Damaged) -> None:
        """Take in a ref that cannot be read; its number stays taken."""
        self._taken.add(number)
        self._faults[number] = fault

    @property
    def faults(self) -> tuple[str, ...]:
        """What is wrong with refs that cannot be read."""
        return tuple(fault.message for fault in self._faults.values())

    def require(self, number: int | None) -> None:
        """Raise ``Damaged`` if the ref of that number, or any without one, cannot be read."""
        for each, fault in self._faults.items():
            if number in (None, each):
                raise fault

    def versions(self) -> list[Shipped]:
        """Return the versions in their order."""
        return [self._versions[number] for number in sorted(self._versions)]

    def numbers(self, content: Content) -> list[int]:
        """Return the numbers under which a content is there."""
        return [version.number for version in self.versions() if version.content == content]

    def free(self, wanted: int) -> int:
        """Return the number that a version gets which is ``wanted`` here."""
        return wanted if wanted not in self._taken else max(self._taken) + 1


def refs_of(there: RemoteObjects, folder: str) -> dict[str, Refs]:
    found: dict[str, Refs] = defaultdict(Refs)
    for file, body in there.refs(folder).items():
        place = shipped.place_of(file)
        if place is None:
            continue  # nothing of ours
        try:
            found[place[0]].add(shipped.read(*place, body, there.url))
        except Damaged as error:
            found[place[0]].damaged(place[1], error)
    return found


def as_far_as_possible(
    items: Sequence[Any], move: Callable[[Sequence[Any]], None]
) -> tuple[Sequence[Any], Damaged | None]:
    """Move ``items``, one by one if some are damaged; return those that were moved, and what was wrong."""
    if not items:
        return items, None
    try:
        move(items)
        return items, None
    except Damaged as error:
        if len(items) == 1:
            return (), error
    moved, failure = [], None
    for item in items:
        try:
            move([item])
            moved.append(item)
        except Damaged as error:
            failure = failure or error
    return moved, failure


def by_content(known: Iterable[tuple[int, str, str, str, bool]]) -> dict[Content, list[int]]:
    found: dict[Content, list[int]] = defaultdict(list)
    for number, digest, kind, reading, _ in known:
        found[digest, kind, reading].append(number)
    return found


def several(versions: Sequence[Any]) -> str:
    return str(versions[0].ref) if len(versions) == 1 else f"{len(versions)} versions"


def bar(title: str) -> Callable[[int], AbstractContextManager[Callable[[int], None]]]:
    return partial(progress, title)
