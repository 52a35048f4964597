"""Remote objects: the bytes that a remote holds, in packs and refs of its own. Used by ``datasets``.

Layout::

    config.json              the format, and a name that no other remote has
    packs/ab/<64 hex>.pack   as in a local store; the name is BLAKE3 of the file
    index/<64 hex>           the end of that pack, which says what it holds
    refs/<folder>/<number>   written once, never again

Written in this order, read in reverse: a ref that is there names bytes that are there. Nothing changes.
"""

from __future__ import annotations

import json
import re
import secrets
from functools import partial
from pathlib import Path
from typing import Any

from ...errors import Damaged, Failed, NotFound, Unreachable
from .crew import done_by
from .known import TRAILER, Known, Listed, listed, tail_size
from .storage import Kept, Storage, is_exclusive

WORKERS = 8
_CONFIG = "config.json"
_FORMAT = 1
_PACK = re.compile(r"packs/([0-9a-f]{2})/([0-9a-f]{64})\.pack")
_INDEX = re.compile(r"index/([0-9a-f]{64})")
_MUCH = 1 << 20
_MOST_REF = 64 << 20
_AT_ONCE = 64


def pack_name(name: str) -> str:
    """Return where a remote keeps the pack ``name``."""
    return f"packs/{name[:2]}/{name}.pack"


