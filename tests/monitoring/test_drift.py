"""Two tables are compared: what changed is named, what did not is left alone, nothing odd breaks it."""

from __future__ import annotations

import datetime as dt
import decimal
import json

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from jupyter_mlops.charts import png, svg
from jupyter_mlops.errors import BadInput
from jupyter_mlops.monitoring import DriftReport
from jupyter_mlops.monitoring.drift import drift
from jupyter_mlops.statistics import DriftPolicy


def flights(rows: int, seed: int, delay: float = 0.0, carriers: str = "UA UA UA AA AA DL") -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "delay": rng.normal(delay, 1, rows),
            "distance": rng.lognormal(6, 1, rows),
            "carrier": rng.choice(carriers.split(), rows),
            "cancelled": rng.random(rows) < 0.1,
            "stops": rng.integers(0, 4, rows),
        }
    )


def kinds(report: DriftReport) -> list[tuple[str, str]]:
    return [(finding.kind, finding.column) for finding in report.findings]


def one(reference, current, **options):
    """Compare tables of one column and return what was found of it."""
    report = drift(pd.DataFrame({"x": reference}), pd.DataFrame({"x": current}), **options)
    return report.columns["x"], report


def test_a_month_like_the_one_before_does_not_drift():
    report = drift(flights(2000, 1), flights(2000, 2))

    assert not report.drifted
    assert {column.status for column in report.columns.values()} == {"ok"}
    assert report.summary == "no drift in 5 columns"
    assert report.rows == (2000, 2000)
    assert report.tests == 5


def test_a_changed_month_names_what_changed_strongest_first():
    report = drift(flights(2000, 1), flights(2000, 2, delay=0.8, carriers="UA AA AA DL DL DL"))

    assert report.drifted
    assert [column.name for column in report.drifted_columns] == ["delay", "carrier"]
    assert report.summary == "2 of 5 columns drifted: delay, carrier"
    delay, carrier = report.columns["delay"], report.columns["carrier"]
    assert (delay.method, delay.kind) == ("Kolmogorov-Smirnov", "numeric")
    assert delay.effect == delay.statistic == pytest.approx(0.31, abs=0.04)
    assert delay.p_value <= delay.adjusted_p < 1e-6
    assert (carrier.method, carrier.kind) == ("chi-square", "categorical")
    assert carrier.effect == pytest.approx(0.39, abs=0.05)
    assert not report.columns["distance"].drifted


def test_a_difference_too_small_to_matter_is_no_alarm_however_certain():
    column, report = one(np.arange(100_000.0) + 0.5, np.arange(100_000.0) + 3_000.5)

    assert column.p_value < 1e-9
    assert column.effect == pytest.approx(0.03)
    assert not report.drifted
    strict, _ = one(
        np.arange(100_000.0) + 0.5, np.arange(100_000.0) + 3_000.5, policy=DriftPolicy(numeric_floor=0.02)
    )
    assert strict.drifted


def test_a_wide_table_of_clean_columns_stays_quiet():
    rng = np.random.default_rng(11)
    alarms = 0
    for _ in range(10):
        tables = [pd.DataFrame(rng.normal(size=(500, 60))) for _ in range(2)]
        alarms += len(drift(*tables).drifted_columns)
    assert alarms <= 2


@pytest.mark.parametrize(
    "form", [pl.from_pandas, lambda table: pl.from_pandas(table).lazy(), pa.Table.from_pandas]
)
def test_polars_and_arrow_tables_give_the_same_report(form):
    reference, current = flights(500, 1), flights(400, 2, delay=0.5)
    assert drift(form(reference), form(current)).columns == drift(reference, current).columns
    assert drift(reference, form(current)).columns == drift(reference, current).columns


def test_a_dataset_version_gives_its_table_and_its_name():
    class Version:
        def __init__(self, ref: str, table: object) -> None:
            self.ref, self.table = ref, table

        def load(self) -> object:
            return self.table

    report = drift(Version("flights@v1", flights(100, 1)), Version("flights@v2", flights(100, 2)))
    assert (report.reference, report.current) == ("flights@v1", "flights@v2")
    with pytest.raises(BadInput, match="current table is no table but str"):
        drift(flights(50, 1), Version("notes@v1", "a folder"))


