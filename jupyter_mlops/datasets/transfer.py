"""The values of remotes: what there are, and what a push or a pull did. Returned by ``Remotes``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ..value import Value


@dataclass(frozen=True, slots=True)
class Remote(Value):
    """A place that versions are pushed to and pulled from; ``default`` says that it need not be named.

    With ``single_writer``, its store cannot keep two pushes at once apart: one person at a time may push.
    """

    name: str
    address: str
    single_writer: bool = False
    default: bool = False
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the remote as JSON-ready types."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Moved:
    """One version of a transfer: what it is called here and there, and what became of it.

    ``state`` is ``"pushed"``, ``"pulled"``, ``"fetched"`` (only its bytes were missing), ``"known"`` (both
    sides had it already) or ``"removed"`` (it was removed here, and a pull does not bring it back).
    """

    here: str
    there: str
    state: str

    @property
    def renumbered(self) -> bool:
        """Whether the other side calls it otherwise, because its own name was taken there."""
        return bool(self.here and self.there) and self.here != self.there


@dataclass(frozen=True, slots=True)
class SharedAlias:
    """One alias of a transfer, the numbers it points at here and there.

    ``state`` is ``"pushed"``, ``"pulled"``, or ``"differs"`` where it was moved on either side and stays so.
    """

    ref: str
    here: int | None
    there: int | None
    state: str


@dataclass(frozen=True, slots=True)
class Transfer(Value):
    """What one push or pull did: its versions, how many bytes it moved, and which aliases."""

    direction: str
    remote: str
    address: str
    versions: tuple[Moved, ...]
    bytes: int
    note: str = ""
    aliases: tuple[SharedAlias, ...] = ()

    @property
    def moved(self) -> tuple[Moved, ...]:
        """The versions that were not on both sides already."""
        return tuple(version for version in self.versions if version.state not in ("known", "removed"))

    @property
    def renumbered(self) -> tuple[Moved, ...]:
        """The versions that have another number on the other side."""
        return tuple(version for version in self.versions if version.renumbered)

    @property
    def numbers(self) -> dict[tuple[str, int], int]:
        """The numbers there of the versions that are on both sides, by dataset and number here."""
        return {
            (name, int(here)): int(version.there.rpartition("@v")[2])
            for version in self.versions
            if version.there
            for name, _, here in [version.here.rpartition("@v")]
        }

    @property
    def path(self) -> str:
        """Where the page shows what there is."""
        return "data"

    def to_dict(self) -> dict[str, Any]:
        """Return the transfer as JSON-ready types."""
        return {
            "direction": self.direction,
            "remote": self.remote,
            "address": self.address,
            "versions": [asdict(version) for version in self.versions],
            "bytes": self.bytes,
            "note": self.note,
            "aliases": [asdict(alias) for alias in self.aliases],
        }
