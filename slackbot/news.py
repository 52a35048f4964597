"""The news: which events the chat hears of, where, and what is shown about each. Used by delivery."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from jupyter_mlops.config import Slack
from jupyter_mlops.project import Project
from jupyter_mlops.store import Event
from jupyter_mlops.views import view
from jupyter_mlops.views.view import View

from .cards import sweep_card
from .delivery import Delivery, News

_OLD = timedelta(days=3)
STAMP = 16


@dataclass(frozen=True, slots=True)
class Shown:
    """What a message about a subject shows now: the view, the stamp of its buttons, whether it is settled."""

    view: View
    stamp: str = ""
    settled: bool = False


def meaning(slack: Slack) -> Callable[[Event], News | None]:
    """Return the function that tells what an event means for the chat, by the section ``slack``."""

    def meant(event: Event) -> News | None:
        noun, _, happened = event.verb.partition(".")
        if event.verb == "sweep.finished" or (
            event.verb in ("run.finished", "run.failed") and not event.data.get("sweep")
        ):
            return News(event.about, slack.channel)
        if event.verb == "approval.requested" and event.data.get("needed", 1):
            return News(event.about, slack.approvals_channel)
        if event.verb == "alert.opened":
            return News(event.about, slack.alerts_channel)
        if noun in ("approval", "alert") and happened:
            return News(event.about)
        return None

    return meant


def shown(project: Project, subject: str) -> Shown:
    """Return what there is to show about ``subject`` now."""
    noun, _, name = subject.partition(":")
    if noun == "sweep":
        return Shown(sweep_card(project.runs.sweep(name)), settled=True)
    if noun == "run":
        return Shown(view(project.runs.get(name)), settled=True)
    if noun == "approval":
        approval = project.approvals.get(name)
        return Shown(view(approval), approval_stamp(approval), approval.state != "pending")
    alert = project.alerts.get(name)
    return Shown(view(alert), alert_stamp(alert), alert.state != "open")


def stamp_of(project: Project, subject: str) -> str:
    """Return the stamp that a button about ``subject`` must carry now."""
    noun, _, name = subject.partition(":")
    if noun == "approval":
        return approval_stamp(project.approvals.get(name))
    return alert_stamp(project.alerts.get(name))


def approval_stamp(approval: Any) -> str:
    """Return the start of the digest that binds the request to model, holder, gates and policy."""
    return str(approval.binding)[:STAMP]


def alert_stamp(alert: Any) -> str:
    """Return a mark of this very alert; nobody can make one up without having seen it."""
    return hashlib.sha256(f"{alert.id}\n{alert.key}\n{alert.at}".encode()).hexdigest()[:STAMP]


def is_stale(project: Project, delivery: Delivery, now_shown: Shown) -> bool:
    """Tell whether it was never told, is long past, and asks nothing of anybody any more."""
    if delivery.ts is not None or delivery.doubtful or not now_shown.settled:
        return False
    return delivery.at < (project.store.moment() - _OLD).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
