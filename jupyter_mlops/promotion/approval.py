"""Approvals and votes, as values: a request to move an alias or loosen the policy. Made by ``Approvals``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import Failed
from ..value import Value
from .gates import GateReport

if TYPE_CHECKING:
    from .approvals import Approvals

STATES = ("pending", "moved", "blocked", "rejected", "revoked", "expired", "invalidated")


@dataclass(frozen=True, slots=True)
class Vote:
    """One person's vote. ``counts`` tells whether it is an approval that the policy in force still counts."""

    actor: str
    proof: str
    vote: str
    reason: str
    at: str
    counts: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the vote as JSON-ready types."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Approval(Value):
    """One request and what became of it. ``kind`` is ``promotion``, ``rollback`` or ``policy``.

    ``model`` is the version (``fraud@v3``; ``policy`` for a change of policy, whose loosenings are in
    ``changes``), ``holder`` the version that held the alias when it was asked, ``outcome`` why it ended so.
    """

    id: str
    kind: str
    model: str
    model_digest: str
    alias: str
    state: str
    gates: GateReport | None
    votes: tuple[Vote, ...]
    needed: int
    requester: str
    reason: str
    at: str
    expires_at: str
    decided_at: str | None
    outcome: str
    holder: str
    binding: str
    changes: tuple[str, ...] = ()
    _approvals: Approvals | None = field(default=None, compare=False, repr=False)

    @property
    def ref(self) -> str:
        """How the request is named: its id; any unique beginning of it will do."""
        return self.id

    @property
    def path(self) -> str:
        """Where it is in the page."""
        return f"approvals/{self.id}"

    @property
    def moved(self) -> bool:
        """Whether what was asked for happened."""
        return self.state == "moved"

    def wait(self, timeout: str | float | None = None) -> Approval:
        """Return the request once it is decided, or as it stands after ``timeout`` ("2h", or seconds)."""
        if self._approvals is None:
            raise Failed(
                f"{self.id} was not read from a project", f'project.approvals.get("{self.id}").wait()'
            )
        return self._approvals.wait(self.id, timeout)

    def to_dict(self) -> dict[str, Any]:
        """Return the request as JSON-ready types."""
        return {
            "id": self.id,
            "kind": self.kind,
            "model": self.model,
            "model_digest": self.model_digest,
            "alias": self.alias,
            "state": self.state,
            "moved": self.moved,
            "gates": self.gates.to_dict() if self.gates else None,
            "votes": [vote.to_dict() for vote in self.votes],
            "needed": self.needed,
            "requester": self.requester,
            "reason": self.reason,
            "at": self.at,
            "expires_at": self.expires_at,
            "decided_at": self.decided_at,
            "outcome": self.outcome,
            "holder": self.holder,
            "binding": self.binding,
            "changes": list(self.changes),
        }
