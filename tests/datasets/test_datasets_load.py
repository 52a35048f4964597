"""What was committed comes back: bytes as bytes, tables with their types, whichever library made it."""

from __future__ import annotations

import datetime as dt
import decimal
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jupyter_mlops.datasets.csv_file import CSVFile
from jupyter_mlops.datasets.json_lines import JSONLines
from jupyter_mlops.errors import BadInput, Conflict, Damaged
from jupyter_mlops.project import Project


@pytest.fixture
def local(make_project) -> Project:
    return make_project()


FRAMES = {
    "usual": lambda: pd.DataFrame({"a": [1, 2], "b": ["x", None], "c": [0.5, np.nan], "d": [True, False]}),
    "category": lambda: pd.DataFrame(
        {"c": pd.Categorical(["lo", "hi", None], categories=["lo", "mid", "hi"], ordered=True)}
    ),
    "category order": lambda: pd.DataFrame(
        {"c": pd.Categorical(["hi", "lo", "hi"], categories=["lo", "mid", "hi"], ordered=True)}
    ),
    "no rows of categories": lambda: pd.DataFrame({"c": pd.Categorical([], categories=["lo", "hi"])}),
    "all missing": lambda: pd.DataFrame({"c": pd.Categorical([None, None], categories=["lo"])}),
    "numbers as categories": lambda: pd.DataFrame({"c": pd.Categorical([3, 1], categories=[3, 2, 1])}),
    "time zones": lambda: pd.DataFrame(
        {
            "berlin": pd.date_range("2024-03-30", periods=3, tz="Europe/Berlin"),
            "naive": pd.date_range("2024-01-01", periods=3, unit="ns"),
            "span": pd.to_timedelta([1, 2, None], unit="s"),
        }
    ),
    "nullable": lambda: pd.DataFrame(
        {"i": pd.array([1, None], dtype="Int64"), "b": pd.array([True, None], dtype="boolean")}
    ),
    "objects": lambda: pd.DataFrame(
        {
            "date": [dt.date(2024, 1, 1), None],
            "money": [decimal.Decimal("1.10"), None],
            "bytes": [b"\x00", None],
            "list": [np.array([1, 2]), None],
        }
    ),
    "numbers as objects": lambda: pd.DataFrame(
        {
            "i": pd.Series([1, None, 3], dtype=object),
            "f": pd.Series([1.5, None, 2.5], dtype=object),
            "b": pd.Series([True, None, False], dtype=object),
        }
    ).set_index(pd.Index(["x", "y", "z"], name="who")),
    "numbers as objects under numbers": lambda: pd.DataFrame(
        {0: [1, 2], 1: pd.Series([1, None], dtype=object)}
    ),
    "seconds": lambda: pd.DataFrame(
        {
            "t": pd.Series(np.array(["2024-01-01", "NaT"], "datetime64[s]")),
            "berlin": pd.date_range("2024-03-30", periods=2, tz="Europe/Berlin", unit="s"),
        }
    ),
    "index": lambda: pd.DataFrame({"a": [1, 2]}, index=pd.Index(["x", "y"], name="who")),
    "levels": lambda: pd.DataFrame(
        {"a": [1, 2]}, index=pd.MultiIndex.from_tuples([("x", 1), ("y", 2)], names=["p", "q"])
    ),
    "numbers as names": lambda: pd.DataFrame({0: [1], 1: [2]}),
    "no rows": lambda: pd.DataFrame({"a": pd.Series([], dtype="int64")}),
    "odd names": lambda: pd.DataFrame({"<script>": [1], "": [2], "ü ☃": [3], "a,b\n": [4]}),
    "extremes": lambda: pd.DataFrame(
        {"f": [np.inf, -np.inf, 1e308, -1e308], "u": np.array([0, 2**64 - 1, 1, 2], dtype="uint64")}
    ),
}


@pytest.mark.parametrize("case", FRAMES)
def test_a_pandas_frame_comes_back_as_it_was(local: Project, case: str) -> None:
    frame = FRAMES[case]()
    v = local.datasets.commit("frame", frame)
    pd.testing.assert_frame_equal(v.load(), frame)
    assert (v.kind, v.rows) == ("table", len(frame))
    assert local.datasets.commit("frame", v.load()).note == "unchanged: this is frame@v1"
    assert len(v.profile) == len(v.columns)


