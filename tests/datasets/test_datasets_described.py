"""A big table is stored at once and described when somebody looks; what is found out once is kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest

import jupyter_mlops as mlops
from jupyter_mlops.datasets import description, preparation
from jupyter_mlops.errors import BadInput
from jupyter_mlops.project import Project
from jupyter_mlops.views import to_text, view

CSV = "id,zip,age\n1,00123,40\n2,04711,\n3,99999,31\n"


@pytest.fixture
def customers(tmp_path: Path) -> Path:
    path = tmp_path / "customers.csv"
    path.write_text(CSV)
    return path


@pytest.fixture
def big(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every table a big one."""
    monkeypatch.setattr(preparation, "DESCRIBED_AT_ONCE", 0)


@pytest.fixture
def found_out(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the tables that are looked through, as it happens."""
    looked: list[str] = []
    form, profile = description._form, description.profile_of

    def forming(stored: Any, path: Path) -> Any:
        looked.append(f"form of {stored.name}")
        return form(stored, path)

    def profiling(name: str, *rest: Any) -> Any:
        looked.append(f"profile of {name}")
        return profile(name, *rest)

    monkeypatch.setattr(description, "_form", forming)
    monkeypatch.setattr(description, "profile_of", profiling)
    return looked


@pytest.mark.usefixtures("big")
def test_a_big_table_is_described_when_it_is_first_looked_at(
    project: Project, customers: Path, found_out: list[str]
) -> None:
    v = project.datasets.commit("customers", customers, key="id")
    assert (v.tabular, v.findings, v.to_dict()["rows"]) == (True, None, None)
    assert "not described yet" in to_text(view(v))
    assert [each.ref for each in project.datasets.undescribed()] == ["customers@v1"]
    (listed,) = project.datasets.list()
    assert "not described" not in to_text(view((listed,)))
    assert found_out == []
    assert (v.rows, [column.name for column in v.columns]) == (3, ["id", "zip", "age"])
    assert found_out == ["form of customers.csv"]
    assert v.load()["age"].isna().sum() == 1
    assert [column.distinct for column in project.datasets.get("customers").profile] == [3, 3, 2]
    assert found_out == ["form of customers.csv", "profile of customers.csv"]
    again = project.datasets.get("customers")
    assert (again.described, again.rows, again.describe().version.profile[0].max) == (True, 3, 3)
    assert found_out == ["form of customers.csv", "profile of customers.csv"]
    assert project.datasets.undescribed() == ()


@pytest.mark.usefixtures("big")
def test_equal_content_is_described_once(
    project: Project, customers: Path, tmp_path: Path, found_out: list[str]
) -> None:
    assert project.datasets.commit("customers", customers).describe().version.rows == 3
    other = project.datasets.commit("others", customers)
    assert (other.findings is not None, other.described) == (True, True)
    assert len(other.profile) == 3
    assert len(found_out) == 2


@pytest.mark.usefixtures("big")
def test_declared_types_are_checked_at_once_and_kept_apart(project: Project, customers: Path) -> None:
    project.datasets.commit("customers", customers)
    with pytest.raises(BadInput, match="'00123', which is no bool"):
        project.datasets.commit("customers", customers, schema={"zip": "bool"})
    declared = project.datasets.commit("customers", customers, schema={"age": "float"})
    assert declared.number == 2
    assert [column.type for column in project.datasets.get("customers@v2").columns][2] == "float64"
    assert [column.type for column in project.datasets.get("customers@v1").columns][2] == "int64"
    assert project.datasets.get("customers@v2").load()["age"].dtype == float


@pytest.mark.usefixtures("big")
def test_a_big_file_that_is_no_table_is_kept_and_says_why_it_cannot_be_read(
    project: Project, tmp_path: Path, found_out: list[str]
) -> None:
    path = tmp_path / "export.csv"
    path.write_text("a,b\n1,2\n1,2,3\n")
    v = project.datasets.commit("export", path)
    for _ in range(2):
        with pytest.raises(BadInput, match=r"export\.csv cannot be read as CSV: row 3 .* 3 instead of 2"):
            v.load()
    assert found_out == ["form of export.csv"]
    assert project.datasets.undescribed() == ()
    assert "row 3" in to_text(view(project.datasets.get("export").describe()))
    assert v.checkout(tmp_path / "again.csv").read_text() == path.read_text()
    assert project.datasets.commit("export", path).note == "unchanged: this is export@v1"


@pytest.mark.usefixtures("big")
def test_a_key_is_checked_in_the_header(project: Project, customers: Path) -> None:
    with pytest.raises(BadInput, match=r"no column 'idd'.*did you mean id"):
        project.datasets.commit("customers", customers, key="idd")
    assert project.datasets.commit("customers", customers, key="id").findings is None


def test_some_columns_of_a_table_are_loaded(project: Project, customers: Path) -> None:
    frame = pd.DataFrame({"a": range(5), "b": list("vwxyz"), "c": pd.Categorical(list("ppqqp"))})[::2]
    v = project.datasets.commit("t", frame)
    pd.testing.assert_frame_equal(v.load(columns=["c", "a"]), frame[["c", "a"]])
    assert v.load("polars", columns=["b"]).to_dict(as_series=False) == {"b": ["v", "x", "z"]}
    assert v.load("arrow", columns=["b", "a"]).column_names == ["b", "a"]
    c = project.datasets.commit("c", customers)
    assert c.load(columns=["zip"])["zip"].tolist() == ["00123", "04711", "99999"]
    for wrong, said in ((["d"], "no column 'd'"), ("a", "is one text"), ([], "empty"), (["a", "a"], "twice")):
        with pytest.raises(BadInput, match=said):
            v.load(columns=wrong)
    with pytest.raises(BadInput, match="a path has no columns"):
        v.load("path", columns=["a"])


def test_a_column_of_a_table_costs_that_column(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pl.DataFrame({f"c{n}": pl.Series(range(n, 40_000 + n)).shuffle(seed=n) for n in range(20)})
    v = project.datasets.commit("wide", frame)
    read = 0
    opened = type(project.objects).open

    def counting(objects: Any, digest: str) -> Any:
        file = opened(objects, digest)
        inner = file.readinto

        def readinto(buffer: Any) -> int:
            nonlocal read
            count = inner(buffer)
            read += count
            return count

        plain = file.read

        def reading(size: int = -1) -> bytes:
            nonlocal read
            data = plain(size)
            read += len(data)
            return data

        file.readinto, file.read = readinto, reading
        return file

    monkeypatch.setattr(type(project.objects), "open", counting)
    assert v.load("arrow", columns=["c7"]).column("c7").to_pylist() == frame["c7"].to_list()
    assert 0 < read < v.bytes / 4


def test_tables_inside_folders_are_scanned_by_path(project: Project, tmp_path: Path, customers: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    customers.rename(folder / "deep" / "a.csv")
    (folder / "notes.txt").write_text("no table")
    pl.DataFrame({"n": range(100_000)}).write_parquet(folder / "b.parquet")
    v = project.datasets.commit("folder", folder)
    assert v.tables() == ("b.parquet", "deep/a.csv")
    assert (v.tabular, v.rows, v.columns) == (False, None, ())
    with v.scan("deep/a.csv") as table:
        assert table.select(pl.col("age").sum()).collect().item() == 71
    with v.batches("b.parquet") as reader:
        parts = [batch.num_rows for batch in reader]
    assert (sum(parts), max(parts) <= 65_536) == (100_000, True)
    assert v.form("deep/a.csv").rows == 3
    with pytest.raises(BadInput, match=r"no table 'deep/b\.csv'"):
        v.form("deep/b.csv")
    with pytest.raises(BadInput, match=r"a folder.*b\.parquet"):
        v.load("pandas")
    one = project.datasets.commit("one", pl.DataFrame({"n": [1, 2]}))
    with one.scan() as table, one.batches(columns=["n"]) as reader:
        assert table.collect()["n"].to_list() == reader.read_all().column("n").to_pylist() == [1, 2]


def test_an_index_that_nobody_named_is_no_column(project: Project) -> None:
    frame = pd.DataFrame({"a": [1.0, None, 3.0, 4.0, None, None, 7.0]}).dropna()
    v = project.datasets.commit("t", frame)
    assert [column.name for column in v.columns] == ["a"]
    assert [column.name for column in v.profile] == ["a"]
    pd.testing.assert_frame_equal(v.load(), frame)
    assert v.load("polars").columns == ["a"]
    named = project.datasets.commit("n", frame.rename_axis("row"))
    assert [column.name for column in named.columns] == ["a", "row"]


def test_committing_a_folder_loads_no_library_for_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "a.txt").write_text("a")
    monkeypatch.setenv("MLOPS_ACTOR", "ann@example.com")
    mlops.init(tmp_path / "p").close()
    code = f"""
import sys
from jupyter_mlops.cli import run
commit = ["commit", "d", {str(folder)!r}]
for words in (commit, ["list"], commit, ["checkout", "d", "--to", "out"]):
    assert run(["data", *words, "--project", {str(tmp_path / "p")!r}]) == 0
heavy = {{"pandas", "polars", "pyarrow", "numpy", "IPython", "tqdm.notebook", "asyncio", "fsspec"}}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
