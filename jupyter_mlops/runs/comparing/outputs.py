"""Outputs of cells, held against each other but for what always differs. Used by ``Reproduction``."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher
from typing import Any

from ..run import Run
from .reproduction import Agreement, Held

# what papermill adds: the parameters, and a note of the error above everything
_ADDED = {"injected-parameters", "papermill-error-cell-tag"}
_LONGEST = 120
_WIDGETS = ("application/vnd.jupyter.widget-view+json", "application/vnd.jupyter.widget-state+json")
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_BAR = re.compile(r"^.*\d+%\|.*\|.*$|^.*\d+it \[.*\].*$")
_UNIT = r"(?:ns|µs|us|ms|s|secs?|seconds?|min|minutes?|h|hours?)"
_VOLATILE = (
    (
        "times",
        re.compile(
            r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?|\b\d\d:\d\d:\d\d\b"
        ),
    ),
    ("times", re.compile(rf"(?<![\w.])\d+(?:\.\d+)?(?:e[+-]?\d+)? ?{_UNIT}\b(?:/it)?")),
    ("times", re.compile(r"(?<=\[)\d\d:\d\d<\d\d:\d\d|\d+(?:\.\d+)?it/s")),
    ("memory addresses", re.compile(r"\b0x[0-9a-fA-F]{6,}\b")),
    ("ids", re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")),
    ("ids", re.compile(r"\b[0-9a-f]{32}\b")),
    ("ids", re.compile(r"sk-(?:container|estimator)-id-\d+|\bT_[0-9a-f]{5}\b")),
    ("ids", re.compile(r"(?<=[\"#])[a-z]{1,2}[0-9a-f]{10}\b")),
    ("temporary paths", re.compile(r"(?:/tmp/)?ipykernel_\d+[/\\]+\d+\.py|/tmp/[\w.-]+")),
)


def compared_cells(original: Run, run: Run) -> tuple[tuple[Held, ...], tuple[str, ...]]:
    """Return each code cell's outputs held against the other's, and what was ignored in them."""
    was, now = original.executed_notebook(), run.executed_notebook()
    if was is None or now is None:
        return (), ()
    ids = {id for each in (original, run) for id in (each.id, each.sweep) if id}
    known, seen = list(_cells(was)), list(_cells(now))
    ignored: dict[str, list[int]] = {}
    held = []
    for left, right in _paired(known, seen):
        if left is None or right is None:
            number, _, outputs = left or right or (0, "", [])
            said = _told(outputs)
            agreement: Agreement = "missing" if right is None else "new"
            held.append(Held(f"cell {number}", said if left else None, said if right else None, agreement))
            continue
        number, _, before = left
        after = right[2]
        agreement, volatile = _compared(before, after, ids)
        for kind in volatile:
            ignored.setdefault(kind, []).append(number)
        held.append(Held(f"cell {number}", _told(before), _told(after), agreement))
    told = tuple(
        f"{kind} in {'cell' if len(cells) == 1 else 'cells'} {', '.join(map(str, cells))}"
        for kind, cells in ignored.items()
    )
    return tuple(held), told


def _cells(notebook: Mapping[str, Any]) -> Iterable[tuple[int, str, list[Any]]]:
    """Yield the code cells as their author wrote them: which cell it is, from 1, source, outputs."""
    number = 0
    for cell in notebook.get("cells", ()):
        if _ADDED.intersection(cell.get("metadata", {}).get("tags", ())):
            continue
        number += 1
        if cell["cell_type"] == "code":
            yield number, _text(cell.get("source", "")), list(cell.get("outputs", ()))


def _paired(known: list[Any], seen: list[Any]) -> Iterable[tuple[Any, Any]]:
    """Pair cells of equal source; a notebook that was edited has cells that find no other."""
    blocks = SequenceMatcher(None, [one[1] for one in known], [one[1] for one in seen], autojunk=False)
    left = right = 0
    for block in blocks.get_matching_blocks():
        yield from ((one, None) for one in known[left : block.a])
        yield from ((None, one) for one in seen[right : block.b])
        yield from zip(
            known[block.a : block.a + block.size], seen[block.b : block.b + block.size], strict=True
        )
        left, right = block.a + block.size, block.b + block.size


def _compared(before: list[Any], after: list[Any], ids: set[str]) -> tuple[Agreement, list[str]]:
    plain = [_settled(outputs, set()) for outputs in (before, after)]
    if plain[0] == plain[1]:
        return "equal", []
    ignored: dict[str, None] = {}
    masked = []
    for outputs in (before, after):
        kinds: dict[str, None] = {}
        masked.append([_masked(one, ids, kinds) for one in _settled(outputs, {"progress bars"}, kinds)])
        ignored |= kinds
    if masked[0] == masked[1]:
        return "equal", list(ignored)
    return "different", []


def _settled(outputs: list[Any], without: set[str], kinds: dict[str, None] | None = None) -> list[Any]:
    """Return outputs as what they finally show: streams joined, carriage returns done, no counters."""
    streams: dict[str, str] = {}
    shown: list[Any] = []
    for output in outputs:
        kind = output.get("output_type")
        if kind == "stream":
            # how the two are interleaved depends on the machine's mood
            streams[output["name"]] = streams.get(output["name"], "") + _text(output.get("text", ""))
        elif kind == "error":
            shown.append(["error", output.get("ename"), _ESCAPES.sub("", str(output.get("evalue")))])
        else:
            data = output.get("data", {})
            if any(name in data for name in _WIDGETS):
                if kinds is not None:
                    kinds["widgets"] = None
                if without:
                    continue
            shown.append([kind, {name: _content(name, value) for name, value in data.items()}])
    for name, text in sorted(streams.items()):
        lines = [
            line.rpartition("\r")[2] for line in _ESCAPES.sub("", text).replace("\r\n", "\n").split("\n")
        ]
        if without and any(_BAR.match(line) for line in lines):
            lines = [line for line in lines if not _BAR.match(line)]
            if kinds is not None:
                kinds["progress bars"] = None
        if joined := "\n".join(lines).strip("\n"):
            shown.append([name, joined])
    return shown


def _masked(settled: Any, ids: set[str], kinds: dict[str, None]) -> str:
    text = json.dumps(settled, ensure_ascii=False, sort_keys=True)
    for id in ids:
        if id in text:
            kinds["run ids"] = None
            text = text.replace(id, "…")
    for kind, pattern in _VOLATILE:
        text, times = pattern.subn("…", text)
        if times:
            kinds[kind] = None
    return text


def _content(media: str, value: Any) -> Any:
    if media == "image/png":
        return _pixels(_text(value))
    return _text(value) if isinstance(value, str | list) else value


def _pixels(text: str) -> str:
    """Return the chunks of a PNG that are seen, not those that name the software or the hour."""
    try:
        data = base64.b64decode(text)
    except (ValueError, binascii.Error):
        return text
    seen, at = [], 8
    while at + 8 <= len(data):
        size, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if name not in (b"tEXt", b"iTXt", b"zTXt", b"tIME"):
            seen.append(data[at : at + 12 + size])
        at += 12 + size
    return base64.b64encode(b"".join(seen)).decode() if seen else text


def _told(outputs: list[Any]) -> str:
    """Return, in one line, what outputs show."""
    parts = []
    for each in _settled(outputs, set()):
        if each[0] == "error":
            parts.append(f"{each[1]}: {each[2]}")
        elif isinstance(each[1], str):
            parts.append(each[1])
        else:
            text = each[1].get("text/plain")
            parts.append(text if isinstance(text, str) else ", ".join(each[1]))
    said = " ".join(" ".join(parts).split())
    return said if len(said) <= _LONGEST else f"{said[: _LONGEST - 1]}…"


def _text(value: Any) -> str:
    return "".join(map(str, value)) if isinstance(value, list) else str(value)
