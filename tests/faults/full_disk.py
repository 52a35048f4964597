"""The full disk: a small one of its own that a story fills in ever later stages. Run by its test.

It runs as ``unshare --mount python -m tests.faults.full_disk STORY BEGINNING PLACE``: the disk is seen by
this process and its children alone, and is gone with them, however they end.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from . import stories
from .conftest import copied
from .laboratory import Laboratory

SIZE = 48 << 20
MOUNT = ("mount", "-t", "tmpfs", "-o", f"size={SIZE}", "faults")
PASSES = int(os.environ.get("FAULTS_PASSES", "10"))
_SAYS_SO = ("No space left", "disk is full", "free space", "free some space")


def meet(laboratory: Laboratory, story: str, beginning: Path, disk: Path) -> None:
    """Run ``story`` with ever more space left until it succeeds; raise ``AssertionError`` if it does harm."""
    refused = 0
    room, step = 0, 8 << 10
    while room < SIZE:
        for left in disk.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        root = copied(beginning, disk)
        fill(disk, room)
        outcome = laboratory.run(story, root)
        (disk / "filler").unlink()
        where = f"{story} with {room} bytes left: {outcome}"
        assert outcome.status in (0, 3), where
        try:
            stories.check(root, outcome.told)
        except Exception as error:
            raise AssertionError(f"after {where}: {error!r}") from error
        if outcome.status == 0:
            break
        assert any(words in outcome.told[-1] for words in _SAYS_SO), where
        refused += 1
        room += step
        step += step * 4 // PASSES  # ever bigger steps: the first bytes are the interesting ones
    assert refused, f"{story} never met the full disk"


def fill(disk: Path, room: int) -> None:
    """Fill the disk but for about ``room`` bytes."""
    with (disk / "filler").open("wb") as filler:
        free = shutil.disk_usage(disk).free - room
        os.posix_fallocate(filler.fileno(), 0, max(free, 1))


def main(story: str, beginning: Path, place: Path) -> None:
    """Make the disk at ``place``, which must be a folder, and let ``story`` meet it."""
    stories.silence()
    subprocess.run([*MOUNT, place], check=True)
    with Laboratory(None) as laboratory:
        meet(laboratory, story, beginning, place.resolve())


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
