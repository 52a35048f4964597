"""The command tree: all verbs under their nouns, ours and those that packages add. Faces parse with it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import Any

import click

from ..errors import close_matches
from .table import Verb, global_options, registered

_MODULES = (
    "project",
    "data",
    "remotes",
    "storage",
    "runs",
    "models",
    "approvals",
    "policy",
    "monitoring",
    "audit",
    "demo",
)
# the modules of a noun, all of them
_PARTS = {"data": ("data", "remotes", "storage"), "run": ("runs",), "runs": ("runs",)}
_NOUNS = {
    "data": "Versioned datasets.",
    "data remote": "Places that versions are pushed to and pulled from.",
    "runs": "Runs and sweeps of notebooks.",
    "models": "Registered models.",
    "approvals": "Requests to move an alias.",
    "policy": "Who may do what.",
    "alerts": "What needs attention.",
    "audit": "The history, as evidence.",
    "slack": "The bot, and a Slack to try it on.",
}
_HELP = """Versioned data, parameterised runs, models with approvals, drift alerts."""


class _Nouns(click.Group):
    """A group that offers close matches for a misspelt verb, and whose lone noun lists."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            word = args[0] if args else ""
            hint = close_matches(
                word, self.list_commands(ctx), f"known: {', '.join(self.list_commands(ctx))}"
            )
            raise click.UsageError(f"no verb '{word}' here; {hint}", ctx) from None


@cache
def verbs() -> dict[tuple[str, ...], Verb]:
    """Return every verb of the product and of the packages that add to it, by its path."""
    for module in _MODULES:
        import_module(f"{__package__}.{module}")
    from importlib.metadata import entry_points

    for point in entry_points(group="mlops.commands"):
        point.load()
    return registered()


@cache
def command_tree() -> click.Group:
    """Return the click tree of all verbs; calling it returns the verb's value."""
    return _tree(verbs())


def tree_for(words: Sequence[str]) -> click.Group:
    """Return the tree for one command line: of a noun's verbs alone where it begins with such a noun.

    Loading the others takes longer than most commands do.
    """
    noun = words[0] if words else ""
    if noun not in _PARTS:
        return command_tree()
    for module in _PARTS[noun]:
        import_module(f"{__package__}.{module}")
    return _tree({path: verb for path, verb in registered().items() if path[0] == noun})


@cache
def chat_tree() -> click.Group:
    """Return the click tree of the verbs that may be typed in Slack."""
    return _tree({path: verb for path, verb in verbs().items() if verb.chat})


def _tree(table: dict[tuple[str, ...], Verb]) -> click.Group:
    nouns: dict[tuple[str, ...], click.Group] = {(): _group("mlops", _HELP, table.get(("status",)))}
    for path, verb in table.items():
        for end in range(1, len(path)):
            noun = path[:end]
            if noun not in nouns:
                lone = next((v for p, v in table.items() if p[:-1] == noun and v.alone), None)
                nouns[noun] = _group(noun[-1], _NOUNS.get(" ".join(noun), ""), lone)
                nouns[noun[:-1]].add_command(nouns[noun])
        nouns[path[:-1]].add_command(verb.command)
    return nouns[()]


def _group(name: str, text: str, lone: Verb | None) -> click.Group:
    @click.pass_context
    def alone(context: click.Context) -> Any:
        if context.invoked_subcommand is None and lone is not None:
            return context.invoke(lone.command)
        return None

    return _Nouns(
        name,
        callback=alone,
        params=global_options(),
        help=text,
        invoke_without_command=lone is not None,
        result_callback=lambda value, **_: value,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
