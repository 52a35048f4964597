"""Code of one's own is tracked as a run: what is logged is stored at once, and the end is always told."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy
import pandas
import polars
import pytest

import jupyter_mlops as mlops
from jupyter_mlops.charts import Figure, line
from jupyter_mlops.errors import BadInput, Conflict, NotFound
from jupyter_mlops.project import Project

from .conftest import commit_customers, eventually, verbs


def test_what_is_logged_is_kept(customers: Project) -> None:
    with customers.runs.start("tries", {"C": numpy.float64(0.5)}, {"data": "customers@latest"}) as run:
        assert mlops.current_run() is run
        run.log_metric("loss", 3)
        run.log_metric("loss", numpy.float32(1.5))
        run.log_metric("loss", 1, step=10)
        run.log_metrics({"loss": 0.5, "auc": True})
        mlops.log_parameters({"depth": 3, "model": object})
        run.set_tags({"team": "growth"})
        run.set_tags({"team": "risk", "n": 3})
        assert run.metrics == {"loss": 0.5, "auc": 1.0}
        assert run.status == "running"
        assert customers.runs.get(run.id).metrics == run.metrics
    assert mlops.current_run() is None
    assert run.status == "finished"
    read = customers.runs.get("tries@latest")
    assert read == run
    assert read.metrics == run.metrics == {"loss": 0.5, "auc": 1.0}
    assert [(point.step, point.value) for point in read.history("loss")] == [
        (0, 3),
        (1, 1.5),
        (10, 1),
        (11, 0.5),
    ]
    assert read.parameters == {"C": 0.5, "depth": 3, "model": "<class 'object'>"}
    assert read.tags == {"team": "risk", "n": "3"}
    assert read.inputs == {"data": "customers@v1"}
    assert read.environment()["distributions"]
    assert read.kind == "tracked"
    assert verbs(customers, f"run:{run.id}")[0] == "run.started"
    assert verbs(customers, f"run:{run.id}")[-1] == "run.finished"
    assert read.plot("loss").series[0].y == (3, 1.5, 1, 0.5)
    assert read.plot().kind == "line"
    with pytest.raises(NotFound, match=r"has no metric 'los' — did you mean loss"):
        read.history("los")
    with pytest.raises(Conflict, match=f"run {run.id} is finished"):
        run.log_metric("loss", 1)
    with pytest.raises(Conflict, match=f"run {run.id} is finished"):
        run.set_tags({"late": 1})
    assert customers.audit.verify().ok


def test_a_run_knows_itself_in_its_block_after_it_and_when_the_project_is_closed(project: Project) -> None:
    with project.runs.start("tries", {"C": 0.5}) as run:
        run.log_metric("loss", 3)
        assert (run.number, run.actor, run.kind, run.ended_at) == (1, "ann@example.com", "tracked", None)
        run.set_tags({"team": "risk"})
        assert (run.metrics, run.tags) == ({"loss": 3.0}, {"team": "risk"})
        assert not hasattr(run, "nothing_of_that_name")
    project.close()
    assert (run.status, run.metrics, run.tags, run.parameters) == (
        "finished",
        {"loss": 3.0},
        {"team": "risk"},
        {"C": 0.5},
    )
    assert run.ended_at
    assert run.to_dict()["experiment"] == "tries"


def test_a_run_that_somebody_else_stopped_is_stopped_for_its_block(project: Project) -> None:
    with project.runs.start("tries") as run:
        run.log_metric("loss", 3)
        project.runs.stop(run.id, "enough")
    assert (run.status, run.reason, run.metrics) == ("stopped", "enough", {"loss": 3.0})


def test_artifacts_come_back_as_what_they_were(make_project, tmp_path: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    project = make_project()
    folder = tmp_path / "report"
    (folder / "img").mkdir(parents=True)
    (folder / "index.html").write_text("<p>hello</p>")
    (folder / "img" / "a.txt").write_text("a")
    frame = pandas.DataFrame({"when": pandas.to_datetime(["2026-01-01", None]), "n": [1, 2]})
    picture, axes = pyplot.subplots()
    axes.plot([1, 2])
    drawn = line("loss", {"a": ([0, 1], [2.0, 1.0])})
    with project.runs.start("tries") as run:
        run.log_artifact(folder)
        run.log_artifact(str(folder / "index.html"), "page.html")
        run.log_artifact(frame)
        run.log_artifact(polars.DataFrame({"p": ["x"]}))
        run.log_artifact(picture, "curve.svg")
        run.log_artifact(picture)
        run.log_artifact(drawn)
        run.log_artifact(frame, "page.html")  # the same name again replaces
        for wrong, message in [
            (object(), "cannot be an artifact"),
            (3, "a int cannot"),
            (b"x", "a bytes cannot"),
        ]:
            with pytest.raises(BadInput, match=message):
                run.log_artifact(wrong)
        with pytest.raises(BadInput, match="cannot name an artifact"):
            run.log_artifact(frame, "")
        with pytest.raises(NotFound):
            run.log_artifact(tmp_path / "missing.txt")
    pyplot.close(picture)
    kept = project.runs.get(run.id).artifacts
    assert {name: artifact.kind for name, artifact in kept.items()} == {
        "report": "folder",
        "page.html": "table",
        "table": "table",
        "table-2": "table",
        "curve.svg": "picture",
        "figure.png": "picture",
        "figure": "figure",
    }
    assert (kept["report"].load() / "img" / "a.txt").read_text() == "a"
    pandas.testing.assert_frame_equal(kept["table"].load(), frame)
    assert list(kept["table-2"].load()["p"]) == ["x"]
    assert kept["curve.svg"].load().startswith(b"<?xml")
    assert kept["figure.png"].load().startswith(b"\x89PNG")
    assert kept["figure"].load() == drawn
    assert isinstance(kept["figure"].load(), Figure)
    assert (kept["report"].checkout(tmp_path / "copy") / "index.html").read_text() == "<p>hello</p>"
    with pytest.raises(Conflict):
        kept["figure.png"].checkout(folder / "index.html")
    assert json.dumps(run.to_dict())


def test_a_block_that_raises_is_a_failed_run(make_project) -> None:
    project = make_project()
    with pytest.raises(ZeroDivisionError), project.runs.start("tries") as run:
        1 / 0  # noqa: B018
    assert run.status == "failed"
    assert run.error is not None
    assert str(run.error) == "ZeroDivisionError: division by zero"
    assert "1 / 0" in run.error.traceback
    with pytest.raises(KeyboardInterrupt), project.runs.start("tries") as run:
        raise KeyboardInterrupt
    assert run.status == "stopped"
    with pytest.raises(SystemExit), project.runs.start("tries") as run:
        sys.exit()
    assert run.status == "finished"
    with project.runs.start("tries") as run:
        run.fail(ValueError("the cell failed\x00"))
    assert run.status == "failed"
    assert run.error is not None
    assert run.error.message == "the cell failed"


def test_loads_checkouts_and_commits_inside_become_inputs_and_outputs(
    customers: Project, tmp_path: Path
) -> None:
    commit_customers(customers, 4)
    customers.datasets.commit("holdout", customers.root / "customers.csv")
    with customers.runs.start("tries", inputs={"data": "customers@v1"}) as run:
        assert len(mlops.load_dataset("customers")) == 3  # the version that the input fixes
        assert len(mlops.load_dataset("customers@latest")) == 3
        assert len(mlops.load_dataset("customers@v2", "polars")) == 4
        customers.datasets.get("holdout").checkout(tmp_path / "holdout.csv")
        made = customers.datasets.commit("made", tmp_path / "holdout.csv")
        run.log_input("holdout", name="again")
    assert run.inputs == {"data": "customers@v1", "customers": "customers@v2", "holdout": "holdout@v1"}
    assert run.outputs == (made.ref,)
    customers.datasets.get("customers@v1").load()
    assert customers.runs.get(run.id).inputs == run.inputs
    both = {"a": "customers@v1", "b": "customers@v2"}
    message = "fix customers at customers@v1 and customers@v2"
    with customers.runs.start("tries", inputs=both), pytest.raises(BadInput, match=message):
        mlops.load_dataset("customers")


def test_metrics_are_numbers_and_names_are_names(make_project) -> None:
    project = make_project()
    with project.runs.start("tries") as run:
        for value in ("high", "0.5", None, [1], 1 + 2j):
            with pytest.raises(BadInput, match="not a number"):
                run.log_metric("auc", value)
        for name in ("", " ", "a\x00b", "x" * 201, 3, "a\nb"):
            with pytest.raises(BadInput, match="cannot name a metric"):
                run.log_metric(name, 1)  # type: ignore[arg-type]
        for step in (0.5, "one", 2**70):
            with pytest.raises(BadInput, match="is not a whole number"):
                run.log_metric("auc", 1, step=step)  # type: ignore[arg-type]
        run.log_metrics({"very": 1e308, "minus": -math.inf, "not": math.nan, "naïve ☃ 'q'": 1})
        with pytest.raises(BadInput, match="cannot be stored"):
            run.set_tags({"t": "\x00"})
        run.log_parameters({"C": 1})
        run.log_parameters({"C": 1.0})
        with pytest.raises(Conflict, match=r"parameter C of run .* is 1 already, not 2"):
            run.log_parameters({"C": 2})
        with pytest.raises(Conflict, match=r"parameter C of run .* is 1 already, not True"):
            run.log_parameters({"C": True})
    assert math.isnan(project.runs.get(run.id).metrics["not"])
    assert project.runs.get(run.id).metrics["minus"] == -math.inf
    assert run.to_dict()["metrics"] == {"very": 1e308, "minus": "-inf", "not": None, "naïve ☃ 'q'": 1.0}


def test_threads_share_a_run(project: Project) -> None:
    with project.runs.start("tries") as run:

        def log(number: int) -> None:
            for _ in range(10):
                mlops.log_metrics({"shared": number, f"own{number}": 1})

        threads = [threading.Thread(target=log, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(run.history("shared")) == 40
    assert [point.step for point in run.history("shared")] == list(range(40))


def test_processes_of_one_run_log_side_by_side(project: Project) -> None:
    code = "import jupyter_mlops as mlops\nfor n in range(10): mlops.log_metric('shared', n)\n"
    with project.runs.start("tries") as run:
        environment = {**os.environ, "MLOPS_RUN": run.id, "MLOPS_PROJECT": str(project.root)}
        environment["MLOPS_ACTOR"] = "ann@example.com"
        processes = [subprocess.Popen([sys.executable, "-c", code], env=environment) for _ in range(2)]
        assert [process.wait() for process in processes] == [0, 0]
    assert len(run.history("shared")) == 20


CLEARS_THE_ENVIRONMENT = """
import os
from unittest import mock
import jupyter_mlops as mlops
mlops.log_metric("n", 0)
with mock.patch.dict(os.environ, {"A": "b"}, clear=True):
    mlops.log_metric("n", 1)
    if not (child := os.fork()):
        mlops.log_metric("n", 2)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
