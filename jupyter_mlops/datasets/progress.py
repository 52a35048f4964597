"""Progress: how far a long operation on datasets is. Nothing is shown in the first second, nor loaded."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..audience import attended, kernel

_QUIET_SECONDS = 1.0


@contextmanager
def progress(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar for ``total`` bytes; the block gets a function to call with each number of bytes done."""
    bar: Any = None
    done = 0
    begun = time.monotonic()

    def advance(count: int) -> None:
        nonlocal bar, done
        done += count
        if bar is not None:
            bar.update(count)
        elif time.monotonic() - begun >= _QUIET_SECONDS and done < total:
            bar = _bar(title, total, done)

    try:
        yield advance
        if bar is not None:
            fill(bar)
    finally:
        if bar is not None:
            bar.close()


def _bar(title: str, total: int, done: int) -> Any:
    return bar_of(title, total, "B", initial=done)


def fill(bar: Any) -> None:
    """Let a bar end whole: not all that was to be done is counted one by one."""
    bar.update(max(bar.total - bar.n, 0))
    bar.refresh()


def bar_of(title: str, total: int, unit: str, **more: Any) -> Any:
    """Return a bar for a terminal or a person's notebook; a file would keep every step, and gets none."""
    if kernel() is not None:
        from tqdm.auto import tqdm
    else:  # the same in a terminal, without loading asyncio
        from tqdm import tqdm  # type: ignore[assignment]  # its two spellings

    nowhere = not attended() if kernel() is not None else not sys.stderr.isatty()
    return tqdm(total=total, desc=title, unit=unit, unit_scale=True, leave=False, disable=nowhere, **more)
