"""Lineage: what a version came from and what was made of it. Returned by ``Datasets.lineage``."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..store import Store, Transaction
from ..store.events import canonical
from ..value import Value
from .version import DatasetVersion

if TYPE_CHECKING:
    from ..charts import Figure

_MOST = 60
_WORDS = {
    "parent": "made into",
    "read": "read by",
    "wrote": "wrote",
    "one wrote": "one of them wrote",
    "model": "gave",
}


@dataclass(frozen=True, slots=True)
class Node:
    """A version, a run, a sweep of runs, or a model version; ``ref`` is of the form ``run:7k3f9q2m``."""

    ref: str
    label: str
    detail: str = ""

    @property
    def kind(self) -> str:
        """What it is: ``data``, ``run``, ``sweep`` or ``model``."""
        return self.ref.partition(":")[0]

    def to_dict(self) -> dict[str, Any]:
        """Return the node as JSON-ready types."""
        return {"ref": self.ref, "kind": self.kind, "label": self.label, "detail": self.detail}


@dataclass(frozen=True, slots=True)
class Edge:
    """One thing led to another: a version was the ``parent`` of one, a run ``read`` or ``wrote`` it, …"""

    source: str
    target: str
    what: str

    @property
    def words(self) -> str:
        """How one says it: source ``read by`` target."""
        return _WORDS[self.what]

    def to_dict(self) -> dict[str, Any]:
        """Return the edge as JSON-ready types."""
        return {"source": self.source, "target": self.target, "what": self.what}


class Links:
    """What the rings above know of versions; without them, nothing does."""

    def users(self, source: Store | Transaction, ref: str) -> tuple[str, ...]:
        """Return, for people, the runs and models that refer to a version."""
        return ()

    def readers(self, source: Store, ref: str) -> tuple[Node, ...]:
        """Return the runs that read a version, those of one sweep as one."""
        return ()

    def writers(self, source: Store, ref: str) -> tuple[Node, ...]:
        """Return the runs that wrote a version, those of one sweep as one."""
        return ()

    def read(self, source: Store, ref: str) -> tuple[str, ...]:
        """Return the versions that the run or sweep ``ref`` read."""
        return ()

    def wrote(self, source: Store, ref: str) -> tuple[str, ...]:
        """Return the versions that the run or sweep ``ref`` wrote."""
        return ()

    def models(self, source: Store, ref: str) -> tuple[Node, ...]:
        """Return the model versions that came of the run or sweep ``ref``."""
        return ()


@dataclass(frozen=True, slots=True)
class Lineage(Value):
    """What a version came from and what was made of it. ``more`` counts what is left out."""

    version: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    more: int = 0

    @property
    def ref(self) -> str:
        """How to name the version."""
        return self.version

    @property
    def path(self) -> str:
        """Where the page shows the version."""
        name, _, number = self.version.rpartition("@v")
        return f"data/{name}/{number}"

    @property
    def sources(self) -> tuple[Edge, ...]:
        """What the version came from at once."""
        return tuple(edge for edge in self.edges if edge.target == f"data:{self.version}")

    @property
    def uses(self) -> tuple[Edge, ...]:
        """What was made of the version at once."""
        return tuple(edge for edge in self.edges if edge.source == f"data:{self.version}")

    def node(self, ref: str) -> Node:
        """Return the node that is named so."""
        return next(node for node in self.nodes if node.ref == ref)

    def plot(self) -> Figure:
        """Return the graph: what came first on the left, what came of it on the right."""
        from ..charts import graph

        nodes = {node.ref: (node.label, node.kind, node.detail) for node in self.nodes}
        edges = [(edge.source, edge.target) for edge in self.edges]
        subtitle = f"{self.more} more are left out" if self.more else ""
        return graph(
            f"Lineage of {self.version}",
            nodes,
            edges,
            highlight=[f"data:{self.version}"],
            subtitle=subtitle,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the lineage as JSON-ready types."""
        return {
            "version": self.version,
            "nodes": [node.to_dict() for node in self.nodes],
            "edges": [edge.to_dict() for edge in self.edges],
            "more": self.more,
        }


