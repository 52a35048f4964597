"""The care for the stored bytes of a project: nothing that a version, run or model needs is ever taken."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlops import cli
from jupyter_mlops.automation.upkeep import Upkeep
from jupyter_mlops.errors import BadConfig, BadInput, Refused
from jupyter_mlops.objects.upkeep.reach import lacking
from jupyter_mlops.project import Project
from jupyter_mlops.views import to_text, view

from ..conftest import BO, DEE

MakeProject = Callable[..., Project]
# where a digest in the facts names stored bytes, and where it does not
BYTES = {
    "versions.digest", "runs.notebook_digest", "runs.executed_digest", "runs.source_digest",
    "runs.environment_digest", "sweeps.notebook_digest", "run_artifacts.digest", "run_inputs.digest",
    "run_outputs.digest", "model_versions.digest",
}  # fmt: skip
NO_BYTES = {"policies.digest"}  # of the document beside it


def table(rows: int = 30_000, relabelled: int = 0) -> str:
    """Return a CSV file, with every so manyth label changed."""
    lines = [
        f"{number},{number * 7919 % 1_000_003},{(number * 104_729) % 99_991 / 7:.4f},"
        f"{'yes' if number % 3 and not (relabelled and number % relabelled == 0) else 'no'}"
        for number in range(rows)
    ]
    return "\n".join(["id,customer,score,churned", *lines, ""])


def commit(project: Project, name: str, text: str, file: str = "table.csv") -> Any:
    path = project.root / file
    path.write_text(text, "utf-8")
    return project.datasets.commit(name, path)


def garbage_of(project: Project) -> None:
    """Let everything be condemned for a day and gone if nothing needs it."""
    upkeep = Upkeep(project)
    for _ in range(3):
        upkeep.gc(delete=True, grace=0)


def busy(project: Project) -> Any:
    """Have a version, a run with everything a run can have, and a model."""
    from sklearn.linear_model import LogisticRegression

    version = commit(project, "customers", table())
    folder = project.root / "plots"
    folder.mkdir()
    (folder / "a.txt").write_text("a plot", "utf-8")
    (project.root / "note.txt").write_text("a note", "utf-8")
    with project.runs.start("training", inputs={"data": version.ref}, code="fit()") as run:
        frame = version.load().head(200)
        commit(project, "cleaned", table(500), "cleaned.csv")
        model = LogisticRegression().fit(frame[["customer", "score"]], frame["churned"])
        run.log_model(model, input_example=frame[["customer", "score"]].head())
        run.log_artifact(folder, "plots")
        run.log_artifact(project.root / "note.txt")
        run.log_artifact(frame.head(), "head")
    return project.models.register("churn", project.runs.get(run.id))


def test_every_digest_in_the_facts_is_known_as_bytes_or_not(make_project: MakeProject) -> None:
    project = make_project()
    connection = sqlite3.connect(project.state / "store.sqlite")
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    found = {
        f"{name}.{column[1]}"
        for name in tables
        for column in connection.execute(f"PRAGMA table_info({name})")
        if "digest" in column[1]
    }
    connection.close()
    assert found == BYTES | NO_BYTES, "a new digest column needs a place in roots(), or here"


def test_what_anything_needs_survives_collection(project: Project) -> None:
    mv = busy(project)
    held = [
        str(row["digest"])
        for column in sorted(BYTES)
        for row in project.store.all(
            f"SELECT {column.partition('.')[2]} AS digest FROM {column.partition('.')[0]}"
        )
        if row["digest"]
    ]
    assert len(held) > 9
    before = project.objects.stored().chunks
    garbage_of(project)
    assert project.objects.missing(held) == set()
    assert project.objects.stored().chunks <= before
    run = project.runs.get(mv.run)
    assert run.artifacts["note.txt"].load() == b"a note"
    assert (run.artifacts["plots"].load() / "a.txt").read_text() == "a plot"
    assert len(run.artifacts["head"].load()) == 5
    assert mv.load().classes_.tolist() == ["no", "yes"]
    assert len(project.datasets.get("customers").load()) == 30_000
    assert Upkeep(project).verify().passed


def test_a_removed_version_goes_after_its_time(project: Project) -> None:
    kept = commit(project, "customers", table())
    gone = commit(project, "customers", table(5_000, 3))
    project.datasets.remove(gone.ref)
    report = Upkeep(project).gc()
    assert not report.done
    assert report.condemned > 10_000
    Upkeep(project).gc(delete=True, grace="24h")
    assert Upkeep(project).gc(delete=True, grace="24h").freed == 0
    assert project.datasets.restore(gone.ref).ref == gone.ref

    project.datasets.remove(gone.ref)
    garbage_of(project)
    assert lacking(project.objects, [(gone.digest, True)])
    assert len(project.datasets.get(kept.ref).load()) == 30_000
    told = [event.verb for event in project.events()]
    assert "data.collected" in told


def test_the_trash_can_be_brought_back(make_project: MakeProject) -> None:
    project = make_project()
    gone = commit(project, "customers", table(5_000))
    project.datasets.remove(gone.ref)
    for _ in range(2):
        Upkeep(project).gc(delete=True, grace=0)
    assert lacking(project.objects, [(gone.digest, True)])
    assert Upkeep(project).undo().restored > 10_000
    assert len(project.datasets.restore(gone.ref).load()) == 5_000


def test_only_an_operator_deletes(make_project: MakeProject, as_actor: Callable[..., Project]) -> None:
    project = make_project()
    commit(project, "customers", table(10))
    assert Upkeep(as_actor(project, BO)).gc(delete=True).done
    with pytest.raises(Refused, match="operator"):
        Upkeep(as_actor(project, DEE)).gc(delete=True)
    with pytest.raises(BadConfig, match="length of time"):
        Upkeep(project).gc(grace="soon")
    for seconds in (float("nan"), -1):
        with pytest.raises(BadInput, match="no time"):
            Upkeep(project).compact(seconds)


def test_what_gc_says_is_understood_at_once(make_project: MakeProject) -> None:
    def said(report: Any) -> str:
        return to_text(view(report)).splitlines()[0]

    project = make_project()
    upkeep = Upkeep(project)
    version = commit(project, "customers", table())
    assert said(upkeep.undo()) == "nothing to bring back · the trash is empty"
    assert said(upkeep.gc()) == "nothing to free · all that is stored is needed"
    commit(project, "others", table(10), "others.csv")
    project.datasets.remove(version.ref)
    upkeep.gc(delete=True)
    first = said(upkeep.gc())
    assert first.startswith("nothing would be freed yet · ")
    assert first.endswith("is unneeded, but not for 1 d so far")
    assert "was unneeded for" in said(upkeep.gc(grace="0s"))
    assert upkeep.gc(delete=True, grace="0").freed > 0
    assert "brought back" in said(upkeep.undo())


def test_versions_that_are_nearly_equal_take_little_room(project: Project) -> None:
    texts = [table(), table(30_000, 100), table(30_000, 95)]
    versions = [commit(project, "customers", text) for text in texts]
    report = Upkeep(project).compact()
    assert report.finished
    assert report.after < 0.5 * report.before
    for version, text in zip(versions, texts, strict=True):
        assert version.checkout(project.root / version.ref).read_text() == text
    assert Upkeep(project).compact().examined == 0
    assert Upkeep(project).verify().passed


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0x10
    path.write_bytes(data)


def packs(project: Project) -> list[Path]:
    return sorted((project.objects.folder / "packs").rglob("*.pack"))


def test_damage_is_named_and_mended_from_the_file_that_was_committed(make_project: MakeProject) -> None:
    project = make_project()
    version = commit(project, "customers", table())
    (project.root / "table.csv").rename(project.root / "kept.csv")
    other = commit(project, "other", table(5_000, 3), "other.csv")
    (project.root / "other.csv").unlink()
    for path in packs(project):
        flip(path, path.stat().st_size // 2)
    report = Upkeep(project).verify(repair=False)
    assert set(report.versions) == {f"data:{version.ref}", f"data:{other.ref}"}
    assert len(packs(project)) == 2

    (project.root / "kept.csv").rename(project.root / "table.csv")
    report = Upkeep(project).verify()
    assert not report.passed
    assert report.healed == (f"data:{version.ref}",)
    assert "Mended from unchanged files of this machine" in to_text(view(report))
    assert report.versions == (f"data:{other.ref}",)
    assert report.quarantined == 2
    assert len(list((project.objects.folder / "quarantine").iterdir())) == 2
    assert len(version.load()) == 30_000
    assert Upkeep(project).verify(version.ref).passed


def test_a_file_that_changed_since_mends_nothing(make_project: MakeProject) -> None:
    project = make_project()
    version = commit(project, "customers", table(2_000))
    (project.root / "table.csv").write_text(table(2_000, 5), "utf-8")
    for path in packs(project):
        path.unlink()
    report = Upkeep(project).verify()
    assert report.versions == (f"data:{version.ref}",)
    assert report.healed == ()
    # what verify says mends it does
    assert commit(project, "customers", table(2_000)).ref == version.ref
    assert Upkeep(project).verify().passed


def test_a_folder_is_mended_from_the_folder_that_was_committed(make_project: MakeProject) -> None:
    project = make_project()
    folder = project.root / "pictures"
    (folder / "deep").mkdir(parents=True)
    for number in range(20):
        (folder / "deep" / f"{number}.bin").write_bytes(os.urandom(3_000))
    (folder / "large.bin").write_bytes(os.urandom(300_000))
    version = project.datasets.commit("pictures", folder)
    for path in packs(project):
        path.unlink()
    for path in project.objects.folder.glob("index.sqlite*"):
        path.unlink()
    report = Upkeep(project).verify()
    assert report.healed == (f"data:{version.ref}",)
    said = " ".join(to_text(view(report)).split())
    assert "1 version mended from unchanged files of this machine" in said
    assert "lost" not in said.replace("nothing is lost", "")
    target = version.checkout(project.root / "again")
    assert {each.read_bytes() for each in target.rglob("*.bin")} == {
        each.read_bytes() for each in folder.rglob("*.bin")
    }


def run(project: Project, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    status = cli.run(["--project", str(project.root), *words])
    shown = capsys.readouterr()
    return status, shown.out + shown.err


def test_the_verbs_say_what_they_did(
    make_project: MakeProject, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_ACTOR", "ann@example.com")
    project = make_project()
    for text in (table(), table(30_000, 100)):
        version = commit(project, "customers", text)
    status, told = run(project, capsys, "data", "compact")
    assert status == 0
    assert "% less" in told
    status, told = run(project, capsys, "data", "verify")
    assert (status, "the stored bytes are whole" in told) == (0, True)
    status, told = run(project, capsys, "data", "gc")
    assert (status, "nothing to free" in told) == (0, True)
    status, told = run(project, capsys, "--json", "data", "gc", "--delete")
    assert (status, json.loads(told)["done"]) == (0, True)

    (project.root / "table.csv").unlink()
    for path in packs(project):
        flip(path, 40)
    status, told = run(project, capsys, "data", "verify", version.ref, "--report-only")
    assert status == 1
    assert f"data:{version.ref}" in told
    status, told = run(project, capsys, "data", "verify", "--quick", "--json")
    assert (status, json.loads(told)["quarantined"]) == (1, 1)  # what a read met is looked at, too
