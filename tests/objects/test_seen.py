"""What is as it was is not read again; what might not be, is: size, times, inode and the clock decide."""

from __future__ import annotations

import mmap
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from jupyter_mlops.errors import Conflict, Damaged
from jupyter_mlops.objects import Objects
from jupyter_mlops.objects.files.seen import Seen
from jupyter_mlops.objects.files.snapshot import Kept, snapshot

Opened = list[str]


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return Objects(tmp_path / "objects")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    top = tmp_path / "data"
    for year in ("2023", "2024"):
        (top / year).mkdir(parents=True)
        for day in range(5):
            (top / year / f"{day}.txt").write_text(f"{year} {day}")
    (top / "README").write_text("about")
    return top


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Opened:
    """The files below the test's folder that were opened, as paths in it."""
    found: Opened = []
    original = os.open

    def spy(path: object, *rest: object, **named: object) -> int:
        if isinstance(path, str | bytes | os.PathLike):
            place = os.path.relpath(os.fsdecode(path), tmp_path)
            if not place.startswith(("..", "objects")) and (tmp_path / place).is_file():
                found.append(place)
        return original(path, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", spy)
    return found


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let the clock run on, so that what was written is not of this moment any more."""
    original, ahead = time.time_ns, [0]
    monkeypatch.setattr(time, "time_ns", lambda: original() + ahead[0])

    def run_on() -> None:
        ahead[0] += 10_000_000_000

    return run_on


def commit(objects: Objects, top: Path, verify: bool = False, name: str = "") -> Kept:
    found = snapshot(top, name)
    with objects.batch() as batch:
        kept = found.keep(objects, batch, lambda _: None, verify)
    found.remember(objects)
    return kept


@pytest.fixture
def committed(objects: Objects, folder: Path, later: Callable[[], None], opened: Opened) -> Kept:
    """The folder, stored when nobody had written to it for a while."""
    later()
    kept = commit(objects, folder)
    assert len(opened) == 11
    opened.clear()
    return kept


def test_what_is_unchanged_is_not_opened_again(
    objects: Objects, folder: Path, committed: Kept, opened: Opened
) -> None:
    done: list[int] = []
    found = snapshot(folder)
    with objects.batch() as batch:
        again = found.keep(objects, batch, done.append)
    assert again == committed
    assert (again.files, again.bytes, sum(done)) == (11, found.size, found.size)
    assert opened == []
    assert batch.packs == ()


def test_only_what_changed_is_read(objects: Objects, folder: Path, committed: Kept, opened: Opened) -> None:
    (folder / "2024" / "3.txt").write_text("else")
    (folder / "2024" / "new.txt").write_text("new")
    (folder / "2023" / "1.txt").unlink()
    kept = commit(objects, folder)
    assert sorted(opened) == ["data/2024/3.txt", "data/2024/new.txt"]
    files = {entry.path: objects.read(entry.digest).decode() for entry in objects.tree(kept.digest)}
    assert files == {
        path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()
    }


def test_a_file_moved_to_another_folder_is_another_file(
    objects: Objects, folder: Path, committed: Kept, opened: Opened
) -> None:
    (folder / "2024" / "3.txt").rename(folder / "2023" / "9.txt")
    kept = commit(objects, folder)
    assert opened == ["data/2023/9.txt"]
    assert [entry.path for entry in objects.tree(kept.digest)][5] == "2023/9.txt"


def test_a_restored_mtime_is_revealed_by_ctime(
    objects: Objects, folder: Path, committed: Kept, opened: Opened
) -> None:
    path = folder / "README"
    before = path.stat()
    path.write_text("ABOUT")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_size, after.st_mtime_ns, after.st_ino) == (
        before.st_size,
        before.st_mtime_ns,
        before.st_ino,
    )
    kept = commit(objects, folder)
    assert opened == ["data/README"]
    assert kept.digest != committed.digest


def test_a_file_put_in_place_of_another_is_read(
    objects: Objects, folder: Path, committed: Kept, opened: Opened
) -> None:
    before = (folder / "README").stat()
    (folder / "draft").write_text("ABOUT")
    os.utime(folder / "draft", ns=(before.st_atime_ns, before.st_mtime_ns))
    (folder / "draft").replace(folder / "README")
    assert commit(objects, folder).digest != committed.digest
    assert opened == ["data/README"]


def test_what_was_written_a_moment_before_it_was_read_is_read_again(
    objects: Objects, folder: Path, opened: Opened, later: Callable[[], None]
) -> None:
    commit(objects, folder)
    opened.clear()
    commit(objects, folder)
    assert len(opened) == 11
    later()
    commit(objects, folder)
    opened.clear()
    commit(objects, folder)
    assert opened == []


def test_verify_reads_everything(objects: Objects, folder: Path, committed: Kept, opened: Opened) -> None:
    assert commit(objects, folder, verify=True) == committed
    assert len(opened) == 11


def test_verify_finds_what_a_mapped_file_hides(
    objects: Objects, folder: Path, later: Callable[[], None]
) -> None:
    path = folder / "README"
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[0:1] = b"A"  # from here on the page is dirty, and the system looks no more
        before = path.stat()
        later()
        first = commit(objects, folder)
        mapped[0:1] = b"B"
        after = path.stat()
        if (after.st_mtime_ns, after.st_ctime_ns) != (before.st_mtime_ns, before.st_ctime_ns):
            pytest.skip("this system notes every store through mmap")
        assert commit(objects, folder) == first
        second = commit(objects, folder, verify=True)
    assert second.digest != first.digest
    assert commit(objects, folder) == second


def test_a_single_file_is_remembered_like_a_folder(
    objects: Objects, tmp_path: Path, opened: Opened, later: Callable[[], None]
) -> None:
    path = tmp_path / "table.csv"
    path.write_text("a,b\n1,2\n" * 20_000)
    later()
    first = commit(objects, path, name="data.csv")
    opened.clear()
    assert commit(objects, path, name="data.csv") == first
    assert opened == []
    assert objects.read(first.only) == path.read_bytes()
    path.write_text("a,b\n1,3\n" * 20_000)
    assert commit(objects, path, name="data.csv").only != first.only
    assert set(opened) == {"table.csv"}


def test_a_mode_is_no_content_but_is_noticed(objects: Objects, folder: Path, committed: Kept) -> None:
    (folder / "README").chmod(0o600)
    found = snapshot(folder)
    assert found.modes() == {"": 0o644, "README": 0o600}
    assert commit(objects, folder) == committed
    (folder / "README").chmod(0o755)
    assert commit(objects, folder).digest != committed.digest


def test_bytes_that_left_the_store_are_stored_again(
    objects: Objects, folder: Path, committed: Kept, opened: Opened
) -> None:
    shutil.rmtree(objects.folder / "packs")
    fresh = Objects(objects.folder)
    assert commit(fresh, folder) == committed
    assert len(opened) == 11
    assert fresh.read(fresh.tree(committed.digest)[0].digest) == b"2023 0"


def test_a_pack_that_moved_is_no_reason_to_read(
    objects: Objects, folder: Path, committed: Kept, opened: Opened
) -> None:
    known = [entry.digest for entry in objects.tree(committed.digest)]
    (old,) = (objects.folder / "packs").rglob("*.pack")
    with objects.batch(replace=True) as batch:
        for digest in (*known, committed.digest, *(row[3] for row in objects.node(committed.digest))):
            if digest not in known:
                batch.put_bytes(objects.read(digest))
        for digest in known:
            batch.put_bytes(objects.read(digest))
    objects.index.forget([old.stem])
    old.unlink()
    assert commit(objects, folder) == committed
    assert opened == []


def test_damage_that_was_met_is_mended_by_the_next_commit(
    objects: Objects, tmp_path: Path, opened: Opened, later: Callable[[], None]
) -> None:
    path = tmp_path / "noise"
    path.write_bytes(os.urandom(50_000))
    later()
    kept = commit(objects, path, name="data")
    (pack,) = (objects.folder / "packs").rglob("*.pack")
    stored = bytearray(pack.read_bytes())
    stored[10_000] ^= 1
    pack.chmod(0o600)
    pack.write_bytes(stored)
    fresh = Objects(objects.folder)
    with pytest.raises(Damaged):
        fresh.read(kept.only)
    opened.clear()
    assert commit(fresh, path, name="data") == kept
    assert set(opened) == {"noise"}
    assert fresh.read(kept.only) == path.read_bytes()


def test_a_checkout_takes_what_is_known_of_the_files_it_finds(
    objects: Objects, folder: Path, committed: Kept, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    objects.checkout_tree(objects.tree(committed.digest), "data")
    assert opened == []
    (folder / "README").write_text("mine!")
    with pytest.raises(Conflict, match="README"):
        objects.checkout_tree(objects.tree(committed.digest), "data")
    assert opened == ["data/README"]


@pytest.mark.parametrize("loss", ["removed", "garbage", "empty"])
def test_the_cache_may_be_lost(
    objects: Objects, folder: Path, committed: Kept, opened: Opened, loss: str
) -> None:
    for path in objects.folder.glob("seen.sqlite*"):
        path.unlink()
    if loss != "removed":
        (objects.folder / "seen.sqlite").write_bytes(os.urandom(9_000) if loss == "garbage" else b"")
    assert commit(objects, folder) == committed
    assert len(opened) == 11
    assert commit(objects, folder) == committed
    assert commit(objects, folder) == committed
    assert len(opened) <= 22


def test_folders_that_are_gone_are_forgotten(objects: Objects, folder: Path, committed: Kept) -> None:
    wanted = {entry.digest for entry in objects.tree(committed.digest)}
    assert len(list(Seen(objects).paths_of(wanted))) == 11
    shutil.rmtree(folder / "2023")
    commit(objects, folder)
    places = dict(Seen(objects).paths_of(wanted))
    assert {path.parent for path in places.values()} == {folder, folder / "2024"}
    digest = next(entry.digest for entry in objects.tree(committed.digest) if entry.path == "README")
    assert places[digest] == folder / "README"
