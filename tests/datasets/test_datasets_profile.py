"""A profile says what a column holds, in numbers that stay true of tables too big for memory."""

from __future__ import annotations

import datetime as dt
import json

import numpy as np
import pandas as pd
import polars as pl
import pytest

from jupyter_mlops.datasets import Column, ColumnProfile, profile
from jupyter_mlops.project import Project
from jupyter_mlops.views import to_text, view


def profiles(frame: pl.DataFrame, size: int = 1) -> dict[str, ColumnProfile]:
    columns = [Column(name, str(kind)) for name, kind in frame.schema.items()]
    made = profile.profiled(frame.lazy(), columns, frame.height, size)
    for each in made:
        document = json.loads(json.dumps(each.to_dict(), allow_nan=False))
        assert ColumnProfile.from_dict(document) == each
    return {each.name: each for each in made}


def test_numbers(project: Project) -> None:
    frame = pd.DataFrame({"n": [1, 1, 2, 3, 10], "f": [0.5, np.nan, 1.5, np.inf, 2.5]})
    n, f = project.datasets.commit("t", frame).profile
    assert (n.missing, n.distinct, n.min, n.max, n.mean) == (0, 4, 1, 10, 3.4)
    assert n.quantiles == pytest.approx((1.0, 1.0, 2.0, 3.0, 8.6))
    assert n.edges == tuple(range(1, 12))
    assert n.counts == (2, 1, 1, 0, 0, 0, 0, 0, 0, 1)
    assert (f.missing, f.min, f.max, f.mean, sum(f.counts)) == (1, 0.5, 2.5, 1.5, 3)
    assert project.datasets.get("t").profile == (n, f)


def test_texts_and_booleans_have_their_most_frequent_values() -> None:
    made = profiles(
        pl.DataFrame(
            {
                "s": ["b", "a", "b", None, "x" * 200],
                "b": [True, False, True, None, True],
                "c": pl.Series(["u", "u", "v", "v", "v"], dtype=pl.Categorical),
            }
        )
    )
    assert made["s"].top[:2] == (("b", 2), ("a", 1))
    assert made["s"].top[2][0].endswith("…")
    assert (made["s"].missing, made["s"].distinct) == (1, 3)
    assert (made["b"].top, made["b"].mean) == ((("true", 3), ("false", 1)), 0.75)
    assert made["c"].top == (("v", 3), ("u", 2))


def test_dates_and_moments() -> None:
    day, moment = dt.date(2024, 1, 1), dt.datetime(2024, 1, 1, 12, tzinfo=dt.UTC)
    made = profiles(
        pl.DataFrame(
            {
                "day": [day, day, dt.date(2024, 1, 3), None],
                "moment": pl.Series([moment, moment, None, None], dtype=pl.Datetime("us", "Europe/Berlin")),
            }
        )
    )
    assert (made["day"].min, made["day"].max, made["day"].counts) == ("2024-01-01", "2024-01-03", (2, 0, 1))
    assert made["day"].edges == ("2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04")
    assert made["moment"].min == "2024-01-01 13:00:00+01:00"
    assert sum(made["moment"].counts) == 2


@pytest.mark.parametrize(
    "values",
    [
        pl.Series([None, None], dtype=pl.Float64),
        pl.Series([None, None], dtype=pl.Null),
        pl.Series([], dtype=pl.Int64),
        pl.Series([float("nan"), float("inf")]),
        pl.Series([1e308, -1e308]),
        pl.Series([5, 5]),
        pl.Series([0.1, 0.1]),
        pl.Series([-(2**63), 2**63 - 1]),
        pl.Series([0, 2**64 - 1], dtype=pl.UInt64),
        pl.Series([1e-320, 2e-320]),
        pl.Series([1e17, 1e17 + 16]),
        pl.Series([[1], [2]]),
        pl.Series([b"x", None]),
        pl.Series([dt.time(1), None]),
        pl.Series([dt.timedelta(1), None]),
        pl.Series([dt.date(1, 1, 1), dt.date(9999, 12, 31)]),
        pl.Series([dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31)]),
        pl.Series(["1.1", "2.2"]).cast(pl.Decimal(10, 2)),
    ],
    ids=lambda values: f"{values.dtype}{values.to_list()}",
)
def test_odd_columns_have_a_profile(values: pl.Series) -> None:
    made = profiles(pl.DataFrame({"x": values}))["x"]
    assert made.missing >= values.null_count()
    assert not made.edges or len(made.edges) == len(made.counts) + 1


def test_columns_may_have_any_names() -> None:
    made = profiles(pl.DataFrame({"0 missing": [1], "row 0": [2], "": [3], "^.*$": [4], "*": [5]}))
    assert [each.min for each in made.values()] == [1, 2, 3, 4, 5]


def test_big_tables_are_profiled_in_pieces_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pl.DataFrame(
        {
            "row 0": range(10_000),
            "f": np.linspace(0, 1, 10_000),
            "s": [f"text {n % 5}" for n in range(10_000)],
        }
    )
    exact = profiles(frame)
    monkeypatch.setattr(profile, "EXACT_ROWS", 1_000)
    sampled = profiles(frame)
    for name, made in sampled.items():
        assert (exact[name].sampled, made.sampled) == (0, 1_000)
        assert (made.min, made.max, made.missing) == (exact[name].min, exact[name].max, exact[name].missing)
        assert (
            made.mean == pytest.approx(exact[name].mean)
            if made.mean is not None
            else exact[name].mean is None
        )
        assert made.distinct == pytest.approx(exact[name].distinct, rel=0.15)
        assert made.edges == exact[name].edges
    assert sampled["f"].quantiles == pytest.approx(exact["f"].quantiles, abs=0.01)
    assert sum(count for _, count in sampled["s"].top) == 1_000
    assert profiles(frame, size=profile.EXACT_BYTES * 10)["f"].sampled == 1_000


@pytest.mark.parametrize("days", [21, 60, 153, 200, 365, 366, 1000])
def test_the_last_bar_of_evenly_spread_dates_is_no_drop(project: Project, days: int) -> None:
    first = dt.date(2024, 1, 1)
    table = pl.DataFrame({"day": pl.date_range(first, first + dt.timedelta(days - 1), eager=True)})
    (made,) = project.datasets.commit("days", table).profile
    assert sum(made.counts) == days
    assert 7 <= len(made.counts) <= 20
    assert made.counts[-1] >= 0.75 * made.counts[0]


def test_frequent_values_and_numbers_are_read_without_a_riddle(project: Project) -> None:
    table = pl.DataFrame({"k": ["15"] * 235 + ["17"] * 233, "n": range(80, 5000)[:468], "m": range(-33, 435)})
    text = to_text(view(project.datasets.commit("t", table).describe()))
    assert "15 ×235 · 17 ×233" in text
    wide = pl.DataFrame({"n": [80, 4983]})
    assert "80 to 4,983" in to_text(view(project.datasets.commit("w", wide).describe()))
