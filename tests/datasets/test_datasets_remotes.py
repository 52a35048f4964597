"""Versions travel: push, pull, two people at once, numbers that are taken, and remotes that lie."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlops import cli
from jupyter_mlops.datasets import shipped
from jupyter_mlops.datasets.transfer import Transfer
from jupyter_mlops.errors import (
    BadConfig,
    BadInput,
    Conflict,
    Damaged,
    Failed,
    NotFound,
    Refused,
    StoreFailed,
    Unreachable,
)
from jupyter_mlops.objects.blob import digest_of
from jupyter_mlops.objects.remotes.known import Known
from jupyter_mlops.objects.remotes.plan import Plan
from jupyter_mlops.project import Project, open_project
from jupyter_mlops.store.events import canonical
from jupyter_mlops.views import to_text, view
from tests.buckets import S3Server, environment, s3_server, use
from tests.conftest import ANN, BO, DEE, MakeProject

TOML = """
[project]
name = "churn"
remote = "{url}"
[people]
viewer = ["dee@example.com"]
admin = ["ann@example.com", "bo@example.com"]
"""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return str(tmp_path / "remote")


@pytest.fixture
def ann(make_project: MakeProject, url: str) -> Project:
    return make_project(TOML.format(url=url), ANN)


@pytest.fixture
def bo(make_project: MakeProject, url: str) -> Project:
    return make_project(TOML.format(url=url), BO)


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as started:
        started.make_bucket("acme")
        yield started


@pytest.fixture
def bucket(server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    use(server, monkeypatch)
    server.begin_again()
    return f"s3://acme/{tmp_path.name}-{os.getpid()}"


def commit(project: Project, name: str, text: str, **options: Any) -> str:
    """Commit a small file and return the version's ref."""
    file = project.root / f"{name}.txt"
    file.write_text(text)
    return project.datasets.commit(name, file, **options).ref


def text_of(project: Project, ref: str) -> str:
    return Path(project.datasets.get(ref).load("path")).read_text()


def states(transfer: Transfer) -> list[tuple[str, str, str]]:
    return [(moved.here, moved.there, moved.state) for moved in transfer.versions]


def test_what_one_commits_and_pushes_the_other_pulls(ann: Project, bo: Project) -> None:
    commit(ann, "letters", "one", message="the first", key=None)
    commit(ann, "letters", "two", parents="letters@v1")
    commit(ann, "numbers", "1")
    assert {here for here, _, _ in states(ann.datasets.push())} == {"letters@v1", "letters@v2", "numbers@v1"}
    pulled = bo.datasets.pull()
    assert {state for _, _, state in states(pulled)} == {"pulled"}
    for ref in ("letters@v1", "letters@v2", "numbers@v1"):
        mine, theirs = ann.datasets.get(ref), bo.datasets.get(ref)
        assert mine == theirs
        assert (mine.at, mine.actor, mine.message, mine.parents) == (
            theirs.at,
            theirs.actor,
            theirs.message,
            theirs.parents,
        )
        assert text_of(ann, ref) == text_of(bo, ref)
    assert bo.audit.verify().ok
    assert [event.verb for event in bo.events() if event.verb.startswith("data.")] == ["data.adopted"] * 3
    assert states(bo.datasets.pull("letters@v1")) == [("letters@v1", "letters@v1", "known")]


def test_tables_come_back_with_their_types_and_what_was_found_in_them(ann: Project, bo: Project) -> None:
    import pandas as pd

    frame = pd.DataFrame({"id": [1, 2, 3], "when": pd.to_datetime(["2024-01-01"] * 3), "k": ["a", "b", None]})
    version = ann.datasets.commit("table", frame, key="id")
    ann.datasets.push("table@v1")
    bo.datasets.pull("table")
    pulled = bo.datasets.get("table")
    assert pulled.described
    assert pulled.profile == version.profile
    assert pulled.key == ("id",)
    pd.testing.assert_frame_equal(pulled.load(), version.load())


