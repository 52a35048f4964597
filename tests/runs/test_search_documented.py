"""The page about searching: every example on it is typed here, and what it promises holds."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlops.cli import main
from jupyter_mlops.errors import BadInput, NotFound
from jupyter_mlops.project import Project
from jupyter_mlops.runs.finding.search import ATTRIBUTES, GROUPS, TIMES

PAGE = (Path(__file__).parents[2] / "docs" / "search.md").read_text("utf-8")


def examples(kind: str) -> list[str]:
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return [line for named, block in blocks if named == kind for line in block.splitlines()]


@pytest.fixture
def history(project: Project) -> Project:
    """Six runs that have what the page speaks of: a, b, c finished, d in vain, e and f failed."""
    file = project.root / "customers.csv"
    file.write_text("id\n1\n", "utf-8")
    project.datasets.commit("customers", file)
    pasted = 'C:\\models\\(v2) "quoted" and/or'
    made: list[tuple[str, dict[str, Any], dict[str, float]]] = [
        ("a", {"C": 1, "penalty": "l1", "code": "007", "deep": True}, {"auc": 0.7, "val loss": 0.2}),
        ("b", {"C": 0.1, "penalty": "l1"}, {"auc": 0.9, "loss": math.inf, "val/loss": 0.1, "val-loss": 1}),
        ("c", {"C": 3, "penalty": "elastic"}, {"auc": 0.85, "val loss": 0.4}),
        ("d", {"penalty": None, "path": pasted}, {"auc": math.nan}),
        ("e", {"penalty": "l2"}, {}),
        ("f", {}, {}),
    ]
    for name, parameters, metrics in made:
        with project.runs.start("churn", parameters, {"data": "customers"}) as run:
            run.log_metrics(metrics)
            run.set_tags({"name": name, "team": "growth" if name in "ab" else "risk"})
            if name in "ef":
                run.fail(MemoryError("out of memory") if name == "e" else ValueError("no such column"))
        if name == "d":
            project.runs.note(run.id, "École: gradient boosting, calibration looks odd")
    return project


def found(project: Project, where: str, order_by: str = "tags.name") -> str:
    return "".join(run.tags["name"] for run in project.runs.search(where, order_by))


def test_every_filter_on_the_page_finds_runs_and_leaves_others(history: Project) -> None:
    filters = examples("")
    assert len(filters) > 30
    for where in filters:
        assert found(history, where), where
        if not ALL.search(where):
            assert found(history, where) != "abcdef", where


ALL = re.compile("customers@v1|notebook is null|duration|started_at|created_at|start_time")


def test_every_order_on_the_page_orders(history: Project) -> None:
    orders = {order: found(history, "", order) for order in examples("order")}
    assert orders == {
        "metrics.auc desc": "bcafed",
        "metrics.auc desc, parameters.C": "bcafed",
        "started_at desc": "fedcba",
        'tags.team, metrics."val loss"': "abcfed",
    }


def test_everything_the_page_says_is_refused_is_refused(history: Project) -> None:
    for where in examples("refused"):
        with pytest.raises((BadInput, NotFound)) as caught:
            history.runs.search(where)
        assert "column" in caught.value.message or "^" in caught.value.hint, where


def test_what_is_missing_is_neither_so_nor_otherwise(history: Project) -> None:
    assert found(history, "metrics.auc > 0.8") == "bc"
    assert found(history, "not metrics.auc > 0.8") == "a"
    assert found(history, "metrics.auc is null") == "def"
    assert found(history, "metrics.auc != 0.7") == "bc"
    assert found(history, "metrics.auc != 0.7 or metrics.auc is null") == "bcdef"
    assert found(history, "not parameters.penalty like 'l%'") == "c"
    assert found(history, "not parameters.penalty like 'l%' or parameters.penalty is null") == "cdf"
    assert found(history, "parameters.C is null and not (parameters.C = 1 and metrics.auc > 9)") == ""
    assert found(history, "parameters.C is null and not (status = 'failed' and metrics.auc > 9)") == "d"


def test_the_page_names_everything_that_can_be_looked_at() -> None:
    for name in (*(f"{group}.NAME" for group in GROUPS if group != "attributes"), *ATTRIBUTES, *TIMES):
        assert f"`{name}`" in PAGE, name


def test_the_command_says_where_the_page_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["runs", "list", "--help"])
    assert "docs/search.md" in capsys.readouterr().out
