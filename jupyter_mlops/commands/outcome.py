"""The outcome: which exit status a verb's value means. Named beside each verb."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DONE, NO, FAILED, WAITS = 0, 1, 3, 4


def of_request(approval: Any, given: Mapping[str, Any]) -> int:
    """A request is done when the alias moved, waits while pending, and is refused otherwise."""
    return {"moved": DONE, "pending": WAITS}.get(approval.state, NO)


def of_runs(runs: Any, given: Mapping[str, Any]) -> int:
    """Runs are done when none of them failed."""
    return FAILED if runs.failed else DONE


def of_execution(made: Any, given: Mapping[str, Any]) -> int:
    """Runs are done as ``of_runs`` says; a run executed again, if it agrees or was to be different."""
    if given.get("like") is None or given.get("detach"):
        return of_runs(made, given)
    if made.verdict == "failed":
        return FAILED
    return DONE if made.agrees or made.asked else NO


def of_check(report: Any, given: Mapping[str, Any]) -> int:
    """A check answers yes or no."""
    passed = report.passed if hasattr(report, "passed") else report.ok
    return DONE if passed else NO


def of_policy(applied: Any, given: Mapping[str, Any]) -> int:
    """A policy is in force, or asked for."""
    return of_request(applied, given) if hasattr(applied, "state") else DONE


def of_drift(report: Any, given: Mapping[str, Any]) -> int:
    """Drift is a no where --fail-on-drift asks for it."""
    return NO if report.drifted and given["fail_on_drift"] else DONE
