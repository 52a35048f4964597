"""Deliveries: one row for each message in the chat, from wanted to sent. Kept by the courier, read by status.

A row is made in the transaction that moves the cursor past its event: nothing is lost, nothing made twice.
Whatever may have left without an answer is ambiguous: it is looked for in the chat before it is sent again.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from jupyter_mlops.errors import NotFound, close_matches
from jupyter_mlops.people import Role
from jupyter_mlops.project import Project
from jupyter_mlops.store import Event, Store
from jupyter_mlops.value import Value
from jupyter_mlops.views import formats

from . import texts
from .holder import is_gone, new_holder

CURSOR = "slackbot"
LEASE_SECONDS = 30.0
MOST_ATTEMPTS = 12
LONGEST = timedelta(hours=24)
_BACKOFF_BASE, _BACKOFF_MOST = 1.0, 60.0
_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"


@dataclass(frozen=True, slots=True)
class News:
    """What an event means for the chat: a message about ``subject`` in ``channel``, or a change of one."""

    subject: str
    channel: str = ""

    @property
    def opens(self) -> bool:
        """Whether a message is wanted where there is none yet."""
        return bool(self.channel)


@dataclass(frozen=True, slots=True)
class Delivery(Value):
    """One message that is or should be in the chat; ``lease`` is the right to finish it."""

    id: str
    subject: str
    channel: str
    at: str
    event: int
    news: int
    shown: int
    state: str
    lease: str | None
    sending_at: str | None
    first_at: str | None
    attempts: int
    next_at: str
    channel_id: str | None
    ts: str | None
    file: str | None
    error: str

    @property
    def doubtful(self) -> bool:
        """Whether it may be in the chat without our knowing."""
        return self.sending_at is not None and self.ts is None

    def to_dict(self) -> dict[str, Any]:
        """Return what an operator needs to know of it."""
        shown = (
            "id",
            "subject",
            "channel",
            "state",
            "attempts",
            "at",
            "next_at",
            "channel_id",
            "ts",
            "error",
        )
        return {name: getattr(self, name) for name in shown}


@dataclass(frozen=True, slots=True)
class Waiting:
    """How much is still to be told: rows by state, events not yet read, and what went wrong last."""

    pending: int = 0
    ambiguous: int = 0
    dead: int = 0
    sent: int = 0
    unread: int = 0
    error: str = ""

    @property
    def total(self) -> int:
        """The messages that will still be sent or changed."""
        return self.pending + self.ambiguous


# a doubt from an earlier try stays until the chat was searched, whatever becomes of this try
_NOT_THIS_TIME = "sending_at = CASE WHEN sending_at = :doubt THEN sending_at ELSE NULL END"
_COLUMNS = ", ".join(Delivery.__slots__)


def backoff(attempt: int) -> float:
    """Return a random wait before the next try, from a range that doubles with every ``attempt``."""
    return random.uniform(0, min(_BACKOFF_MOST, _BACKOFF_BASE * 2 ** min(attempt, 10)))  # noqa: S311 no secret


class Outbox:
    """The rows of one project; every change of a leased row asks for its lease."""

    def __init__(self, store: Store, lease_seconds: float = LEASE_SECONDS) -> None:
        self._store = store
        self._lease = timedelta(seconds=lease_seconds)

    def _in(self, seconds: float) -> str:
        return (self._store.moment() + timedelta(seconds=seconds)).strftime(_TIME)

    # from events to rows

    def follow(self, meaning: Callable[[Event], News | None], limit: int = 200) -> int:
        """Read the next events, keep what they mean for the chat, and return how many were read."""
        since = self._store.cursor(CURSOR)
        events = list(self._store.events(since, limit=limit))
        if not events:
            return 0
        news = [(event, meant) for event in events if (meant := meaning(event)) is not None]
        with self._store.bookkeeping() as transaction:
            for event, meant in news:
                changed = transaction.execute(
                    "UPDATE slack_deliveries SET news = :seq, next_at = CASE WHEN state = 'sent' THEN :now "
                    "ELSE next_at END, state = CASE WHEN state = 'sent' THEN 'pending' ELSE state END "
                    "WHERE subject = :subject AND news < :seq",
                    seq=event.seq,
                    now=transaction.at,
                    subject=meant.subject,
                )
                if not changed and meant.opens:
                    transaction.execute(
                        "INSERT INTO slack_deliveries (id, subject, channel, at, event, news, shown, "
                        "state, attempts, next_at, error) VALUES (:id, :subject, :channel, :at, :seq, :seq, "
                        "0, 'pending', 0, :now, '') ON CONFLICT (subject) DO NOTHING",
                        id=uuid.uuid4().hex,
                        subject=meant.subject,
                        channel=meant.channel,
                        at=event.at,
                        seq=event.seq,
                        now=transaction.at,
                    )
            self._store.advance(transaction, CURSOR, events[-1].seq)
        return len(events)

    # from rows to messages

    def recover(self) -> int:
        """Free the rows whose holder died or let its lease run out, and return how many."""
        freed = 0
        now = self._store.now()
        for row in self._store.all(
            "SELECT id, lease, lease_until FROM slack_deliveries WHERE state = 'leased'"
        ):
            if row["lease_until"] < now or is_gone(row["lease"]):
                with self._store.bookkeeping() as transaction:
                    freed += transaction.execute(
                        "UPDATE slack_deliveries SET lease = NULL, lease_until = NULL, next_at = :now, "
                        "state = CASE WHEN sending_at IS NULL THEN 'pending' ELSE 'ambiguous' END "
                        "WHERE id = :id AND lease = :lease",
                        id=row["id"],
                        lease=row["lease"],
                        now=now,
                    )
        return freed

    def claim(self, resting: Collection[str] = ()) -> Delivery | None:
        """Lease the oldest row that is due in a channel that is not ``resting``; nobody else then has it."""
        now = self._store.now()
        due = self._store.all(
            "SELECT id, channel FROM slack_deliveries "
            "WHERE state IN ('pending', 'ambiguous') AND next_at <= :now ORDER BY event, id LIMIT 200",
            now=now,
        )
        for row in due:
            if row["channel"] in resting:
                continue
            lease = new_holder()
            with self._store.bookkeeping() as transaction:
                taken = transaction.execute(
                    "UPDATE slack_deliveries SET state = 'leased', lease = :lease, lease_until = :until "
                    "WHERE id = :id AND state IN ('pending', 'ambiguous')",
                    id=row["id"],
                    lease=lease,
                    until=self._in(self._lease.total_seconds()),
                )
            if taken:
                return self.get(row["id"])
        return None

    def sending(self, delivery: Delivery) -> bool:
        """Note that ``delivery`` leaves now, and renew its lease; False if the lease is lost: do nothing."""
        return self._finish(
            delivery,
            "lease_until = :until, first_at = COALESCE(first_at, :now), attempts = attempts + 1, "
            # a change of a message may be repeated without harm, so it never becomes doubtful
            "sending_at = CASE WHEN ts IS NULL THEN :now ELSE NULL END",
            until=self._in(self._lease.total_seconds()),
        )

    def keep_file(self, delivery: Delivery, file: str) -> bool:
        """Remember the uploaded picture of ``delivery``, so that it is uploaded once; "" forgets it."""
        return self._finish(
            delivery,
            "file = :file, lease_until = :until",
            file=file,
            until=self._in(self._lease.total_seconds()),
        )

    def sent(self, delivery: Delivery, channel_id: str, ts: str, shown: int) -> bool:
        """Note where the message is and which event it shows; newer news make it due again at once."""
        return self._finish(
            delivery,
            "state = CASE WHEN news > :shown THEN 'pending' ELSE 'sent' END, lease = NULL, "
            "lease_until = NULL, sending_at = NULL, first_at = NULL, attempts = 0, next_at = :now, "
            "channel_id = :channel_id, ts = :ts, shown = :shown, error = ''",
            shown=shown,
            channel_id=channel_id,
            ts=ts,
        )

    def later(self, delivery: Delivery, seconds: float, error: str, *, counts: bool = True) -> bool:
        """Try again in ``seconds``: this try certainly sent nothing. Tries that do not count never end."""
        if counts and self._worn_out(delivery):
            return self.dead(delivery, f"given up: {error}")
        return self._finish(
            delivery,
            f"state = CASE WHEN sending_at = :doubt THEN 'ambiguous' ELSE 'pending' END, {_NOT_THIS_TIME}, "
            "lease = NULL, lease_until = NULL, next_at = :then, error = :error, attempts = :attempts",
            doubt=delivery.sending_at or "",
            then=self._in(seconds),
            error=error,
            attempts=delivery.attempts + (1 if counts else 0),
        )

    def doubt(self, delivery: Delivery, seconds: float, error: str) -> bool:
        """Look for it in the chat in ``seconds``: it may have been sent."""
        if self._worn_out(delivery):
            return self.dead(delivery, f"given up, it may be in the chat: {error}", sent_nothing=False)
        return self._finish(
            delivery,
            "state = CASE WHEN sending_at IS NULL THEN 'pending' ELSE 'ambiguous' END, lease = NULL, "
            "lease_until = NULL, next_at = :then, error = :error",
            then=self._in(seconds),
            error=error,
        )

    def absent(self, delivery: Delivery) -> bool:
        """Note that the chat does not have it after all, keeping the lease."""
        return self._finish(delivery, "sending_at = NULL")

    def dead(self, delivery: Delivery, error: str, *, sent_nothing: bool = True) -> bool:
        """Give up until an operator retries."""
        return self._finish(
            delivery,
            f"state = 'dead', {_NOT_THIS_TIME if sent_nothing else 'sending_at = sending_at'}, lease = NULL, "
            "lease_until = NULL, error = :error",
            doubt=delivery.sending_at or "",
            error=error,
        )

    def cancel(self, delivery: Delivery, why: str) -> bool:
        """Tell nobody: it is no news any more."""
        return self._finish(
            delivery, "state = 'cancelled', lease = NULL, lease_until = NULL, error = :error", error=why
        )

    def start_over(self, delivery: Delivery, error: str) -> bool:
        """Post anew: the message is gone or can no longer be changed. The new one has its own identity."""
        if self._worn_out(delivery):
            return self.dead(delivery, f"given up: {error}")
        return self._finish(
            delivery,
            "id = :fresh, ts = NULL, state = 'pending', lease = NULL, lease_until = NULL, sending_at = NULL, "
            "next_at = :now, error = :error",
            fresh=uuid.uuid4().hex,
            error=error,
        )

    def rest(self, channel: str, seconds: float) -> None:
        """Let every row of ``channel`` wait: Slack said that it is too much."""
        with self._store.bookkeeping() as transaction:
            transaction.execute(
                "UPDATE slack_deliveries SET next_at = :then "
                "WHERE channel = :channel AND state IN ('pending', 'ambiguous') AND next_at < :then",
                channel=channel,
                then=self._in(seconds),
            )

    def _finish(self, delivery: Delivery, change: str, **values: Any) -> bool:
        if ":now" in change:
            values["now"] = self._store.now()
        with self._store.bookkeeping() as transaction:
            return bool(
                transaction.execute(
                    f"UPDATE slack_deliveries SET {change} WHERE id = :id AND lease = :lease",  # noqa: S608 fixed texts
                    id=delivery.id,
                    lease=delivery.lease,
                    **values,
                )
            )

    def _worn_out(self, delivery: Delivery) -> bool:
        if delivery.attempts >= MOST_ATTEMPTS:
            return True
        return delivery.first_at is not None and delivery.first_at < self._in(-LONGEST.total_seconds())

    # looking

    def get(self, delivery_id: str) -> Delivery | None:
        """Return one row by its id."""
        return self._one("id", delivery_id)

    def about(self, subject: str) -> Delivery | None:
        """Return the row that tells of ``subject``."""
        return self._one("subject", subject)

    def _one(self, column: str, value: str) -> Delivery | None:
        row = self._store.one(
            f"SELECT {_COLUMNS} FROM slack_deliveries WHERE {column} = :value",  # noqa: S608 fixed names
            value=value,
        )
        return Delivery(**row) if row else None

    def unfinished(self) -> tuple[Delivery, ...]:
        """Return what waits and what was given up, oldest first."""
        rows = self._store.all(
            f"SELECT {_COLUMNS} FROM slack_deliveries WHERE state NOT IN ('sent', 'cancelled') "  # noqa: S608 fixed names
            "ORDER BY event, id"
        )
        return tuple(Delivery(**row) for row in rows)


def migrate(store: Store) -> None:
    """Create or update the bot's tables."""
    store.migrate("slackbot", "slackbot.migrations")


