"""The inbox: what people did in Slack, each thing once, kept until it was acted on. Used by the listeners."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from jupyter_mlops.store import Store

from .holder import is_gone, new_holder

_KEPT = timedelta(days=2)
_ANSWERABLE = timedelta(minutes=30)  # as long as Slack takes answers
_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that somebody did: which listener takes it, and what it needs to know."""

    key: str
    kind: str
    payload: Mapping[str, Any]


class Inbox:
    """The rows of one project. Slack delivers at least once; a row makes it exactly once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._holder = new_holder()

    def take(self, item: Item) -> bool:
        """Keep ``item``; False if it is there already, because Slack sent it twice."""
        with self._store.bookkeeping() as transaction:
            return bool(
                transaction.execute(
                    "INSERT INTO slack_inbox (key, kind, payload, state, holder, at) "
                    "VALUES (:key, :kind, :payload, 'taken', :holder, :at) ON CONFLICT (key) DO NOTHING",
                    key=item.key,
                    kind=item.kind,
                    payload=json.dumps(dict(item.payload)),
                    holder=self._holder,
                    at=transaction.at,
                )
            )

    def done(self, item: Item) -> None:
        """Note that ``item`` was acted on; what it said, with its right to answer, is forgotten."""
        with self._store.bookkeeping() as transaction:
            transaction.execute(
                "UPDATE slack_inbox SET state = 'done', payload = '{}' WHERE key = :key", key=item.key
            )

    def left_behind(self) -> list[Item]:
        """Take over what a bot that died had taken and not done; forget what is too old to answer."""
        now = self._store.moment()
        found = []
        for row in self._store.all("SELECT * FROM slack_inbox WHERE state = 'taken' ORDER BY at"):
            if row["holder"] == self._holder or not is_gone(row["holder"]):
                continue
            item = Item(row["key"], row["kind"], json.loads(row["payload"]))
            if row["at"] < (now - _ANSWERABLE).strftime(_TIME):
                self.done(item)
                continue
            with self._store.bookkeeping() as transaction:
                if transaction.execute(
                    "UPDATE slack_inbox SET holder = :mine WHERE key = :key AND holder = :theirs",
                    mine=self._holder,
                    key=item.key,
                    theirs=row["holder"],
                ):
                    found.append(item)
        with self._store.bookkeeping() as transaction:
            transaction.execute(
                "DELETE FROM slack_inbox WHERE state = 'done' AND at < :before",
                before=(now - _KEPT).strftime(_TIME),
            )
        return found
