"""How the project itself is seen: who acts, the policy in force, the history, and the overview."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..automation import Overview
from ..config import ROLES, AliasPolicy, Policy
from ..people import Identity, PolicyInForce
from ..store import AuditReport, Event
from . import formats
from .dispatch import Column, listed, listing, place_of, view, when
from .view import Action, Block, Cell, Heading, Text, Tone, View, facts, table

_BAD = ("failed", "rejected", "blocked", "invalidated")
_GOOD = ("finished", "moved", "acknowledged")


@view.register
def _(value: Identity) -> View:
    role = "no role" if value.role == "none" else value.role
    summary = f"{value.name} · {role} · {value.proof} ({value.source})"
    said = facts(
        ("role", Cell(role, "bad" if value.role == "none" else "plain")),
        ("proof", f"{value.proof}: {_PROOFS.get(value.proof, 'unknown')}"),
        ("named by", value.source),
        ("kind", "service: may work, never votes" if value.service else ""),
    )
    return View(value.name, summary, "plain", (said,))


_PROOFS = {
    "local": "claimed on this machine, nobody vouches for it",
    "jupyter": "signed in to Jupyter",
    "slack": "signed in to Slack",
}


@view.register
def _(value: PolicyInForce) -> View:
    title = f"policy {value.number}"
    blocks: list[Block] = []
    if value.file_differs:
        blocks.append(
            Text("mlops.toml says something else; it does not count until `mlops policy apply`.", "warning")
        )
    if value.note:
        blocks.append(Text(value.note, "muted"))
    blocks.append(facts(("digest", Cell(formats.digest(value.digest), "code"))))
    blocks += _policy(value.policy)
    summary = f"{title} · in force since {formats.moment(value.at)}, applied by {value.actor}"
    return View(title, summary, "warning" if value.file_differs else "plain", tuple(blocks))


@view.register
def _(value: Event) -> View:
    title = f"event {value.seq}"
    summary = f"{title} · {value.actor} · {value.verb} · {value.about}"
    told = facts(
        ("when", formats.moment(value.at)),
        ("who", f"{value.actor} ({value.proof})"),
        ("what", Cell(value.verb, _tone(value.verb))),
        ("about", Cell(value.about, link=place_of(value.about))),
        *((key, _told(key, one)) for key, one in value.data.items()),
        ("hash", Cell(formats.digest(value.hash), "code")),
    )
    return View(title, summary, "plain", (told,))


@view.register
def _(value: AuditReport) -> View:
    title = "the history is whole" if value.ok else "the history was tampered with"
    entries = formats.count(value.entries, "entry", "entries")
    summary = f"{title} · {entries} verified" if value.ok else f"{title} · {value.fault}"
    told = facts(
        ("fault", Cell(value.fault, "bad")),
        ("entries", formats.number(value.entries)),
        ("head", Cell(formats.digest(value.head), "code")),
    )
    return View(title, summary, "good" if value.ok else "bad", (told,), "audit")


@view.register
def _(value: Overview) -> View:
    counts = [
        formats.count(len(items), noun) + f" {state}"
        for items, noun, state in (
            (value.waiting, "request", "for you"),
            (value.running, "run", "running"),
            (value.alerts, "alert", "open"),
        )
        if items
    ]
    summary = " · ".join([value.project, *(counts or ["all quiet"]), f"{value.actor}, {value.role}"])
    blocks: list[Block] = [Text(note, "warning") for note in value.notes]
    for heading, kind, items in (
        ("Waits for you", "approvals", value.waiting),
        ("Asked, waits for others", "approvals", value.asked),
        ("Alerts", "alerts", value.alerts),
        ("Running", "runs", value.running),
        ("Models", "models", value.models),
        ("Last runs", "runs", tuple(run for run in value.recent if run not in value.running)),
        ("Datasets", "datasets", value.datasets),
    ):
        if items:
            blocks += [Heading(heading), *_without_actions(kind, items)]
    if not (value.datasets or value.recent or value.models):
        blocks.append(Text("Nothing here yet. Begin with `mlops data commit NAME FILE`.", "muted"))
    tone: Tone = "warning" if value.alerts or value.notes else "plain"
    return View(value.project, summary, tone, tuple(blocks), "")


@listing("events", Event)
def _events(items: Sequence[Event]) -> View:
    return listed(
        "event",
        items,
        [
            Column("#", lambda one: str(one.seq), numeric=True),
            Column("when (UTC)", lambda one: when(one.at)),
            Column("who", lambda one: one.actor),
            Column("what", lambda one: Cell(one.verb, _tone(one.verb))),
            Column("about", lambda one: Cell(one.about, link=place_of(one.about))),
            Column("story", lambda one: _story(one.about, one.data)),
            Column("proof", lambda one: Cell(one.proof, "muted")),
        ],
        empty="none was found",
        path="audit",
    )


def _without_actions(kind: str, items: Sequence[Any]) -> Iterator[Block]:
    from ..value import Listing

    yield from (block for block in view(Listing(kind, tuple(items))).blocks if not isinstance(block, Action))


def _policy(policy: Policy) -> list[Block]:
    people = facts(
        *((role, ", ".join(getattr(policy.people, role))) for role in reversed(ROLES)),
        ("services", ", ".join(policy.people.services)),
    )
    rules = [(f"@{alias}", rule) for alias, rule in policy.aliases.items()]
    for name, model in policy.models.items():
        rules += [(f"{name}@{alias}", rule) for alias, rule in model.aliases.items()]
    blocks: list[Block] = [Heading("People"), people, Heading("Aliases")]
    if rules:
        blocks.append(facts(*((name, _rule(rule)) for name, rule in rules)))
    else:
        blocks.append(Text("No alias is declared: nothing can be promoted.", "muted"))
    declared = [
        (
            name,
            model.notebook or "",
            ", ".join(f"{key}={ref}" for key, ref in model.inputs.items()),
            f"{model.evaluate.data}, target {model.evaluate.target}" if model.evaluate else "",
        )
        for name, model in policy.models.items()
    ]
    if declared:
        blocks += [Heading("Models"), table(("model", "notebook", "inputs", "evaluated on"), declared)]
    if policy.trust:
        blocks += [Heading("Trusted types"), Text("\n".join(policy.trust), "code")]
    return blocks


def _rule(rule: AliasPolicy) -> str:
    """Return in words what must be true before the alias may move."""
    parts = ["moves at once"]
    if rule.approvals:
        identity = ", identity verified" if rule.identity == "verified" else ""
        needed = formats.count(rule.approvals, "approval")
        parts = [f"{needed} by {' or '.join(rule.approvers)}{identity}, within {rule.expires}"]
    return " · ".join([*parts, *(gate.name for gate in rule.gates)])


def _story(about: str, data: Mapping[str, Any]) -> str:
    """Return the parts of an event's data that tell most, in one line."""
    # the version is named already, and a digest tells a person nothing
    named = ("name", "number", "digest") if about.startswith("data:") else ()
    parts = [
        f"{key} {_told(key, value)}"
        for key, value in data.items()
        if value not in (None, "", [], {}, ()) and key not in named
    ]
    return ", ".join(parts)


def _told(key: str, value: Any) -> str:
    if key == "bytes" and isinstance(value, int):
        return formats.size(value)
    return formats.digest(str(value)) if key in ("digest", "binding") else formats.plain(value)


def _tone(verb: str) -> Tone:
    done = verb.rpartition(".")[2]
    return "bad" if done in _BAD else "good" if done in _GOOD else "warning" if done == "opened" else "plain"
