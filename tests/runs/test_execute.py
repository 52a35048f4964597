"""Notebooks are executed in kernels of their own, and everything about a run is kept."""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path

import pytest

from jupyter_mlops.errors import BadInput, NotFound, Refused
from jupyter_mlops.project import Project

from .conftest import WriteNotebook, commit_customers, verbs

TRAIN = (
    'data = "customers@latest"  # dataset\nC = 1.0\ncode: str = "x"\nlayers = [1, 2]',
    """
import json
import jupyter_mlops as mlops
from features import double

frame = mlops.load_dataset(data)
again = mlops.load_dataset("customers@latest")
assert len(again) == len(frame)
""",
    """
for step in range(3):
    mlops.log_metric("auc", C + step, step=step)
mlops.log_metrics({"rows": len(frame), "nothing": float("nan"), "everything": float("inf")})
mlops.set_tags({"team": "growth"})
mlops.log_artifact(frame, "seen")
out = mlops.open().datasets.commit("doubled", frame.assign(spent=double(frame.spent)))
print(json.dumps([C, code, layers]))
""",
)


def test_a_run_keeps_what_made_it_and_what_came_of_it(
    customers: Project, write_notebook: WriteNotebook
) -> None:
    root = customers.root
    (root / "notebooks").mkdir()
    (root / "notebooks" / "features.py").write_text(
        "import units\n\ndef double(x):\n    return x * units.TWO\n"
    )
    (root / "notebooks" / "units.py").write_text("TWO = 2\n")
    (root / "notebooks" / "unused.py").write_text("never imported\n")
    git_repository(root)
    write_notebook(root / "notebooks" / "train.ipynb", *TRAIN)

    runs = customers.runs.execute(
        root / "notebooks" / "train.ipynb", {"code": "00123", "layers": "[3]"}, grid={"C": ["0.5", 2]}
    )

    assert [run.status for run in runs] == ["finished", "finished"], [run.error for run in runs]
    first, second = runs
    assert first.experiment == "train"
    assert first.notebook == "notebooks/train.ipynb"
    assert first.parameters == {"data": "customers@v1", "C": 0.5, "code": "00123", "layers": [3]}
    assert second.parameters["C"] == 2.0
    assert isinstance(second.parameters["C"], float)
    assert first.inputs == {"data": "customers@v1"}
    assert first.outputs == second.outputs == ("doubled@v1",)
    assert first.metrics["auc"] == 2.5
    assert [(point.step, point.value) for point in first.history("auc")] == [(0, 0.5), (1, 1.5), (2, 2.5)]
    assert math.isnan(first.metrics["nothing"])
    assert first.metrics["everything"] == math.inf
    assert first.tags == {"team": "growth"}
    assert list(first.artifacts["seen"].load()["spent"]) == [0, 10, 20]
    assert set(first.sources()) == {"notebooks/features.py", "notebooks/units.py"}
    assert first.sources()["notebooks/units.py"] == "TWO = 2\n"
    environment = first.environment()
    assert environment["distributions"]["papermill"]
    assert environment["python"].startswith("3.")
    assert "environ" not in json.dumps(environment).lower()
    assert first.info.commit is not None
    assert len(first.info.commit) == 40
    assert first.info.dirty is True
    assert first.actor == "ann@example.com"
    assert first.duration is not None
    assert first.duration > 0
    executed = first.executed_notebook()
    assert executed is not None
    assert [cell["metadata"].get("tags") for cell in executed["cells"][:2]] == [
        ["parameters"],
        ["injected-parameters"],
    ]
    assert '[0.5, "00123", [3]]' in json.dumps(executed["cells"][-1]["outputs"]).replace("\\", "")
    assert str(root) not in json.dumps(executed["metadata"])
    assert json.loads(json.dumps(first.to_dict(), allow_nan=False))["metrics"]["everything"] == "inf"
    assert verbs(customers, f"run:{first.id}")[0] == "run.started"
    assert verbs(customers, f"run:{first.id}")[-1] == "run.finished"
    assert verbs(customers, f"sweep:{runs.id}") == ["sweep.started", "sweep.finished"]
    assert customers.audit.verify().ok
    assert not list((customers.state / "runs").iterdir())


def test_a_failed_cell_is_a_failed_run_and_raises_nothing(
    project: Project, write_notebook: WriteNotebook
) -> None:
    notebook = write_notebook(
        project.root / "broken.ipynb", "x = 1", "print('fine')", "y = x\nundefined_name + y", "print('never')"
    )
    runs = project.runs.execute(notebook, {"x": 2}, experiment="fragile", maximize="auc")
    (run,) = runs
    assert run.status == "failed"
    assert run.error is not None
    assert (run.error.cell, run.error.place, run.error.name) == (2, "cell 3", "NameError")
    assert f"In[{run.error.execution}]" in run.error.traceback
    assert str(run.error).endswith("(cell 3)")
    assert f"Cell 3 failed, In [{run.error.execution}] as executed" in str(run)
    assert run.error.message == "name 'undefined_name' is not defined"
    assert run.error.source == "y = x\nundefined_name + y"
    assert "undefined_name + y" in run.error.traceback
    assert "\x1b" not in run.error.traceback
    assert runs.failed == (run,)
    assert run.executed_notebook() is not None
    assert run.environment()
    (event,) = [event for event in project.events(about=f"sweep:{runs.id}") if event.verb == "sweep.finished"]
    assert (event.data["finished"], event.data["failed"], event.data["best"]) == (0, 1, None)
    with pytest.raises(NotFound, match="no finished run here has a value of 'auc'"):
        runs.best()


