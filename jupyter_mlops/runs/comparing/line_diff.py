"""The line diff: which lines of a text changed, found by nbdime. Used by comparisons of runs."""

from __future__ import annotations

from collections.abc import Iterator

CONTEXT = 2  # unchanged lines shown around a change
_LONGEST = 20_000  # letters of a text that are looked at: matching lines takes longer than the text is worth

Line = tuple[str, str]
Lines = tuple[Line, ...]


def line_diff(one: str, other: str, context: int = CONTEXT) -> Lines:
    """Return how ``one`` became ``other``, line by line: ``-``, ``+``, blank, ``…`` for lines left out."""
    # whether the last line is ended says nothing to a reader
    one, other = one.rstrip("\n") + "\n", other.rstrip("\n") + "\n"
    if one == other:
        return ()
    return tuple(_near(list(_marked(shortened(one), shortened(other))), context))


def whole(text: str, mark: str) -> Lines:
    """Return every line of ``text`` with the same mark."""
    return tuple((mark, line) for line in shortened(text).splitlines())


def shortened(text: str) -> str:
    """Return a very long text without its middle."""
    if len(text) <= _LONGEST:
        return text
    half = _LONGEST // 2
    return f"{text[:half]}\n… {len(text) - 2 * half:,} characters …\n{text[-half:]}"


def _marked(one: str, other: str) -> Iterator[Line]:
    from nbdime.diffing.generic import diff_strings_linewise
    from nbdime.patching import patch_singleline_string

    lines = one.splitlines(True)
    place = 0
    for step in diff_strings_linewise(one, other):
        for line in lines[place : step["key"]]:
            yield " ", line.rstrip("\r\n")
        place = max(place, step["key"])
        if step["op"] == "addrange":
            for line in step["valuelist"]:
                yield "+", line.rstrip("\r\n")
        elif step["op"] == "removerange":
            for line in lines[place : place + step["length"]]:
                yield "-", line.rstrip("\r\n")
            place += step["length"]
        else:
            before: str = lines[place]
            after = str(patch_singleline_string(before, step["diff"]))
            yield "-", before.rstrip("\r\n")
            for line in after.splitlines():
                yield "+", line
            place += 1
    for line in lines[place:]:
        yield " ", line.rstrip("\r\n")


def _near(lines: list[Line], context: int) -> Iterator[Line]:
    """Yield the changed lines with their surroundings, removals before the additions that replace them."""
    shown = [False] * len(lines)
    for place, (mark, _) in enumerate(lines):
        if mark != " ":
            for near in range(max(place - context, 0), min(place + context + 1, len(lines))):
                shown[near] = True
    block: list[Line] = []
    skipped = 0
    for (mark, text), is_shown in zip(lines, shown, strict=True):
        if not is_shown:
            yield from _settled(block)
            block = []
            skipped += 1
            continue
        if skipped:
            yield "…", f"{skipped} equal {'line' if skipped == 1 else 'lines'}"
            skipped = 0
        if mark == " ":
            yield from _settled(block)
            block = []
            yield mark, text
        else:
            block.append((mark, text))
    yield from _settled(block)
    if skipped:
        yield "…", f"{skipped} equal {'line' if skipped == 1 else 'lines'}"


def _settled(block: list[Line]) -> list[Line]:
    return sorted(block, key=lambda line: line[0] == "+")