def test_a_number_that_is_taken_there_gives_way_and_the_answer_says_so(ann: Project, bo: Project) -> None:
    commit(ann, "letters", "from ann")
    commit(bo, "letters", "from bo")
    assert states(ann.datasets.push("letters")) == [("letters@v1", "letters@v1", "pushed")]
    assert states(bo.datasets.push("letters")) == [("letters@v1", "letters@v2", "pushed")]
    assert states(bo.datasets.pull("letters")) == [
        ("letters@v2", "letters@v1", "pulled"),
        ("letters@v1", "letters@v2", "known"),
    ]
    assert [text_of(bo, "letters@v1"), text_of(bo, "letters@v2")] == ["from bo", "from ann"]
    assert states(ann.datasets.pull()) == [
        ("letters@v1", "letters@v1", "known"),
        ("letters@v2", "letters@v2", "pulled"),
    ]
    for project in (ann, bo):  # from now on both have all of it
        assert project.datasets.push().moved == ()
        assert project.datasets.pull().moved == ()


def test_a_number_that_means_something_else_there_is_said_loudly(
    ann: Project, bo: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(ann, "letters", "from ann")
    commit(bo, "letters", "from bo")
    assert "differ" not in to_text(view(ann.datasets.push()))
    first = to_text(view(bo.datasets.push())).splitlines()[0]
    assert "letters@v1 is letters@v2 there" in first
    pulled = bo.datasets.pull("letters@v1")
    assert states(pulled) == [("letters@v2", "letters@v1", "pulled")]
    assert "letters@v1 there is letters@v2" in to_text(view(pulled)).splitlines()[0]
    again = to_text(view(bo.datasets.pull("letters"))).splitlines()[0]
    assert "nothing to do" in again
    assert "and 1 more" in again
    assert [version.there for version in bo.datasets.versions("letters")] == [{"default": 1}, {"default": 2}]
    assert bo.datasets.get("letters@v1").to_dict()["there"] == {"default": 2}
    assert [version.there for version in ann.datasets.versions("letters")] == [{}]
    monkeypatch.setenv("MLOPS_ACTOR", ANN)
    assert cli.run(["data", "versions", "letters", "--project", str(bo.root)]) == 0
    assert "v2 in default" in capsys.readouterr().out
    assert cli.run(["data", "show", "letters@v1", "--project", str(bo.root)]) == 0
    assert "v2 in default" in capsys.readouterr().out
    # what was recorded by its number here is still that
    assert text_of(bo, "letters@v1") == "from bo"


def test_aliases_travel_and_lose_no_move(ann: Project, bo: Project) -> None:
    def pointing(project: Project) -> int | None:
        return project.datasets.aliases("letters").get("golden")

    def shared(transfer: Transfer) -> list[tuple[str, int | None, int | None, str]]:
        return [(one.ref, one.here, one.there, one.state) for one in transfer.aliases]

    for text in "abc":
        commit(ann, "letters", text)
    ann.datasets.alias("letters@v1", "golden")
    assert shared(ann.datasets.push()) == [("letters@golden", 1, 1, "pushed")]
    assert shared(ann.datasets.push()) == []
    # what a fresh clone asks for by its alias is there
    pulled = bo.datasets.pull("letters@golden")
    assert shared(pulled) == [("letters@golden", 1, 1, "pulled")]
    assert [moved.here for moved in pulled.versions] == ["letters@v1"]
    assert text_of(bo, "letters@golden") == "a"
    assert bo.datasets.history("letters", "golden")[0].reason == "pulled from default"
    assert shared(bo.datasets.pull()) == []

    # forth and back again, as a rollback is
    for number in (2, 1):
        ann.datasets.alias(f"letters@v{number}", "golden")
        assert shared(ann.datasets.push()) == [("letters@golden", number, number, "pushed")]
        assert shared(bo.datasets.pull()) == [("letters@golden", number, number, "pulled")]

    # both move it: nobody's move is lost, and who pushes after having seen the other's decides
    ann.datasets.alias("letters@v2", "golden")
    bo.datasets.alias("letters@v3", "golden")
    ann.datasets.push()
    assert shared(bo.datasets.push()) == [("letters@golden", 3, 2, "differs")]
    assert "pull first" in " ".join(to_text(view(bo.datasets.push())).split())
    refused = bo.datasets.pull()
    assert shared(refused) == [("letters@golden", 3, 2, "differs")]
    assert "letters@golden is v3 here and v2 there" in " ".join(to_text(view(refused)).split())
    assert shared(bo.datasets.push()) == [("letters@golden", 3, 3, "pushed")]
    assert shared(ann.datasets.pull()) == [("letters@golden", 3, 3, "pulled")]
    assert (pointing(ann), pointing(bo)) == (3, 3)

    # taken away here stays away
    gone = bo.datasets.unalias("letters", "golden", "no more")
    assert gone.ref == "letters@v3"
    assert "no more" in gone.note
    assert bo.datasets.history("letters", "golden")[0].number == 0
    assert shared(bo.datasets.pull()) == []
    assert pointing(bo) is None
    for project in (ann, bo):
        assert project.audit.verify().ok


def test_an_alias_means_its_version_whatever_its_number(
    ann: Project, bo: Project, url: str, as_actor: Callable[..., Project]
) -> None:
    commit(bo, "letters", "from bo")
    commit(ann, "letters", "from ann")
    ann.datasets.alias("letters@v1", "golden")
    ann.datasets.push()
    dee = as_actor(bo, DEE)
    bo.datasets.pull("letters@golden")
    assert text_of(bo, "letters@golden") == "from ann"
    assert bo.datasets.get("letters@golden").ref == "letters@v2"
    bo.datasets.push()
    # a file that is no move of ours, or a damaged one, moves nothing
    folder = Path(url) / "aliases/letters/golden"
    (folder / "3.json").write_bytes((folder / "1.json").read_bytes())
    (folder / "4.json").write_text("{")
    assert bo.datasets.pull().aliases == ()
    commit(ann, "letters", "more")
    ann.datasets.alias("letters", "silver")
    ann.datasets.push()
    with pytest.raises(Refused):
        dee.datasets.pull()


def test_a_version_that_brings_old_content_back_travels_as_one_of_its_own(ann: Project, bo: Project) -> None:
    for text in ("a", "b", "a"):
        commit(ann, "letters", text)
    ann.datasets.push()
    bo.datasets.pull()
    assert [text_of(bo, f"letters@v{n}") for n in (1, 2, 3)] == ["a", "b", "a"]
    assert text_of(bo, "letters") == "a"


def test_the_same_content_committed_by_both_is_one_version(ann: Project, bo: Project) -> None:
    for project in (ann, bo):
        commit(project, "letters", "same")
    ann.datasets.push()
    assert states(bo.datasets.push()) == [("letters@v1", "letters@v1", "known")]
    assert bo.datasets.pull().moved == ()


def test_parents_are_called_as_they_are_called_here(ann: Project, bo: Project) -> None:
    commit(bo, "raw", "something else")
    commit(ann, "raw", "raw")
    commit(ann, "clean", "clean", parents="raw@v1")
    ann.datasets.push()
    bo.datasets.pull("raw")
    bo.datasets.pull("clean")
    assert bo.datasets.get("clean").parents == ("raw@v2",)


def test_many_pushes_at_once_lose_nothing(make_project: MakeProject, url: str) -> None:
    projects = [make_project(TOML.format(url=url), ANN) for _ in range(4)]
    for at, project in enumerate(projects):
        for number in range(3):
            commit(project, "letters", f"{at}.{number}")
    failures: list[BaseException] = []

    def push(project: Project) -> None:
        try:
            project.datasets.push()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=push, args=(project,)) for project in projects]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    clone = make_project(TOML.format(url=url), BO)
    clone.datasets.pull()
    assert [version.number for version in reversed(clone.datasets.versions("letters"))] == list(range(1, 13))
    texts = {text_of(clone, f"letters@v{number}") for number in range(1, 13)}
    assert texts == {f"{at}.{number}" for at in range(4) for number in range(3)}