def test_a_polars_frame_comes_back_as_it_was(project: Project) -> None:
    frame = pl.DataFrame(
        {
            "i": [1, None],
            "s": ["x", None],
            "c": pl.Series(["a", "b"], dtype=pl.Categorical),
            "e": pl.Series(["lo", "hi"], dtype=pl.Enum(["lo", "hi"])),
            "t": pl.Series([dt.datetime(2024, 1, 1), None]).dt.replace_time_zone("America/Lima"),
            "l": [[1, 2], []],
            "st": [{"x": 1}, {"x": 2}],
        }
    )
    v = project.datasets.commit("frame", frame)
    back = v.load("polars")
    assert back.schema == frame.schema
    assert back.equals(frame)
    assert project.datasets.commit("frame", frame.lazy()).note.startswith("unchanged")
    assert [c.type for c in v.columns] == [
        "int64",
        "string",
        "category",
        "category",
        "datetime[us, America/Lima]",
        "list<int64>",
        "struct<x: int64>",
    ]


def test_an_arrow_table_comes_back_as_it_was(project: Project) -> None:
    table = pa.table(
        {
            "d": pa.array(["x", "y", None]).dictionary_encode(),
            "t": pa.array([1, 2, None], pa.timestamp("ns", "Asia/Tokyo")),
            "m": pa.array([None, decimal.Decimal("1.5"), None], pa.decimal128(10, 2)),
            "h": pa.array([dt.time(1, 2, 3), None, None], pa.time64("us")),
            "s": pa.array([dt.time(1, 2, 3), None, None], pa.time32("s")),
            "c": pa.array([dt.date(2024, 1, 1), None, None], pa.date64()),
            "e": pa.array([1_700_000_000, None, None], pa.timestamp("s", "Asia/Tokyo")),
            "l": pa.array([[1_700_000_000], None, []], pa.list_(pa.timestamp("s"))),
            "r": pa.array([{"at": 5}, None, None], pa.struct([("at", pa.timestamp("s"))])),
        }
    )
    v = project.datasets.commit("table", table)
    assert v.load("arrow").equals(table)
    assert v.load("arrow", columns=["l", "c"]).equals(table.select(["l", "c"]))
    with v.batches(columns=["s", "e"]) as batches:
        assert batches.read_all().equals(table.select(["s", "e"]))
    assert [c.type for c in v.columns] == [
        "category",
        "datetime[ns, Asia/Tokyo]",
        "decimal(10, 2)",
        "time",
        "time",
        "date",
        "datetime[s, Asia/Tokyo]",
        "list<datetime[s]>",
        "struct<at: datetime[s]>",
    ]
    assert v.load("polars").height == 3
    assert [column.missing for column in v.profile][-3:] == [2, 1, 2]


def test_what_a_frame_loses_is_said(local: Project) -> None:
    mixed = pd.DataFrame({"v": pd.Series([1, 2.5], dtype=object), "w": [1, 2]})
    version = local.datasets.commit("mixed", mixed)
    assert version.note == "whole numbers among the fractions of 'v' become fractions"
    assert list(version.load()["v"]) == [1.0, 2.5]
    declared = local.datasets.commit("mixed", mixed, schema={"v": "float32"})
    assert declared.load()["v"].dtype == "float32"
    nanoseconds = local.datasets.commit("short", pa.table({"t": pa.array([1], pa.time64("ns"))}))
    with pytest.raises(BadInput, match="pandas cannot hold it"):
        nanoseconds.load()
    assert nanoseconds.load("polars").height == 1


def test_how_a_table_is_cut_in_memory_is_no_content(local: Project) -> None:
    part = pa.table({"a": [1, 2, 3], "c": pa.array(["x", "y", "x"]).dictionary_encode()})
    cut = pa.concat_tables([part.slice(0, 1), part.slice(1)])
    assert cut.column("a").num_chunks == 2
    assert local.datasets.commit("t", part) == local.datasets.commit("t", cut)


def test_tables_that_cannot_be_stored_say_why(local: Project) -> None:
    for source, message in (
        (pd.DataFrame({"a": [1, "x", b"y"]}), "cannot be stored"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "two columns are named 'a'"),
        (pd.DataFrame({"1": [1], 1: [2]}), "two columns are named '1'"),
        (pa.table([pa.array([1]), pa.array([2])], names=["x", "x"]), "two columns are named 'x'"),
        (pd.DataFrame(), "no columns"),
    ):
        with pytest.raises(BadInput, match=message):
            local.datasets.commit("bad", source)
    assert local.datasets.list() == ()


def test_schema_casts_a_table_or_says_what_does_not_fit(local: Project) -> None:
    frame = pd.DataFrame({"zip": [123, 4711], "when": ["2024-01-01", "2024-01-02"], "kind": ["a", "b"]})
    v = local.datasets.commit("t", frame, schema={"zip": "text", "when": "date", "kind": "category"})
    assert [c.type for c in v.columns] == ["string", "date", "category"]
    assert list(v.load()["zip"]) == ["123", "4711"]
    for schema, message in (
        ({"kind": "int"}, "column 'kind' is no int64"),
        ({"knd": "string"}, "did you mean kind"),
        ({"kind": "strin"}, "did you mean string"),
        (["a"], "must map"),
    ):
        with pytest.raises(BadInput, match=message):
            local.datasets.commit("t", frame, schema=schema)


