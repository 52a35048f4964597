"""The verb: a typed function, its click command, and the role it needs, declared in one place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import click

from ..people import Role
from .session import Session

Function = Callable[..., Any]
Outcome = Callable[[Any, Mapping[str, Any]], int]
_registered: dict[tuple[str, ...], Verb] = {}


@dataclass(frozen=True, slots=True)
class Verb:
    """One thing one can do. ``alone``: a lone noun means it; ``chat``: it exists in Slack too."""

    path: tuple[str, ...]
    function: Function
    command: click.Command
    role: Role
    alone: bool
    chat: bool
    outcome: Outcome | None

    @property
    def name(self) -> str:
        """The verb as typed."""
        return " ".join(self.path)


def verb(
    name: str,
    *,
    role: Role,
    alone: bool = False,
    chat: bool = False,
    outcome: Outcome | None = None,
    project: bool = True,
    ahead: Callable[[Mapping[str, Any]], AbstractContextManager[None]] | None = None,
    interrupted: str = "what was recorded is kept; the same command goes on from there",
) -> Callable[[Function], Function]:
    """Declare ``function(project, …) -> value`` as the verb ``name``, its click parameters stacked below.

    ``outcome`` gives the exit status of its value where that is not 0. With ``project=False`` the function
    takes the session instead of a project, for verbs that work where there is none. ``ahead`` begins, before
    the project is opened, what takes long and does not need it. ``interrupted`` is the hint for who presses
    Ctrl-C.
    """

    def declare(function: Function) -> Function:
        path = tuple(name.split())
        parameters = list(reversed(getattr(function, "__click_params__", [])))

        @click.pass_obj
        def call(session: Session, /, **arguments: Any) -> Any:
            session.refuse_objects(arguments)
            session.interrupted = interrupted
            if project:
                with ahead(arguments) if ahead is not None else nullcontext():
                    opened = session.open()
                    if role is not Role.NONE:
                        opened.people.require(role)
                    value = function(opened, **arguments)
            else:
                value = function(session, **arguments)
            session.status = outcome(value, arguments) if outcome is not None else 0
            return value

        command = click.Command(
            path[-1],
            callback=call,
            params=[*parameters, *global_options()],
            help=function.__doc__,
            short_help=(function.__doc__ or "").strip().splitlines()[0].rstrip("."),
            context_settings={"help_option_names": ["-h", "--help"]},
        )
        _registered[path] = Verb(path, function, command, role, alone, chat, outcome)
        return function

    return declare


def registered() -> dict[tuple[str, ...], Verb]:
    """Return every verb declared so far, by its path."""
    return dict(_registered)


def global_options() -> list[click.Parameter]:
    """Return the options that every verb takes, before or after its name."""
    return [
        click.Option(
            ["--project"],
            metavar="PATH",
            expose_value=False,
            callback=_remember("path"),
            help="The project's folder; else $MLOPS_PROJECT, else the nearest upwards.",
        ),
        click.Option(
            ["--json"],
            is_flag=True,
            expose_value=False,
            callback=_remember("as_json"),
            help="Answer in JSON.",
        ),
        click.Option(
            ["--debug"],
            is_flag=True,
            expose_value=False,
            callback=_remember("debug"),
            help="Show tracebacks.",
        ),
    ]


def _remember(attribute: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def remember(context: click.Context, _: click.Parameter, value: Any) -> None:
        session = context.find_object(Session)
        if value and session is not None:
            setattr(session, attribute, value)

    return remember
