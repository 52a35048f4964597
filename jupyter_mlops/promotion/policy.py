"""The policies of a project: what the file says comes into force here. Called by the verbs of ``policy``."""

from __future__ import annotations

from dataclasses import asdict, replace

from ..config import Policy
from ..errors import BadInput
from ..people import Members, PolicyInForce, Role, policy_digest
from ..store import Store, Transaction
from .approval import Approval
from .approvals import Approvals, Request
from .loosening import change_between, quorums, shortest_lifetime


class Policies:
    """The policy of one project, seen by one actor."""

    def __init__(self, store: Store, people: Members, approvals: Approvals) -> None:
        self._store = store
        self._people = people
        self._approvals = approvals

    def show(self) -> PolicyInForce:
        """Return the policy in force, and whether the file differs from it."""
        return self._people.in_force()

    def apply(self, written: Policy, reason: str = "") -> PolicyInForce | Approval:
        """Put ``written`` in force, or ask for approvals where it loosens an alias that asks for them.

        Needs the role admin. An identical policy changes nothing and says so. Requests that a new policy
        overtakes end as invalidated in the same transaction.
        """
        if not written.people.admin:
            raise BadInput(
                "this policy has no admin, so nobody could change it again", 'admin = ["…"] under [people]'
            )
        with self._people.write(Role.ADMIN) as transaction:
            current = self._people.in_force()
            if policy_digest(written) == current.digest:
                note = f"unchanged: policy {current.number} is in force"
                return replace(current, file_differs=False, note=note)
            change = change_between(current.policy, written, transaction.actor)
            asked = quorums(
                current.policy, ((model, alias) for model, alias in change.guards), transaction.actor
            )
            if not asked:
                applied = self._people.record(transaction, written)
                self._approvals.outdate(transaction)
                return replace(applied, file_differs=False)
            known = self._waiting(change.binding())
            if known is None:
                self._replace_waiting(transaction)
                request = Request(
                    kind="policy",
                    model="policy",
                    number=0,
                    alias="",
                    subject=asdict(change),
                    binding=change.binding(),
                    needed=max(quorum.needed for quorum in asked),
                    gates=None,
                    reason=reason.strip(),
                    lifetime=shortest_lifetime(current.policy, change.guards),
                )
                known = self._approvals.open(transaction, request, "pending")
        return self._approvals.get(known)

    def _waiting(self, binding: str) -> str | None:
        for approval in self._approvals.list("pending"):
            if approval.kind == "policy" and approval.binding == binding:
                return approval.id
        return None

    def _replace_waiting(self, transaction: Transaction) -> None:
        """End a change of policy that waits: only the newest file can come into force."""
        self._approvals.outdate(transaction)
        for approval in self._approvals.list("pending"):
            if approval.kind == "policy":
                self._approvals.invalidate(transaction, approval.id, "the file was changed and applied again")
