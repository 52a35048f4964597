"""The workspace: its team, app, users, channels, messages and files, kept in one SQLite file.

Everything here survives a restart or a killed process. One process owns the file, one connection writes it,
each change is one small transaction; so, unlike the product's own store, the event loop may use it directly.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sqlite3
from base64 import b32encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .arguments import normal_ts
from .refusal import JSON

_TABLES = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS users (
    id TEXT PRIMARY KEY, email TEXT UNIQUE, name TEXT NOT NULL, real_name TEXT NOT NULL,
    is_bot INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS channels (
    id TEXT PRIMARY KEY, name TEXT UNIQUE, im_user TEXT UNIQUE REFERENCES users(id),
    created INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS members (
    channel TEXT NOT NULL REFERENCES channels(id), user TEXT NOT NULL REFERENCES users(id),
    PRIMARY KEY (channel, user));
CREATE TABLE IF NOT EXISTS messages (
    channel TEXT NOT NULL REFERENCES channels(id), ts TEXT NOT NULL, user TEXT NOT NULL REFERENCES users(id),
    thread_ts TEXT, only_for TEXT REFERENCES users(id), body TEXT NOT NULL, PRIMARY KEY (channel, ts));
CREATE INDEX IF NOT EXISTS messages_by_ts ON messages (ts);
CREATE INDEX IF NOT EXISTS messages_by_thread ON messages (channel, thread_ts);
CREATE TABLE IF NOT EXISTS files (
    id TEXT PRIMARY KEY, user TEXT NOT NULL REFERENCES users(id), name TEXT NOT NULL, title TEXT NOT NULL,
    mimetype TEXT NOT NULL, length INTEGER NOT NULL, alt_text TEXT NOT NULL, created INTEGER NOT NULL,
    content BLOB, shared INTEGER NOT NULL DEFAULT 0);
"""


@dataclass(frozen=True, slots=True)
class User:
    """A person, or the bot."""

    id: str
    email: str
    name: str
    real_name: str
    is_bot: bool


@dataclass(frozen=True, slots=True)
class Channel:
    """A public channel, or the direct messages between the bot and one person."""

    id: str
    name: str | None
    im_user: str | None
    created: int

    @property
    def is_im(self) -> bool:
        return self.im_user is not None


@dataclass(frozen=True, slots=True)
class Message:
    """One message; ``only_for`` names the only person who sees an ephemeral one."""

    channel: str
    ts: str
    user: str
    thread_ts: str | None
    only_for: str | None
    body: JSON

    @property
    def is_reply(self) -> bool:
        return self.thread_ts is not None and self.thread_ts != self.ts


