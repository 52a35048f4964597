"""The engine: papermill's way of executing a notebook, without the waiting. Used by a run's process, and by
``papermill --engine mlops``, which finds it by its entry point.

What comes out is what papermill's own engine gives. What differs is when it waits and writes: a kernel is
ready when it answers, ended when it has ended, and the notebook is saved after an error and every few seconds
of a long one rather than twice a cell.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import TYPE_CHECKING, Any

from nbclient.exceptions import CellExecutionError  # noqa: TID253 only the entry point and runs load this
from papermill.clientwrap import PapermillNotebookClient  # noqa: TID253 the same
from papermill.engines import NBClientEngine, NotebookExecutionManager  # noqa: TID253 the same
from zmq import RCVHWM

if TYPE_CHECKING:
    from .warm.fork import Keepers

_SAVE_EVERY = 5.0
_TO_END = 2.5
_BETWEEN_LOOKS = 0.01
_SHORTEST, _LONGEST = 0.02, 0.2
# letters, of which each cell may fill half of what is left: one that never stops writing must not take all
# memory, and what the cells after it say is to be seen
_MOST_OUTPUT = 200_000_000
_LONGEST_TRACE = 20_000
_TO_HEAR = 120  # 200 MB that a cell wrote are on their way for longer than nbclient's 4 seconds


@dataclass
class Watch:
    """What a run asks of the engine, and what it sees meanwhile.

    ``begin`` is a function of the kernel, ``module:function``, with its arguments. ``report`` is an
    expression that a cold kernel evaluates at its end: a warm one has the environment of this process.
    ``folders`` are where modules are found before installed ones. ``template`` is where a kernel can be
    forked, ``place`` a folder for its sockets, ``keepers`` those that are free in this process.
    """

    folder: str = ""
    begin: tuple[str, Sequence[Any]] | None = None
    report: str = ""
    folders: Sequence[str] = ()
    template: str = ""
    why: str = ""
    place: str = ""
    keepers: Keepers | None = None
    start_seconds: int = 120
    notebook: Any = None
    cell: int | None = None
    raised: tuple[str, str, str] | None = None
    warm: bool = False
    idle: bool = field(default=True)


class Saving(NotebookExecutionManager):  # type: ignore[misc]  # papermill ships no types
    """Saves when something would be lost otherwise: after an error, every few seconds of a long notebook."""

    def save(self, **options: Any) -> None:
        """Save if that is due."""
        failed = bool(self.nb.metadata.papermill.get("exception"))
        since = (self.now() - self.last_save_time).total_seconds()
        if failed or since >= min(_SAVE_EVERY, self.autosave_cell_every or _SAVE_EVERY):
            super().save(**options)

    def save_now(self) -> None:
        """Save what there is."""
        super().save()


class Client(PapermillNotebookClient):  # type: ignore[misc]  # papermill ships no types
    """Executes the cells of one notebook in a kernel of its own."""

    def __init__(self, manager: Any, watch: Watch, **options: Any) -> None:
        super().__init__(manager, **options)
        self.watch = watch
        self._kept: Counter[int] = Counter()
        self._notes: dict[int, tuple[Any, int]] = {}

    def create_kernel_manager(self) -> Any:
        """Return a manager whose kernel is forked where that is possible."""
        manager = super().create_kernel_manager()
        watch = self.watch
        if watch.place:
            # a folder of this run alone: kernels that start together cannot take each other's ports
            manager.connection_file = str(Path(watch.place) / "kernel.json")
            manager.transport, manager.ip = "ipc", str(Path(watch.place) / "s")
        if watch.template and manager.kernel_spec is not None:
            from .warm.provisioner import WarmProvisioner

            manager.kernel_id = "run"
            manager.provisioner = WarmProvisioner(
                kernel_id=manager.kernel_id,
                kernel_spec=manager.kernel_spec,
                parent=manager,
                template=watch.template,
                calls=[watch.begin] if watch.begin else [],
                folders=watch.folders,
                keepers=watch.keepers,
            )
        return manager

    async def async_start_new_kernel_client(self) -> Any:
        """Connect to the kernel and wait until it answers; what it says by then is no cell's output."""
        self.kc = self.km.client()
        # by default what cells write faster than it is read is lost from the thousandth message on
        self.kc.context.setsockopt(RCVHWM, 0)
        try:
            self.kc.start_channels(stdin=False, hb=False)
            await self._ready(time.monotonic() + self.startup_timeout)
        except BaseException:
            await self._async_cleanup_kernel()
            raise
        self.kc.allow_stdin = False
        if self.watch.template:
            self.watch.warm = self.km.provisioner.warm
            self.watch.why = self.km.provisioner.why
        if self.on_notebook_start is not None:
            self.on_notebook_start(notebook=self.nb)
        return self.kc

    async def _ready(self, deadline: float) -> None:
        patience = _SHORTEST
        while True:
            asked = self.kc.kernel_info()
            with contextlib.suppress(Empty):
                while True:
                    reply = await self.kc.get_shell_msg(timeout=1.0)
                    if reply["parent_header"].get("msg_id") == asked:
                        break
                self.kc._handle_kernel_info_reply(reply)
                # the answer to what was asked has come on this channel too: so will the output of cells
                while not _idle(await self.kc.get_iopub_msg(timeout=patience), asked):
                    pass
                return
            patience = min(patience * 2, _LONGEST)
            if not await self.km.is_alive():
                raise RuntimeError("Kernel died before replying to kernel_info")
            if time.monotonic() > deadline:
                raise RuntimeError(f"Kernel didn't respond in {self.startup_timeout} seconds")

    def execute_cell(self, cell: Any, cell_index: int, **options: Any) -> Any:
        """Execute one cell and remember which."""
        self.watch.cell = cell_index
        self.watch.idle = False
        try:
            executed = super().execute_cell(cell, cell_index, **options)
        except CellExecutionError as failure:
            self.watch.idle = True
            # IPython shows a group of exceptions by printing it alone
            printed = [each["text"] for each in cell.outputs if each.get("name") == "stderr"]
            self.watch.raised = failure.ename, failure.evalue, "".join(printed)[-_LONGEST_TRACE:]
            raise
        self.watch.idle = True  # and not where whoever executes it is interrupted
        return executed

    def output(self, outs: list[Any], msg: dict[str, Any], display_id: str | None, cell_index: int) -> Any:
        """Keep what a cell wrote or showed, up to a limit for the whole notebook; what is beyond is told."""
        if self.clear_before_next_output:
            self._forget(cell_index)
        content = msg["content"]
        text = content.get("text") if msg["msg_type"] == "stream" else None
        size = len(text) if isinstance(text, str) else _size(content)
        kept = self._kept[cell_index]
        left = (_MOST_OUTPUT - self._kept.total() + kept) // 2 - kept
        if size <= left or msg["msg_type"] == "error":
            self._kept[cell_index] += size
            return super().output(outs, msg, display_id, cell_index)
        if isinstance(text, str) and left > 0:
            content["text"] = text[:left]
            self._kept[cell_index] += left
            size -= left
            super().output(outs, msg, display_id, cell_index)
        self._leave_out(outs, cell_index, size)
        return None

    def clear_output(self, outs: list[Any], msg: dict[str, Any], cell_index: int) -> None:
        """Drop what a cell wrote so far."""
        if not msg["content"].get("wait"):
            self._forget(cell_index)
        super().clear_output(outs, msg, cell_index)

    def papermill_execute_cells(self) -> None:
        """Execute all cells, between what the run asks of the kernel before and after them."""
        if self.watch.begin and not self.watch.warm:
            name, arguments = self.watch.begin
            module, _, function = name.partition(":")
            given = ", ".join(map(repr, arguments))
            self._ask(f"__import__({module!r}, fromlist=[{function!r}]).{function}({given})")
        super().papermill_execute_cells()
        if self.watch.report and not self.watch.warm:
            self._ask(self.watch.report)

    def _leave_out(self, outs: list[Any], cell_index: int, size: int) -> None:
        from nbformat.v4 import new_output

        note, before = self._notes.get(cell_index, (None, 0))
        if note is None:
            note = new_output("stream", name="stderr", text="")  # type: ignore[no-untyped-call]
            outs.append(note)
        self._notes[cell_index] = note, before + size
        note["text"] = (
            f"{before + size:,} letters of the output of this cell were left out: "
            f"there was room for {self._kept[cell_index]:,}\n"
        )

    def _forget(self, cell_index: int) -> None:
        self._kept[cell_index] = 0
        self._notes.pop(cell_index, None)

    def _ask(self, expression: str) -> None:
        # an expression beside an empty, silent request: no cell, no history, no output
        self.wait_for_reply(
            self.kc.execute("", silent=True, store_history=False, user_expressions={"it": expression})
        )

    async def _async_cleanup_kernel(self) -> None:
        """End the kernel and see it end at once; one that will not is ended as papermill does it."""
        if self.km is None:
            return
        with contextlib.suppress(Exception):
            if self.kc is not None and self.watch.idle and await self.km.is_alive():
                self.kc.shutdown()
                await asyncio.wait_for(self._ended(), _TO_END)
        await super()._async_cleanup_kernel()

    async def _ended(self) -> None:
        from .warm.provisioner import WarmProvisioner

        provisioner = self.km.provisioner
        if isinstance(provisioner, WarmProvisioner) and provisioner.warm:
            await provisioner.wait()
            return
        while await self.km.is_alive():
            await asyncio.sleep(_BETWEEN_LOOKS)

    def _cleanup_kernel(self) -> None:
        from nbclient.util import run_sync

        run_sync(self._async_cleanup_kernel)()

    def start_new_kernel_client(self) -> Any:
        """Do as ``async_start_new_kernel_client`` and wait for it."""
        from nbclient.util import run_sync

        return run_sync(self.async_start_new_kernel_client)()


