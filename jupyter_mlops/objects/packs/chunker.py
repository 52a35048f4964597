"""The chunker: cuts bytes where their content says, so versions share what stayed. Used by batches."""

from __future__ import annotations

import warnings
from typing import Any

from ...errors import Failed
from ..settings import Settings


class Chunker:
    """FastCDC 2020 with the settings of one store; for one thread at a time."""

    def __init__(self, settings: Settings) -> None:
        self._maximum = settings.maximum
        self._cutter = _fast()(
            avg_size=settings.average,
            min_size=settings.minimum,
            max_size=settings.maximum,
            normalized_chunking=settings.normalization,
            seed=settings.seed,
        )

    def cut(self, view: memoryview, final: bool) -> list[memoryview]:
        """Return the whole chunks at the front of ``view``; with ``final``, all of it is cut.

        A chunk is whole when no byte that may follow could move its end; call again with the rest and more.
        """
        if final:
            return [chunk.data for chunk in self._cutter.cut_buf(view)] if len(view) else []
        last = len(view) - self._maximum
        chunks = []
        for chunk in self._cutter.cut_buf(view):
            if chunk.offset > last:
                break
            chunks.append(chunk.data)
        return chunks


def _fast() -> Any:
    """Return the compiled cutter; the pure Python one is 200 times as slow and comes silently."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # said below, as an error
            from pyfastcdc.cy import FastCDC
    except ImportError as error:
        raise Failed(
            "the compiled part of pyfastcdc is missing, and without it nothing can be stored",
            "run `pip install --force-reinstall pyfastcdc` where a wheel exists for this Python",
        ) from error
    return FastCDC
