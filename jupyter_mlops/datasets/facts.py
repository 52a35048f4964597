"""Facts: the rows that say which versions of which datasets there are. Written and read by ``Datasets``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import BadInput
from ..store import Store, Transaction
from ..store.events import canonical
from .description import form_from, keep
from .version import Findings

VERSIONS = (
    "SELECT v.*, d.key_columns, s.row_count, s.columns_json, s.options, s.notes, "
    "CASE WHEN s.profile_json IS NULL THEN 0 ELSE 1 END AS described FROM versions v "
    "JOIN datasets d ON d.name = v.dataset "
    "LEFT JOIN descriptions s ON s.content = v.digest AND s.reading = v.reading "
    "AND s.problem IS NULL AND v.kind <> 'folder'"
)
LATEST = (
    f"{VERSIONS} WHERE v.number = COALESCE("  # noqa: S608 fixed text
    "(SELECT MAX(number) FROM versions WHERE dataset = v.dataset AND removed_at IS NULL), "
    "(SELECT MAX(number) FROM versions WHERE dataset = v.dataset))"
)
"""The latest version of each dataset: the newest removed one where all of them are."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A version whose bytes are stored and which is no fact yet."""

    digest: str
    kind: str
    files: int
    bytes: int
    reading: str
    detail: Mapping[str, Any]
    findings: Findings | None
    doubt: str = ""  # what is to be said about its values and its key

    def same_as(self, row: Mapping[str, Any]) -> bool:
        """Whether a stored version has this content, and loads as the caller of commit declared."""
        if (row["digest"], row["kind"]) != (self.digest, self.kind):
            return False
        if not self.reading or row["reading"] == self.reading:
            return True
        known = findings_from(row)
        return known is not None and self.findings is not None and known.columns == self.findings.columns


def findings_from(row: Mapping[str, Any]) -> Findings | None:
    """Return what a row knows of its table, without the profile."""
    return None if row["columns_json"] is None else Findings(form_from(row))


def record(
    transaction: Transaction, name: str, prepared: Prepared, message: str, parents: tuple[str, ...]
) -> tuple[int, str, bool]:
    """Make ``prepared`` a fact unless it is the latest version already.

    Return its number, what to note, and whether the dataset had a version before. Another process may have
    committed since the bytes were read, so the latest version is looked up here.
    """
    latest = transaction.one(
        f"{VERSIONS} WHERE v.dataset = :name AND v.removed_at IS NULL ORDER BY v.number DESC LIMIT 1",
        name=name,
    )
    if latest is not None and prepared.same_as(latest):
        return int(latest["number"]), f"unchanged: this is {name}@v{latest['number']}", False
    older = transaction.one(
        "SELECT MAX(number) AS number FROM versions "
        "WHERE dataset = :name AND digest = :digest AND removed_at IS NULL",
        name=name,
        digest=prepared.digest,
    )
    number = next_number(transaction, name)
    insert(transaction, name, number, prepared, message, parents, transaction.at, transaction.actor)
    transaction.event(
        "data.committed",
        f"data:{name}@v{number}",
        name=name,
        number=number,
        digest=prepared.digest,
        kind=prepared.kind,
        rows=prepared.findings.rows if prepared.findings else None,
        bytes=prepared.bytes,
        message=message,
    )
    shared = older["number"] if older else None
    return number, "" if shared is None else f"same content as {name}@v{shared}", latest is not None


def next_number(transaction: Transaction, name: str) -> int:
    """Return the number of the next version; those of removed ones are never given again."""
    row = transaction.one("SELECT MAX(number) AS number FROM versions WHERE dataset = :name", name=name)
    return int((row or {}).get("number") or 0) + 1


def insert(
    transaction: Transaction,
    name: str,
    number: int,
    prepared: Prepared,
    message: str,
    parents: tuple[str, ...],
    at: str,
    actor: str,
) -> None:
    """Insert a version, and remember what was found in it."""
    transaction.insert(
        "versions",
        dataset=name,
        number=number,
        digest=prepared.digest,
        kind=prepared.kind,
        files=prepared.files,
        bytes=prepared.bytes,
        reading=prepared.reading,
        detail=canonical(prepared.detail),
        parents=canonical(parents),
        message=message,
        at=at,
        actor=actor,
    )
    if prepared.findings is not None:
        keep(transaction, prepared.digest, prepared.reading, prepared.findings)


