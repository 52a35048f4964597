"""Where a version came from, what came of it, and why one that is in use cannot be removed."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from jupyter_mlops.automation.upkeep import Upkeep
from jupyter_mlops.charts import svg
from jupyter_mlops.errors import BadInput, Conflict, NotFound
from jupyter_mlops.project import Project
from jupyter_mlops.views import to_html, to_text, view


def frame(*values: int) -> pd.DataFrame:
    return pd.DataFrame({"a": list(values)})


@pytest.fixture
def story(project: Project) -> Project:
    """raw@v1 became clean@v1; a run read that, wrote features@v1 and gave the model m@v1."""
    raw = project.datasets.commit("raw", frame(1, 2, 3), message="first export")
    project.datasets.commit("clean", frame(1, 2), parents=raw)
    with project.runs.start("first-try", inputs={"data": "clean@v1"}) as run:
        project.datasets.commit("features", frame(4, 5, 6, 7))
        run.log_model(LinearRegression().fit([[1.0], [2.0]], [1.0, 2.0]))
    project.models.register("m", run.id)
    return project


def test_a_version_is_followed_both_ways(story: Project) -> None:
    run = story.runs.get("first-try@latest").id
    lineage = story.datasets.lineage("clean")
    assert {(edge.source, edge.what, edge.target) for edge in lineage.edges} == {
        ("data:raw@v1", "parent", "data:clean@v1"),
        ("data:clean@v1", "read", f"run:{run}"),
        (f"run:{run}", "wrote", "data:features@v1"),
        (f"run:{run}", "model", "model:m@v1"),
    }
    assert [edge.source for edge in lineage.sources] == ["data:raw@v1"]
    assert lineage.node("data:raw@v1").detail == "first export"
    (wrote,) = story.datasets.lineage("features").sources
    assert (wrote.what, wrote.source) == ("wrote", f"run:{run}")
    above = {node.ref for node in story.datasets.lineage("features").nodes}
    assert above == {"data:features@v1", f"run:{run}", "data:clean@v1", "data:raw@v1"}


def test_the_lineage_is_shown_as_a_table_and_a_picture(story: Project) -> None:
    run = story.runs.get("first-try@latest").id
    lineage = story.datasets.lineage("clean")
    text = to_text(view(lineage))
    assert "made into" in text
    assert f"run {run}" in text
    assert "data:image/svg+xml" in to_html(view(lineage))
    figure = lineage.plot()
    assert "raw@v1 to clean@v1" in figure.alt
    drawn = svg(figure)
    assert all(word in drawn for word in ("raw@v1", "clean@v1", "features@v1", "m@v1", "first export"))
    shown = to_text(view(story.datasets.get("clean").describe()))
    assert f"run {run}" in shown
    assert "m@v1" in shown
    assert "alone" in to_text(view(story.datasets.lineage(story.datasets.commit("other", frame(9)))))


def test_many_runs_of_a_sweep_are_one_step_of_the_lineage(story: Project) -> None:
    with story.people.write(story.people.role_of("ann@example.com")) as transaction:
        transaction.insert(
            "sweeps", id="sw33p234", experiment="e", notebook="n", notebook_digest="b3:", request="{}",
            size=3, status="finished", host="h", at=transaction.at, actor="ann@example.com",
        )  # fmt: skip
        for number in range(3):
            transaction.insert(
                "runs", id=f"r{number}", number=100 + number, experiment="e", sweep="sw33p234",
                kind="notebook", status="finished", host="h", actor="ann@example.com", proof="local",
                at=transaction.at,
            )  # fmt: skip
            transaction.insert("run_inputs", run=f"r{number}", name="data", ref="raw@v1", digest="b3:")
        transaction.event("sweep.finished", "sweep:sw33p234")
    lineage = story.datasets.lineage("raw")
    assert lineage.node("sweep:sw33p234").label == "3 runs"
    assert not [node for node in lineage.nodes if node.ref in ("run:r0", "run:r1", "run:r2")]
    # one of them wrote something: not all three did
    with story.people.write(story.people.role_of("ann@example.com")) as transaction:
        transaction.insert("run_outputs", run="r1", ref="features@v1", digest="b3:")
        transaction.event("sweep.finished", "sweep:sw33p234")
    lineage = story.datasets.lineage("raw")
    (edge,) = [edge for edge in lineage.edges if edge.source == "sweep:sw33p234"]
    assert edge.words == "one of them wrote"
    assert "run:r1" in {edge.source for edge in story.datasets.lineage("features").sources}


def test_a_version_that_nothing_uses_can_be_removed_and_restored(project: Project) -> None:
    for value in range(3):
        project.datasets.commit("d", frame(value))
    removed = project.datasets.remove("d@v3", reason="wrong export")
    assert removed.removed
    assert project.datasets.get("d").number == 2
    assert [v.number for v in project.datasets.versions("d")] == [2, 1]
    assert (project.datasets.list()[0].versions, project.datasets.list()[0].latest.number) == (2, 2)
    with pytest.raises(NotFound, match=r"d@v3 was removed.*mlops data restore d@v3"):
        project.datasets.get("d@v3")
    assert project.datasets.commit("d", frame(9)).number == 4
    assert project.datasets.restore("d@v3").load()["a"].tolist() == [2]
    assert [v.number for v in project.datasets.versions("d")] == [4, 3, 2, 1]
    told = [event for event in project.events() if event.verb in ("data.removed", "data.restored")]
    assert [(event.verb, event.about) for event in told] == [
        ("data.removed", "data:d@v3"),
        ("data.restored", "data:d@v3"),
    ]
    assert told[0].data["reason"] == "wrong export"
    with pytest.raises(BadInput, match="needs the version's number"):
        project.datasets.restore("d")
    for number in (1, 2, 3, 4):
        project.datasets.remove(f"d@v{number}")
    assert project.datasets.list() == ()
    with pytest.raises(NotFound, match="d@v4 was removed"):
        project.datasets.get("d")


def test_what_an_alias_a_run_or_a_model_refers_to_is_not_removed(story: Project) -> None:
    story.datasets.alias("raw", "golden")
    for ref, said in (("raw", "raw@golden"), ("clean", r"model m@v1, run \w+"), ("features", "model m@v1")):
        with pytest.raises(Conflict, match=f"in use by {said}"):
            story.datasets.remove(ref)
    assert [v.number for v in story.datasets.versions("clean")] == [1]


def test_bytes_of_a_removed_version_are_needed_no_more_and_then_gone(project: Project) -> None:
    kept = project.datasets.commit("d", frame(*range(5_000)))
    gone = project.datasets.commit("d", frame(*range(90_000, 96_000)))
    assert {digest for digest, _ in project.datasets.roots()} == {kept.digest, gone.digest}
    assert dict(project.datasets.named()) == {"data:d@v1": kept.digest, "data:d@v2": gone.digest}
    assert [len(family) for family in project.datasets.families()] == [2]
    project.datasets.remove("d@v2")
    assert [digest for digest, _ in project.datasets.roots()] == [kept.digest]
    for _ in range(3):
        Upkeep(project).gc(delete=True, grace=timedelta(0))
    with pytest.raises(Conflict, match="gc has freed its bytes"):
        project.datasets.restore("d@v2")
    assert kept.load()["a"].sum() == sum(range(5_000))


def test_a_version_from_another_project_is_adopted_once(project: Project) -> None:
    first = project.datasets.commit("d", frame(1), message="one", key="a")
    fact = project.datasets.fact_of("d@v1")
    assert (fact["digest"], fact["message"], fact["key"], fact["findings"]["rows"]) == (
        first.digest,
        "one",
        ["a"],
        1,
    )
    known = project.datasets.adopt("d", fact, 1)
    assert (known.number, known.note) == (1, "known already: this is d@v1")
    twin = project.datasets.adopt("other", {**fact, "actor": "bo@example.com"}, 5, remote="team")
    assert (twin.ref, twin.actor, twin.key, twin.message) == ("other@v5", "bo@example.com", ("a",), "one")
    assert twin.load()["a"].tolist() == [1]
    assert project.datasets.adopt("other", fact, 5, times=2).number == 6
    assert [event.data["from"] for event in project.events() if event.verb == "data.adopted"] == ["team", ""]
    for broken in ({**fact, "reading": "no JSON"}, {**fact, "reading": "[1]"}):
        with pytest.raises(BadInput):
            project.datasets.adopt("third", broken, 1)


def test_the_folder_of_a_project_keeps_its_numbers(project: Project, tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "x.csv").write_text("a\n1\n")
    v1 = project.datasets.commit("f", tmp_path / "f")
    (tmp_path / "f" / "x.csv").write_text("a\n2\n")
    project.datasets.commit("f", tmp_path / "f")
    assert [len(family) for family in project.datasets.families()] == [2]
    assert [entry.path for entry in project.datasets.files(v1)] == ["x.csv"]
