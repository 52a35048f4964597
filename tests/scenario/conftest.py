"""Fixtures of the scenarios."""

from tests.scenario.playing import demo

__all__ = ["demo"]