def remember_key(transaction: Transaction, name: str, keys: tuple[str, ...] | None) -> bool:
    """Make the dataset known, with its key; return whether it had another one. A changed key is told."""
    known = transaction.one("SELECT key_columns FROM datasets WHERE name = :name", name=name)
    text = canonical(keys or ())
    if known is None:
        transaction.insert(
            "datasets", name=name, key_columns=text, at=transaction.at, actor=transaction.actor
        )
    elif keys is not None and known["key_columns"] != text:
        transaction.execute(
            "UPDATE datasets SET key_columns = :text WHERE name = :name", text=text, name=name
        )
        transaction.event(
            "data.keyed", f"data:{name}", name=name, key=list(keys), previous=json.loads(known["key_columns"])
        )
        return True
    return False


def key_of(store: Store, name: str) -> tuple[str, ...]:
    """Return the key that a dataset remembers."""
    row = store.one("SELECT key_columns FROM datasets WHERE name = :name", name=name)
    return tuple(json.loads(row["key_columns"])) if row else ()


def adopt(
    transaction: Transaction, name: str, fact: Mapping[str, Any], wanted: int | None, times: int, remote: str
) -> tuple[int, bool]:
    """Record a version of another project whose bytes are here; return its number and whether it is new.

    It is known already if ``times`` versions, removed ones too, have its content.
    """
    same = transaction.all(
        "SELECT number FROM versions WHERE dataset = :name AND digest = :digest AND kind = :kind "
        "AND reading = :reading ORDER BY number",
        name=name,
        digest=fact["digest"],
        kind=fact["kind"],
        reading=_reading(fact),
    )
    if len(same) >= times:
        return int(same[times - 1]["number"]), False
    remember_key(transaction, name, None)
    key = canonical([str(column) for column in fact.get("key") or ()])
    transaction.execute(
        "UPDATE datasets SET key_columns = :key WHERE name = :name AND key_columns = '[]'", key=key, name=name
    )
    taken = wanted is not None and transaction.one(
        "SELECT number FROM versions WHERE dataset = :name AND number = :number", name=name, number=wanted
    )
    number = next_number(transaction, name) if wanted is None or taken else wanted
    prepared = Prepared(
        str(fact["digest"]),
        str(fact["kind"]),
        int(fact["files"]),
        int(fact["bytes"]),
        _reading(fact),
        {"source": str(fact["detail"]["source"]), "modes": dict(fact["detail"].get("modes") or {})},
        _findings(fact),
    )
    parents = tuple(str(parent) for parent in fact["parents"])
    message, at, actor = str(fact["message"]), str(fact["at"]), str(fact["actor"])
    insert(transaction, name, number, prepared, message, parents, at, actor)
    transaction.event(
        "data.adopted",
        f"data:{name}@v{number}",
        name=name,
        number=number,
        digest=prepared.digest,
        **{"from": remote},
    )
    return number, True


def note_there(transaction: Transaction, address: str, numbers: Mapping[tuple[str, int], int]) -> None:
    """Remember which number a remote gave to versions, for those that it calls otherwise than we do."""
    for (name, number), there in numbers.items():
        where = {"name": name, "number": number}
        row = transaction.one(
            "SELECT detail FROM versions WHERE dataset = :name AND number = :number", **where
        )
        if row is None:
            continue
        detail = json.loads(row["detail"])
        known = dict(detail.get("there") or {})
        noted = {place: its for place, its in known.items() if place != address}
        if there != number:
            noted[address] = there
        if noted != known:
            transaction.execute(
                "UPDATE versions SET detail = :detail WHERE dataset = :name AND number = :number",
                detail=canonical({**detail, "there": noted}),
                **where,
            )


def _reading(fact: Mapping[str, Any]) -> str:
    """Return the declared types of a fact from outside, in our own spelling."""
    text = fact.get("reading") or ""
    if not text:
        return ""
    try:
        return canonical({str(name): str(word) for name, word in dict(json.loads(text)).items()})
    except (ValueError, TypeError) as error:
        raise BadInput("the version declares types that cannot be read", "push it again") from error


def _findings(fact: Mapping[str, Any]) -> Findings | None:
    try:
        return Findings.from_dict(fact["findings"]) if fact.get("findings") else None
    except (ValueError, TypeError, KeyError):
        return None  # they are found out again


def numbers(store: Store | Transaction, name: str) -> dict[int, str]:
    """Return the numbers of a dataset's versions, each with the moment it was removed, or ""."""
    rows = store.all(
        "SELECT number, removed_at FROM versions WHERE dataset = :name ORDER BY number", name=name
    )
    return {int(row["number"]): row["removed_at"] or "" for row in rows}
