"""The notebook diff: cells and outputs in which two notebooks differ, as nbdime finds. For ``compare``."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ...value import Value
from .line_diff import Lines, line_diff, shortened, whole

# what papermill puts between the cells as written: parameters, and markers around the cell that failed
MARKER = "papermill-error-cell-tag"
_FOREIGN = frozenset(("injected-parameters", MARKER))
_PICTURES = ("image/png", "image/jpeg", "image/svg+xml", "image/gif")
_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]{6,}")
_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture among a cell's outputs, before and after; ``None`` where there was none."""

    media: str
    before: bytes | None
    after: bytes | None


@dataclass(frozen=True, slots=True)
class CellChange:
    """One cell that differs; ``before`` and ``after`` are indices in the notebooks as written, from 0.

    ``source`` and ``output`` hold the changed lines, none where they are equal.
    """

    kind: Literal["added", "removed", "changed"]
    cell_type: str
    before: int | None
    after: int | None
    source: Lines = ()
    output: Lines = ()
    pictures: tuple[Shown, ...] = ()

    @property
    def number(self) -> int:
        """Which cell it is, as people count them, from 1: in the notebook that has it, the newer first."""
        return next(index + 1 for index in (self.after, self.before) if index is not None)


@dataclass(frozen=True, slots=True)
class NotebookDiff(Value):
    """Cells that differ between two executed notebooks, and how many are equal."""

    names: tuple[str, str]
    cells: tuple[CellChange, ...]
    equal: int

    def __bool__(self) -> bool:
        return bool(self.cells)

    def to_dict(self) -> dict[str, Any]:
        """Return the changes as JSON-ready types; pictures only by their number."""
        return {
            "names": list(self.names),
            "equal": self.equal,
            "cells": [
                {
                    "kind": cell.kind,
                    "cell_type": cell.cell_type,
                    "before": cell.before,
                    "after": cell.after,
                    "source": [f"{mark}{text}" for mark, text in cell.source],
                    "output": [f"{mark}{text}" for mark, text in cell.output],
                    "pictures": len(cell.pictures),
                }
                for cell in self.cells
            ],
        }


def notebook_diff(
    one: Mapping[str, Any], other: Mapping[str, Any], names: tuple[str, str] = ("before", "after")
) -> NotebookDiff:
    """Compare two notebooks cell by cell: sources and what they put out.

    Execution counts, times, metadata and the cell of injected parameters are no differences; nor are memory
    addresses, or what a progress bar overwrote.
    """
    first, second = _bare(one), _bare(other)
    changes: list[CellChange] = []
    before = after = 0
    for step in _cell_steps(first, second):
        while before < step["key"]:  # cells between two steps are equal
            before, after = before + 1, after + 1
        match step["op"]:
            case "addrange":
                for cell in step["valuelist"]:
                    changes.append(_one_sided("added", cell, after))
                    after += 1
            case "removerange":
                for cell in first[before : before + step["length"]]:
                    changes.append(_one_sided("removed", cell, before))
                    before += 1
            case _:
                change = _changed(first[before], second[after], before, after)
                if change is not None:
                    changes.append(change)
                before, after = before + 1, after + 1
    touched = sum(change.before is not None for change in changes)
    return NotebookDiff(names, tuple(changes), len(first) - touched)


def is_written(cell: Mapping[str, Any]) -> bool:
    """Return whether a cell of an executed notebook was in the notebook as written."""
    return _FOREIGN.isdisjoint((cell.get("metadata") or {}).get("tags") or ())


