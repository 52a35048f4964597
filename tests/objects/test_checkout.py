"""A checkout is all there or not at all, is verified, and never costs anybody what is kept nowhere else."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from jupyter_mlops.errors import BadInput, Conflict, Damaged, Failed, MLOpsError
from jupyter_mlops.objects import Entry, Objects
from jupyter_mlops.objects.files import checkout, exchange
from jupyter_mlops.objects.files.checkout import Manner, place_file, place_tree
from jupyter_mlops.objects.files.source import state_of

NOISE = os.urandom(3 << 20)
FILES = {
    "README": b"about",
    "empty": b"",
    "2023/a.csv": b"a,b\n" * 1000,
    "2023/copy.csv": b"a,b\n" * 1000,
    "2024/deep/er/noise": NOISE,
    "2024/deep/er/more": NOISE[: 200 << 10],
}
NEW = FILES | {"README": b"new", "2025/x": b"x"}
FORCE = Manner(force=True)


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return Objects(tmp_path / "objects")


def kept(objects: Objects, files: dict[str, bytes]) -> tuple[Entry, ...]:
    with objects.batch() as batch:
        top = batch.put_tree(
            [Entry(path, 0o644, len(data), batch.put_bytes(data)) for path, data in files.items()]
        )
    return objects.tree(top)


def place(
    objects: Objects,
    entries: Sequence[Entry],
    path: Path,
    manner: Manner = FORCE,
    done: list[int] | None = None,
) -> None:
    place_tree(objects, entries, path, {}, (done if done is not None else []).append, manner)


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def beside(path: Path) -> list[str]:
    return sorted(each.name for each in path.parent.iterdir() if each != path and each.name != "objects")


@pytest.mark.parametrize("manner", [Manner(), Manner(link=True)], ids=["copy", "link"])
def test_every_byte_and_every_file_is_there(objects: Objects, tmp_path: Path, manner: Manner) -> None:
    many = FILES | {f"many/{number % 7}/{number}": b"%d" % number for number in range(1500)}
    done: list[int] = []
    place(objects, kept(objects, many), tmp_path / "out", manner, done)
    assert content(tmp_path / "out") == many
    assert sum(done) == sum(map(len, many.values()))
    assert beside(tmp_path / "out") == []


def test_permission_bits_are_those_asked_for_whatever_the_umask(objects: Objects, tmp_path: Path) -> None:
    entries = kept(objects, {"a": b"1", "b": NOISE, "c": b"3"})
    old = os.umask(0o077)
    try:
        place_tree(objects, entries, tmp_path / "out", {"a": 0o666, "b": 0o755}, lambda _: None)
    finally:
        os.umask(old)
    assert [(tmp_path / "out" / name).stat().st_mode & 0o777 for name in "abc"] == [0o666, 0o755, 0o644]


EXOTIC = [
    b"new\nline",
    b"\xff\xfe not utf-8",
    "ü".encode() * 127 + b"x",
    "🎉 party".encode(),
    b"...",
    b"-rf",
    b"a\\b\t",
]


def test_exotic_names_are_written_as_they_were(objects: Objects, tmp_path: Path) -> None:
    names = {os.fsdecode(name): b"%d" % number for number, name in enumerate(EXOTIC)}
    files = names | {f"{os.fsdecode(EXOTIC[1])}/{name}": data for name, data in names.items()}
    del files[os.fsdecode(EXOTIC[1])]
    place(objects, kept(objects, files), tmp_path / "out")
    assert content(tmp_path / "out") == files
    found = {
        name for _, folders, names in os.walk(os.fsencode(tmp_path / "out")) for name in [*folders, *names]
    }
    assert found == set(EXOTIC)


def test_what_is_equal_is_left_alone(objects: Objects, tmp_path: Path) -> None:
    entries, out = kept(objects, FILES), tmp_path / "out"
    place(objects, entries, out)
    before = state_of((out / "README").stat())
    place(objects, entries, out, Manner())
    assert state_of((out / "README").stat()) == before


@pytest.mark.parametrize("there", ["changed file", "extra file", "extra link", "a file", "a link"])
def test_what_is_different_is_replaced_only_by_force(objects: Objects, tmp_path: Path, there: str) -> None:
    entries, out, elsewhere = kept(objects, FILES), tmp_path / "out", tmp_path / "elsewhere"
    elsewhere.mkdir()
    place(objects, entries, out)
    named = "out"
    if there == "changed file":
        (out / "2023/a.csv").write_text(named := "mine")
        named = "2023/a.csv"
    elif there == "extra file":
        (out / (named := "notes\n.txt")).write_text("mine")
        named = repr(named)
    elif there == "extra link":
        (out / (named := "shortcut")).symlink_to(elsewhere)
    else:
        shutil.rmtree(out)
        out.symlink_to(elsewhere) if there == "a link" else out.write_text("mine")
    with pytest.raises(Conflict, match="something different") as refused:
        place(objects, entries, out, Manner())
    assert named in str(refused.value)
    assert "\n" not in str(refused.value)
    place(objects, entries, out, FORCE)
    assert content(out) == FILES
    assert not out.is_symlink()
    assert list(elsewhere.iterdir()) == []
    assert beside(out) == ["elsewhere"]


def test_the_owner_of_the_place_says_what_would_be_lost(objects: Objects, tmp_path: Path) -> None:
    out = tmp_path / "out"
    place(objects, kept(objects, FILES), out)
    new = kept(objects, NEW)
    seen: list[dict[str, str | None]] = []

    def lost(found: object) -> list[str]:
        seen.append(dict(found))  # type: ignore[call-overload]
        return []

    os.mkfifo(out / "pipe")
    place(objects, new, out, Manner(lost=lost))
    assert content(out) == NEW
    old = {entry.path: entry.digest for entry in kept(objects, FILES)}
    assert seen == [{"README": old["README"], "pipe": None}]


def test_large_files_that_stay_are_not_written_again(objects: Objects, tmp_path: Path) -> None:
    out = tmp_path / "out"
    place(objects, kept(objects, FILES), out)
    out.chmod(0o700)
    before = inodes(out)
    done: list[int] = []
    place(objects, kept(objects, NEW), out, Manner(lost=lambda _: ()), done)
    assert content(out) == NEW
    assert sum(done) == sum(map(len, NEW.values()))
    assert inodes(out)["2024/deep/er/noise"] == before["2024/deep/er/noise"]
    assert inodes(out)["README"] != before["README"]
    assert out.stat().st_mode & 0o777 == 0o700
    # one that has another name besides, or is read-only, is nobody's to share
    (out / "2024/deep/er/noise").chmod(0o444)
    place(objects, kept(objects, FILES), out, Manner(lost=lambda _: ()))
    assert inodes(out)["2024/deep/er/noise"] != before["2024/deep/er/noise"]
    assert (out / "2024/deep/er/noise").stat().st_mode & 0o777 == 0o644


def test_what_is_missing_is_no_loss(objects: Objects, tmp_path: Path) -> None:
    entries, out = kept(objects, FILES), tmp_path / "out"
    place(objects, entries, out)
    (out / "README").unlink()
    shutil.rmtree(out / "2023")
    place(objects, entries, out, Manner())
    assert content(out) == FILES


def test_a_single_file_replaces_only_by_force(objects: Objects, tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    place_file(objects, objects.put_bytes(b"one"), path, 0o640, lambda _: None)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"one", 0o640)
    other = objects.put_bytes(NOISE)
    with pytest.raises(Conflict):
        place_file(objects, other, path, 0o644, lambda _: None)
    place_file(objects, other, path, 0o644, lambda _: None, FORCE)
    assert path.read_bytes() == NOISE
    assert beside(path) == []


# -- interruptions


class Stop(BaseException):
    """What ends a block from outside, as Ctrl-C does."""


@pytest.mark.parametrize("error", [KeyboardInterrupt, Stop, OSError(errno.EIO, "I/O error")])
def test_an_interrupted_checkout_leaves_the_old_tree(
    objects: Objects, tmp_path: Path, error: type[BaseException] | BaseException
) -> None:
    out = tmp_path / "out"
    place(objects, kept(objects, FILES), out)
    new = kept(objects, NEW)
    for moment in range(1, 4):
        calls = 0

        def interrupt(_: int) -> None:
            nonlocal calls
            calls += 1
            if calls == moment:  # noqa: B023 called in this round only
                raise error

        with pytest.raises((KeyboardInterrupt, Stop, Failed)):
            place_tree(objects, new, out, {}, interrupt, FORCE)
        assert content(out) == FILES
        assert beside(out) == []


KILLED = """
import os, sys
from pathlib import Path
from jupyter_mlops.objects import Objects
from jupyter_mlops.objects.files import checkout
folder, digest, out, moment, link = sys.argv[1:]
objects = Objects(folder)
name, _, number = moment.partition(":")
calls = 0
def die(*_):
    global calls
    calls += 1
    if calls >= int(number):
        os.kill(os.getpid(), 9)
