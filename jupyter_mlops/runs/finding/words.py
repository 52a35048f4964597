"""The words of a run: what full text finds it by. Called by whoever writes these facts, in the same write."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ...store import Store, Transaction
from ..plain import dumps
from ..run import RunError

_KIND = "run"
_AT_ONCE = 200


def of_run(
    tx: Transaction, id: str, experiment: str, notebook: str | None, parameters: Mapping[str, Any]
) -> None:
    """Make a new run findable by its experiment, notebook and parameters."""
    tx.describe(_KIND, id, f"{experiment} {notebook or ''} {_said(parameters)}")


def of_parameters(tx: Transaction, id: str, values: Mapping[str, Any]) -> None:
    """Make a run findable by parameters that are new."""
    tx.describe(_KIND, id, _said(values))


def of_tags(tx: Transaction, id: str, values: Mapping[str, str]) -> None:
    """Make a run findable by tags, and no longer by what they were."""
    for name, value in values.items():
        tx.describe(_KIND, id, f"{name} {value}", f"tag {name}")


def of_error(tx: Transaction, id: str, error: RunError | None) -> None:
    """Make a run findable by its error."""
    if error is not None:
        tx.describe(_KIND, id, f"{error.name} {error.message}", "error")


def of_note(tx: Transaction, id: str, note: str) -> None:
    """Make a run findable by its note, and no longer by what it was."""
    tx.describe(_KIND, id, note, "note")


def catch_up(store: Store) -> None:
    """Make the runs findable that were there before words were kept."""
    while due := store.rows(
        "SELECT id FROM texts_due WHERE kind = :kind LIMIT :most", kind=_KIND, most=_AT_ONCE
    ):
        with store.bookkeeping() as tx:
            for (id,) in due:
                # whoever takes it out of the list, of several that look at the same time, does it
                if tx.execute("DELETE FROM texts_due WHERE kind = :kind AND id = :id", kind=_KIND, id=id):
                    _describe(tx, id)


def _describe(tx: Transaction, id: str) -> None:
    run = tx.one("SELECT experiment, notebook, error, note FROM runs WHERE id = :id", id=id)
    if run is None:
        return
    rows = tx.all("SELECT name, value FROM run_parameters WHERE run = :id", id=id)
    parameters = {row["name"]: json.loads(row["value"]) for row in rows}
    of_run(tx, id, run["experiment"], run["notebook"], parameters)
    tags = tx.all("SELECT name, value FROM run_tags WHERE run = :id", id=id)
    of_tags(tx, id, {row["name"]: row["value"] for row in tags})
    of_error(tx, id, RunError(**json.loads(run["error"])) if run["error"] else None)
    if run["note"]:
        of_note(tx, id, run["note"])


def _said(parameters: Mapping[str, Any]) -> str:
    return " ".join(
        f"{name} {value if isinstance(value, str) else dumps(value)}" for name, value in parameters.items()
    )
