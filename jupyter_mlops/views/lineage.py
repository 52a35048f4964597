"""How the lineage of a version is seen: a small graph, and what stands beside what."""

from __future__ import annotations

from collections.abc import Sequence

from ..datasets import Edge, Lineage, Node
from . import formats
from .dispatch import place_of, view
from .view import Block, Cell, Picture, Text, View, table

_NAMED = 4


@view.register
def _(value: Lineage) -> View:
    counted = formats.count(len(value.nodes) - 1, "thing") + " around it" if len(value.nodes) > 1 else "alone"
    blocks: list[Block] = []
    if len(value.nodes) > 1:
        blocks.append(Picture(value.plot()))
        blocks.append(
            table(("from", "how", "to", "what that is"), (_row(value, edge) for edge in value.edges))
        )
    else:
        blocks.append(Text("No run read or wrote it, and no version was made from it.", "muted"))
    if value.more:
        blocks.append(Text(f"{formats.number(value.more)} more are left out.", "muted"))
    title = f"lineage of {value.version}"
    return View(title, f"{title} · {counted}", "plain", tuple(blocks), value.path)


def neighbours(lineage: Lineage) -> list[tuple[str, str]]:
    """Return facts: which runs wrote the version, what was made of it, which runs read it."""
    wrote = [lineage.node(edge.source) for edge in lineage.sources if edge.what == "wrote"]
    read = [lineage.node(edge.target) for edge in lineage.uses if edge.what == "read"]
    children = [lineage.node(edge.target) for edge in lineage.uses if edge.what == "parent"]
    users = {node.ref for node in read}
    models = [
        lineage.node(edge.target) for edge in lineage.edges if edge.what == "model" and edge.source in users
    ]
    return [
        ("written by", _listed(wrote)),
        ("made into", _listed(children)),
        ("read by", _listed(read)),
        ("models from it", _listed(models)),
    ]


def _row(lineage: Lineage, edge: Edge) -> tuple[Cell, str, Cell, Cell]:
    source, target = lineage.node(edge.source), lineage.node(edge.target)
    return _cell(source), edge.words, _cell(target), Cell(target.detail, "muted")


def _cell(node: Node) -> Cell:
    return Cell(_called(node), link=place_of(node.ref))


def _called(node: Node) -> str:
    return f"run {node.label}" if node.kind == "run" else node.label


def _listed(nodes: Sequence[Node]) -> str:
    names = ", ".join(_called(node) for node in nodes[:_NAMED])
    return names + (f" and {len(nodes) - _NAMED} more" if len(nodes) > _NAMED else "")