def test_a_kernel_that_dies_is_a_failed_run_with_the_cell_that_killed_it(
    make_project, write_notebook: WriteNotebook
) -> None:
    project = make_project()
    (project.root / "helper.py").write_text("import os\n")
    notebook = write_notebook(
        project.root / "dies.ipynb",
        "x = 1",
        "import helper\nimport jupyter_mlops as mlops\nmlops.log_metric('seen', 1)",
        "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
    )
    (run,) = project.runs.execute(notebook, {"x": 5})
    assert run.status == "failed"
    assert run.error is not None
    assert (run.error.name, run.error.cell) == ("KernelDied", 2)
    assert "SIGKILL" in run.error.source
    assert run.metrics == {"seen": 1.0}
    assert set(run.sources()) == {"helper.py"}
    assert run.environment()["python"]
    assert run.executed_notebook() is not None


def test_a_sweep_resolves_its_refs_once(customers: Project, write_notebook: WriteNotebook) -> None:
    customers.datasets.alias("customers@v1", "golden")
    notebook = write_notebook(
        customers.root / "moving.ipynb",
        'data = ""\nn = 0',
        """
import jupyter_mlops as mlops
frame = mlops.load_dataset(data)
fixed = mlops.load_dataset("customers")
mlops.log_metrics({"rows": len(frame), "fixed": len(fixed)})
project = mlops.open()
project.datasets.commit("customers", frame.assign(n=n))   # latest moves on, while the sweep runs
project.datasets.alias("customers@latest", "golden")
mlops.log_metric("golden", len(mlops.load_dataset("customers@golden").columns))
""",
    )
    runs = customers.runs.execute(
        notebook, inputs={"data": "customers@golden"}, grid={"n": [1, 2]}, workers=1
    )
    assert [run.status for run in runs] == ["finished", "finished"], [run.error for run in runs]
    for run in runs:
        assert run.parameters["data"] == "customers@v1"
        assert run.inputs == {"data": "customers@v1"}
        assert run.metrics == {"rows": 3, "fixed": 3, "golden": 2}
    assert [run.outputs for run in runs] == [("customers@v2",), ("customers@v3",)]


def test_versions_can_be_swept_over(customers: Project, write_notebook: WriteNotebook) -> None:
    commit_customers(customers, 5)
    notebook = write_notebook(
        customers.root / "sizes.ipynb",
        'data = "customers@latest"  # dataset',
        "import jupyter_mlops as mlops\nmlops.log_metric('rows', len(mlops.load_dataset(data)))",
    )
    runs = customers.runs.execute(notebook, grid={"data": ["customers@v1", "customers@latest"]})
    assert [(run.inputs, run.metrics) for run in runs] == [
        ({"data": "customers@v1"}, {"rows": 3.0}),
        ({"data": "customers@v2"}, {"rows": 5.0}),
    ]


@pytest.mark.parametrize(
    ("given", "message", "hint"),
    [
        ({"parameters": {"c": 1}}, "declares no parameter 'c'", "it declares C, n, data"),
        ({"grid": {"penalt": [1]}}, "declares no parameter 'penalt'", "it declares"),
        ({"parameters": {"n": "many"}}, "parameter n is a whole number; 'many' is not", "parameters cell"),
        ({"parameters": {"n": 1.5}}, "parameter n is a whole number; 1.5 is not", ""),
        ({"parameters": {"C": object()}}, "parameter C is a object", "text, a number"),
        ({"grid": {"n": []}}, "grid n has no values", "at least one"),
        ({"grid": {"n": [1, "1"]}}, "grid n has 1 twice", ""),
        ({"grid": {"n": 3}}, "grid n is 3", "a list"),
        ({"grid": {"n": range(101), "C": range(101)}}, "these are 10,201 runs", "--yes (confirm=True)"),
        ({"grid": {"n": [1]}, "parameters": {"n": 1}}, "'n' is given twice", ""),
        (
            {"parameters": {"data": "customers@v1"}, "inputs": {"data": "customers@v1"}},
            "'data' is given twice",
            "",
        ),
        ({"workers": 0}, "workers must be a number from 1", ""),
        ({"maximize": "a", "minimize": "b"}, "decided by one metric", "not both"),
        ({"experiment": "a/b"}, "cannot name an experiment", ""),
    ],
)
def test_a_wrong_request_is_refused_before_anything_starts(
    make_project, write_notebook: WriteNotebook, given: dict, message: str, hint: str
) -> None:
    project = make_project()
    commit_customers(project, 2)
    notebook = write_notebook(
        project.root / "n.ipynb", 'C = 1.0\nn = 3\ndata = "customers"  # dataset', "print(1)"
    )
    before = len(list(project.events()))
    with pytest.raises(BadInput) as caught:
        project.runs.execute(notebook, given.pop("parameters", {}), **given)
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert len(list(project.events())) == before
    assert len(project.runs.search()) == 0


