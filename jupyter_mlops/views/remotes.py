"""How remotes are seen, and what a push or a pull did."""

from __future__ import annotations

from collections.abc import Sequence

from ..datasets.transfer import Moved, Remote, SharedAlias, Transfer
from . import formats
from .dispatch import Column, listed, listing, tabled, view
from .view import Block, Cell, Text, View, facts

_MOST_NUMBERS = 3  # told in words
_PULLED = {
    "pulled": "new here",
    "fetched": "its bytes were missing here",
    "known": "here already",
    "removed": "removed here",
}
_PUSHED = {"pushed": "new there", "known": "there already"}


@view.register
def _(value: Remote) -> View:
    told: list[Block] = [Text(value.note, "muted")] if value.note else []
    told.append(
        facts(
            ("address", Cell(value.address, "code")),
            ("default", "yes" if value.default else ""),
            ("pushes", "one person at a time" if value.single_writer else "any number at once"),
        )
    )
    return View(value.name, f"{value.name} · {value.address}", "plain", tuple(told))


@listing("remotes", Remote)
def _remotes(items: Sequence[Remote]) -> View:
    return listed(
        "remote",
        items,
        [
            Column("remote", lambda one: one.name),
            Column("address", lambda one: one.address),
            Column("default", lambda one: "default" if one.default else ""),
            Column("pushes", lambda one: "one person at a time" if one.single_writer else ""),
        ],
        empty="`mlops data remote add NAME URL` declares one",
    )


@view.register
def _(value: Transfer) -> View:
    there = f"{'to' if value.direction == 'push' else 'from'} {value.remote}"
    title = f"{value.direction} {there}"
    blocks: list[Block] = [Text(value.note, "warning")] if value.note else []
    for one in value.versions:
        if one.state == "removed":
            hint = f"{one.here} was removed here; `mlops data restore {one.here}` brings it back."
            blocks.append(Text(hint, "warning"))
    if value.renumbered:
        blocks.append(Text(_numbers(value), "warning"))
    for state, tone in (("differs", "warning"), (value.direction + "ed", "plain")):
        blocks += [Text(_alias(value, one), tone) for one in value.aliases if one.state == state]  # type: ignore[arg-type]  # a tone
    blocks.append(facts(("moved", formats.size(value.bytes)), ("remote", Cell(value.address, "code"))))
    if value.versions:
        shown = [one for one in value.versions if one.state != "known" or one.renumbered]
        quiet = len(value.versions) - len(shown)
        if quiet:
            where = "there" if value.direction == "push" else "here"
            also = " more" if shown else ""
            was = "was" if quiet == 1 else "were"
            blocks.append(
                Text(f"{formats.count(quiet, f'{also} version'.strip())} {was} {where} already.", "muted")
            )
    if value.versions and shown:
        blocks.append(
            tabled(
                shown,
                [
                    Column("version", lambda one: one.here),
                    Column(
                        "in the remote", lambda one: Cell(one.there, "warning" if one.renumbered else "muted")
                    ),
                    Column("", lambda one: _state(value.direction, one)),
                ],
            )
        )
    return View(
        title,
        f"{title} · {_summary(value)}",
        "warning" if value.note or value.renumbered or _differing(value) else "plain",
        tuple(blocks),
        value.path,
    )


def _summary(value: Transfer) -> str:
    told = _moved(value)
    if not value.renumbered:
        return told
    first, *others = value.renumbered
    more = f", and {formats.number(len(others))} more" if others else ""
    return f"{_pair(value.direction, first)}{more} · {told}"


def _alias(value: Transfer, one: SharedAlias) -> str:
    """Return what became of an alias."""
    if one.state == "pushed":
        return f"{one.ref} points at v{one.there} there now."
    if one.state == "pulled":
        return f"{one.ref} points at v{one.here} here now."
    here = f"v{one.here} here" if one.here else "nothing here"
    there = f"v{one.there} there" if one.there else "another version there"
    if value.direction == "push":
        return (
            f"{one.ref} is {here} and {there}, where it was moved meanwhile: pull first, then push decides."
        )
    return f"{one.ref} is {here} and {there}: it stays so; `mlops data push` brings yours there."


def _pair(direction: str, one: Moved) -> str:
    """Return both names of a version, first the one of the side it came from."""
    return f"{one.here} is {one.there} there" if direction == "push" else f"{one.there} there is {one.here}"


def _numbers(value: Transfer) -> str:
    """Return what it means that numbers differ, and where both are seen."""
    names = list(dict.fromkeys(one.here.rpartition("@")[0] for one in value.renumbered))
    said = "; ".join(_pair(value.direction, one) for one in value.renumbered[:_MOST_NUMBERS])
    more = len(value.renumbered) - _MOST_NUMBERS
    left = f", and {formats.number(more)} more" if more > 0 else ""
    return (
        f"{said}{left}. The same number means another version on either side; refs here mean those here. "
        f"`mlops data versions {names[0]}` shows both."
    )


def _differing(value: Transfer) -> list[SharedAlias]:
    return [one for one in value.aliases if one.state == "differs"]


def _moved(value: Transfer) -> str:
    moved = value.moved
    shared = formats.count(sum(one.state != "differs" for one in value.aliases), "alias", "aliases")
    if not moved and not shared.startswith("0"):
        return shared
    if not moved:
        return (
            "nothing to do, all of it is there"
            if value.direction == "push"
            else "nothing to do, all of it is here"
        )
    told = f"{formats.count(len(moved), 'version')} · {formats.size(value.bytes)}"
    return told if shared.startswith("0") else f"{told} · {shared}"


def _state(direction: str, moved: Moved) -> str:
    said = (_PUSHED if direction == "push" else _PULLED).get(moved.state, moved.state)
    if not moved.renumbered or moved.state == "known":
        return said
    here, there = moved.here.rpartition("@")[2], moved.there.rpartition("@")[2]
    if direction == "push":
        return f"{said} as {there}, because its {here} is another content"
    return f"{said} as {here}, because {there} is another content here"
