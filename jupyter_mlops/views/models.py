"""How models and their versions are seen: where they come from, what they take, what points at them."""

from __future__ import annotations

from collections.abc import Sequence

from ..models import Model, ModelVersion, Signature
from . import formats
from .dispatch import Column, listed, listing, view, when
from .view import Block, Cell, Heading, Text, View, facts, table

_MOST_INPUTS = 60
_MOST_CLASSES = 12


@view.register
def _(value: ModelVersion) -> View:
    kind = value.estimator.rpartition(".")[2]
    run = f"run {value.run}" if value.run else "no run"
    summary = " · ".join(
        [value.ref, *(f"@{alias}" for alias in value.aliases), kind, run, formats.size(value.bytes)]
    )
    blocks: list[Block] = [Text(value.note, "muted")] if value.note else []
    blocks.append(
        facts(
            ("aliases", Cell(", ".join(value.aliases), "good") if value.aliases else None),
            ("run", Cell(value.run, link=f"runs/{value.run}") if value.run else None),
            ("author", value.author),
            ("registered", f"{formats.moment(value.at)} by {value.actor}"),
            ("estimator", f"{value.estimator} ({value.framework})"),
            ("size", formats.size(value.bytes)),
            ("digest", Cell(formats.digest(value.digest), "code")),
        )
    )
    blocks += _signature(value.signature)
    return View(value.ref, summary, "plain", tuple(blocks), value.path)


@view.register
def _(value: Model) -> View:
    held = [f"@{alias} v{number}" for alias, number in value.aliases.items()]
    summary = " · ".join(
        [value.name, formats.count(value.versions, "version"), f"latest {value.latest.ref}", *held]
    )
    told = facts(
        ("latest", Cell(value.latest.ref, link=value.latest.path)),
        *(
            (f"@{alias}", Cell(f"{value.name}@v{number}", link=f"models/{value.name}/{number}"))
            for alias, number in value.aliases.items()
        ),
        ("estimator", value.latest.estimator),
    )
    return View(value.name, summary, "plain", (told, *_signature(value.latest.signature)), value.path)


@listing("models", Model)
def _models(items: Sequence[Model]) -> View:
    columns = (
        Column("model", lambda one: Cell(one.name, link=one.path)),
        Column("latest", lambda one: Cell(f"v{one.latest.number}", link=one.latest.path)),
        Column(
            "aliases",
            lambda one: Cell(", ".join(f"{alias}=v{at}" for alias, at in one.aliases.items()), "good"),
        ),
        Column("estimator", lambda one: one.latest.estimator.rpartition(".")[2]),
        Column(
            "run",
            lambda one: Cell(one.latest.run or "", link=f"runs/{one.latest.run}" if one.latest.run else ""),
        ),
        Column("registered (UTC)", lambda one: when(one.latest.at)),
        Column("by", lambda one: one.latest.actor),
    )
    return listed("model", items, columns, empty="`mlops models register NAME RUN` makes one", path="models")


@listing("model versions", ModelVersion)
def _versions(items: Sequence[ModelVersion]) -> View:
    columns = (
        Column("version", lambda one: Cell(one.ref, link=one.path)),
        Column("aliases", lambda one: Cell(", ".join(one.aliases), "good")),
        Column("run", lambda one: Cell(one.run or "", link=f"runs/{one.run}" if one.run else "")),
        Column("estimator", lambda one: one.estimator.rpartition(".")[2]),
        Column("size", lambda one: formats.size(one.bytes), numeric=True),
        Column("registered (UTC)", lambda one: when(one.at)),
        Column("by", lambda one: one.actor),
    )
    return listed("version", items, columns, path=f"models/{items[0].name}" if items else "models")


def _signature(signature: Signature) -> list[Block]:
    answers = signature.output
    if signature.classes:
        shown = ", ".join(signature.classes[:_MOST_CLASSES])
        more = len(signature.classes) - _MOST_CLASSES
        answers += f": {shown}" + (f" and {formats.number(more)} more" if more > 0 else "")
    blocks: list[Block] = [Heading("Signature")]
    if answers:
        blocks.append(facts(("answers", answers)))
    if signature.inputs:
        shown_inputs = signature.inputs[:_MOST_INPUTS]
        rows = ((column.name, Cell(column.type or "unknown", "muted")) for column in shown_inputs)
        blocks.append(table(("input", "type"), rows, more=len(signature.inputs) - len(shown_inputs)))
    else:
        blocks.append(Text("The inputs are unknown: it was registered without an input example.", "muted"))
    return blocks
