"""What is public stays so, and importing it costs next to nothing."""

from __future__ import annotations

import json
import subprocess
import sys

import jupyter_mlops as mlops

HEAVY = {
    "IPython", "altair", "ipywidgets", "matplotlib", "nbclient", "nbformat", "numpy", "pandas", "papermill",
    "polars", "pyarrow", "scipy", "sklearn", "skops", "slack_bolt", "sqlite_utils", "tornado", "vl_convert",
}  # fmt: skip


def loaded_by(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys, json; print(json.dumps(sorted(sys.modules)))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_the_public_names_are_pinned() -> None:
    assert mlops.__all__ == [
        "MLOpsError", "Project", "autolog", "current_run", "drift", "init", "load_dataset", "load_model",
        "log_artifact", "log_input", "log_metric", "log_metrics", "log_model", "log_parameters", "open",
        "report", "set_tags",
    ]  # fmt: skip
    for name in mlops.__all__:
        assert getattr(mlops, name) is not None
        assert name in dir(mlops)


def test_importing_the_package_imports_nothing_heavy() -> None:
    assert loaded_by("import jupyter_mlops") & HEAVY == set()


def test_the_help_imports_nothing_heavy() -> None:
    assert loaded_by("from jupyter_mlops.cli import run; run(['--help'])") & HEAVY == set()


def test_no_face_is_loaded_by_the_work_itself(tmp_path) -> None:
    code = f"""
import pandas, jupyter_mlops as mlops
project = mlops.init({str(tmp_path)!r}, actor="ann@example.com")
project.datasets.commit("d", pandas.DataFrame({{"a": [1.0, 2.0]}}))
project.datasets.list()
from sklearn.linear_model import LinearRegression
model = LinearRegression().fit([[1.0], [2.0]], [1.0, 2.0])
version = project.models.register("m", model)
assert project.models.promote(version.ref, "challenger").moved
project.close()
"""
    assert loaded_by(code) & {"IPython", "ipywidgets", "tornado", "slack_bolt"} == set()
