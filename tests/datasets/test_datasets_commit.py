"""A dataset is a line of versions: a commit gets a number, equal content is recognised, all is told."""

from __future__ import annotations

import multiprocessing
import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest

from jupyter_mlops.commands import Session, command_tree
from jupyter_mlops.errors import BadInput, NotFound, Refused, SourceChanged
from jupyter_mlops.project import Project, open_project
from jupyter_mlops.views import to_text, view

CSV = "id,zip,age\n1,00123,40\n2,04711,\n3,99999,31\n"


@pytest.fixture
def customers(tmp_path: Path) -> Path:
    path = tmp_path / "customers.csv"
    path.write_text(CSV)
    return path


def verbs(project: Project) -> list[str]:
    return [event.verb for event in project.events() if event.verb.startswith("data.")]


def stored(project: Project) -> set[Path]:
    return {path for path in (project.state / "objects" / "packs").rglob("*") if path.is_file()}


def test_the_first_commit_is_version_one_and_tells_its_story(project: Project, customers: Path) -> None:
    v = project.datasets.commit("customers", customers, message="first export", key="id")
    assert (v.ref, v.number, v.kind, v.files, v.bytes, v.rows) == ("customers@v1", 1, "file", 1, len(CSV), 3)
    assert [(column.name, column.type) for column in v.columns] == [
        ("id", "int64"),
        ("zip", "string"),
        ("age", "int64"),
    ]
    assert (v.message, v.actor, v.key, v.note, v.source) == (
        "first export",
        "ann@example.com",
        ("id",),
        "",
        "customers.csv",
    )
    assert v.path == "data/customers/1"
    event = list(project.events())[-1]
    assert (event.verb, event.about) == ("data.committed", "data:customers@v1")
    assert event.data == {
        "name": "customers",
        "number": 1,
        "digest": v.digest,
        "kind": "file",
        "rows": 3,
        "bytes": len(CSV),
        "message": "first export",
    }
    assert project.audit.verify().ok


def test_content_of_the_latest_version_is_that_version(
    project: Project, customers: Path, tmp_path: Path
) -> None:
    first = project.datasets.commit("customers", customers)
    copy = tmp_path / "elsewhere" / "other name.csv"
    copy.parent.mkdir()
    copy.write_text(CSV)
    copy.chmod(0o600)
    again = project.datasets.commit("customers", copy, message="again")
    assert again == first
    assert again.note == "unchanged: this is customers@v1; the message is not kept"
    assert again.message == ""
    assert verbs(project) == ["data.committed"]


def test_content_of_an_older_version_is_a_new_one_that_shares_its_bytes(
    project: Project, customers: Path
) -> None:
    first = project.datasets.commit("customers", customers)
    customers.write_text(CSV + "4,1,1\n")
    second = project.datasets.commit("customers", customers)
    before = stored(project)
    customers.write_text(CSV)
    third = project.datasets.commit("customers", customers)
    assert (third.number, third.digest, third.note) == (3, first.digest, "same content as customers@v1")
    assert second.digest != first.digest
    assert third.profile == first.profile
    assert stored(project) == before
    assert [v.number for v in project.datasets.versions("customers")] == [3, 2, 1]


def test_the_same_bytes_declared_otherwise_are_a_new_version(project: Project, customers: Path) -> None:
    project.datasets.commit("customers", customers)
    declared = project.datasets.commit("customers", customers, schema={"age": "float"})
    assert (declared.number, declared.note) == (2, "same content as customers@v1")
    assert declared.columns[2].type == "float64"
    assert project.datasets.commit("customers", customers, schema={"age": "float64"}).number == 2
    assert project.datasets.commit("customers", customers).number == 2


def test_a_name_that_is_read_otherwise_is_other_content(project: Project, customers: Path) -> None:
    first = project.datasets.commit("customers", customers)
    text = customers.rename(customers.with_suffix(".txt"))
    second = project.datasets.commit("customers", text)
    assert second.digest != first.digest
    assert (second.rows, second.columns) == (None, ())


