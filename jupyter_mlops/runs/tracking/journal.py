"""The journal: metric points in files that processes append to, before the store has them. Used by ``Shelf``.

Each process of a run appends to a file of its own with a ``Pen``, and what is appended counts as logged.
Whoever reads runs here, ends one, or clears up after one takes what lies in the files into the store, each
point once: how far a file is taken stands in the transaction that takes it. Points are no facts: no event
tells of them.
"""

from __future__ import annotations

import heapq
import json
import math
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any

from ...errors import Conflict, StoreFailed, Unreachable
from ...store import Store, Transaction
from ..finding import words
from ..points import MetricPoint, Points
from .pen import CLOSED_AT, IS_NAME, IS_POINT, NAME, POINT, RECORD, Pen, make_folder, run_of

_CHUNK = 8_192  # points of one row
_TAIL = 256  # points that a row must have for the next ones not to be put into it
_SLICE = RECORD << 20  # bytes that are taken in one transaction
_CHUNK_OF_IDS = 400
_LONGEST_NAME = 800  # bytes of 200 characters
_MOST_MISSING = 1_000
_LATEST = 2e11  # seconds since 1970 that are a date
_DAMAGED = "runs-damaged"
_LARGEST = 2**63 - 1
_PUSH_SECONDS = 1.0
_FORK_SECONDS = 10.0
_INSERT_CHUNK = (
    "INSERT INTO metric_chunks (run, name, first, count, points) "
    "VALUES (:run, :name, :first, :count, :points) ON CONFLICT (run, name, first) "
    "DO UPDATE SET count = :count, points = :points"
)
_UPSERT_METRIC = (
    "INSERT INTO run_metrics (run, name, value, step, points, seconds) "
    "VALUES (:run, :name, :value, :step, :points, :seconds) ON CONFLICT (run, name) "
    "DO UPDATE SET value = :value, step = :step, points = :points, seconds = :seconds"
)
_UPSERT_TAKEN = (
    "INSERT INTO metric_journals (run, taken) VALUES (:run, :taken) "
    "ON CONFLICT (run) DO UPDATE SET taken = :taken"
)


# name, step (None: one after the last), value, seconds since 1970
_Logged = tuple[str, int | None, float, float]


@dataclass(slots=True)
class _File:
    """How far a file is taken, and the names that stand in that part of it."""

    path: Path
    offset: int = RECORD
    names: list[str] = field(default_factory=list)
    damaged: bool = False


@dataclass(slots=True)
class _Course:
    """A metric of a run: how many points the store has, the last of them, and those to be added."""

    known: int = 0
    step: int = -1
    value: float = math.nan
    seconds: float = 0.0  # 0 where an earlier version stored it
    fresh: Points = field(default_factory=Points)

    def add(self, step: int | None, value: float, seconds: float) -> None:
        if step is None:
            step = (self.fresh.steps[-1] if self.fresh.steps else self.step) + 1
        self.fresh.append(min(step, _LARGEST), value, seconds)


