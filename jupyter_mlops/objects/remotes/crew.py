"""The crew: a few threads that move bytes while the caller goes on. Used by uploads and downloads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

T = TypeVar("T")


def done_by(
    workers: int, tasks: Iterable[Callable[[], T]], abort: Callable[[], None] = lambda: None
) -> Iterator[T]:
    """Yield the results of ``tasks`` as they come, ``workers`` at a time; tasks are asked for when due.

    After a failure the others under way come to their end, because what they moved counts; then it is raised.
    Ctrl-C calls ``abort``, which is to end them.
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix="mlops-transfer")
    running: set[Future[T]] = set()
    failures: list[BaseException] = []

    def finished() -> Iterator[T]:
        nonlocal running
        done, running = wait(running, return_when=FIRST_COMPLETED)
        for each in done:
            error = each.exception()
            if error is None:
                yield each.result()
            else:
                failures.append(error)

    try:
        for task in tasks:
            running.add(pool.submit(task))
            if len(running) > workers:
                yield from finished()
            if failures:
                break
        while running:
            yield from finished()
    except BaseException:
        abort()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    if failures:
        raise failures[0]
