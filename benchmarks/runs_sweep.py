"""A sweep beside papermill: the same runs of the same notebook, two at a time. Run by ``benchmarks/runs.py``.

Ours is the whole command ``mlops run``, with the start of its process and of its templates. Theirs are two
processes that share the runs, each of which starts once and calls ``papermill.execute_notebook``. What ours
does beside is counted: the store, the event chain, sources, environment and notebooks kept. The overhead of
a run is what it took beyond its cells, in the middle of the sweep.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from rows import Row

RUNS, QUICK_RUNS = 32, 4
WORKERS = 2
MLOPS = str(Path(sys.executable).parent / "mlops")
ACTOR = "benchmark@example.com"
TOML = f'[project]\nname = "benchmark"\n[people]\nadmin = ["{ACTOR}"]\n'
CELLS = (
    "C = 1.0",
    """
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
""",
    """
X, y = load_breast_cancer(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
model = make_pipeline(StandardScaler(), LogisticRegression(C=C)).fit(X_train, y_train)
""",
    "auc = roc_auc_score(y_test, model.predict_proba(X_test)[:, 1])\nprint(f'{np.round(auc, 4)}')",
)
THEIRS = """
import json, sys, time
import papermill
spent = []
for number, value in json.loads(sys.argv[1]):
    begun = time.perf_counter()
    papermill.execute_notebook("train.ipynb", f"{number}.ipynb", {"C": value}, progress_bar=False)
    spent.append([number, time.perf_counter() - begun])
print(json.dumps(spent))
"""


def rows(quick: bool, mlflow: str) -> Iterator[Row | str]:
    """Yield the rows."""
    count = QUICK_RUNS if quick else RUNS
    with tempfile.TemporaryDirectory(prefix="benchmark-", ignore_cleanup_errors=True) as place:
        values = [round(0.05 * (number + 1), 2) for number in range(count)]
        their_wall, their_overhead = theirs(folder_of(Path(place) / "theirs"), values)
        our_wall, our_overhead, warm = ours(folder_of(Path(place) / "ours"), values)
    job = f"sweep of {count} runs, {WORKERS} workers"
    yield Row(job, our_wall, their_wall, "s", 8.0)
    yield Row("  overhead of a run beyond its cells", our_overhead, their_overhead, "s", 0.25, "below")
    yield f"  {warm} of {count} runs had a warm kernel"


def folder_of(folder: Path) -> Path:
    """Make a folder with the notebook and a project's configuration."""
    folder.mkdir(parents=True)
    cells = [
        {
            "cell_type": "code",
            "id": f"cell-{number}",
            "source": source.strip(),
            "metadata": {"tags": ["parameters"]} if number == 0 else {},
            "outputs": [],
            "execution_count": None,
        }
        for number, source in enumerate(CELLS)
    ]
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    document = {"cells": cells, "metadata": {"kernelspec": spec}, "nbformat": 4, "nbformat_minor": 5}
    (folder / "train.ipynb").write_text(json.dumps(document), "utf-8")
    (folder / "mlops.toml").write_text(TOML, "utf-8")
    return folder


def ours(folder: Path, values: Sequence[float]) -> tuple[float, float, int]:
    """Return the seconds of the command, the overhead of a run, and how many runs were warm."""
    environment = {**os.environ, "MLOPS_ACTOR": ACTOR}
    subprocess.run([MLOPS, "init"], cwd=folder, env=environment, check=True, capture_output=True)
    grid = f"C={','.join(map(str, values))}"
    words = [MLOPS, "run", "train.ipynb", "--grid", grid, "--workers", str(WORKERS)]
    begun = time.perf_counter()
    subprocess.run(words, cwd=folder, env=environment, check=True, capture_output=True)
    wall = time.perf_counter() - begun

    from jupyter_mlops.project import open_project

    project = open_project(folder, ACTOR)
    try:
        found = project.runs.search(limit=None)
        assert [run.status for run in found] == ["finished"] * len(values)
        overheads = [(run.duration or 0.0) - spent_in_cells(run.executed_notebook()) for run in found]
        return wall, statistics.median(overheads), sum(bool(run.warm) for run in found)
    finally:
        project.close()


def theirs(folder: Path, values: Sequence[float]) -> tuple[float, float]:
    """Return the seconds of the two processes, and the overhead of a run."""
    shares: list[list[tuple[int, float]]] = [[] for _ in range(WORKERS)]
    for number, value in enumerate(values):
        shares[number % WORKERS].append((number, value))
    environment = {**os.environ, "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // WORKERS))}
    begun = time.perf_counter()
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", THEIRS, json.dumps(share)],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        for share in shares
    ]
    said = [process.communicate()[0] for process in processes]
    wall = time.perf_counter() - begun
    assert all(process.returncode == 0 for process in processes)
    overheads = [
        took - spent_in_cells(json.loads((folder / f"{number}.ipynb").read_text("utf-8")))
        for text in said
        for number, took in json.loads(text)
    ]
    return wall, statistics.median(overheads)


def spent_in_cells(notebook: dict[str, object] | None) -> float:
    """Return the seconds that the cells of an executed notebook took."""
    assert notebook is not None
    cells: list[dict[str, dict[str, dict[str, float | None]]]] = notebook["cells"]  # type: ignore[assignment]
    return sum(cell["metadata"]["papermill"]["duration"] or 0.0 for cell in cells)
