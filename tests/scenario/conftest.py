"""Fixtures of the scenarios."""

from scenario_demo import demo

__all__ = ["demo"]