mlops.log_metric("n", 3)
"""


def test_a_process_belongs_to_its_run_whatever_becomes_of_the_environment(make_project) -> None:
    project = make_project()
    with project.runs.start("tries") as run:
        more = {"MLOPS_RUN": run.id, "MLOPS_PROJECT": str(project.root), "MLOPS_ACTOR": "ann@example.com"}
        subprocess.run(
            [sys.executable, "-c", CLEARS_THE_ENVIRONMENT],
            env={**os.environ, **more},
            cwd=project.root,
            check=True,
        )
    assert [point.value for point in run.history("n")] == [0, 1, 2, 3]


def test_the_source_of_a_cell_is_kept(make_project, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_project()
    (project.root / "own_module_of_test.py").write_text("VALUE = 1\n")
    monkeypatch.syspath_prepend(project.root)
    with project.runs.start("tries", code="import own_module_of_test\n") as run:
        import own_module_of_test  # type: ignore[import-not-found]

        assert own_module_of_test.VALUE == 1
    sys.modules.pop("own_module_of_test")
    assert run.sources() == {"cell.py": "import own_module_of_test\n", "own_module_of_test.py": "VALUE = 1\n"}


def test_the_script_that_records_a_run_is_kept_or_said_not_to_be(make_project, tmp_path: Path) -> None:
    project = make_project()
    code = (
        "import sys, jupyter_mlops as mlops\n"
        "with mlops.open(sys.argv[1]).runs.start('by-hand') as run:\n    print(run.id)\n"
    )
    script = tmp_path / "elsewhere" / "script.py"
    script.parent.mkdir()
    script.write_text(code)
    seen = []
    for begun in ([str(script)], ["-c", code]):
        command = [sys.executable, *begun, str(project.root)]
        environment = {**os.environ, "MLOPS_ACTOR": "ann@example.com"}
        id = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        seen.append(project.runs.get(id.strip()))
    assert seen[0].sources() == {"outside/elsewhere/script.py": code}
    assert "not kept: it came from no file" not in str(seen[0])
    assert seen[1].sources() == {}
    assert "not kept: it came from no file" in str(seen[1])
    with pytest.raises(BadInput, match=f"`mlops runs show {seen[0].id}` says what is kept of it"):
        project.runs.execute(like=seen[0])


def test_without_a_run_nothing_is_recorded_and_it_is_said_once(
    customers: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(customers.root)
    code = """
