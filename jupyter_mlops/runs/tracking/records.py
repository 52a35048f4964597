"""Records: what a run tells while it runs. Written for ``ActiveRun``.

Parameters, tags, inputs, outputs and artifacts are facts with their events; metric points are too many,
and go through the ``Journal``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ...datasets import DatasetVersion
from ...errors import Conflict
from ...people import Members, Role
from ...store import Store, Transaction
from ..artifact import Artifact
from ..finding import words
from ..plain import dumps, jsonable
from ..sweeps.plan import FixedInput
from .journal import check_running


class Records:
    """Writes what running runs tell, in the name of the project's actor."""

    def __init__(self, store: Store, people: Members) -> None:
        self._store = store
        self._people = people

    def parameters(self, id: str, values: Mapping[str, Any]) -> None:
        """Add parameters to a running run; raises ``Conflict`` if one is known with another value."""
        with self._people.write(Role.CONTRIBUTOR) as tx:
            self._still_running(tx, id)
            known = {
                row["name"]: json.loads(row["value"])
                for row in tx.all("SELECT name, value FROM run_parameters WHERE run = :id", id=id)
            }
            for name, value in values.items():
                if name in known and not _same(known[name], value):
                    raise Conflict(
                        f"parameter {name} of run {id} is {known[name]!r} already, not {value!r}",
                        "log what changes during a run as a metric",
                    )
            fresh = {name: value for name, value in values.items() if name not in known}
            if fresh:
                insert_parts(tx, id, fresh, {})
                words.of_parameters(tx, id, fresh)
                tx.event("run.recorded", f"run:{id}", what="parameters", names=sorted(fresh))

    def tags(self, id: str, values: Mapping[str, str]) -> None:
        """Set tags of a running run; a tag that is set again changes."""
        with self._people.write(Role.CONTRIBUTOR) as tx:
            self._still_running(tx, id)
            for name, value in values.items():
                tx.execute(
                    "INSERT INTO run_tags (run, name, value) VALUES (:run, :name, :value) "
                    "ON CONFLICT (run, name) DO UPDATE SET value = :value",
                    run=id,
                    name=name,
                    value=value,
                )
            words.of_tags(tx, id, values)
            tx.event("run.recorded", f"run:{id}", what="tags", tags=dict(values))

    def input(self, id: str, name: str, version: DatasetVersion) -> str:
        """Record a version that a running run read and return the name it is recorded under."""
        with self._people.write(Role.CONTRIBUTOR) as tx:
            self._still_running(tx, id)
            rows = tx.all("SELECT name, ref FROM run_inputs WHERE run = :id", id=id)
            known = {row["name"]: row["ref"] for row in rows}
            if version.ref in known.values():
                return str(next(key for key, ref in known.items() if ref == version.ref))
            chosen = version.ref if name in known else name
            tx.insert("run_inputs", run=id, name=chosen, ref=version.ref, digest=version.digest)
            tx.event(
                "run.recorded",
                f"run:{id}",
                what="input",
                name=chosen,
                ref=version.ref,
                digest=version.digest,
            )
        return chosen

    def meant(self, id: str, asked: str, version: DatasetVersion) -> None:
        """Remember which version an alias or bare name stood for when a run first asked for it."""
        with self._store.bookkeeping() as tx:  # no fact of its own: the input it becomes is one
            tx.execute(
                "INSERT INTO run_refs (run, asked, ref) VALUES (:run, :asked, :ref) "
                "ON CONFLICT (run, asked) DO NOTHING",
                run=id,
                asked=asked,
                ref=version.ref,
            )

    def output(self, id: str, version: DatasetVersion) -> None:
        """Record a version that a running run committed."""
        with self._people.write(Role.CONTRIBUTOR) as tx:
            self._still_running(tx, id)
            known = tx.one(
                "SELECT ref FROM run_outputs WHERE run = :id AND ref = :ref", id=id, ref=version.ref
            )
            if known is None:
                tx.insert("run_outputs", run=id, ref=version.ref, digest=version.digest)
                tx.event("run.recorded", f"run:{id}", what="output", ref=version.ref, digest=version.digest)

    def artifact(self, id: str, artifact: Artifact, free: bool) -> Artifact:
        """Record an artifact whose bytes are stored; ``free`` finds another name where that one is taken."""
        with self._people.write(Role.CONTRIBUTOR) as tx:
            self._still_running(tx, id)
            taken = {row["name"] for row in tx.all("SELECT name FROM run_artifacts WHERE run = :id", id=id)}
            if free and artifact.name in taken:
                artifact = replace(artifact, name=_another(artifact.name, taken))
            tx.execute(
                "DELETE FROM run_artifacts WHERE run = :id AND name = :name", id=id, name=artifact.name
            )
            tx.insert(
                "run_artifacts",
                run=id,
                name=artifact.name,
                kind=artifact.kind,
                digest=artifact.digest,
                bytes=artifact.bytes,
                detail=json.dumps(jsonable(artifact.detail), ensure_ascii=False),
            )
            tx.event(
                "run.recorded",
                f"run:{id}",
                what="artifact",
                name=artifact.name,
                kind=artifact.kind,
                digest=artifact.digest,
            )
        return artifact

    def _still_running(self, tx: Transaction, id: str) -> None:
        check_running(id, tx.one("SELECT status FROM runs WHERE id = :id", id=id))


def insert_parts(
    tx: Transaction, id: str, parameters: Mapping[str, Any], inputs: Mapping[str, FixedInput]
) -> None:
    """Insert parameters and inputs of a run."""
    if parameters:
        tx.many(
            "INSERT INTO run_parameters (run, name, value, number) VALUES (:run, :name, :value, :number)",
            [
                {"run": id, "name": name, "value": dumps(value), "number": _number(value)}
                for name, value in parameters.items()
            ],
        )
    for name, fixed in inputs.items():
        tx.insert("run_inputs", run=id, name=name, ref=fixed.ref, digest=fixed.digest)


def _same(one: Any, other: Any) -> bool:
    """Return whether two parameters are equal, as 1 and 1.0 are, and 1 and true are not."""
    return isinstance(one, bool) == isinstance(other, bool) and jsonable(one) == jsonable(other)


def _number(value: Any) -> float | None:
    """Return a parameter as the number that searches compare, or ``None`` where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return None
    try:
        return float(value)
    except OverflowError:  # Python's integers have no end
        return None


def _another(name: str, taken: set[str]) -> str:
    stem, dot, suffix = name.rpartition(".")
    for number in range(2, len(taken) + 3):
        candidate = f"{stem}-{number}{dot}{suffix}" if stem else f"{name}-{number}"
        if candidate not in taken:
            return candidate
    return name
