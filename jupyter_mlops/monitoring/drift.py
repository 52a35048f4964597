"""Drift: compare two tables column by column and judge the differences as one batch. Called by the project.

Every column gives at most two tests, of its values and of its missing share; what is an alarm is decided over
all of them together, so that a wide table raises no more false alarms than a narrow one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..errors import BadInput, close_matches
from ..statistics import (
    MOST_CATEGORIES,
    DriftPolicy,
    Evidence,
    are_whole,
    binned_shares,
    chi_square,
    count_rows,
    cramers_v,
    few_integers,
    kolmogorov_smirnov,
    missing_share,
    pooled,
)
from .columns import Sample, sample, table
from .report import ColumnDrift, Distribution, DriftReport, Finding

if TYPE_CHECKING:
    import pandas as pd

    from .columns import Numbers

    Counts = pd.Series[int]

MOST_BINS = 24


@dataclass(frozen=True, slots=True)
class _Compared:
    """One column before the verdict: its result so far, and the tests that the whole batch decides on."""

    column: ColumnDrift
    values: Evidence | None = None
    missing: Evidence | None = None
    findings: tuple[Finding, ...] = ()


def drift(
    reference: Any,
    current: Any,
    columns: Sequence[str] | None = None,
    *,
    policy: DriftPolicy | None = None,
) -> DriftReport:
    """Compare ``current`` with ``reference`` column by column and return what drifted.

    Parameters
    ----------
    reference, current
        pandas, polars or Arrow tables, or dataset versions.
    columns
        The columns to compare; by default all. A column named here is tested even when it looks like an
        identifier or holds times, which move on by nature and are left out otherwise.
    policy
        When a difference is an alarm.
    """
    rules = policy or DriftPolicy()
    before, before_ref = table(reference, "reference")
    after, after_ref = table(current, "current table")
    chosen = _chosen(list(before.columns), list(after.columns), columns)
    findings = [
        Finding("missing column", name, f"{name} is in the reference only")
        for name in chosen
        if name not in after
    ]
    findings += [
        Finding("extra column", name, f"{name} is not in the reference")
        for name in chosen
        if name not in before
    ]
    shared = [name for name in chosen if name in before and name in after]
    if not shared:
        raise BadInput(
            "the tables share no column",
            f"reference: {_few(list(before.columns))}; current: {_few(list(after.columns))}",
        )
    compared = [
        _compared(name, sample(before[name]), sample(after[name]), columns is not None, rules)
        for name in shared
    ]
    batch = [one for each in compared for one in (each.values, each.missing) if one is not None]
    verdicts = iter(rules.judge(batch))
    judged: dict[str, ColumnDrift] = {}
    for each in compared:
        of_values = next(verdicts) if each.values is not None else None
        of_missing = next(verdicts) if each.missing is not None else None
        judged[each.column.name], said = _judged(each, of_values, of_missing)
        findings += said
    return DriftReport(
        reference=before_ref,
        current=after_ref,
        rows=(len(before), len(after)),
        drifted=any(column.drifted for column in judged.values()),
        columns=judged,
        findings=tuple(findings),
        tests=len(batch),
        policy=rules,
    )


def _chosen(before: list[str], after: list[str], columns: Sequence[str] | None) -> list[str]:
    everything = [*before, *(name for name in after if name not in set(before))]
    if columns is None:
        return everything
    wanted = [columns] if isinstance(columns, str) else list(dict.fromkeys(columns))
    for name in wanted:
        if name not in everything:
            raise BadInput(
                f"neither table has a column {name!r}", close_matches(name, everything, _few(everything))
            )
    return wanted


def _compared(name: str, before: Sample, after: Sample, asked: bool, policy: DriftPolicy) -> _Compared:
    """Compare one column; ``asked`` says that somebody named it."""
    shares = before.missing / before.rows, after.missing / after.rows
    types = {before.type, after.type}
    kind = {"number": "numeric", "duration": "numeric", "time": "time", "other": "other"}.get(
        before.type if before.type != "nothing" else after.type, "categorical"
    )
    blank = ColumnDrift(name, kind, "ok", missing=shares)
    if "nothing" in types:
        return _without_data(blank, before, after, policy)
    absent = missing_share((before.missing, after.missing), (before.rows, after.rows), policy)
    if len(types) > 1:
        said = f"{name} changed from {before.type} to {after.type}"
        column = replace(blank, status="skipped: type changed")
        return _Compared(column, missing=absent, findings=(Finding("type changed", name, said),))
    if "time" in types and not asked:
        return _Compared(replace(blank, status="skipped: time"), missing=absent)
    if not asked and _is_identifier(before, after):
        return _Compared(replace(blank, status="skipped: identifier"), missing=absent)
    if before.counts is not None and after.counts is not None:
        return replace(_categorical(blank, before.counts, after.counts, policy), missing=absent)
    if before.numbers is None or after.numbers is None:
        return _Compared(replace(blank, status="skipped: type"), missing=absent)
    few = few_integers(before.numbers, after.numbers) if kind == "numeric" else None
    if few is not None:
        import pandas as pd

        column = replace(blank, kind="categorical")
        left, right = map(pd.Series, few)
        return replace(_categorical(column, left, right, policy, numbered=True), missing=absent)
    return replace(_numeric(blank, before.numbers, after.numbers, policy), missing=absent)


def _without_data(blank: ColumnDrift, before: Sample, after: Sample, policy: DriftPolicy) -> _Compared:
    """A side without a value: an alarm where the other side has some and both have more than a few rows."""
    one_sided = before.type != after.type
    alarm = one_sided and min(before.rows, after.rows) >= policy.least_rows
    where = (
        ("the reference" if before.type == "nothing" else "the current table") if one_sided else "both tables"
    )
    said = Finding("no data", blank.name, f"{blank.name} has no value in {where}", alarm)
    strength = 1 / policy.missing_floor if alarm and policy.missing_floor else 0.0
    return _Compared(replace(blank, status="no data", drifted=alarm, strength=strength), findings=(said,))


def _numeric(blank: ColumnDrift, before: Numbers, after: Numbers, policy: DriftPolicy) -> _Compared:
    bins = binned_shares(before, after, MOST_BINS)
    shares = Distribution(*bins) if bins is not None else None
    least = min(len(before), len(after))
    if before[0] == before[-1] == after[0] == after[-1]:
        return _Compared(_constant(blank, shares))
    if least < policy.least_rows:
        return _Compared(replace(blank, status="not enough samples", distribution=shares))
    found = kolmogorov_smirnov(before, after, is_sorted=True)
    column = replace(
        blank,
        method="Kolmogorov-Smirnov",
        statistic=found.statistic,
        p_value=found.p_value,
        effect=found.statistic,
        floor=policy.numeric_floor,
        strength=_strength(found.statistic, policy.numeric_floor),
        distribution=shares,
    )
    if least < policy.enough_rows:
        return _Compared(replace(column, status="not enough samples"))
    findings: tuple[Finding, ...] = ()
    floor = policy.numeric_floor
    if before[0] == before[-1]:
        said = f"{blank.name} was always {before[0]:g} in the reference and no longer is"
        findings, floor = (Finding("constant changed", blank.name, said),), 0.0
    elif are_whole(before) and not are_whole(after):
        said = f"{blank.name} held whole numbers in the reference and holds fractions now"
        findings = (Finding("type changed", blank.name, said),)
    return _Compared(column, Evidence(found.p_value, found.statistic, floor), findings=findings)


def _categorical(
    blank: ColumnDrift, before: Counts, after: Counts, policy: DriftPolicy, *, numbered: bool = False
) -> _Compared:
    import numpy as np
    import pandas as pd

    both = pd.concat([before, after], axis="columns", keys=["before", "after"]).fillna(0.0)
    sizes = both.sum()
    # ranked by both sides together: the choice tells nothing about their difference
    ranked = both.iloc[np.argsort(-(both / sizes).sum(axis="columns").to_numpy(), kind="stable")]
    kept = ranked.iloc[:MOST_CATEGORIES]
    if numbered:
        kept = kept.loc[sorted(kept.index, key=int)]
    labels = [str(name) for name in kept.index]
    if len(ranked) > len(kept):
        kept = pd.concat([kept, (sizes - kept.sum()).to_frame("other").T])
        labels.append("other")
    left, right = kept["before"].to_numpy(), kept["after"].to_numpy()
    shares = Distribution(
        reference=tuple((left / left.sum()).tolist()),
        current=tuple((right / right.sum()).tolist()),
        labels=tuple(labels),
    )
    least = min(sizes)
    if len(both) == 1:
        return _Compared(_constant(blank, shares))
    if least < policy.least_rows:
        return _Compared(replace(blank, status="not enough samples", distribution=shares))
    tested = pooled(left, right)
    found, effect = chi_square(*tested), cramers_v(*tested)
    column = replace(
        blank,
        method="chi-square",
        statistic=found.statistic,
        p_value=found.p_value,
        effect=effect,
        floor=policy.categorical_floor,
        strength=_strength(effect, policy.categorical_floor),
        distribution=shares,
    )
    findings: list[Finding] = []
    floor = policy.categorical_floor
    if len(before) == 1:
        said = f"{blank.name} was always {before.index[0]} in the reference and no longer is"
        findings.append(Finding("constant changed", blank.name, said))
        floor = 0.0
    elif len(before) <= MOST_CATEGORIES:  # where a reference has more, a new one is no news
        unseen = after[~after.index.isin(before.index)].sort_values(ascending=False, kind="stable")
        if len(unseen):
            said = f"{blank.name} has categories that the reference has not: {_few(list(unseen.index))}"
            findings.append(Finding("unseen category", blank.name, said))
    if least < policy.enough_rows or len(tested[0]) < 2:
        return _Compared(replace(column, status="not enough samples"), findings=tuple(findings))
    return _Compared(column, Evidence(found.p_value, effect, floor), findings=tuple(findings))


def _judged(
    each: _Compared, of_values: tuple[float, bool] | None, of_missing: tuple[float, bool] | None
) -> tuple[ColumnDrift, list[Finding]]:
    """Return the column with its verdict, and its findings with theirs."""
    column, findings = each.column, list(each.findings)
    if of_values is not None:
        adjusted, alarm = of_values
        column = replace(column, adjusted_p=adjusted, drifted=alarm, status="drifted" if alarm else "ok")
        findings = [replace(one, alarm=alarm) if one.kind == "constant changed" else one for one in findings]
    if of_missing is not None and each.missing is not None:
        adjusted, alarm = of_missing
        column = replace(column, missing_p=adjusted)
        if alarm:
            strength = max(column.strength, _strength(each.missing.effect, each.missing.floor))
            column = replace(column, drifted=True, status="drifted", strength=strength)
            said = "{} is missing in {:.1%} of the rows, in the reference in {:.1%}"
            said = said.format(column.name, column.missing[1], column.missing[0])
            findings.append(Finding("missing share", column.name, said, alarm=True))
    return column, findings


def _constant(blank: ColumnDrift, shares: Distribution | None) -> ColumnDrift:
    return replace(blank, status="constant", statistic=0.0, p_value=1.0, effect=0.0, distribution=shares)


def _strength(effect: float, floor: float) -> float:
    return effect / floor if floor else effect


def _is_identifier(before: Sample, after: Sample) -> bool:
    """Say whether the column numbers or names its rows: its values differ by nature, not by drift."""

    if before.counts is not None:
        return len(before.counts) > MOST_CATEGORIES and len(before.counts) >= 0.9 * before.present
    return all(numbers is not None and count_rows(numbers) for numbers in (before.numbers, after.numbers))


def _few(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
