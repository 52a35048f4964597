"""Stories: what a person does to a project while something goes wrong, and what is true of it afterwards.

Each story runs in a child and says ``told("ack letters@v3")`` once its operation has returned. What a version
holds follows from its name and number, so any process can say whether it is right.
"""

from __future__ import annotations

import functools
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path

from jupyter_mlops.datasets import DatasetVersion
from jupyter_mlops.project import Project, init_project, open_project

ANN = "ann@example.com"
LETTERS, TABLE, THEIRS = "letters", "table", "theirs"
REMOTE = "remote"
Told = Callable[[str], None]

_WORDS = [
    "alpha",
    "bravo",
    "charlie",
    "delta",
    "echo",
    "foxtrot",
    "golf",
    "hotel",
    "india",
    "juliett",
    "kilo",
    "lima",
    "mike",
    "november",
]


@functools.cache
def letters(number: int) -> dict[str, bytes]:
    """Return the files of version ``number`` of the folder: small ones, a long text, and noise."""
    chance = random.Random(7)
    lines = [f"{n} {chance.choice(_WORDS)} {chance.random():.9f}\n".encode() for n in range(9_000)]
    for edit in range(1, number):
        chance = random.Random(edit)
        for _ in range(40):
            at = chance.randrange(len(lines))
            lines[at] = f"{at} edited {edit} {chance.random():.9f}\n".encode()
    files = {f"notes/{n:02}.txt": f"note {n} of {_WORDS[n]}".encode() * 20 for n in range(8)}
    files["notes/03.txt"] += f" as of {number}".encode()
    files[f"new/{number}.txt"] = f"only in {number}".encode()
    files["long.txt"] = b"".join(lines)
    files["noise.bin"] = random.Random(number // 2).randbytes(120_000)
    return files


@functools.cache
def table(number: int) -> bytes:
    """Return the CSV file of version ``number`` of the table."""
    chance = random.Random(number)
    rows = [f"{n},{chance.choice(_WORDS)},{n * number % 97}" for n in range(400 + number)]
    return ("id,word,value\n" + "\n".join(rows) + "\n").encode()


def piece(writer: int, number: int) -> bytes:
    """Return what process ``writer`` commits as its ``number``th file."""
    return f"piece {number} of {writer}\n".encode() + random.Random(number).randbytes(100_000)


def write_letters(folder: Path, number: int) -> Path:
    """Make ``folder`` hold version ``number`` of the folder, written as new files."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in letters(number).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def write_table(folder: Path, number: int) -> Path:
    """Write version ``number`` of the table beside the project and return where."""
    path = folder / "table.csv"
    path.write_bytes(table(number))
    return path


def opened(root: Path) -> Project:
    """Open the project in Ann's name."""
    return open_project(root, actor=ANN)


def begun(root: Path) -> None:
    """Make a project with two versions of the folder and one of the table, and the folder checked out.

    The remote beside it has what another project pushed: the folder's first version, and another dataset.
    """
    root.parent.mkdir(exist_ok=True)
    remote = root.parent / REMOTE
    with tempfile.TemporaryDirectory() as other, init_project(other, actor=ANN) as project:
        with tempfile.TemporaryDirectory() as outside:
            project.remotes.add("default", str(remote))
            project.datasets.commit(LETTERS, write_letters(Path(outside, "letters"), 1))
            for number in (11, 12):
                project.datasets.commit(THEIRS, write_letters(Path(outside, "letters"), number))
        project.datasets.push()
    with init_project(root, actor=ANN) as project, tempfile.TemporaryDirectory() as outside:
        project.remotes.add("default", str(remote))
        for number in (1, 2):
            project.datasets.commit(LETTERS, write_letters(Path(outside, "letters"), number))
        project.datasets.commit(TABLE, write_table(Path(outside), 1))
        project.datasets.get(f"{LETTERS}@v1").checkout(root / "out")


# ---- stories ----


def commit(root: Path, told: Told) -> None:
    """Commit the next version of the folder and of the table."""
    with opened(root) as project, tempfile.TemporaryDirectory() as outside:
        number = project.datasets.get(LETTERS).number + 1
        told(f"ack {project.datasets.commit(LETTERS, write_letters(Path(outside, 'letters'), number)).ref}")
        number = project.datasets.get(TABLE).number + 1
        told(f"ack {project.datasets.commit(TABLE, write_table(Path(outside), number)).ref}")


def commit_on(root: Path, told: Told) -> None:
    """Commit one version after another until somebody ends it."""
    while True:
        commit(root, told)


def checkout(root: Path, told: Told) -> None:
    """Replace the checked out first version by the second."""
    with opened(root) as project:
        project.datasets.get(f"{LETTERS}@v2").checkout(root / "out")
        told("ack out 2")


def pieces(root: Path, told: Told, writer: int, pieces: int) -> None:
    """Commit several files to one dataset, as others do at the same time."""
    with opened(root) as project, tempfile.TemporaryDirectory() as outside:
        for number in range(pieces):
            path = Path(outside, "piece.bin")
            path.write_bytes(piece(writer, number))
            told(f"ack {project.datasets.commit('pieces', path).ref} {writer} {number}")


def commit_given(root: Path, told: Told, name: str, source: str) -> None:
    """Commit a folder that the caller made."""
    with opened(root) as project:
        told(f"ack {project.datasets.commit(name, source).ref}")


def checkout_given(root: Path, told: Told, ref: str, target: str) -> None:
    """Check a version out over whatever is there."""
    with opened(root) as project:
        project.datasets.get(ref).checkout(target, force=True)
        told("ack")


def compact(root: Path, told: Told) -> None:
    """Store near-equal versions as differences."""
    from jupyter_mlops.automation.upkeep import Upkeep

    with opened(root) as project:
        Upkeep(project).compact()
        told("ack")


def gc(root: Path, told: Told) -> None:
    """Free what no version needs, at once: the first run condemns, the second frees."""
    from jupyter_mlops.automation.upkeep import Upkeep

    with opened(root) as project:
        for _ in range(2):
            Upkeep(project).gc(delete=True, grace=timedelta(0))
        told("ack")


def push(root: Path, told: Told) -> None:
    """Send every version to the remote."""
    with opened(root) as project:
        project.datasets.push()
        told("ack pushed")


def pull(root: Path, told: Told) -> None:
    """Fetch every version of the remote."""
    with opened(root) as project:
        project.datasets.pull()
        told("ack pulled")


STORIES: dict[str, Callable[..., None]] = {
    story.__name__: story
    for story in (
        commit,
        commit_on,
        checkout,
        pieces,
        commit_given,
        checkout_given,
        compact,
        gc,
        push,
        pull,
    )
}
FILLING = ("commit", "checkout", "compact", "pull")


# ---- what must be true afterwards ----


def check(root: Path, told: Iterable[str]) -> None:
    """Raise ``AssertionError`` unless everything told is there and right, and work can go on."""
    lines = list(told)
    acknowledged = {line.split()[1] for line in lines if line.startswith("ack ") and "@" in line}
    with opened(root) as project, tempfile.TemporaryDirectory(dir=root.parent) as outside:
        present: dict[str, DatasetVersion] = {}
        names = {dataset.name for dataset in project.datasets.list()} & {LETTERS, TABLE, THEIRS}
        assert names >= {LETTERS, TABLE}
        assert THEIRS in names or "ack pulled" not in lines
        for name in names:
            versions = project.datasets.versions(name)
            assert [version.number for version in versions] == list(range(len(versions), 0, -1))
            present |= {version.ref: version for version in versions}
        assert acknowledged <= set(present), f"lost: {sorted(acknowledged - set(present))}"
        for ref, version in present.items():
            check_version(Path(outside, ref), version)
        assert project.audit.verify().ok
        if "ack pushed" in lines:
            check_remote(root)
        check_checkout(root / "out", [line for line in lines if line.startswith("ack out")])
        check_sound(project)
        # and the next commit works
        before = project.datasets.get(LETTERS).number
        commit(root, lines.append)
        after = project.datasets.get(LETTERS)
        assert after.number == before + 1
        check_version(Path(outside, "next"), after)
        check_sound(project)


def check_remote(root: Path) -> None:
    """Raise ``AssertionError`` unless a push brings everything to the remote, and a new clone gets it."""
    with opened(root) as project:
        project.datasets.push()
        here = {version.ref for name in (LETTERS, TABLE) for version in project.datasets.versions(name)}
    with (
        tempfile.TemporaryDirectory(dir=root.parent) as folder,
        init_project(Path(folder, "clone"), actor=ANN) as clone,
    ):
        clone.remotes.add("default", str(root.parent / REMOTE))
        clone.datasets.pull()
        there = {
            version.ref: version
            for dataset in clone.datasets.list()
            for version in clone.datasets.versions(dataset.name)
        }
        assert here <= set(there)
        for ref, version in there.items():
            check_version(Path(folder, ref), version)
        check_sound(clone)


def check_version(place: Path, version: DatasetVersion) -> None:
    """Raise ``AssertionError`` unless a version checks out as what its number says."""
    version.checkout(place)
    if version.name == TABLE:
        assert place.read_bytes() == table(version.number), version
    else:
        assert held(place) == letters(version.number + (10 if version.name == THEIRS else 0)), version


def check_checkout(place: Path, told: list[str]) -> None:
    """Raise ``AssertionError`` unless the checked out folder is one version or the other, as a whole."""
    allowed = (2,) if told else (1, 2)
    assert held(place) in [letters(number) for number in allowed], f"{place} is neither, or not what was told"


def check_sound(project: Project) -> None:
    """Raise ``AssertionError`` if a full verification finds anything damaged."""
    from jupyter_mlops.automation.upkeep import Upkeep

    report = Upkeep(project).verify()
    assert report.passed, report.to_dict()


def held(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder by their paths."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


def silence() -> None:
    """Keep background work and progress bars out of a child."""
    os.environ["MLOPS_UPKEEP"] = "off"
    os.environ["TQDM_DISABLE"] = "1"
