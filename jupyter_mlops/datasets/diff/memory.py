"""Memory: how much a comparison may take, from what the machine, its container and this process allow."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path

from ...errors import Failed

_SHARE = 0.6  # of what is free: others want some, too
_SHARE_OF_LIMIT = 0.25  # of what a limit leaves: it counts what allocators hold, too, used or not
_LIBRARIES = {"polars": 90 << 20, "pyarrow": 25 << 20, "scipy.stats": 80 << 20}  # and what each takes
_LEAST = 48 << 20  # with less, pieces of tables would not fit either
_STACKS = 64 << 20  # that the threads of polars and ours take once they run
_ALLOCATOR, _HANDS_BACK = "_RJEM_MALLOC_CONF", "dirty_decay_ms:500,retain:false,narenas:1"
_SMALL = (  # what makes a library take little, read when it is loaded
    ("polars", "POLARS_MAX_THREADS", "2"),
    ("polars", "POLARS_CSV_CHUNK_SIZE", "4000000"),
    ("polars", "POLARS_CSV_CHUNK_PREFETCH_LIMIT", "1"),
    ("pyarrow", "ARROW_DEFAULT_MEMORY_POOL", "system"),
    ("numpy", "OPENBLAS_NUM_THREADS", "1"),
)
_CGROUPS = (
    ("/sys/fs/cgroup", "memory.max", "memory.current"),
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
)


def available() -> int:
    """Return how many bytes a comparison may use at once."""
    import psutil

    if limits := _process_limits():
        # what the libraries take by themselves, a fifth of a gigabyte, is not free
        lacking = [name for name in _LIBRARIES if name not in sys.modules]
        if min(limits) < _STACKS + sum(_LIBRARIES[name] for name in lacking):
            raise _too_little(min(limits))
        for name in lacking:
            import_module(name)
    free = min([int(psutil.virtual_memory().available), *_container_limits()]) * _SHARE
    allowed = [(limit - _STACKS) * _SHARE_OF_LIMIT for limit in _process_limits()]
    return max(int(min([free, *allowed])), 0)


def check_least(memory: int) -> None:
    """Raise ``Failed`` where a limit leaves so little that tables cannot be compared in parts either."""
    if memory < _LEAST and (limits := _process_limits()):
        raise _too_little(min(limits))


def _too_little(left: int) -> Failed:
    return Failed(
        f"{max(left, 0) / 1e6:.0f} MB are left of the memory that this process may take: too little to "
        "compare tables",
        "allow it more: `ulimit -d` says how much it may take",
    )


def keep_small() -> None:
    """Where this process may have little memory, let the libraries take no more than they use.

    Against a limit counts what they set aside as if it were used: the allocator of polars keeps it for later,
    that of pyarrow takes a gigabyte at once, and every thread of the linear algebra 40 MB. They read this
    when they are loaded, and never again.
    """
    if not _process_limits():
        return
    if "polars" not in sys.modules:
        # polars itself gives it to the environment of every child: what comes last counts
        inherited = os.environ.get(_ALLOCATOR)
        os.environ[_ALLOCATOR] = f"{inherited},{_HANDS_BACK}" if inherited else _HANDS_BACK
    for library, setting, value in _SMALL:
        if library not in sys.modules:
            os.environ.setdefault(setting, value)
    import pyarrow as pa

    pa.set_memory_pool(pa.system_memory_pool())


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
