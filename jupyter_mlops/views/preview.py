"""Preview: the beginning of what an artifact holds, as far as it can be read. Called by the page."""

from __future__ import annotations

import json
from contextlib import suppress

from ..errors import MLOpsError
from ..runs import Artifact
from . import formats
from .view import Block, Table, Text, table

_BEGINNING, _MOST_LINES, _MOST_ROWS = 200_000, 400, 20


def preview(artifact: Artifact) -> tuple[Block, ...]:
    """Return the first rows of a table, the first lines of a text; nothing of what is none of them."""
    try:
        if artifact.kind == "table":
            return _rows(artifact)
        if artifact.kind in ("folder", "model", "figure") or artifact.has_picture:
            return ()
        with artifact.open() as opened:
            begun = opened.read(_BEGINNING + 1)
    except MLOpsError as error:
        return (Text(f"It cannot be read here: {error.message}", "warning"),)
    if artifact.kind == "json" and len(begun) <= _BEGINNING:
        with suppress(ValueError):
            begun = json.dumps(json.loads(begun), ensure_ascii=False, indent=2).encode()
    return _lines(begun)


def _lines(begun: bytes) -> tuple[Block, ...]:
    try:
        # a letter may be cut in two at the end of what was read
        text = begun[:_BEGINNING].decode(errors="strict" if len(begun) <= _BEGINNING else "ignore")
    except ValueError:
        return ()
    if not text.strip() or "\0" in text:
        return ()
    lines = text.split("\n")
    shown = Text("\n".join(lines[:_MOST_LINES]), "code")
    if len(begun) <= _BEGINNING and len(lines) <= _MOST_LINES:
        return (shown,)
    return (shown, Text("… and more; the download has all of it", "muted"))


def _rows(artifact: Artifact) -> tuple[Block, ...]:
    import pyarrow.parquet as pq

    with artifact.open() as opened, pq.ParquetFile(opened) as file:
        rows = next(file.iter_batches(_MOST_ROWS), None)
        count = file.metadata.num_rows
        names = file.schema_arrow.names
    cells = [[formats.plain(one) for one in row.values()] for row in rows.to_pylist()] if rows else []
    made: Table = table(names, cells, more=count - len(cells))
    told = f"{formats.count(count, 'row')}, {formats.count(len(names), 'column')}"
    return (Text(told, "muted"), made)
