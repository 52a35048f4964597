"""The sharing of aliases: what a push and a pull do about where aliases point. Used by both.

In a remote every move of an alias is a file of its own that is only ever created, so two who move one at once
lose nothing: the second is told. Which move was seen last is remembered here for each remote. A push moves an
alias that nobody moved there since; a pull moves one that nobody moved here since. Where both did, the alias
stays as it is on either side, the answer says so, and what is pushed after that counts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import BadInput, Refused
from ..objects.blob import digest_of
from ..refs import check_alias
from ..store.events import canonical
from .shipped import Content, folder_of
from .shipping import Versions, by_content
from .transfer import SharedAlias

if TYPE_CHECKING:
    from ..objects.remotes.remote import RemoteObjects

_FORMAT = 1
_MOVE = re.compile(r"aliases/([A-Za-z0-9_.%\-]{1,1200})/([A-Za-z0-9_\-]{1,64})/([1-9][0-9]{0,8})\.json")


@dataclass(frozen=True, slots=True)
class Move:
    """One move of an alias in a remote: the how-manieth it is, and the version it was moved to."""

    count: int
    number: int
    content: Content


class Sharing:
    """The aliases of one remote, beside those that are here."""

    def __init__(self, there: RemoteObjects, versions: Versions, remote: str) -> None:
        self._there = there
        self._versions = versions
        self._remote = remote

    def target(self, name: str, alias: str) -> int | None:
        """Return the number that the alias points at there, or ``None`` where there is no such alias."""
        moves = self._moves(name).get(alias)
        return moves[-1].number if moves else None

    def push(self, numbers: Mapping[tuple[str, int], int]) -> tuple[SharedAlias, ...]:
        """Write where the aliases of versions point that are there; ``numbers`` are theirs by ours."""
        return tuple(
            shared
            for name in dict.fromkeys(name for name, _ in numbers)
            for shared in self._pushed(name, {own: its for (of, own), its in numbers.items() if of == name})
        )

    def pull(self, names: Iterable[str]) -> tuple[SharedAlias, ...]:
        """Move the aliases of datasets to where they point there, as far as those versions are here."""
        return tuple(shared for name in dict.fromkeys(names) for shared in self._pulled(name))

    def _pushed(self, name: str, numbers: Mapping[int, int]) -> Iterator[SharedAlias]:
        ours = {alias: at for alias, at in self._versions.aliases(name).items() if at in numbers}
        moves = self._moves(name) if ours else {}
        for alias, number in ours.items():
            known, ref = moves.get(alias, []), f"{name}@{alias}"
            content = self._contents(name)[number]
            seen = self._seen(name, alias)
            if known and known[-1].content == content:
                self._see(name, alias, known[-1].count)
            elif not known or known[-1].count == seen:
                count = known[-1].count + 1 if known else 1
                body = _written(name, alias, count, numbers[number], content)
                if self._there.create_ref(_file(name, alias, count), body):
                    self._see(name, alias, count)
                    yield SharedAlias(ref, number, numbers[number], "pushed")
                else:  # somebody moved it at the same moment
                    yield SharedAlias(ref, number, None, "differs")
            else:
                yield SharedAlias(ref, number, known[-1].number, "differs")

    def _pulled(self, name: str) -> Iterator[SharedAlias]:
        ours = self._versions.aliases(name)
        here = by_content(each for each in self._versions.known(name) if not each[-1])
        contents = self._contents(name)
        for alias, moves in self._moves(name).items():
            last, ref, seen = moves[-1], f"{name}@{alias}", self._seen(name, alias)
            number, wanted = ours.get(alias), here.get(last.content, [])
            if number is not None and contents.get(number) == last.content:
                self._see(name, alias, last.count)
                continue
            if not wanted:
                continue  # its version was not pulled
            if last.count == seen:  # moved or removed here since, which a push brings there
                if number is not None:
                    yield SharedAlias(ref, number, last.number, "differs")
                continue
            before = next((move.content for move in moves if move.count == seen), None)
            if number is None or contents.get(number) == before:
                target = last.number if last.number in wanted else wanted[-1]
                try:
                    self._versions.alias(f"{name}@v{target}", alias, f"pulled from {self._remote}")
                except Refused:  # who may only look changes nothing here
                    yield SharedAlias(ref, number, last.number, "differs")
                    continue
                self._see(name, alias, last.count)
                yield SharedAlias(ref, target, last.number, "pulled")
            else:
                # both moved it: this is known from now on, and the next push decides
                self._see(name, alias, last.count)
                yield SharedAlias(ref, number, last.number, "differs")

    def _contents(self, name: str) -> dict[int, Content]:
        return {
            number: (digest, kind, reading) for number, digest, kind, reading, _ in self._versions.known(name)
        }

    def _moves(self, name: str) -> dict[str, list[Move]]:
        """Return the moves of a dataset's aliases in their order; what is no move of ours is passed over."""
        found: dict[str, dict[int, Move]] = {}
        for kept in self._there.storage.files(f"aliases/{folder_of(name)}"):
            match = _MOVE.fullmatch(kept.name)
            if match is None:
                continue
            body = self._there.read_ref(kept.name)
            move = _read(name, match.group(2), int(match.group(3)), body) if body is not None else None
            if move is not None:
                found.setdefault(match.group(2), {})[move.count] = move
        return {alias: [moves[count] for count in sorted(moves)] for alias, moves in sorted(found.items())}

    def _seen(self, name: str, alias: str) -> int:
        return int(self._there.known.note(_note(name, alias)) or 0)

    def _see(self, name: str, alias: str, count: int) -> None:
        if self._seen(name, alias) != count:
            self._there.known.keep_note(_note(name, alias), str(count))


def _note(name: str, alias: str) -> str:
    return f"alias {name}@{alias}"


def _file(name: str, alias: str, count: int) -> str:
    return f"aliases/{folder_of(name)}/{alias}/{count}.json"


def _written(name: str, alias: str, count: int, number: int, content: Content) -> bytes:
    told = {
        "format": _FORMAT,
        "dataset": name,
        "alias": alias,
        "move": count,
        "number": number,
        "content": list(content),
    }
    return canonical({**told, "check": digest_of(canonical(told).encode())}).encode()


def _read(name: str, alias: str, count: int, body: bytes) -> Move | None:
    """Return the move that a file tells of, ``None`` for one that is not as it was written."""
    try:
        told = json.loads(body)
        check = told.pop("check")
        check_alias(alias)
        if check != digest_of(canonical(told).encode()) or told["format"] != _FORMAT:
            return None
        if (told["dataset"], told["alias"], told["move"]) != (name, alias, count):
            return None
        digest, kind, reading = (str(one) for one in told["content"])
        return Move(count, int(told["number"]), (digest, kind, reading))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, BadInput):
        return None
