"""What people see of each value, and that every value can be seen."""

from __future__ import annotations

import importlib
import json
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlops import views
from jupyter_mlops.charts import line
from jupyter_mlops.project import Project
from jupyter_mlops.runs import Runs
from jupyter_mlops.value import Listing, Value
from jupyter_mlops.views import bundle, formats, to_text, view
from jupyter_mlops.views.view import Picture, Table

from .samples import BO, values

RINGS = (
    "store",
    "objects",
    "people",
    "charts",
    "datasets",
    "runs",
    "models",
    "monitoring",
    "promotion",
    "automation",
)


def seen(name: str, text: str = "fraud") -> str:
    """Return the text of one sample."""
    return to_text(view(values(text)[name]))


def kinds_of(value: type) -> Iterator[type]:
    """Yield the classes that derive from ``value``; slotted dataclasses leave nameless twins behind."""
    for one in value.__subclasses__():
        if getattr(sys.modules[one.__module__], one.__qualname__, None) is one:
            yield one
        yield from kinds_of(one)


def test_every_kind_of_value_has_a_view_of_its_own() -> None:
    # it asks for our engine while it is loaded, so it comes before the engine
    importlib.import_module("papermill")
    for ring in RINGS:
        package = importlib.import_module(f"jupyter_mlops.{ring}")
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    for module in pkgutil.iter_modules(views.__path__, f"{views.__name__}."):
        importlib.import_module(module.name)
    homes = {f"jupyter_mlops.{ring}" for ring in RINGS}
    kinds = [one for one in kinds_of(Value) if one.__module__.rpartition(".")[0] in homes]
    assert len(kinds) > 20
    assert [one for one in kinds if view.dispatch(one) is view.dispatch(object)] == []


@pytest.mark.parametrize("name", values())
def test_a_value_shows_itself_in_a_notebook(name: str) -> None:
    value = values()[name]
    shown = value._repr_mimebundle_()
    assert shown["text/plain"].strip()
    assert shown["text/html"].startswith("<div")
    assert view(value).summary.startswith(view(value).title)
    assert "\n" not in view(value).summary


def test_a_value_of_another_package_shows_what_it_says_of_itself() -> None:
    class Weather(Value):
        def to_dict(self) -> dict[str, Any]:
            return {"sky": "clear \x1b[2J", "wind": 3}

    told = bundle(Weather())["text/plain"]
    assert "sky   clear ␛[2J" in told
    assert "wind  3" in told


def test_a_sequence_is_seen_as_its_listing() -> None:
    model = values("fraud")["model"]
    assert view((model, model)) == view(Listing("models", (model, model)))
    assert view([]).summary == "no values"
    assert view((1, 2)).title == "2 values"


def test_a_figure_comes_with_its_specification_for_jupyterlab() -> None:
    shown = bundle(line("auc", {"run": ([1, 2], [0.7, 0.8])}))
    specification = shown["application/vnd.vegalite.v5+json"]
    assert json.dumps(specification)
    assert "▁" in shown["text/plain"]


def test_a_committed_table_shows_its_size_and_the_shape_of_its_columns(
    make_project: Any, tmp_path: Path
) -> None:
    project: Project = make_project()
    source = tmp_path / "customers.csv"
    rows = "".join(f"{number},{number % 7},{'yes' if number % 3 else 'no'}\n" for number in range(200))
    source.write_text("customer_id,tenure,churned\n" + rows, "utf-8")
    version = project.datasets.commit("customers", source, message="first export", key="customer_id")
    assert "tenure" not in to_text(view(version))
    told = to_text(view(version.describe()))
    assert told.startswith(f"customers@v1 · 200 rows · 3 columns · {formats.size(source.stat().st_size)}\n")
    assert "first export" in told
    tenure = next(line for line in told.split("\n") if line.startswith("tenure"))
    assert "█" in tenure
    assert "0 to 6" in tenure
    assert "yes ×133 · no ×67" in to_text(view(version.describe()), 120)


def test_a_column_of_identifiers_is_called_that(make_project: Any) -> None:
    import pandas

    project: Project = make_project()
    frame = pandas.DataFrame({"customer": [f"C{number}" for number in range(50)]})
    assert "each once" in to_text(view(project.datasets.commit("customers", frame).describe()))


def test_committing_the_same_again_says_so(make_project: Any, tmp_path: Path) -> None:
    project: Project = make_project()
    source = tmp_path / "notes.txt"
    source.write_text("hello", "utf-8")
    project.datasets.commit("notes", source)
    assert "unchanged: this is notes@v1" in to_text(view(project.datasets.commit("notes", source)))


def test_the_project_tells_who_acts_and_what_happened(make_project: Any) -> None:
    project: Project = make_project()
    assert to_text(view(project.people.whoami())).startswith("ann@example.com · admin · local (given)")
    events = Listing("events", tuple(project.events()))
    assert "policy.applied" in to_text(view(events))
    assert view(project.audit.verify()).summary == "the history is whole · 1 entry verified"
    policy = to_text(view(project.people.in_force()))
    assert "@production  1 approval by approver, within 7d" in policy
    assert "@challenger  moves at once" in policy


