"""The verb table: every verb once, with a role, a help text and typed parameters, for every face."""

from __future__ import annotations

import inspect
import subprocess
import sys

import click
import pytest

from jupyter_mlops.commands import chat_tree, command_tree, verbs
from jupyter_mlops.people import Role

VERBS = {
    "init", "status", "whoami", "demo", "up", "worker",
    "data commit", "data list", "data versions", "data show", "data diff", "data alias", "data checkout",
    "data push", "data pull", "data remote add", "data remote list", "data remote remove",
    "data verify", "data compact", "data gc",
    "run", "runs list", "runs show", "runs compare", "runs stop", "runs resume",
    "runs sweeps", "runs artifacts", "runs artifact", "runs notebook", "runs note",
    "runs remove", "runs restore",
    "models register", "models list", "models versions", "models show", "models gate", "models history",
    "promote", "rollback", "approvals list", "approvals show", "approve", "reject", "revoke",
    "policy show", "policy apply", "drift", "alerts list", "alerts show", "alerts acknowledge",
    "audit log", "audit verify", "slack run", "slack simulate", "slack outbox",
}  # fmt: skip
WITHOUT_A_ROLE = {"init", "whoami", "demo"}


def paths_of(tree: click.Group) -> set[str]:
    found = set()
    for name, command in tree.commands.items():
        if isinstance(command, click.Group):
            found |= {f"{name} {verb}" for verb in paths_of(command)}
        else:
            found.add(name)
    return found


def test_the_table_is_what_is_documented() -> None:
    assert {verb.name for verb in verbs().values()} >= VERBS


def test_command_line_and_chat_read_the_same_table() -> None:
    assert paths_of(command_tree()) == {verb.name for verb in verbs().values()}
    assert paths_of(chat_tree()) == {verb.name for verb in verbs().values() if verb.chat}


@pytest.mark.parametrize("name", sorted(VERBS))
def test_every_verb_has_a_role_a_help_text_and_a_parameter_for_each_argument(name: str) -> None:
    verb = verbs()[tuple(name.split())]
    assert isinstance(verb.role, Role)
    assert (verb.role is Role.NONE) == (name in WITHOUT_A_ROLE)
    assert verb.command.help
    asked = {p.name for p in verb.command.params if p.expose_value}
    declared = list(inspect.signature(verb.function).parameters)
    assert asked == set(declared[1:])
    assert declared[0] in ("project", "session")


def test_chat_never_executes() -> None:
    forbidden = {"run", "demo", "up", "worker", "init", "data commit", "models register", "policy apply"}
    assert not paths_of(chat_tree()) & forbidden


@pytest.mark.parametrize("noun", ["data"])
def test_a_noun_that_is_loaded_alone_has_all_its_verbs(noun: str) -> None:
    code = (
        "from jupyter_mlops.commands import tree_for\n"
        "def names(tree):\n"
        "    return {n: names(c) if hasattr(c, 'commands') else 0 for n, c in tree.commands.items()}\n"
        f"alone = names(tree_for(['{noun}', 'list']))\n"
        "import sys; assert 'jupyter_mlops.commands.runs' not in sys.modules\n"
        f"assert alone == {{'{noun}': names(tree_for([]))['{noun}']}}\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