def test_few_rows_give_no_verdict():
    column, report = one(np.zeros(29) + np.arange(29) / 7, np.full(5000, 99.5))
    assert (column.status, column.drifted, report.tests) == ("not enough samples", False, 0)
    assert column.statistic == 1.0
    column, _ = one(np.arange(9) / 7, np.full(5000, 99.5))
    assert (column.status, column.statistic) == ("not enough samples", None)
    column, _ = one(["a"] * 29, ["b"] * 5000)
    assert (column.status, column.drifted) == ("not enough samples", False)
    # many rows, but what differs has too few to be counted
    column, _ = one(["a"] * 500, ["a"] * 499 + ["b"])
    assert (column.status, column.drifted) == ("not enough samples", False)


def test_missing_values_are_counted_and_not_compared():
    rng = np.random.default_rng(3)
    values = rng.normal(size=1000)
    holes = values.copy()
    holes[:200] = np.nan
    holes[200:300] = np.inf
    holes[300:310] = -np.inf
    column, report = one(values, holes)

    assert column.missing == (0.0, 0.31)
    assert column.drifted
    assert column.p_value > 0.001
    assert kinds(report) == [("missing share", "x")]
    assert report.findings[0].message == "x is missing in 31.0% of the rows, in the reference in 0.0%"
    assert column.strength == pytest.approx(0.31 / 0.05)


def test_a_few_more_missing_values_are_no_alarm():
    values = pd.Series(range(20_000), dtype="Int64").sample(frac=1, random_state=0) % 997
    fewer = values.copy()
    fewer[:600] = pd.NA
    column, report = one(values, fewer)
    assert column.missing_p < 1e-6
    assert not report.drifted


@pytest.mark.parametrize("empty", [[None] * 100, [float("nan")] * 100, pd.Series([None] * 100, dtype="str")])
def test_a_column_that_lost_all_its_values_is_an_alarm(empty):
    column, report = one(np.arange(100) / 7, empty)
    assert (column.status, column.drifted) == ("no data", True)
    assert [(f.kind, f.alarm) for f in report.findings] == [("no data", True)]
    assert report.summary == "1 of 1 column drifted: x"

    column, report = one(empty, empty)
    assert (column.status, report.drifted) == ("no data", False)
    column, report = one([1.5, 2.5], [None, None])
    assert (column.status, report.drifted) == ("no data", False)


@pytest.mark.parametrize("value", [3.5, 4, "same", True, decimal.Decimal("1.10")])
def test_a_constant_that_stays_is_constant(value):
    column, report = one([value] * 100, [value] * 50)
    assert (column.status, column.p_value, column.effect) == ("constant", 1.0, 0.0)
    assert not report.drifted
    assert report.tests == 0


@pytest.mark.parametrize(("before", "after"), [(3.5, 4.5), (4, 5), ("old", "new"), (False, True)])
def test_a_constant_that_changes_is_an_alarm_even_below_the_floor(before, after):
    column, report = one([before] * 5000, [before] * 4850 + [after] * 150)
    assert 0 < column.effect < 0.15
    assert column.drifted
    assert [(f.kind, f.alarm) for f in report.findings] == [("constant changed", True)]

    column, report = one([before] * 5000, [before] * 4999 + [after])
    assert not column.drifted


def test_row_numbers_and_keys_are_left_out_unless_named():
    reference = pd.DataFrame(
        {"id": range(1000), "key": [f"k{i}" for i in range(1000)], "x": np.arange(1000) / 3}
    )
    current = pd.DataFrame(
        {"id": range(1000, 2000), "key": [f"k{i}" for i in range(1000, 2000)], "x": np.arange(1000) / 3}
    )
    report = drift(reference, current)
    assert not report.drifted
    assert report.columns["id"].status == report.columns["key"].status == "skipped: identifier"

    asked = drift(reference, current, columns=["id"])
    assert list(asked.columns) == ["id"]
    assert asked.columns["id"].drifted


