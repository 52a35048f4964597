"""The process of one run: papermill executes the notebook here. Started by an ``Execution``.

It knows no store: what it is to do is in ``request.json`` of its folder, what came of it is in
``result.json`` and ``executed.ipynb`` when it ends. Whoever started it writes the facts.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_mlops import lifeline
from jupyter_mlops.runs import capture
from jupyter_mlops.runs.liveness import holding

REQUEST, RESULT, EXECUTED, INPUT, REPORT = (
    "request.json",
    "result.json",
    "executed.ipynb",
    "input.ipynb",
    "report.json",
)
_INJECTED = "injected-parameters"
_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_START_SECONDS = 120
_DIED_STARTING = "Kernel died before replying"


class TimeUp(KeyboardInterrupt):
    """The run's time limit has passed; a subclass, because asyncio lets only such through at once."""


@dataclass
class Seen:
    """What was seen of the notebook while it executed."""

    notebook: Any = None
    cell: int | None = None


def main(folder: str) -> int:
    """Execute what the folder's request asks for and write the result beside it."""
    lifeline.follow_parent()
    signal.signal(signal.SIGTERM, _time_is_up)
    # papermill reads braces in a path as parameters, so it gets bare names
    os.chdir(folder)
    request = json.loads(Path(REQUEST).read_text("utf-8"))
    with holding(Path(request["lock"])):
        error = _executed(request)
        environment = _read_report() or capture.environment()
        text = json.dumps({"error": error, "environment": environment}, ensure_ascii=False)
        half = Path(f"{RESULT}.half")
        half.write_text(text, "utf-8", errors="replace")
        half.replace(RESULT)
    return 0


def _time_is_up(*_: object) -> None:
    raise TimeUp


def _executed(request: dict[str, Any], starts: int = 3) -> dict[str, Any] | None:
    """Execute the notebook and return what went wrong; a kernel that dies at its start gets another."""
    # jsonschema imports it if it can, and it compiles a grammar of web addresses then: two seconds a run
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]  # None: not to be had
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    seen = Seen()
    try:
        papermill.engines.papermill_engines.register("mlops", _engine(seen, request))
        papermill.execute_notebook(
            INPUT,
            EXECUTED,
            parameters=request["parameters"],
            engine_name="mlops",
            kernel_name=request["kernel"],
            language="python",
            progress_bar=False,
            request_save_on_cell_execute=False,
            autosave_cell_every=0,
        )
        return None
    except PapermillExecutionError as failure:
        return _error(
            _as_written(seen.notebook, failure.cell_index),
            failure.ename,
            failure.evalue,
            "\n".join(failure.traceback),
            failure.source,
        )
    except DeadKernelError:
        message = "the kernel died while this cell ran: out of memory, killed, or crashed"
        error = _error(
            _as_written(seen.notebook, seen.cell),
            "KernelDied",
            message,
            "",
            _source(seen.notebook, seen.cell),
        )
    except TimeUp:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        message = f"the run took longer than its limit of {request['seconds']:g} seconds"
        cell = _as_written(seen.notebook, seen.cell)
        error = _error(cell, "TimeLimit", message, "", _source(seen.notebook, seen.cell))
    except Exception as failure:
        # two kernels that start at the same moment may pick the same port, and one of them dies of it
        if seen.cell is None and _DIED_STARTING in str(failure) and starts > 1:
            return _executed(request, starts - 1)
        # whatever else goes wrong is the run's failure, told as such
        cell = _as_written(seen.notebook, seen.cell)
        error = _error(cell, type(failure).__name__, str(failure), traceback.format_exc(), "")
    if seen.notebook is not None:
        Path(EXECUTED).write_text(json.dumps(seen.notebook, ensure_ascii=False, indent=1), "utf-8", "replace")
    return error


def _engine(seen: Seen, request: dict[str, Any]) -> type:
    """Return papermill's engine, made to remember the cell and to ask the kernel what it has loaded."""
    from papermill.clientwrap import PapermillNotebookClient
    from papermill.engines import NBClientEngine

    here = str(Path.cwd())
    begin = (
        "__import__('jupyter_mlops.runs.imports', fromlist=['begin'])"
        f".begin({request['root']!r}, {here!r}, {request['kept']!r}, {request['paths']!r})"
    )
    report = (
        "__import__('jupyter_mlops.runs.capture', fromlist=['report'])"
        f".report({str(Path(REPORT).resolve())!r})"
    )

    class Client(PapermillNotebookClient):  # type: ignore[misc]  # papermill ships no types
        def execute_cell(self, cell: Any, cell_index: int, **options: Any) -> Any:
            seen.cell = cell_index
            return super().execute_cell(cell, cell_index, **options)

        def papermill_execute_cells(self) -> None:
            self._ask(begin)
            super().papermill_execute_cells()
            self._ask(report)

        def _ask(self, expression: str) -> None:
            # an expression beside an empty, silent request: no cell, no history, no output
            self.wait_for_reply(
                self.kc.execute("", silent=True, store_history=False, user_expressions={"it": expression})
            )

    class Engine(NBClientEngine):  # type: ignore[misc]  # papermill ships no types
        @classmethod
        def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **_: Any) -> Any:
            seen.notebook = nb_man.nb
            return Client(
                nb_man,
                kernel_name=kernel_name,
                startup_timeout=_START_SECONDS,
                resources={"metadata": {"path": request["folder"]}},
            ).execute()

    return Engine


def _read_report() -> dict[str, Any] | None:
    try:
        return dict(json.loads(Path(REPORT).read_text("utf-8")))
    except (OSError, ValueError):
        return None


def _as_written(notebook: Any, index: int | None) -> int | None:
    """Return the position that an executed cell has in the notebook as its author sees it."""
    if notebook is None or index is None:
        return index
    before = notebook.cells[:index]
    return index - sum(_INJECTED in cell.metadata.get("tags", []) for cell in before)


def _source(notebook: Any, index: int | None) -> str:
    return "" if notebook is None or index is None else str(notebook.cells[index].source)


def _error(cell: int | None, name: str, message: str, trace: str, source: str) -> dict[str, Any]:
    texts = {"name": name, "message": message, "traceback": _ESCAPES.sub("", trace), "source": source}
    return {"cell": cell, **{key: str(text).replace("\x00", "") for key, text in texts.items()}}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
