"""The process of a run: papermill executes the notebook here. Started or forked by ``LocalExecutor``.

It knows no store: what it is to do is in ``request.json`` of its folder, what came of it is in
``result.json`` and ``executed.ipynb`` when it ends. Whoever started it writes the facts. One that was forked
goes on to the next run, for as long as it is given any: no code of a notebook runs in it.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sys
import traceback
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from typing import TYPE_CHECKING, Any

from jupyter_mlops import lifeline
from jupyter_mlops.runs.execution.executor import overdue
from jupyter_mlops.runs.liveness import holding
from jupyter_mlops.runs.tracking import capture

if TYPE_CHECKING:
    from jupyter_mlops.runs.execution.engine import Watch
    from jupyter_mlops.runs.execution.warm.fork import Keepers

REQUEST, RESULT, EXECUTED, INPUT, REPORT, PROCESS = (
    "request.json",
    "result.json",
    "executed.ipynb",
    "input.ipynb",
    "report.json",
    "pid",
)
_INJECTED, _MARKER = "injected-parameters", "papermill-error-cell-tag"
_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_START_SECONDS = 120
_LARGEST = 1 << 19  # KiB: a notebook with very many outputs was here, and the next run needs no such process
_DIED_STARTING = "Kernel died before replying"


class TimeUp(KeyboardInterrupt):
    """The run's time limit has passed; a subclass, because asyncio lets only such through at once."""


def main(folder: str) -> int:
    """Execute what the folder's request asks for, write the result beside it, and leave no process."""
    lifeline.adopt_orphans()
    try:
        execute(folder)
    finally:
        lifeline.end_descendants()
    return 0


def execute(folder: str, keepers: Keepers | None = None) -> bool:
    """Do as ``main``; return whether the kernel was forked, so that nothing of it is left here."""
    lifeline.follow_parent()
    signal.signal(signal.SIGTERM, _time_is_up)
    # papermill reads braces in a path as parameters, so it gets bare names
    os.chdir(folder)
    request = json.loads(Path(REQUEST).read_text("utf-8"))
    Path(PROCESS).write_text(str(os.getpid()))
    with holding(Path(request["lock"])):
        error, watch = _executed(request, keepers)
        environment = _read_report() or capture.environment()
        result = {"error": error, "environment": environment, "warm": watch.warm, "why": watch.why}
        half = Path(f"{RESULT}.half")
        half.write_text(json.dumps(result, ensure_ascii=False), "utf-8", errors="replace")
        half.replace(RESULT)
    return watch.warm


def serve() -> int:
    """Execute what each line of standard input asks for and answer it; ends after a run that was not warm."""
    from jupyter_mlops.runs.execution.warm.fork import Keepers

    keepers = Keepers()
    with socket.socket(fileno=os.dup(0)) as line, line.makefile("rb") as lines:
        _point(os.devnull, os.O_RDONLY, 0)
        for text in lines:
            asked = json.loads(text)
            os.environ.clear()
            os.environ.update(asked["environment"])
            _point(asked["log"], os.O_WRONLY | os.O_APPEND, 1, 2)
            warm = execute(asked["folder"], keepers)
            sys.stdout.flush()
            sys.stderr.flush()
            if not warm or getrusage(RUSAGE_SELF).ru_maxrss > _LARGEST:
                break
            line.sendall(b"\n")
    return 0


def _point(path: str, flags: int, *descriptors: int) -> None:
    """Have ``descriptors`` mean the file at ``path``."""
    opened = os.open(path, flags)
    for descriptor in descriptors:
        os.dup2(opened, descriptor, inheritable=True)
    os.close(opened)


def rehearse() -> None:
    """Load and prepare what each run needs: called once, in the template of run processes."""
    _skip_slow_grammar()
    import papermill
    import zmq.asyncio  # noqa: F401 loaded here, so that no run loads it
    from jupyter_client import asynchronous  # noqa: F401 the same
    from jupyter_client.kernelspec import KernelSpecManager
    from nbformat import v4, validate

    from jupyter_mlops.runs.execution.engine import MLOpsEngine
    from jupyter_mlops.runs.execution.warm import provisioner  # noqa: F401 the same

    papermill.engines.papermill_engines.register("mlops", MLOpsEngine)
    cell = v4.new_code_cell("a = 1", metadata={"tags": ["parameters"]})  # type: ignore[no-untyped-call]
    notebook = v4.new_notebook(cells=[cell])  # type: ignore[no-untyped-call]
    notebook.metadata.update(
        kernelspec={"name": "python3", "display_name": "Python", "language": "python"}, papermill={}
    )
    papermill.parameterize.parameterize_notebook(notebook, {"a": 2}, kernel_name="python3", language="python")
    validate(notebook)
    KernelSpecManager().find_kernel_specs()
    capture.environment()


