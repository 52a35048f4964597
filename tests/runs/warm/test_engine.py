"""The engine serves papermill itself and saves when it should; kernels can be asked for by a kernelspec."""

from __future__ import annotations

import json
import os
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import nbformat
import papermill
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager
from papermill.exceptions import PapermillExecutionError

import jupyter_mlops
from jupyter_mlops.runs.execution.engine import MLOpsEngine, Watch
from jupyter_mlops.runs.execution.warm.provisioner import VARIABLE, WarmProvisioner
from jupyter_mlops.runs.execution.warm.templates import Template

from .conftest import Kernel, environment

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="kernels are forked on Linux only")


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The states in which a notebook was written while it was executed: how many cells were done."""
    seen: list[int] = []
    write = papermill.engines.write_ipynb

    def counted(nb: Any, path: str) -> None:
        seen.append(sum(cell.metadata.papermill["status"] == "completed" for cell in nb.cells))
        write(nb, path)

    monkeypatch.setattr(papermill.engines, "write_ipynb", counted)
    papermill.engines.papermill_engines.register("mlops", MLOpsEngine)
    return seen


def notebook(place: Path, *sources: str) -> Path:
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": spec}), place / "in.ipynb")
    return place / "in.ipynb"


def test_quick_cells_are_written_once_at_the_end(
    writes: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "jupyter_mlops.runs.execution.engine._SAVE_EVERY", 3600.0
    )  # a slow machine is no long notebook
    options = {"engine_name": "mlops", "progress_bar": False, "autosave_cell_every": 0}
    source = notebook(tmp_path, *(f"print({n})" for n in range(6)))
    papermill.execute_notebook(source, tmp_path / "out.ipynb", **options)
    assert writes == []
    assert len(nbformat.read(tmp_path / "out.ipynb", 4).cells[5].outputs) == 1


def test_a_long_notebook_is_saved_meanwhile(
    writes: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jupyter_mlops.runs.execution.engine._SAVE_EVERY", 0.2)
    source = notebook(tmp_path, *(["import time\ntime.sleep(0.3)"] * 4))
    papermill.execute_notebook(source, tmp_path / "out.ipynb", engine_name="mlops", progress_bar=False)
    assert max(writes) >= 3


def test_an_error_is_saved_with_what_led_to_it(writes: list[int], tmp_path: Path) -> None:
    source = notebook(tmp_path, "print('before')", "1 / 0", "print('after')")
    with pytest.raises(PapermillExecutionError):
        papermill.execute_notebook(source, tmp_path / "out.ipynb", engine_name="mlops", progress_bar=False)
    assert writes
    cells = nbformat.read(tmp_path / "out.ipynb", 4).cells
    assert any("ZeroDivisionError" in json.dumps(cell.get("outputs", [])) for cell in cells)


def test_both_are_found_by_their_entry_points() -> None:
    (engine,) = entry_points(group="papermill.engine", name="mlops")
    assert engine.load().execute_managed_notebook == MLOpsEngine.execute_managed_notebook
    (provisioner,) = entry_points(group="jupyter_client.kernel_provisioners", name="mlops-warm")
    assert provisioner.load() is WarmProvisioner


def test_its_kernelspec_gives_forked_kernels_where_there_is_a_template(
    template: Template, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = Path(jupyter_mlops.__file__).parent / "_data" / "kernels"
    manager = KernelManager(
        kernel_name="mlops-warm", kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(shipped)])
    )
    monkeypatch.setenv(VARIABLE, template.address)
    manager.start_kernel(cwd=str(tmp_path), env=environment())
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=120)
        kernel = Kernel(manager, client)
        assert isinstance(kernel.provisioner, WarmProvisioner)
        assert kernel.provisioner.warm, kernel.provisioner.why
        assert kernel.run(f"import os\nprint('{VARIABLE}' in os.environ)") == "False\n"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_every_one_of_many_outputs_is_kept(tmp_path: Path) -> None:
    # more than the sockets hold, faster than they can be read
    source = notebook(tmp_path, "for n in range(3000):\n    print(n, flush=True)")
    papermill.execute_notebook(source, tmp_path / "out.ipynb", engine_name="mlops", progress_bar=False)
    written = "".join(output.text for output in nbformat.read(tmp_path / "out.ipynb", 4).cells[0].outputs)
    assert written.split() == [str(n) for n in range(3000)]


def test_more_output_than_a_notebook_keeps_is_cut_and_told(
    template: Template, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jupyter_mlops.runs.execution.engine._MOST_OUTPUT", 2_000_000)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for name in [name for name in os.environ if name.startswith("PYTEST_")]:
        monkeypatch.delenv(name)
    source = notebook(
        tmp_path,
        "from IPython.display import clear_output\nfor _ in range(3):\n"
        "    print('gone' * 200_000)\n    clear_output()\nprint('small')",
        "for _ in range(3):\n    print('x' * 599_999, flush=True)",
        "'y' * 2_000_000",
        "'z'",
        "raise ValueError('told')",
    )
    place = Path(template.address).parent / "cut"
    place.mkdir()
    watch = Watch(template=template.address, place=str(place))
    options = {"engine_name": "mlops", "progress_bar": False, "cwd": tmp_path}
    found = []
    for each in (None, watch):
        with pytest.raises(PapermillExecutionError):
            papermill.execute_notebook(source, tmp_path / "out.ipynb", watch=each, **options)
        cells = nbformat.read(tmp_path / "out.ipynb", 4).cells
        found.append([cell.outputs for cell in cells if cell.cell_type == "code"])
    assert watch.warm, watch.why
    assert found[0] == found[1]
    first, streams, value, small, error = found[1]
    assert [output.text for output in first] == ["small\n"]
    assert sum(len(output.text) for output in streams[:-1]) == 999_997
    note = "800,003 letters of the output of this cell were left out: there was room for 999,997\n"
    assert (streams[-1].name, streams[-1].text) == ("stderr", note)
    assert value[0].text.startswith("2,000,002 letters of the output")
    assert small[0].data == {"text/plain": "'z'"}
    assert error[-1].ename == "ValueError"
