"""Memory: how much a comparison may take, from what the machine, its container and this process allow."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path

_SHARE = 0.6  # of what is free: others want some, too
_SHARE_OF_LIMIT = 0.35  # of what a limit leaves: it counts what allocators hold, too, used or not
_LIBRARIES = ("polars", "pyarrow", "scipy.stats")
_STACKS = 64 << 20  # that the threads of polars and ours take once they run
_CGROUPS = (
    ("/sys/fs/cgroup", "memory.max", "memory.current"),
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
)


def available() -> int:
    """Return how many bytes a comparison may use at once."""
    import psutil

    if _process_limits():
        # what the libraries take by themselves, a quarter of a gigabyte, is not free
        for name in _LIBRARIES:
            import_module(name)
    free = min([int(psutil.virtual_memory().available), *_container_limits()]) * _SHARE
    allowed = [(limit - _STACKS) * _SHARE_OF_LIMIT for limit in _process_limits()]
    return max(int(min([free, *allowed])), 0)


def keep_small() -> None:
    """Where this process may have little memory, let polars hand back what it is done with.

    Its allocator keeps address space for later, which counts against a limit as if it were used. It reads
    this when polars is loaded, and never again.
    """
    if "polars" not in sys.modules and _process_limits():
        os.environ.setdefault("_RJEM_MALLOC_CONF", "retain:false,narenas:1")


def _process_limits() -> list[int]:
    if sys.platform == "win32":
        return []
    import resource

    import psutil

    used = psutil.Process().memory_info()
    limits = []
    for limit, taken in (
        (resource.RLIMIT_AS, used.vms),
        (resource.RLIMIT_DATA, getattr(used, "data", used.rss)),
    ):
        soft = resource.getrlimit(limit)[0]
        if soft != resource.RLIM_INFINITY:
            limits.append(soft - taken)
    return limits


def _container_limits() -> list[int]:
    limits = []
    for top, most, used in _CGROUPS:
        for folder in _groups(Path(top)):
            try:
                limit, taken = (folder / most).read_text("ascii").strip(), (folder / used).read_text("ascii")
            except OSError:
                continue
            if limit.isdigit():
                limits.append(int(limit) - int(taken))
    return limits


def _groups(top: Path) -> list[Path]:
    """Return the groups of this process under ``top``, its own and the root as a container sees it."""
    try:
        lines = Path("/proc/self/cgroup").read_text("utf-8").splitlines()
    except OSError:
        return []
    names = [line.split(":", 2)[2].lstrip("/") for line in lines if line.count(":") >= 2]
    return [top, *(top / name for name in names if name)]
