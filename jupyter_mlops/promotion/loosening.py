"""Loosening: what a new policy makes easier that the old one guarded, and who must agree to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from ..config import AliasPolicy, Gate, Policy
from ..people import policy_digest
from .electorate import Quorum, electorate, principal
from .subject import digest, rule_of

_ANY = ""  # stands for the models that the policy does not name


@dataclass(frozen=True, slots=True)
class Change:
    """A change of policy that waits for approval: from digest ``before`` to the document ``after``.

    ``guards`` are the (model, alias) pairs whose rules it loosens, ``actor`` is who asks.
    """

    before: str
    after: Mapping[str, Any]
    changes: Sequence[str]
    guards: Sequence[Sequence[str]]
    actor: str

    def binding(self) -> str:
        """Return the digest that votes on this change count for."""
        return digest(asdict(self))

    def quorums_in(self, policy: Policy) -> tuple[Quorum, ...]:
        """Return what ``policy`` asks for before one of its rules may be loosened."""
        return quorums(policy, ((model, alias) for model, alias in self.guards), self.actor)


def change_between(before: Policy, after: Policy, actor: str) -> Change:
    """Return what ``after`` loosens of the rules in ``before`` that ask for approvals, if anything."""
    told: dict[str, None] = {}
    guards: list[list[str]] = []
    guarded = list(_guarded(before, after))
    for model, alias, rule in guarded:
        found = list(_loosened(before, after, model, alias, rule, actor))
        where = f"{model} {alias}" if model else alias
        told.update(dict.fromkeys(f"{where}: {text}" for text in found))
        if found:
            guards.append([model, alias])
    everywhere = list(_for_everything(before, after)) if guarded else []
    if everywhere:
        told.update(dict.fromkeys(everywhere))
        guards = [[model, alias] for model, alias, _ in guarded]
    return Change(policy_digest(before), after.to_document(), list(told), guards, actor)


def quorums(policy: Policy, guards: Iterable[tuple[str, str]], actor: str) -> tuple[Quorum, ...]:
    """Return the quorums of the rules ``guards``, as far as people besides ``actor`` can fill them."""
    found: dict[Quorum, None] = {}
    for model, alias in guards:
        rule = policy.alias(model, alias)
        if rule is not None:
            found[Quorum(rule.approvers, rule.identity, _strength(policy, rule, actor))] = None
    return tuple(quorum for quorum in found if quorum.needed)


def shortest_lifetime(policy: Policy, guards: Iterable[Sequence[str]]) -> timedelta:
    """Return how long the strictest of the rules ``guards`` keeps a request open."""
    rules = (policy.alias(model, alias) for model, alias in guards)
    return min(rule.lifetime for rule in rules if rule is not None)


def _guarded(before: Policy, after: Policy) -> Iterable[tuple[str, str, AliasPolicy]]:
    """Yield every alias that asks for approvals, for each model that a policy names and for any other."""
    for model in (_ANY, *sorted({*before.models, *after.models})):
        for alias in before.alias_names(model):
            rule = before.alias(model, alias)
            if rule is not None and rule.approvals:
                yield model, alias, rule


def _loosened(
    before: Policy, after: Policy, model: str, alias: str, old: AliasPolicy, actor: str
) -> Iterable[str]:
    new, evaluation = rule_of(after, model, alias)
    if new is None:
        yield "its rule is removed"
        return
    if new.approvals < old.approvals:
        yield f"needs {new.approvals} approvals instead of {old.approvals}"
    if old.identity == "verified" != new.identity:
        yield "a claimed identity is enough"
    if new.lifetime > old.lifetime:
        yield f"requests stay open {new.expires} instead of {old.expires}"
    wider = electorate(after, Quorum.of(new)) - electorate(before, Quorum.of(old))
    roles = set(new.approvers) - set(old.approvers) - wider
    if wider or roles:
        yield f"{', '.join(sorted(wider | roles))} may approve"
    if _strength(after, new, actor) < min(_strength(before, old, actor), new.approvals):
        yield f"leaves fewer than {old.approvals} people besides {actor} who may approve"
    for gate in old.gates:
        if not any(_as_strict(other, gate) for other in new.gates):
            yield f"the gate '{gate.name}' is removed or weakened"
    if any(gate.scorer for gate in old.gates) and rule_of(before, model, alias)[1] != evaluation:
        yield "its gates judge on other data"


def _for_everything(before: Policy, after: Policy) -> Iterable[str]:
    """Yield what weighs on every guarded alias: new people with authority, new types that may be loaded."""
    for role in ("approver", "admin"):
        old = {principal(name) for name in getattr(before.people, role)}
        for name in getattr(after.people, role):
            if principal(name) not in old:
                yield f"{name} becomes {role}"
    for name in after.trust:
        if name not in before.trust:
            yield f"models may hold {name}"


def _strength(policy: Policy, rule: AliasPolicy, actor: str) -> int:
    """Return how many people besides ``actor`` must and can agree."""
    others = electorate(policy, Quorum.of(rule)) - {principal(actor)}
    return min(rule.approvals, len(others))


def _as_strict(new: Gate, old: Gate) -> bool:
    """Return whether what passes ``new`` also passes ``old``."""
    if old.signature:
        return new.signature == old.signature
    if new.scorer != old.scorer:
        return False
    if old.not_worse_than:
        return new.not_worse_than == old.not_worse_than and new.margin <= old.margin
    return new.at_least is not None and old.at_least is not None and new.at_least >= old.at_least
