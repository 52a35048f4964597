"""Events: the project's history, each line chained to the one before by its hash. Written by ``Store``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..value import Value

GENESIS = "0" * 64
# made once: every event is encoded three times
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


@dataclass(frozen=True, slots=True)
class Event(Value):
    """One line of history: ``actor`` (known by ``proof``) did ``verb`` to ``about`` at ``at``."""

    seq: int
    at: str
    actor: str
    proof: str
    verb: str
    about: str
    data: Mapping[str, Any]
    prev: str
    hash: str

    def to_dict(self) -> dict[str, Any]:
        """Return the event as JSON-ready types."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class AuditReport(Value):
    """Whether the chain of events is whole: ``entries`` read, ``head`` hash, the first fault if any."""

    ok: bool
    entries: int
    head: str
    fault: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON-ready types."""
        return {"ok": self.ok, "entries": self.entries, "head": self.head, "fault": self.fault}


def canonical(data: Any) -> str:
    """Return the one JSON text of ``data``: sorted keys, no blanks, so that equal data has equal digests."""
    return _ENCODER.encode(data)


def chained_hash(
    prev: str, seq: int, at: str, actor: str, proof: str, verb: str, about: str, data: str
) -> str:
    """Return the SHA-256 that binds an event to everything before it; ``data`` is canonical JSON text."""
    return hashlib.sha256(canonical([prev, seq, at, actor, proof, verb, about, data]).encode()).hexdigest()


def event_from(row: Mapping[str, Any]) -> Event:
    """Return the event that a stored row holds."""
    return Event(**{**row, "data": json.loads(row["data"])})


def verified(rows: Iterable[Mapping[str, Any]], head_seq: int, head_hash: str) -> AuditReport:
    """Check every link of the chain against its content and against the recorded head."""
    prev, expected = GENESIS, 0
    for row in rows:
        expected += 1
        if row["seq"] != expected:
            return AuditReport(False, expected - 1, prev, f"entry {expected} is missing")
        fields = (row[name] for name in ("seq", "at", "actor", "proof", "verb", "about", "data"))
        if row["prev"] != prev or row["hash"] != chained_hash(prev, *fields):
            return AuditReport(False, expected - 1, prev, f"entry {expected} was altered")
        prev = row["hash"]
    if (head_seq, head_hash) != (expected, prev):
        return AuditReport(
            False, expected, prev, f"the chain should end at entry {head_seq}, it ends at {expected}"
        )
    return AuditReport(True, expected, prev)
