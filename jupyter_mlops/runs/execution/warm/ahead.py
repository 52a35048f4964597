"""Ahead: templates that a command starts before it opens its project. Used by commands and ``LocalExecutor``.

They import for a second or two, in which the command gets on with its own beginning.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ....errors import MLOpsError
from ..sharing import default_workers, environment
from .templates import Templates

_begun: list[Templates] = []


@contextmanager
def begun(notebook: str, size: int, workers: int | None) -> Iterator[None]:
    """Start in the background what ``size`` runs of the file ``notebook`` will need; end what nobody takes.

    What is wrong with the notebook is said by who reads it in order to execute it.
    """
    try:
        _begin(notebook, min(workers or default_workers(), size))
        yield
    finally:
        while _begun:
            _begun.pop().close()


def taken() -> Templates:
    """Return the templates that were begun, if any; they are the caller's from now on."""
    return _begun.pop() if _begun else Templates()


def _begin(notebook: str, workers: int) -> None:
    templates = Templates()
    _begun.append(templates)
    with suppress(MLOpsError, OSError):
        shared = environment(workers)
        templates.runner(shared)

        from ..notebook import parse_notebook
        from .doubt import read

        reading = read(parse_notebook(Path(notebook).read_bytes(), notebook).codes)
        if not reading.why:
            templates.kernel(reading, shared)
