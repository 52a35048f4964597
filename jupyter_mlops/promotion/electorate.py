"""The electorate: who may vote on a request, and when enough have. Asked by ``Approvals``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..config import ROLES, AliasPolicy, Policy
from ..errors import Refused
from ..people import Actor, Role, role_in
from .approval import Vote


@dataclass(frozen=True, slots=True)
class Quorum:
    """How many approvals are needed, from whom, and with what proof of identity."""

    approvers: tuple[str, ...]
    identity: str
    needed: int

    @classmethod
    def of(cls, rule: AliasPolicy) -> Quorum:
        """Return the quorum that the rule of an alias asks for."""
        return cls(rule.approvers, rule.identity, rule.approvals)


def principal(name: str) -> str:
    """Return the person behind ``name``: an address is the same person in capitals."""
    return name.strip().casefold() if "@" in name else name.strip()


def is_service(policy: Policy, name: str) -> bool:
    """Return whether ``name`` is a service, however it is spelt."""
    return principal(name) in {principal(service) for service in policy.people.services}


def may_approve(policy: Policy, quorum: Quorum, name: str) -> bool:
    """Return whether ``policy`` lets ``name`` vote in ``quorum``, by role or by name; services never."""
    if is_service(policy, name):
        return False
    role = role_in(policy, name)
    return any(
        role >= Role[entry.upper()] if entry in ROLES else principal(entry) == principal(name)
        for entry in quorum.approvers
    )


def electorate(policy: Policy, quorum: Quorum) -> frozenset[str]:
    """Return everybody named in ``policy`` who may vote in ``quorum``."""
    named = {name for role in ROLES for name in getattr(policy.people, role)}
    named |= {entry for entry in quorum.approvers if entry not in ROLES}
    return frozenset(principal(name) for name in named if may_approve(policy, quorum, name))


def counts(policy: Policy, quorum: Quorum, vote: Vote, excluded: Mapping[str, str]) -> bool:
    """Return whether ``vote`` is an approval that still counts: right and proof as the policy asks now."""
    return (
        vote.vote == "approve"
        and principal(vote.actor) not in excluded
        and may_approve(policy, quorum, vote.actor)
        and (quorum.identity != "verified" or Actor(vote.actor, vote.proof).verified)
    )


def reached(
    policy: Policy, quorums: Iterable[Quorum], votes: Iterable[Vote], excluded: Mapping[str, str]
) -> bool:
    """Return whether every quorum has the approvals it needs, from different people; never without any."""
    votes, quorums = tuple(votes), tuple(quorums)
    return bool(quorums) and all(
        len({principal(vote.actor) for vote in votes if counts(policy, quorum, vote, excluded)})
        >= quorum.needed
        for quorum in quorums
    )


def objection(
    policy: Policy, quorums: tuple[Quorum, ...], actor: Actor, excluded: Mapping[str, str], id: str
) -> Refused | None:
    """Return why ``actor`` may not vote on request ``id``, or ``None``; ``excluded`` says who did what."""
    others = sorted(set().union(*(electorate(policy, quorum) for quorum in quorums)) - set(excluded))
    ask = (
        f"approvers: {', '.join(others)}"
        if others
        else "nobody else is an approver; see [people] in mlops.toml"
    )
    if is_service(policy, actor.name):
        return Refused(f"{actor.name} is a service, and services never vote", ask)
    if principal(actor.name) in excluded:
        return Refused(f"{actor.name} {excluded[principal(actor.name)]}, so somebody else decides", ask)
    mine = [quorum for quorum in quorums if may_approve(policy, quorum, actor.name)]
    if not mine:
        return Refused(f"{actor.name} is no approver of this", ask)
    if not actor.verified and all(quorum.identity == "verified" for quorum in mine):
        return Refused(
            "this vote needs a verified identity, and a name given on this machine is only claimed",
            f"vote in Slack (`/mlops approve {id}`) or on the project's page (/mlops/approvals/{id})",
        )
    return None
