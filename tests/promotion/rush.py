"""What happens in other processes, and the clock they share. Imports little: every process does it again."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from jupyter_mlops.errors import MLOpsError
from jupyter_mlops.people import Actor
from jupyter_mlops.project import open_project

Act = tuple[str, str, tuple[str, ...]]  # who, what, with which arguments


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def turn(self, **step: float) -> None:
        self.now += timedelta(**step)


def act(root: Path, clock: Clock, what: Act, start: Any, answers: Any) -> None:
    """Do one thing as soon as everybody else is ready too, and tell what came of it."""
    who, verb, arguments = what
    with open_project(root, actor=Actor(who, "slack"), clock=clock) as project:
        project.people.in_force()
        service: Any = project.models if verb in ("promote", "rollback") else project.approvals
        start.wait(60)
        try:
            answer = getattr(service, verb)(*arguments)
            answers.put((who, answer.state, answer.id))
        except MLOpsError as error:
            answers.put((who, error.code, ""))


def vote_and_die(root: Path, clock: Clock, who: str, id: str, where: str) -> None:
    """Approve, and die at once after the step called ``where``."""
    project = open_project(root, actor=Actor(who, "slack"), clock=clock)
    approvals = project.approvals
    step: Callable[..., Any] = getattr(type(approvals), where)

    def die(*arguments: Any, **named: Any) -> Any:
        step(*arguments, **named)
        os._exit(137)

    setattr(type(approvals), where, die)
    approvals.approve(id)
