"""A run can be executed again with what was kept of it, and says whether it came out the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jupyter_client.kernelspec import NoSuchKernel

from jupyter_mlops.cli import run as mlops
from jupyter_mlops.errors import BadInput, MLOpsError
from jupyter_mlops.project import Project
from jupyter_mlops.runs.tracking.imports import Imported
from jupyter_mlops.views import to_text, view

from .conftest import WriteNotebook, commit_customers

TRAIN = (
    'data = "customers@latest"  # dataset\nrate = 2.0\nlayers = (1, 2)\nseed = 7',
    "import random, time\nimport jupyter_mlops as mlops\nfrom features import grown\n",
    """
frame = mlops.load_dataset(data)
golden = mlops.load_dataset("customers@golden")
random.seed(seed)
mlops.log_metrics({"total": grown(frame.spent.sum(), rate), "drawn": random.random(), "golden": len(golden)})
assert layers == (1, 2)
""",
    """
mlops.log_metric("fit_seconds", time.perf_counter())
print("at", object(), time.strftime("%Y-%m-%d %H:%M:%S"), mlops.current_run().id)
mlops.open().datasets.commit("grown", frame.assign(spent=grown(frame.spent, rate)))
mlops.log_artifact(frame, "seen")
""",
)


@pytest.fixture
def trained(customers: Project, write_notebook: WriteNotebook) -> Project:
    """A project with one run of a notebook that imports a module beside it, and reads by an alias."""
    folder = customers.root / "notebooks"
    folder.mkdir()
    (folder / "features.py").write_text("def grown(x, rate):\n    return x * rate\n")
    customers.datasets.alias("customers@v1", "golden")
    notebook = write_notebook(folder / "train.ipynb", *TRAIN)
    (run,) = customers.runs.execute(notebook, {"rate": 3}, experiment="growth", maximize="total")
    assert run.status == "finished", run.error
    return customers


def test_a_run_is_executed_again_with_everything_that_was_kept(trained: Project) -> None:
    """Data moved on, code was edited, the notebook is gone, an alias points elsewhere: it is the same."""
    original = trained.runs.get("growth@latest")
    folder = trained.root / "notebooks"
    commit_customers(trained, 9)
    trained.datasets.alias("customers@v2", "golden")
    (folder / "features.py").write_text("def grown(x, rate):\n    return 0\n")
    (folder / "train.ipynb").write_text("{}")

    (run,) = trained.runs.execute(like=original.id)

    assert run.status == "finished", run.error
    assert run.like == original.id
    assert trained.runs.get(original.id).repeats() == (run.id,)
    assert run.parameters == original.parameters
    assert run.inputs == original.inputs == {"data": "customers@v1"}
    assert run.seeds == {"seed": 7}
    assert {name: run.metrics[name] for name in ("total", "drawn", "golden")} == {
        name: original.metrics[name] for name in ("total", "drawn", "golden")
    }
    assert run.sources() == original.sources()
    assert (folder / "features.py").read_text() == "def grown(x, rate):\n    return 0\n"

    found = trained.runs.reproduction(run)
    assert found.verdict == "identical", found.differing()
    assert found.agrees
    assert found.asked == found.environment == found.code == ()
    assert {one.name: one.agreement for one in found.outputs} == {"grown": "equal"}
    assert {one.name: one.agreement for one in found.metrics}["fit_seconds"] == "ignored"
    told = " ".join(found.ignored)
    for kind in ("memory addresses in cell 4", "times in cell 4", "run ids in cell 4", "fit_seconds"):
        assert kind in told


def test_a_run_of_a_sweep_is_executed_again_with_its_hashes_and_edited_code_is_named(
    project: Project, write_notebook: WriteNotebook
) -> None:
    """The order of sets follows from the hash seed, which warm kernels share and the repetition gets too."""
    (project.root / "words.py").write_text("WORDS = {'b', 'a', 'c', 'd', 'e', 'f', 'g'}\n")
    notebook = write_notebook(
        project.root / "sets.ipynb",
        "n = 0",
        "import random\nimport jupyter_mlops as mlops\nfrom words import WORDS\nprint(list(WORDS), n)",
        "mlops.log_metric('first', ord(list(WORDS)[0]))\nmlops.log_metric('n', n)",
    )
    runs = project.runs.execute(notebook, grid={"n": [1, 2, 3]}, workers=2)
    assert [run.status for run in runs] == ["finished"] * 3, [run.error for run in runs]
    (run,) = project.runs.execute(like=runs[1])
    found = project.runs.reproduction(run)
    assert found.verdict == "identical", (found.differing(), found.environment)
    assert run.metrics["n"] == 2
    (project.root / "words.py").write_text("WORDS = {'z'}\n")
    (today,) = project.runs.execute(notebook, {"n": 2})
    against = project.runs.reproduction(today, runs[1])
    assert against.verdict == "differs"
    assert [(one.name, one.agreement) for one in against.code] == [("words.py", "different")]


def test_a_run_shows_what_made_it(trained: Project) -> None:
    run = trained.runs.get("growth@latest")
    text = " ".join(to_text(view(run)).split())
    environment = run.environment()
    for part in (
        "What made it", "seed = 7", "1 file: notebooks/features.py", environment["python"],
        "distributions",
        f"numpy {environment['distributions']['numpy']}", "customers@v1", "local",
    ):  # fmt: skip
        assert part in text, part
    assert environment["hash_seed"]
    assert environment["sources"] == {"paths": ["notebooks"], "notes": []}


def test_the_command_answers_whether_it_agrees(
    trained: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = trained.runs.get("growth@latest")
    here = ["--project", str(trained.root)]
    monkeypatch.setenv("MLOPS_ACTOR", "ann@example.com")
    assert mlops([*here, "run", "--like", original.id, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["verdict"], answer["like"]) == ("identical", original.id)
    (item,) = answer["items"]
    assert item["like"] == original.id
    # features.py has to say something else, and be what is executed: the kept one is not on the way
    monkeypatch.setattr("jupyter_mlops.runs.sweeps.repetition.Repetition.kept", lambda *_: Imported())
    (trained.root / "notebooks" / "features.py").write_text("def grown(x, rate):\n    return x * rate + 1\n")
    assert mlops([*here, "run", "--like", original.id]) == 1
    told = " ".join(capsys.readouterr().out.split())
    assert "came out differently" in told
    assert "notebooks/features.py" in told
    assert mlops([*here, "runs", "show", original.id]) == 0
    assert f"executed again as {item['id']}" in " ".join(capsys.readouterr().out.split())
    assert mlops([*here, "runs", "show", item["id"]]) == 0
    assert f"like {original.id}" in " ".join(capsys.readouterr().out.split())
    assert mlops([*here, "run", "--like", "nothing"]) == 2


def test_a_parameter_can_be_changed_and_that_is_said(trained: Project) -> None:
    original = trained.runs.get("growth@latest")
    (run,) = trained.runs.execute(None, {"rate": "4"}, like=original)
    found = trained.runs.reproduction(run)
    assert found.asked == ("rate = 4.0 instead of 3.0",)
    assert found.verdict == "differs"
    assert {
        one.name: (one.original, one.repeated) for one in found.metrics if one.agreement == "different"
    } == {"total": (90.0, 120.0)}
    assert [one.name for one in found.outputs if one.agreement == "different"] == ["grown"]


def test_a_version_that_was_removed_is_one_clear_line(trained: Project) -> None:
    original = trained.runs.get("growth@latest")
    commit_customers(trained, 9)
    with trained.store.bookkeeping() as tx:  # versions that runs read are not removed by the front door
        tx.execute(
            "UPDATE versions SET removed_at = :at WHERE number = 1 AND dataset = 'customers'", at=tx.at
        )
    with pytest.raises(
        MLOpsError, match=f"run {original.id} read customers@v1: customers@v1 was removed"
    ) as told:
        trained.runs.execute(like=original)
    assert told.value.hint == "`mlops data restore customers@v1` brings it back"


def no_such_kernel(_: object, name: str) -> None:
    raise NoSuchKernel(name)


def test_what_cannot_be_executed_again_says_so(
    trained: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = trained.runs.get("growth@latest")
    with trained.runs.start("by-hand") as tracked:
        pass
    with pytest.raises(BadInput, match="no notebook of it is kept"):
        trained.runs.execute(like=tracked.id)
    with pytest.raises(BadInput, match="leave out grid"):
        trained.runs.execute(like=original, grid={"rate": [1, 2]})
    with pytest.raises(BadInput, match="declares no parameter 'rat'"):
        trained.runs.execute(None, {"rat": 1}, like=original)
    with pytest.raises(BadInput, match="no notebook is named"):
        trained.runs.execute()
    with pytest.raises(BadInput, match="repeats no other"):
        trained.runs.reproduction(original)
    with monkeypatch.context() as without:
        without.setattr("jupyter_core.paths.jupyter_path", lambda *_: [])
        without.setattr("jupyter_client.kernelspec.KernelSpecManager.get_kernel_spec", no_such_kernel)
        with pytest.raises(BadInput, match="asks for the kernel 'python3', which is not installed here"):
            trained.runs.execute(like=original)
    (trained.root / "notebooks").rename(tmp_path / "elsewhere")
    with pytest.raises(MLOpsError, match=r"the folder notebooks, in which run .* is gone"):
        trained.runs.execute(like=original)
