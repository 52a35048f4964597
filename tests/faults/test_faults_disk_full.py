"""A disk that fills up at any stage: a clear error, nothing lost, and all goes on once there is space again.

The disk is a small one in memory, which only root may make; elsewhere these tests are skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import copied
from .laboratory import Laboratory
from .stories import FILLING, check

SIZE = 48 << 20
FULL = ("No space left", "disk is full", "free space", "free some space")
PASSES = int(os.environ.get("FAULTS_PASSES", "10"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    if shutil.which("mount") is None:
        pytest.skip("there is no mount command")
    options = ["-t", "tmpfs", "-o", f"size={SIZE}", "faults", str(place)]
    made = subprocess.run(["mount", *options], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"a small disk cannot be made here: {made.stderr.strip()}")
    yield place.resolve()
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.mark.parametrize("story", FILLING)
def test_a_full_disk_loses_nothing(
    plain_laboratory: Laboratory, beginning: Path, small_disk: Path, story: str
) -> None:
    refused = 0
    room, step = 0, 8 << 10
    while room < SIZE:
        for left in small_disk.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        root = copied(beginning, small_disk)
        filled(small_disk, room)
        outcome = plain_laboratory.run(story, root)
        (small_disk / "filler").unlink()
        where = f"{story} with {room} bytes left: {outcome}"
        assert outcome.status in (0, 3), where
        try:
            check(root, outcome.told)
        except Exception as error:
            raise AssertionError(f"after {where}: {error!r}") from error
        if outcome.status == 0:
            break
        assert any(words in outcome.told[-1] for words in FULL), where
        refused += 1
        room += step
        step += step * 4 // PASSES  # ever bigger steps: the first bytes are the interesting ones
    assert refused, f"{story} never met the full disk"


def filled(disk: Path, room: int) -> None:
    """Fill the disk but for about ``room`` bytes."""
    with (disk / "filler").open("wb") as filler:
        free = shutil.disk_usage(disk).free - room
        os.posix_fallocate(filler.fileno(), 0, max(free, 1))
