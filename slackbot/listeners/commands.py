"""Commands: ``/mlops …``, parsed by the click tree of the command line, answered for one pair of eyes."""

from __future__ import annotations

import html
import re
import shlex
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import click
from slack_bolt.async_app import AsyncApp

from jupyter_mlops.commands import Session, chat_tree
from jupyter_mlops.errors import BadInput, close_matches
from jupyter_mlops.people import Actor
from jupyter_mlops.project import Project
from jupyter_mlops.views import view
from jupyter_mlops.views.view import Cell, Table, View

from .. import news, texts
from ..blocks import Message, render
from ..bot import Bot
from ..inbox import Item
from ..users import Caller

COMMAND = "/mlops"
# options of other faces: here the project and the person are given, and answers are messages
_NOT_IN_CHAT = ("--set", "--project", "--json", "--debug", "--report")
_HELP = ("--help", "-h")
_QUOTES = str.maketrans({"“": '"', "”": '"', "„": '"', "‟": '"', "«": '"', "»": '"', "‘": "'", "’": "'"})


def register(app: AsyncApp, bot: Bot) -> None:
    """Hear the slash command."""

    @app.command(COMMAND)
    async def mlops(ack: Callable[..., Awaitable[Any]], body: dict[str, Any]) -> None:
        payload = {
            "text": body.get("text", ""),
            "response_url": body["response_url"],
            "channel": body.get("channel_id", ""),
            "user": body.get("user_id", ""),
            "team": body.get("team_id", ""),
        }
        await bot.receive(Item(f"command:{body['trigger_id']}", "command", payload), ack)


async def handle(bot: Bot, payload: Mapping[str, Any]) -> None:
    """Answer one command."""
    caller = Caller(payload["user"], payload["team"], payload["team"])
    words = split(payload["text"])
    actor = await bot.actor(caller, afresh=words[:1] in (["approve"], ["reject"]) or "acknowledge" in words)
    if words[:1] == ["help"] or not set(words).isdisjoint(_HELP):
        named = [word for word in words if word not in ("help", *_HELP)]
        await bot.show(payload, render(help_view(named), link_to=bot.link_to))
        return

    def answer(project: Project) -> Message:
        value = call(project, actor, words)
        return render(view(value), link_to=bot.link_to, stamp=_stamp(project, value))

    await bot.show(payload, await bot.as_person(actor, answer))


def split(text: str) -> list[str]:
    """Return the words of a command; phones write quotation marks and dashes of their own, which are read."""
    typed = html.unescape(text)
    typed = re.sub(r"(?:(?<=\s)|^)[—–](?=[A-Za-z])", "--", typed)
    for reading in (typed.translate(_QUOTES), typed.translate({**_QUOTES, ord("’"): "’", ord("‘"): "‘"})):
        try:
            return shlex.split(reading)
        except ValueError:
            continue
    raise BadInput(texts.QUOTE)


def call(project: Project, actor: Actor, words: list[str]) -> Any:
    """Call the verb of ``words`` in the name of ``actor`` and return its value; raises one clear error."""
    for word in words:
        if word.split("=")[0] in _NOT_IN_CHAT:
            raise BadInput(f"{word} is not for the chat", texts.HELP_HINT)
    session = Session(project=project, actor=actor)
    try:
        return chat_tree().main(words, prog_name=COMMAND, standalone_mode=False, obj=session)
    except click.UsageError as error:
        raise BadInput(error.format_message(), texts.HELP_HINT) from error


def help_view(words: list[str]) -> View:
    """Return what may be typed: all verbs, or the usage of the one that ``words`` name."""
    tree: click.Command = chat_tree()
    path = [COMMAND]
    context = click.Context(tree, info_name=COMMAND)
    for word in words:
        if not isinstance(tree, click.Group):
            break
        found = tree.get_command(context, word)
        if found is None:
            known = tree.list_commands(context)
            raise BadInput(f"there is no verb '{' '.join([*path[1:], word])}'", close_matches(word, known))
        tree, path = found, [*path, word]
        context = click.Context(tree, info_name=word, parent=context)
    rows = tuple((Cell(usage, "code"), Cell(about)) for usage, about in _usages(tree, " ".join(path)))
    summary = texts.HELP if len(path) == 1 else (tree.help or "").strip()
    return View("What you can type", summary, blocks=(Table(("command", "what it does"), rows),))


def _usages(command: click.Command, path: str) -> list[tuple[str, str]]:
    if isinstance(command, click.Group):
        context = click.Context(command)
        names = command.list_commands(context)
        found = [(name, command.get_command(context, name)) for name in names]
        lines = [line for name, each in found if each is not None for line in _usages(each, f"{path} {name}")]
        return [(f"{path} help [VERB]", "Show this."), *lines] if path == COMMAND else lines
    parameters = []
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            shown = parameter.make_metavar(click.Context(command)).strip("[]")
            parameters.append(shown if parameter.required else f"[{shown}]")
        elif isinstance(parameter, click.Option) and not set(parameter.opts) & set(_NOT_IN_CHAT):
            shown = (
                parameter.opts[0]
                if parameter.is_flag
                else f"{parameter.opts[0]} {(parameter.metavar or 'TEXT')}"
            )
            parameters.append(shown if parameter.required else f"[{shown}]")
    return [(" ".join([path, *parameters]), command.get_short_help_str(200))]


def _stamp(project: Project, value: Any) -> str:
    noun = str(getattr(value, "path", "")).partition("/")[0]
    if noun == "approvals":
        return news.approval_stamp(value)
    return news.alert_stamp(value) if noun == "alerts" else ""