def pending(store: Store) -> Waiting:
    """Return how much the chat still lacks; all zero in a project that no bot has served."""
    if not store.has_table("slack_deliveries"):
        return Waiting()
    counts = {
        row["state"]: int(row["number"])
        for row in store.all("SELECT state, COUNT(*) AS number FROM slack_deliveries GROUP BY state")
    }
    failed = store.one(
        "SELECT error FROM slack_deliveries WHERE error <> '' AND state NOT IN ('sent', 'cancelled') "
        "ORDER BY event DESC LIMIT 1"
    )
    head = store.one("SELECT seq FROM chain WHERE id = 1")
    return Waiting(
        pending=counts.get("pending", 0) + counts.get("leased", 0),
        ambiguous=counts.get("ambiguous", 0),
        dead=counts.get("dead", 0),
        sent=counts.get("sent", 0),
        unread=int(head["seq"]) - store.cursor(CURSOR) if head else 0,
        error=failed["error"] if failed else "",
    )


def status_notes(project: Project) -> list[str]:
    """Return what ``mlops status`` says about the chat: nothing while all is told."""
    waiting = pending(project.store)
    said = []
    if waiting.total:
        line = texts.WAITING.format(count=formats.count(waiting.total, "message"))
        said.append(f"{line}: {waiting.error}" if waiting.error else line)
    if waiting.unread:
        said.append(texts.UNREAD.format(count=formats.count(waiting.unread, "event")))
    if waiting.dead:
        said.append(texts.GIVEN_UP.format(count=formats.count(waiting.dead, "message")))
    return said


