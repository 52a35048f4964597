"""Tables that once lost a digit, or the whole process, are kept right or refused in one line."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import jupyter_mlops as mlops
from jupyter_mlops import Project
from jupyter_mlops.automation.upkeep import Upkeep
from jupyter_mlops.datasets import DatasetVersion
from jupyter_mlops.errors import BadInput, Conflict, SourceChanged
from jupyter_mlops.objects.packs import intake


@pytest.fixture
def csv(project: Project, tmp_path: Path) -> Callable[[str], DatasetVersion]:
    def commit(text: str) -> DatasetVersion:
        path = tmp_path / "table.csv"
        path.write_text(text, "utf-8")
        return project.datasets.commit("table", path)

    return commit


def types(version: DatasetVersion) -> dict[str, str]:
    return {column.name: column.type for column in version.columns}


def test_nanoseconds_of_a_csv_stay(csv: Callable[[str], DatasetVersion], project: Project) -> None:
    first = csv("id,t,z\n1,2024-01-01 00:00:00.123456789,2024-01-01T00:00:00.5Z\n")
    assert types(first) == {"id": "int64", "t": "datetime[ns]", "z": "datetime[us, UTC]"}
    assert first.load()["t"][0].nanosecond == 789
    second = csv("id,t,z\n1,2024-01-01 00:00:00.123456001,2024-01-01T00:00:00.5Z\n")
    diff = project.datasets.diff(first, second, key="id")
    assert diff.changed == 1
    zoned = csv("t\n2024-01-01T00:00:00.123456789+01:00\n")
    assert types(zoned) == {"t": "datetime[ns, UTC]"}


def test_a_whole_number_that_a_float_would_change_stays_text(csv: Callable[[str], DatasetVersion]) -> None:
    assert csv("id,x\n1,9007199254740993\n2,1.5\n").load()["x"].tolist() == ["9007199254740993", "1.5"]
    assert types(csv("id,x\n1,9007199254740992\n2,1.5\n"))["x"] == "float64"
    assert types(csv("id,x\n1,9007199254740993\n2,1\n"))["x"] == "int64"
    assert types(csv("id,x\n1,1.234567890123456e-200\n2,0.30000000000000004\n"))["x"] == "float64"


def test_a_leap_second_does_not_become_the_next_day(csv: Callable[[str], DatasetVersion]) -> None:
    assert csv("t\n2024-01-01T23:59:60\n").load()["t"].tolist() == ["2024-01-01T23:59:60"]


def test_empty_lines_are_told(csv: Callable[[str], DatasetVersion]) -> None:
    version = csv("a,b\n\n1,2\n\n3,4\n")
    assert version.rows == 4
    assert version.form().notes == ("2 rows are empty: every field of theirs counts as missing",)


def test_dates_that_python_has_not_are_kept_and_profiled(csv: Callable[[str], DatasetVersion]) -> None:
    version = csv("id,t\n1,0000-01-01\n2,0001-01-02\n")
    assert [each.min for each in version.profile] == [1, "0000-01-01"]


def test_a_column_called_like_a_pattern_is_profiled_as_itself(project: Project) -> None:
    table = pa.table({"^a$": [1, 2], "a": ["x", "y"], "*": [1.0, None]})
    profile = {each.name: each for each in project.datasets.commit("odd", table).profile}
    assert profile["^a$"].max == 2
    assert profile["a"].top == (("x", 1), ("y", 1))
    assert profile["*"].missing == 1


def test_an_offset_of_half_hours_comes_back(project: Project, tmp_path: Path) -> None:
    frame = pd.DataFrame({"t": pd.to_datetime(["2024-01-01T00:00:00+05:30"]), "n": [1]})
    version = project.datasets.commit("zoned", frame)
    assert version.load()["t"][0] == frame["t"][0]
    assert version.load()["t"][0].utcoffset() == frame["t"][0].utcoffset()
    assert version.load("polars")["t"].dt.to_string("iso").to_list() == ["2023-12-31 18:30:00.000000+00:00"]
    assert version.load("polars", columns=["n"])["n"].to_list() == [1]
    folder = tmp_path / "zones"
    folder.mkdir()
    frame.to_parquet(folder / "part.parquet")
    before = project.datasets.commit("folder", folder)
    frame.assign(n=2).to_parquet(folder / "part.parquet")
    diff = project.datasets.diff(before, project.datasets.commit("folder", folder))
    assert len(diff.tables) == 1


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: pd.DataFrame({"g": pd.cut([1, 30, 60], [0, 18, 65])}), "categories of column 'g'"),
        (lambda: pl.DataFrame({"a": pl.Series([object(), {1}], dtype=pl.Object)}), "holds Python objects"),
        (lambda: pd.DataFrame({"a": pd.Series(["\ud800"], dtype=object)}), "cannot be stored"),
        (lambda: pa.table({"a": pa.array([[1], [2]], pa.list_view(pa.int64()))}), "cannot be read back"),
    ],
)
def test_what_cannot_be_kept_is_refused_in_a_line(
    project: Project, make: Callable[[], Any], said: str
) -> None:
    with pytest.raises(BadInput, match=said) as refused:
        project.datasets.commit("refused", make())
    assert ".mlops" not in str(refused.value)
    assert not project.datasets.list()


def test_categories_that_are_there_twice_become_one(project: Project) -> None:
    column = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2]), pa.array(["x", "x", "y"]))
    assert project.datasets.commit("twice", pa.table({"a": column})).load()["a"].tolist() == ["x", "x", "y"]


def test_a_forked_child_says_that_it_cannot_read_tables(csv: Callable[[str], DatasetVersion]) -> None:
    version = csv("a,b\n1,2\n")
    version.load()
    context = multiprocessing.get_context("fork")
    answers = context.Queue()

    def child() -> None:
        try:
            version.load()
        except Exception as error:
            answers.put(str(error))

    process = context.Process(target=child)
    process.start()
    try:
        assert "forked process cannot read tables" in answers.get(timeout=60)
    finally:
        process.join(10)
        process.kill()


def test_a_file_that_is_being_written_is_read_twice(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The times of a file move when a write begins; what the write does after that moves nothing."""
    path = tmp_path / "big.bin"
    path.write_bytes(os.urandom(5 << 20))
    with monkeypatch.context() as patched:
        patched.setattr(intake, "hashed", lambda _: "b3:the writer went on")
        with pytest.raises(SourceChanged):
            project.datasets.commit("hot", path)
    assert project.datasets.commit("hot", path).number == 1


def test_a_file_overwritten_all_the_time_is_never_kept_torn(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "torn.bin"
    path.write_bytes(b"A" * 300_000)
    over = threading.Event()

    def write() -> None:
        with path.open("r+b", buffering=0) as file:
            turn = 0
            while not over.wait(0.01):
                turn += 1
                file.seek(0)
                file.write(bytes([65 + turn % 26]) * 300_000)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(20):
            try:
                version = project.datasets.commit("torn", path)
            except SourceChanged:
                continue
            assert len(set(version.load("path").read_bytes())) == 1
    finally:
        over.set()
        writer.join()


def test_bytes_whose_records_were_lost_are_not_collected(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("precious")
    with mlops.init(tmp_path / "churn", actor="ann@example.com") as project:
        project.datasets.commit("precious", tmp_path / "a.txt")
    for file in (project.root / ".mlops").glob("store.sqlite*"):
        file.unlink()
    with mlops.init(project.root, actor="ann@example.com") as again:
        with pytest.raises(Conflict, match="no version, run or model was ever recorded"):
            Upkeep(again).gc(delete=True, grace=0)
        assert again.objects.stored().stored