def test_the_key_is_remembered_and_may_change(project: Project, customers: Path) -> None:
    project.datasets.commit("customers", customers, key="id")
    customers.write_text(CSV + "4,1,1\n")
    assert project.datasets.commit("customers", customers).key == ("id",)
    changed = project.datasets.commit("customers", customers, key=["zip", "id"])
    assert (changed.number, changed.key) == (2, ("zip", "id"))
    assert verbs(project) == ["data.committed", "data.committed", "data.keyed"]
    with pytest.raises(BadInput, match=r"no column 'idd'.*did you mean id"):
        project.datasets.commit("customers", customers, key="idd")


def test_a_key_that_tells_no_rows_apart_is_said_at_the_commit(project: Project) -> None:
    table = pl.DataFrame({"id": [1, 2, 3, 4], "city": ["a", "b", "a", "b"]})
    assert project.datasets.commit("k", table, "first", key="id").note == ""
    again = project.datasets.commit("k", table, "second", key="city")
    assert again.ref == "k@v1"
    for told in (
        "unchanged: this is k@v1",
        "its message stays 'first'",
        "the key of k is now city",
        "the key city does not tell the 4 rows apart, it has 2 different values",
    ):
        assert told in again.note
    assert "2 different values" not in project.datasets.commit("k", table).note
    more = project.datasets.commit("k", pl.concat([table, table]))
    assert "does not tell the 8 rows apart" in more.note
    assert (
        project.datasets.commit("k", pl.concat([table, table]), key=["id", "city"]).note.count("apart") == 1
    )
    gone = project.datasets.commit("k", table.select("id"))
    assert "the key id, city is not in it" in gone.note


def test_parents_are_refs_resolved_at_the_commit(project: Project, customers: Path) -> None:
    raw = project.datasets.commit("raw", customers)
    project.datasets.alias("raw", "golden")
    frame = raw.load().dropna()
    clean = project.datasets.commit("clean", frame, parents=["raw@golden", raw])
    assert clean.parents == ("raw@v1", "raw@v1")
    with pytest.raises(NotFound, match="no dataset 'row'"):
        project.datasets.commit("clean", frame, parents="row@v1")


def test_refs_name_versions_and_misspelt_ones_get_a_hint(project: Project, customers: Path) -> None:
    project.datasets.commit("customers", customers)
    customers.write_text(CSV + "4,1,1\n")
    project.datasets.commit("customers", customers)
    project.datasets.alias("customers@v1", "golden")
    numbers = {
        ref: project.datasets.get(ref).number
        for ref in ("customers", "customers@latest", "customers@v1", "data:customers@golden")
    }
    assert numbers == {
        "customers": 2,
        "customers@latest": 2,
        "customers@v1": 1,
        "data:customers@golden": 1,
    }
    for ref, message in (
        ("custmers", "did you mean customers"),
        ("customers@v9", "it has v1 to v2"),
        ("customers@goldn", "did you mean golden"),
    ):
        with pytest.raises(NotFound, match=message):
            project.datasets.get(ref)
    for ref in ("model:customers", "customers@v0", "../x", ""):
        with pytest.raises(BadInput):
            project.datasets.get(ref)


def test_an_alias_moves_and_its_history_is_kept(project: Project, customers: Path) -> None:
    project.datasets.commit("customers", customers)
    customers.write_text(CSV + "4,1,1\n")
    project.datasets.commit("customers", customers)
    assert project.datasets.alias("customers@v1", "golden").aliases == ("golden",)
    moved = project.datasets.alias("customers@v2", "golden", reason="checked")
    assert moved.aliases == ("golden",)
    project.datasets.alias("customers@v2", "golden")  # there already: nothing to tell
    assert project.datasets.get("customers@v1").aliases == ()
    history = project.datasets.history("customers", "golden")
    assert [(m.number, m.previous, m.reason) for m in history] == [(2, 1, "checked"), (1, None, "")]
    assert verbs(project).count("data.aliased") == 2
    (listed,) = project.datasets.list()
    assert (listed.name, listed.versions, listed.aliases, listed.latest.number) == (
        "customers",
        2,
        {"golden": 2},
        2,
    )
    for reserved in ("latest", "v3", "no spaces"):
        with pytest.raises(BadInput):
            project.datasets.alias("customers", reserved)


