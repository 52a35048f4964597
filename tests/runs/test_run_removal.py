"""Runs that nobody needs are hidden, come back while their bytes are there, and give their bytes back."""

from __future__ import annotations

import pytest

from jupyter_mlops.automation.upkeep import Upkeep
from jupyter_mlops.errors import BadInput, Conflict, NotFound, Refused
from jupyter_mlops.project import Project

from ..conftest import DEE
from .conftest import commit_customers, verbs


def tracked(project: Project, experiment: str = "churn", auc: float = 0.5, **parameters: object) -> str:
    with project.runs.start(experiment, parameters) as run:
        run.log_metric("auc", auc)
    return run.id


def test_a_removed_run_is_in_no_list_and_comes_back(project: Project) -> None:
    first, second = tracked(project, auc=0.7), tracked(project, auc=0.9)
    gone = project.runs.remove(second, reason="wrong data")
    assert gone.id == second
    assert gone.removed
    assert [run.id for run in project.runs.search()] == [first]
    assert [run.id for run in project.runs.search("metrics.auc > 0", "metrics.auc desc")] == [first]
    assert len(project.runs.search("text matches 'churn'")) == 1
    assert project.runs.get("churn@latest").id == first
    with pytest.raises(
        NotFound, match=rf"run {second} was removed — `mlops runs restore {second}` brings it"
    ):
        project.runs.get(second)
    back = project.runs.restore(second[:7])
    assert back.id == second
    assert not back.removed
    assert project.runs.get("churn@latest").id == second
    assert verbs(project, f"run:{second}")[-2:] == ["run.removed", "run.restored"]
    assert project.runs.restore(second).id == second  # it was there already


def test_an_experiment_without_runs_is_gone_until_one_comes_back(project: Project) -> None:
    run = tracked(project, "lonely")
    project.runs.remove(run)
    assert project.runs.experiments() == ()
    with pytest.raises(NotFound, match="there is no experiment or sweep 'lonely'"):
        project.runs.get("lonely@latest")
    project.runs.restore(run)
    assert project.runs.experiments() == ("lonely",)


def test_what_runs_or_made_a_model_stays(project: Project) -> None:
    from sklearn.linear_model import LogisticRegression

    with project.runs.start("churn") as run:
        with pytest.raises(Conflict, match=rf"run {run.id} is running — `mlops runs stop {run.id}` first"):
            project.runs.remove(run.id)
        model = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
        run.log_model(model, input_example=[[0.0]])
    project.models.register("churn-model", run.id)
    with pytest.raises(
        Conflict, match=r"is in use by model churn-model@v1 — what a model was made from stays"
    ):
        project.runs.remove(run.id)
    assert project.runs.get(run.id).status == "finished"


def test_a_sweep_goes_and_comes_back_as_one(project: Project, write_notebook) -> None:
    notebook = write_notebook(
        project.root / "train.ipynb",
        "C = 1",
        "import jupyter_mlops as mlops\nmlops.log_metric('auc', C / 10)",
    )
    sweep = project.runs.execute(notebook, grid={"C": [1, 2]}, experiment="churn", maximize="auc", workers=2)
    assert [run.status for run in sweep] == ["finished"] * 2
    removed = project.runs.remove(sweep.id)
    assert len(removed) == 2
    assert project.runs.search() == project.runs.search(limit=0)
    assert project.runs.sweeps() == ()
    with pytest.raises(NotFound, match=f"sweep {sweep.id} was removed"):
        project.runs.get(f"{sweep.id}@best")
    with pytest.raises(NotFound):
        project.runs.get("churn@best")
    back = project.runs.restore(sweep.id)
    assert [run.id for run in back] == [run.id for run in sweep]
    assert project.runs.get("churn@best").parameters["C"] == 2
    project.runs.remove(back[1].id)
    assert project.runs.get("churn@best").parameters["C"] == 1
    assert len(project.runs.sweep(sweep.id)) == 1


def test_what_was_removed_of_a_sweep_is_not_executed_again(project: Project, write_notebook) -> None:
    notebook = write_notebook(project.root / "train.ipynb", "C = 1", "assert C < 2")
    sweep = project.runs.execute(notebook, grid={"C": [1, 2, 3]}, workers=2)
    failed = list(sweep.failed)
    assert len(failed) == 2
    project.runs.remove(failed[0].id)
    again = project.runs.resume(sweep.id)
    assert sorted(run.parameters["C"] for run in again) == [1, failed[1].parameters["C"]]
    assert len(project.runs.search("parameters.C > 1", limit=None)) == 2