import warnings
import jupyter_mlops as mlops
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    assert mlops.log_metric("auc", 0.5) == 0.5
    assert mlops.log_metrics({"a": 1}) == {"a": 1}
    assert mlops.log_model("estimator") == "estimator"
    assert mlops.set_tags({"a": 1}) == {"a": 1}
assert [str(warning.message) for warning in said] == ["no run: not recorded"], said
assert said[0].filename == "<string>"
assert mlops.current_run() is None
print(len(mlops.load_dataset("customers")))
"""
    environment = {**os.environ, "MLOPS_ACTOR": "ann@example.com"}
    answer = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert (answer.stdout, answer.stderr) == ("3\n", "")
    assert len(customers.runs.search()) == 0


KILLED = """
import sys, time
from jupyter_mlops.project import open_project
project = open_project(sys.argv[1], "ann@example.com")
with project.runs.start("tries") as run:
    run.log_metric("seen", 1)
    print(run.id, flush=True)
    time.sleep(600)
"""


def test_a_run_whose_process_was_killed_is_failed_for_everybody(project: Project, as_actor) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(project.root)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        id = process.stdout.readline().decode().strip()
        assert project.runs.get(id).status == "running"
        assert project.runs.settle() == 0
        process.send_signal(signal.SIGKILL)
        process.wait()
    dee = as_actor(project, "dee@example.com")  # a viewer, who writes nothing
    seen = eventually(lambda: (run := dee.runs.get(id)).ended and run)
    assert seen.status == "failed"
    assert seen.error is not None
    assert "was killed" in seen.error.message
    assert [run.id for run in dee.runs.search("status = 'failed'")] == [id]
    assert len(dee.runs.search("status = 'running'")) == 0
    assert verbs(project, f"run:{id}") == ["run.started"]
    assert project.runs.settle() == 1
    assert project.runs.settle() == 0
    assert verbs(project, f"run:{id}") == ["run.started", "run.failed"]
    assert project.runs.get(id).metrics == {"seen": 1.0}


def test_models_are_kept_with_the_run(make_project) -> None:
    from sklearn.linear_model import LogisticRegression

    project = make_project()
    frame = pandas.DataFrame({"a": [0.0, 1.0, 2.0, 3.0]})
    model = LogisticRegression().fit(frame, [0, 0, 1, 1])
    with project.runs.start("tries") as run:
        kept = mlops.log_model(model, input_example=frame)
        assert kept is model
    artifact = project.runs.get(run.id).artifacts["model"]
    assert artifact.kind == "model"
    assert list(artifact.load().predict(frame)) == [0, 0, 1, 1]


def test_big_and_odd_parameters_are_kept(project: Project) -> None:
    odd = {"huge": 10**400, "nan": math.nan, "inf": math.inf, "nested": {"a": [1, None, "☃"]}, "none": None}
    with project.runs.start("tries", odd) as run:
        pass
    read = project.runs.get(run.id).parameters
    assert math.isnan(read["nan"])
    assert {name: value for name, value in read.items() if name != "nan"} == {
        name: value for name, value in odd.items() if name != "nan"
    }
    json.dumps(run.to_dict(), allow_nan=False)
    with pytest.raises(BadInput, match="a object"), project.runs.start("tries", {"a": object()}):
        pass
