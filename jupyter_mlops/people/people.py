"""Members: roles by the policy in force, checked inside the write that every service opens here."""

from __future__ import annotations

import enum
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..config import Policy
from ..errors import NotFound, Refused
from ..store import Store, Transaction
from ..store.events import canonical
from ..value import Value
from .actor import Actor


class Role(enum.IntEnum):
    """What somebody may do; each role includes the ones before it."""

    NONE = 0
    VIEWER = 1
    CONTRIBUTOR = 2
    OPERATOR = 3
    APPROVER = 4
    ADMIN = 5

    @property
    def word(self) -> str:
        """The role as written in mlops.toml."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Identity(Value):
    """Who acts here: name, proof, where the name came from, and the role it has."""

    name: str
    proof: str
    source: str
    role: str
    service: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the identity as JSON-ready types."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class PolicyInForce(Value):
    """The policy that counts, when and by whom it was applied, and whether the file differs."""

    number: int
    digest: str
    at: str
    actor: str
    policy: Policy
    file_differs: bool = False
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the policy as JSON-ready types."""
        return {
            "number": self.number,
            "digest": self.digest,
            "at": self.at,
            "actor": self.actor,
            "file_differs": self.file_differs,
            "note": self.note,
            "policy": self.policy.to_document(),
        }


def policy_digest(policy: Policy) -> str:
    """Return the SHA-256 of the policy's canonical document."""
    return hashlib.sha256(canonical(policy.to_document()).encode()).hexdigest()


class Members:
    """The people of one project, seen by one actor."""

    def __init__(self, store: Store, actor: Actor, written: Policy) -> None:
        self._store = store
        self.actor = actor
        self._written = written
        self._in_force: PolicyInForce | None = None

    def in_force(self) -> PolicyInForce:
        """Return the policy last recorded in the store; raises ``NotFound`` where none was."""
        newest = self._store.one("SELECT number, digest FROM policies ORDER BY number DESC LIMIT 1")
        if newest is None:
            raise NotFound("this project has no policy recorded yet", "run `mlops init` in its folder")
        known = self._in_force
        if known is None or (known.number, known.digest) != (newest["number"], newest["digest"]):
            row = self._store.one("SELECT * FROM policies WHERE number = :number", number=newest["number"])
            if row is None:
                raise NotFound(f"policy {newest['number']} is gone", "see `mlops audit verify`")
            policy = Policy.from_document(json.loads(row["document"]))
            differs = policy_digest(self._written) != row["digest"]
            known = PolicyInForce(row["number"], row["digest"], row["at"], row["actor"], policy, differs)
            self._in_force = known
        return known

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self.in_force().policy

    def role_of(self, name: str) -> Role:
        """Return the highest role that the policy gives to ``name``; services count as contributors."""
        return role_in(self.policy, name)

    def is_service(self, name: str) -> bool:
        """Return whether ``name`` is a service; services never vote."""
        return name in self.policy.people.services

    def whoami(self) -> Identity:
        """Return who acts here and what they may do."""
        actor = self.actor
        role = self.role_of(actor.name)
        return Identity(actor.name, actor.proof, actor.source, role.word, self.is_service(actor.name))

    def require(self, role: Role) -> None:
        """Raise ``Refused`` unless the actor has ``role``."""
        if role is Role.NONE:
            return
        has = self.role_of(self.actor.name)
        if has >= role:
            return
        if has is Role.NONE:
            raise Refused(
                f"{self.actor.name} has no role in this project",
                f"an admin adds the name to [people] {role.word} in mlops.toml and runs `mlops policy apply`",
            )
        raise Refused(
            f"this needs the role {role.word}; {self.actor.name} is {has.word}",
            "ask somebody who has it, or an admin to change [people]",
        )

    @contextmanager
    def write(self, role: Role) -> Iterator[Transaction]:
        """Open a write in the actor's name; the role is checked inside, so no policy slips between."""
        with self._store.write(self.actor.name, self.actor.proof) as transaction:
            self.require(role)
            yield transaction

    def record(self, transaction: Transaction, policy: Policy) -> PolicyInForce:
        """Make ``policy`` the one in force, inside ``transaction``; authorising it is the caller's part."""
        digest = policy_digest(policy)
        newest = transaction.one("SELECT MAX(number) AS number FROM policies")
        number = int((newest or {}).get("number") or 0) + 1
        transaction.insert(
            "policies",
            number=number,
            digest=digest,
            document=canonical(policy.to_document()),
            at=transaction.at,
            actor=transaction.actor,
        )
        transaction.event("policy.applied", "policy", number=number, digest=digest)
        differs = policy_digest(self._written) != digest
        return PolicyInForce(number, digest, transaction.at, transaction.actor, policy, differs)


def role_in(policy: Policy, name: str) -> Role:
    """Return the highest role that ``policy`` gives to ``name``; services count as contributors."""
    people = policy.people
    best = Role.CONTRIBUTOR if name in people.services else Role.NONE
    for role in Role:
        if role and _listed(name, getattr(people, role.word)):
            best = max(best, role)
    return best


def _listed(name: str, names: tuple[str, ...]) -> bool:
    return name in names or name.casefold() in (listed.casefold() for listed in names if "@" in listed)
