"""Rows of a table that compares us with others: jobs, times or speeds, ratios, what was asked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

_WIDTH = 66


class Row(NamedTuple):
    """One job. ``unit`` is "s", where less is better, or "/s", where more is.

    ``bound`` says what ``asked`` is: "at least" so many times as fast as the other, "at most" so many times
    the other's seconds, or ours "below" it.
    """

    job: str
    ours: float
    other: float | None
    unit: str
    asked: float | None = None
    bound: str = "at least"

    @property
    def ratio(self) -> float | None:
        """How many times as fast ours is, or how many times as long it takes where that is bounded."""
        if not self.other or not self.ours:
            return None
        faster = self.unit == "/s" or self.bound == "at most"
        return self.ours / self.other if faster else self.other / self.ours

    @property
    def holds(self) -> bool | None:
        """Whether it is as asked; ``None`` where nothing was asked or nothing is there to compare with."""
        if self.asked is None:
            return None
        if self.bound == "below":
            return self.ours < self.asked
        if self.ratio is None:
            return None
        return self.ratio <= self.asked if self.bound == "at most" else self.ratio >= self.asked


def show(rows: Iterable[Row | str]) -> list[str]:
    """Print rows as they come, and return the jobs that fell short; a text is a note between them."""
    short = []
    print(f"{'job':{_WIDTH}} {'ours':>11} {'other':>11} {'ratio':>8} {'asked':>8}")
    for row in rows:
        if isinstance(row, str):
            print(f"  {row}", flush=True)
            continue
        verdict = {True: "OK", False: "short", None: ""}[row.holds]
        if row.holds is False:
            short.append(row.job)
        ratio = "–" if row.ratio is None else f"{row.ratio:,.2f}" if row.ratio < 100 else f"{row.ratio:,.0f}"
        print(
            f"{row.job:{_WIDTH}} {_number(row.ours, row.unit):>11} {_number(row.other, row.unit):>11} "
            f"{ratio:>8} {_asked(row):>8} {verdict}",
            flush=True,
        )
    return short


def _asked(row: Row) -> str:
    if row.asked is None:
        return ""
    sign = {"at least": "≥ ", "at most": "≤ ", "below": "< "}[row.bound]
    return f"{sign}{row.asked:g}" + (f" {row.unit}" if row.bound == "below" else "")


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return "–"
    if unit == "/s":
        return f"{value:,.0f}/s" if value >= 100 else f"{value:,.1f}/s"
    return f"{value:,.2f} s" if value >= 1 else f"{value * 1e3:,.2f} ms"