def _skip_slow_grammar() -> None:
    # jsonschema imports it if it can, and it compiles a grammar of web addresses then: two seconds a run
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]  # None: not to be had


def _time_is_up(*_: object) -> None:
    raise TimeUp


def _executed(
    request: dict[str, Any], keepers: Keepers | None, starts: int = 3
) -> tuple[dict[str, Any] | None, Watch]:
    """Execute the notebook and return what went wrong; a kernel that dies at its start gets another."""
    _skip_slow_grammar()
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    from jupyter_mlops.runs.execution.engine import MLOpsEngine, Watch

    here = str(Path.cwd())
    watch = Watch(
        folder=request["folder"],
        begin=(
            "jupyter_mlops.runs.tracking.imports:begin",
            (request["root"], here, request["kept"], request["paths"]),
        ),
        report="__import__('jupyter_mlops.runs.tracking.capture', fromlist=['report'])"
        f".report({str(Path(REPORT).resolve())!r})",
        folders=[os.path.join(request["kept"], path) for path in request["paths"]] if request["kept"] else (),
        template=request["template"],
        why=request["why"],
        place=request["place"],
        keepers=keepers,
        start_seconds=_START_SECONDS,
    )
    try:
        papermill.engines.papermill_engines.register("mlops", MLOpsEngine)
        papermill.execute_notebook(
            INPUT,
            EXECUTED,
            parameters=request["parameters"],
            engine_name="mlops",
            kernel_name=request["kernel"],
            language="python",
            progress_bar=False,
            watch=watch,
        )
        return None, watch
    except PapermillExecutionError as failure:
        error = _error(
            _as_written(watch.notebook, failure.cell_index),
            *_told(failure, watch),
            failure.source,
            failure.exec_count,
        )
        return error, watch
    except DeadKernelError:
        message = "the kernel died while this cell ran: out of memory, killed, or crashed"
        error = _at_cell(watch, "KernelDied", message)
    except TimeUp:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        limit = request["seconds"]
        message = "it was stopped" if limit is None else overdue(limit).message
        error = _at_cell(watch, "TimeLimit", message)
    except Exception as failure:
        # two kernels that start at the same moment may pick the same port, and one of them dies of it
        if watch.cell is None and _DIED_STARTING in str(failure) and starts > 1:
            return _executed(request, keepers, starts - 1)
        # whatever else goes wrong is the run's failure, told as such
        if watch.cell is None and not os.path.isdir(request["folder"]):
            message = f"the notebook's folder {os.path.relpath(request['folder'], request['root'])} is gone"
            error = _error(None, "NotFound", message, "", "")
        else:
            cell = _as_written(watch.notebook, watch.cell)
            error = _error(cell, type(failure).__name__, str(failure), traceback.format_exc(), "")
    if watch.notebook is not None:
        Path(EXECUTED).write_text(
            json.dumps(watch.notebook, ensure_ascii=False, indent=1), "utf-8", "replace"
        )
    return error, watch


def _told(failure: Any, watch: Watch) -> tuple[str, str, str]:
    """Return name, message and traceback of what a cell raised."""
    if not failure.traceback and watch.raised is not None:
        return watch.raised
    return failure.ename, failure.evalue, "\n".join(failure.traceback)


def _at_cell(watch: Watch, name: str, message: str) -> dict[str, Any]:
    cell = _as_written(watch.notebook, watch.cell)
    if watch.notebook is None or watch.cell is None:
        return _error(cell, name, message, "", "")
    executed = watch.notebook.cells[watch.cell]
    # a cell that was interrupted says where
    traces = [one["traceback"] for one in executed.get("outputs", ()) if one["output_type"] == "error"]
    trace = "\n".join(traces[-1]) if traces else ""
    return _error(cell, name, message, trace, executed.source, executed.get("execution_count"))


def _read_report() -> dict[str, Any] | None:
    try:
        return dict(json.loads(Path(REPORT).read_text("utf-8")))
    except (OSError, ValueError):
        return None


def _as_written(notebook: Any, index: int | None) -> int | None:
    """Return the position that an executed cell has in the notebook as its author sees it."""
    if notebook is None or index is None:
        return index
    # papermill counts without its markers of the error, and has put them in by the time it raises
    tags = [tags for cell in notebook.cells if _MARKER not in (tags := cell.metadata.get("tags", []))]
    return index - sum(_INJECTED in each for each in tags[:index])


def _error(
    cell: int | None, name: str, message: str, trace: str, source: str, execution: Any = None
) -> dict[str, Any]:
    texts = {"name": name, "message": message, "traceback": _ESCAPES.sub("", trace), "source": source}
    told = {key: str(text).replace("\x00", "") for key, text in texts.items()}
    # a kernel that died was not asked what it counted
    return {"cell": cell, "execution": execution if isinstance(execution, int) else None, **told}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