def test_no_model_is_made_of_a_run_that_is_removed_meanwhile(make_project, as_actor) -> None:
    from sklearn.linear_model import LogisticRegression

    project = make_project()
    with project.runs.start("churn") as run:
        model = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
        run.log_model(model, input_example=[[0.0]])
    found = project.runs.get(run.id)
    save = project.models.files.saved

    def removed_meanwhile(digest: str):
        as_actor(project, "ann@example.com").runs.remove(found.id)
        return save(digest)

    project.models.files.saved = removed_meanwhile
    with pytest.raises(NotFound, match=f"run {run.id} was removed"):
        project.models.register("churn-model", run.id)
    assert project.models.list() == ()


def test_gc_frees_a_removed_run_after_the_grace_and_then_it_cannot_come_back(make_project) -> None:
    project = make_project()
    note = project.root / "notes.bin"
    note.write_bytes(bytes(range(256)) * 400)
    with project.runs.start("churn") as run:
        run.log_artifact(note)
    with project.runs.start("churn") as kept:
        kept.log_metric("auc", 1)
    project.runs.remove(run.id)
    upkeep = Upkeep(project)
    assert upkeep.gc().condemned > 0
    project.runs.restore(run.id)
    assert project.runs.get(run.id).artifacts["notes.bin"].load() == note.read_bytes()
    assert upkeep.gc(delete=True, grace=0).freed == 0
    project.runs.remove(run.id)
    upkeep.gc(delete=True, grace=0)
    upkeep.gc(delete=True, grace=0)
    upkeep.gc(delete=True, grace=0)
    with pytest.raises(Conflict, match=f"run {run.id} was removed and gc has freed its bytes"):
        project.runs.restore(run.id)
    assert project.runs.get(kept.id).environment()["python"]


def test_data_that_only_removed_runs_read_may_be_removed(project: Project) -> None:
    version = commit_customers(project, 3)
    commit_customers(project, 4)
    with project.runs.start("churn", inputs={"data": version.ref}) as run:
        pass
    with pytest.raises(Conflict, match=f"in use by run {run.id}"):
        project.datasets.remove(version.ref)
    project.runs.remove(run.id)
    assert project.datasets.remove(version.ref).removed


def test_who_only_looks_removes_nothing(project: Project, as_actor) -> None:
    run = tracked(project)
    dee = as_actor(project, DEE)
    for act in (lambda: dee.runs.remove(run), lambda: dee.runs.restore(run), lambda: dee.runs.note(run, "x")):
        with pytest.raises(Refused):
            act()
    with pytest.raises(NotFound, match="no removed run or sweep is called 'zzzz'"):
        project.runs.restore("zzzz")
    with pytest.raises(NotFound, match="there is no run"):
        project.runs.remove("zzzz")


def test_a_note_stays_beside_its_run_and_is_found(project: Project) -> None:
    run = tracked(project)
    tracked(project)
    noted = project.runs.note(run, "  The calibration looked odd; see ticket 4711  ")
    assert noted.note == "The calibration looked odd; see ticket 4711"
    assert noted.to_dict()["note"] == noted.note
    assert [found.id for found in project.runs.search("text matches 'calibrat* 4711'")] == [run]
    assert [found.id for found in project.runs.search("note like '%odd%'")] == [run]
    project.runs.note(run, "fine after all")
    assert len(project.runs.search("text ~ 'calibration'")) == 0
    assert [found.id for found in project.runs.search("note is not null")] == [run]
    assert project.runs.note(run, "").note == ""
    assert len(project.runs.search("note is null")) == 2
    assert len(project.runs.search("text ~ 'fine'")) == 0
    assert verbs(project, f"run:{run}").count("run.noted") == 3
    with pytest.raises(BadInput, match="holds characters that cannot be stored"):
        project.runs.note(run, "a\x00b")
    with pytest.raises(BadInput, match="a note is text"):
        project.runs.note(run, "x" * 10_001)