def test_an_alias_says_where_it_was_and_can_be_taken_away(project: Project, customers: Path) -> None:
    project.datasets.commit("customers", customers)
    customers.write_text(CSV + "9,00007,1\n")
    project.datasets.commit("customers", customers)
    assert project.datasets.alias("customers@v1", "golden").note == "golden points at it now"
    moved = project.datasets.alias("customers@v2", "golden", "better")
    assert moved.note == "golden moved here from v1"
    assert project.datasets.alias("customers@v2", "golden").note == "golden points at it already"
    project.datasets.unalias("customers", "golden", "wrong")
    with pytest.raises(NotFound, match="no alias 'golden'"):
        project.datasets.get("customers@golden")
    moves = project.datasets.history("customers", "golden")
    assert [(move.number, move.previous, move.reason) for move in moves] == [
        (0, 2, "wrong"),
        (2, 1, "better"),
        (1, None, ""),
    ]
    assert "v2 → taken away" in to_text(view(moves))
    with pytest.raises(NotFound):
        project.datasets.unalias("customers", "golden")
    project.datasets.remove("customers@v2")


def test_removed_versions_are_not_hidden_without_a_word(project: Project, customers: Path) -> None:
    def said(line: str) -> str:
        session = Session(project=project)
        value = command_tree().main(line.split(), "mlops", standalone_mode=False, obj=session)
        return " ".join(to_text(view(value)).split())

    for number in range(3):
        customers.write_text(CSV + f"9,00007,{number}\n")
        project.datasets.commit("customers", customers)
    assert "--all" not in said("data versions customers")
    project.datasets.remove("customers@v2")
    left = project.datasets.versions("customers")
    assert [version.number for version in left] == [3, 1]
    hint = "Removed and not shown: v2. `mlops data versions customers --all` shows removed ones, too."
    assert hint in said("data versions customers")
    assert "--all" not in said("data list")
    every = project.datasets.versions("customers", removed=True)
    assert [bool(version.removed) for version in every] == [False, True, False]
    assert "removed (UTC)" in to_text(view(every))
    for number in (1, 3):
        project.datasets.remove(f"customers@v{number}")
    assert len(project.datasets.versions("customers", removed=True)) == 3
    with pytest.raises(NotFound, match="was removed"):
        project.datasets.versions("customers")
    assert [one.name for one in project.datasets.list(removed=True)] == ["customers"]
    assert project.datasets.list() == ()
    assert "Removed and not shown: customers. `mlops data list --all`" in said("data list")
    listed = said("data list --all")
    assert "removed (UTC)" in listed
    assert "--all" not in listed
    project.datasets.restore("customers@v1")
    assert [one.versions for one in project.datasets.list()] == [1]
    with pytest.raises(NotFound, match="no dataset"):
        project.datasets.versions("nobody", removed=True)


def test_a_number_without_its_v_is_explained(project: Project, customers: Path) -> None:
    project.datasets.commit("customers", customers)
    with pytest.raises(NotFound, match="written customers@v1"):
        project.datasets.get("customers@1")


