"""How gates and approvals are seen: what would change, why it may, who decides, and how to."""

from __future__ import annotations

from collections.abc import Sequence

from ..promotion import Approval, GateReport, GateResult, Vote
from . import formats
from .dispatch import Column, listed, listing, tabled, view, when
from .view import Action, Block, Cell, Heading, Table, Text, Tone, View, facts

_TONES: dict[str, Tone] = {
    "pending": "warning",
    "moved": "good",
    "blocked": "bad",
    "rejected": "bad",
    "invalidated": "muted",
    "revoked": "muted",
    "expired": "muted",
}


@view.register
def _(value: GateReport) -> View:
    title = f"gates of {value.model} for {value.alias}"
    if not value.results:
        verdict = "none is declared, so it passes"
    elif value.passed:
        verdict = f"passed, all {len(value.results)}" if len(value.results) > 1 else "passed"
    else:
        verdict = f"failed: {', '.join(value.failed)}"
    judged = facts(
        ("model", Cell(value.model, link=_model_path(value.model))),
        (
            "judged on",
            Cell(f"{value.data}, {formats.count(value.rows, 'row')}", link=_path("data", value.data))
            if value.data
            else None,
        ),
        ("holder now", value.holder or f"nothing holds {value.alias} yet"),
        ("model digest", Cell(formats.digest(value.model_digest), "code")),
    )
    blocks = _gates(value.results)
    return View(title, f"{title} · {verdict}", "good" if value.passed else "bad", (*blocks, judged))


@view.register
def _(value: Approval) -> View:
    title = _asked(value)
    summary = [title, _state(value), f"asked by {value.requester}"]
    told = facts(
        ("state", Cell(_state(value), _TONES.get(value.state, "plain"))),
        ("outcome", value.outcome),
        ("would change" if value.state == "pending" else "change", _change(value)),
        ("reason", value.reason),
        ("asked", f"{formats.moment(value.at)} by {value.requester}"),
        ("may vote", _voters(value)),
        ("open until", formats.moment(value.expires_at) if value.state == "pending" else ""),
        ("decided", formats.moment(value.decided_at) if value.decided_at else ""),
        ("model", Cell(value.model, link=_model_path(value.model)) if value.kind != "policy" else None),
        ("model digest", Cell(formats.digest(value.model_digest), "code") if value.model_digest else None),
        ("binding", Cell(formats.digest(value.binding), "code") if value.binding else None),
        ("id", Cell(value.id, "code")),
    )
    blocks: list[Block] = [told]
    if value.changes:
        blocks += [Heading("Loosens"), Text("\n".join(value.changes), "code")]
    if value.gates is not None and value.gates.results:
        blocks += [Heading("Gates"), *_gates(value.gates.results)]
    if value.votes:
        blocks += [Heading("Votes"), _votes(value.votes)]
    return View(
        title, " · ".join(summary), _TONES.get(value.state, "plain"), (*blocks, *_actions(value)), value.path
    )


@listing("approvals", Approval)
def _approvals(items: Sequence[Approval]) -> View:
    columns = (
        Column("id", lambda one: Cell(one.id, link=one.path)),
        Column("request", _asked),
        Column("state", lambda one: Cell(_state(one), _TONES.get(one.state, "plain"))),
        Column("asked by", lambda one: one.requester),
        Column("reason", lambda one: one.reason),
        Column("asked (UTC)", lambda one: when(one.at)),
    )
    return listed("request", items, columns, empty="nothing waits for a decision", path="approvals")


def _asked(approval: Approval) -> str:
    if approval.kind == "policy":
        return "Loosen the policy"
    verb = "Roll back" if approval.kind == "rollback" else "Promote"
    if approval.kind == "rollback":
        return f"{verb} {approval.alias} to {approval.model}"
    return f"{verb} {approval.model} to {approval.alias}"


def _state(approval: Approval) -> str:
    if approval.state != "pending":
        return approval.state
    given = sum(vote.counts for vote in approval.votes)
    return f"pending, {given} of {formats.count(approval.needed, 'approval')}"


def _change(approval: Approval) -> str:
    if approval.kind == "policy":
        return "the policy of mlops.toml comes into force"
    return f"{approval.alias}: {approval.holder or 'nothing'} → {approval.model}"


def _voters(approval: Approval) -> str:
    if approval.state != "pending":
        return ""
    asked = f"{approval.requester}, who asked"
    if approval.kind == "policy":
        return f"approvers of the aliases it loosens, except {asked}"
    return f"approvers of {approval.alias}, except {asked}, and whoever made the model"


def _gates(results: Sequence[GateResult]) -> list[Block]:
    if not results:
        return []
    columns = (
        Column("gate", lambda one: one.name),
        Column("result", lambda one: Cell("passed", "good") if one.passed else Cell("failed", "bad")),
        Column(
            "value",
            lambda one: formats.apart(one.value, one.threshold)[0] if one.value is not None else "",
            True,
        ),
        Column(
            "asked",
            lambda one: formats.apart(one.value, one.threshold)[1] if one.threshold is not None else "",
            True,
        ),
    )
    # the numbers explain themselves; what failed, or was not measured, is said in full
    said = [
        Text(f"{one.name}: {one.explanation}", "muted" if one.passed else "bad")
        for one in results
        if not one.passed or one.value is None
    ]
    return [tabled(results, columns), *said]


def _votes(votes: Sequence[Vote]) -> Table:
    columns = (
        Column("who", lambda one: one.actor),
        Column("vote", lambda one: Cell(one.vote, "good" if one.vote == "approve" else "bad")),
        Column("reason", lambda one: one.reason),
        Column(
            "counts",
            lambda one: "" if one.vote != "approve" else "yes" if one.counts else Cell("no", "warning"),
        ),
        Column("known by", lambda one: Cell(one.proof, "muted")),
        Column("when (UTC)", lambda one: when(one.at)),
    )
    return tabled(votes, columns)


def _actions(approval: Approval) -> tuple[Action, ...]:
    if approval.state != "pending":
        return ()
    what = {"id": approval.id}
    consequence = (
        "The policy of mlops.toml comes into force when enough approvals are given."
        if approval.kind == "policy"
        else f"{approval.alias} will point at {approval.model} when enough approvals are given."
    )
    return (
        Action("approve", "Approve", what, role="approver", confirm=consequence, tone="good"),
        Action(
            "reject",
            "Reject",
            what,
            role="approver",
            confirm="This ends the request.",
            asks="reason",
            tone="bad",
        ),
        Action("revoke", "Revoke", what, role="contributor", confirm="This takes the request back."),
    )


def _model_path(ref: str) -> str:
    return _path("models", ref)


def _path(place: str, ref: str) -> str:
    name, at, number = ref.partition("@v")
    return f"{place}/{name}/{number}" if at and number.isdigit() else ""
