"""Commands: ``/mlops …``, parsed by the click tree of the command line, answered for one pair of eyes."""

from __future__ import annotations

import html
import inspect
import re
import shlex
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

import click
from slack_bolt.async_app import AsyncApp

from jupyter_mlops.commands import Session, chat_tree
from jupyter_mlops.errors import BadInput, close_matches
from jupyter_mlops.people import Actor
from jupyter_mlops.project import Project
from jupyter_mlops.views import view
from jupyter_mlops.views.view import Block, Heading, Text, View, table

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
    """Return what may be typed: all verbs, those of a noun, or the usage of the one that ``words`` name."""
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
    if not isinstance(tree, click.Group):
        return _usage(tree, " ".join(path))
    more = Text(texts.HELP_HINT, "muted")
    if len(path) > 1:
        return View(" ".join(path), tree.help or "", blocks=(_lines(tree, " ".join(path)), more))
    nouns = [(name, each) for name, each in sorted(tree.commands.items()) if isinstance(each, click.Group)]
    blocks: list[Block] = [_lines(_without(tree, nouns), COMMAND)]
    for name, noun in nouns:
        blocks += [Heading((noun.help or name).rstrip(".")), _lines(noun, f"{COMMAND} {name}")]
    return View(texts.HELP_TITLE, texts.HELP, blocks=(*blocks, more))


def _without(tree: click.Group, nouns: list[tuple[str, click.Group]]) -> click.Group:
    """Return the verbs that belong to no noun."""
    return click.Group(
        commands={name: each for name, each in tree.commands.items() if name not in dict(nouns)}
    )


def _lines(noun: click.Group, path: str) -> Text:
    """Return a line for each verb: what must be typed, and what comes of it."""
    return Text("\n".join(f"`{_typed(verb, words)}`  {_about(verb)}" for words, verb in _verbs(noun, path)))


def _verbs(noun: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    for name, each in sorted(noun.commands.items()):
        if isinstance(each, click.Group):
            yield from _verbs(each, f"{path} {name}")
        else:
            yield f"{path} {name}", each


def _about(verb: click.Command) -> str:
    return verb.get_short_help_str(200)


def _usage(verb: click.Command, path: str) -> View:
    """Return all that may be said with a verb."""
    blocks: list[Block] = [Text(_typed(verb, path), "code")]
    about, _, more = inspect.cleandoc(verb.help or "").partition("\n\n")
    if more:
        blocks.append(Text(more))
    if options := [one for one in _options(verb) if not one.required]:
        rows = ((_option(one), one.help or "") for one in options)
        blocks.append(table(("option", "what it does"), rows))
    return View(path, f"{path}: {about}", blocks=tuple(blocks))


def _typed(verb: click.Command, path: str) -> str:
    """Return the words of a verb that must be typed; an argument that need not be is in brackets."""
    arguments = [one for one in verb.params if isinstance(one, click.Argument)]
    shown = [one.make_metavar(click.Context(verb)).strip("[]") for one in arguments]
    words = [word if one.required else f"[{word}]" for one, word in zip(arguments, shown, strict=True)]
    return " ".join([path, *words, *(_option(one) for one in _options(verb) if one.required)])


def _options(verb: click.Command) -> list[click.Option]:
    options = [one for one in verb.params if isinstance(one, click.Option)]
    return [one for one in options if not set(one.opts) & set(_NOT_IN_CHAT)]


def _option(option: click.Option) -> str:
    return option.opts[-1] if option.is_flag else f"{option.opts[-1]} {option.metavar or 'TEXT'}"


def _stamp(project: Project, value: Any) -> str:
    noun = str(getattr(value, "path", "")).partition("/")[0]
    if noun == "approvals":
        return news.approval_stamp(value)
    return news.alert_stamp(value) if noun == "alerts" else ""