def before(call):
    def wrapped(*given):
        die()
        return call(*given)
    return wrapped
def after(call):
    def wrapped(*given):
        answer = call(*given)
        die()
        return answer
    return wrapped
advance = die if name == "advance" else lambda _: None
if name != "advance":
    when, function = name.split("-")
    setattr(checkout, function, (before if when == "before" else after)(getattr(checkout, function)))
manner = checkout.Manner(force=True, link=link == "link", aside=link == "aside")
checkout.place_tree(objects, objects.tree(digest), Path(out), {}, advance, manner)
"""


@pytest.mark.parametrize("link", ["copy", "link"])
@pytest.mark.parametrize(
    ("moment", "left"),
    [
        ("advance:1", "old"),
        ("advance:3", "old"),
        ("before-make_written_durable:1", "old"),
        ("before-swapped:1", "old"),
        ("after-swapped:1", "new"),
        ("before-remove_all:1", "new"),
    ],
)
def test_a_killed_checkout_leaves_all_of_the_old_or_all_of_the_new(
    objects: Objects, tmp_path: Path, moment: str, left: str, link: str
) -> None:
    out = tmp_path / "out"
    place(objects, kept(objects, FILES), out)
    with objects.batch() as batch:
        digest = batch.put_tree(kept(objects, NEW))
    child = [sys.executable, "-c", KILLED, str(objects.folder), digest, str(out), moment, link]
    assert subprocess.run(child, timeout=60, check=False).returncode == -signal.SIGKILL
    assert content(out) == (FILES if left == "old" else NEW)
    # what it left beside is gone with the next checkout, and that one is whole
    place(objects, objects.tree(digest), out)
    place(objects, kept(objects, FILES), tmp_path / "second")
    assert content(out) == NEW
    assert beside(out) == ["second"]


@pytest.mark.parametrize(
    ("moment", "left"),
    [
        ("before-make_written_durable:1", "old"),
        ("before-moved:1", "old"),
        ("before-swapped:1", "old"),
        ("after-swapped:1", "new"),
        ("before-remove_all:1", "new"),
    ],
)
def test_a_killed_checkout_that_puts_files_aside_loses_none(
    objects: Objects, tmp_path: Path, moment: str, left: str
) -> None:
    out = tmp_path / "out"
    place(objects, kept(objects, FILES), out)
    with objects.batch() as batch:
        digest = batch.put_tree(kept(objects, NEW))
    child = [sys.executable, "-c", KILLED, str(objects.folder), digest, str(out), moment, "aside"]
    assert subprocess.run(child, timeout=60, check=False).returncode == -signal.SIGKILL
    assert content(out) == (FILES if left == "old" else NEW)
    place(objects, kept(objects, FILES), tmp_path / "second")  # tidies up beside
    if left == "new":
        aside = content(tmp_path / "out.replaced")
        replaced = {name: held for name, held in FILES.items() if NEW.get(name) != held}
        assert replaced.items() <= aside.items()


def test_a_system_without_swaps_puts_files_aside_too(
    objects: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    place(objects, kept(objects, FILES), out)
    monkeypatch.setattr(checkout, "swapped", lambda one, other: False)
    manner = checkout.Manner(force=True, aside=True)
    aside = place_tree(objects, kept(objects, NEW), out, {}, lambda _: None, manner)
    assert aside is not None
    assert aside.place == tmp_path / "out.replaced"
    assert content(out) == NEW
    assert set(content(aside.place)) == set(aside.files)


def test_the_folder_of_a_running_checkout_is_left_alone(objects: Objects, tmp_path: Path) -> None:
    entries, inner = kept(objects, FILES), kept(objects, NEW)
    ran: list[bool] = []

    def meanwhile(_: int) -> None:
        if not ran:
            ran.append(True)
            place(objects, inner, tmp_path / "other")

    place_tree(objects, entries, tmp_path / "out", {}, meanwhile)
    assert ran
    assert (content(tmp_path / "out"), content(tmp_path / "other")) == (FILES, NEW)


def test_what_is_written_while_a_checkout_runs_is_put_back(
    objects: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    place(objects, kept(objects, FILES), out)
    swapped = exchange.swapped

    def write_first(new: Path, path: Path) -> bool:
        if (path / "2025").exists():
            return swapped(new, path)
        (path / "README").write_text("written at the last moment")
        return swapped(new, path)

    monkeypatch.setattr(checkout, "swapped", write_first)
    with pytest.raises(Conflict, match="changed while"):
        place(objects, kept(objects, NEW), out, Manner(lost=lambda _: ()))
    assert content(out) == FILES | {"README": b"written at the last moment"}
    assert beside(out) == []


def test_what_appears_while_a_checkout_runs_is_not_replaced(objects: Objects, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def appear(_: int) -> None:
        out.mkdir(exist_ok=True)
        (out / "mine").write_text("mine")

    with pytest.raises(Conflict, match="appeared"):
        place_tree(objects, kept(objects, FILES), out, {}, appear)
    assert content(out) == {"mine": b"mine"}
    path = tmp_path / "file"

    def appear_too(_: int) -> None:
        path.write_text("mine")

    with pytest.raises(Conflict, match="appeared"):
        place_file(objects, objects.put_bytes(b"x"), path, 0o644, appear_too)
    assert path.read_text() == "mine"
    assert beside(path) == ["out"]


@pytest.mark.parametrize("kind", ["tree", "file"])
def test_systems_without_an_exchange_do_with_renames(
    objects: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(exchange, "_SWAP", {})
    monkeypatch.setattr(exchange, "_NEW_ONLY", {})
    out = tmp_path / "out"
    if kind == "tree":
        place(objects, kept(objects, FILES), out, Manner())
        place(objects, kept(objects, NEW), out, Manner(lost=lambda _: ()))
        assert content(out) == NEW
    else:
        for data in (b"one", b"two"):
            place_file(
                objects, objects.put_bytes(data), out, 0o644, lambda _: None, Manner(lost=lambda _: ())
            )
            assert out.read_bytes() == data
    assert beside(out) == []


# -- damage and full disks


@pytest.mark.parametrize("manner", [FORCE, Manner(link=True, force=True)], ids=["copy", "link"])
def test_damage_is_never_written(objects: Objects, tmp_path: Path, manner: Manner) -> None:
    out = tmp_path / "out"
    place(objects, kept(objects, FILES), out)
    new = kept(objects, FILES | {"README": os.urandom(40_000)})
    pack = max((objects.folder / "packs").rglob("*.pack"), key=lambda path: path.stat().st_mtime_ns)
    stored = bytearray(pack.read_bytes())
    stored[20_000] ^= 4
    pack.chmod(0o600)
    pack.write_bytes(stored)
    with pytest.raises(Damaged):
        place(Objects(objects.folder), new, out, manner)
    assert content(out) == FILES
    assert beside(out) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_leaves_the_old_tree(objects: Objects, small_disk: Path) -> None:
    out = small_disk / "out"
    old = {"a": b"old", "b": NOISE[: 1 << 20]}
    place(objects, kept(objects, old), out)
    for files in ({"a": NOISE}, {f"{number}": NOISE[number : number + 30_000] for number in range(100)}):
        with pytest.raises(Failed, match="No space left on device") as failed:
            place(objects, kept(objects, files), out)
        assert "it needs 3." in str(failed.value)
        assert content(out) == old
        assert beside(out) == []
    place(objects, kept(objects, {"a": b"fits"}), out)
    assert content(out) == {"a": b"fits"}


def test_a_folder_that_may_not_be_written_is_named(objects: Objects, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(BadInput, match="Not a directory"):
        place(objects, kept(objects, FILES), tmp_path / "file" / "out")
    with pytest.raises(MLOpsError, match="File name too long"):
        place(objects, kept(objects, FILES), tmp_path / ("n" * 300))


# -- links


def inodes(folder: Path) -> dict[str, int]:
    return {
        path.relative_to(folder).as_posix(): path.stat().st_ino
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def hard_links(tmp_path: Path) -> None:
    if exchange.can_clone(tmp_path):
        pytest.skip("this file system shares blocks, so nothing is linked")


LINK = Manner(link=True, force=True)


@pytest.mark.usefixtures("hard_links")
def test_links_share_one_read_only_copy(objects: Objects, tmp_path: Path) -> None:
    entries = kept(objects, FILES)
    place(objects, entries, tmp_path / "one", LINK)
    place(objects, kept(objects, NEW), tmp_path / "two", LINK)
    one, two = inodes(tmp_path / "one"), inodes(tmp_path / "two")
    assert content(tmp_path / "two") == NEW
    assert {path for path in FILES if one[path] == two[path]} == set(FILES) - {"README"}
    assert one["2023/a.csv"] == one["2023/copy.csv"]
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "one").rglob("*") if path.is_file()} == {
        0o444
    }
    place_tree(objects, entries, tmp_path / "three", {"README": 0o755}, lambda _: None, LINK)
    assert (tmp_path / "three" / "README").stat().st_mode & 0o777 == 0o555
    assert (tmp_path / "one" / "README").stat().st_mode & 0o777 == 0o444


@pytest.mark.usefixtures("hard_links")
def test_a_copy_that_somebody_edited_is_never_linked_again(objects: Objects, tmp_path: Path) -> None:
    entries = kept(objects, FILES)
    place(objects, entries, tmp_path / "one", LINK)
    edited = tmp_path / "one" / "2024/deep/er/noise"
    status = edited.stat()
    edited.chmod(0o644)
    with edited.open("r+b") as file:
        file.write(b"mine")
    edited.chmod(0o444)
    os.utime(edited, ns=(status.st_atime_ns, status.st_mtime_ns))
    place(objects, entries, tmp_path / "two", LINK)
    assert content(tmp_path / "two") == FILES
    assert edited.read_bytes()[:4] == b"mine"
    place(objects, entries, tmp_path / "three", LINK)
    assert inodes(tmp_path / "three") == inodes(tmp_path / "two")


@pytest.mark.usefixtures("hard_links")
def test_a_file_with_too_many_names_gets_a_second_copy(
    objects: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, names = os.link, 3

    def limited(source: str, target: str) -> None:
        if os.stat(source).st_nlink >= names:
            raise OSError(errno.EMLINK, "Too many links", target)
        link(source, target)

    monkeypatch.setattr(os, "link", limited)
    files = {f"{number}": b"same" for number in range(10)}
    place(objects, kept(objects, files), tmp_path / "out", LINK)
    assert content(tmp_path / "out") == files


def test_clones_are_files_of_their_own(
    objects: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not exchange.can_clone(tmp_path):
        # what the file system does here, for want of one that does it
        def clone(source: Path, target: Path) -> bool:
            target.write_bytes(source.read_bytes())
            return True

        for module in ("exchange", "copies"):
            monkeypatch.setattr(f"jupyter_mlops.objects.files.{module}.clone", clone)
    entries = kept(objects, FILES)
    for name in ("one", "two"):
        place_tree(objects, entries, tmp_path / name, {"README": 0o640}, lambda _: None, LINK)
        assert content(tmp_path / name) == FILES
        assert (tmp_path / name / "README").stat().st_mode & 0o777 == 0o640
        (tmp_path / name / "README").write_text("mine")
        (tmp_path / name / "2024/deep/er/noise").write_text("mine")


def test_a_large_copy_that_went_bad_is_made_anew(objects: Objects, tmp_path: Path) -> None:
    """A copy that has no other name is looked at through a mapping, window by window."""
    data = os.urandom(1 << 20) * 70
    entries, out = kept(objects, {"big": data}), tmp_path / "out"
    place(objects, entries, out, Manner(link=True))
    (out / "big").unlink()
    out.rmdir()
    (copy,) = (each for each in (objects.folder / "copies").rglob("*") if each.is_file())
    copy.chmod(0o600)
    with copy.open("r+b") as file:
        file.seek(65 << 20)
        file.write(b"not what was kept")
    place(objects, entries, out, Manner(link=True))
    assert (out / "big").read_bytes() == data


def test_links_to_another_file_system_are_refused(objects: Objects, small_disk: Path) -> None:
    with pytest.raises(BadInput, match="another file system"):
        place(objects, kept(objects, FILES), small_disk / "out", LINK)
    assert list(small_disk.iterdir()) == []