def test_a_notebook_must_be_there_be_one_and_declare_what_is_set(
    make_project, write_notebook: WriteNotebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project()
    monkeypatch.chdir(project.root)
    runs = project.runs
    with pytest.raises(BadInput, match=r"has no parameters cell, so 'C' cannot be set — tag the cell"):
        runs.execute(write_notebook(project.root / "plain.ipynb", "C = 1", parameters=False), {"C": 2})
    with pytest.raises(NotFound, match="there is no notebook 'plian"):
        runs.execute("plian.ipynb")
    Path("folder.ipynb").mkdir()
    Path("link.ipynb").symlink_to("nowhere")
    for name, what in (("folder.ipynb", "a folder"), ("link.ipynb", "a link to nothing")):
        with pytest.raises(BadInput, match=f"'{name}' is {what} — name a file such as train.ipynb"):
            runs.execute(name)
    with pytest.raises(NotFound, match="there is no dataset 'nothing'"):
        runs.execute("plain.ipynb", inputs={"data": "nothing@latest"})
    with pytest.raises(BadInput, match=r"asks for the kernel 'elsewhere', which is not installed here"):
        runs.execute(write_notebook(project.root / "odd.ipynb", "x = 1", kernel="elsewhere"))
    for name, content, message in [
        ("empty.ipynb", "", "is empty"),
        ("text.ipynb", "hello", "is no notebook"),
        ("old.ipynb", '{"worksheets": [], "nbformat": 3}', "is a notebook of format 3 that cannot be read"),
        ("list.ipynb", "[1, 2]", "is no notebook"),
        ("r.ipynb", '{"cells": [], "metadata": {"language_info": {"name": "R"}}}', "is written in R"),
    ]:
        Path(name).write_text(content)
        with pytest.raises(BadInput, match=message):
            runs.execute(name)
    with pytest.raises(BadInput, match=r"cannot be read: .* in line 2"):
        runs.execute(write_notebook(project.root / "syntax.ipynb", "x = 1\ny = = 2"))
    assert list(project.events(about="run")) == []


def test_who_may_not_start_runs_starts_none(make_project, as_actor, write_notebook: WriteNotebook) -> None:
    project = make_project()
    dee = as_actor(project, "dee@example.com")
    notebook = write_notebook(project.root / "n.ipynb", "x = 1")
    with pytest.raises(Refused, match="contributor"):
        dee.runs.execute(notebook)
    with pytest.raises(Refused, match="contributor"), dee.runs.start("e"):
        pass
    assert len(dee.runs.search()) == 0


def git_repository(folder: Path) -> None:
    identity = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com"]
    for words in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", *words], cwd=folder, check=True)


def test_a_kernel_that_dies_while_it_starts_is_started_again(
    make_project, write_notebook: WriteNotebook, monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    startup = tmp_path / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    seen = tmp_path / "died-once"
    (startup / "die.py").write_text(
        f"import os, pathlib\nseen = pathlib.Path({str(seen)!r})\n"
        "if not seen.exists():\n    seen.touch()\n    os._exit(1)\n"
    )
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    project = make_project()
    (run,) = project.runs.execute(write_notebook(project.root / "train.ipynb", "x = 1", "print(x)"))
    assert seen.exists()
    assert run.status == "finished"


def test_an_experiment_is_named_after_whatever_the_notebook_is_called(
    make_project, write_notebook: WriteNotebook
) -> None:
    project = make_project()
    runs = project.runs.execute(write_notebook(project.root / "train (1) {ü}.ipynb", "x = 1"))
    assert runs[0].experiment == "train 1 ü"


def test_of_two_hundred_megabytes_of_output_the_beginning_is_kept_and_the_rest_is_told(
    make_project, write_notebook: WriteNotebook
) -> None:
    project = make_project()
    loud = "line = 'x' * 999_999\nfor _ in range(200):\n    print(line)"
    (run,) = project.runs.execute(write_notebook(project.root / "loud.ipynb", "n = 0", loud))
    assert run.status == "finished", run.error
    document = run.executed_notebook()
    assert document is not None
    *written, note = ["".join(output["text"]) for output in document["cells"][-1]["outputs"]]
    kept = sum(map(len, written))
    assert kept == 100_000_000
    assert note.startswith("100,000,000 letters of the output of this cell were left out")