def test_a_removed_version_is_not_pushed_and_does_not_come_back(ann: Project, bo: Project) -> None:
    commit(ann, "letters", "a")
    commit(ann, "letters", "b")
    ann.datasets.push()
    bo.datasets.pull()
    bo.datasets.remove("letters@v1")
    assert bo.datasets.pull().moved == ()
    assert [version.number for version in bo.datasets.versions("letters")] == [2]
    ann.datasets.remove("letters@v2")
    assert [here for here, _, _ in states(ann.datasets.push())] == ["letters@v1"]


def test_what_is_there_already_is_counted_and_what_was_removed_is_named(ann: Project, bo: Project) -> None:
    for number in range(12):
        commit(ann, "letters", str(number))
    ann.datasets.push()
    said = to_text(view(ann.datasets.push()))
    assert "12 versions were there already" in said
    assert "letters@v7" not in said
    bo.datasets.pull()
    bo.datasets.remove("letters@v7")
    pulled = bo.datasets.pull("letters@v7")
    assert states(pulled) == [("letters@v7", "letters@v7", "removed")]
    assert pulled.moved == ()
    assert "`mlops data restore letters@v7`" in " ".join(to_text(view(pulled)).split())


def test_one_version_alone_can_be_pushed_and_pulled(ann: Project, bo: Project) -> None:
    for text in "abc":
        commit(ann, "letters", text)
    ann.datasets.alias("letters@v2", "golden")
    ann.datasets.push("letters@golden")
    assert states(bo.datasets.pull("letters@latest")) == [("letters@v2", "letters@v2", "pulled")]
    ann.datasets.push("letters@v3")
    assert states(bo.datasets.pull("letters@v3")) == [("letters@v3", "letters@v3", "pulled")]
    assert [version.number for version in bo.datasets.versions("letters")] == [3, 2]


