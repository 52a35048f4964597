"""Progress: how far a long commit or checkout is. Used here; nothing is shown in the first second."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar for ``total`` bytes; the block gets a function to call with each number of bytes done."""
    from tqdm.auto import tqdm

    with tqdm(total=total, desc=title, unit="B", unit_scale=True, delay=1, leave=False) as bar:

        def advance(count: int) -> None:
            bar.update(count)

        yield advance
