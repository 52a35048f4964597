"""Promotion: gates judge, people vote, aliases move, all bound to exact digests. Used by ``Project``."""

from .approval import Approval, Vote
from .approvals import Approvals
from .gates import GateReport, GateResult
from .policy import Policies
from .registry import Registry

__all__ = ["Approval", "Approvals", "GateReport", "GateResult", "Policies", "Registry", "Vote"]