def test_a_read_of_bytes_that_are_not_here_says_how_to_get_them(ann: Project, bo: Project) -> None:
    commit(ann, "letters", "a")
    ann.datasets.push()
    # as with one database for both: the fact is here, the bytes are not
    fact = ann.datasets.fact_of("letters@v1")
    bo.datasets.adopt("letters", fact, 1, 1, "elsewhere")
    with pytest.raises(Damaged, match="mlops data pull letters@v1"):
        bo.datasets.get("letters").load("path")
    pulled = bo.datasets.pull("letters@v1")
    assert [moved.state for moved in pulled.versions] == ["fetched"]
    assert text_of(bo, "letters") == "a"


def test_what_is_damaged_is_named_and_the_rest_arrives(ann: Project, bo: Project, url: str) -> None:
    for number in range(3):
        commit(ann, "letters", f"{number}" * 1000)
        ann.datasets.push()
    digest = ann.datasets.get("letters@v2").digest
    for pack in Path(url).rglob("*.pack"):
        content = pack.read_bytes()
        if ann.objects.record(digest) in content:
            pack.write_bytes(
                content.replace(ann.objects.record(digest), bytes(len(ann.objects.record(digest))))
            )
    with pytest.raises(Damaged, match=r"letters@v2 cannot be pulled.*packs/.*is damaged"):
        bo.datasets.pull()
    assert [version.number for version in bo.datasets.versions("letters")] == [3, 1]
    # the way out that the hint names
    for pack in Path(url).rglob("*.pack"):
        if bytes(100) in pack.read_bytes():
            pack.unlink()
    assert ann.datasets.push().bytes > 0
    bo.datasets.pull()
    assert text_of(bo, "letters@v2") == "1" * 1000


def change(url: str, number: int, edit: Callable[[dict[str, Any]], Any], seal: bool = True) -> None:
    """Edit a ref file as somebody with access to the remote can."""
    file = Path(url) / "refs/letters" / f"{number}.json"
    told = json.loads(file.read_text())
    edit(told)
    if seal:
        del told["check"]
        told["check"] = digest_of(canonical(told).encode())
    file.write_text(canonical(told))


HOSTILE: dict[str, Callable[[dict[str, Any]], Any]] = {
    "another dataset": lambda told: told.update(dataset="../../evil"),
    "another number": lambda told: told.update(number=7),
    "a path as its source": lambda told: told["version"]["detail"].update(source="../../.bashrc"),
    "an absolute source": lambda told: told["version"]["detail"].update(source="/etc/passwd"),
    "a source with NUL": lambda told: told["version"]["detail"].update(source="a\0b"),
    "no source": lambda told: told["version"].update(detail={}),
    "a setuid mode": lambda told: told["version"]["detail"].update(modes={"": 0o4755}),
    "a digest that is a path": lambda told: told["version"].update(digest="b3:../../x"),
    "a kind of its own": lambda told: told["version"].update(kind="code"),
    "a size that is text": lambda told: told["version"].update(bytes="1; DROP TABLE versions"),
    "a negative size": lambda told: told["version"].update(bytes=-1),
    "nobody": lambda told: told["version"].update(actor=" "),
    "no moment": lambda told: told["version"].update(at="yesterday"),
    "parents that are no refs": lambda told: told["version"].update(parents=["../x@v1"]),
    "a key that is no list": lambda told: told["version"].update(key="id"),
    "a message that is no text": lambda told: told["version"].update(message={"a": 1}),
    "no version": lambda told: told.pop("version"),
    "a newer format": lambda told: told.update(format=2),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_ref_that_makes_no_sense_is_named_and_refused(
    ann: Project, bo: Project, url: str, what: str
) -> None:
    commit(ann, "letters", "a")
    commit(ann, "letters", "b")
    ann.datasets.push()
    change(url, 2, HOSTILE[what])
    with pytest.raises(Damaged, match=r"refs/letters/2\.json"):
        bo.datasets.pull()
    assert [version.number for version in bo.datasets.versions("letters")] == [1]
    assert text_of(bo, "letters@v1") == "a"


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '"x"', "[" * 100_000, "\x00", "{}"])
def test_a_ref_that_is_no_ref_is_named(ann: Project, bo: Project, url: str, content: str) -> None:
    commit(ann, "letters", "a")
    ann.datasets.push()
    (Path(url) / "refs/letters/1.json").write_text(content)
    with pytest.raises(Damaged, match=r"refs/letters/1\.json"):
        bo.datasets.pull("letters")
    assert bo.datasets.list() == ()


