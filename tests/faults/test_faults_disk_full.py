"""A disk that fills up at any stage: a clear error, nothing lost, and all goes on once there is space again.

The disk is a small one in memory that only its own process sees; where none can be made these are skipped.
FAULTS_PASSES sets in how many stages it is met (about 10 without it).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .full_disk import MOUNT
from .laboratory import HERE
from .stories import FILLING

ALONE = ("unshare", "--mount") if os.geteuid() == 0 else ("unshare", "--mount", "--map-root-user")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder at which a process may have a disk of its own."""
    if any(shutil.which(command) is None for command in ("unshare", "mount")):
        pytest.skip("a small disk is made with the commands unshare and mount")
    place = tmp_path / "disk"
    place.mkdir()
    tried = subprocess.run([*ALONE, *MOUNT, place], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"a small disk cannot be made here: {tried.stderr.strip()}")
    return place


@pytest.mark.parametrize("story", FILLING)
def test_a_full_disk_loses_nothing(beginning: Path, place: Path, story: str) -> None:
    told = subprocess.run(
        [*ALONE, sys.executable, "-m", "tests.faults.full_disk", story, beginning, place],
        cwd=HERE.parents[1],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert told.returncode == 0, told.stdout
    assert list(place.iterdir()) == [], "what the disk held was seen from outside"
