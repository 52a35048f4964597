"""A person: does through HTTP what somebody does on the simulator's page. Tests and the demo use it."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

import aiohttp

from jupyter_mlops.errors import Conflict, Unreachable

from .page import TOKEN_HEADER
from .refusal import JSON

_POLL_SECONDS = 0.05


class Person:
    """One user of the workspace, by email; use it as an async context manager."""

    def __init__(self, simulator_url: str, email: str) -> None:
        self._url = simulator_url.rstrip("/")
        self._email = email
        self._session: aiohttp.ClientSession | None = None
        self._token = ""

    async def __aenter__(self) -> Person:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the browser, so to speak."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    # reading

    async def channels(self) -> list[str]:
        """Return the names of the channels that this person is in."""
        found = await self._get("/ui/workspace")
        return [channel["name"] for channel in found["channels"] if not channel["is_im"]]

    async def messages(self, channel: str) -> list[JSON]:
        """Return all that this person sees in a channel, oldest first; replies have ``is_reply``."""
        messages: list[JSON] = (await self._get("/ui/messages", channel=channel))["messages"]
        return messages

    async def wait_for_message(
        self, channel: str, matches: Callable[[JSON], bool], timeout: float = 20.0
    ) -> JSON:
        """Return the newest message that matches, as soon as there is one."""
        deadline = time.monotonic() + timeout
        while True:
            found = [message for message in await self.messages(channel) if matches(message)]
            if found:
                return found[-1]
            await _pause(deadline, f"no such message in {channel} within {timeout:g} s")

    async def view(self) -> JSON | None:
        """Return the modal that this person has before them, if any."""
        view: JSON | None = (await self._get("/ui/view"))["view"]
        return view

    async def wait_for_view(self, timeout: float = 10.0) -> JSON:
        """Return the modal that this person has before them, as soon as there is one."""
        deadline = time.monotonic() + timeout
        while True:
            view = await self.view()
            if view is not None:
                return view
            await _pause(deadline, f"no modal opened within {timeout:g} s")

    # doing

    async def say(self, text: str, channel: str, thread_ts: str | None = None) -> JSON:
        """Post plain text and return the message."""
        answer = await self._post("/ui/say", channel=channel, text=text, thread_ts=thread_ts)
        message: JSON = answer["message"]
        return message

    async def command(self, text: str, channel: str, timeout: float = 10.0) -> list[JSON]:
        """Type a slash command; return the app's answers, none if it opened a modal or stayed silent."""
        answer = await self._post("/ui/command", channel=channel, text=text)
        deadline = time.monotonic() + timeout
        while not answer["responses"] and answer["view"] is None and time.monotonic() < deadline:
            await asyncio.sleep(_POLL_SECONDS)
            answer = await self._get("/ui/responses", interaction=answer["interaction"])
        responses: list[JSON] = answer["responses"]
        return responses

    async def press(
        self, channel: str, ts: str, action_id: str, value: Any = None, block_id: str | None = None
    ) -> str:
        """Press a button, or choose in a menu, of a message; return the interaction for ``responses``."""
        answer = await self._post(
            "/ui/press", channel=channel, ts=ts, action_id=action_id, value=value, block_id=block_id
        )
        interaction: str = answer["interaction"]
        return interaction

    async def responses(self, interaction: str) -> list[JSON]:
        """Return what the app answered, so far, to something that this person did."""
        responses: list[JSON] = (await self._get("/ui/responses", interaction=interaction))["responses"]
        return responses

    async def press_in_view(
        self, action_id: str, value: Any = None, values: Mapping[str, Any] | None = None
    ) -> str:
        """Press a button, or choose a value, in the open modal."""
        view = await self.wait_for_view()
        answer = await self._post(
            "/ui/view/press",
            view_id=view["id"],
            action_id=action_id,
            value=value,
            values=_by_block(view, values),
        )
        interaction: str = answer["interaction"]
        return interaction

    async def submit_view(self, values: Mapping[str, Any] | None = None) -> dict[str, str]:
        """Fill the open modal, by action id, and submit it; return errors by block id, none if taken."""
        view = await self.wait_for_view()
        answer = await self._post("/ui/view/submit", view_id=view["id"], values=_by_block(view, values))
        errors: dict[str, str] = answer["errors"]
        return errors

    async def close_view(self) -> None:
        """Close the open modal without submitting it."""
        view = await self.wait_for_view()
        await self._post("/ui/view/close", view_id=view["id"])

    # how

    async def _get(self, path: str, **query: str) -> JSON:
        return await self._send("GET", path, params={"user": self._email, **query})

    async def _post(self, path: str, **body: Any) -> JSON:
        if not self._token:
            await self._read_page()
        return await self._send(
            "POST", path, json={"user": self._email, **body}, headers={TOKEN_HEADER: self._token}
        )

    async def _read_page(self) -> None:
        async with self._browser().get(f"{self._url}/") as response:
            found = re.search(r'name="page-token" content="([^"]+)"', await response.text())
        if found is None:
            raise Unreachable(f"{self._url} is not a simulator's page")
        self._token = found[1]

    async def _send(self, method: str, path: str, **more: Any) -> JSON:
        try:
            async with self._browser().request(method, f"{self._url}{path}", **more) as response:
                body: JSON = await response.json()
                if response.status >= 400:
                    words = body.get("response_metadata", {}).get("messages", ())
                    raise Conflict(str(body["error"]), "; ".join(words))
                return body
        except aiohttp.ClientError as failure:
            raise Unreachable(f"the simulator at {self._url} does not answer", str(failure)) from failure

    def _browser(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        return self._session


def _by_block(view: JSON, values: Mapping[str, Any] | None) -> dict[str, dict[str, Any]]:
    given: dict[str, dict[str, Any]] = {}
    waiting = dict(values or {})
    for block in view["blocks"]:
        elements = [block["element"]] if block["type"] == "input" else block.get("elements", ())
        for element in elements:
            if element.get("action_id") in waiting:
                given.setdefault(block["block_id"], {})[element["action_id"]] = waiting.pop(
                    element["action_id"]
                )
    if waiting:
        raise Conflict(f"the open modal has no {sorted(waiting)[0]}")
    return given


async def _pause(deadline: float, words: str) -> None:
    if time.monotonic() > deadline:
        raise Conflict(words)
    await asyncio.sleep(_POLL_SECONDS)
