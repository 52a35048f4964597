"""People: who acts, how we know it is they, and what they may do. Every service writes through here."""

from .actor import Actor, identify
from .people import Identity, Members, PolicyInForce, Role, policy_digest, role_in

__all__ = ["Actor", "Identity", "Members", "PolicyInForce", "Role", "identify", "policy_digest", "role_in"]
