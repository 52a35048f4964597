"""Comparison: puts together what differs between two versions. Called by ``Datasets.diff``.

Equal content is told by its digest alone. Tables that fit are compared in memory, a column at a time; others
are cut into parts on disk, so that memory bounds the time and never the size.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from ...errors import BadInput, StoreFailed
from ...objects import Entry
from ...statistics import DriftPolicy
from ..progress import bar_of, fill
from ..version import DatasetVersion
from . import memory as memories
from .files import changes
from .key import INFERRED, WHOLE, Key, chosen
from .rows import Plan, count_rows
from .schema import one_to_one, possible_renames, schema_changes, shared_columns
from .side import Side
from .spill import count_spilled, needed
from .spread import BinnedSpreads, Spreads, WholeSpreads
from .tally import EXAMPLES, Samples, Tally
from .value import (
    CellExample,
    ColumnDiff,
    DatasetDiff,
    FileChanges,
    RowChange,
    Shift,
    TableDiff,
)

if TYPE_CHECKING:
    import polars as pl

_Both = tuple[Samples, Samples]
Files = Callable[[DatasetVersion], Sequence[Entry]]
Scratch = Callable[[], AbstractContextManager[Path]]
_MOST_TABLES = 20  # of a folder that are compared row by row
_CELL_EXAMPLES = 5
_PARQUET, _CSV = (".parquet", ".pq"), (".csv", ".tsv")
_INDEX = re.compile(r"__index_level_(\d+)__")  # of a DataFrame, without a name of its own
_SMALL = 128 << 20  # bytes of a table that is read at once: asking for each of 10,000 columns takes minutes
_MANY_COLUMNS = (
    200  # above, probabilities are not computed exactly, which takes longer the fewer rows there are
)


@dataclass(frozen=True, slots=True)
class _Settings:
    """What holds for every table of a comparison."""

    key: Sequence[str] | None
    remembered: Sequence[str]
    tolerance: float | None
    memory: int
    scratch: Scratch
    examples: int | None = EXAMPLES


def compare(
    before: DatasetVersion,
    after: DatasetVersion,
    *,
    files: Files,
    scratch: Scratch,
    key: Sequence[str] | None = None,
    tolerance: float | None = None,
    memory: int | None = None,
    rows: int | None = EXAMPLES,
) -> DatasetDiff:
    """Return what differs between two versions.

    Parameters
    ----------
    files, scratch
        List the files of a version; lend an empty folder.
    key
        The columns that tell rows apart; else those that are remembered with the dataset.
    tolerance
        Numbers that differ by no more are equal; of numbers above 1, by no more than this share of them.
    memory
        Bytes that a comparison may take; by default most of what is free.
    rows
        How many changed, added and removed rows to keep, beside counting them; ``None`` keeps all.
    """
    if rows is not None and rows < 1:
        raise BadInput(f"{rows} is no number of rows", "name one or more, or None for all of them")
    if tolerance is not None and not 0 <= tolerance < 1:
        raise BadInput(f"tolerance {tolerance!r} is not between 0 and 1", "such as 1e-9")
    if before.digest == after.digest and before.reading == after.reading:
        unchanged = FileChanges(unchanged=after.files)
        return DatasetDiff(before.ref, after.ref, unchanged, identical=True)
    remembered = after.key or before.key
    memories.keep_small()
    limit = memories.available() if memory is None else memory
    settings = _Settings(key, remembered, tolerance, limit, scratch, rows)
    if before.tabular and after.tabular:
        found = FileChanges(changed=(after.source,), sizes={after.source: (before.bytes, after.bytes)})
        table = _table(before, after, None, settings)
        notes = _why_other_bytes(before, after, table)
        return DatasetDiff(before.ref, after.ref, found, (table,), notes, kept=rows)
    found = changes(files(before), files(after))
    tables, notes = _tables(before, after, found.changed, settings)
    if key and not tables:
        raise BadInput("a key tells the rows of tables apart, and no table changed", "leave the key out")
    return DatasetDiff(before.ref, after.ref, found, tables, notes, kept=rows)


def _tables(
    before: DatasetVersion, after: DatasetVersion, changed: Sequence[str], settings: _Settings
) -> tuple[tuple[TableDiff, ...], tuple[str, ...]]:
    """Compare the tables among the changed files of two folders."""
    both = set(before.tables()) & set(after.tables())
    paths = [path for path in changed if path in both]
    tables, notes = [], []
    for path in paths[:_MOST_TABLES]:
        try:
            tables.append(_table(before, after, path, settings))
        except BadInput as error:
            notes.append(f"{path} is not compared row by row: {error.message}")
    if len(paths) > _MOST_TABLES:
        notes.append(f"of {len(paths)} changed tables, the first {_MOST_TABLES} are compared row by row")
    return tuple(tables), tuple(notes)


def _table(before: DatasetVersion, after: DatasetVersion, path: str | None, settings: _Settings) -> TableDiff:
    versions = before, after
    words = tuple({column.name: column.type for column in version.form(path).columns} for version in versions)
    texts = _compared_as_texts(path or "", versions, words)
    with ExitStack() as stack, _readable(path or before.name):
        with ThreadPoolExecutor(2) as pool:
            sides = list(
                pool.map(lambda version: stack.enter_context(_side(version, path, texts, settings)), versions)
            )
        return _Comparison(
            sides[0], sides[1], path or "", _words(sides[0], words[0]), _words(sides[1], words[1]), settings
        ).made()


def _why_other_bytes(before: DatasetVersion, after: DatasetVersion, table: TableDiff) -> tuple[str, ...]:
    """Return what may make the bytes of two tables differ that hold the same."""
    if not table.same:
        return ()
    if table.tolerated:
        return ()  # said with the table
    if {before.kind, after.kind} == {"file"}:
        return ("the bytes differ, but only how the values are written",)
    return (
        "no value differs, but the bytes do: which categories there may be, how an index counts, "
        "or how the values are written",
    )


def _compared_as_texts(
    path: str, versions: Sequence[DatasetVersion], words: Sequence[Mapping[str, str]]
) -> frozenset[str]:
    """Return the columns that are text in one of two CSV files alone.

    One new word makes a column of numbers one of texts; the other values are the same if they are written so.
    """
    if not all((path or version.source).lower().endswith(_CSV) for version in versions):
        return frozenset()
    return frozenset(
        name
        for name, word in words[0].items()
        if name in words[1] and (word == "string") != (words[1][name] == "string")
    )


@contextmanager
def _readable(name: str) -> Iterator[None]:
    """Say of a table that polars gives up at what it is, instead of ending the process."""
    import polars as pl

    try:
        yield
    except pl.exceptions.PanicException as error:
        text = (str(error).splitlines() or ["it gave no reason"])[0]
        raise BadInput(
            f"polars cannot read {name}: {text}", "load it with pandas and compare there"
        ) from error


def _words(side: Side, known: Mapping[str, str]) -> Mapping[str, str]:
    # a table may carry an index beside its columns
    return {
        name: known.get(name, str(kind).lower()) for name, kind in zip(side.names, side.types, strict=True)
    }


@contextmanager
def _side(
    version: DatasetVersion, path: str | None, texts: Collection[str], settings: _Settings
) -> Iterator[Side]:
    """Lend a table in a form of which single columns can be read again and again."""
    import polars as pl

    with ExitStack() as stack:
        lazy, file = stack.enter_context(version.scan_in_full(path, texts))
        lazy = lazy.rename(
            {name: _index_name(name) for name in lazy.collect_schema() if _INDEX.fullmatch(name)}
        )
        parquet = file if file.suffix.lower() in _PARQUET else None
        by_columns = parquet is not None
        small = min(_SMALL, settings.memory // 8)
        if not by_columns and version.bytes > small:
            # a text is read once, whatever is asked of it later
            columnar = stack.enter_context(settings.scratch()) / "columns.arrow"
            with _on_disk():
                lazy.sink_ipc(columnar, compression="uncompressed")
            lazy, by_columns = pl.scan_ipc(columnar, glob=False), True
        height = int(lazy.select(pl.len()).collect(engine="streaming").item())
        side = Side(lazy, height, parquet=parquet)
        if not by_columns or side.height * sum(side.widths) <= small:
            frame = lazy.collect(engine="streaming")
            side = Side(frame.lazy(), height, frame)
        yield side


def _index_name(name: str) -> str:
    level = _INDEX.fullmatch(name)
    return f"(index {level.group(1)})" if level else name


class _Comparison:
    """Compares two tables and puts together what is to be said about them."""

    def __init__(
        self,
        before: Side,
        after: Side,
        path: str,
        before_types: Mapping[str, str],
        after_types: Mapping[str, str],
        settings: _Settings,
    ) -> None:
        self._before, self._after, self._path = before, after, path
        self._types = before_types, after_types
        self._settings = settings
        self._shared = shared_columns(before, after)

    def made(self) -> TableDiff:
        """Return what differs."""
        key = chosen(self._settings.key, self._settings.remembered, self._shared, self._before, self._after)
        if min(self._before.height, self._after.height) >= DriftPolicy().least_rows:
            # takes as long as matching a million rows, and can be done meanwhile; a wrong key comes before
            Thread(target=import_module, args=("scipy.stats",)).start()
        plan, tally, samples, spreads = self._counted(key)
        if key.matched == INFERRED and tally.repeated:
            key = Key(
                (), WHOLE, f"{key.columns[0].name} is there repeatedly, so rows are compared as a whole"
            )
            plan, tally, samples, spreads = self._counted(key)
        if self._settings.tolerance is not None and not key.columns:
            raise BadInput(
                "rows compared as a whole have no tolerance",
                "say which columns tell rows apart: --key COLUMN",
            )
        renamed = one_to_one(tally.renamed) if tally.matched else {}
        return TableDiff(
            path=self._path,
            rows=(self._before.height, self._after.height),
            key=tuple(column.name for column in key.columns),
            matched=key.matched,
            added=tally.added,
            removed=tally.removed,
            changed=tally.changed,
            unchanged=tally.matched - tally.changed,
            repeated=tally.repeated if key.columns else 0,
            reordered=self._is_reordered(tally),
            schema=schema_changes(self._before, self._after, self._types, renamed),
            columns=self._columns(plan, tally, samples, spreads),
            added_rows=_rows(self._after, tally.added_at),
            removed_rows=_rows(self._before, tally.removed_at),
            changed_rows=self._changed_rows(tally),
            notes=tuple(self._notes(key, tally)),
            tolerated=tally.tolerated,
            sampled=_sampled(samples),
        )

    def _counted(self, key: Key) -> tuple[Plan, Tally, _Both, Spreads | None]:
        before, after, settings = self._before, self._after, self._settings
        plan = Plan(self._shared, key.columns, possible_renames(before, after), settings.tolerance)
        every = max(before.height + after.height, 1)
        tally = Tally(renamed=set(plan.renamed), examples=settings.examples or every)
        width = len(plan.compared)
        samples = Samples.of(before.height, width), Samples.of(after.height, width)
        if not self._shared:
            tally.take_removed(before.height, range(min(before.height, tally.examples)))
            tally.take_added(after.height, range(min(after.height, tally.examples)))
            return plan, tally, samples, None
        # small samples are all the rows there are
        large = any(each.step > 1 for each in samples)
        spreads: Spreads | None = None
        if needed(before, after, plan) <= settings.memory:
            spreads = WholeSpreads(samples) if large else None
            with _bar(1 + width, "column") as advance:
                count_rows(before, after, plan, tally, samples, spreads, lambda: advance(1))
        else:
            memories.check_least(settings.memory)
            spreads = BinnedSpreads(samples) if large else None
            rows = before.height + after.height
            with settings.scratch() as folder, _bar(2 * rows, "row") as advance, _on_disk():
                count_spilled(
                    before,
                    after,
                    plan,
                    tally,
                    samples,
                    spreads,
                    folder=folder,
                    memory=settings.memory,
                    advance=advance,
                )
        return plan, tally, samples, spreads

    def _is_reordered(self, tally: Tally) -> bool:
        """Say whether the order of the rows is all that differs between them."""
        if tally.added or tally.removed:
            return False
        if tally.moved or not tally.repeated:
            return tally.moved
        # equal rows have no place of their own, so the columns tell
        return any(
            bool(_differ(self._before.column(column.before), self._after.column(column.after)))
            for column in self._shared
        )

    def _columns(
        self, plan: Plan, tally: Tally, samples: _Both, spreads: Spreads | None
    ) -> dict[str, ColumnDiff]:
        shifts = self._shifts(plan, tally, samples, spreads)
        found = {}
        for column in self._shared:
            cells = tally.cells.get(column.before)
            missing = samples[0].missing.get(column.before, 0), samples[1].missing.get(column.after, 0)
            found[column.name] = ColumnDiff(
                column.name,
                (self._types[0][column.name], self._types[1][column.name]),
                changed=cells.changed if cells else 0,
                missing=missing,
                examples=tuple(
                    CellExample(one.key, one.before, one.after)
                    for one in (cells.first[:_CELL_EXAMPLES] if cells else ())
                ),
                shift=shifts.get(column.name),
                is_key=column in plan.key,
            )
        return found

    def _shifts(self, plan: Plan, tally: Tally, samples: _Both, spreads: Spreads | None) -> dict[str, Shift]:
        """Return the shift of every column whose values may be distributed otherwise than before."""
        from .shift import tested, verdicts

        moved = [
            column
            for column in plan.compared
            if tally.added or tally.removed or ((cells := tally.cells.get(column.before)) and cells.changed)
        ]
        if not self._before.height or not self._after.height:
            return {}
        policy = DriftPolicy()
        rows = self._before.height, self._after.height
        results = [
            tested(
                samples[0].of_column(column.before, self._before.types[column.before]),
                samples[1].of_column(column.after, self._after.types[column.after]),
                (samples[0].missing.get(column.before, 0), samples[1].missing.get(column.after, 0)),
                rows,
                policy,
                exact=None if len(moved) <= _MANY_COLUMNS else False,
                spread=spreads.of_column(column.before) if spreads is not None else None,
            )
            for column in moved
        ]
        return {column.name: shift for column, shift in zip(moved, verdicts(results, policy), strict=True)}

    def _changed_rows(self, tally: Tally) -> tuple[RowChange, ...]:
        """Return the first changed rows; of every column at least as many changes are known."""
        rows: dict[int, dict[str, tuple[Any, Any]]] = {}
        keys = {}
        for column in self._shared:
            cells = tally.cells.get(column.before)
            for one in cells.first if cells else ():
                rows.setdefault(one.before_at, {})[column.name] = (one.before, one.after)
                keys[one.before_at] = one.key
        return tuple(RowChange(keys[at], rows[at]) for at in sorted(rows)[: tally.examples])

    def _notes(self, key: Key, tally: Tally) -> Iterator[str]:
        if key.note:
            yield key.note
        if tally.tolerated:
            values = "1 value differs" if tally.tolerated == 1 else f"{tally.tolerated:,} values differ"
            yield f"{values} by no more than the tolerance, and count{'s' * (tally.tolerated == 1)} as equal"
        if not self._shared:
            yield "the versions share no column"
        elif key.columns and tally.repeated:
            keys = "1 key is" if tally.repeated == 1 else f"{tally.repeated:,} keys are"
            yield f"{keys} there more than once: rows with such a key are compared as a whole"


def _rows(side: Side, positions: Sequence[int]) -> tuple[Mapping[str, Any], ...]:
    return tuple(dict(zip(side.names, row, strict=True)) for row in side.rows(positions))


def _sampled(samples: _Both) -> int:
    if all(each.step == 1 for each in samples):
        return 0
    taken = [sum(map(len, parts)) for each in samples for parts in each.values.values()]
    return max(taken, default=0)


def _differ(one: pl.Series, other: pl.Series) -> bool:
    from .alike import alike

    left, right = alike(one, other)
    return bool(left.ne_missing(right).any())


@contextmanager
def _on_disk() -> Iterator[None]:
    """Say plainly what keeps rows from being put on disk meanwhile; a full disk is the common case."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise StoreFailed(
            f"the tables do not fit into memory, and the disk did not take their rows: {reason}",
            "free some space in .mlops and repeat; nothing was changed",
        ) from error


@contextmanager
def _bar(total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """Show how far the comparison is, after a second; the block gets a function to call with what is done."""
    with bar_of("comparing", total, f" {unit}s", delay=1) as bar:

        def advance(count: int) -> None:
            bar.update(count)

        yield advance
        fill(bar)