def test_the_files_of_a_folder_are_shown_and_what_is_shown_can_be_loaded(
    project: Project, customers: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "many"
    (folder / "inner").mkdir(parents=True)
    for number in range(60):
        (folder / "inner" / f"{number:02}.txt").write_text("x" * number)
    described = project.datasets.commit("many", folder).describe()
    text = to_text(view(described))
    assert "inner/07.txt" in text
    assert "7 bytes" in text
    assert "and 10 more" in text
    assert len(described.to_dict()["contents"]) == 60
    assert Path(described.load()).is_dir()
    shown = project.datasets.commit("customers", customers).describe()
    assert len(shown.load()) == 3
    assert shown.to_dict()["contents"] == []


def test_a_viewer_reads_and_may_not_write(project: Project, customers: Path, as_actor: Any) -> None:
    project.datasets.commit("customers", customers)
    dee = as_actor(project, "dee@example.com")
    assert dee.datasets.get("customers").load().shape == (3, 3)
    before = stored(project)
    customers.write_text(CSV + "4,1,1\n")
    with pytest.raises(Refused):
        dee.datasets.commit("customers", customers)
    with pytest.raises(Refused):
        dee.datasets.alias("customers", "golden")
    assert stored(project) == before


def test_observers_learn_what_is_read_and_committed(
    project: Project, customers: Path, tmp_path: Path
) -> None:
    read, committed = [], []
    end = project.datasets.observe(read.append, committed.append)
    v = project.datasets.commit("customers", customers)
    project.datasets.commit("customers", customers)
    v.load()
    v.load("path")
    v.checkout(tmp_path / "out.csv")
    assert [each.ref for each in committed] == ["customers@v1", "customers@v1"]
    assert [each.ref for each in read] == ["customers@v1"] * 3
    end()
    v.load()
    assert len(read) == 3


def test_folders_are_versions_file_by_file(project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    (folder / "deep" / "er").mkdir(parents=True)
    for number in range(30):
        (folder / "deep" / "er" / f"{number}.bin").write_bytes(bytes([number]) * 100)
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o750)
    v = project.datasets.commit("images", folder)
    assert (v.kind, v.files, v.bytes, v.rows, v.columns) == ("folder", 31, 3010, None, ())
    out = v.checkout(tmp_path / "out")
    for path in (p for p in folder.rglob("*") if p.is_file()):
        twin = out / path.relative_to(folder)
        assert twin.read_bytes() == path.read_bytes()
        assert twin.stat().st_mode == path.stat().st_mode
    copy = v.load()
    assert (copy / "deep" / "er" / "3.bin").read_bytes() == b"\x03" * 100
    (folder / "deep" / "er" / "3.bin").write_bytes(b"new")
    assert project.datasets.commit("images", folder).number == 2
    with pytest.raises(BadInput, match="is no table"):
        v.load("pandas")
    with pytest.raises(BadInput, match="it is no table"):
        project.datasets.commit("images", folder, key="id")


BAD_FILES = {
    "empty.csv": (b"", "is empty"),
    "blank.csv": (b"\n\n", "holds no lines"),
    "twice.csv": (b"a,b,a\n1,2,3\n", "two columns are named 'a'"),
    "ragged.csv": (b"a,b\n1,2\n1,2,3\n", "more fields than the header"),
    "latin.csv": ("name\nJosé\n".encode("latin-1"), "is not UTF-8"),
    "quote.csv": (b'a,b\n1,"x\n2,3\n', "cannot be read as CSV"),
    "no.parquet": (b"not parquet at all", "cannot be read as Parquet"),
    "no.jsonl": (b'{"a": 1}\nnot json\n', "JSON lines"),
    "list.jsonl": (b"[1, 2]\n", "no object"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files_are_one_clear_line_and_change_nothing(project: Project, tmp_path: Path, name: str) -> None:
    data, message = BAD_FILES[name]
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(BadInput, match=message) as caught:
        project.datasets.commit("bad", path)
    assert caught.value.hint
    assert "\n" not in str(caught.value)
    assert project.datasets.list() == ()
    assert verbs(project) == []
    assert stored(project) == set()


def test_bad_paths_are_one_clear_line(project: Project, tmp_path: Path) -> None:
    (tmp_path / "customers.csv").write_text(CSV)
    with pytest.raises(NotFound, match=r"did you mean customers\.csv"):
        project.datasets.commit("bad", tmp_path / "custmers.csv")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(BadInput, match="holds no files"):
        project.datasets.commit("bad", tmp_path / "nothing")
    with pytest.raises(BadInput, match="own state"):
        project.datasets.commit("bad", project.root)
    with pytest.raises(BadInput, match="is no path"):
        project.datasets.commit("bad", "a\0b")
    os.mkfifo(tmp_path / "nothing" / "pipe")
    with pytest.raises(BadInput, match="is a pipe"):
        project.datasets.commit("bad", tmp_path / "nothing" / "pipe")
    with pytest.raises(BadInput, match="is a pipe"):
        project.datasets.commit("bad", tmp_path / "nothing")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "passwd").symlink_to("/etc/passwd")
    with pytest.raises(BadInput, match="is a symbolic link"):
        project.datasets.commit("bad", tmp_path / "linked")
    with pytest.raises(BadInput, match="cannot name a data"):
        project.datasets.commit("../x", tmp_path / "customers.csv")
    for value in (3, pd.Series([1]), None, [[1]]):
        with pytest.raises(BadInput, match="cannot be committed"):
            project.datasets.commit("bad", value)
    assert verbs(project) == []


def test_a_link_that_is_named_is_followed(project: Project, customers: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.csv"
    link.symlink_to(customers)
    assert project.datasets.commit("customers", link).rows == 3


@pytest.mark.parametrize("change", ["touch", "remove", "add"])
def test_a_folder_that_changes_while_it_is_read_is_refused(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for number in range(3):
        (folder / str(number)).write_text(str(number))

    @contextmanager
    def interfering(title: str, total: int) -> Any:
        def advance(count: int) -> None:
            if change == "touch":
                (folder / "2").write_text("other")
            elif change == "remove":
                (folder / "2").unlink(missing_ok=True)
            else:
                (folder / "new").write_text("new")

        yield advance

    monkeypatch.setattr("jupyter_mlops.datasets.preparation.progress", interfering)
    with pytest.raises(SourceChanged):
        project.datasets.commit("folder", folder)
    assert stored(project) == set()
    assert verbs(project) == []


def test_an_interrupted_commit_leaves_nothing(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for number in range(5):
        (folder / str(number)).write_text(str(number))

    @contextmanager
    def interrupting(title: str, total: int) -> Any:
        def advance(count: int) -> None:
            raise KeyboardInterrupt

        yield advance

    with monkeypatch.context() as patched:
        patched.setattr("jupyter_mlops.datasets.preparation.progress", interrupting)
        with pytest.raises(KeyboardInterrupt):
            project.datasets.commit("folder", folder)
    assert stored(project) == set()
    assert project.datasets.commit("folder", folder).ref == "folder@v1"


def _commit(root: Path, path: Path, ready: Any, go: Any) -> None:
    with open_project(root, actor="ann@example.com") as project:
        ready.release()
        go.wait(60)
        project.datasets.commit("shared", path)


@pytest.mark.parametrize("equal", [True, False])
def test_processes_that_commit_at_once_all_land(project: Project, tmp_path: Path, equal: bool) -> None:
    spawn = multiprocessing.get_context("spawn")
    ready, go = spawn.Semaphore(0), spawn.Event()
    workers = []
    for number in range(4):
        path = tmp_path / f"{number}.csv"
        path.write_text(CSV if equal else CSV + f"{number},1,1\n")
        workers.append(spawn.Process(target=_commit, args=(project.root, path, ready, go)))
    for worker in workers:
        worker.start()
    for _ in workers:
        assert ready.acquire(timeout=60)
    go.set()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 4
    versions = project.datasets.versions("shared")
    assert [v.number for v in versions] == ([1] if equal else [4, 3, 2, 1])
    assert len({v.digest for v in versions}) == len(versions)
    assert verbs(project) == ["data.committed"] * len(versions)
    assert project.audit.verify().ok


def _commit_and_say(root: Path, path: Path, started: Any) -> None:
    with open_project(root, actor="ann@example.com") as project:
        started.set()
        project.datasets.commit("folder", path)


def test_a_killed_commit_leaves_a_project_that_works(project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for number in range(400):
        (folder / str(number)).write_bytes(os.urandom(200))
    spawn = multiprocessing.get_context("spawn")
    for pause in (0.0, 0.05, 0.15):
        started = spawn.Event()
        worker = spawn.Process(target=_commit_and_say, args=(project.root, folder, started))
        worker.start()
        assert started.wait(60)
        time.sleep(pause)  # any moment is a good one to be killed at
        worker.kill()
        worker.join(60)
    v = project.datasets.commit("folder", folder)
    assert v.number == 1
    assert v.checkout(tmp_path / "out").is_dir()
    assert verbs(project) == ["data.committed"]
