"""The story: a table becomes a version, a notebook a sweep, the best run a model, a click its promotion."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

from ..companions import Companions
from ..config import FILE, read_config
from ..errors import BadInput, Conflict, Failed
from ..project import Project, init_project, set_whoami
from . import flights
from .report import write_report
from .told import Told

ANN, BO = "ann@example.com", "bo@example.com"
PROJECT, EXPERIMENT, MODEL = "flights", "late-flights", "late-arrival"
NOTEBOOK, REPORT = "train.ipynb", "report.html"
GRID = {"learning_rate": [0.05, 0.1, 0.3], "max_leaf_nodes": [7, 15, 31]}
_TYPE = "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"
POLICY = f"""\
# The demo's project: will a flight arrive more than 15 minutes late?
[project]
name = "{PROJECT}"

[people]                              # roles: viewer contributor operator approver admin
approver = ["{BO}"]
admin = ["{ANN}"]

[trust]                               # types a model may hold, beyond the harmless ones
types = ["{_TYPE}"]

[models.{MODEL}]
notebook = "{NOTEBOOK}"
inputs = {{ data = "flights@latest" }}
evaluate = {{ data = "flights-holdout@golden", target = "{flights.TARGET}" }}

[aliases.challenger]                  # moves at once

[aliases.production]
approvals = 1
identity = "verified"                 # votes come from Slack or the page
gates = [{{ scorer = "roc_auc", at_least = 0.85 }}]

[slack]
channel = "#flights"
approvals = "#ml-approvals"
alerts = "#ml-oncall"
notebooks = ["{NOTEBOOK}"]
"""


def tell(folder: Path, say: Callable[[str], None], show: Callable[[Any], None]) -> Told:
    """Play the whole story in ``folder``, new or one in which it was interrupted; return what it leaves.

    ``say`` is told each step as a sentence, ``show`` is handed the values worth seeing.
    """
    with _project(folder) as project:
        say(f"A project in {project.root}. Ann ({ANN}) acts.")

        say("1. Data: January's and February's flights, joined with the weather at departure.")
        flights_version = project.datasets.commit(
            "flights", flights.departures([1, 2]), "January and February"
        )
        holdout = project.datasets.commit(
            "flights-holdout", flights.departures([3], list(range(1, 8))), "never trained on"
        )
        if "golden" not in holdout.aliases:
            project.datasets.alias(holdout.ref, "golden")
        show(flights_version.describe())

        say(f"2. Experiments: {NOTEBOOK} for every combination of {', '.join(GRID)}.")
        runs = _swept(project)
        show(runs)
        best = runs.best()

        say("3. The best run becomes a model, and Ann asks for its promotion.")
        model = project.models.register(MODEL, best)
        show(model)
        request = project.models.promote(model.ref, "production", reason=f"best of {len(runs)} runs")
        show(request)

        with Companions(project) as companions:
            say("4. Chat: the bot tells the channel, and Bo presses Approve.")
            simulator = companions.start_simulator()
            companions.start_bot(simulator)
            _errand(simulator["url"], BO, "flights", best.id)
            if request.state == "pending":
                _errand(simulator["url"], BO, "ml-approvals", request.id, press="approve")
                request = request.wait(60)
            if not request.moved:
                raise Failed(f"production did not move: {request.state}", "see .mlops/logs/bot.log")
            holder = project.models.get(f"{MODEL}@production").ref
            say(f"   production is {holder}; approved by {_voters(request)}.")

            say("5. Months later: July's flights, compared with those it learned from.")
            july = project.datasets.commit("flights-july", flights.departures([7]), "July")
            drift = project.drift(flights_version, july)
            show(drift)
            alert = project.alerts.open(
                key=f"drift:{flights_version.ref}:{july.ref}",
                title=f"{july.ref} drifted from {flights_version.ref}",
                about=f"data:{july.ref}",
                report=drift.to_dict(),
            )
            _errand(simulator["url"], BO, "ml-oncall", alert.id)
            say("   The alert is in #ml-oncall, with its Acknowledge button.")

        audit = project.audit.verify()
        say("6. The audit chain:")
        show(audit)
        report = project.root / REPORT
        write_report(report, "Late flights", [flights_version.describe(), runs, model, request, drift, audit])
        return Told(
            folder=str(project.root),
            model=model.ref,
            metric=best.metrics["auc"],
            approval=request.id,
            alert=alert.id,
            report=str(report),
            audit=audit,
        )


def _project(folder: Path) -> Project:
    other = "name another folder: `mlops demo FOLDER`"
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{folder} is a file", other)
    folder.mkdir(parents=True, exist_ok=True)
    half = folder / f".{FILE}.part"
    if (folder / FILE).exists():
        if read_config(folder).name != PROJECT:
            raise BadInput(f"{folder} holds another project", other)
    elif any(entry != half for entry in folder.iterdir()):
        raise BadInput(f"{folder} is not empty and holds no project", other)
    else:
        # first of all, so that a killed demo finds its own folder again
        half.write_text(POLICY, "utf-8")
        half.replace(folder / FILE)
    if not (folder / NOTEBOOK).exists():
        temporary = folder / f".{NOTEBOOK}.part"
        shutil.copyfile(example_notebooks() / "02_train.ipynb", temporary)
        temporary.replace(folder / NOTEBOOK)
    project = init_project(folder, ANN)
    # whoever goes on by hand in this folder goes on as Ann
    set_whoami(project, ANN)
    return project


def example_notebooks() -> Path:
    """Return the folder of the example notebooks, as installed or in a working copy."""
    package = Path(str(files("jupyter_mlops")))
    installed = package / "_data" / "example_notebooks"
    return installed if installed.is_dir() else package.parent / "example_notebooks"


def _swept(project: Project) -> Any:
    sweeps = project.runs.sweeps(EXPERIMENT)
    if not sweeps:
        return project.runs.execute(
            NOTEBOOK,
            parameters={"target": flights.TARGET},
            inputs={"data": "flights@latest"},
            grid=GRID,
            experiment=EXPERIMENT,
            maximize="auc",
        )
    if sweeps[0].status == "finished" and not project.runs.sweep(sweeps[0].id).failed:
        return project.runs.sweep(sweeps[0].id)
    for _ in range(50):
        try:
            return project.runs.resume(sweeps[0].id)
        except Conflict:
            time.sleep(0.2)  # what a killed demo had started is still ending
    return project.runs.resume(sweeps[0].id)


def _errand(url: str, person: str, channel: str, containing: str, press: str = "") -> dict[str, Any]:
    """Have a person of the simulator wait for a message, and press a button in it."""
    words = [url, person, channel, containing, *(["--press", press] if press else [])]
    # the bot's package builds on this one, so its errands are run and not imported
    done = subprocess.run(
        [sys.executable, "-m", "slackbot.simulator.errand", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise Failed(f"{person} could not do that in #{channel}: {last}", "see .mlops/logs/bot.log")
    message: dict[str, Any] = json.loads(done.stdout)
    return message


def _voters(request: Any) -> str:
    return " and ".join(f"{vote.actor} (proof: {vote.proof})" for vote in request.votes)
