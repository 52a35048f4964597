"""A notebook that a program executes keeps tables where a person would have got controls."""

from __future__ import annotations

from typing import Any

import nbclient
import nbconvert
import nbformat
import pytest

from tests.conftest import ANN, BO, POLICY, MakeProject

from .test_panel import asked

CELLS = (
    "%load_ext jupyter_mlops\nimport jupyter_mlops as mlops",
    "%mlops runs",
    "mlops.open().runs.leaderboard('metrics.auc > 0.5')",
    "%mlops approvals",
)


def test_what_people_press_is_a_table_in_it(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(POLICY)
    request = asked(project)
    with project.runs.start("tries", {"depth": 3}) as run:
        run.log_metric("auc", 0.875)
    monkeypatch.setenv("MLOPS_ACTOR", BO)
    monkeypatch.chdir(project.root)
    new: Any = nbformat.v4
    notebook = new.new_notebook(cells=[new.new_code_cell(source) for source in CELLS])
    client = nbclient.NotebookClient(
        notebook, kernel_name="python3", resources={"metadata": {"path": str(project.root)}}
    )
    executed = client.execute()
    assert "widgets" not in executed.metadata
    shown = [cell.outputs[0].data for cell in executed.cells[1:]]
    assert all("application/vnd.jupyter.widget-view+json" not in data for data in shown)
    assert ["0.875" in data["text/html"] for data in shown] == [True, True, False]
    assert request.id in shown[2]["text/html"]
    make: Any = nbconvert.HTMLExporter
    page, _ = make().from_notebook_node(executed)
    assert page.count("0.875") >= 2
    assert ANN in page
