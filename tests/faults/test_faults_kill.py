"""kill -9 at a random moment loses nothing that was acknowledged, and the next commit works.

FAULTS_KILLS sets how many kills (40 without it); FAULTS_SEED repeats a run.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from .conftest import MakeRoot
from .laboratory import Laboratory
from .stories import check

KILLS = int(os.environ.get("FAULTS_KILLS", "40"))
SEED = int(os.environ.get("FAULTS_SEED", random.randrange(10**6)))
ROUNDS = 5


@pytest.mark.parametrize("share", range(2))
def test_what_was_acknowledged_survives_kills(
    plain_laboratory: Laboratory, make_root: MakeRoot, share: int
) -> None:
    chance = random.Random(SEED + share)
    print(f"FAULTS_SEED={SEED}")
    for _ in range(KILLS // 2 // ROUNDS):
        root, told = make_root(), list[str]()
        for _ in range(ROUNDS):  # one project lives through several deaths
            acks = chance.choice((0, 1, 1, 2))
            outcome = plain_laboratory.run("commit_on", root, acks=acks, after=chance.uniform(0, 0.1))
            assert outcome.status == -9, outcome
            assert len(outcome.told) >= acks
            told += outcome.told
        check(root, told)


def test_an_interrupted_checkout_leaves_the_old_files_or_the_new_ones(
    plain_laboratory: Laboratory, make_root: MakeRoot
) -> None:
    chance = random.Random(SEED)
    print(f"FAULTS_SEED={SEED}")
    for _ in range(max(6, KILLS // 5)):
        root: Path = make_root()
        outcome = plain_laboratory.run("checkout", root, acks=0, after=chance.uniform(0, 0.06))
        assert outcome.status in (0, -9), outcome
        check(root, outcome.told)