class Journal:
    """The files of the runs that execute in one working copy of a project, and the points in its store."""

    def __init__(self, store: Store, folder: Path) -> None:
        self._store = store
        self._folder = folder
        self._place = str(folder)
        self._pushed: set[str] = set()
        # the files that were there when a run ended here, and whether they were damaged
        self._last: dict[str, dict[str, bool]] = {}
        self.forked()
        _journals.add(self)

    # -- writing

    def pen(self, run: str) -> Pen:
        """Return what this process appends points of ``run`` with."""

        status_of = "SELECT status FROM runs WHERE id = :id"

        def check(then: Callable[[], object] | None) -> None:
            if then is None:
                check_running(run, self._store.one(status_of, id=run))
                return
            with self._store.bookkeeping() as tx:
                check_running(run, tx.locked(status_of, id=run))
                then()

        return Pen(self._folder, run, self._store.seconds, check, lambda: self._push(run))

    def forked(self) -> None:
        """Begin anew in a child process: threads of the parent do not live here."""
        self.busy = threading.Lock()
        self.paused = False
        self._pusher: threading.Thread | None = None
        self._pushed.clear()

    def _push(self, run: str) -> None:
        """Have what this process logs taken every second, where others cannot read the files."""
        if self._store.shared:
            self._pushed.add(run)
            if self._pusher is None or not self._pusher.is_alive():
                self._pusher = threading.Thread(target=self._pushing, name="mlops-metrics", daemon=True)
                self._pusher.start()

    def _pushing(self) -> None:
        waiting = threading.Event()
        while self._pushed:
            waiting.wait(_PUSH_SECONDS)
            with self.busy:
                self._pushed.intersection_update(self._there())
                # the points are safe in the files: what cannot be had now is tried again
                with suppress(StoreFailed, Unreachable):
                    self.catch_up(list(self._pushed))

    # -- taking

    def catch_up(self, runs: Iterable[str] | None = None) -> None:
        """Take what lies in the files of ``runs``, or of all, into the store."""
        there = self._there()
        wanted = list(there) if runs is None else [run for run in runs if run in there]
        for start in range(0, len(wanted), _CHUNK_OF_IDS):
            for run in self._behind({run: there[run] for run in wanted[start : start + _CHUNK_OF_IDS]}):
                while self._take(run):
                    pass

    def caught_up(self) -> None:
        """Take what can be taken now, before something is read; the store's trouble is for who writes."""
        if not self._store.in_write:
            with suppress(StoreFailed, Unreachable):
                self.catch_up()

    def ingest(self, tx: Transaction, run: str, *, last: bool = False) -> bool:
        """Take points of ``run``, whose row the transaction has locked, and return whether there are more.

        ``last``: the run ends in this transaction. Its processes learn of it, and everything is taken.
        """
        names = self._there().get(run)
        if not names:
            return False
        if last:
            self._tell_ended(names)
        row = tx.one("SELECT taken FROM metric_journals WHERE run = :run", run=run)
        files = self._files(names, row)
        known = {file.path.name for file in files if file.damaged}
        if last:
            self._last[run] = {name: name in known for name in names}
        more = False
        courses: dict[str, _Course] = {}
        reading = []
        for file in files:
            data = _new(file, None if last else _SLICE)
            more = more or len(data) == _SLICE
            if data:
                reading.append(_records(file, data))
            elif last and _size(file.path) < file.offset:
                file.damaged = True  # somebody cut it off
        if not reading and known == {file.path.name for file in files if file.damaged}:
            return False
        for row in tx.all(
            "SELECT name, value, step, points, seconds FROM run_metrics WHERE run = :run", run=run
        ):
            courses[row["name"]] = _Course(row["points"], row["step"], _number(row["value"]), row["seconds"])
        for name, step, value, seconds in reading[0] if len(reading) == 1 else _merged(reading):
            course = courses.get(name)
            if course is None:
                course = courses[name] = _Course()
            course.add(step, value, seconds)
        self._keep(tx, run, {name: course for name, course in courses.items() if course.fresh})
        taken = {file.path.name: [file.offset, file.names, file.damaged] for file in files}
        tx.execute(_UPSERT_TAKEN, run=run, taken=json.dumps(taken, ensure_ascii=False))
        damaged = {name for name, kept in taken.items() if kept[2]}
        if last:
            self._last[run] = {name: name in damaged for name in names}
        self._tell_damaged(tx, run, sorted(damaged - known))
        return more

    def copy(self, run: str) -> dict[str, bytes]:
        """Return the files of a run by name, for the project where the run is at home."""
        return {name: (self._folder / name).read_bytes() for name in self._there().get(run, ())}

    def add(self, files: Mapping[str, bytes]) -> None:
        """Have files of a run that ``copy`` returned elsewhere; they are taken when it ends."""
        make_folder(self._folder)
        for name, data in files.items():
            (self._folder / name).write_bytes(data)

    def relieve(self, run: str) -> None:
        """Take most of a long journal before the transaction that ends its run, which holds up others."""
        if sum(_size(self._folder / name) for name in self._there().get(run, ())) > _SLICE // 8:
            self.catch_up([run])

    def forget(self, run: str) -> None:
        """Remove the files of a run that has ended, as is recorded by now."""
        names = self._there().get(run, [])
        if not self._last.get(run, {}).keys() >= set(names):
            self._take(run)  # a process began to log while the end was being written
        damaged = self._last.pop(run, {})
        for name in names:
            with suppress(OSError):
                if damaged.get(name):
                    (aside := self._folder.with_name(_DAMAGED)).mkdir(exist_ok=True)
                    (self._folder / name).rename(aside / name)
                else:
                    (self._folder / name).unlink()
        self._pushed.discard(run)

    def tidy(self) -> None:
        """Take and remove what killed processes left of runs that have ended."""
        self.caught_up()
        for run, names in self._there().items():
            row = self._store.one("SELECT status FROM runs WHERE id = :id", id=run)
            if row and row["status"] not in ("queued", "running") and not self._behind({run: names}):
                self.forget(run)

    # -- reading

    def history(self, run: str, metric: str, most: int | None = None) -> tuple[MetricPoint, ...]:
        """Return the points of a metric in the order they were logged, thinned to about ``most``."""
        return self.histories([run], metric, most).get(run, ())

    def histories(
        self, runs: Sequence[str], metric: str, most: int | None = None
    ) -> dict[str, tuple[MetricPoint, ...]]:
        """Return the points of a metric of many runs, each thinned to about ``most``."""
        self.caught_up()
        found: dict[str, tuple[MetricPoint, ...]] = {}
        for start in range(0, len(runs), _CHUNK_OF_IDS):
            given = {f"r{number}": run for number, run in enumerate(runs[start : start + _CHUNK_OF_IDS])}
            marks = ", ".join(f":{name}" for name in given)
            metrics = self._store.all(
                "SELECT run, value, step, points, seconds FROM run_metrics "  # noqa: S608 marks
                f"WHERE name = :name AND run IN ({marks})",
                name=metric,
                **given,
            )
            chunks: dict[str, list[dict[str, Any]]] = {}
            for row in self._store.all(
                "SELECT run, first, points FROM metric_chunks "  # noqa: S608 marks
                f"WHERE name = :name AND run IN ({marks}) ORDER BY run, first",
                name=metric,
                **given,
            ):
                chunks.setdefault(row["run"], []).append(row)
            for row in metrics:
                points = self._points(row, metric, chunks.get(row["run"], []))
                found[row["run"]] = points.thinned(most).listed()
        return found

    def repeated(self, runs: Sequence[str]) -> tuple[str, ...]:
        """Return the metrics that one of these runs logged more than once, by name."""
        self.caught_up()
        found: set[str] = set()
        for start in range(0, len(runs), _CHUNK_OF_IDS):
            given = {f"r{number}": run for number, run in enumerate(runs[start : start + _CHUNK_OF_IDS])}
            marks = ", ".join(f":{name}" for name in given)
            found.update(
                row[0]
                for row in self._store.rows(
                    f"SELECT DISTINCT name FROM run_metrics WHERE run IN ({marks}) AND points > 1",  # noqa: S608 marks
                    **given,
                )
            )
        return tuple(sorted(found))

    def _points(self, row: dict[str, Any], metric: str, chunks: Sequence[dict[str, Any]]) -> Points:
        points = Points()
        if not chunks and row["seconds"]:
            points.append(row["step"], _number(row["value"]), row["seconds"])
            return points
        if first := chunks[0]["first"] if chunks else row["points"]:
            points = self._old(row["run"], metric, first)
        for chunk in chunks:
            points.extend(Points.unpack(chunk["points"]))
        return points

    def _old(self, run: str, metric: str, before: int) -> Points:
        """Return points as stores of earlier versions keep them."""
        from ..run import moment

        points = Points()
        for row in self._store.all(
            "SELECT step, value, at FROM metric_points "
            "WHERE run = :run AND name = :name AND position < :before ORDER BY position",
            run=run,
            name=metric,
            before=before,
        ):
            points.append(row["step"], _number(row["value"]), moment(row["at"]).timestamp())
        return points

    # -- parts

    def _take(self, run: str) -> bool:
        with self._store.bookkeeping() as tx:
            row = tx.locked("SELECT status FROM runs WHERE id = :id", id=run)
            if row is None:
                return False
            # somebody on another machine may have ended the run: its processes here learn of it so
            ended = row["status"] not in ("queued", "running")
            return self.ingest(tx, run, last=ended) and not ended

    def _there(self) -> dict[str, list[str]]:
        """Return the names of the files by run."""
        found: dict[str, list[str]] = {}
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(self._place) as entries:
            for name in sorted(entry.name for entry in entries if entry.is_file()):
                found.setdefault(run_of(name), []).append(name)
        return found

    def _behind(self, there: Mapping[str, Sequence[str]]) -> list[str]:
        """Return those runs whose files hold more than the store has taken."""
        given = {f"r{number}": run for number, run in enumerate(there)}
        marks = ", ".join(f":{name}" for name in given)
        rows = self._store.all(f"SELECT run, taken FROM metric_journals WHERE run IN ({marks})", **given)  # noqa: S608 marks
        taken = {row["run"]: row for row in rows}
        return [
            run
            for run, names in there.items()
            if any(_size(file.path) > file.offset for file in self._files(names, taken.get(run)))
        ]

    def _files(self, names: Iterable[str], row: Mapping[str, Any] | None) -> list[_File]:
        taken = json.loads(row["taken"]) if row else {}
        return [_File(self._folder / name, *taken.get(name, ())) for name in names]

    @staticmethod
    def _tell_damaged(tx: Transaction, run: str, names: Sequence[str]) -> None:
        """Note with the run that not all it logged could be read."""
        if not names:
            return
        row = tx.one("SELECT note FROM runs WHERE id = :id", id=run)
        told = f"metrics may be missing: {', '.join(names)} was damaged, and is kept in .mlops/{_DAMAGED}"
        note = f"{row['note']} · {told}" if row and row["note"] else told
        tx.execute("UPDATE runs SET note = :note WHERE id = :id", note=note, id=run)
        words.of_note(tx, run, note)

    def _tell_ended(self, names: Iterable[str]) -> None:
        for name in names:
            with suppress(OSError), open(self._folder / name, "r+b", buffering=0) as opened:
                os.pwrite(opened.fileno(), b"\1", CLOSED_AT)

    def _keep(self, tx: Transaction, run: str, courses: dict[str, _Course]) -> None:
        metrics: list[dict[str, Any]] = []
        chunks: list[dict[str, Any]] = []
        for name, course in courses.items():
            fresh, known = course.fresh, course.known
            count = known + len(fresh)
            if count > 1:
                chunks += self._chunks(tx, run, name, course)
            last = fresh.values[-1]
            metrics.append(
                {
                    "run": run,
                    "name": name,
                    "value": None if math.isnan(last) else last,
                    "step": fresh.steps[-1],
                    "points": count,
                    "seconds": fresh.seconds[-1],
                }
            )
        tx.many(_UPSERT_METRIC, metrics)
        if chunks:
            tx.many(_INSERT_CHUNK, chunks)

    @staticmethod
    def _chunks(tx: Transaction, run: str, name: str, course: _Course) -> Iterator[dict[str, Any]]:
        first, points = course.known, course.fresh
        row = None
        if first:
            row = tx.one(
                "SELECT first, count, points FROM metric_chunks WHERE run = :run AND name = :name "
                "ORDER BY first DESC LIMIT 1",
                run=run,
                name=name,
            )
        if row is not None and row["count"] < _TAIL:
            first, points = row["first"], Points.unpack(row["points"])
            points.extend(course.fresh)
        elif row is None and first == 1 and course.seconds:
            # so far it stood beside the metric alone
            first, points = 0, Points()
            points.append(course.step, course.value, course.seconds)
            points.extend(course.fresh)
        for start in range(0, len(points), _CHUNK):
            part = points.part(start, start + _CHUNK)
            yield {
                "run": run,
                "name": name,
                "first": first + start,
                "count": len(part),
                "points": part.pack(),
            }


