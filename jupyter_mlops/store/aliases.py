"""Aliases: names that point at versions of datasets (``data``) and models (``model``), with every move kept.

The caller appends the event that tells of a move, in the same transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..value import Value
from .store import Store, Transaction


@dataclass(frozen=True, slots=True)
class AliasMove(Value):
    """One move of an alias: to ``number`` from ``previous`` (``None``: it was new), by whom and why.

    ``number`` is 0 where the alias was taken away.
    """

    alias: str
    number: int
    previous: int | None
    at: str
    actor: str
    reason: str
    approval: str | None

    def to_dict(self) -> dict[str, Any]:
        """Return the move as JSON-ready types."""
        return {name: getattr(self, name) for name in self.__slots__}


def move(
    transaction: Transaction,
    kind: str,
    name: str,
    alias: str,
    number: int,
    reason: str = "",
    approval: str | None = None,
) -> int | None:
    """Point ``alias`` of ``name`` at version ``number`` and return the version it pointed at before."""
    previous = holder(transaction, kind, name, alias)
    transaction.execute(
        "INSERT INTO aliases (kind, name, alias, number) VALUES (:kind, :name, :alias, :number) "
        "ON CONFLICT (kind, name, alias) DO UPDATE SET number = :number",
        kind=kind,
        name=name,
        alias=alias,
        number=number,
    )
    _keep(transaction, kind, name, alias, number, previous, reason, approval)
    return previous


def remove(transaction: Transaction, kind: str, name: str, alias: str, reason: str = "") -> int | None:
    """Take an alias away and return the version it pointed at, ``None`` where there was no such alias."""
    previous = holder(transaction, kind, name, alias)
    if previous is not None:
        transaction.execute(
            "DELETE FROM aliases WHERE kind = :kind AND name = :name AND alias = :alias",
            kind=kind,
            name=name,
            alias=alias,
        )
        _keep(transaction, kind, name, alias, 0, previous, reason, None)
    return previous


def _keep(
    transaction: Transaction,
    kind: str,
    name: str,
    alias: str,
    number: int,
    previous: int | None,
    reason: str,
    approval: str | None,
) -> None:
    newest = transaction.one("SELECT MAX(seq) AS seq FROM alias_moves")
    transaction.insert(
        "alias_moves",
        seq=int((newest or {}).get("seq") or 0) + 1,
        kind=kind,
        name=name,
        alias=alias,
        number=number,
        previous=previous,
        at=transaction.at,
        actor=transaction.actor,
        reason=reason,
        approval=approval,
    )


def holder(source: Store | Transaction, kind: str, name: str, alias: str) -> int | None:
    """Return the number of the version that ``alias`` of ``name`` points at."""
    row = source.one(
        "SELECT number FROM aliases WHERE kind = :kind AND name = :name AND alias = :alias",
        kind=kind,
        name=name,
        alias=alias,
    )
    return int(row["number"]) if row else None


def of(source: Store | Transaction, kind: str, name: str) -> dict[str, int]:
    """Return the aliases of one dataset or model and the versions they point at."""
    rows = source.all(
        "SELECT alias, number FROM aliases WHERE kind = :kind AND name = :name ORDER BY alias",
        kind=kind,
        name=name,
    )
    return {row["alias"]: int(row["number"]) for row in rows}


def every(source: Store | Transaction, kind: str) -> dict[str, dict[str, int]]:
    """Return the aliases of every dataset, or of every model."""
    found: dict[str, dict[str, int]] = {}
    for row in source.all(
        "SELECT name, alias, number FROM aliases WHERE kind = :kind ORDER BY alias", kind=kind
    ):
        found.setdefault(row["name"], {})[row["alias"]] = int(row["number"])
    return found


def history(source: Store | Transaction, kind: str, name: str, alias: str) -> tuple[AliasMove, ...]:
    """Return every move of one alias, the newest first."""
    rows = source.all(
        "SELECT alias, number, previous, at, actor, reason, approval FROM alias_moves "
        "WHERE kind = :kind AND name = :name AND alias = :alias ORDER BY seq DESC",
        kind=kind,
        name=name,
        alias=alias,
    )
    return tuple(AliasMove(**row) for row in rows)
