"""Lineage of models: which model versions came of runs. Given to the lineage of runs by ``Project``."""

from __future__ import annotations

from collections.abc import Sequence

from ..datasets.lineage import Node
from ..store import Store, Transaction


def models_of(source: Store | Transaction, runs: Sequence[str]) -> tuple[Node, ...]:
    """Return the model versions that came of the runs with these ids."""
    found = []
    for id in runs:
        for row in source.all(
            "SELECT model, number FROM model_versions WHERE run = :id ORDER BY model, number", id=id
        ):
            ref = f"{row['model']}@v{row['number']}"
            found.append(Node(f"model:{ref}", ref, f"from run {id}"))
    return tuple(found)
