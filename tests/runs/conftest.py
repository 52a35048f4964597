"""Notebooks written on the spot, a small dataset, and a way to wait for what another process does."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlops.project import Project

WriteNotebook = Callable[..., Path]


@pytest.fixture
def write_notebook() -> WriteNotebook:
    """Write a notebook: ``write_notebook(project.root / "train.ipynb", "C = 1", "print(C)")``.

    The first cell is the parameters cell unless ``parameters=False``.
    """

    def write(path: Path, *cells: str, parameters: bool = True, kernel: str = "python3") -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        made = [
            {
                "cell_type": "code",
                "id": f"cell-{number}",
                "source": source.splitlines(keepends=True),
                "metadata": {"tags": ["parameters"]} if parameters and number == 0 else {},
                "outputs": [],
                "execution_count": None,
            }
            for number, source in enumerate(cells)
        ]
        spec = {"name": kernel, "display_name": kernel, "language": "python"}
        document = {"cells": made, "metadata": {"kernelspec": spec}, "nbformat": 4, "nbformat_minor": 5}
        path.write_text(json.dumps(document), "utf-8")
        return path

    return write


@pytest.fixture
def customers(project: Project) -> Project:
    """The project, with the dataset ``customers`` in it."""
    commit_customers(project, 3)
    return project


def commit_customers(project: Project, rows: int) -> Any:
    """Commit a version of ``customers`` that has so many rows."""
    file = project.root / "customers.csv"
    file.write_text("id,spent\n" + "".join(f"{n},{n * 10}\n" for n in range(rows)), "utf-8")
    return project.datasets.commit("customers", file)


def eventually(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Return the first true answer of ``condition``; fail when time is up."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
    return answer


def verbs(project: Project, about: str) -> list[str]:
    """Return what was told about one thing, in order."""
    return [event.verb for event in project.events(about=about)]