def test_every_flipped_byte_of_a_ref_is_found(ann: Project, bo: Project, url: str) -> None:
    commit(ann, "letters", "a", message="words")
    ann.datasets.push()
    file = Path(url) / "refs/letters/1.json"
    sound = file.read_bytes()
    for at in range(0, len(sound), 7):
        with pytest.raises(Damaged):
            shipped.read("letters", 1, sound[:at] + bytes([sound[at] ^ 4]) + sound[at + 1 :], url)
    assert shipped.read("letters", 1, sound, url).fact["message"] == "words"


@pytest.mark.parametrize(
    "name",
    ["../x/1.json", "letters/../../1.json", "%2E%2E/1.json", "%2e%2e%2fx/1.json", "letters/01.json",
     "letters/1.json/x", "letters/1234567890.json", "let%74ers/1.json", "%00/1.json", "/1.json"],
)  # fmt: skip
def test_a_name_of_a_ref_that_leads_elsewhere_is_none(name: str) -> None:
    assert shipped.place_of(f"refs/{name}") is None


@pytest.mark.parametrize("name", ["customers", "a.b-c d", "größe", "数据", "x.", "CON"])
def test_every_name_of_a_dataset_is_spelt_so_that_it_comes_back(ann: Project, bo: Project, name: str) -> None:
    assert shipped.place_of(shipped.file_of(name, 12)) == (name, 12)
    file = ann.root / "x.txt"
    file.write_text("x")
    ann.datasets.commit(name, file)
    ann.datasets.push()
    bo.datasets.pull()
    assert bo.datasets.get(name).name == name


def test_remotes_are_declared_listed_and_forgotten(make_project: MakeProject, tmp_path: Path) -> None:
    project = make_project()
    before = (project.root / "mlops.toml").read_text()
    assert project.datasets.remotes() == ()
    with pytest.raises(BadInput, match="has no remote"):
        project.datasets.push()
    origin = project.remotes.add("origin", str(tmp_path / "remote"))
    assert (origin.default, origin.single_writer, origin.note) == (True, False, "")
    assert "there already" in project.remotes.add("origin", str(tmp_path / "remote")).note
    with pytest.raises(Conflict):
        project.remotes.add("origin", str(tmp_path / "other"))
    project.remotes.add("other", str(tmp_path / "other"))
    with pytest.raises(BadInput, match="--remote: origin, other"):
        project.datasets.push()
    with pytest.raises(NotFound, match="did you mean origin"):
        project.datasets.push(remote="orgin")
    with open_project(project.root, ANN) as again:
        assert [remote.name for remote in again.datasets.remotes()] == ["origin", "other"]
    for name in ("origin", "other"):
        assert "stays there" in project.remotes.remove(name).note
    assert (project.root / "mlops.toml").read_text().strip() == before.strip()


def test_places_that_can_be_no_remote_are_refused(make_project: MakeProject, tmp_path: Path) -> None:
    project = make_project()
    for url in ("s3://key:hidden@bucket/x", "", str(project.state / "objects"), "s3://bucket?hidden=1"):
        with pytest.raises(BadInput) as refused:
            project.remotes.add("origin", url)
        assert "hidden" not in str(refused.value)
    with pytest.raises(Unreachable):
        project.remotes.add("origin", str(tmp_path / "no" / "such" / "place"))
    for name in ("", "a b", "../x", "-x"):
        with pytest.raises(BadInput):
            project.remotes.add(name, str(tmp_path / "remote"))
    assert project.datasets.remotes() == ()


