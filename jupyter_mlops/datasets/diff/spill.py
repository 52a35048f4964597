"""Spill: tables too large for memory, cut into parts that are kept on disk. Called by ``comparison``.

Rows that belong together have the same key, so they fall into the same part, and the parts are compared one
after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .alike import alike
from .rows import Plan, count_rows
from .side import PIECE, Part, Side
from .spread import Spreads
from .tally import Samples, Tally

if TYPE_CHECKING:
    import polars as pl

_ROW = "row"
_MOST_PARTS, _LEAST_ROWS = 256, 1 << 12
_BESIDE = 48  # bytes a row that matching takes beside its key
_PENDING = 4  # pieces of the input that are decoded at the same time


def needed(before: Side, after: Side, plan: Plan) -> int:
    """Return about how many bytes it takes to compare both tables at once."""
    rows = before.height + after.height
    key = sum(_widths(before, after, [(one.before, one.after) for one in plan.key]))
    shared = [(one.before, one.after) for one in plan.shared]
    widest = sorted(_widths(before, after, [*shared, *plan.renamed]), reverse=True)[: plan.threads]
    return int(rows * (_BESIDE + 2 * key + 1.5 * sum(widest)))


def count_spilled(
    before: Side,
    after: Side,
    plan: Plan,
    tally: Tally,
    samples: tuple[Samples, Samples],
    spreads: Spreads | None,
    *,
    folder: Path,
    memory: int,
    advance: Callable[[int], None],
) -> int:
    """Compare the rows of both sides in parts that fit into ``memory``; return how many parts."""
    places = _places(plan)
    sides = (before, places[0]), (after, places[1])
    row_bytes = [sum(side.widths[place] for place in some) + _BESIDE for side, some in sides]
    total = before.height * row_bytes[0] + after.height * row_bytes[1]
    # in memory a part is there as read, as compared, and as matched
    parts = max(
        2,
        min(int(3 * total / max(memory, 1)) + 1, (before.height + after.height) // _LEAST_ROWS, _MOST_PARTS),
    )
    for number, (side, some) in enumerate(sides):
        rows = max(1 << 12, min(PIECE, int(memory / 8 / max(row_bytes[number], 1))))
        _write(side, some, (before, after), number, plan, samples[number], parts, folder, rows, advance)
    for part in range(parts):
        halves = tuple(_read(folder, number, part, sides[number]) for number in (0, 1))
        count_rows(halves[0], halves[1], plan, tally, None, spreads, lambda: None)
        advance(halves[0].height + halves[1].height)
        del halves
    return parts


def _places(plan: Plan) -> tuple[list[int], list[int]]:
    before = {column.before for column in plan.shared} | {pair[0] for pair in plan.renamed}
    after = {column.after for column in plan.shared} | {pair[1] for pair in plan.renamed}
    return sorted(before), sorted(after)


def _write(
    side: Side,
    places: Sequence[int],
    both: tuple[Side, Side],
    number: int,
    plan: Plan,
    samples: Samples,
    parts: int,
    folder: Path,
    rows: int,
    advance: Callable[[int], None],
) -> None:
    import polars as pl
    import pyarrow as pa

    writers: dict[int, Any] = {}
    try:
        for start, piece in side.pieces(places, rows):
            for column in plan.compared:
                place = (column.before, column.after)[number]
                samples.take(place, start, piece[str(place)])
            numbered = piece.with_columns(
                pl.int_range(start, start + piece.height, dtype=pl.Int64).alias(_ROW)
            )
            bucket = (_codes(piece, both, number, plan) % parts).alias("part")
            for (part,), some in numbered.with_columns(bucket).group_by("part"):
                table = some.drop("part").to_arrow(compat_level=pl.CompatLevel.oldest())
                if part not in writers:
                    path = folder / f"{number}-{part}.arrow"
                    writers[part] = pa.ipc.new_stream(pa.OSFile(str(path), "wb"), table.schema)
                writers[part].write_table(table)
            advance(piece.height)
    finally:
        for writer in writers.values():
            writer.close()


def _codes(piece: pl.DataFrame, both: tuple[Side, Side], number: int, plan: Plan) -> pl.Series:
    """Return a hash of each row's key, or of the whole row, that rows of the other side would have, too."""
    import polars as pl

    made = []
    for at, column in enumerate(plan.key or plan.shared):
        place = (column.before, column.after)[number]
        values = piece[str(place)]
        types = both[0].types[column.before], both[1].types[column.after]
        if types[0] != types[1] or types[0] == pl.Categorical:
            other = pl.Series([], dtype=types[1 - number])
            values = alike(values, other)[0] if number == 0 else alike(other, values)[1]
        made.append(values.alias(str(at)))
    return pl.DataFrame(made).hash_rows(seed=1)


def _read(folder: Path, number: int, part: int, side: tuple[Side, Sequence[int]]) -> Part:
    import polars as pl
    import pyarrow as pa

    path = folder / f"{number}-{part}.arrow"
    types: dict[Any, Any] = {str(place): side[0].types[place] for place in side[1]} | {_ROW: pl.Int64()}
    if not path.exists():
        return Part(pl.DataFrame(schema=types), pl.Series(_ROW, [], pl.Int64).to_numpy())
    with pa.OSFile(str(path), "rb") as file, pa.ipc.open_stream(file) as stream:
        frame = pl.DataFrame(stream.read_all()).cast(types)
    path.unlink()
    return Part(frame.drop(_ROW), frame[_ROW].to_numpy())


def _widths(before: Side, after: Side, pairs: Sequence[tuple[int, int]]) -> Iterator[float]:
    return (max(before.widths[one], after.widths[other]) for one, other in pairs)
