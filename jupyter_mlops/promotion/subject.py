"""The subject: what exactly a request is about, as digests, so that a vote counts for nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from ..config import AliasPolicy, Evaluation, Policy
from ..errors import NotFound
from ..store import Store, aliases
from ..store.events import canonical

if TYPE_CHECKING:
    from ..datasets import Datasets

KIND = "model"


@dataclass(frozen=True, slots=True)
class Promotion:
    """A move of ``alias`` to a model version: the facts that gates and voters judge it by.

    ``holder`` is the version that holds the alias, ``data`` the version that scorers judge on, ``compared``
    the versions behind the aliases that gates compare with.
    """

    model: str
    number: int
    model_digest: str
    alias: str
    holder: str
    holder_digest: str
    policy_digest: str
    data: str = ""
    data_digest: str = ""
    compared: Mapping[str, str] = field(default_factory=dict)

    @property
    def ref(self) -> str:
        """The version that is to hold the alias."""
        return f"{self.model}@v{self.number}"

    def binding(self, gates_digest: str) -> str:
        """Return the digest that binds an approval to this subject and to the report of its gates."""
        bound = {
            "model": self.model_digest,
            "holder": [self.holder, self.holder_digest],
            "gates": gates_digest,
            "policy": self.policy_digest,
            "alias": self.alias,
        }
        return digest(bound)

    def overtaken(self, now: Promotion | None) -> str:
        """Return what changed between this subject and what it would be ``now``, or nothing."""
        if now is None:
            return f"{self.alias} is no longer declared for {self.model}"
        if now.model_digest != self.model_digest:
            return f"{self.ref} is no longer the same model"
        if (now.holder, now.holder_digest) != (self.holder, self.holder_digest):
            return f"{self.alias} moved to {now.holder or 'nothing'} meanwhile"
        if now.policy_digest != self.policy_digest:
            return f"the policy for {self.alias} changed meanwhile"
        if now != self:
            return "the data or versions that the gates judge by changed meanwhile"
        return ""

    def to_dict(self) -> dict[str, Any]:
        """Return the subject as JSON-ready types."""
        return asdict(self)


def rule_of(policy: Policy, model: str, alias: str) -> tuple[AliasPolicy | None, Evaluation | None]:
    """Return the rule for ``alias`` of ``model``, and the data declared to judge it on."""
    declared = policy.models.get(model)
    return policy.alias(model, alias), declared.evaluate if declared else None


def promotion_now(
    store: Store, policy: Policy, datasets: Datasets, model: str, number: int, alias: str
) -> Promotion | None:
    """Return the subject of moving ``alias`` to version ``number`` as things stand, if that is possible."""
    rule, evaluation = rule_of(policy, model, alias)
    row = _version(store, model, number)
    if rule is None or row is None:
        return None
    holder = aliases.holder(store, KIND, model, alias)
    held = _version(store, model, holder) if holder is not None else None
    data, data_digest = "", ""
    if evaluation is not None and any(gate.scorer for gate in rule.gates):
        try:
            version = datasets.get(evaluation.data)
            data, data_digest = version.ref, version.digest
        except NotFound:
            data = evaluation.data  # the gates say so when they look for it
    compared = {
        gate.not_worse_than: aliases.holder(store, KIND, model, gate.not_worse_than)
        for gate in rule.gates
        if gate.not_worse_than
    }
    return Promotion(
        model=model,
        number=number,
        model_digest=row["digest"],
        alias=alias,
        holder=f"{model}@v{holder}" if held else "",
        holder_digest=held["digest"] if held else "",
        policy_digest=digest({"rule": asdict(rule), "evaluate": asdict(evaluation) if evaluation else None}),
        data=data,
        data_digest=data_digest,
        compared={name: f"{model}@v{at}" if at is not None else "" for name, at in compared.items()},
    )


def digest(document: Any) -> str:
    """Return the SHA-256 of the canonical JSON of ``document``."""
    return hashlib.sha256(canonical(document).encode()).hexdigest()


def _version(store: Store, model: str, number: int) -> dict[str, Any] | None:
    return store.one(
        "SELECT digest FROM model_versions WHERE model = :model AND number = :number",
        model=model,
        number=number,
    )
