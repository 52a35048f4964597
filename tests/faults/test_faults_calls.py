"""A process that dies, or is refused, at its Nth call that changes a file: N grows until it passes.

Commits die at one of every two calls, the rest at one of four, chosen by chance, and every eighth call is
refused; FAULTS_EVERY=1 takes all of them, FAULTS_SEED repeats a run.
"""

from __future__ import annotations

import errno
import os
import random
from itertools import count
from pathlib import Path

import pytest

from .conftest import MakeRoot
from .laboratory import LENGTH, NAME, SYNC, WRITE, Laboratory, Outcome
from .stories import check, check_remote

EVERY = os.environ.get("FAULTS_EVERY")
SEED = int(os.environ.get("FAULTS_SEED", random.randrange(10**6)))
SHARES = 3
KINDS = {"write": WRITE | LENGTH, "sync": SYNC, "rename": NAME}


@pytest.mark.parametrize("share", range(SHARES))
@pytest.mark.parametrize("story", ["commit", "checkout", "compact", "gc", "push", "pull"])
def test_killed_at_every_call(laboratory: Laboratory, make_root: MakeRoot, story: str, share: int) -> None:
    every = int(EVERY or (2 if story == "commit" else 4))
    chance = random.Random(SEED + share)
    print(f"FAULTS_SEED={SEED}")
    for some in count(share, SHARES):
        # a fixed step would always meet the same of calls that alternate, as writes and syncs do
        at = 1 + some * every + chance.randrange(every)
        root = make_root()
        outcome = laboratory.run(story, root, mode="kill", at=at, watched=str(root.parent))
        assert outcome.status in (0, -9), outcome
        _check(root, outcome, f"{story} killed at call {at} of {outcome.calls}")
        if story == "push":
            check_remote(root)
        if outcome.status == 0:
            assert some >= SHARES, "no call was seen"
            break


@pytest.mark.parametrize("sticky", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "code", [errno.ENOSPC, errno.EIO, errno.EDQUOT], ids=lambda code: errno.errorcode[code]
)
def test_refused_at_every_call(
    laboratory: Laboratory, make_root: MakeRoot, code: int, kind: str, sticky: bool
) -> None:
    every = int(EVERY or 8)
    for at in count(1 + (code + KINDS[kind]) % every, every):
        root = make_root()
        outcome = laboratory.run(
            "commit", root, mode="fail", at=at, kinds=KINDS[kind], error=code, sticky=sticky
        )
        where = f"{kind} {at} of {outcome.calls} fails with {errno.errorcode[code]}: {outcome.told}"
        assert outcome.status in (0, 3), where  # a clean error, never a traceback
        _check(root, outcome, where)
        if outcome.calls < at:
            break


def test_a_failed_sync_is_never_taken_for_success(laboratory: Laboratory, make_root: MakeRoot) -> None:
    for at in count(1, int(EVERY or 2)):
        outcome = laboratory.run("commit", make_root(), mode="fail", at=at, kinds=SYNC, error=errno.EIO)
        if outcome.calls < at:
            assert outcome.status == 0
            assert at > 3
            break
        # one of the commits was refused: that one is not acknowledged
        assert len([line for line in outcome.told if line.startswith("ack")]) < 2 or outcome.status == 0
        if outcome.status == 0:
            continue  # the sync of what can be built again
        assert outcome.status == 3, outcome


def _check(root: Path, outcome: Outcome, where: str) -> None:
    try:
        check(root, outcome.told)
    except Exception as error:
        raise AssertionError(f"after {where}: {error!r}") from error