def _cell_steps(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> Sequence[Any]:
    from nbdime import diff_notebooks

    def notebook(cells: list[dict[str, Any]]) -> Any:
        import nbformat

        # without ids: papermill gives new ones to cells that have none
        document = {"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells}
        return nbformat.from_dict(document)  # type: ignore[no-untyped-call]  # ships no types for it

    steps = diff_notebooks(notebook(first), notebook(second))
    return next((step["diff"] for step in steps if step["key"] == "cells"), ())


def _one_sided(kind: Literal["added", "removed"], cell: Mapping[str, Any], number: int) -> CellChange:
    added = kind == "added"
    mark = "+" if added else "-"
    pictures = tuple(
        Shown(media, None if added else data, data if added else None) for media, data in _pictures(cell)
    )
    return CellChange(
        kind,
        str(cell["cell_type"]),
        None if added else number,
        number if added else None,
        whole(str(cell["source"]), mark),
        whole(_printed(cell), mark),
        pictures,
    )


def _changed(one: Mapping[str, Any], other: Mapping[str, Any], before: int, after: int) -> CellChange | None:
    source = line_diff(str(one["source"]), str(other["source"]))
    output = line_diff(_printed(one), _printed(other))
    pictures = tuple(_changed_pictures(list(_pictures(one)), list(_pictures(other))))
    if not (source or output or pictures):
        return None
    return CellChange("changed", str(other["cell_type"]), before, after, source, output, pictures)


def _changed_pictures(one: list[tuple[str, bytes]], other: list[tuple[str, bytes]]) -> Iterator[Shown]:
    for place in range(max(len(one), len(other))):
        left = one[place] if place < len(one) else None
        right = other[place] if place < len(other) else None
        if left != right:
            media = (right or left or ("", b""))[0]
            yield Shown(media, left[1] if left else None, right[1] if right else None)


def _bare(notebook: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the cells with nothing but their source and what a reader sees of their outputs."""
    cells = []
    for cell in notebook.get("cells", ()):
        if not is_written(cell):
            continue
        bare: dict[str, Any] = {
            "cell_type": cell.get("cell_type", "raw"),
            "source": _joined(cell.get("source", "")),
            "metadata": {},
        }
        if bare["cell_type"] == "code":
            bare |= {"execution_count": None, "outputs": list(_outputs(cell.get("outputs") or ()))}
        cells.append(bare)
    return cells


def _outputs(outputs: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for output in outputs:
        kind = output.get("output_type")
        if kind == "stream":
            yield {
                "output_type": "stream",
                "name": output.get("name", "stdout"),
                "text": _settled(_joined(output.get("text", ""))),
            }
        elif kind == "error":
            named = {name: str(output.get(name, "")) for name in ("ename", "evalue")}
            yield {"output_type": "error", **named, "traceback": []}
        elif kind in ("display_data", "execute_result"):
            data = output.get("data") or {}
            kept = {
                media: _joined(data[media])
                for media in ("text/plain", *_PICTURES)
                if isinstance(data.get(media), str | list)
            }
            if "text/plain" in kept:
                kept["text/plain"] = _settled(kept["text/plain"])
            # what differs between them is how a value was shown, not what it is
            yield {"output_type": "display_data", "data": kept, "metadata": {}}


def _printed(cell: Mapping[str, Any]) -> str:
    """Return the text that a cell put out, as one text."""
    parts = []
    for output in cell.get("outputs") or ():
        if output["output_type"] == "stream":
            parts.append(str(output["text"]).rstrip("\n"))
        elif output["output_type"] == "error":
            parts.append(f"{output['ename']}: {output['evalue']}".rstrip(": "))
        elif not any(media in output["data"] for media in _PICTURES):
            parts.append(str(output["data"].get("text/plain", "")))
    return "\n".join(part for part in parts if part)


def _pictures(cell: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    for output in cell.get("outputs") or ():
        data = output.get("data") or {}
        media = next((one for one in _PICTURES if one in data), None)
        if media == "image/svg+xml":
            yield media, str(data[media]).encode()
        elif media is not None:
            try:
                yield media, base64.b64decode(data[media])
            except (binascii.Error, ValueError):
                continue  # what is no picture was never shown either


def _settled(text: str) -> str:
    """Return what stands in the end: colours and what a progress bar overwrote are gone."""
    lines = _ESCAPES.sub("", text).replace("\r\n", "\n").split("\n")
    kept = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)
    return shortened(_ADDRESS.sub("at 0x…", kept))


def _joined(text: Any) -> str:
    return "".join(map(str, text)) if isinstance(text, list) else str(text)
