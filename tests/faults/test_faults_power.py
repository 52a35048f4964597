"""After a loss of power everything acknowledged is there; without its syncs it would not be.

A commit's calls are recorded and replayed up to many points; what was not synced there is dropped or torn.
FAULTS_STATES sets how many states are looked at (120 without it), FAULTS_SEED repeats a run.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlops.errors import Damaged

from .conftest import MakeRoot
from .laboratory import Laboratory
from .power import Call, Disk, recorded
from .stories import check

STATES = int(os.environ.get("FAULTS_STATES", "120"))
SEED = int(os.environ.get("FAULTS_SEED", random.randrange(10**6)))
KEPT = (0.0, 0.5, 0.9, 1.0)


@pytest.mark.parametrize("share", range(2))
def test_power_loss_takes_nothing_that_was_acknowledged(
    recorder: Laboratory, make_root: MakeRoot, workshop: Path, share: int
) -> None:
    print(f"FAULTS_SEED={SEED}")
    check_all(lost_power(recorder, make_root(), workshop, "commit", STATES // 2, SEED + share))


def test_power_loss_while_files_are_checked_out(
    recorder: Laboratory, make_root: MakeRoot, workshop: Path
) -> None:
    print(f"FAULTS_SEED={SEED}")
    check_all(lost_power(recorder, make_root(), workshop, "checkout", STATES // 4, SEED))


@pytest.mark.parametrize(
    ("fault", "lost"),
    [
        ({"deaf": "/objects/"}, "missing|damaged|not what was written"),
        ({"pragma": "synchronous=OFF"}, "lost: "),
        ({"pragma": "synchronous=NORMAL"}, "lost: "),
    ],
    ids=["bytes are not synced", "synchronous=OFF", "synchronous=NORMAL"],
)
def test_without_its_syncs_a_commit_is_lost(
    recorder: Laboratory, make_root: MakeRoot, workshop: Path, fault: dict[str, Any], lost: str
) -> None:
    # the control: were it not found here, the tests above would prove nothing
    states = lost_power(recorder, make_root(), workshop, "commit", 200, 1, **fault)
    with pytest.raises((AssertionError, Damaged), match=lost):
        check_all(states)


def check_all(states: Iterator[tuple[Path, list[str]]]) -> None:
    """Check every state, and name the one that is wrong."""
    for number, (state, told) in enumerate(states):
        try:
            check(state, told)
        except (AssertionError, Damaged) as error:
            error.add_note(f"in state {number}, after {told}")
            raise


def lost_power(
    recorder: Laboratory, root: Path, workshop: Path, story: str, states: int, seed: int, **fault: Any
) -> Iterator[tuple[Path, list[str]]]:
    """Yield projects as power may leave them while ``story`` runs, with what it had told by then."""
    log = workshop / f"log-{os.urandom(4).hex()}"
    disk = Disk(root)
    outcome = recorder.run(story, root, mode="record", log=str(log), **fault)
    assert outcome.status == 0, outcome
    calls = recorded(log)
    log.unlink()
    chance = random.Random(seed)
    points = sorted(chance.choices(_telling(calls), k=states))
    fed, told = 0, list[str]()
    for number, point in enumerate(points):
        for call in calls[fed:point]:
            disk.feed(call)
            if call.letter == "K":
                told.append(call.one)
        fed = point
        place = workshop / f"state-{os.urandom(4).hex()}"
        place.mkdir()
        try:
            disk.after_loss(place / "project", chance, KEPT[number % len(KEPT)])
            yield place / "project", list(told)
        finally:
            shutil.rmtree(place)


def _telling(calls: list[Call]) -> list[int]:
    """Return the points worth a look: after every call, those right after an acknowledgement ten times."""
    points = list(range(len(calls) + 1))
    return points + [at + 1 for at, call in enumerate(calls) if call.letter == "K" for _ in range(10)]