class MLOpsEngine(NBClientEngine):  # type: ignore[misc]  # papermill ships no types
    """Papermill's engine ``mlops``."""

    @classmethod
    def execute_notebook(
        cls,
        nb: Any,
        kernel_name: str,
        output_path: str | None = None,
        progress_bar: Any = True,
        log_output: bool = False,
        autosave_cell_every: int = 30,
        **options: Any,
    ) -> Any:
        """Execute ``nb`` and return it; papermill writes it down after that."""
        manager = Saving(nb, output_path, log_output, progress_bar, autosave_cell_every)
        manager.notebook_start()
        try:
            cls.execute_managed_notebook(manager, kernel_name, log_output=log_output, **options)
        except BaseException:
            manager.cleanup_pbar()
            manager.notebook_complete()
            manager.save_now()
            raise
        manager.cleanup_pbar()
        manager.notebook_complete()
        return manager.nb

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man: Any,
        kernel_name: str,
        log_output: bool = False,
        stdout_file: Any = None,
        stderr_file: Any = None,
        start_timeout: int = 60,
        execution_timeout: int | None = None,
        watch: Watch | None = None,
        **options: Any,
    ) -> Any:
        """Execute the notebook that ``nb_man`` holds."""
        from papermill.log import logger
        from papermill.utils import merge_kwargs, remove_args

        given = remove_args(["input_path", "timeout", "startup_timeout"], **options)
        given.setdefault("iopub_timeout", _TO_HEAR)
        merged = merge_kwargs(
            given,
            timeout=execution_timeout or options.get("timeout"),
            startup_timeout=watch.start_seconds if watch else start_timeout,
            kernel_name=kernel_name,
            log=logger,
            log_output=log_output,
            stdout_file=stdout_file,
            stderr_file=stderr_file,
        )
        watch = watch or Watch()
        watch.notebook = nb_man.nb
        if watch.folder:
            merged["resources"] = {"metadata": {"path": watch.folder}}
        return Client(nb_man, watch, **merged).execute()


def _size(content: dict[str, Any]) -> int:
    """Return about how many letters of a notebook an output takes."""
    values = content.get("data", {}).values()
    return sum(len(each) if isinstance(each, str) else len(json.dumps(each)) for each in values)


def _idle(message: dict[str, Any], asked: str) -> bool:
    return bool(
        message["msg_type"] == "status"
        and message["content"].get("execution_state") == "idle"
        and message["parent_header"].get("msg_id") == asked
    )
