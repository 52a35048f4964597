"""Completion: what may stand where the cursor is, from the verb tree and the project's names.

Names come from the store alone, so that an answer takes milliseconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ..project import Project
from .tree import command_tree
from .words import Pair, Word

_VARIABLE = re.compile(r"\{([A-Za-z_][\w.]*)?$")
_FILES = {"file": "*", "notebook": "*.ipynb"}


@dataclass(frozen=True, slots=True)
class Completions:
    """What may replace ``fragment``, the part of the line before the cursor that is being completed."""

    fragment: str
    words: tuple[str, ...]


def complete(line: str, project: Callable[[], Project | None], namespace: Mapping[str, Any]) -> Completions:
    """Return what may follow in ``line``, the text after ``mlops`` up to the cursor."""
    *before, fragment = re.split(r"\s+", line.lstrip())
    if variable := _VARIABLE.search(fragment):
        names = sorted(name for name in namespace if not name.startswith("_"))
        return _matching(variable.group(0), [f"{{{name}}}" for name in names])
    command, arguments = _walk(before)
    if isinstance(command, click.Group) and not fragment.startswith("-"):
        return _matching(fragment, sorted(command.commands))
    parameter = _parameter(command, arguments, fragment)
    if parameter is None:
        options = [o for p in command.params for o in p.opts if o.startswith("-")]
        used = {argument.partition("=")[0] for argument in arguments}
        return _matching(
            fragment, [*sorted(o for o in options if o.startswith("--") and o not in used), "--help"]
        )
    kind = parameter.type
    if isinstance(kind, Pair):
        _, equals, value = fragment.partition("=")
        return (
            _matching(value, candidates(kind.kind, value, project())) if equals else Completions(fragment, ())
        )
    if isinstance(kind, Word):
        return _matching(fragment, candidates(kind.name, fragment, project()))
    if isinstance(kind, click.Choice):
        return _matching(fragment, [str(choice) for choice in kind.choices])
    return Completions(fragment, ())


def candidates(kind: str, fragment: str, project: Project | None) -> list[str]:
    """Return the words of one ``kind`` (dataset, data ref, alias, file, …) that exist in ``project``."""
    if kind in _FILES:
        return _files(fragment, _FILES[kind])
    if project is None:
        return []
    store = project.store
    names: Callable[[str], list[str]] = lambda sql: [str(row["word"]) for row in store.all(sql)]  # noqa: E731
    match kind:
        case "dataset":
            return names("SELECT name AS word FROM datasets ORDER BY name") + _files(fragment, "*")
        case "data ref":
            return _refs(
                names("SELECT name AS word FROM datasets ORDER BY name"),
                names(
                    "SELECT dataset || '@v' || number AS word FROM versions WHERE removed_at IS NULL "
                    "ORDER BY dataset, number DESC"
                ),
                names("SELECT name || '@' || alias AS word FROM aliases WHERE kind = 'data' ORDER BY 1"),
            )
        case "remote":
            return [remote.name for remote in project.remotes.list()]
        case "model":
            return names("SELECT name AS word FROM models ORDER BY name")
        case "model ref":
            return _refs(
                names("SELECT name AS word FROM models ORDER BY name"),
                names(
                    "SELECT model || '@v' || number AS word FROM model_versions ORDER BY model, number DESC"
                ),
                names("SELECT name || '@' || alias AS word FROM aliases WHERE kind = 'model' ORDER BY 1"),
            )
        case "experiment":
            return names("SELECT DISTINCT experiment AS word FROM runs WHERE removed_at IS NULL ORDER BY 1")
        case "run ref":
            found = names("SELECT DISTINCT experiment AS word FROM runs WHERE removed_at IS NULL ORDER BY 1")
            return [
                *(f"{name}@{last}" for name in found for last in ("best", "latest")),
                *names("SELECT id AS word FROM runs WHERE removed_at IS NULL ORDER BY number DESC LIMIT 50"),
                *(sweep.id for sweep in project.runs.sweeps(limit=20)),
            ]
        case "alias":
            policy = project.people.policy
            return sorted(
                {*policy.aliases, *(alias for model in policy.models.values() for alias in model.aliases)}
            )
        case "approval":
            return names("SELECT id AS word FROM approvals WHERE state = 'pending' ORDER BY at DESC")
        case "alert":
            return names("SELECT id AS word FROM alerts WHERE state = 'open' ORDER BY at DESC")
    return []


def _walk(words: list[str]) -> tuple[click.Command, list[str]]:
    command: click.Command = command_tree()
    for position, word in enumerate(words):
        if not isinstance(command, click.Group):
            return command, words[position:]
        if word in command.commands:
            command = command.commands[word]
    return command, []


def _parameter(command: click.Command, arguments: list[str], fragment: str) -> click.Parameter | None:
    options = {name: p for p in command.params if isinstance(p, click.Option) for name in p.opts}
    takes_value = {name for name, option in options.items() if not option.is_flag}
    if arguments and arguments[-1] in takes_value:
        return options[arguments[-1]]
    if fragment.startswith("-"):
        return None
    values = [
        word
        for previous, word in zip(["", *arguments], arguments, strict=False)
        if not word.startswith("-") and previous not in takes_value
    ]
    positional = [p for p in command.params if isinstance(p, click.Argument)]
    if len(values) < len(positional):
        return positional[len(values)]
    return positional[-1] if positional and positional[-1].nargs == -1 else None


def _refs(names: list[str], versions: list[str], aliases: list[str]) -> list[str]:
    return [*names, *aliases, *(f"{name}@latest" for name in names), *versions]


def _files(fragment: str, pattern: str) -> list[str]:
    folder, slash, _ = fragment.rpartition("/")
    base = Path(folder + slash) if slash else Path()
    try:
        entries = sorted(base.expanduser().iterdir())
    except OSError:
        return []
    return [
        f"{folder}{slash}{entry.name}{'/' if entry.is_dir() else ''}"
        for entry in entries
        if not entry.name.startswith(".") and (entry.is_dir() or entry.match(pattern))
    ]


def _matching(fragment: str, words: Iterable[str]) -> Completions:
    return Completions(fragment, tuple(dict.fromkeys(word for word in words if word.startswith(fragment))))
