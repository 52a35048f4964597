"""Executed notebooks are what papermill's own engine makes of them, whether the kernel is cold or warm."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
import papermill
import pytest
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.exceptions import PapermillExecutionError

from jupyter_mlops.runs.execution.engine import MLOpsEngine, Watch
from jupyter_mlops.runs.execution.warm.doubt import read
from jupyter_mlops.runs.execution.warm.templates import Templates

from .conftest import environment

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="kernels are forked on Linux only")
KINDS = {
    "values": ["x = 1", "x + y", "print('first')\nx * 2", "'shown';", "_, __"],
    "errors": ["x = 1", "print('before')\ndef f():\n    return 1 / (x - 2)\nf()", "'never reached'"],
    "allowed error": ["x = 1", "#raises\nraise ValueError('allowed')", "print('reached')"],
    "syntax error": ["x = 1", "def f(:\n    pass"],
    "streams": [
        "x = 1",
        "import sys\nfor n in range(4):\n    print('out', n)\n    sys.stdout.flush()\n"
        "    print('err', n, file=sys.stderr)\n    sys.stderr.flush()\nprint('a\\rb\\n\\x1b[31mred')",
    ],
    # what others write comes by a thread of the kernel, so the cell waits for it
    "subprocess output": [
        "x = 1",
        "import os, time\n_ = os.system('echo from outside')\ntime.sleep(1)",
        "!echo shell",
    ],
    "displays": [
        "x = 1",
        "from IPython.display import HTML, clear_output, display\nhandle = display('one', display_id='d')",
        "handle.update('two')\ndisplay({'text/plain': 'p', 'text/html': 'h'}, raw=True)\nHTML('<i>x</i>')",
        "print('gone')\nclear_output()\nprint('stays')\nclear_output(wait=True)\nprint('replaces')",
    ],
    "widgets": [
        "x = 1",
        "import ipywidgets\nslider = ipywidgets.IntSlider(value=3)\nslider",
        "out = ipywidgets.Output()\nout",
        "with out:\n    print('inside')\nslider.value = 5",
    ],
    "images": [
        "x = 1",
        "import matplotlib.pyplot as plt\nimport numpy as np",
        "plt.plot(np.arange(3) * x)\nplt.title('x')",
        "figure, axes = plt.subplots()\naxes.bar([1], [2])\nplt.show()\nplt.get_backend()",
    ],
    "async cells": [
        "x = 1",
        "import asyncio\nawait asyncio.sleep(0.01)\nprint('awaited')",
        "await asyncio.sleep(0, x)",
    ],
    "input": ["x = 1", "input('name?')"],
    "exit": ["x = 1", "import sys\nsys.exit(3)", "print('after')"],
    "quit": ["x = 1", "exit()", "print('after')"],
    "kernel death": [
        "x = 1",
        "import os, signal, time\ntime.sleep(0.5)\nos.kill(os.getpid(), signal.SIGKILL)",
        "print('after')",
    ],
    "large output": ["x = 1", "print('0123456789' * 300_000)", "'a' * 2_000_000"],
    "working folder": [
        "x = 1",
        "import os\nos.getcwd()",
        "import neighbour\nneighbour.__file__, neighbour.name",
    ],
    "magics": [
        "x = 1",
        "%matplotlib inline\n%precision 3",
        "3.14159",
        "%%capture kept\nprint('kept')",
        "kept.stdout",
    ],
    "warnings": [
        "x = 1",
        "import numpy as np\nfrom sklearn.linear_model import LogisticRegression\nimport warnings",
        "warnings.filters",
        "warnings.warn('user')\nnp.float64(1) / 0",
        "X = np.arange(20).reshape(10, 2) ** 3\nmodel = LogisticRegression(max_iter=1).fit(X, [0, 1] * 5)",
        "model.coef_.tobytes().hex()",
    ],
    "logging": ["x = 1", "import logging\nlogging.warning('told')\nlogging.getLogger('a').info('not')"],
    "introspection": [
        "x = 1",
        "import json\njson.dumps??",
        "sorted(n for n in dir() if not n.startswith('_'))",
    ],
    "empty": ["x = 1", "", "#markdown\n# Title", "#raw\nraw", "None"],
    "seeds": [
        "x = 1",
        "import numpy as np\nimport random",
        "np.random.seed(x)\nnp.random.rand(3), random.Random(1).random()",
    ],
    "module names": [
        "x = 1",
        "import __main__\n__main__.x",
        "__name__, type(get_ipython()).__name__, __builtins__.__name__",
    ],
    "pickles": [
        "x = 1",
        "import pickle\nclass Here:\n    pass\npickle.loads(pickle.dumps(Here())).__class__",
    ],
    "processes": [
        "x = 1",
        "import multiprocessing\nfork = multiprocessing.get_context('fork')\n"
        "with fork.Pool(2) as pool:\n    print(pool.map(abs, [-1]))",
        "from concurrent.futures import ThreadPoolExecutor\nlist(ThreadPoolExecutor(2).map(abs, [-2]))",
    ],
    "forked cells": [
        "x = 1",
        "import os, sys\nchild = os.fork()\nif not child:\n    os.write(1, b'its own')\n    os._exit(7)\n"
        "os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])",
        "if not os.fork():\n    sys.exit(1)",
        "print('after')",
    ],
    "threads": [
        "x = 1",
        "import threading\ndone, failed = threading.Event(), threading.Thread(target=lambda: 1 / 0)\n"
        "waiting = threading.Thread(target=lambda: done.wait() and print('from a thread'))\n"
        "waiting.start()\nthreading.active_count()",
        "done.set()\nwaiting.join()\nthreading.current_thread().name",
        "threading.Thread(target=threading.Event().wait, daemon=True).start()",
    ],
    "deleted folder": [
        "x = 1",
        "import os, shutil",
        "os.mkdir('inner')\nos.chdir('inner')\nshutil.rmtree(os.getcwd())\nos.path.exists('.')",
        "print(x)",
        "open('file', 'w')",
    ],
}
_VARYING = re.compile(r"ipykernel_\d+/\d+\.py|0x[0-9a-f]{6,}|(?<=IPY_MODEL_)[0-9a-f]+|\b[0-9a-f]{32}\b")


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_what_papermill_makes_of_it(
    kind: str, templates: Templates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for name in [name for name in os.environ if name.startswith("PYTEST_")]:
        monkeypatch.delenv(name)
    papermill.engines.papermill_engines.register("mlops", MLOpsEngine)
    folder = tmp_path / "folder"
    written = notebook(KINDS[kind])
    nbformat.write(written, tmp_path / "in.ipynb")
    reading = read([cell.source for cell in written.cells if cell.cell_type == "code"])
    assert reading.why == ""
    template = templates.kernel(reading, environment())
    place = templates.place(re.sub(r"\W", "", kind))

    watch = Watch(template=template.address, place=str(place))
    theirs = executed(tmp_path, folder, "theirs", engine_name=None)
    cold = executed(tmp_path, folder, "cold", engine_name="mlops")
    warm = executed(tmp_path, folder, "warm", engine_name="mlops", watch=watch)

    assert watch.warm, watch.why
    assert json.dumps(cold, indent=1).splitlines() == json.dumps(theirs, indent=1).splitlines()
    assert json.dumps(warm, indent=1).splitlines() == json.dumps(theirs, indent=1).splitlines()


def notebook(sources: list[str]) -> Any:
    """A notebook of these cells, the first of which declares the parameters."""
    cells = []
    for number, source in enumerate(sources):
        if source.startswith(("#markdown", "#raw")):
            make = (
                nbformat.v4.new_markdown_cell if source.startswith("#markdown") else nbformat.v4.new_raw_cell
            )
            cells.append(make(source.partition("\n")[2]))
            continue
        tags = ["parameters"] if number == 0 else []
        tags += ["raises-exception"] if source.startswith("#raises") else []
        cells.append(nbformat.v4.new_code_cell(source, metadata={"tags": tags}))
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number}"
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": spec})


def executed(place: Path, folder: Path, name: str, **options: Any) -> dict[str, Any]:
    """Execute the notebook; return all of it and how it ended, without what no two executions share."""
    output = place / "out.ipynb"
    output.unlink(missing_ok=True)
    folder.mkdir(exist_ok=True)
    (folder / "neighbour.py").write_text("name = __name__\n")
    ended: Any = None
    try:
        papermill.execute_notebook(
            place / "in.ipynb", output, {"x": 2, "y": 3}, progress_bar=False, cwd=folder, **options
        )
    except PapermillExecutionError as error:
        ended = [error.ename, error.evalue, error.traceback, error.cell_index, error.exec_count, error.source]
    except (DeadKernelError, CellTimeoutError) as error:
        ended = [type(error).__name__, str(error)]
    return {"ended": steady(ended), "notebook": steady(nbformat.read(output, 4))}


def steady(value: Any, key: str = "") -> Any:
    """Return ``value`` with times, addresses and random names replaced by their kind."""
    if isinstance(value, Mapping):
        named = {name: steady(each, name) for name, each in value.items()}
        if key == "state":  # widgets have random names: what they are and hold counts
            return sorted((steady(each) for each in value.values()), key=json.dumps)
        return named
    if isinstance(value, list | tuple):
        return [steady(each) for each in value]
    if key == "id" and not value.startswith("cell-"):
        return "random"  # of the cell that papermill injected
    if isinstance(value, str):
        return _VARYING.sub("…", value) if "time" not in key and "." not in key else "time"
    if key == "duration" and value is not None:
        return "duration"
    return value
