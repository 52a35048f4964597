"""Lineage of runs: which runs read or wrote a version of data. Given to ``Datasets`` by ``Project``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ..datasets.lineage import Links, Node
from ..store import Store, Transaction

ModelsOf = Callable[[Store | Transaction, Sequence[str]], tuple[Node, ...]]


class RunLinks(Links):
    """Knows the runs around a version, those of one sweep as one; ``models_of`` knows what came of them."""

    def __init__(self, models_of: ModelsOf) -> None:
        self._models_of = models_of

    def users(self, source: Store | Transaction, ref: str) -> tuple[str, ...]:
        """Return, for people, the runs that read or wrote a version and the models that came of them."""
        rows = source.all(
            "SELECT i.run FROM run_inputs i JOIN runs r ON r.id = i.run "
            "WHERE i.ref = :ref AND r.removed_at IS NULL UNION "
            "SELECT o.run FROM run_outputs o JOIN runs r ON r.id = o.run "
            "WHERE o.ref = :ref AND r.removed_at IS NULL ORDER BY run",
            ref=ref,
        )
        ids = [str(row["run"]) for row in rows]
        models = [f"model {node.label}" for node in self._models_of(source, ids)]
        return (*models, *(f"run {id}" for id in ids))

    def readers(self, source: Store, ref: str) -> tuple[Node, ...]:
        """Return the runs that read a version."""
        return _nodes(
            source.all(
                "SELECT DISTINCT r.id, r.sweep, r.experiment, r.status, r.number FROM run_inputs i "
                "JOIN runs r ON r.id = i.run WHERE i.ref = :ref AND r.removed_at IS NULL ORDER BY r.number",
                ref=ref,
            )
        )

    def writers(self, source: Store, ref: str) -> tuple[Node, ...]:
        """Return the runs that wrote a version."""
        return _nodes(
            source.all(
                "SELECT DISTINCT r.id, r.sweep, r.experiment, r.status, r.number FROM run_outputs o "
                "JOIN runs r ON r.id = o.run WHERE o.ref = :ref AND r.removed_at IS NULL ORDER BY r.number",
                ref=ref,
            )
        )

    def read(self, source: Store, ref: str) -> tuple[str, ...]:
        """Return the versions that a run or sweep read."""
        return _refs(source, "run_inputs", ref)

    def wrote(self, source: Store, ref: str) -> tuple[str, ...]:
        """Return the versions that a run or sweep wrote."""
        return _refs(source, "run_outputs", ref)

    def models(self, source: Store, ref: str) -> tuple[Node, ...]:
        """Return the model versions that came of a run or sweep."""
        return self._models_of(source, _ids(source, ref))


def _ids(source: Store, ref: str) -> list[str]:
    kind, _, id = ref.partition(":")
    if kind == "run":
        return [id]
    return [
        str(row["id"]) for row in source.all("SELECT id FROM runs WHERE sweep = :id ORDER BY number", id=id)
    ]


def _refs(source: Store, table: str, ref: str) -> tuple[str, ...]:
    kind, _, id = ref.partition(":")
    column = "id" if kind == "run" else "sweep"
    rows = source.all(
        f"SELECT DISTINCT t.ref FROM {table} t JOIN runs r ON r.id = t.run "  # noqa: S608 names are ours
        f"WHERE r.{column} = :id ORDER BY t.ref",
        id=id,
    )
    return tuple(str(row["ref"]) for row in rows)


def _nodes(rows: Iterable[dict[str, object]]) -> tuple[Node, ...]:
    """Return a node for each run, and one for all runs of a sweep."""
    sweeps: dict[str, list[dict[str, object]]] = {}
    for row in rows:
        sweeps.setdefault(f"sweep:{row['sweep']}" if row["sweep"] else f"run:{row['id']}", []).append(row)
    made = []
    for ref, members in sweeps.items():
        first = members[0]
        if ref.startswith("run:") or len(members) == 1:
            made.append(
                Node(f"run:{first['id']}", str(first["id"]), f"{first['experiment']}, {first['status']}")
            )
        else:
            made.append(Node(ref, f"{len(members)} runs", f"{first['experiment']}, sweep {first['sweep']}"))
    return tuple(made)
