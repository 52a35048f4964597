"""The approvals of a project: who asked for what, who voted, and the move that the deciding vote makes."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ..config import Policy, duration
from ..errors import BadInput, Conflict, Refused, close_matches
from ..people import Members, Role
from ..store import Store, Transaction, aliases
from ..store.ids import new_id, row_of
from ..store.store import Row
from .approval import STATES, Approval, Vote
from .electorate import Quorum, counts, objection, principal, reached
from .gates import GateReport
from .loosening import Change
from .subject import KIND, Promotion, promotion_now, rule_of

if TYPE_CHECKING:
    from ..datasets import Datasets

_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0


@dataclass(frozen=True, slots=True)
class Request:
    """What ``Approvals.open`` records: the subject, what it takes, and how it begins."""

    kind: str
    model: str
    number: int
    alias: str
    subject: Mapping[str, Any]
    binding: str
    needed: int
    gates: GateReport | None
    reason: str
    lifetime: timedelta


class Approvals:
    """The requests of one project, seen by one actor."""

    def __init__(self, store: Store, people: Members, datasets: Datasets) -> None:
        self._store = store
        self._people = people
        self._datasets = datasets

    def list(self, state: str | None = "pending") -> tuple[Approval, ...]:
        """Return the requests in ``state``, newest first; ``None`` for all of them."""
        if state is not None and state not in STATES:
            raise BadInput(
                f"'{state}' is no state of an approval",
                close_matches(state, STATES, f"known: {', '.join(STATES)}"),
            )
        rows = self._store.all(
            "SELECT * FROM approvals WHERE CAST(:state AS TEXT) IS NULL OR state IN (:state, :open) "
            "ORDER BY seq DESC",
            state=state,
            open="pending" if state == "expired" else state,
        )
        found = (self._approval(row) for row in rows)
        return tuple(approval for approval in found if state is None or approval.state == state)

    def get(self, id: str) -> Approval:
        """Return one request by its id or the beginning of it."""
        return self._approval(self._row(id))

    def binding(self, id: str) -> str:
        """Return the digest of everything that votes on this request count for."""
        return str(self._row(id)["binding"])

    def may_vote(self, id: str) -> Refused | Conflict | None:
        """Return ``None`` if this actor may vote on the request now, else the error that a vote would get."""
        row = self._row(id)
        overtaken = self._overtaken(row, self._store.now())
        if row["state"] == "pending" and overtaken:
            return self._too_late(row, *overtaken)
        return self._objection(row)

    def approve(self, id: str, reason: str = "") -> Approval:
        """Vote for the request; the vote that completes what the policy asks for also carries it out.

        Raises ``Refused`` for who may not vote, ``Conflict`` where it is decided, voted on, or overtaken.
        """
        return self._vote(id, "approve", reason)

    def reject(self, id: str, reason: str) -> Approval:
        """End the request with a no, which needs a reason."""
        if not reason.strip():
            raise BadInput("a rejection needs a reason", f'`mlops reject {id} --reason "…"`')
        return self._vote(id, "reject", reason)

    def revoke(self, id: str, reason: str = "") -> Approval:
        """Withdraw a pending request: its requester may, and an admin."""
        id = self._row(id)["id"]
        with self._people.write(Role.NONE) as transaction:
            row = self._row(id)
            actor = transaction.actor
            if principal(actor) != principal(row["actor"]) and self._people.role_of(actor) < Role.ADMIN:
                raise Refused(
                    f"{row['actor']} asked for this; {actor} cannot withdraw it",
                    f'approvers can `mlops reject {id} --reason "…"`',
                )
            late = self._overtaken(row, transaction.at)
            if row["state"] != "pending":
                raise self._decided(row)
            if late:
                self._end(transaction, row, *late)
            else:
                self._end(transaction, row, "revoked", reason or f"withdrawn by {actor}")
        if late:
            raise self._too_late(row, *late)
        return self.get(id)

    def settle(self) -> tuple[Approval, ...]:
        """Record which pending requests have expired or were overtaken by a change, and return those."""
        now = self._store.now()
        if not any(self._overtaken(row, now) for row in self._pending()):
            return ()
        with self._people.write(Role.NONE) as transaction:
            ended = self.outdate(transaction)
        return tuple(self.get(id) for id in ended)

    def wait(self, id: str, timeout: str | float | None = None) -> Approval:
        """Return the request once it is decided, or as it stands when ``timeout`` has passed."""
        seconds = duration(timeout).total_seconds() if isinstance(timeout, str) else timeout
        end = None if seconds is None else time.monotonic() + seconds
        pause = _SHORTEST_PAUSE
        while True:
            approval = self.get(id)
            left = _LONGEST_PAUSE if end is None else end - time.monotonic()
            if approval.state != "pending" or left <= 0:
                return approval
            time.sleep(min(pause, left))
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    # what Registry and Policies do inside their own write

    def open(self, transaction: Transaction, request: Request, state: str, outcome: str = "") -> str:
        """Record ``request`` in ``state`` and return its id; tells of it unless it moves at once."""
        id = new_id()
        newest = transaction.one("SELECT MAX(seq) AS seq FROM approvals")
        transaction.insert(
            "approvals",
            id=id,
            seq=int((newest or {}).get("seq") or 0) + 1,
            kind=request.kind,
            model=request.model,
            number=request.number,
            alias=request.alias,
            state=state,
            subject=json.dumps(request.subject, sort_keys=True),
            binding=request.binding,
            needed=request.needed,
            gates=json.dumps(request.gates.to_dict() if request.gates else None, sort_keys=True),
            reason=request.reason,
            actor=transaction.actor,
            at=transaction.at,
            expires_at=_later(self._store, request.lifetime),
            decided_at=None if state == "pending" else transaction.at,
            outcome=outcome,
            counted="[]",
        )
        row = self._row(id)
        if state == "pending":
            more = {"changes": request.subject["changes"]} if request.kind == "policy" else {}
            transaction.event(
                "approval.requested",
                f"approval:{id}",
                model=_model(row),
                alias=request.alias,
                number=request.number,
                needed=request.needed,
                reason=request.reason,
                **more,
            )
        elif state == "blocked":
            transaction.event(
                "approval.blocked",
                f"approval:{id}",
                model=_model(row),
                alias=request.alias,
                number=request.number,
                reason=request.reason,
                failed=list(request.gates.failed) if request.gates else [],
            )
        else:
            self._tell(transaction, row, state, outcome)
        return id

    def move(self, transaction: Transaction, id: str) -> None:
        """Let the alias of request ``id`` point at its version; other requests for it are overtaken."""
        row = self._row(id)
        previous = aliases.move(
            transaction, KIND, row["model"], row["alias"], int(row["number"]), row["reason"], id
        )
        transaction.event(
            "model.aliased",
            f"model:{row['model']}",
            alias=row["alias"],
            number=int(row["number"]),
            previous=previous,
            reason=row["reason"],
            approval=id,
        )
        self.outdate(transaction)

    def outdate(self, transaction: Transaction) -> tuple[str, ...]:
        """End every pending request that has expired or that a change has overtaken; return their ids."""
        ended = []
        for row in self._pending():
            overtaken = self._overtaken(row, transaction.at)
            if overtaken:
                self._end(transaction, row, *overtaken)
                ended.append(row["id"])
        return tuple(ended)

    def invalidate(self, transaction: Transaction, id: str, why: str) -> None:
        """End the pending request ``id`` because ``why``."""
        self._end(transaction, self._row(id), "invalidated", why)

    def same(self, subject: Promotion) -> str | None:
        """Return the request that a repeat of ``subject`` finds: pending, blocked alike, or still moved."""
        row = self._store.one(
            "SELECT * FROM approvals WHERE kind <> 'policy' AND model = :model AND number = :number "
            "AND alias = :alias ORDER BY seq DESC",
            model=subject.model,
            number=subject.number,
            alias=subject.alias,
        )
        if row is None:
            return None
        if row["state"] == "moved":
            return row["id"] if subject.holder == subject.ref else None
        if row["state"] not in ("pending", "blocked"):
            return None
        if row["state"] == "pending" and row["expires_at"] <= self._store.now():
            return None
        return row["id"] if Promotion(**json.loads(row["subject"])) == subject else None

    def subject(self, model: str, number: int, alias: str) -> Promotion | None:
        """Return what a request to move ``alias`` to that version would be about as things stand."""
        return promotion_now(self._store, self._people.policy, self._datasets, model, number, alias)

    def _vote(self, id: str, vote: str, reason: str) -> Approval:
        id = self._row(id)["id"]
        with self._people.write(Role.NONE) as transaction:
            row = self._row(id)
            late = self._overtaken(row, transaction.at) if row["state"] == "pending" else None
            if late:
                self._end(transaction, row, *late)
            else:
                if refusal := self._objection(row):
                    raise refusal
                self._count(transaction, row, vote, reason.strip())
        if late:
            raise self._too_late(row, *late)
        return self.get(id)

    def _count(self, transaction: Transaction, row: Row, vote: str, reason: str) -> None:
        transaction.insert(
            "votes",
            approval=row["id"],
            principal=principal(transaction.actor),
            actor=transaction.actor,
            proof=transaction.proof,
            vote=vote,
            reason=reason,
            at=transaction.at,
        )
        transaction.event(
            "approval.voted",
            f"approval:{row['id']}",
            model=_model(row),
            alias=row["alias"],
            vote=vote,
            reason=reason,
        )
        if vote == "reject":
            self._end(transaction, row, "rejected", f"{transaction.actor}: {reason}")
        elif reached(self._people.policy, self._quorums(row), self._votes(row), self._excluded(row)):
            self._end(transaction, row, "moved", f"approved by {self._approvers(row)}")
            self._carry_out(transaction, row)

    def _carry_out(self, transaction: Transaction, row: Row) -> None:
        if row["kind"] == "promotion":
            self.move(transaction, row["id"])
        else:
            change = Change(**json.loads(row["subject"]))
            self._people.record(transaction, Policy.from_document(change.after))
            self.outdate(transaction)

    def _end(self, transaction: Transaction, row: Row, state: str, why: str) -> None:
        transaction.execute(
            "UPDATE approvals SET state = :state, decided_at = :at, outcome = :why, counted = :counted "
            "WHERE id = :id AND state = 'pending'",
            state=state,
            at=transaction.at,
            why=why,
            counted=json.dumps(sorted(principal(vote.actor) for vote in self._votes(row) if vote.counts)),
            id=row["id"],
        )
        self._tell(transaction, row, state, why)

    @staticmethod
    def _tell(transaction: Transaction, row: Row, state: str, why: str) -> None:
        transaction.event(
            f"approval.{state}",
            f"approval:{row['id']}",
            model=_model(row),
            alias=row["alias"],
            number=int(row["number"]),
            why=why,
        )

    def _overtaken(self, row: Row, now: str) -> tuple[str, str] | None:
        """Return how a pending request ends without a vote as things stand, or ``None``."""
        if row["expires_at"] <= now:
            return "expired", f"nobody decided it before {row['expires_at']}"
        if row["kind"] == "policy":
            change = Change(**json.loads(row["subject"]))
            if change.before != self._people.in_force().digest:
                return "invalidated", "the policy changed meanwhile"
            return None if change.binding() == row["binding"] else ("invalidated", "the request was altered")
        subject = Promotion(**json.loads(row["subject"]))
        if (subject.model, subject.number, subject.alias) != (row["model"], int(row["number"]), row["alias"]):
            return "invalidated", "the request was altered"
        why = subject.overtaken(self.subject(subject.model, subject.number, subject.alias))
        if not why and subject.binding(_gates(row).digest) != row["binding"]:
            why = "the report of its gates was altered"
        return ("invalidated", why) if why else None

    def _objection(self, row: Row) -> Refused | Conflict | None:
        if row["state"] != "pending":
            return self._decided(row)
        me = principal(self._people.actor.name)
        for vote in self._votes(row):
            if principal(vote.actor) == me:
                return Conflict(
                    f"{vote.actor} voted on {row['id']} already: {vote.vote} at {vote.at}",
                    "one person, one vote",
                )
        return objection(
            self._people.policy, self._quorums(row), self._people.actor, self._excluded(row), row["id"]
        )

    def _decided(self, row: Row) -> Conflict:
        approval = self._approval(row)
        return Conflict(
            f"{row['id']} is {approval.state} already: {approval.outcome}",
            f"ask again with `mlops promote {approval.model} {approval.alias}`"
            if approval.kind == "promotion" and not approval.moved
            else "",
        )

    def _too_late(self, row: Row, state: str, why: str) -> Conflict:
        again = (
            "`mlops policy apply`"
            if row["kind"] == "policy"
            else f"`mlops promote {_model(row)} {row['alias']}`"
        )
        return Conflict(f"{row['id']} is {state}, so this did not count: {why}", f"ask again with {again}")

    def _quorums(self, row: Row) -> tuple[Quorum, ...]:
        """Return what the policy in force asks for."""
        if row["kind"] == "policy":
            return Change(**json.loads(row["subject"])).quorums_in(self._people.policy)
        rule, _ = rule_of(self._people.policy, row["model"], row["alias"])
        return (Quorum.of(rule),) if rule else ()

    def _excluded(self, row: Row) -> dict[str, str]:
        """Return who may not vote, and for what they did."""
        excluded = {principal(row["actor"]): "asked for this"}
        if row["kind"] == "promotion":
            version = (
                self._store.one(
                    "SELECT author, actor FROM model_versions WHERE model = :model AND number = :number",
                    model=row["model"],
                    number=int(row["number"]),
                )
                or {}
            )
            for field, deed in (("actor", "registered this model"), ("author", "trained this model")):
                if field in version:
                    excluded.setdefault(principal(version[field]), deed)
        return excluded

    def _votes(self, row: Row) -> tuple[Vote, ...]:
        """Return the votes; while open they count by the policy in force, later as they did at the end."""
        votes = (
            Vote(**each)
            for each in self._store.all(
                "SELECT actor, proof, vote, reason, at FROM votes WHERE approval = :id "
                "ORDER BY at, principal",
                id=row["id"],
            )
        )
        if row["state"] != "pending":
            counted = set(json.loads(row["counted"]))
            return tuple(replace(vote, counts=principal(vote.actor) in counted) for vote in votes)
        policy, quorums, excluded = self._people.policy, self._quorums(row), self._excluded(row)
        return tuple(
            replace(vote, counts=any(counts(policy, quorum, vote, excluded) for quorum in quorums))
            for vote in votes
        )

    def _approvers(self, row: Row) -> str:
        return ", ".join(vote.actor for vote in self._votes(row) if vote.counts)

    def _pending(self) -> tuple[Row, ...]:
        return tuple(self._store.all("SELECT * FROM approvals WHERE state = 'pending' ORDER BY seq"))

    def _row(self, id: str) -> Row:
        return row_of(self._store, "approvals", id, "approval", (row["id"] for row in self._pending()))

    def _approval(self, row: Row) -> Approval:
        state, outcome = row["state"], row["outcome"]
        if state == "pending" and row["expires_at"] <= self._store.now():
            state, outcome = "expired", f"nobody decided it before {row['expires_at']}"
        subject = json.loads(row["subject"])
        return Approval(
            id=row["id"],
            kind=row["kind"],
            model=_model(row),
            model_digest=subject.get("model_digest", ""),
            alias=row["alias"],
            state=state,
            gates=_gates(row) if json.loads(row["gates"]) else None,
            votes=self._votes(row),
            needed=int(row["needed"]),
            requester=row["actor"],
            reason=row["reason"],
            at=row["at"],
            expires_at=row["expires_at"],
            decided_at=row["decided_at"],
            outcome=outcome,
            holder=subject.get("holder", ""),
            binding=row["binding"],
            changes=tuple(subject.get("changes", ())),
            _approvals=self,
        )


def _model(row: Row) -> str:
    return "policy" if row["kind"] == "policy" else f"{row['model']}@v{row['number']}"


def _gates(row: Row) -> GateReport:
    return GateReport.from_dict(json.loads(row["gates"]))


def _later(store: Store, lifetime: timedelta) -> str:
    return (store.moment() + lifetime).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