def test_times_move_on_and_are_left_out_unless_named():
    start = pd.Timestamp("2013-01-01", tz="UTC")
    days = pd.Series(pd.date_range(start, periods=100))
    later = days + pd.Timedelta(days=200)
    column, report = one(days, later)
    assert (column.kind, column.status, report.drifted) == ("time", "skipped: time", False)
    column, _ = one(days, later, columns=["x"])
    assert column.drifted
    column, _ = one([day.date() for day in days], [day.date() for day in later], columns=["x"])
    assert (column.kind, column.effect) == ("time", 1.0)
    column, _ = one(days.astype(str), later.astype(str))
    assert (column.kind, column.status) == ("time", "skipped: time")
    column, _ = one([*days.astype(str), "soon"], [*later.astype(str), "soon"], columns=["x"])
    assert column.kind == "categorical"
    column, _ = one(days - start, later - start)
    assert (column.kind, column.drifted) == ("numeric", True)


def test_many_categories_are_added_up():
    rng = np.random.default_rng(5)
    reference, current = (rng.zipf(1.3, 20_000) % 5000 for _ in range(2))
    column, report = one([f"c{v}" for v in reference], [f"c{v}" for v in current])
    assert column.status == "ok"
    assert len(column.distribution.labels) == 51
    assert column.distribution.labels[-1] == "other"
    assert sum(column.distribution.current) == pytest.approx(1)
    assert not report.findings


def test_an_unseen_category_is_told_and_is_no_alarm_by_itself():
    rng = np.random.default_rng(6)
    reference = rng.choice(["a", "b", "c"], 2000)
    current = np.concatenate([rng.choice(["a", "b", "c"], 1999), ["<script>"]])
    column, report = one(reference, current)
    assert not column.drifted
    assert kinds(report) == [("unseen category", "x")]
    assert report.findings[0].message == "x has categories that the reference has not: <script>"


def test_a_handful_of_integers_are_categories_and_more_are_numbers():
    rng = np.random.default_rng(7)
    column, _ = one(rng.integers(0, 5, 500), rng.integers(0, 5, 500).astype(float))
    assert (column.kind, column.distribution.labels) == ("categorical", ("0", "1", "2", "3", "4"))
    column, _ = one(rng.integers(0, 3, 500), rng.integers(0, 30, 500))
    assert (column.kind, column.drifted) == ("numeric", True)
    column, _ = one(rng.integers(0, 5, 500) / 2, rng.integers(0, 5, 500) / 2)
    assert column.kind == "numeric"


