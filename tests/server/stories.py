"""What has happened in the projects that the pages show: real data, a real model, a real request."""

from __future__ import annotations

from typing import Any

from jupyter_mlops.project import Project

VERIFIED = """
[project]
name = "churn"

[people]
viewer = ["dee@example.com"]
operator = ["olly@example.com"]
approver = ["bo@example.com", "cy@example.com"]
admin = ["ann@example.com"]
services = ["ci"]

[aliases.challenger]

[aliases.production]
approvals = 1
identity = "verified"
"""


def customers(rows: int = 400, shift: float = 0.0) -> Any:
    """Return a table of customers, of whom some leave."""
    import numpy
    import pandas

    random = numpy.random.default_rng(7)
    months = random.integers(1, 72, rows)
    bill = random.normal(60 + shift, 15, rows).round(2)
    plan = random.choice(["basic", "plus", "pro"], rows, p=[0.6, 0.3, 0.1] if not shift else [0.2, 0.3, 0.5])
    leaves = (random.random(rows) < 1 / (1 + numpy.exp(0.05 * months - 0.03 * bill))).astype(int)
    return pandas.DataFrame({"months": months, "bill": bill, "plan": plan, "churned": leaves})


def fitted(strength: float = 1.0) -> Any:
    """Return a small fitted classifier and two rows it was fitted on."""
    from sklearn.linear_model import LogisticRegression

    frame = customers()
    features = frame[["months", "bill"]]
    return LogisticRegression(C=strength, max_iter=500).fit(features, frame["churned"]), features.head(2)


def request_production(project: Project, reason: str = "better on every segment") -> Any:
    """As the project's actor, register a model and ask that production points at it; return the approval."""
    estimator, example = fitted()
    version = project.models.register("churn-model", estimator, input_example=example)
    return project.models.promote(version.ref, "production", reason=reason)


def raise_alert(project: Project, title: str = "customers@v2 drifted from customers@v1") -> Any:
    """As the project's actor, raise an alert about data; return it."""
    return project.alerts.open(
        "drift:customers", title, "data:customers@v2", {"drifted": True, "columns": {}}
    )
