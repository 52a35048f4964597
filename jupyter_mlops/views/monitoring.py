"""How drift and alerts are seen: the verdict, the picture, column by column, and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..monitoring import ColumnDrift, DriftReport, Finding
from ..monitoring.alerts import Alert
from . import formats
from .dispatch import Column, listed, listing, place_of, tabled, view, when
from .view import Action, Block, Cell, Heading, Picture, Table, Text, Tone, View, facts

_TONES: dict[str, Tone] = {"open": "warning", "acknowledged": "good"}
_PICTURES = 3  # columns that are drawn one by one; the table has the others


@view.register
def _(value: DriftReport) -> View:
    title = f"drift of {value.current or 'current'} from {value.reference or 'reference'}"
    held = f"false alarms held at {formats.share(value.policy.alpha)} over all of them"
    told = facts(
        ("reference", _side(value.reference, value.rows[0])),
        ("current", _side(value.current, value.rows[1])),
        ("tests", f"{formats.number(value.tests)}, {held}"),
    )
    blocks: list[Block] = [told]
    if value.findings:
        blocks += [Heading("Noticed"), _findings(value.findings)]
    ranked = sorted(value.columns.values(), key=lambda one: (not one.drifted, -one.strength))
    if any(column.effect is not None for column in ranked):
        blocks.append(Picture(value.plot()))
    blocks += [Heading("Columns"), _columns(ranked)]
    drawn = [column for column in value.drifted_columns if column.distribution is not None]
    blocks += [Picture(value.plot(column.name)) for column in drawn[:_PICTURES]]
    return View(title, f"{title} · {value.summary}", "warning" if value.drifted else "good", tuple(blocks))


@view.register
def _(value: ColumnDrift) -> View:
    summary = f"{value.name} · {value.status}"
    return View(value.name, summary, "warning" if value.drifted else "plain", (_columns([value]),))


@view.register
def _(value: Finding) -> View:
    title = f"{value.column}: {value.kind}"
    return View(title, f"{title} · {value.message}", "warning" if value.alarm else "plain")


@view.register
def _(value: Alert) -> View:
    tone = _TONES.get(value.state, "plain")
    taken = f"{value.state} by {value.changed_by}" if value.state != "open" else "open"
    told = facts(
        ("state", Cell(taken, tone)),
        ("about", Cell(value.about, link=place_of(value.about))),
        ("raised", f"{formats.moment(value.at)} by {value.actor}"),
        ("since", formats.moment(value.changed_at) if value.state != "open" else ""),
        ("id", Cell(value.id, "code")),
    )
    acknowledge = Action("alerts acknowledge", "Acknowledge", {"id": value.id}, role="operator")
    actions = (acknowledge,) if value.state == "open" else ()
    summary = f"{value.title} · {taken}"
    return View(value.title, summary, tone, (told, *_report(value.report), *actions), value.path)


@listing("alerts", Alert)
def _alerts(items: Sequence[Alert]) -> View:
    columns = (
        Column("id", lambda one: Cell(one.id, link=one.path)),
        Column("alert", lambda one: one.title),
        Column("state", lambda one: Cell(one.state, _TONES.get(one.state, "plain"))),
        Column("about", lambda one: Cell(one.about, link=place_of(one.about))),
        Column("raised (UTC)", lambda one: when(one.at)),
        Column("taken by", lambda one: one.changed_by if one.state != "open" else ""),
    )
    return listed("alert", items, columns, empty="nothing needs attention", path="alerts")


def _report(report: Mapping[str, Any]) -> tuple[Block, ...]:
    """Return the blocks of the report that an alert keeps: a drift report as such, anything else as facts."""
    if {"columns", "findings", "policy", "tests"} <= set(report):
        drift = DriftReport.from_dict(report)
        return (Text(drift.summary, "warning" if drift.drifted else "good"), *view(drift).blocks)
    told = facts(*((str(name), formats.plain(one)) for name, one in report.items()))
    return (told,) if told.rows else ()


def _side(ref: str | None, rows: int) -> Cell:
    counted = formats.count(rows, "row")
    return Cell(f"{ref} · {counted}", link=place_of(f"data:{ref}")) if ref else Cell(counted)


def _findings(findings: Sequence[Finding]) -> Table:
    ranked = sorted(findings, key=lambda one: not one.alarm)
    columns = (
        Column("column", lambda one: one.column),
        Column("what", lambda one: Cell(one.kind, "warning" if one.alarm else "plain")),
        Column("how", lambda one: one.message),
    )
    return tabled(ranked, columns, most=30)


def _columns(columns: Sequence[ColumnDrift]) -> Table:
    shown = (
        Column("column", lambda one: one.name),
        Column("verdict", lambda one: Cell(one.status, "warning" if one.drifted else "muted")),
        Column("effect", lambda one: _effect(one), numeric=True),
        Column("p", lambda one: formats.probability(one.adjusted_p), numeric=True),
        Column("reference", lambda one: _shape(one, "reference")),
        Column("current", lambda one: _shape(one, "current")),
        Column(
            "missing", lambda one: " → ".join(map(formats.share, one.missing)) if any(one.missing) else ""
        ),
        Column("test", lambda one: Cell(one.method, "muted")),
    )
    return tabled(columns, shown, most=60)


def _effect(column: ColumnDrift) -> str:
    if column.effect is None:
        return ""
    if column.floor is None:
        return formats.metric(column.effect)
    effect, floor = formats.apart(column.effect, column.floor)
    return f"{effect} {'≥' if column.effect >= column.floor else '<'} {floor}"


def _shape(column: ColumnDrift, side: str) -> Cell:
    shares = getattr(column.distribution, side, ())
    return Cell(formats.sparkline(shares, 10), bars=tuple(shares)) if shares else Cell("")