@pytest.mark.parametrize("url", ["file://../remote", "file://", "s3://", "gs:///x", "."])
def test_an_address_that_leads_elsewhere_than_it_reads_is_refused(
    make_project: MakeProject, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project()
    monkeypatch.chdir(project.root)
    with pytest.raises(BadInput, match=r"names no|own folder"):
        project.remotes.add("origin", url)
    assert "remotes" not in (project.root / "mlops.toml").read_text()


def test_a_relative_path_is_declared_so_that_every_clone_can_use_it(
    make_project: MakeProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project()
    inner = project.root / "notebooks"
    inner.mkdir()
    monkeypatch.chdir(inner)
    shared = project.remotes.add("shared", "../../here/../remote")
    wanted = project.root.parent / "remote"
    assert shared.address == str(wanted)
    assert 'url = "../remote"' in (project.root / "mlops.toml").read_text()
    with open_project(project.root, ANN) as again:
        assert again.remotes.get("shared").address == str(wanted)
    far = project.remotes.add("far", str(tmp_path / "x" / ".." / "far"))
    assert far.address == str(tmp_path / "far")


def test_a_temporary_folder_that_is_full_is_one_clear_line(
    ann: Project, bo: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    commit(ann, "letters", "a")
    with monkeypatch.context() as patch:
        patch.setattr(Plan, "add", full)
        patch.setattr(Known, "lacking", full)
        with pytest.raises(StoreFailed, match=r"disk is full — free some space in the temporary folder"):
            ann.datasets.push()
    ann.datasets.push()
    with monkeypatch.context() as patch:
        patch.setattr(Known, "find", full)
        with pytest.raises(StoreFailed, match="what was moved counts"):
            bo.datasets.pull()
    assert states(bo.datasets.pull()) == [("letters@v1", "letters@v1", "pulled")]


def test_who_may_only_look_pushes_nothing(ann: Project, as_actor: Callable[..., Project]) -> None:
    commit(ann, "letters", "a")
    ann.datasets.push()
    dee = as_actor(ann, DEE)
    with pytest.raises(Refused):
        dee.datasets.push()
    with pytest.raises(Refused):
        dee.remotes.add("mine", str(ann.root / "remote"))
    assert dee.datasets.pull().moved == ()


def test_a_viewer_fetches_bytes_but_records_nothing(
    ann: Project, bo: Project, as_actor: Callable[..., Project]
) -> None:
    commit(ann, "letters", "a")
    ann.datasets.push()
    dee = as_actor(bo, DEE)
    with pytest.raises(Refused):
        dee.datasets.pull()
    bo.datasets.adopt("letters", ann.datasets.fact_of("letters@v1"), 1)
    dee.datasets.pull("letters@v1")
    assert text_of(bo, "letters") == "a"


def test_a_store_that_ignores_conditions_takes_one_writer_and_says_so(
    make_project: MakeProject, bucket: str, server: S3Server
) -> None:
    server.ignores_conditions = True
    ann, bo = make_project(), make_project()
    added = ann.remotes.add("origin", bucket)
    assert added.single_writer
    assert "one person at a time" in added.note
    assert "single_writer = true" in (ann.root / "mlops.toml").read_text()
    assert bo.remotes.add("origin", bucket).single_writer
    commit(ann, "letters", "from ann")
    commit(bo, "letters", "from bo")
    ann.datasets.push()
    assert states(bo.datasets.push()) == [("letters@v1", "letters@v2", "pushed")]
    assert len(ann.datasets.pull().versions) == 2


def test_an_answer_that_was_lost_makes_no_second_version(
    make_project: MakeProject, bucket: str, server: S3Server
) -> None:
    ann = make_project(TOML.format(url=bucket))
    commit(ann, "letters", "a")
    ann.datasets.push()
    commit(ann, "letters", "b")
    seen: list[str] = []

    def lose(method: str, path: str) -> None:
        """Let somebody write our own ref a moment before we do: so it looks after an answer got lost."""
        if method == "PUT" and path.endswith("/letters/2.json") and not seen:
            seen.append(path)
            raise ConnectionError

    server.meet = lose
    assert states(ann.datasets.push())[1] == ("letters@v2", "letters@v2", "pushed")
    assert seen
    refs = [path for _, path in server.asked if path.endswith(".json") and "/letters/" in path]
    assert not [path for path in refs if path.endswith("3.json")]


@pytest.mark.parametrize(
    ("variables", "error", "said"),
    [
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, Unreachable, "does not answer"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, Failed, "credentials"),
    ],
)
def test_what_keeps_one_from_a_bucket_is_one_clear_line(
    make_project: MakeProject,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variables: dict[str, str],
    error: type[Exception],
    said: str,
) -> None:
    project = make_project(TOML.format(url=bucket))
    for name, value in variables.items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name)
    with pytest.raises(error, match=said):
        project.datasets.pull()
    monkeypatch.setenv("MLOPS_ACTOR", ANN)
    assert cli.run(["data", "pull", "--project", str(project.root)]) == 3
    printed = capsys.readouterr().err
    assert printed.startswith("mlops: ")
    assert printed.count("\n") == 1


def mlops(project: Project, server: S3Server, *words: str) -> subprocess.Popen[str]:
    """Start the command on a project, as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "jupyter_mlops", *words],
        cwd=project.root,
        env={**os.environ, **environment(server), "MLOPS_ACTOR": ANN},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def big(project: Project, name: str) -> None:
    """Commit forty megabytes that do not compress."""
    file = project.root / f"{name}.bin"
    file.write_bytes(os.urandom(40_000_000))
    project.datasets.commit(name, file)


@pytest.mark.parametrize(("number", "how"), [(signal.SIGKILL, "killed"), (signal.SIGINT, "interrupted")])
def test_a_push_that_is_ended_anywhere_goes_on_and_shows_nothing_wrong(
    make_project: MakeProject, bucket: str, server: S3Server, number: signal.Signals, how: str
) -> None:
    ann, bo = make_project(TOML.format(url=bucket)), make_project(TOML.format(url=bucket))
    big(ann, "big")
    for after in (1, 2, 3):
        running: list[subprocess.Popen[str]] = []
        puts: list[str] = []

        def end(method: str, path: str, after: int = after, running: Any = running, puts: Any = puts) -> None:
            if method == "PUT" and ("/packs/" in path or "/index/" in path):
                puts.append(path)
                if len(puts) == after:
                    running[0].send_signal(number)

        server.meet = end
        running.append(mlops(ann, server, "data", "push"))
        _, said = running[0].communicate(timeout=120)
        if how == "interrupted":
            assert running[0].returncode == 130
            assert said.strip().startswith("mlops: interrupted")
            assert "what was moved counts" in said
            assert "\n" not in said.strip()
        server.begin_again()
        with pytest.raises(NotFound, match="no dataset"):
            bo.datasets.pull("big")
    rest = ann.datasets.push()
    assert 0 < rest.bytes < 39_000_000
    bo.datasets.pull("big")
    assert (ann.root / "big.bin").read_bytes() == Path(bo.datasets.get("big").load("path")).read_bytes()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_pull_that_is_ended_anywhere_goes_on_and_shows_nothing_wrong(
    make_project: MakeProject, bucket: str, server: S3Server, number: signal.Signals
) -> None:
    ann, bo = make_project(TOML.format(url=bucket)), make_project(TOML.format(url=bucket))
    big(ann, "big")
    ann.datasets.push()
    for after in (1, 3, 6):
        running: list[subprocess.Popen[str]] = []
        gets: list[str] = []

        def end(method: str, path: str, after: int = after, running: Any = running, gets: Any = gets) -> None:
            if method == "GET" and "/packs/" in path:
                gets.append(path)
                if len(gets) == after:
                    running[0].send_signal(number)

        server.meet = end
        running.append(mlops(bo, server, "data", "pull"))
        running[0].communicate(timeout=120)
        server.begin_again()
        assert bo.datasets.list() == ()
    bo.datasets.pull("big")
    assert (ann.root / "big.bin").read_bytes() == Path(bo.datasets.get("big").load("path")).read_bytes()


def test_a_network_that_goes_away_is_one_clear_line_and_what_was_moved_counts(
    make_project: MakeProject,
    bucket: str,
    server: S3Server,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLOPS_ACTOR", ANN)
    ann = make_project(TOML.format(url=bucket))
    big(ann, "big")
    puts: list[str] = []

    def cut(method: str, path: str) -> None:
        if "/packs/" in path and method == "PUT":
            puts.append(path)
        if len(puts) > 2:
            raise ConnectionError

    server.meet = cut
    assert cli.run(["data", "push", "--project", str(ann.root)]) == 3
    said = capsys.readouterr().err
    assert said.startswith("mlops: the remote s3://acme/")
    assert "what was moved counts" in said
    assert said.count("\n") == 1
    server.begin_again()
    assert 0 < ann.datasets.push().bytes < 39_000_000


def test_the_command_line_tells_the_story(
    make_project: MakeProject,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ann, bo = make_project(), make_project()

    def say(project: Project, *words: str) -> str:
        status = cli.run(["data", *words, "--project", str(project.root)])
        printed = capsys.readouterr()
        return printed.out if status == 0 else printed.err

    monkeypatch.setenv("MLOPS_ACTOR", ANN)
    assert "no remotes" in say(ann, "remote")
    assert "mlops data remote add" in say(ann, "push")
    for project in (ann, bo):
        assert "any number at once" in say(project, "remote", "add", "origin", str(tmp_path / "remote"))
    assert "origin" in say(ann, "remote", "list")
    commit(ann, "letters", "from ann")
    commit(bo, "letters", "from bo")
    assert "1 version" in say(ann, "push", "letters")
    assert "new there as v2, because its v1 is another content" in say(bo, "push")
    assert "new here as v2, because v1 is another content here" in say(bo, "pull")
    assert "nothing to do" in say(bo, "pull", "letters@v2", "--remote", "origin")
    assert json.loads(say(ann, "pull", "--json"))["versions"][1]["state"] == "pulled"
    assert "did you mean letters" in say(ann, "pull", "leters")
    assert "has no letters@v9" in say(ann, "pull", "letters@v9")
    assert "stays there" in say(ann, "remote", "remove", "origin")


def test_a_remote_of_the_project_is_declared_in_its_file(make_project: MakeProject, tmp_path: Path) -> None:
    project = make_project(TOML.format(url="../shared"))
    (remote,) = project.datasets.remotes()
    assert (remote.name, remote.default, remote.address) == ("default", True, str(tmp_path / "shared"))
    commit(project, "letters", "a")
    project.datasets.push()
    assert (tmp_path / "shared/refs/letters/1.json").is_file()
    with pytest.raises(BadConfig, match="take that line out"):
        project.remotes.remove("default")


def test_what_was_compacted_travels_small_and_comes_back_whole(ann: Project, bo: Project) -> None:
    import random

    from jupyter_mlops.objects.upkeep.compact import compact

    rows = [f"{n},{random.Random(n).random()}" for n in range(30_000)]
    for step in range(4):
        for n in range(step, len(rows), 97):
            rows[n] = f"{n},changed in {step}"
        commit(ann, "rows", "\n".join(rows))
    plain = ann.objects.stored().stored
    compact(ann.objects, ann.datasets.families())
    pushed = ann.datasets.push()
    assert pushed.bytes < plain / 2
    assert bo.datasets.pull().bytes < plain / 2
    for version in ann.datasets.versions("rows"):
        assert text_of(bo, version.ref) == text_of(ann, version.ref)


@pytest.mark.parametrize("base_too", [True, False])
def test_a_version_that_is_kept_as_differences_travels_without_its_base(
    ann: Project, bo: Project, base_too: bool
) -> None:
    import random

    from jupyter_mlops.objects.upkeep.compact import compact

    rows = [f"{n},{random.Random(n).random()}" for n in range(30_000)]
    commit(ann, "rows", "\n".join(rows))
    for n in range(0, len(rows), 97):
        rows[n] = f"{n},changed"
    commit(ann, "rows", "\n".join(rows))
    compact(ann.objects, ann.datasets.families())
    plain = len("\n".join(rows)) // 3
    if base_too:
        ann.datasets.push("rows@v1")
        assert ann.datasets.push("rows@v2").bytes < plain / 4
    else:
        assert ann.datasets.push("rows@v2").bytes > plain
    bo.datasets.pull("rows@v2")
    assert text_of(bo, "rows@v2") == "\n".join(rows)
