"""Progress of a sweep while it executes: a live table, a display that updates, or lines. Used by launch."""

from __future__ import annotations

import json
import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol, TextIO

from ...audience import display, kernel
from ...store import Store
from ..plain import jsonable
from ..run import ENDED, moment
from ..shelf import Shelf
from .plan import Plan

_SHARE_OF_TIME = 20  # looking takes at most so small a part of the time
_SHOWN_RUNNING = 8
_BAR = 30
_NEWEST = (
    "SELECT r.id, r.position, r.number, r.status, r.injected, r.started_at, r.ended_at, r.error, r.reason, "
    "r.tries, m.value FROM runs r LEFT JOIN run_metrics m ON m.run = r.id AND m.name = :metric "
    "WHERE r.sweep = :sweep ORDER BY r.number"
)


class _Everybody(Container[str]):
    """All there are."""

    def __contains__(self, _: object) -> bool:
        return True


_EVERYBODY = _Everybody()


@dataclass(frozen=True, slots=True)
class Seen:
    """A run as the progress shows it."""

    id: str
    status: str
    drawn: Mapping[str, Any]
    value: float | None
    seconds: float | None
    told: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """What a sweep looks like at a moment."""

    size: int
    counts: Mapping[str, int]
    running: tuple[Seen, ...]
    ended: tuple[Seen, ...]
    best: Seen | None
    seconds_left: float | None

    @property
    def done(self) -> int:
        """How many parameter sets have come to an end."""
        return sum(self.counts.get(status, 0) for status in ENDED)


class Watch:
    """Looks at a sweep."""

    def __init__(self, store: Store, shelf: Shelf, sweep: str, plan: Plan) -> None:
        self.sweep = sweep
        self.plan = plan
        self.metric = plan.metric
        self._store = store
        self._shelf = shelf
        self._began = time.monotonic()
        self._before: int | None = None

    def look(self, told: Container[str] = ()) -> Look:
        """Return what is there now; the runs that ended but for those in ``told``."""
        self._shelf.journal.caught_up()
        rows = self._store.all(_NEWEST, sweep=self.sweep, metric=self.metric or "")
        newest = {row["position"]: row for row in rows}.values()
        counts = Counter(row["status"] for row in newest)
        size = self.plan.strategy.size
        done = sum(counts[status] for status in ENDED)
        if self._before is None:
            self._before = done
        fresh = done - self._before
        left = (time.monotonic() - self._began) / fresh * (size - done) if fresh else None
        return Look(
            size,
            counts,
            tuple(self._seen(row) for row in newest if row["status"] == "running"),
            tuple(self._seen(row) for row in newest if row["status"] in ENDED and row["id"] not in told),
            self._best(newest),
            left if done < size else 0.0,
        )

    def unlogged(self) -> str:
        """Return what to say if no finished run has the metric that decides; else nothing."""
        if self.metric is None:
            return ""
        rows = self._store.all(
            "SELECT DISTINCT m.name FROM run_metrics m JOIN runs r ON r.id = m.run "
            "WHERE r.sweep = :sweep AND r.status = 'finished' ORDER BY m.name",
            sweep=self.sweep,
        )
        names = [row["name"] for row in rows]
        finished = self._store.one(
            "SELECT id FROM runs WHERE sweep = :sweep AND status = 'finished' LIMIT 1", sweep=self.sweep
        )
        if finished is None or self.metric in names:
            return ""
        return f"no run logged '{self.metric}'; they logged {', '.join(names[:10]) or 'nothing'}"

    def _best(self, rows: Iterable[Mapping[str, Any]]) -> Seen | None:
        known = [row for row in rows if row["status"] == "finished" and _finite(row["value"])]
        if not known or not self.metric:
            return None
        sign = -1 if self.plan.goal == "maximize" else 1
        return self._seen(min(known, key=lambda row: (sign * float(row["value"]), row["number"])))

    def _seen(self, row: Mapping[str, Any]) -> Seen:
        injected = json.loads(row["injected"] or "{}")
        began, ended = row["started_at"], row["ended_at"]
        until = moment(ended) if ended else self._store.moment()
        told = row["reason"] or ""
        if row["error"]:
            error = json.loads(row["error"])
            told = f"{error['name']}: {error['message']}"
        return Seen(
            row["id"],
            row["status"],
            {name: injected[name] for name in self.plan.strategy.names if name in injected},
            None if row["value"] is None else float(row["value"]),
            max((until - moment(began)).total_seconds(), 0.0) if began else None,
            " ".join(told.split())[:100],
        )


@contextmanager
def shown(watch: Watch, read: Callable[[], Any]) -> Iterator[Callable[[], None]]:
    """Show a sweep during the block; the block calls the result now and then to have it shown anew."""
    show = _chosen(watch, read)
    next_look = 0.0

    def refresh(last: bool = False) -> None:
        nonlocal next_look, show
        if time.monotonic() < next_look and not last:
            return
        began = time.monotonic()
        try:
            show.update()
            if last:
                show.close()
        except (OSError, ValueError):
            # the terminal was closed, or whoever read the lines is gone: the sweep goes on unseen
            show = _Nothing()
        next_look = time.monotonic() + _SHARE_OF_TIME * (time.monotonic() - began)

    try:
        yield refresh
    except BaseException:
        with suppress(OSError, ValueError):
            show.close()
        raise
    refresh(last=True)


