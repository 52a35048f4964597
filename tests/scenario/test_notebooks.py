"""The example notebooks run in real kernels, and what they show survives in the saved file."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import nbformat
import papermill
import pytest

from jupyter_mlops.demo.story import example_notebooks
from jupyter_mlops.project import open_project


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for notebook in example_notebooks().glob("*.ipynb"):
        shutil.copy(notebook, tmp_path)
    monkeypatch.setenv("MLOPS_ACTOR", "ann@example.com")
    monkeypatch.delenv("MLOPS_PROJECT", raising=False)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    return tmp_path


def executed(folder: Path, name: str) -> Any:
    out = folder / f"executed-{name}"
    papermill.execute_notebook(folder / name, out, cwd=folder, progress_bar=False)
    return nbformat.read(out, as_version=4)


def test_the_quickstart_tells_the_whole_story(folder: Path) -> None:
    notebook = executed(folder, "01_quickstart.ipynb")
    shown = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    results = [output for output in shown if output.output_type in ("execute_result", "display_data")]
    assert len(results) >= 18
    for result in results:
        assert "text/plain" in result.data
    assert sum("text/html" in result.data for result in results) >= 12
    assert not [output for output in shown if output.output_type == "error"]
    with open_project(folder) as project:
        assert project.models.get("tumour-model@challenger").ref == "tumour-model@v1"
        assert [request.state for request in project.approvals.list()] == ["pending"]
        assert len(project.runs.search(experiment="tumours")) == 12
        assert project.audit.verify().ok


def test_the_training_notebook_also_runs_by_hand(folder: Path) -> None:
    from sklearn.datasets import load_breast_cancer

    import jupyter_mlops as mlops

    table = load_breast_cancer(as_frame=True).frame.rename(columns={"target": "late"})
    with mlops.init(folder, actor="ann@example.com") as project:
        project.datasets.commit("flights", table)
        notebook = executed(folder, "02_train.ipynb")
        text = "".join(
            str(output) for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs
        )
        assert "not recorded" in text
        assert "auc" in text
        assert len(project.runs.search()) == 0
