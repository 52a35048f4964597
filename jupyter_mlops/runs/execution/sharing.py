"""Sharing the machine: how many runs execute at a time, and the environment that keeps each to its part."""

from __future__ import annotations

import os

_MOST_WORKERS = 4


def default_workers() -> int:
    """Return how many runs execute at a time unless told: one a core, at most four."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(usable, _MOST_WORKERS)


def environment(workers: int) -> dict[str, str]:
    """Return this process's environment for one of ``workers`` runs that execute at a time."""
    found = dict(os.environ)
    if workers > 1:
        # numerical libraries start a thread a core each, and would fight over them
        found.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))
    return found
