"""Automation: what the project does without being asked, and what it knows of itself at this moment."""

from .overview import Overview, overview

__all__ = ["Overview", "overview"]
