"""An errand: one person of the simulator waits for a message, and may press a button in it. For the demo."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from typing import Any

from jupyter_mlops.errors import Conflict, MLOpsError

from .person import Person


async def run(
    url: str, email: str, channel: str, containing: str, press: str, seconds: float
) -> dict[str, Any]:
    """Wait for the bot's message about ``containing`` in ``channel``; press the button of that action."""

    def matches(message: dict[str, Any]) -> bool:
        if not message["is_bot"] or containing not in json.dumps(message):
            return False
        return not press or _button(message, press) is not None

    async with Person(url, email) as person:
        message = await person.wait_for_message(channel, matches, timeout=seconds)
        deadline = time.monotonic() + seconds
        while press:
            button = _button(message, press) or {}
            try:
                await person.press(channel, message["ts"], button["action_id"], value=button.get("value"))
                break
            except Conflict:
                # a bot that is only just connecting; somebody at the page would press again
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.5)
        return message


def _button(message: dict[str, Any], action: str) -> dict[str, Any] | None:
    for block in message.get("blocks", []):
        for element in block.get("elements", []) if block["type"] == "actions" else []:
            if element.get("action_id") == action:
                found: dict[str, Any] = element
                return found
    return None


def main() -> int:
    """Run the errand that the command line names; the message goes to standard output as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("url", "email", "channel", "containing"):
        parser.add_argument(name)
    parser.add_argument("--press", default="", metavar="ACTION")
    parser.add_argument("--seconds", type=float, default=60.0)
    asked = parser.parse_args()
    try:
        message = asyncio.run(
            run(asked.url, asked.email, asked.channel, asked.containing, asked.press, asked.seconds)
        )
    except MLOpsError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status
    sys.stdout.write(json.dumps(message))
    return 0


if __name__ == "__main__":
    sys.exit(main())