def test_a_run_says_in_one_line_what_came_of_it() -> None:
    assert (
        view(values("fraud")["run"]).summary
        == "run 7k3f9q2m · finished · fraud 0.87 · auc 0.81 · input fraud@v2"
    )


def test_a_failed_run_shows_its_cell_and_its_error() -> None:
    told = seen("failed run", "KeyError")
    assert "KeyError: KeyError" in told
    assert "Cell 4 failed, In [5] as executed\nKeyError = 1" in told
    assert "Traceback" in told


def test_a_sweep_is_a_leaderboard_with_a_picture() -> None:
    seen_sweep = view(values("fraud")["sweep of runs"])
    board = next(block for block in seen_sweep.blocks if isinstance(block, Table))
    assert [row[0].text for row in board.rows] == ["7k3f9q2m", "c2e4g6h8", "b9d3e5f7"]
    assert board.columns[:3] == ("run", "status", "auc")
    assert "C" in board.columns
    assert "best 7k3f9q2m, auc 0.81" in seen_sweep.summary
    assert "1 failed" in seen_sweep.summary
    assert any(isinstance(block, Picture) and block.figure.kind == "parallel" for block in seen_sweep.blocks)


def test_the_best_run_of_a_minimised_metric_is_the_smallest() -> None:
    from dataclasses import replace

    runs = values("fraud")["sweep of runs"]
    lowest = view(replace(runs, sweep=replace(runs.sweep, goal="minimize")))
    assert "best c2e4g6h8, auc 0.5" in lowest.summary


def test_a_comparison_shows_differences_and_says_what_is_equal() -> None:
    runs = values("fraud")["sweep of runs"]
    told = to_text(view(type(runs)(runs.items[:2]).compare()))
    assert "auc" in told
    assert "−0.31" in told
    assert "Equal: " in told


def test_a_request_shows_what_would_change_and_how_to_decide() -> None:
    approval = view(values("fraud")["approval"])
    told = to_text(approval)
    assert "fraud: fraud@v1 → fraud@v2" in told
    assert "pending, 1 of 2 approvals" in approval.summary
    assert [(a.verb, dict(a.arguments), a.role, a.asks) for a in approval.actions] == [
        ("approve", {"id": "a8c2"}, "approver", ""),
        ("reject", {"id": "a8c2"}, "approver", "reason"),
        ("revoke", {"id": "a8c2"}, "contributor", ""),
    ]
    assert "0.7996" in told
    assert BO in told


def test_a_decided_request_offers_nothing() -> None:
    assert view(values()["moved approval"]).actions == ()
    assert view(values()["moved approval"]).tone == "good"


def test_a_drift_report_names_the_columns_and_draws_them() -> None:
    report = view(values("carrier")["drift report"])
    assert report.summary.endswith("1 of 3 columns drifted: carrier")
    assert report.tone == "warning"
    pictures = [block.figure for block in report.blocks if isinstance(block, Picture)]
    assert [picture.kind for picture in pictures] == ["bar", "grouped_bar"]


def test_an_alert_shows_the_report_it_keeps_and_can_be_acknowledged() -> None:
    alert = view(values("carrier")["alert"])
    assert "1 of 3 columns drifted: carrier" in to_text(alert)
    assert [(a.verb, dict(a.arguments), a.role) for a in alert.actions] == [
        ("alerts acknowledge", {"id": "k2m4"}, "operator")
    ]
    assert view(values()["acknowledged alert"]).actions == ()


def test_the_overview_begins_with_what_waits() -> None:
    told = seen("overview")
    assert "1 request for you" in told
    assert told.index("Waits for you") < told.index("Alerts") < told.index("Datasets")
    assert view(values()["overview"]).actions == ()


def test_a_tampered_history_is_bad_news() -> None:
    assert view(values("entry 3 was altered")["tampered history"]).tone == "bad"
    assert "entry 3 was altered" in seen("tampered history", "entry 3 was altered")


def test_an_empty_listing_says_what_to_do() -> None:
    assert seen("no datasets") == "no datasets: `mlops data commit NAME FILE` makes one"
    assert to_text(view(Runs(()))) == "no runs"
    assert seen("no approvals") == "no requests: nothing waits for a decision"


def test_things_lead_to_their_place_in_the_page() -> None:
    places = {
        "dataset version": "data/fraud/1",
        "run": "runs/7k3f9q2m",
        "sweep of runs": "runs?sweep=sw33p234",
        "model version": "models/fraud/2",
        "approval": "approvals/a8c2",
        "alert": "alerts/k2m4",
    }
    assert {name: view(values("fraud")[name]).path for name in places} == places
    events = view(values("fraud")["listing of events"]).blocks[0]
    assert isinstance(events, Table)
    assert [cell.link for row in events.rows for cell in row if cell.link] == ["data/fraud/1"]