_journals: weakref.WeakSet[Journal] = weakref.WeakSet()


def check_running(run: str, row: Mapping[str, Any] | None) -> None:
    """Raise ``Conflict`` unless the row of a run says that it is running."""
    if row is None or row["status"] != "running":
        status = row["status"] if row else "gone"
        raise Conflict(f"run {run} is {status}; nothing can be recorded any more", "start another run")


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _size(path: Path) -> int:
    """Return how many bytes of a file are whole records."""
    try:
        return path.stat().st_size // RECORD * RECORD
    except OSError:
        return 0


def _new(file: _File, most: int | None) -> bytes:
    """Return the whole records behind what is taken of a file."""
    try:
        with open(file.path, "rb", buffering=0) as opened:
            opened.seek(file.offset)
            data = opened.read(-1 if most is None else most)
    except FileNotFoundError:
        return b""
    return data[: len(data) // RECORD * RECORD]


def _records(file: _File, data: bytes) -> Iterator[_Logged]:
    """Yield the points in ``data``, and move the file's offset to where they end.

    What is no record, such as a page that a loss of power left empty, is passed over, and makes the file a
    damaged one. A name that cannot be read keeps its points.
    """
    names = file.names
    known, passing, latest = len(names), 0, 0.0
    for number, (kind, given, name, step, value, seconds) in enumerate(POINT.iter_unpack(data)):
        if passing:
            passing -= 1
        elif kind == IS_POINT and name < known:
            if 0 < seconds < _LATEST:
                latest = seconds
            else:
                file.damaged, seconds = True, latest or file.path.stat().st_mtime
            yield names[name], step if given else None, value, seconds
        elif kind == IS_NAME and given <= _LONGEST_NAME and name < known + _MOST_MISSING:
            start = number * RECORD
            length = NAME.size + given
            passing = -(-length // RECORD) - 1
            if start + length > len(data):  # the rest of it is being written
                file.offset += start
                return
            if name >= known:
                read = data[start + NAME.size : start + length]
                names += [f"unnamed-{missing}" for missing in range(known, name)]
                names.append(_readable(read))
                file.damaged = file.damaged or name > known or names[name].encode() != read
                known = name + 1
        else:
            file.damaged = True
    file.offset += len(data)


def _readable(name: bytes) -> str:
    """Return the name of a metric; of a damaged one, what can be read of it."""
    text = name.decode("utf-8", "backslashreplace")
    return "".join(c if ord(c) >= 32 else f"\\x{ord(c):02x}" for c in text) or "unnamed"


def _merged(files: Sequence[Iterator[_Logged]]) -> Iterator[_Logged]:
    """Yield the points of several processes by time; those of one stay in order if its clock was set back."""

    def timed(points: Iterator[_Logged]) -> Iterator[tuple[float, _Logged]]:
        latest = 0.0
        for point in points:
            latest = max(latest, point[3])
            yield latest, point

    for _, point in heapq.merge(*map(timed, files), key=itemgetter(0)):
        yield point


def _before_fork() -> None:
    for journal in list(_journals):
        journal.paused = journal.busy.acquire(timeout=_FORK_SECONDS)


def _after_fork() -> None:
    for journal in list(_journals):
        if journal.paused:
            journal.paused = False
            journal.busy.release()


def _in_child() -> None:
    for journal in list(_journals):
        journal.forked()


if hasattr(os, "register_at_fork"):
    # a child must not begin in the middle of what the pushing thread does with the database's library
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_in_child)
