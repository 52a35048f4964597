"""Alerts: what needs somebody's attention, once for each reason. Raised by verbs, listed by faces."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import BadInput, Conflict, close_matches
from ..people import Members, Role
from ..store import Store
from ..store.ids import new_id, row_of
from ..store.store import Row
from ..value import Value

STATES = ("open", "acknowledged")


@dataclass(frozen=True, slots=True)
class Alert(Value):
    """Something that was noticed ``about`` a thing; ``key`` is its reason, so the same reason alerts once."""

    id: str
    key: str
    title: str
    about: str
    state: str
    report: Mapping[str, Any]
    at: str
    actor: str
    changed_at: str
    changed_by: str

    @property
    def ref(self) -> str:
        """How the alert is named: its id; any unique beginning of it will do."""
        return self.id

    @property
    def path(self) -> str:
        """Where it is in the page."""
        return f"alerts/{self.id}"

    def to_dict(self) -> dict[str, Any]:
        """Return the alert as JSON-ready types."""
        return {name: getattr(self, name) for name in self.__slots__}


class Alerts:
    """The alerts of one project, seen by one actor."""

    def __init__(self, store: Store, people: Members) -> None:
        self._store = store
        self._people = people

    def open(self, key: str, title: str, about: str, report: Mapping[str, Any]) -> Alert:
        """Raise an alert; one with the same ``key`` is that alert, and nothing is told again."""
        if not key.strip() or not title.strip():
            raise BadInput("an alert needs a key and a title", "the key tells one reason from another")
        with self._people.write(Role.CONTRIBUTOR) as transaction:
            known = transaction.one("SELECT * FROM alerts WHERE key = :key", key=key)
            if known is not None:
                return _alert(known)
            id = new_id()
            transaction.insert(
                "alerts",
                id=id,
                key=key,
                title=title,
                about=about,
                state="open",
                report=json.dumps(_finite(report), sort_keys=True, allow_nan=False),
                at=transaction.at,
                actor=transaction.actor,
                changed_at=transaction.at,
                changed_by=transaction.actor,
            )
            transaction.event("alert.opened", f"alert:{id}", key=key, title=title, about=about)
        return self.get(id)

    def list(self, state: str | None = "open") -> tuple[Alert, ...]:
        """Return the alerts in ``state``, newest first; ``None`` for all of them."""
        if state is not None and state not in STATES:
            raise BadInput(
                f"'{state}' is no state of an alert",
                close_matches(state, STATES, f"known: {', '.join(STATES)}"),
            )
        rows = self._store.all(
            "SELECT * FROM alerts WHERE CAST(:state AS TEXT) IS NULL OR state = :state ORDER BY at DESC, id",
            state=state,
        )
        return tuple(_alert(row) for row in rows)

    def get(self, id: str) -> Alert:
        """Return one alert by its id or the beginning of it."""
        return _alert(self._row(id))

    def acknowledge(self, id: str) -> Alert:
        """Say that the actor has seen it and takes care; needs the role operator."""
        id = self._row(id)["id"]
        with self._people.write(Role.OPERATOR) as transaction:
            row = self._row(id)
            if row["state"] != "open":
                raise Conflict(f"{row['changed_by']} has {row['state']} {id} already, at {row['changed_at']}")
            transaction.execute(
                "UPDATE alerts SET state = 'acknowledged', changed_at = :at, changed_by = :actor "
                "WHERE id = :id",
                at=transaction.at,
                actor=transaction.actor,
                id=id,
            )
            transaction.event("alert.acknowledged", f"alert:{id}", title=row["title"])
        return self.get(id)

    def _row(self, id: str) -> Row:
        return row_of(self._store, "alerts", id, "alert", (alert.id for alert in self.list()))


def _alert(row: Row) -> Alert:
    return Alert(**{**row, "report": json.loads(row["report"])})


def _finite(value: Any) -> Any:
    """Return ``value`` with what JSON cannot say, NaN and the infinities, as null."""
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
