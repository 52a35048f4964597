"""Two clones of a project and a remote, used in any order and killed at any call, against a dict of bytes.

MACHINE_EXAMPLES sets how many histories are tried (12 without it), MACHINE_STEPS how long they are (25).
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from jupyter_mlops.automation.upkeep import Upkeep
from jupyter_mlops.errors import Conflict
from jupyter_mlops.project import Project, init_project, open_project
from tests.faults.laboratory import Laboratory, Outcome, built

ANN = "ann@example.com"
EXAMPLES = int(os.environ.get("MACHINE_EXAMPLES", "12"))
STEPS = int(os.environ.get("MACHINE_STEPS", "25"))
Recipe = tuple[tuple[str, Any], ...]  # of a folder: what each file is made of
Content = dict[str, bytes]

CLONES, NAMES = st.sampled_from((0, 1)), st.sampled_from(("birds", "trees"))
SMALL = st.binary(max_size=40)
BIG = st.tuples(st.sampled_from((0, 1)), st.lists(st.integers(0, 299), max_size=12, unique=True).map(tuple))
RECIPES = st.fixed_dictionaries(
    {"a.txt": SMALL},
    optional={"b.txt": SMALL, "sub/c.txt": SMALL, "sub/deep/big.bin": BIG, "big.bin": BIG},
).map(lambda files: tuple(sorted(files.items())))
PICK = st.integers(0, 1_000)


@cache
def made(recipe: Recipe) -> Content:
    """Return the files of a recipe; big ones have many chunks, and share most of them."""
    return {path: part if isinstance(part, bytes) else _big(*part) for path, part in recipe}


@cache
def _big(seed: int, edits: tuple[int, ...]) -> bytes:
    chance = random.Random(seed)
    lines = [f"{n} {chance.random():.12f} {chance.choice('abcdefgh') * 20}\n".encode() for n in range(9_000)]
    for edit in edits:
        lines[edit * 30] = f"line {edit} was edited\n".encode()
    return b"".join(lines)


@dataclass
class Clone:
    """One project folder, and what must be in it."""

    root: Path
    project: Project
    versions: dict[str, dict[int, Recipe]] = field(default_factory=dict)  # all that are not removed
    removed: dict[str, dict[int, Recipe]] = field(default_factory=dict)
    out: dict[str, Recipe] = field(default_factory=dict)  # checked out and unchanged, by dataset

    def highest(self, name: str) -> int:
        return max([0, *self.versions.get(name, {}), *self.removed.get(name, {})])

    def latest(self, name: str) -> int:
        return max([0, *self.versions.get(name, {})])

    def reopen(self) -> None:
        self.project.close()
        self.project = open_project(self.root, actor=ANN)


class Clones(RuleBasedStateMachine):
    """What two people do."""

    laboratory: Laboratory
    workshop: Path

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=self.workshop))
        self.clones: list[Clone] = []
        self.shared: dict[str, set[Recipe]] = {}  # what the remote must have

    @initialize()
    def two_clones_and_a_remote(self) -> None:
        (self.folder / "remote").mkdir()
        for number in range(2):
            root = self.folder / f"clone{number}"
            root.mkdir()
            project = init_project(root, actor=ANN)
            project.remotes.add("default", str(self.folder / "remote"))
            self.clones.append(Clone(root, project))

    # ---- rules ----

    @rule(clone=CLONES, name=NAMES, recipe=RECIPES)
    def commit(self, clone: int, name: str, recipe: Recipe) -> None:
        one = self.clones[clone]
        number = one.project.datasets.commit(name, self._written(one, recipe)).number
        assert number == self._expected(one, name, recipe)
        one.versions.setdefault(name, {})[number] = recipe

    @rule(clone=CLONES, name=NAMES, pick=PICK, link=st.booleans(), edit=st.booleans())
    def checkout(self, clone: int, name: str, pick: int, link: bool, edit: bool) -> None:
        one = self.clones[clone]
        if not one.versions.get(name):
            return
        number = self._picked(one, name, pick)
        target = one.root / f"out-{name}"
        version = one.project.datasets.get(f"{name}@v{number}")
        known = one.out.get(name) in one.versions[name].values() if name in one.out else not target.exists()
        if edit and target.exists():
            (target / "mine.txt").write_bytes(b"not in any version")
            before = held(target)
            with pytest.raises(Conflict):
                version.checkout(target, link=link)
            assert held(target) == before
            known = False
        version.checkout(target, link=link, force=not known)
        one.out[name] = one.versions[name][number]
        assert held(target) == made(one.out[name])

    @rule(clone=CLONES, name=NAMES, before=PICK, after=PICK)
    def diff(self, clone: int, name: str, before: int, after: int) -> None:
        one = self.clones[clone]
        if not one.versions.get(name):
            return
        numbers = [self._picked(one, name, pick) for pick in (before, after)]
        old, new = (made(one.versions[name][number]) for number in numbers)
        seen = one.project.datasets.diff(*(f"{name}@v{number}" for number in numbers))
        assert seen.same == (old == new)
        assert set(seen.files.added) == set(new) - set(old)
        assert set(seen.files.removed) == set(old) - set(new)
        assert set(seen.files.changed) == {path for path in set(old) & set(new) if old[path] != new[path]}

    @rule(clone=CLONES, name=NAMES, pick=PICK, everything=st.booleans())
    def push(self, clone: int, name: str, pick: int, everything: bool) -> None:
        one = self.clones[clone]
        if not one.versions.get(name):
            return
        if everything:
            one.project.datasets.push()
            for each, versions in one.versions.items():
                self.shared.setdefault(each, set()).update(versions.values())
            return
        number = self._picked(one, name, pick)
        one.project.datasets.push(f"{name}@v{number}")
        self.shared.setdefault(name, set()).add(one.versions[name][number])

    @rule(clone=CLONES)
    def pull(self, clone: int) -> None:
        one = self.clones[clone]
        if not self.shared:
            return
        one.project.datasets.pull()
        self._take_in(one)
        for name, recipes in self.shared.items():
            here = [*one.versions.get(name, {}).values(), *one.removed.get(name, {}).values()]
            assert recipes <= set(here), f"pull left out versions of {name}"

    @rule(clone=CLONES, name=NAMES, pick=PICK)
    def remove(self, clone: int, name: str, pick: int) -> None:
        one = self.clones[clone]
        if len(one.versions.get(name, {})) < 2:
            return
        number = self._picked(one, name, pick)
        one.project.datasets.remove(f"{name}@v{number}")
        one.removed.setdefault(name, {})[number] = one.versions[name].pop(number)

    @rule(clone=CLONES, name=NAMES, pick=PICK)
    def restore(self, clone: int, name: str, pick: int) -> None:
        one = self.clones[clone]
        gone = one.removed.get(name, {})
        if not gone:
            return
        number = sorted(gone)[pick % len(gone)]
        try:
            one.project.datasets.restore(f"{name}@v{number}")
        except Conflict:
            return  # gc took its bytes; that it says so is all that is asked
        one.versions.setdefault(name, {})[number] = gone.pop(number)

    @rule(clone=CLONES)
    def compact(self, clone: int) -> None:
        Upkeep(self.clones[clone].project).compact()

    @rule(clone=CLONES, runs=st.integers(1, 3))
    def collect(self, clone: int, runs: int) -> None:
        one = self.clones[clone]
        # who died in the very first commit has bytes and no fact, as one whose facts were lost: it is refused
        refused = nullcontext() if any(one.versions.values()) else suppress(Conflict)
        for _ in range(runs):  # the first condemns, the second frees, the third empties the trash
            with refused:
                Upkeep(one.project).gc(delete=True, grace=timedelta(0))

    @rule(clone=CLONES)
    def verify(self, clone: int) -> None:
        assert Upkeep(self.clones[clone].project).verify().passed

    @rule(clone=CLONES)
    def reopen(self, clone: int) -> None:
        self.clones[clone].reopen()

    @rule(clone=CLONES, lost=st.sampled_from(("index.sqlite", "seen.sqlite")))
    def lose_what_can_be_built_again(self, clone: int, lost: str) -> None:
        one = self.clones[clone]
        one.project.close()
        for path in (one.root / ".mlops" / "objects").glob(f"{lost}*"):
            path.unlink()
        one.reopen()

    @rule(clone=CLONES, name=NAMES, recipe=RECIPES, at=st.integers(1, 160))
    def die_while_committing(self, clone: int, name: str, recipe: Recipe, at: int) -> None:
        one = self.clones[clone]
        expected = self._expected(one, name, recipe)
        source = str(self._written(one, recipe))
        outcome = self._killed(one, "commit_given", at, name=name, source=source)
        there = {version.number for version in self._listed(one, name)}
        assert not outcome.told or expected in there, "an acknowledged commit is lost"
        if expected in there:
            one.versions.setdefault(name, {})[expected] = recipe

    @precondition(lambda self: self.clones and any(clone.versions for clone in self.clones))
    @rule(clone=CLONES, story=st.sampled_from(("compact", "gc", "push", "pull")), at=st.integers(1, 200))
    def die_while_busy(self, clone: int, story: str, at: int) -> None:
        one = self.clones[clone]
        outcome = self._killed(one, story, at)
        if story == "push" and outcome.told:
            for name, versions in one.versions.items():
                self.shared.setdefault(name, set()).update(versions.values())
        if story == "push":
            # what got there before the end may be pulled by anybody
            for name, versions in one.versions.items():
                self.shared_perhaps(name).update(versions.values())
        if story == "pull":
            self._take_in(one)

    @rule(clone=CLONES, name=NAMES, pick=PICK, at=st.integers(1, 80))
    def die_while_checking_out(self, clone: int, name: str, pick: int, at: int) -> None:
        one = self.clones[clone]
        if not one.versions.get(name):
            return
        number = self._picked(one, name, pick)
        target = one.root / f"out-{name}"
        before = held(target)
        outcome = self._killed(one, "checkout_given", at, ref=f"{name}@v{number}", target=str(target))
        now, wanted = held(target), one.versions[name][number]
        assert now == made(wanted) or (not outcome.told and now == before)
        if now == made(wanted):
            one.out[name] = wanted

    # ---- what is always so ----

    @invariant()
    def the_versions_are_those_that_were_made(self) -> None:
        for clone in self.clones:
            for name in {*clone.versions, *clone.removed}:
                numbers = [version.number for version in self._listed(clone, name)]
                assert numbers == sorted(clone.versions.get(name, {}), reverse=True)

    def teardown(self) -> None:
        try:
            for clone in self.clones:
                for name, versions in clone.versions.items():
                    for number, recipe in versions.items():
                        place = self.folder / "last-look"
                        clone.project.datasets.get(f"{name}@v{number}").checkout(place)
                        assert held(place) == made(recipe), f"{name}@v{number} of {clone.root.name}"
                        shutil.rmtree(place)
                assert Upkeep(clone.project).verify().passed
                assert clone.project.audit.verify().ok
        finally:
            for clone in self.clones:
                clone.project.close()
            shutil.rmtree(self.folder)

    # ---- how ----

    def shared_perhaps(self, name: str) -> set[Recipe]:
        """Return what the remote may have besides what it must have."""
        perhaps: dict[str, set[Recipe]] = self.__dict__.setdefault("perhaps", {})
        return perhaps.setdefault(name, set())

    def _killed(self, clone: Clone, story: str, at: int, **given: Any) -> Outcome:
        clone.project.close()
        outcome = self.laboratory.run(story, clone.root, mode="kill", at=at, given=given, trace=True)
        assert outcome.status in (0, -9), outcome
        clone.project = open_project(clone.root, actor=ANN)
        return outcome

    def _take_in(self, clone: Clone) -> None:
        """Learn which versions a pull brought: each must be one that somebody pushed."""
        for name in {*self.shared, *self.__dict__.get("perhaps", {})}:
            for version in self._listed(clone, name):
                if version.number in clone.versions.get(name, {}):
                    continue
                place = self.folder / "pulled"
                version.checkout(place)
                content = held(place)
                shutil.rmtree(place)
                known = self.shared.get(name, set()) | self.shared_perhaps(name)
                matching = [recipe for recipe in known if made(recipe) == content]
                assert matching, f"pull made up {version.ref}"
                clone.versions.setdefault(name, {})[version.number] = matching[0]

    def _listed(self, clone: Clone, name: str) -> tuple[Any, ...]:
        if name not in {dataset.name for dataset in clone.project.datasets.list()}:
            return ()
        return clone.project.datasets.versions(name)

    def _expected(self, clone: Clone, name: str, recipe: Recipe) -> int:
        latest = clone.latest(name)
        if latest and made(clone.versions[name][latest]) == made(recipe):
            return latest
        return clone.highest(name) + 1

    def _picked(self, clone: Clone, name: str, pick: int) -> int:
        numbers = sorted(clone.versions[name])
        return numbers[pick % len(numbers)]

    def _written(self, clone: Clone, recipe: Recipe) -> Path:
        """Write the files of a recipe over those of the last one, as a person edits a folder."""
        folder, wanted = clone.root / "work", made(recipe)
        for path in list(held(folder)):
            if path not in wanted:
                (folder / path).unlink()
        for path, content in wanted.items():
            place = folder / path
            if not place.exists() or place.read_bytes() != content:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content)
        return folder


def held(folder: Path) -> Content:
    """Return the files of a folder by their paths."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[type[Clones]]:
    """The machine with a place to work, in memory where there is one, and a laboratory for its deaths."""
    memory = Path("/dev/shm")
    fast = memory if memory.is_dir() and os.access(memory, os.W_OK) else None
    library = built(tmp_path)
    with (
        tempfile.TemporaryDirectory(prefix="machine-", dir=fast) as folder,
        Laboratory(None if isinstance(library, str) else library) as laboratory,
    ):
        yield type("Clones", (Clones,), {"laboratory": laboratory, "workshop": Path(folder).resolve()})


@pytest.mark.timeout(0 if EXAMPLES > 12 else 240)
def test_two_clones_agree_with_a_dict_of_bytes(machine: type[Clones]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
