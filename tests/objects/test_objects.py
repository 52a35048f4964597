"""Objects keep bytes by content: what was put comes back, damage is noticed, nothing is overwritten."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jupyter_mlops.errors import BadInput, Conflict, Damaged, NotFound, SourceChanged, StoreFailed
from jupyter_mlops.objects import Batch, Entry, Objects
from jupyter_mlops.objects.packs.pack import pack_path

BIG = 3 << 20


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return Objects(tmp_path / "objects")


def kept(objects: Objects) -> list[Path]:
    return sorted((objects.folder / "packs").rglob("*.pack"))


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.binary(max_size=300))
def test_bytes_come_back(objects: Objects, data: bytes) -> None:
    digest = objects.put_bytes(data)
    assert objects.read(digest) == data
    assert objects.size(digest) == len(data)
    assert digest.startswith("b3:")


def test_a_big_file_comes_back_and_equal_content_is_kept_once(objects: Objects, tmp_path: Path) -> None:
    data = os.urandom(BIG) + b"x" * BIG
    source = tmp_path / "source"
    source.write_bytes(data)
    blob = objects.put_file(source)
    assert (blob.size, objects.read(blob.digest)) == (len(data), data)
    assert objects.put_bytes(data) == blob.digest
    assert objects.put_file(source) == blob
    assert len(kept(objects)) == 1


def test_the_address_is_blake3_of_the_raw_bytes(objects: Objects) -> None:
    empty = "b3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
    assert objects.put_bytes(b"") == empty
    assert objects.read(empty) == b""


def _put_and_interrupt(batch: Batch, data: bytes) -> None:
    batch.put_bytes(data)
    raise KeyboardInterrupt


def test_a_batch_appears_at_its_end_or_not_at_all(objects: Objects) -> None:
    with objects.batch() as batch:
        digest = batch.put_bytes(b"one")
        assert not objects.has(digest)
    assert objects.read(digest) == b"one"
    with pytest.raises(KeyboardInterrupt), objects.batch() as batch:
        _put_and_interrupt(batch, b"two")
    assert len(kept(objects)) == 1


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "swap", "remove"])
@pytest.mark.parametrize("size", [100, BIG])
def test_damage_is_noticed_and_the_same_content_mends_it(objects: Objects, damage: str, size: int) -> None:
    data = os.urandom(size)
    digest = objects.put_bytes(data)
    (place,) = kept(objects)
    stored = bytearray(place.read_bytes())
    if damage == "flip":
        stored[len(stored) // 2] ^= 1
        place.write_bytes(stored)
    elif damage == "truncate":
        place.write_bytes(stored[: len(stored) // 2])
    elif damage == "empty":
        place.write_bytes(b"")
    elif damage == "swap":
        objects.put_bytes(b"other")
        (other,) = set(kept(objects)) - {place}
        place.write_bytes(other.read_bytes())
    else:
        place.unlink()
    with pytest.raises(Damaged):
        objects.read(digest)
    with pytest.raises(Damaged), objects.lent(digest):
        pass
    assert objects.put_bytes(data) == digest
    assert objects.read(digest) == data


def test_what_is_no_address_is_never_a_path(objects: Objects) -> None:
    for text in ("../../etc/passwd", "b3:" + "../" * 21 + "a", "b3:", "sha256:" + "0" * 64, "b3:" + "g" * 64):
        with pytest.raises(Damaged):
            objects.read(text)


def test_a_file_that_grows_while_it_is_read_is_refused(objects: Objects, tmp_path: Path) -> None:
    source = tmp_path / "log"
    source.write_bytes(os.urandom(BIG * 2))

    def append(_: int) -> None:
        with source.open("ab") as file:
            file.write(b"more")

    with pytest.raises(SourceChanged, match="changed while it was read"):
        objects.put_file(source, append)
    assert kept(objects) == []


def test_a_file_replaced_while_it_is_read_is_refused(objects: Objects, tmp_path: Path) -> None:
    source, other = tmp_path / "table", tmp_path / "other"
    source.write_bytes(os.urandom(BIG))

    def replace(_: int) -> None:
        other.write_bytes(b"new")
        other.replace(source)

    with pytest.raises(SourceChanged):
        objects.put_file(source, replace)
    assert kept(objects) == []


def test_only_regular_files_are_read(objects: Objects, tmp_path: Path) -> None:
    fifo, link, listening = tmp_path / "fifo", tmp_path / "link", tmp_path / "sock"
    os.mkfifo(fifo)
    (tmp_path / "there").write_text("x")
    link.symlink_to(tmp_path / "there")
    server = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(tmp_path)  # the names of sockets must be short
    try:
        server.bind("sock")
    finally:
        os.chdir(here)
        server.close()
    for path, kind in (
        (fifo, "pipe"),
        (link, "symbolic link"),
        (listening, "socket"),
        (Path("/dev/null"), "device"),
        (tmp_path, "folder"),
    ):
        with pytest.raises(BadInput, match=f"is a {kind}"):
            objects.put_file(path)


def test_a_misspelt_path_is_offered_its_neighbours(objects: Objects, tmp_path: Path) -> None:
    (tmp_path / "customers.csv").write_text("a\n1\n")
    with pytest.raises(NotFound, match=r"did you mean customers\.csv"):
        objects.put_file(tmp_path / "custmers.csv")


def test_checkout_keeps_the_mode_and_never_overwrites(objects: Objects, tmp_path: Path) -> None:
    digest = objects.put_bytes(b"#!/bin/sh\n")
    target = tmp_path / "deep" / "down" / "run.sh"
    objects.checkout(digest, target, 0o750)
    assert (target.read_bytes(), target.stat().st_mode & 0o777) == (b"#!/bin/sh\n", 0o750)
    before = target.stat()
    objects.checkout(digest, target)
    assert target.stat().st_mtime_ns == before.st_mtime_ns
    target.write_bytes(b"mine")
    with pytest.raises(Conflict, match="something different"):
        objects.checkout(digest, target)
    assert target.read_bytes() == b"mine"
    assert list(target.parent.iterdir()) == [target]


def test_checkout_does_not_write_through_a_link(objects: Objects, tmp_path: Path) -> None:
    digest = objects.put_bytes(b"data")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Conflict):
        objects.checkout(digest, tmp_path / "link")
    assert not (tmp_path / "elsewhere").exists()


def test_a_damaged_blob_leaves_no_checkout(objects: Objects, tmp_path: Path) -> None:
    digest = objects.put_bytes(os.urandom(BIG))
    (place,) = kept(objects)
    place.write_bytes(place.read_bytes()[: BIG // 2])
    target = tmp_path / "out" / "file"
    with pytest.raises(Damaged):
        objects.checkout(digest, target)
    assert list(target.parent.iterdir()) == []


def tree_of(objects: Objects, files: dict[str, bytes], mode: int = 0o644) -> str:
    with objects.batch() as batch:
        return batch.put_tree(
            [Entry(path, mode, len(data), batch.put_bytes(data)) for path, data in files.items()]
        )


def test_equal_trees_have_one_address_whatever_the_order_and_umask(objects: Objects) -> None:
    files = {"b/x": b"1", "a": b"2", "b/ü": b"3"}
    first = tree_of(objects, files)
    assert tree_of(objects, dict(reversed(files.items())), 0o600) == first
    assert tree_of(objects, files, 0o755) != first
    assert [entry.path for entry in objects.tree(first)] == ["a", "b/x", "b/ü"]


def test_a_tree_is_checked_out_whole_or_not_at_all(objects: Objects, tmp_path: Path) -> None:
    files = {"a.txt": b"1", "deep/er/b.txt": b"2", "empty": b""}
    digest = tree_of(objects, files)
    target = tmp_path / "out"
    target.mkdir()  # an empty folder is no obstacle
    objects.checkout_tree(objects.tree(digest), target, {"a.txt": 0o600})
    assert {
        p.relative_to(target).as_posix(): p.read_bytes() for p in target.rglob("*") if p.is_file()
    } == files
    assert (target / "a.txt").stat().st_mode & 0o777 == 0o600
    objects.checkout_tree(objects.tree(digest), target)
    (target / "extra").write_text("mine")
    with pytest.raises(Conflict):
        objects.checkout_tree(objects.tree(digest), target)
    entry = next(entry for entry in objects.tree(digest) if entry.path == "a.txt")
    place = objects.index.find(bytes.fromhex(entry.digest[3:]))
    assert place is not None
    pack_path(objects.folder, place.pack).unlink()
    with pytest.raises(Damaged):
        objects.checkout_tree(objects.tree(digest), tmp_path / "second")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["objects", "out"]


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a//b", "a/./b", "", "a\x00b", "\ud800"])
def test_a_tree_names_only_paths_inside_itself(objects: Objects, path: str) -> None:
    with pytest.raises(BadInput):
        objects.put_tree([Entry(path, 0o644, 1, objects.put_bytes(b"x"))])
    forged = objects.put_bytes(f'[["../../x",420,1,"{objects.put_bytes(b"x")}"]]'.encode())
    with pytest.raises(Damaged):
        objects.tree(forged)


def test_a_tree_needs_its_bytes(objects: Objects) -> None:
    with pytest.raises(Damaged, match="not stored"):
        objects.put_tree([Entry("a", 0o644, 1, "b3:" + "0" * 64)])


def test_a_full_disk_is_one_clear_line_and_leaves_nothing(
    objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    objects.folder.mkdir()
    (objects.folder / "tmp").mkdir()
    with pytest.raises(StoreFailed, match="No space left"):
        objects.put_bytes(b"data")
    assert kept(objects) == []


def test_what_a_killed_process_left_goes_with_the_next_operation(objects: Objects) -> None:
    with objects.scratch() as mine:
        left = mine.parent / "left"
        left.mkdir()
        (left / "half").write_text("x")
        objects.put_bytes(b"data")
        assert not left.exists()
        assert mine.exists()
    assert list((objects.folder / "tmp").iterdir()) == []