def lineage_of(version: DatasetVersion, store: Store, links: Links) -> Lineage:
    """Follow a version upwards to what it came from, and downwards to what came of it."""
    start = f"data:{version.ref}"
    walk = _Walk(store, links)
    nodes = {start: walk.version(version.ref)}
    edges: dict[Edge, None] = {}
    left_out: set[str] = set()
    for step in (walk.above, walk.below):
        waiting = deque([start])
        seen = {start}
        while waiting:
            here = waiting.popleft()
            for node, edge in step(nodes[here]):
                if node.ref not in nodes and len(nodes) >= _MOST:
                    left_out.add(node.ref)
                    continue
                nodes.setdefault(node.ref, node)
                edges[edge] = None
                if node.ref not in seen:
                    seen.add(node.ref)
                    waiting.append(node.ref)
    return Lineage(version.ref, tuple(nodes.values()), tuple(edges), len(left_out))


class _Walk:
    """Steps from one node to its neighbours, asking the store and the rings above."""

    def __init__(self, store: Store, links: Links) -> None:
        self._store = store
        self._links = links

    def above(self, node: Node) -> Iterator[tuple[Node, Edge]]:
        ref = node.ref.partition(":")[2]
        if node.kind == "data":
            for parent in self._parents(ref):
                yield self.version(parent), Edge(f"data:{parent}", node.ref, "parent")
            for writer in self._links.writers(self._store, ref):
                yield writer, Edge(writer.ref, node.ref, "wrote")
        else:
            for given in self._links.read(self._store, node.ref):
                yield self.version(given), Edge(f"data:{given}", node.ref, "read")

    def below(self, node: Node) -> Iterator[tuple[Node, Edge]]:
        ref = node.ref.partition(":")[2]
        if node.kind == "data":
            for child in self._children(ref):
                yield self.version(child), Edge(node.ref, f"data:{child}", "parent")
            for reader in self._links.readers(self._store, ref):
                yield reader, Edge(node.ref, reader.ref, "read")
        elif node.kind != "model":
            for made in self._links.wrote(self._store, node.ref):
                # of a sweep it may be one run that wrote it, which is named itself where it is asked for
                all_of_it = node.ref in {writer.ref for writer in self._links.writers(self._store, made)}
                what = "wrote" if node.kind == "run" or all_of_it else "one wrote"
                yield self.version(made), Edge(node.ref, f"data:{made}", what)
            for model in self._links.models(self._store, node.ref):
                yield model, Edge(node.ref, model.ref, "model")

    def version(self, ref: str) -> Node:
        name, number = _split(ref)
        row = self._store.one(
            "SELECT v.message, v.removed_at, s.row_count FROM versions v "
            "LEFT JOIN descriptions s ON s.content = v.digest AND s.reading = v.reading "
            "WHERE v.dataset = :name AND v.number = :number",
            name=name,
            number=number,
        )
        if row is None:
            return Node(f"data:{ref}", ref, "not here")
        rows = f"{row['row_count']:,} rows" if row["row_count"] is not None else ""
        return Node(f"data:{ref}", ref, "removed" if row["removed_at"] else row["message"] or rows)

    def _parents(self, ref: str) -> Sequence[str]:
        name, number = _split(ref)
        row = self._store.one(
            "SELECT parents FROM versions WHERE dataset = :name AND number = :number",
            name=name,
            number=number,
        )
        return list(dict.fromkeys(json.loads(row["parents"]))) if row else ()

    def _children(self, ref: str) -> Iterable[str]:
        for row in self._store.all(
            "SELECT dataset, number, parents FROM versions WHERE parents LIKE :needle AND removed_at IS NULL "
            "ORDER BY at, dataset, number",
            needle=f"%{canonical(ref)}%",
        ):
            if ref in json.loads(row["parents"]):  # an underscore is any letter to LIKE
                yield f"{row['dataset']}@v{row['number']}"


def _split(ref: str) -> tuple[str, int]:
    name, _, number = ref.rpartition("@v")
    return name, int(number)
