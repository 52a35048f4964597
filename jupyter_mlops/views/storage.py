"""How the upkeep of stored bytes is seen: what is damaged, what was saved, what would go."""

from __future__ import annotations

from collections.abc import Iterable

from ..objects.upkeep.collect import GarbageReport
from ..objects.upkeep.compact import CompactReport
from ..objects.upkeep.verify import VerifyReport
from . import formats
from .dispatch import Column, tabled, view
from .view import Block, Cell, Heading, Text, View, facts

_MOST_NAMES = 50
_LOOKED = {
    "quick": "names and sizes compared",
    "sample": "the least recently read packs read",
    "full": "every byte read",
}


@view.register
def _(value: VerifyReport) -> View:
    if value.passed:
        title, said, tone = "the stored bytes are whole", _LOOKED[value.level], "good"
    elif value.versions:
        title = f"{formats.count(len(value.versions), 'version')} damaged"
        said, tone = ", ".join(value.versions[:3]) + (", …" if len(value.versions) > 3 else ""), "bad"
    else:
        title, tone = "the stored bytes were damaged, nothing is lost", "warning"
        mended = formats.count(len(value.healed), "version")
        said = f"{mended} mended{_origin(value)}" if value.healed else _LOOKED[value.level]
    blocks: list[Block] = []
    if value.versions:
        hint = "Commit the same content again, or pull it from a remote that has it: that mends them."
        blocks += [Text(hint, "warning"), Heading("Damaged"), *_names(value.versions)]
    if value.healed:
        blocks += [Heading(f"Mended{_origin(value)}"), *_names(value.healed)]
    if value.damages:
        records = "lost" if value.lost else "recovered"
        blocks += [
            Heading("Packs"),
            tabled(
                value.damages,
                [
                    Column("pack", lambda one: Cell(formats.digest(one.pack), "code")),
                    Column("what is wrong", lambda one: Cell(one.problem, "bad")),
                    Column(
                        records,
                        lambda one: formats.number(one.records) if one.records else "",
                        numeric=True,
                    ),
                ],
            ),
        ]
    if value.absent:
        blocks += [Heading("Not on this machine"), *_names(value.absent)]
    checked = f"{formats.number(value.checked)} of {formats.count(value.packs, 'pack')}"
    blocks.append(
        facts(
            ("looked at", _LOOKED[value.level]),
            ("read", f"{checked}, {formats.size(value.bytes)} in {formats.duration(value.seconds)}"),
            (
                "set aside",
                f"{formats.count(value.quarantined, 'pack')}, in .mlops/objects/quarantine"
                if value.quarantined
                else "",
            ),
        )
    )
    return View(title, f"{title} · {said}", tone, tuple(blocks))  # type: ignore[arg-type]  # a tone


@view.register
def _(value: CompactReport) -> View:
    title = f"{formats.size(value.before)} → {formats.size(value.after)}"
    saved = (
        f"{formats.share(1 - value.after / value.before)} less"
        if value.after < value.before
        else "as small as it gets"
    )
    blocks: list[Block] = []
    if not value.finished:
        blocks.append(Text("Time ran out; `mlops data compact` goes on from there.", "warning"))
    if value.refused:
        refused = formats.count(value.refused, "difference")
        blocks.append(Text(f"{refused} did not decode to what it was made of and is not used.", "warning"))
    blocks.append(
        facts(
            ("compared", formats.size(value.examined)),
            ("kept as differences", formats.count(value.chunks, "chunk")),
            ("packs rewritten", formats.number(value.packs) if value.packs else ""),
            ("took", formats.duration(value.seconds)),
        )
    )
    tone = "warning" if value.refused else "good" if value.after < value.before else "plain"
    return View(title, f"{title} · {saved}", tone, tuple(blocks))  # type: ignore[arg-type]  # a tone


@view.register
def _(value: GarbageReport) -> View:
    grace = formats.duration(value.grace)
    unneeded = _unneeded(value)
    blocks: list[Block] = []
    if value.undone and not value.restored:
        title, said = "nothing to bring back", "the trash is empty"
    elif not (value.condemned or value.restored or value.freed):
        title, said = "nothing to free", "all that is stored is needed"
    elif value.restored:
        title = f"{formats.size(value.restored)} brought back from the trash"
        said = "it counts as unneeded from now on"
    elif value.done:
        title = f"{formats.size(max(value.freed, 0))} freed"
        said = unneeded
        if value.freed > 0:
            blocks.append(Text("`mlops data gc --undo` brings it back while it is in the trash.", "muted"))
        elif value.condemned:
            blocks.append(Text(f"What nothing needs is freed by a run after {grace}.", "muted"))
    else:
        title = f"{formats.size(value.due)} would be freed" if value.due else "nothing would be freed yet"
        said = unneeded
        blocks.append(Text("Nothing was changed; `mlops data gc --delete` does it.", "muted"))
    blocks.append(
        facts(
            ("stored", formats.size(value.stored)),
            ("unneeded", formats.size(value.condemned) if value.condemned else ""),
            ("for the whole grace", f"{formats.size(value.due)}, which is {grace}" if value.due else ""),
            ("packs moved to the trash", formats.number(value.packs) if value.packs else ""),
            ("packs written anew", formats.number(value.rewritten) if value.rewritten else ""),
            ("in the trash", formats.size(value.trash) if value.trash else ""),
            ("gone for good", formats.size(value.emptied) if value.emptied else ""),
            ("not on this machine", formats.count(value.absent, "root") if value.absent else ""),
        )
    )
    return View(title, f"{title} · {said}", "plain", tuple(blocks))


def _origin(value: VerifyReport) -> str:
    return f" from {' and '.join(value.mended_from)}" if value.mended_from else ""


def _unneeded(value: GarbageReport) -> str:
    """Return how much nothing needs, and since when."""
    if not value.condemned:
        return "all that is stored is needed"
    size, grace = formats.size(value.condemned), formats.duration(value.grace)
    if value.due == value.condemned:
        return f"{size} was unneeded for {grace}"
    if not value.due:
        return f"{size} is unneeded, but not for {grace} so far"
    return f"{size} is unneeded, {formats.size(value.due)} of it for {grace}"


def _names(names: Iterable[str]) -> list[Block]:
    listed = list(names)
    shown = [Text(name) for name in listed[:_MOST_NAMES]]
    more = len(listed) - len(shown)
    return [*shown, Text(f"… and {formats.number(more)} more", "muted")] if more else [*shown]
