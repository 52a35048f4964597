"""A strict local Slack: the Web API, Socket Mode and a page that the bot uses and a person clicks on."""

from __future__ import annotations

from .person import Person
from .server import READY_FILE, Simulator, run

__all__ = ["READY_FILE", "Person", "Simulator", "run"]