CSV = """id,zip,when,seen,paid,amount,huge,text,half,none
1,00123,2024-01-01T10:00:00Z,2024-02-01,true,1.5,12345678901234567890,a,1,
2,04711,2024-01-02T10:00:00+02:00,2024-02-02,FALSE,NA,1,NA,2.5,
3,99999,,,,-3e2,2,"with, comma
and line",,
"""


def test_csv_types_are_found_in_all_rows_and_kept(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text(CSV)
    v = project.datasets.commit("data", path)
    assert {column.name: column.type for column in v.columns} == {
        "id": "int64",
        "zip": "string",
        "when": "datetime[us, UTC]",
        "seen": "date",
        "paid": "bool",
        "amount": "float64",
        "huge": "string",
        "text": "string",
        "half": "float64",
        "none": "float64",
    }
    frame = v.load()
    assert list(frame["zip"]) == ["00123", "04711", "99999"]
    assert frame["when"][1] == pd.Timestamp("2024-01-02T08:00:00Z")
    assert frame["seen"].dtype.kind == "M"
    assert frame["huge"][0] == "12345678901234567890"
    assert list(frame["text"]) == ["a", "NA", "with, comma\nand line"]
    assert frame["amount"].isna().tolist() == [False, True, False]
    assert v.load("polars").schema["paid"] == pl.Boolean
    assert v.load("arrow").schema.field("zip").type == pa.large_string()
    assert v.load("path").read_bytes() == CSV.encode()


def test_the_last_of_many_rows_decides(tmp_path: Path) -> None:
    path = tmp_path / "late.csv"
    rows = "".join(f"{n},{n},{n},2024-01-01,\n" for n in range(1, 30_000))
    path.write_text("a,b,c,d,e\n" + rows + "0.5,007,x,2024-02-30,7\n")
    form = CSVFile().form(path, None)
    assert [c.type for c in form.columns] == ["float64", "string", "string", "string", "int64"]
    assert form.rows == 30_000
    frame = CSVFile().polars(path, form)
    assert (frame["b"][-1], frame["e"][-1], frame["a"][-1]) == ("007", 7, 0.5)


@pytest.mark.parametrize(
    ("separator", "name"), [(";", "a.csv"), ("\t", "a.tsv"), ("|", "a.csv"), (",", "A.CSV")]
)
def test_separators_and_byte_order_marks_are_understood(
    local: Project, tmp_path: Path, separator: str, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(
        b"\xef\xbb\xbf" + separator.join(["a", '"b, c"']).encode() + b"\r\n1" + separator.encode() + b"2\r\n"
    )
    frame = local.datasets.commit("t", path).load()
    assert frame.to_dict("list") == {"a": [1], "b, c": [2]}


def test_a_name_full_of_wildcards_is_only_a_name(local: Project, tmp_path: Path) -> None:
    for name, text in (("a[1]*?.csv", "a\n1\n"), ("b[1]*?.jsonl", '{"a": 1}\n')):
        (tmp_path / name).write_text(text)
        assert local.datasets.commit("t", tmp_path / name).load()["a"].tolist() == [1]


MISSING = ("", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NULL", "null", "None", "-nan")
CELLS = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0", exclude_categories=["Cs"]), max_size=6),
    st.integers().map(str),
    st.floats().map(str),
    st.booleans().map(str),
    st.dates().map(str),
    st.sampled_from(["", "NA", "007", " 1", "1 ", "+1", "1e5", "0x1", "1_0", "２", "2024-01-01 10:00:00"]),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(cells=st.lists(CELLS, min_size=1, max_size=5))
def test_no_value_of_a_csv_is_lost(tmp_path: Path, cells: list[str]) -> None:
    path = tmp_path / "any.csv"
    pl.DataFrame({"n": range(len(cells)), "cell": cells}).write_csv(path, quote_style="always")
    reader = CSVFile()
    form = reader.form(path, None)
    assert form.rows == len(cells)
    loaded = reader.polars(path, form)["cell"].to_list()
    word = form.columns[1].type
    for before, after in zip(cells, loaded, strict=True):
        if word == "string":
            assert (after or "") == before
        elif before.strip() in MISSING:
            assert after is None
        elif word == "int64":
            assert after == int(before)
        elif word == "float64":
            assert after == pytest.approx(float(before), nan_ok=True)
        else:
            assert after is not None


def test_json_lines_are_typed_by_every_line(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(
        '{"id": 1, "zip": "007", "v": 1}\n\n'
        '{"v": 2.5, "id": 2, "tags": ["a"], "deep": {"x": 1}, "late": "z"}\n'
    )
    v = project.datasets.commit("events", path)
    assert [(c.name, c.type) for c in v.columns] == [
        ("id", "int64"),
        ("zip", "string"),
        ("v", "float64"),
        ("deep", "struct<x: int64>"),
        ("late", "string"),
        ("tags", "list<string>"),
    ]
    assert v.rows == 2
    assert v.load("polars")["tags"].to_list() == [None, ["a"]]
    assert list(v.load()["v"]) == [1.0, 2.5]


def test_types_do_not_depend_on_the_machine(tmp_path: Path) -> None:
    lines = [f'{{"a": {n}, "k{n % 7}": {n}, "s": "x{n}"}}\n' for n in range(20_000)]
    (tmp_path / "a.jsonl").write_text("".join([*lines, '{"late": 1, "a": 0.5}\n']))
    (tmp_path / "a.csv").write_text("a,b\n" + "".join(f"{n},{n}\n" for n in range(20_000)) + "x,0.5\n")
    code = (
        "import sys; from pathlib import Path\n"
        "from jupyter_mlops.datasets.readers import reader_for\n"
        "for p in map(Path, sys.argv[1:]): print(reader_for(p.name).form(p, None).columns)\n"
    )
    files = [str(tmp_path / "a.jsonl"), str(tmp_path / "a.csv")]
    answers = {
        subprocess.run(
            [sys.executable, "-c", code, *files],
            env=os.environ | {"POLARS_MAX_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "2", "4")
    }
    assert len(answers) == 1
    assert "late" in answers.pop()
    reader = JSONLines()
    form = reader.form(tmp_path / "a.jsonl", None)
    assert reader.polars(tmp_path / "a.jsonl", form)["late"].sum() == 1


def test_parquet_files_keep_their_bytes_and_types(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "key=value" / "data.parquet"
    path.parent.mkdir()
    table = pa.table({"a": [1, 2], "d": pa.array([dt.date(2024, 1, 1), None])})
    pq.write_table(table, path)
    v = project.datasets.commit("data", path)
    assert v.load("arrow").equals(table)
    assert v.load("polars").columns == ["a", "d"]
    assert v.checkout(tmp_path / "out.parquet").read_bytes() == path.read_bytes()
    with pytest.raises(BadInput, match="carries its own types"):
        project.datasets.commit("data", path, schema={"a": "string"})


def test_checkout_is_byte_for_byte_and_never_overwrites(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run me.sh"
    path.write_bytes(b"#!/bin/sh\r\n\x00\xff")
    path.chmod(0o740)
    v = project.datasets.commit("script", path)
    (tmp_path / "out").mkdir()
    into = v.checkout(tmp_path / "out")
    assert (into.name, into.read_bytes(), into.stat().st_mode & 0o777) == (
        "run me.sh",
        path.read_bytes(),
        0o740,
    )
    monkeypatch.chdir(tmp_path / "out")
    assert v.checkout().resolve() == into.resolve()
    into.write_bytes(b"mine")
    with pytest.raises(Conflict, match="name another path"):
        v.checkout()
    assert into.read_bytes() == b"mine"
    with pytest.raises(BadInput, match="cannot be written"):
        v.checkout(into / "below a file")


def test_the_copy_to_read_is_made_again_when_somebody_changed_it(local: Project, tmp_path: Path) -> None:
    (tmp_path / "f.txt").write_text("original")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "x").write_text("original")
    for name, source in (("file", tmp_path / "f.txt"), ("folder", tmp_path / "d")):
        v = local.datasets.commit(name, source)
        copy = v.load()
        changed = copy if copy.is_file() else copy / "x"
        assert changed.stat().st_mode & 0o222 == 0
        changed.chmod(0o644)
        changed.write_text("tampered")
        again = v.load("path")
        assert again == copy
        assert changed.read_text() == "original"


def test_damaged_bytes_are_never_loaded(project: Project) -> None:
    v = project.datasets.commit("t", pd.DataFrame({"a": range(1000)}))
    for place in (project.state / "objects" / "packs").rglob("*.pack"):
        data = bytearray(place.read_bytes())
        data[len(data) // 3] ^= 1
        place.chmod(0o644)
        place.write_bytes(data)
    for format in ("pandas", "path"):
        with pytest.raises(Damaged, match="commit the same content again"):
            v.load(format)
    again = project.datasets.commit("t", pd.DataFrame({"a": range(1000)}))
    assert again == v
    assert v.load()["a"].sum() == 499_500


def test_an_unknown_format_is_refused(local: Project) -> None:
    v = local.datasets.commit("t", pd.DataFrame({"a": [1]}))
    with pytest.raises(BadInput, match="did you mean pandas"):
        v.load("panda")