@dataclass(frozen=True, slots=True)
class File:
    """An upload; without content it was only announced, and until ``shared`` nobody may use it."""

    id: str
    user: str
    name: str
    title: str
    mimetype: str
    length: int
    alt_text: str
    created: int
    content: bytes | None
    shared: bool

    @property
    def is_image(self) -> bool:
        return self.mimetype in ("image/png", "image/jpeg", "image/gif")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the team and the app are, and the secrets that prove it."""

    team_id: str
    team_name: str
    team_domain: str
    app_id: str
    bot_id: str
    bot_user_id: str
    bot_token: str
    app_token: str
    signing_secret: str
    verification_token: str


def _id(prefix: str, *about: str) -> str:
    digest = hashlib.blake2b("\0".join(about).encode(), digest_size=7).digest()
    return prefix + b32encode(digest).decode().rstrip("=")[:10]


class Workspace:
    """Keeps the facts; knows nothing of HTTP, tokens' use or limits."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._clock = clock
        # the file holds tokens: nobody else may ever read it, not even between its creation and a chmod
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        os.chmod(path, 0o600)
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.row_factory = sqlite3.Row
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._database.execute("PRAGMA foreign_keys = ON")
        self._database.executescript(_TABLES)
        self.identity = self._load_identity()
        self.bot = self._add_bot()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _load_identity(self) -> Identity:
        fresh = {
            "team_id": "T" + secrets.token_hex(5).upper(),
            "team_name": "Local workspace",
            "team_domain": "local",
            "app_id": "A" + secrets.token_hex(5).upper(),
            "bot_id": "B" + secrets.token_hex(5).upper(),
            "bot_user_id": _id("U", "the bot"),
            "bot_token": "xoxb-" + secrets.token_hex(24),
            "app_token": "xapp-1-" + secrets.token_hex(24),
            "signing_secret": secrets.token_hex(16),
            "verification_token": secrets.token_hex(12),
        }
        with self._database:
            self._database.execute("BEGIN IMMEDIATE")
            for name, value in fresh.items():
                self._database.execute(
                    "INSERT INTO facts VALUES (?, ?) ON CONFLICT DO NOTHING", (name, value)
                )
            kept = dict(self._database.execute("SELECT name, value FROM facts").fetchall())
        return Identity(**{name: kept[name] for name in fresh})

    def _add_bot(self) -> User:
        bot = (self.identity.bot_user_id, None, "mlops", "MLOps", 1)
        self._database.execute("INSERT INTO users VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", bot)
        found = self.user(self.identity.bot_user_id)
        if found is None:
            raise sqlite3.IntegrityError("the bot's user is missing")
        return found

    # users

    def add_user(self, email: str, name: str) -> User:
        """Make a person known; the id follows from the email, so it is the same in every workspace."""
        handle = email.partition("@")[0]
        with self._database:
            self._database.execute(
                "INSERT INTO users VALUES (?, ?, ?, ?, 0) "
                "ON CONFLICT (id) DO UPDATE SET real_name = excluded.real_name",
                (_id("U", email.lower()), email.lower(), handle, name),
            )
        found = self.user_by_email(email)
        if found is None:
            raise sqlite3.IntegrityError(f"{email} was not stored")
        return found

    def user(self, user_id: str) -> User | None:
        """Return a user by id."""
        return self._one_user("id = ?", user_id)

    def user_by_email(self, email: str) -> User | None:
        """Return a user by email, whatever its case."""
        return self._one_user("email = ?", email.lower())

    def _one_user(self, where: str, value: str) -> User | None:
        row = self._database.execute(f"SELECT * FROM users WHERE {where}", (value,)).fetchone()  # noqa: S608 fixed text
        return _user(row) if row else None

    def users(self) -> list[User]:
        """Return everybody, the bot too."""
        return [_user(row) for row in self._database.execute("SELECT * FROM users ORDER BY real_name, id")]

    # channels

    def add_channel(self, name: str, members: Iterable[str]) -> Channel:
        """Make a channel known and these users its members; members that it has stay."""
        name = name.removeprefix("#")
        with self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.execute(
                "INSERT INTO channels VALUES (?, ?, NULL, ?) ON CONFLICT DO NOTHING",
                (_id("C", name), name, int(self._clock())),
            )
            self._add_members(_id("C", name), members)
        return self._channel_or_fail(_id("C", name))

    def open_im(self, user: str) -> Channel:
        """Return the direct messages between the bot and one person; make them when there are none."""
        with self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.execute(
                "INSERT INTO channels VALUES (?, NULL, ?, ?) ON CONFLICT DO NOTHING",
                (_id("D", user), user, int(self._clock())),
            )
            self._add_members(_id("D", user), (user, self.bot.id))
        return self._channel_or_fail(_id("D", user))

    def _add_members(self, channel: str, members: Iterable[str]) -> None:
        self._database.executemany(
            "INSERT INTO members VALUES (?, ?) ON CONFLICT DO NOTHING", [(channel, user) for user in members]
        )

    def remove_member(self, channel: str, user: str) -> None:
        """Take a user out of a channel."""
        self._database.execute("DELETE FROM members WHERE channel = ? AND user = ?", (channel, user))

    def channel(self, channel_id: str) -> Channel | None:
        """Return a channel by id."""
        row = self._database.execute("SELECT * FROM channels WHERE id = ?", (channel_id,)).fetchone()
        return _channel(row) if row else None

    def _channel_or_fail(self, channel_id: str) -> Channel:
        found = self.channel(channel_id)
        if found is None:
            raise sqlite3.IntegrityError(f"channel {channel_id} was not stored")
        return found

    def channel_by_name(self, name: str) -> Channel | None:
        """Return a channel by name, with or without its ``#``."""
        row = self._database.execute(
            "SELECT * FROM channels WHERE name = ?", (name.removeprefix("#"),)
        ).fetchone()
        return _channel(row) if row else None

    def channels(self) -> list[Channel]:
        """Return all channels by name, direct messages last."""
        return [
            _channel(row)
            for row in self._database.execute("SELECT * FROM channels ORDER BY im_user IS NOT NULL, name, id")
        ]

    def members(self, channel: str) -> list[str]:
        """Return the ids of a channel's members."""
        rows = self._database.execute("SELECT user FROM members WHERE channel = ? ORDER BY user", (channel,))
        return [row["user"] for row in rows]

    def is_member(self, channel: str, user: str) -> bool:
        """Tell whether a user is in a channel."""
        return user in self.members(channel)

    # messages

    def add_message(
        self,
        channel: str,
        user: str,
        body: Mapping[str, Any],
        thread_ts: str | None = None,
        only_for: str | None = None,
    ) -> Message:
        """Store a new message under a timestamp of its own."""
        with self._database:
            self._database.execute("BEGIN IMMEDIATE")
            message = Message(channel, self._next_ts(), user, thread_ts, only_for, dict(body))
            self._database.execute(
                "INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?)",
                (channel, message.ts, user, thread_ts, only_for, json.dumps(message.body)),
            )
        return message

    def _next_ts(self) -> str:
        now = normal_ts(f"{self._clock():.6f}") or "0000000000.000000"
        (last,) = self._database.execute("SELECT max(ts) FROM messages").fetchone()
        if last is not None and now <= last:
            seconds, _, micros = last.partition(".")
            later = int(seconds) * 1_000_000 + int(micros) + 1
            now = f"{later // 1_000_000:010}.{later % 1_000_000:06}"
        return now

    def change_message(self, channel: str, ts: str, body: Mapping[str, Any]) -> None:
        """Replace what a message says."""
        self._database.execute(
            "UPDATE messages SET body = ? WHERE channel = ? AND ts = ?", (json.dumps(dict(body)), channel, ts)
        )

    def remove_message(self, channel: str, ts: str) -> None:
        """Forget a message."""
        self._database.execute("DELETE FROM messages WHERE channel = ? AND ts = ?", (channel, ts))

    def message(self, channel: str, ts: str) -> Message | None:
        """Return one message."""
        row = self._database.execute(
            "SELECT * FROM messages WHERE channel = ? AND ts = ?", (channel, ts)
        ).fetchone()
        return _message(row) if row else None

    def messages(self, channel: str, first: str = "", last: str = "9999999999.999999") -> list[Message]:
        """Return a channel's messages in a range of time, oldest first, ephemeral ones and replies too."""
        rows = self._database.execute(
            "SELECT * FROM messages WHERE channel = ? AND ts BETWEEN ? AND ? ORDER BY ts",
            (channel, first, last),
        )
        return [_message(row) for row in rows]

    def replies(self, channel: str, root: str) -> list[Message]:
        """Return the replies to a message that everybody sees, oldest first."""
        rows = self._database.execute(
            "SELECT * FROM messages WHERE channel = ? AND thread_ts = ? AND ts <> thread_ts "
            "AND only_for IS NULL ORDER BY ts",
            (channel, root),
        )
        return [_message(row) for row in rows]

    # files

    def announce_file(self, user: str, name: str, length: int, mimetype: str, alt_text: str) -> File:
        """Make room for an upload."""
        file_id = "F" + secrets.token_hex(5).upper()
        self._database.execute(
            "INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, 0)",
            (file_id, user, name, name, mimetype, length, alt_text, int(self._clock())),
        )
        return File(file_id, user, name, name, mimetype, length, alt_text, int(self._clock()), None, False)

    def fill_file(self, file_id: str, content: bytes, mimetype: str) -> None:
        """Store the bytes of an upload."""
        self._database.execute(
            "UPDATE files SET content = ?, mimetype = ? WHERE id = ?", (content, mimetype, file_id)
        )

    def finish_file(self, file_id: str, title: str) -> None:
        """Let an upload be used."""
        self._database.execute("UPDATE files SET title = ?, shared = 1 WHERE id = ?", (title, file_id))

    def file(self, file_id: str) -> File | None:
        """Return a file by id."""
        row = self._database.execute("SELECT * FROM files WHERE id = ?", (file_id,)).fetchone()
        return File(**{**dict(row), "shared": bool(row["shared"])}) if row else None

    def has_image(self, file_id: str) -> bool:
        """Tell whether an id names a finished image."""
        found = self.file(file_id)
        return found is not None and found.shared and found.is_image


def _user(row: sqlite3.Row) -> User:
    return User(row["id"], row["email"] or "", row["name"], row["real_name"], bool(row["is_bot"]))


def _channel(row: sqlite3.Row) -> Channel:
    return Channel(row["id"], row["name"], row["im_user"], row["created"])


def _message(row: sqlite3.Row) -> Message:
    return Message(**{**dict(row), "body": json.loads(row["body"])})
