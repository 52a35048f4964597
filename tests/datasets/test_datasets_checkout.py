"""Versions become files where people work; nothing that is kept nowhere else is lost; the odd is named."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jupyter_mlops import cli
from jupyter_mlops.datasets import DatasetVersion
from jupyter_mlops.errors import BadInput, Conflict, NotFound, SourceChanged
from jupyter_mlops.project import Project
from tests.conftest import ANN

EXOTIC = [b"new\nline", b"\xff not utf-8", b"n" * 255, "🎉".encode(), b"..x", b"back\\slash", b" ", b"\x01"]


@pytest.fixture
def local(make_project: Callable[..., Project]) -> Project:
    return make_project()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    for kind in ("cats", "dogs"):
        (folder / kind).mkdir(parents=True)
        for number in range(20):
            (folder / kind / f"{number}.png").write_bytes(f"{kind} {number}".encode())
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def versions(project: Project, folder: Path) -> tuple[DatasetVersion, DatasetVersion]:
    first = project.datasets.commit("pictures", folder)
    (folder / "cats" / "3.png").write_bytes(b"a better cat")
    (folder / "dogs" / "7.png").unlink()
    (folder / "birds").mkdir()
    (folder / "birds" / "0.png").write_bytes(b"a bird")
    return first, project.datasets.commit("pictures", folder)


def test_versions_take_turns_in_one_folder(project: Project, pictures: Path, tmp_path: Path) -> None:
    old = content(pictures)
    first, second = versions(project, pictures)
    new = content(pictures)
    out = tmp_path / "out"
    for version, files in ((second, new), (first, old), (first, old), (second, new)):
        assert version.checkout(out) == out
        assert content(out) == files
    # the folder that was committed is such a checkout too
    first.checkout(pictures)
    assert content(pictures) == old


def test_local_changes_are_named_and_kept(project: Project, pictures: Path, tmp_path: Path) -> None:
    first, second = versions(project, pictures)
    out = tmp_path / "out"
    first.checkout(out)
    (out / "cats" / "1.png").write_bytes(b"my cat")
    (out / "notes.txt").write_bytes(b"mine")
    (out / "dogs" / "2.png").unlink()
    mine = content(out)
    with pytest.raises(Conflict, match=r"cats/1\.png, notes\.txt — .*--force") as refused:
        second.checkout(out)
    assert "dogs" not in str(refused.value)
    assert content(out) == mine
    second.checkout(out, force=True)
    assert content(out) == content(pictures)


def test_what_force_replaces_is_kept_beside_and_named(
    local: Project,
    pictures: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLOPS_ACTOR", ANN)
    first, second = versions(local, pictures)
    out = tmp_path / "out"
    for number, aside in enumerate(("out.replaced", "out.replaced-2")):
        first.checkout(out, force=True)
        mine = {".git/config": b"[core]", "notes.txt": b"mine %d" % number, "cats/1.png": b"my cat"}
        for name, held in mine.items():
            (out / name).parent.mkdir(exist_ok=True)
            (out / name).write_bytes(held)
        with pytest.raises(
            Conflict, match=r"\.git/config, cats/1\.png, notes\.txt — .*such as .*out/pictures"
        ):
            second.checkout(out)
        told = ["data", "checkout", second.ref, "--to", str(out), "--force", "--project", str(local.root)]
        assert cli.run(told) == 0
        said = " ".join(capsys.readouterr().out.split())
        assert "3 files that no version holds moved to" in said
        assert ".git/config, cats/1.png, notes.txt" in said
        assert content(out) == content(pictures)
        # nothing else stays: what versions hold can be had again
        assert content(tmp_path / aside) == mine
        second.check_out(out, force=True)
    assert second.check_out(out, force=True).aside is None
    assert sorted(path.name for path in tmp_path.glob("out*")) == ["out", "out.replaced", "out.replaced-2"]


def test_a_file_that_force_replaces_is_kept_beside(project: Project, tmp_path: Path) -> None:
    source = tmp_path / "sales.csv"
    source.write_text("a,b\n1,2\n")
    version = project.datasets.commit("sales", source)
    source.write_text("a,b\n7,7\n")
    done = version.check_out(source, force=True)
    assert done.aside == tmp_path / "sales.csv.replaced"
    assert done.aside.read_text() == "a,b\n7,7\n"
    assert source.read_text() == "a,b\n1,2\n"


def test_a_mixture_of_versions_is_no_loss(project: Project, pictures: Path, tmp_path: Path) -> None:
    first, second = versions(project, pictures)
    out = tmp_path / "out"
    first.checkout(out)
    shutil.copy(pictures / "cats" / "3.png", out / "cats" / "3.png")
    third = project.datasets.commit("pictures", _with(pictures, "fourth.txt", b"4"))
    third.checkout(out)
    assert content(out) == content(pictures)
    second.checkout(out)
    assert "fourth.txt" not in content(out)


def test_a_file_of_another_dataset_is_a_loss(project: Project, pictures: Path, tmp_path: Path) -> None:
    first, _ = versions(project, pictures)
    notes = tmp_path / "notes.txt"
    notes.write_text("mine")
    project.datasets.commit("notes", notes)
    out = tmp_path / "out"
    first.checkout(out)
    shutil.copy(notes, out)
    with pytest.raises(Conflict, match=r"notes\.txt"):
        first.checkout(out)


def test_what_the_store_lost_is_a_loss_here_too(project: Project, pictures: Path, tmp_path: Path) -> None:
    first, second = versions(project, pictures)
    out = tmp_path / "out"
    second.checkout(out)
    objects = project.objects
    bird = next(entry for entry in objects.tree(second.digest) if entry.path == "birds/0.png")
    place = objects.index.find(bytes.fromhex(bird.digest[3:]))
    assert place is not None
    objects.index.spoil(place.pack, place.offset)
    with pytest.raises(Conflict, match=r"birds/0\.png"):
        first.checkout(out)
    assert content(out) == content(pictures)


def test_a_single_file_is_replaced_by_another_version(project: Project, tmp_path: Path) -> None:
    source = tmp_path / "sales.csv"
    made = []
    for rows in range(1, 4):
        source.write_text("a,b\n" + "1,2\n" * rows)
        made.append(project.datasets.commit("sales", source))
    for version in (made[0], made[2], made[1]):
        version.checkout(source)
        assert source.read_text().count("1,2") == version.number
    source.write_text("a,b\n7,7\n")
    with pytest.raises(Conflict, match="different — in no version"):
        made[0].checkout(source)
    assert made[0].checkout(tmp_path, force=True) == source
    assert source.read_text() == "a,b\n1,2\n"


def test_places_that_must_not_be_replaced(
    local: Project, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = local.datasets.commit("pictures", pictures)
    for place in (local.state, local.state.parent, local.state / "objects" / "x", Path("/")):
        with pytest.raises(BadInput, match="project's own state"):
            version.checkout(place, force=True)
    here = tmp_path / "here"
    (here / "inner").mkdir(parents=True)
    for current in (here, here / "inner"):
        monkeypatch.chdir(current)
        with pytest.raises(BadInput, match=r"current folder — .*pictures"):
            version.checkout(here, force=True)
    monkeypatch.chdir(here)
    assert content(version.checkout()) == content(pictures)
    with pytest.raises(BadInput, match="current folder"):
        version.checkout(".", force=True)


def test_linked_files_are_read_only_and_shared(local: Project, pictures: Path, tmp_path: Path) -> None:
    first, second = versions(local, pictures)
    one = first.checkout(tmp_path / "one", link=True)
    two = second.checkout(tmp_path / "two", link=True)
    assert (len(content(one)), content(two)) == (40, content(pictures))
    same = (one / "cats" / "1.png").stat(), (two / "cats" / "1.png").stat()
    if same[0].st_ino == same[1].st_ino:  # else the file system shares blocks
        assert same[0].st_mode & 0o777 == 0o444
    # a version that is checked out as links gives way to another like any other checkout
    first.checkout(two)
    assert content(two) == content(one)
    assert (two / "cats" / "1.png").stat().st_mode & 0o200


def test_modes_come_back(local: Project, pictures: Path, tmp_path: Path) -> None:
    odd = os.fsdecode(b"\xff.sh")
    (pictures / odd).write_text("#!/bin/sh\n")
    modes = {"cats/1.png": 0o600, "cats/2.png": 0o444, odd: 0o711, "dogs/1.png": 0o755}
    for name, mode in modes.items():
        (pictures / name).chmod(mode)
    (pictures / "dogs" / "2.png").chmod(0o755)
    out = local.datasets.commit("pictures", pictures).checkout(tmp_path / "out")
    assert {name: (out / name).stat().st_mode & 0o777 for name in modes} == modes
    assert (out / "cats" / "3.png").stat().st_mode & 0o777 == (
        pictures / "cats" / "3.png"
    ).stat().st_mode & 0o777


def test_exotic_names_survive(project: Project, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"top \xff\n")
    folder.mkdir()
    for number, name in enumerate(EXOTIC):
        (folder / os.fsdecode(name)).write_text(f"{number}")
        (folder / "inner" / os.fsdecode(name)).mkdir(parents=True)
        (folder / "inner" / os.fsdecode(name) / os.fsdecode(name)).write_text(f"inner {number}")
    version = project.datasets.commit("odd", folder)
    assert version.files == 2 * len(EXOTIC)
    out = version.checkout(tmp_path / "out")
    assert content(out) == content(folder)
    assert project.datasets.commit("odd", out).note == "unchanged: this is odd@v1"
    assert content(version.load("path")) == content(folder)


# -- what cannot be committed is named


def _with(folder: Path, name: str, data: bytes) -> Path:
    (folder / name).write_bytes(data)
    return folder


def test_what_is_no_file_is_refused_by_name(local: Project, pictures: Path, tmp_path: Path) -> None:
    odd = pictures / "dogs" / "odd"

    def listen(path: Path) -> None:
        here = os.getcwd()
        os.chdir(path.parent)  # the names of sockets must be short
        try:
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(path.name)
        finally:
            os.chdir(here)

    makers: dict[str, Callable[[Path], None]] = {
        "a pipe": os.mkfifo,
        "a socket": listen,
        "a symbolic link": lambda path: path.symlink_to(tmp_path / "nowhere"),
        "a symbolic link ": lambda path: path.symlink_to(path),
        "a symbolic link  ": lambda path: path.symlink_to(tmp_path),
        "a symbolic link   ": lambda path: path.symlink_to(pictures / "cats"),
    }
    if os.geteuid() == 0:
        makers["a device"] = lambda path: os.mknod(path, 0o020600, os.makedev(1, 3))
    for kind, make in makers.items():
        make(odd)
        with pytest.raises(BadInput, match=rf"dogs/odd is {kind.strip()}"):
            local.datasets.commit("pictures", pictures)
        odd.unlink()
    assert local.datasets.list() == ()
    assert local.datasets.commit("pictures", pictures).files == 40


def test_links_that_are_given_lead_somewhere_or_are_named(
    local: Project, pictures: Path, tmp_path: Path
) -> None:
    (tmp_path / "here").symlink_to(pictures)
    assert local.datasets.commit("pictures", tmp_path / "here").source == "pictures"
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(NotFound, match="dangling"):
        local.datasets.commit("pictures", tmp_path / "dangling")
    with pytest.raises(BadInput, match="loop"):
        local.datasets.commit("pictures", tmp_path / "loop")
    with pytest.raises(BadInput, match="/dev/null is a device"):
        local.datasets.commit("pictures", "/dev/null")


@pytest.fixture
def nobody(tmp_path: Path) -> Iterator[None]:
    """Be a person whom permissions stop; root is not."""
    if os.geteuid() != 0:
        yield
        return
    for folder in (tmp_path, *tmp_path.parents):
        if folder.owner() == "root" and str(folder).startswith("/tmp/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    for path in (tmp_path, *tmp_path.rglob("*")):
        os.chown(path, 65534, 65534, follow_symlinks=False)
    os.setegid(65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@pytest.mark.usefixtures("nobody")
@pytest.mark.parametrize("closed", ["cats", "cats/1.png"])
def test_what_may_not_be_read_is_named(pictures: Path, tmp_path: Path, closed: str) -> None:
    from jupyter_mlops.objects import Objects
    from jupyter_mlops.objects.files.snapshot import snapshot

    objects = Objects(tmp_path / "objects")
    (pictures / closed).chmod(0)
    try:
        with (
            pytest.raises(BadInput, match=rf"{closed} cannot be read: Permission denied"),
            objects.batch() as batch,
        ):
            snapshot(pictures).keep(objects, batch, lambda _: None)
    finally:
        (pictures / closed).chmod(0o755)


@pytest.mark.parametrize("change", ["vanishes", "grows", "is replaced", "appears", "folder vanishes"])
def test_a_source_that_changes_while_it_is_read_is_refused(
    local: Project, pictures: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    original = os.open
    done: list[object] = []

    def change_first(path: object, *rest: object, **named: object) -> int:
        if not done and str(path).endswith("dogs/5.png"):
            done.append(path)
            last = pictures / "dogs" / "9.png"
            if change == "vanishes":
                last.unlink()
            elif change == "grows":
                last.write_bytes(last.read_bytes() + b"more")
            elif change == "is replaced":
                _with(pictures, "draft", last.read_bytes()).joinpath("draft").replace(last)
            elif change == "appears":
                _with(pictures / "cats", "new.png", b"new")
            else:
                shutil.rmtree(pictures / "dogs")
        return original(path, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", change_first)
    with pytest.raises(SourceChanged, match=r"dogs|cats/new") as refused:
        local.datasets.commit("pictures", pictures)
    assert done
    assert str(pictures) in str(refused.value)
    monkeypatch.setattr(os, "open", original)
    assert local.datasets.list() == ()
    version = local.datasets.commit("pictures", pictures)
    assert content(version.load("path")) == content(pictures)


def test_verify_reads_what_seems_unchanged(
    local: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "table.csv"
    path.write_text("a,b\n1,2\n")
    first = local.datasets.commit("table", path)
    read: list[object] = []
    original = os.open

    def spy(place: object, *rest: object, **named: object) -> int:
        if str(place) == str(path):
            read.append(place)
        return original(place, *rest, **named)  # type: ignore[arg-type]

    import time

    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + 10_000_000_000)
    local.datasets.commit("table", path)
    monkeypatch.setattr(os, "open", spy)
    assert local.datasets.commit("table", path) == first
    assert read == []
    assert local.datasets.commit("table", path, verify=True) == first
    assert read


def test_the_command_line_checks_out(local: Project, pictures: Path, tmp_path: Path) -> None:
    local.datasets.commit("pictures", pictures)
    out = tmp_path / "out"
    as_ann = os.environ | {"MLOPS_ACTOR": "ann@example.com"}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [
            sys.executable,
            "-m",
            "jupyter_mlops",
            "--project",
            str(local.state.parent),
            "data",
            "checkout",
        ]
        return subprocess.run(
            [*command, *words], capture_output=True, text=True, timeout=60, env=as_ann, check=False
        )

    assert run("pictures", "--to", str(out), "--link").returncode == 0
    assert content(out) == content(pictures)
    (out / "mine").write_text("mine")
    refused = run("pictures", "--to", str(out))
    assert refused.returncode == 1
    assert "mine" in refused.stderr
    assert run("pictures", "--to", str(out), "--force").returncode == 0
    assert content(out) == content(pictures)