def retry(project: Project, delivery_id: str) -> Delivery:
    """Make a message that was given up due again; role operator."""
    return _decide(
        project,
        delivery_id,
        "attempts = 0, next_at = :now, "
        "state = CASE WHEN sending_at IS NULL THEN 'pending' ELSE 'ambiguous' END",
    )


def drop(project: Project, delivery_id: str) -> Delivery:
    """Never send a message that was given up; role operator."""
    return _decide(project, delivery_id, "state = 'cancelled', next_at = :now")


def _decide(project: Project, delivery_id: str, change: str) -> Delivery:
    project.people.require(Role.OPERATOR)
    migrate(project.store)
    outbox = Outbox(project.store)
    dead = [row for row in outbox.unfinished() if row.state == "dead"]
    matching = [row for row in dead if row.id.startswith(delivery_id) or row.subject == delivery_id]
    if len(matching) != 1:
        raise NotFound(
            f"no message that was given up is called '{delivery_id}'",
            close_matches(delivery_id, [row.subject for row in dead], "`mlops slack outbox` lists them"),
        )
    with project.store.bookkeeping() as transaction:
        transaction.execute(
            f"UPDATE slack_deliveries SET {change} WHERE id = :id AND state = 'dead'",  # noqa: S608 fixed texts
            id=matching[0].id,
            now=transaction.at,
        )
    return outbox.get(matching[0].id) or matching[0]
