"""The benchmark runs and prints its rows; how fast anything is, is its business."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "datasets.py"
ROWS = {
    "small": ["first commit of", "the same again, unchanged", "one file of them changed", "checkout of the"],
    "big": ["first commit of", "checkout of the", "by --link"],
    "next": ["1 % of rows inserted", "bytes that it adds"],
    "seven": ["seven versions", "mlops data compact", "bytes of the seven after compact"],
    "wide": ["load() of one of"],
    "diff": ["rows in the same order", "rows in another order", "10^9 bytes of data allowed"],
    "remote": ["push of", "pull of"],
    "scaling": ["versions there"],
}


@pytest.mark.parametrize("group", ROWS)
def test_every_job_prints_its_rows(tmp_path: Path, group: str) -> None:
    command = [sys.executable, str(SCRIPT), "--quick", "--only", group, "--folder", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for row in ROWS[group]:
        assert any(row in line for line in done.stdout.splitlines()), done.stdout
    assert "MLOPS_UPKEEP=off" in done.stdout
    assert not list(tmp_path.iterdir())
