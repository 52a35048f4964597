"""The registry: the models, and what moves their aliases. The ``models`` of a project."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from ..config import AliasPolicy
from ..errors import BadInput, Conflict, NotFound
from ..models import Models, ModelVersion
from ..people import Members, Role
from ..refs import parse_ref
from ..store import Store, Transaction, aliases
from .approval import Approval
from .approvals import Approvals, Request
from .gates import GateReport, Judge
from .subject import KIND, Promotion, rule_of

if TYPE_CHECKING:
    from ..datasets import Datasets
    from ..objects import Objects
    from ..runs import Tracker

_ATTEMPTS = 3


class Registry(Models):
    """The models of one project with their gates, promotions and rollbacks, seen by one actor."""

    def __init__(
        self,
        store: Store,
        people: Members,
        objects: Objects,
        runs: Tracker,
        datasets: Datasets,
        approvals: Approvals,
    ) -> None:
        super().__init__(store, people, objects, runs)
        self._datasets = datasets
        self._approvals = approvals

    def gate(self, ref: str | ModelVersion, alias: str) -> GateReport:
        """Return whether ``alias`` could move to ``ref``, each gate computed now on the declared data."""
        version = self.get(ref)
        return self._judged(self._subject(version, alias))

    def promote(self, ref: str | ModelVersion, alias: str, reason: str = "") -> Approval:
        """Ask that ``alias`` move to ``ref``; it moves at once where no approvals are asked for.

        The answer is ``blocked`` when a gate failed. An identical repeat returns the same approval.
        """
        if isinstance(ref, str) and parse_ref(ref, KIND).bare:
            raise BadInput(f"'{ref}' names no version to promote", f"say which: {ref}@v1, or {ref}@latest")
        self._people.require(Role.CONTRIBUTOR)
        version = self.get(ref)
        for _ in range(_ATTEMPTS):
            subject = self._subject(version, alias)
            if known := self._approvals.same(subject):
                return self._approvals.get(known)
            self.files.verify(version.digest)
            report = self._judged(subject)
            with self._people.write(Role.CONTRIBUTOR) as transaction:
                # the gates were judged outside the write; they count if nothing they judged by changed
                if self._approvals.subject(version.name, version.number, alias) != subject:
                    continue
                id = self._approvals.same(subject) or self._ask(transaction, subject, report, reason.strip())
            return self._approvals.get(id)
        raise Conflict(
            f"{alias} of {version.name} keeps changing while its gates are judged", "repeat the promotion"
        )

    def rollback(self, name: str, alias: str, reason: str = "") -> Approval:
        """Point ``alias`` back at the version that held it before this one; needs the role operator."""
        self._known(name)
        self._declared(name, alias)
        self._people.require(Role.OPERATOR)
        self._verify_former(name, alias)
        with self._people.write(Role.OPERATOR) as transaction:
            former = self._former(name, alias)
            subject = self._approvals.subject(name, former, alias)
            if subject is None:
                raise NotFound(
                    f"'{alias}' is no longer declared for {name}", "declare it in mlops.toml and apply that"
                )
            request = Request(
                kind="rollback",
                model=name,
                number=former,
                alias=alias,
                subject=subject.to_dict(),
                binding=subject.binding(""),
                needed=0,
                gates=None,
                reason=reason.strip(),
                lifetime=timedelta(0),
            )
            id = self._approvals.open(transaction, request, "moved", f"rolled back by {transaction.actor}")
            self._approvals.move(transaction, id)
        return self._approvals.get(id)

    def _ask(self, transaction: Transaction, subject: Promotion, report: GateReport, reason: str) -> str:
        rule = self._rule(subject.model, subject.alias)
        self._approvals.outdate(transaction)
        request = Request(
            kind="promotion",
            model=subject.model,
            number=subject.number,
            alias=subject.alias,
            subject=subject.to_dict(),
            binding=subject.binding(report.digest),
            needed=rule.approvals,
            gates=report,
            reason=reason,
            lifetime=rule.lifetime,
        )
        if not report.passed:
            return self._approvals.open(
                transaction, request, "blocked", f"failed: {', '.join(report.failed)}"
            )
        if rule.approvals:
            return self._approvals.open(transaction, request, "pending")
        id = self._approvals.open(transaction, request, "moved", f"{subject.alias} asks for no approval")
        self._approvals.move(transaction, id)
        return id

    def _judged(self, subject: Promotion) -> GateReport:
        rule, evaluation = rule_of(self._people.policy, subject.model, subject.alias)
        return Judge(self, self._datasets, subject, evaluation).report(rule.gates if rule else ())

    def _subject(self, version: ModelVersion, alias: str) -> Promotion:
        self._rule(version.name, alias)
        subject = self._approvals.subject(version.name, version.number, alias)
        if subject is None:
            raise NotFound(f"{version.ref} does not exist", f"`mlops models versions {version.name}`")
        return subject

    def _rule(self, name: str, alias: str) -> AliasPolicy:
        rule = self._people.policy.alias(name, alias)
        if rule is None:
            raise self._undeclared(name, alias)
        return rule

    def _verify_former(self, name: str, alias: str) -> None:
        self.files.verify(self.get(f"{name}@v{self._former(name, alias)}").digest)

    def _former(self, name: str, alias: str) -> int:
        """Return who held ``alias`` before its holder was promoted; a rollback takes back one promotion."""
        kinds = {
            row["id"]: row["kind"]
            for row in self._store.all(
                "SELECT id, kind FROM approvals WHERE model = :model AND alias = :alias",
                model=name,
                alias=alias,
            )
        }
        held: list[int] = []
        for move in reversed(aliases.history(self._store, KIND, name, alias)):
            if kinds.get(move.approval or "") == "rollback":
                held.pop()
            else:
                held.append(move.number)
        if len(held) < 2:
            now = (
                f"{name}@v{held[0]} is the first that holds {alias}"
                if held
                else f"nothing holds {alias} of {name}"
            )
            raise Conflict(f"{now}: there is nothing to roll back to", "promote another version instead")
        return held[-2]
