"""The simulator: a local Slack that a bot connects to and a person opens in a browser.

``mlops slack simulate``, ``mlops up``, the demo and the tests start it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import json
import os
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from aiohttp import web
from filelock import FileLock, Timeout

from jupyter_mlops.errors import BadInput, Conflict

from .. import limits
from . import web_api
from .faults import Faults
from .page import Page
from .refusal import JSON
from .slack import Slack
from .socket_mode import SocketMode
from .web_api.files import read_file, take_upload
from .workspace import Workspace

READY_FILE = "simulator.json"


class Simulator:
    """A strict local Slack over one folder of state.

    Parameters
    ----------
    folder
        Where messages, users, channels, files and tokens are kept over restarts; one simulator at a time.
    users
        People who are made known, as ``{"email": …, "name": …}``.
    channels
        Names of channels that are made known; these people and the bot are in them.
    clock
        Tells the seconds since 1970; tests turn it.
    commands
        The slash commands that the app has.
    events
        The events that the app subscribed to, of ``app_mention`` and ``message.im``.
    """

    def __init__(
        self,
        folder: Path,
        *,
        users: Sequence[Mapping[str, str]] = (),
        channels: Sequence[str] = (),
        clock: Callable[[], float] = time.time,
        commands: Sequence[str] = ("/mlops",),
        events: Sequence[str] = (),
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder = folder
        self._lock = FileLock(folder / "simulator.lock")
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise Conflict(
                f"a simulator already runs on {folder}", "stop it first, or give this one another folder"
            ) from None
        self.workspace = Workspace(folder / "workspace.sqlite", clock)
        people = [self.workspace.add_user(user["email"], user.get("name") or user["email"]) for user in users]
        for channel in channels:
            self.workspace.add_channel(channel, [self.workspace.bot.id, *(person.id for person in people)])
        self._slack = Slack(self.workspace, clock, tuple(commands), tuple(events))
        self._page = Page(self._slack)
        self._runner: web.AppRunner | None = None
        self._site: web.TCPSite | None = None
        self._address = ("", 0)
        self._unplugged = False

    # what a bot and a person need to know

    @property
    def url(self) -> str:
        """The page."""
        return f"{self._slack.base_url}/"

    @property
    def api_url(self) -> str:
        """The Web API, for ``WebClient(base_url=…)``."""
        return f"{self._slack.base_url}/api/"

    @property
    def bot_token(self) -> str:
        """The bot's token, for the Web API."""
        return self.workspace.identity.bot_token

    @property
    def app_token(self) -> str:
        """The app's token, for Socket Mode."""
        return self.workspace.identity.app_token

    @property
    def signing_secret(self) -> str:
        """The app's signing secret."""
        return self.workspace.identity.signing_secret

    # what a test needs to reach

    @property
    def faults(self) -> Faults:
        """What goes wrong with the next calls."""
        return self._slack.faults

    @property
    def socket_mode(self) -> SocketMode:
        """The sockets: how many there are; refresh and drop them."""
        return self._slack.socket_mode

    @property
    def complaints(self) -> list[str]:
        """What the app did wrong where Slack has no reply to tell it."""
        return self._slack.complaints

    def send_event(self, event: JSON) -> None:
        """Send the app an event of any type."""
        self._page.interactions.send_event(event)

    # its life

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 takes any that is free."""
        if not _is_loopback(host):
            raise BadInput(
                f"the simulator does not listen on {host}", "it has no login, so only loopback will do"
            )
        app = web.Application(
            middlewares=[self._plug, self._page.guard], client_max_size=limits.UPLOAD_BYTES + 1024 * 1024
        )
        app.add_routes(
            [
                web.route("*", "/api/{method}", self._answer),
                web.get("/link/", self._slack.socket_mode.connect),
                web.post("/upload/v1/{file}", self._take_upload),
                web.get("/files-pri/{file}/{name}", self._read_file),
                *self._page.routes(),
            ]
        )
        app.on_shutdown.append(self._send_away)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await self._runner.setup()
        await self._listen(host, port)
        bound_host, bound_port = self._runner.addresses[0][:2]
        self._address = (bound_host, bound_port)
        shown = f"[{bound_host}]" if ":" in bound_host else bound_host
        self._slack.base_url = f"http://{shown}:{bound_port}"

    async def stop(self) -> None:
        """Close every connection and the state's file."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        self.workspace.close()
        self._lock.release()

    async def unplug(self) -> None:
        """Refuse connections and break those there are, as if the network were gone."""
        self._unplugged = True
        if self._site is not None:
            await self._site.stop()
            self._site = None
        await self._slack.socket_mode.drop(abruptly=True)

    async def plug_in(self) -> None:
        """Listen again on the same port."""
        await self._listen(*self._address)
        self._unplugged = False

    async def _listen(self, host: str, port: int) -> None:
        if self._runner is None:
            raise Conflict("the simulator was stopped", "make a new one over the same folder")
        self._site = web.TCPSite(self._runner, host, port)
        try:
            await self._site.start()
        except OSError as failure:
            if failure.errno != errno.EADDRINUSE:
                raise
            raise Conflict(f"port {port} is in use", "give another one, or 0 for any that is free") from None

    @web.middleware
    async def _plug(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if self._unplugged and request.transport is not None:
            # a connection that was kept alive: what comes over it now never arrives
            request.transport.abort()
            return web.Response(status=503)
        return await handler(request)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        return await web_api.answer(self._slack, request)

    async def _take_upload(self, request: web.Request) -> web.Response:
        return await take_upload(self._slack, request)

    async def _read_file(self, request: web.Request) -> web.Response:
        return await read_file(self._slack, request)

    async def _send_away(self, app: web.Application) -> None:
        self._slack.feed.end()
        await self._slack.socket_mode.stop()


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def run(
    folder: Path,
    users: Sequence[Mapping[str, str]] = (),
    channels: Sequence[str] = (),
    port: int = 0,
    on_ready: Callable[[Simulator], None] | None = None,
) -> None:
    """Serve until cancelled; meanwhile ``simulator.json`` in the folder says where, and with which tokens."""
    simulator = Simulator(folder, users=users, channels=channels)
    ready = folder / READY_FILE
    # one that was killed may have left its own: nobody shall take it for ours
    ready.unlink(missing_ok=True)
    try:
        await simulator.start(port=port)
        _write_privately(
            ready,
            {
                "url": simulator.url,
                "api_url": simulator.api_url,
                "bot_token": simulator.bot_token,
                "app_token": simulator.app_token,
                "pid": os.getpid(),
            },
        )
        if on_ready is not None:
            on_ready(simulator)
        await asyncio.Event().wait()
    finally:
        ready.unlink(missing_ok=True)
        await simulator.stop()


def _write_privately(path: Path, content: JSON) -> None:
    """Put a file in place whole, readable by its owner alone from the first byte."""
    half = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with open(os.open(half, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
            json.dump(content, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        os.replace(half, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            half.unlink()