@pytest.mark.parametrize(
    ("values", "kind", "status"),
    [
        ([decimal.Decimal(i) / 7 for i in range(100)], "numeric", "ok"),
        (pd.array([*range(90), *[None] * 10], dtype="Int64") // 2, "numeric", "ok"),
        (pd.Series([True, False, None] * 40, dtype="boolean"), "categorical", "ok"),
        (pd.Series([True, False, None] * 40, dtype=object), "categorical", "ok"),
        (pd.Series(["a", "b", None] * 40, dtype="category"), "categorical", "ok"),
        (pd.Series([1, 2, None] * 40, dtype="category"), "categorical", "ok"),
        (pd.Series(["a", 1, 2.5, "1"] * 40, dtype=object), "categorical", "ok"),
        (pd.Series([[1], {"a": 2}, b"x"] * 40, dtype=object), "categorical", "ok"),
        (pd.Series([10**400, 1.5, 2] * 40, dtype=object), "numeric", "ok"),
        (pd.Series(["a", "b", None] * 40, dtype=pd.ArrowDtype(pa.string())), "categorical", "ok"),
        (
            pd.Series([dt.date(2020, 1, 1), None] * 40, dtype=pd.ArrowDtype(pa.date32())),
            "time",
            "skipped: time",
        ),
        (pd.Series([1.5, 2.25, None] * 40, dtype=pd.ArrowDtype(pa.float64())), "numeric", "ok"),
        (pd.Series([1j, 2j] * 40), "other", "skipped: type"),
        (pd.Series([dt.date(1, 1, 1), dt.date(9999, 1, 1)] * 40, dtype=object), "time", "skipped: time"),
        ([1e308, -1e308, 0.5] * 40, "numeric", "ok"),
        ([dt.time(1), dt.time(2)] * 40, "categorical", "ok"),
        (pd.Series(pd.period_range("2020", periods=3, freq="M")).repeat(40), "categorical", "ok"),
        (pd.Series(pd.arrays.SparseArray([0.5, 1.5] * 40)), "numeric", "ok"),
    ],
)
def test_every_type_of_column_has_its_place(values, kind, status):
    column, report = one(values, values)
    assert (column.kind, column.status) == (kind, status)
    assert not report.drifted
    assert json.loads(json.dumps(report.to_dict(), allow_nan=False))["columns"]["x"]["kind"] == kind
    svg(report.plot("x"))


def test_changes_of_the_schema_are_findings_and_no_drift():
    reference = pd.DataFrame(
        {"a": np.arange(100) / 3, "gone": 1, "typed": range(100), "whole": list(range(50)) * 2}
    )
    current = pd.DataFrame(
        {"new": 1, "a": np.arange(100) / 3, "typed": ["x"] * 100, "whole": [v + 0.25 for v in range(50)] * 2}
    )
    report = drift(reference, current)
    assert kinds(report) == [
        ("missing column", "gone"),
        ("extra column", "new"),
        ("type changed", "typed"),
        ("type changed", "whole"),
    ]
    assert not report.drifted
    assert list(report.columns) == ["a", "typed", "whole"]
    assert report.columns["typed"].status == "skipped: type changed"


def test_names_that_look_like_markup_or_numbers_are_names():
    names = ["<script>alert(1)</script>", "a.b[0]", "", "🛫"]
    reference = pd.DataFrame({name: np.arange(100) / 3 for name in names} | {7: np.arange(100) / 3})
    report = drift(reference, reference + 20)
    assert set(report.columns) == {*names, "7"}
    assert all(column.drifted for column in report.columns.values())
    for name in [None, *report.columns]:
        assert "<script" not in svg(report.plot(name))


@pytest.mark.parametrize(
    ("reference", "current", "columns", "says"),
    [
        (flights(50, 1), pd.DataFrame({"delay": []}), None, "current table is empty: 0 rows"),
        (pd.DataFrame(), flights(50, 1), None, "reference is empty"),
        (pd.DataFrame(index=range(5)), flights(50, 1), None, "reference is empty: 5 rows, 0 columns"),
        (flights(50, 1), pd.DataFrame({"other": [1]}), None, "share no column"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), flights(50, 1), None, "two columns named 'a'"),
        (pd.DataFrame([[1, 2]], columns=["1", 1]), flights(50, 1), None, "two columns named '1'"),
        (pa.table([[1], [2]], names=["b", "b"]), flights(50, 1), None, "two columns named 'b'"),
        (flights(50, 1), flights(50, 2), ["dely"], "neither table has a column 'dely' — did you mean delay"),
        (flights(50, 1), {"delay": [1]}, None, "current table is no table but dict"),
        ("flights@v1", flights(50, 1), None, "reference is no table but str"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_a_hint(reference, current, columns, says):
    with pytest.raises(BadInput, match=says) as caught:
        drift(reference, current, columns)
    assert caught.value.hint


def test_the_tables_are_left_as_they_were():
    reference, current = flights(300, 1), flights(300, 2, delay=1)
    before = reference.copy(), current.copy()
    drift(reference, current)
    pd.testing.assert_frame_equal(reference, before[0])
    pd.testing.assert_frame_equal(current, before[1])


def test_a_report_survives_being_written_down():
    current = flights(300, 2, delay=1)
    current.loc[:50, "distance"] = np.nan
    report = drift(flights(300, 1), current)
    assert DriftReport.from_dict(json.loads(json.dumps(report.to_dict(), allow_nan=False))) == report


def test_a_report_is_a_table():
    table = drift(flights(300, 1), flights(300, 2, delay=1)).to_pandas()
    assert table.index.tolist() == ["delay", "distance", "carrier", "cancelled", "stops"]
    assert table.loc["delay", "drifted"]
    assert table["p_value"].between(0, 1).all()


def test_a_report_is_pictures():
    report = drift(flights(2000, 1), flights(2000, 2, delay=0.5))
    overview = report.plot()
    assert overview.highlight == ("delay",)
    assert overview.series[0].x[0] == "delay"
    assert overview.series[0].y[0] == pytest.approx(report.columns["delay"].effect / 0.05)
    numbers, categories = report.plot("delay"), report.plot("carrier")
    assert (numbers.kind, categories.kind) == ("histogram", "grouped_bar")
    assert sum(numbers.series[1].y) == pytest.approx(1)
    assert [series.name for series in categories.series] == ["reference", "current"]
    assert png(overview).startswith(b"\x89PNG")
    with pytest.raises(BadInput, match="no column 'dela'"):
        report.plot("dela")
