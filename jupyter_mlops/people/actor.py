"""The actor: the person or service in whose name a project is open. Named by the face that opened it."""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ..errors import BadInput

PROOFS = ("local", "jupyter", "slack")
VARIABLES = ("MLOPS_ACTOR", "JUPYTERHUB_USER")
WHOAMI_FILE = "actor"


@dataclass(frozen=True, slots=True)
class Actor:
    """A person (email) or a service (``ci``); ``proof`` is ``slack``, ``jupyter`` or ``local`` (claimed).

    ``source`` tells where the name came from, for ``whoami``.
    """

    name: str
    proof: str = "local"
    source: str = "given"

    def __post_init__(self) -> None:
        if not self.name.strip() or len(self.name) > 200 or any(ord(c) < 32 for c in self.name):
            raise BadInput(f"{self.name!r} cannot name an actor", "use an email address or a service's name")
        if self.proof not in PROOFS:
            raise BadInput(f"{self.proof!r} is no proof of identity", f"known: {', '.join(PROOFS)}")

    @property
    def verified(self) -> bool:
        """Whether somebody other than the actor vouches for the name."""
        return self.proof != "local"


def identify(given: str | Actor | None, state: Path, root: Path) -> Actor:
    """Return who acts: the argument, the environment, ``whoami --set``, git, or at last user@host."""
    if isinstance(given, Actor):
        return given
    if given is not None:
        return Actor(given)
    for variable in VARIABLES:
        if name := os.environ.get(variable, "").strip():
            return Actor(name, source=f"${variable}")
    remembered = state / WHOAMI_FILE
    if remembered.is_file() and (name := remembered.read_text("utf-8").strip()):
        return Actor(name, source="whoami --set")
    if name := _git_email(root):
        return Actor(name, source="git")
    return Actor(f"{_user()}@{socket.gethostname()}", source="user@host")


def _git_email(root: Path) -> str:
    try:
        answer = subprocess.run(
            ["git", "config", "user.email"],  # noqa: S607 the user's own git, as their shell finds it
            cwd=root,
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
