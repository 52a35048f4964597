"""Alerts: one for each reason, acknowledged once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from jupyter_mlops.errors import BadInput, Conflict, NotFound, Refused
from jupyter_mlops.project import Project

ANN, BO, DEE = "ann@example.com", "bo@example.com", "dee@example.com"
REPORT = {"columns": [{"name": "dep_delay", "statistic": 0.3, "p_value": float("nan")}], "rows": 12}
OpenAs = Callable[..., Project]


def test_the_same_reason_alerts_once(project: Project, as_actor: OpenAs) -> None:
    alert = project.alerts.open("drift:flights:7", "July drifted", "data:flights@v3", REPORT)
    assert (alert.state, alert.title, alert.about, alert.actor) == (
        "open",
        "July drifted",
        "data:flights@v3",
        ANN,
    )
    assert alert.report["columns"][0] == {"name": "dep_delay", "statistic": 0.3, "p_value": None}
    assert as_actor(project, "ci").alerts.open("drift:flights:7", "again", "data:flights@v3", {}) == alert
    other = project.alerts.open("drift:flights:8", "August drifted", "data:flights@v4", REPORT)
    assert project.alerts.list() == (other, alert)
    assert [event.verb for event in project.events()].count("alert.opened") == 2
    (event,) = project.events(about=f"alert:{alert.id}")
    assert event.data == {"key": "drift:flights:7", "title": "July drifted", "about": "data:flights@v3"}


def test_an_alert_is_acknowledged_by_one(project: Project, as_actor: OpenAs) -> None:
    alert = project.alerts.open("k", "July drifted", "data:flights@v3", REPORT)
    seen = as_actor(project, BO).alerts.acknowledge(alert.id[:5])
    assert (seen.state, seen.changed_by) == ("acknowledged", BO)
    with pytest.raises(Conflict, match=f"{BO} has acknowledged"):
        project.alerts.acknowledge(alert.id)
    assert project.alerts.list() == ()
    assert project.alerts.list("acknowledged") == project.alerts.list(None) == (seen,)
    # the same reason is still the same alert
    assert project.alerts.open("k", "July drifted", "data:flights@v3", REPORT).state == "acknowledged"
    assert [event.verb for event in project.events(about=f"alert:{alert.id}")] == [
        "alert.opened",
        "alert.acknowledged",
    ]


def test_who_may_do_what(project: Project, as_actor: OpenAs) -> None:
    alert = as_actor(project, "ci").alerts.open("k", "July drifted", "data:flights@v3", REPORT)
    with pytest.raises(Refused, match="contributor"):
        as_actor(project, DEE).alerts.open("other", "July drifted", "data:flights@v3", REPORT)
    for name in (DEE, "ci"):
        with pytest.raises(Refused, match="operator"):
            as_actor(project, name).alerts.acknowledge(alert.id)
    assert project.alerts.get(alert.id).state == "open"


def test_what_makes_no_sense_is_refused(project: Project) -> None:
    with pytest.raises(BadInput, match="key and a title"):
        project.alerts.open(" ", "July drifted", "data:flights@v3", REPORT)
    with pytest.raises(BadInput, match="no state"):
        project.alerts.list("closed")
    for id in ("", "nothing", "%"):
        with pytest.raises(NotFound, match="no alert"):
            project.alerts.acknowledge(id)


def test_several_who_notice_at_once_raise_one(project: Project) -> None:
    with ThreadPoolExecutor(4) as pool:
        raised = list(pool.map(lambda _: project.alerts.open("k", "t", "data:x@v1", REPORT).id, range(8)))
    assert len(set(raised)) == 1
    assert len(project.alerts.list(None)) == 1
