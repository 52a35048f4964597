"""A project with models, evaluation data and a clock that tests turn, opened as any of its people."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from jupyter_mlops.config import Policy, parse_config
from jupyter_mlops.people import Actor
from jupyter_mlops.project import Project, open_project

from .rush import Clock

ANN, BO, CY, DEE, EVE, CI = (
    "ann@example.com",
    "bo@example.com",
    "cy@example.com",
    "dee@example.com",
    "eve@example.com",
    "ci",
)
TOML = """
[project]
name = "churn"

[people]
viewer = ["dee@example.com"]
contributor = ["eve@example.com"]
approver = ["bo@example.com", "cy@example.com"]
admin = ["ann@example.com"]
services = ["ci"]

[models.churn]
evaluate = {{ data = "holdout@golden", target = "churned" }}

[aliases.challenger]

[aliases.champion]

[aliases.production]
{production}
"""
FRAME = pd.DataFrame({"x": np.linspace(-1, 1, 40), "z": np.tile([0.0, 1.0], 20)})
CHURNED = np.where(FRAME["x"] > 0, "yes", "no")


class Team:
    """One project and all who open it: ``team(BO, "slack")`` is the project as Bo sees it from Slack."""

    def __init__(self, project: Project, clock: Clock, opened: list[Project]) -> None:
        self.project, self.clock, self._opened = project, clock, opened
        self._known: dict[tuple[str, str], Project] = {(ANN, "local"): project}

    def __call__(self, name: str, proof: str = "local") -> Project:
        if (name, proof) not in self._known:
            project = open_project(self.project.root, actor=Actor(name, proof), clock=self.clock)
            self._opened.append(project)
            self._known[name, proof] = project
        return self._known[name, proof]

    def written(self, text: str) -> Policy:
        """Return the policy that ``mlops.toml`` would hold with this text."""
        import tomllib

        return parse_config(tomllib.loads(text), self.project.root).policy

    def apply(self, text: str, actor: str = ANN) -> Any:
        """Edit mlops.toml and apply it."""
        (self.project.root / "mlops.toml").write_text(text, "utf-8")
        return self(actor).policies.apply(self.written(text))

    def events(self, about: str) -> list[str]:
        """Return the verbs of what happened to one thing."""
        return [event.verb for event in self.project.events(about=about)]


MakeTeam = Callable[..., Team]


@pytest.fixture
def make_team(make_project: Callable[..., Project], store_url: str, opened: list[Project]) -> MakeTeam:
    """Make a project whose production alias has the given rule, with registered versions of ``churn``."""

    def make(production: str = "approvals = 1", toml: str = TOML, versions: int = 2) -> Team:
        clock = Clock()
        project = make_project(toml=toml.format(production=production), store=store_url, clock=clock)
        team = Team(project, clock, opened)
        for number in range(1, versions + 1):
            project.models.register("churn", model(float(number)), FRAME.head())
        return team

    return make


def model(c: float = 1.0, frame: pd.DataFrame = FRAME, target: Any = CHURNED) -> LogisticRegression:
    """Return a fitted model; another ``c`` is another model."""
    return LogisticRegression(C=c).fit(frame, target)


def holdout(frame: pd.DataFrame = FRAME) -> pd.DataFrame:
    """Return evaluation data on which ``model()`` is right for every row."""
    return frame.assign(churned=CHURNED)
