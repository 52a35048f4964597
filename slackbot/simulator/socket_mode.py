"""Socket Mode: tickets, the sockets that the app has open, and envelopes with their acknowledgements.

Each envelope goes to one socket. It is acknowledged by that socket within three seconds, or it was not.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import WSMsgType, web

from .. import limits
from .faults import Faults
from .feed import Feed
from .refusal import JSON

EnvelopeKind = Literal["slash_commands", "interactive", "events_api"]
DisconnectReason = Literal["warning", "refresh_requested", "link_disabled", "too_many_websockets"]


class NotAcknowledged(Exception):
    """Nobody took an envelope, in the word that Slack shows the person: no socket, or no answer in time."""


@dataclass(eq=False, slots=True)
class Socket:
    """One connection of the app; a draining one gets nothing new."""

    connection: web.WebSocketResponse
    transport: asyncio.Transport | None
    draining: bool = False
    waiting: dict[str, asyncio.Future[JSON]] = field(default_factory=dict)

    def lost(self) -> None:
        """Tell all who wait for this socket that it will not answer."""
        for future in self.waiting.values():
            if not future.done():
                future.set_exception(NotAcknowledged("operation_timeout"))
        self.waiting.clear()


class SocketMode:
    """Hands envelopes to the app, one socket each, in turn."""

    def __init__(self, app_id: str, clock: Callable[[], float], faults: Faults, feed: Feed) -> None:
        self.ack_seconds = limits.ACK_SECONDS
        self.event_retry_seconds: tuple[float, ...] = limits.EVENT_RETRY_SECONDS
        self._app_id = app_id
        self._clock = clock
        self._faults = faults
        self._feed = feed
        self._tickets: dict[str, float] = {}
        self._sockets: list[Socket] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def connections(self) -> int:
        """How many sockets take envelopes now."""
        return sum(not socket.draining for socket in self._sockets)

    def ticket(self) -> str:
        """Return a ticket for one connection."""
        now = self._clock()
        self._tickets = {name: until for name, until in self._tickets.items() if until >= now}
        name = secrets.token_hex(16)
        self._tickets[name] = now + limits.TICKET_SECONDS
        return name

    async def connect(self, request: web.Request) -> web.StreamResponse:
        """Serve one socket until it closes."""
        until = self._tickets.pop(request.query.get("ticket", ""), None)
        if until is None or until < self._clock():
            return web.json_response({"ok": False, "error": "invalid_auth"}, status=403)
        connection = web.WebSocketResponse(heartbeat=30)
        await connection.prepare(request)
        if self.connections >= limits.SOCKET_CONNECTIONS:
            await connection.send_json(_disconnect("too_many_websockets"))
            await connection.close()
            return connection
        socket = Socket(connection, request.transport)
        self._sockets.append(socket)
        self._feed.tell("connection")
        try:
            await connection.send_json(
                {
                    "type": "hello",
                    "num_connections": self.connections,
                    "connection_info": {"app_id": self._app_id},
                    "debug_info": {"host": "simulator", "approximate_connection_time": 18060},
                }
            )
            await self._read(socket)
        finally:
            self._sockets.remove(socket)
            self._feed.tell("connection")
            socket.lost()
        return connection

    async def _read(self, socket: Socket) -> None:
        async for frame in socket.connection:
            if frame.type is not WSMsgType.TEXT:
                continue
            with contextlib.suppress(ValueError):
                answer = json.loads(frame.data)
                if isinstance(answer, dict):
                    future = socket.waiting.pop(str(answer.get("envelope_id")), None)
                    if future is not None and not future.done():
                        future.set_result(answer)

    async def send(
        self, kind: EnvelopeKind, payload: JSON, *, takes_answer: bool, attempt: int = 0, reason: str = ""
    ) -> Any:
        """Deliver one envelope and return the payload it was acknowledged with, None if there was none."""
        ready = [socket for socket in self._sockets if not socket.draining and not socket.connection.closed]
        if not ready:
            raise NotAcknowledged("dispatch_failed")
        socket = ready[0]
        # the next envelope goes to the next socket: an app must not count on one of them
        self._sockets.remove(socket)
        self._sockets.append(socket)
        envelope_id = secrets.token_hex(16)
        envelope: JSON = {
            "envelope_id": envelope_id,
            "type": kind,
            "payload": payload,
            "accepts_response_payload": takes_answer,
        }
        if kind == "events_api":
            envelope |= {"retry_attempt": attempt, "retry_reason": reason}
        future: asyncio.Future[JSON] = asyncio.get_running_loop().create_future()
        socket.waiting[envelope_id] = future
        copies = 1
        if self._faults.repeat_envelopes > 0:
            self._faults.repeat_envelopes -= 1
            copies = 2
        try:
            for _ in range(copies):
                await socket.connection.send_json(envelope)
            answer = await asyncio.wait_for(future, self.ack_seconds)
        except (TimeoutError, ConnectionError):
            raise NotAcknowledged("operation_timeout") from None
        finally:
            socket.waiting.pop(envelope_id, None)
        return answer.get("payload") if takes_answer else None

    def send_event(self, payload: JSON) -> None:
        """Deliver an event, again at Slack's intervals while nobody acknowledges it."""
        task = asyncio.get_running_loop().create_task(self._send_until_acknowledged(payload))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send_until_acknowledged(self, payload: JSON) -> None:
        reason = ""
        for attempt, delay in enumerate((0.0, *self.event_retry_seconds)):
            await asyncio.sleep(delay)
            try:
                await self.send("events_api", payload, takes_answer=False, attempt=attempt, reason=reason)
            except NotAcknowledged as failure:
                reason = "timeout" if str(failure) == "operation_timeout" else "connection_failed"
            else:
                return

    async def refresh(self, reason: DisconnectReason = "refresh_requested") -> None:
        """Ask the app to open new sockets in place of those it has, as Slack does every few hours."""
        for socket in list(self._sockets):
            if reason != "warning":
                socket.draining = True
            with contextlib.suppress(ConnectionError):
                await socket.connection.send_json(_disconnect(reason))

    async def drop(self, *, abruptly: bool = False) -> None:
        """Close every socket; abruptly means without a closing frame, as when a cable is pulled."""
        for socket in list(self._sockets):
            socket.draining = True
            if abruptly and socket.transport is not None:
                socket.transport.abort()
            else:
                await socket.connection.close()

    async def stop(self) -> None:
        """End deliveries and close every socket."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.drop()


def _disconnect(reason: DisconnectReason) -> JSON:
    return {"type": "disconnect", "reason": reason, "debug_info": {"host": "simulator"}}
