"""The provisioner: gives a kernel manager a kernel forked from a template, else one started as ever.

Found by ``jupyter_client`` through its entry point, for the kernelspec ``mlops-warm``; runs use it directly.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from .fork import Fork, Keepers, Refused, fork

VARIABLE = "MLOPS_TEMPLATE"
_LAUNCHER = ["-m", "ipykernel_launcher"]


class WarmProvisioner(LocalProvisioner):
    """Manages one kernel. ``warm`` says whether it was forked, ``why`` why not.

    The template is the one at ``template``, else at the address in the environment variable MLOPS_TEMPLATE.
    """

    def __init__(
        self,
        template: str = "",
        calls: Sequence[tuple[str, Sequence[Any]]] = (),
        folders: Sequence[str] = (),
        keepers: Keepers | None = None,
        **traits: Any,
    ) -> None:
        super().__init__(**traits)
        self._template = template or os.environ.get(VARIABLE, "")
        self._calls = calls
        self._folders = folders
        self._keepers = keepers
        self._fork: Fork | None = None
        self.warm = False
        self.why = ""

    @property
    def has_process(self) -> bool:
        """Return whether there is a kernel to manage."""
        return self._fork is not None or super().has_process

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """Have a kernel forked; where that cannot be, start one."""
        self.warm, self.why = False, ""
        try:
            self._fork = await self._forked(cmd, kwargs)
        except Refused as refusal:
            self.why = str(refusal)
            return await super().launch_kernel(cmd, **kwargs)
        self.warm = True
        self.pid = self.pgid = self._fork.pid
        self.cwd = kwargs.get("cwd") or os.getcwd()
        return self.connection_info

    async def poll(self) -> int | None:
        """Return the kernel's exit status, ``None`` while it lives."""
        if self._fork is not None:
            return self._fork.poll()
        status: int | None = await super().poll()
        return status

    async def wait(self) -> int | None:
        """Wait until the kernel has ended."""
        if self._fork is None:
            ended: int | None = await super().wait()
            return ended
        while (status := self._fork.poll()) is None:
            await _news(self._fork)
        self._fork.close()
        self._fork = None
        return status

    async def send_signal(self, signum: int) -> None:
        """Signal the kernel and what it started, and no other kernel."""
        if self._fork is None:
            await super().send_signal(signum)
        else:
            self._fork.send_signal(signum)

    async def kill(self, restart: bool = False) -> None:
        """Kill the kernel."""
        if self._fork is None:
            await super().kill(restart=restart)
        else:
            self._fork.send_signal(signal.SIGKILL)

    async def terminate(self, restart: bool = False) -> None:
        """Ask the kernel to end."""
        if self._fork is None:
            await super().terminate(restart=restart)
        else:
            self._fork.send_signal(signal.SIGTERM)

    async def cleanup(self, restart: bool = False) -> None:
        """Let go of a kernel that has not ended by now."""
        if self._fork is not None and not restart:
            self._fork.close()
            self._fork = None
        await super().cleanup(restart=restart)

    async def load_provisioner_info(self, provisioner_info: dict[str, Any]) -> None:
        """Take over a kernel of another process: never a forked one, which died with its owner."""
        await super().load_provisioner_info({**provisioner_info, "pid": None, "pgid": None})

    async def _forked(self, cmd: list[str], kwargs: dict[str, Any]) -> Fork:
        if not self._template:
            raise Refused("there is no template")
        if cmd[1:3] != _LAUNCHER:
            raise Refused("the kernel is not ipykernel's own")
        made = await asyncio.to_thread(
            fork,
            self._template,
            cmd[3:],
            environment={name: value for name, value in kwargs["env"].items() if name != VARIABLE},
            folder=str(kwargs.get("cwd") or os.getcwd()),
            output=sys.__stdout__.fileno() if sys.__stdout__ else 1,
            errors=sys.__stderr__.fileno() if sys.__stderr__ else 2,
            executable=cmd[0],
            calls=self._calls,
            folders=self._folders,
            keepers=self._keepers,
        )
        while made.poll() is None and not made.ready:
            await _news(made)
        if not made.ready:
            made.close()
            raise Refused(f"the forked kernel ended with status {made.status} when it started")
        return made


async def _news(fork: Fork) -> None:
    """Wait until the keeper says something."""
    loop = asyncio.get_running_loop()
    heard = asyncio.Event()
    loop.add_reader(fork.fileno(), heard.set)
    try:
        await heard.wait()
    finally:
        loop.remove_reader(fork.fileno())