class RemoteObjects:
    """The bytes of one remote, as seen from one project. One thread at a time; close it."""

    def __init__(self, storage: Storage, folder: Path, single_writer: bool = False) -> None:
        self.storage = storage
        self.single_writer = single_writer
        self.known = Known(folder)
        self._folder = folder
        self._without_index: dict[str, int] = {}
        self.lost = False  # whether packs went away or bad since they were last seen

    def close(self) -> None:
        """Close the file of what is known."""
        self.known.close()

    def __enter__(self) -> RemoteObjects:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Where it is."""
        return self.storage.url

    def open(self, begin: bool = False) -> None:
        """Learn which remote this is, and ``begin`` one where there is none yet.

        Raises ``NotFound`` where there is none, ``Unreachable`` where there was one.
        """
        config = self._config()
        if config is None:
            if self.known.note("id"):
                raise Unreachable(
                    f"the remote {self.url} was there and is not any more",
                    f"is its disk or share mounted? To begin anew, delete {self._folder}",
                )
            if not begin:
                raise NotFound(f"there is no remote at {self.url} yet", "`mlops data push` begins it")
            config = self._begun()
        if self.known.note("id") != config["id"]:
            self.known.begin_anew(id=config["id"])
        self.single_writer = self.single_writer or bool(config["single_writer"])

    def refresh(self) -> None:
        """Learn what the remote holds: which packs are new, and which are gone.

        A pack whose end and index cannot be read counts as not there, so a push brings its content again.
        """
        packs = {
            match.group(2): kept.size
            for kept in self.storage.files("packs")
            if (match := _PACK.fullmatch(kept.name)) and match.group(2).startswith(match.group(1))
        }
        indexed = {
            match.group(1): kept.size
            for kept in self.storage.files("index")
            if (match := _INDEX.fullmatch(kept.name))
        }
        known = self.known.packs()
        gone = [name for name, size in known.items() if packs.get(name) != size]
        self.known.forget(gone)
        self.lost = bool(gone)
        self._without_index = {name: size for name, size in packs.items() if name not in indexed}
        fresh = [(name, size) for name, size in sorted(packs.items()) if known.get(name) != size]
        some: list[Listed] = []
        tasks = (partial(self._listed, name, size, indexed.get(name)) for name, size in fresh)
        for name, size, told, mend in done_by(WORKERS, tasks, self.storage.abort):
            if told is None:
                self.lost = True
            else:
                some.append(told)
            if mend:
                self._without_index[name] = size
            if len(some) >= _AT_ONCE:
                self.known.add(some)
                some = []
        self.known.add(some)

    def mend(self) -> None:
        """Write the index of packs that have none, because somebody's push was cut off between the two."""
        known = self.known.packs()
        tasks = (
            partial(self._index, name, size)
            for name, size in self._without_index.items()
            if known.get(name) == size
        )
        for _ in done_by(WORKERS, tasks, self.storage.abort):
            pass

    def refs(self, folder: str) -> dict[str, bytes]:
        """Return every ref below ``folder``, read once and then known."""
        found = {kept.name: kept for kept in self.storage.files(f"refs/{folder}" if folder else "refs")}
        known = self.known.refs(f"refs/{folder}" if folder else "refs")
        fresh = [kept for name, kept in found.items() if known.get(name, ("",))[0] != kept.tag]
        read = list(done_by(WORKERS, (partial(self._ref, kept) for kept in fresh), self.storage.abort))
        self.known.keep_refs(
            [(kept.name, kept.tag, body) for kept, body in read if body is not None],
            [name for name in known if name not in found],
        )
        bodies = {name: body for name, (_, body) in known.items() if name in found}
        bodies |= {kept.name: body for kept, body in read if body is not None}
        return bodies

    def create_ref(self, name: str, body: bytes) -> bool:
        """Write a ref unless there is one of that name; return whether this one is there now."""
        if not self.single_writer:
            made = self.storage.create(name, body)
        else:
            made = self.read_ref(name) is None
            if made:
                self.storage.write(name, body)
        # an answer that was lost and a second try look like somebody else's ref
        return made or self.read_ref(name) == body

    def read_ref(self, name: str) -> bytes | None:
        """Return a ref as it is there now."""
        try:
            return self.storage.read(name, 0, _MOST_REF)
        except FileNotFoundError:
            return None

    def _ref(self, kept: Kept) -> tuple[Kept, bytes | None]:
        if kept.size > _MOST_REF:
            return kept, b""
        try:
            return kept, self.storage.read(kept.name, 0, max(kept.size, 1))
        except FileNotFoundError:
            return kept, None

    def _config(self) -> dict[str, Any] | None:
        try:
            data = self.storage.read(_CONFIG, 0, _MUCH)
        except FileNotFoundError:
            return None
        try:
            config = json.loads(data)
            known = isinstance(config["format"], int)
            known = known and isinstance(config["id"], str) and isinstance(config["single_writer"], bool)
        except (ValueError, TypeError, KeyError):
            known = False
        if not known:
            raise Damaged(
                f"{_CONFIG} of the remote {self.url} is damaged", "name another place, or restore the file"
            )
        if config["format"] != _FORMAT:
            raise Failed(
                f"the remote {self.url} was made by a newer version", "pip install --upgrade jupyter-mlops"
            )
        return dict(config)

    def _begun(self) -> dict[str, Any]:
        self.storage.begin()
        exclusive = is_exclusive(self.storage)
        config = {
            "format": _FORMAT,
            "id": secrets.token_hex(16),
            "hash": "blake3",
            "single_writer": not exclusive,
        }
        data = json.dumps(config, indent=1).encode()
        if exclusive:
            self.storage.create(_CONFIG, data)
        else:
            self.storage.write(_CONFIG, data)
        # somebody else may have begun it at the same moment
        return self._config() or config

    def _listed(self, name: str, size: int, indexed: int | None) -> tuple[str, int, Listed | None, bool]:
        """Return what a pack holds, and whether its index must be written."""
        if indexed:
            try:
                return name, size, listed(name, size, self.storage.read(f"index/{name}", 0, indexed)), False
            except (ValueError, FileNotFoundError):
                pass
        try:
            return name, size, listed(name, size, self._tail(name, size)), True
        except (ValueError, FileNotFoundError):
            return name, size, None, False

    def _tail(self, name: str, size: int) -> bytes:
        if size < TRAILER:
            raise ValueError("its end is missing")
        length = tail_size(self.storage.read(pack_name(name), size - TRAILER, size), size)
        return self.storage.read(pack_name(name), size - length, size)

    def _index(self, name: str, size: int) -> None:
        try:
            tail = self._tail(name, size)
            listed(name, size, tail)
        except (ValueError, FileNotFoundError):
            return
        self.storage.write(f"index/{name}", tail)