def _chosen(watch: Watch, read: Callable[[], Any]) -> _Show:
    if kernel() is not None:
        return _Display(watch, read)
    if sys.stderr is None:
        return _Nothing()
    return _Table(watch) if sys.stderr.isatty() else _Lines(watch, sys.stderr)


class _Show(Protocol):
    def update(self) -> None: ...

    def close(self) -> None: ...


class _Nothing:
    """Where nobody looks."""

    def update(self) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Leave nothing."""


class _Lines:
    """A line for each run that ended: for log files."""

    def __init__(self, watch: Watch, out: TextIO) -> None:
        self._watch = watch
        self._out = out
        # when a sweep is resumed, what had ended before was told before
        self._told = {run.id for run in watch.look().ended}

    def update(self) -> None:
        look = self._watch.look(self._told)
        for run in look.ended:
            self._told.add(run.id)
            self._write(f"{len(self._told)} of {look.size} · {described(run, self._watch.metric)}")

    def close(self) -> None:
        if said := self._watch.unlogged():
            self._write(said)

    def _write(self, line: str) -> None:
        self._out.write(f"{line}\n")
        self._out.flush()


class _Table:
    """A table of what runs, in a terminal."""

    def __init__(self, watch: Watch) -> None:
        from rich.console import Console
        from rich.live import Live

        self._watch = watch
        self._console = Console(stderr=True, highlight=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._live.start()

    def update(self) -> None:
        self._live.update(self._drawn(self._watch.look(told=_EVERYBODY)), refresh=True)

    def close(self) -> None:
        self._live.stop()
        if said := self._watch.unlogged():
            self._console.print(said, style="yellow", markup=False)

    def _drawn(self, look: Look) -> Any:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        metric = self._watch.metric
        table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False)
        for title in ("run", "parameters", *([metric] if metric else []), "time"):
            table.add_column(
                Text(title), justify="right" if title in (metric, "time") else "left", overflow="fold"
            )
        rows = [(run, "") for run in look.running[:_SHOWN_RUNNING]]
        if look.best:
            rows.append((look.best, "bold green"))
        for run, style in rows:
            name = f"best {run.id}" if style else run.id
            value = [Text(number(run.value), style)] if metric else []
            table.add_row(
                Text(name, style),
                Text(parameters(run.drawn), style),
                *value,
                Text(length(run.seconds), style),
            )
        return Group(Text(headline(look)), table)


class _Display:
    """The runs as a notebook shows them, updated in place."""

    def __init__(self, watch: Watch, read: Callable[[], Any]) -> None:
        self._watch = watch
        self._read = read
        self._handle: Any = None

    def update(self) -> None:
        runs = self._read()
        if self._handle is None:
            self._handle = display(runs)
        else:
            self._handle.update(runs)

    def close(self) -> None:
        """Leave one line: the runs themselves are what the cell gives."""
        if self._handle is not None:
            said = self._watch.unlogged()
            line = headline(self._watch.look(told=_EVERYBODY)) + (f" · {said}" if said else "")
            self._handle.update({"text/plain": line}, raw=True)


def headline(look: Look) -> str:
    """Return how far a sweep is, in one line."""
    filled = round(_BAR * look.done / look.size) if look.size else _BAR
    words = [f"{'━' * filled}{'╌' * (_BAR - filled)} {look.done} of {look.size}"]
    words += [
        f"{look.counts[status]} {status}"
        for status in ("running", "failed", "stopped")
        if look.counts.get(status)
    ]
    if look.seconds_left:
        words.append(f"about {length(look.seconds_left)} left")
    return " · ".join(words)


def described(run: Seen, metric: str | None) -> str:
    """Return an ended run in one line."""
    words = [f"run {run.id} {run.status}" + (f" in {length(run.seconds)}" if run.seconds is not None else "")]
    if metric and run.value is not None:
        words.append(f"{metric} {number(run.value)}")
    if run.drawn:
        words.append(parameters(run.drawn))
    if run.told:
        words.append(run.told)
    return " · ".join(words)


def parameters(drawn: Mapping[str, Any]) -> str:
    """Return parameters in one line."""
    shown = (
        f"{name}={number(value) if isinstance(value, float) else jsonable(value)}"
        for name, value in drawn.items()
    )
    return " ".join(shown)


def number(value: float | None) -> str:
    """Return a number as a table shows it."""
    return "" if value is None else f"{value:.5g}"


def length(seconds: float | None) -> str:
    """Return a length of time in one or two words."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def _finite(value: Any) -> bool:
    return value is not None and math.isfinite(float(value))
