"""The benchmark of runs prints its rows; how fast anything is, is its business."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
ROWS = {
    "tracking": [
        "log_metric a second, 1 process",
        "log_metric a second, 4 processes on one project",
        "our store on PostgreSQL, 2 processes",
        "runs a second, 10 parameters and 10 metrics, durable",
    ],
    "search": ["top 50 of", "leaderboard, first"],
    "sweep": ["sweep of", "overhead of a run beyond its cells"],
}


@pytest.mark.parametrize("group", ROWS)
def test_every_job_prints_its_row(group: str) -> None:
    command = [sys.executable, str(FOLDER / "runs.py"), "--quick", "--only", group]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for row in ROWS[group]:
        assert any(row in line for line in done.stdout.splitlines()), done.stdout


def test_rows_are_judged_by_what_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(FOLDER)
    from rows import Row  # type: ignore[import-not-found]

    assert Row("calls", 500.0, 10.0, "/s", 25).holds is True
    assert Row("calls", 200.0, 10.0, "/s", 25).holds is False
    assert Row("sweep", 1.0, 8.5, "s", 8).holds is True
    assert Row("sweep", 2.0, 8.5, "s", 8).holds is False
    assert Row("of 100,000", 3.0, 2.0, "s", 2, "at most").ratio == 1.5
    assert Row("of 100,000", 5.0, 2.0, "s", 2, "at most").holds is False
    assert Row("overhead", 0.2, None, "s", 0.25, "below").holds is True
    assert Row("overhead", 0.3, None, "s", 0.25, "below").holds is False
    assert Row("alone", 1.0, None, "s", 8).holds is None


def test_a_group_that_is_not_there_is_named() -> None:
    done = subprocess.run(
        [sys.executable, str(FOLDER / "runs.py"), "--only", "trackng"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "no group trackng" in done.stderr
