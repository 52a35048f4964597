"""Two versions side by side: what changed in files, columns, rows and values, told as a person would."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from jupyter_mlops import cli
from jupyter_mlops.datasets.diff import DatasetDiff, memory
from jupyter_mlops.errors import BadInput, NotFound
from jupyter_mlops.project import Project
from jupyter_mlops.views import to_html, to_text, view
from tests.conftest import ANN

DOGS = pl.DataFrame({"id": [1, 2, 3], "name": ["Cleo", "Pancakes", "Bo"], "age": [4, 5, 6]})


@pytest.fixture
def project(make_project) -> Project:
    return make_project()


def compared(project: Project, before: object, after: object, **options: object) -> DatasetDiff:
    """Commit both and compare them; ``committed_key`` is remembered with the dataset."""
    key = options.pop("committed_key", None)
    name = str(options.pop("name", "dogs"))
    versions = project.datasets.commit(name, before, key=key), project.datasets.commit(name, after)
    return project.datasets.diff(*versions, **options)


def test_rows_are_told_by_the_key_that_the_dataset_remembers(project: Project) -> None:
    after = pl.DataFrame({"id": [4, 1, 2], "name": ["Zed", "Cleo", "Pancakes"], "age": [1, 5, 5]})
    diff = compared(project, DOGS, after, committed_key="id")
    assert diff.summary == "1 row changed, 1 added, 1 removed"
    assert (diff.changed, diff.added, diff.removed, diff.same) == (1, 1, 1, False)
    assert diff.table.matched == "key remembered"
    told = json.loads(json.dumps(diff.to_dict()))
    assert told["added"] == [{"id": 4, "name": "Zed", "age": 1}]
    assert told["removed"] == [{"id": 3, "name": "Bo", "age": 6}]
    assert told["changed"] == [{"key": 1, "changes": {"age": [4, 5]}}]
    assert told["counts"] == {"added": 1, "removed": 1, "changed": 1, "unchanged": 1}
    assert diff.columns["age"].changed == 1
    assert diff.columns["age"].examples[0].after == 5


def test_a_key_may_be_given_and_have_several_columns(project: Project) -> None:
    before = pl.DataFrame({"shop": ["a", "a", "b"], "day": [1, 2, 1], "sold": [10, 11, 12]})
    after = pl.DataFrame({"sold": [12, 10, 99], "day": [1, 1, 2], "shop": ["b", "a", "a"]})
    diff = compared(project, before, after, key=["day", "shop"])
    assert diff.summary == "1 row changed; 2 columns reordered; the rows are in another order"
    assert diff.to_dict()["changed"] == [{"key": [2, "a"], "changes": {"sold": [11, 99]}}]


def test_without_a_key_rows_are_multisets_and_the_answer_says_so(project: Project) -> None:
    before = pl.DataFrame({"name": ["a", "b", "b"], "age": [1, 2, 2]})
    after = pl.DataFrame({"name": ["b", "a", "c"], "age": [2, 7, 3]})
    diff = compared(project, before, after)
    assert (diff.added, diff.removed, diff.changed) == (2, 2, 0)
    assert (diff.table.matched, diff.table.key) == ("whole rows", ())
    assert "no key is known" in to_text(view(diff))
    assert diff.to_dict()["removed"] == [{"name": "a", "age": 1}, {"name": "b", "age": 2}]


def test_a_column_called_id_is_the_key_where_its_values_allow_it_and_the_answer_says_so(
    project: Project,
) -> None:
    diff = compared(project, DOGS, DOGS.with_columns(age=pl.Series([4, 5, 60])))
    assert (diff.table.matched, diff.summary) == ("key inferred", "1 row changed")
    assert "matched by id" in to_text(view(diff))
    twice = compared(project, DOGS, pl.concat([DOGS, DOGS.with_columns(age=pl.lit(9, pl.Int64))]))
    assert (twice.table.matched, twice.added, twice.changed) == ("whole rows", 3, 0)
    project.datasets.commit("nulls", pl.DataFrame({"id": [1, None], "a": [1, 2]}))
    project.datasets.commit("nulls", pl.DataFrame({"id": [1, None], "a": [1, 3]}))
    assert project.datasets.diff("nulls@v1", "nulls@v2").table.matched == "whole rows"


def test_equal_content_is_no_difference_at_once(project: Project, monkeypatch) -> None:
    project.datasets.commit("dogs", DOGS)
    monkeypatch.setattr("jupyter_mlops.datasets.diff.comparison._table", None)  # nothing is read
    diff = project.datasets.diff("dogs@v1", "dogs@latest")
    assert diff.same
    assert diff.summary == "no difference"
    assert "no difference" in to_text(view(diff))


@pytest.mark.parametrize("key", ["id", None])
def test_another_order_of_the_rows_is_named(project: Project, key: str | None) -> None:
    frame = DOGS if key else DOGS.drop("id")
    diff = compared(project, frame, frame.reverse(), key=key)
    assert diff.summary == "no difference in values; the rows are in another order"
    assert not diff.same


def test_equal_rows_in_another_order_are_named_too(project: Project) -> None:
    frame = pl.DataFrame({"x": [1, 1, 2, 2]})
    assert compared(project, frame, pl.DataFrame({"x": [1, 2, 1, 2]})).table.reordered


def test_another_way_to_write_the_same_values_is_no_difference_in_values(
    project: Project, tmp_path: Path
) -> None:
    (tmp_path / "one.csv").write_text("id,name\n1,Cleo\n2,Bo\n")
    (tmp_path / "two.csv").write_text('id,name\n1,"Cleo"\n2,"Bo"\n')
    diff = compared(project, tmp_path / "one.csv", tmp_path / "two.csv")
    assert diff.same
    assert diff.summary == "no difference"
    assert "only how the values are written" in to_text(view(diff))


def test_columns_that_are_new_gone_renamed_retyped_or_elsewhere_are_said(project: Project) -> None:
    before = pl.DataFrame({"id": [1, 2], "a": [1.5, 2.5], "b": ["x", "y"], "gone": [1, 2], "n": [1, 2]})
    after = pl.DataFrame(
        {"id": [1, 2], "b": ["x", "y"], "alpha": [1.5, 2.5], "n": [1.0, 2.0], "new": ["", "q"]}
    )
    diff = compared(project, before, after, key="id")
    said = {(one.kind, one.column, one.before, one.after) for one in diff.table.schema}
    assert said == {
        ("renamed", "alpha", "a", "alpha"),
        ("added", "new", "", "string"),
        ("removed", "gone", "int64", ""),
        ("retyped", "n", "int64", "float64"),
    }
    assert diff.summary == "1 column added, 1 removed, 1 renamed, 1 retyped"
    assert diff.changed == 0
    moved = project.datasets.diff(
        project.datasets.commit("m", before),
        project.datasets.commit("m", before.select("a", "b", "gone", "n", "id")),
    )
    assert [(one.kind, one.column) for one in moved.table.schema] == [("reordered", "id")]


def test_a_column_with_other_values_is_not_called_renamed(project: Project) -> None:
    diff = compared(
        project,
        pl.DataFrame({"id": [1, 2], "a": [1, 2]}),
        pl.DataFrame({"id": [1, 2], "b": [1, 3]}),
        key="id",
    )
    assert diff.summary == "1 column added, 1 removed"


def test_another_type_changes_no_value_that_is_the_same(project: Project) -> None:
    day = datetime(2024, 2, 29)
    before = pl.DataFrame(
        {
            "id": [1, 2],
            "whole": [2**53, 2**53 + 1],
            "text": ["1", "07"],
            "flag": [True, False],
            "day": [date(2024, 2, 29), None],
            "kind": pl.Series(["a", "b"], dtype=pl.Categorical),
            "money": [Decimal("1.50"), Decimal("2.00")],
        }
    )
    after = pl.DataFrame(
        {
            "id": [1.0, 2.0],
            "whole": [2.0**53, 2.0**53],
            "text": [1, 7],
            "flag": [1, 0],
            "day": [day, None],
            "kind": ["a", "c"],
            "money": [1.5, 2.0],
        }
    )
    diff = compared(project, before, after, key="id")
    changed = {name: column.changed for name, column in diff.columns.items() if column.changed}
    # a float cannot hold 2**53 + 1, and "07" is no number
    assert changed == {"whole": 1, "text": 1, "kind": 1}
    assert (diff.added, diff.removed, diff.changed) == (0, 0, 1)


def test_nan_is_nan_and_null_is_null(project: Project) -> None:
    before = pl.DataFrame({"id": [1, 2, 3, 4], "x": [float("nan"), None, -0.0, float("nan")]})
    after = pl.DataFrame({"id": [1, 2, 3, 4], "x": [float("nan"), None, 0.0, None]})
    diff = compared(project, before, after, key="id")
    assert diff.to_dict()["changed"] == [{"key": 4, "changes": {"x": ["NaN", None]}}]
    assert "NaN" in to_text(view(diff))
    assert "missing" in to_text(view(diff))


def test_null_and_nan_are_keys_as_others_are(project: Project) -> None:
    before = pl.DataFrame({"k": [None, float("nan"), 1.0], "v": [1, 2, 3]})
    after = pl.DataFrame({"k": [float("nan"), None, 1.0], "v": [2, 9, 3]})
    diff = compared(project, before, after, key="k")
    assert diff.to_dict()["changed"] == [{"key": None, "changes": {"v": [1, 9]}}]


def test_rows_of_a_repeated_key_are_multisets_and_the_answer_warns(project: Project) -> None:
    before = pl.DataFrame({"k": [1, 1, 1, 2, 3], "v": ["a", "a", "b", "c", "d"]})
    after = pl.DataFrame({"k": [1, 1, 2, 3, 3], "v": ["b", "a", "C", "d", "d"]})
    diff = compared(project, before, after, key="k")
    assert (diff.changed, diff.added, diff.removed) == (1, 1, 1)
    assert diff.table.repeated == 2
    assert "2 keys are there more than once" in to_text(view(diff))
    assert diff.to_dict()["removed"] == [{"k": 1, "v": "a"}]
    assert diff.to_dict()["added"] == [{"k": 3, "v": "d"}]


def test_one_key_for_all_rows_does_not_multiply_them(project: Project) -> None:
    before = pl.DataFrame({"k": [1] * 5_000, "v": range(5_000)})
    diff = compared(project, before, before.with_columns(v=pl.col("v") + 1), key="k")
    assert (diff.changed, diff.added, diff.removed) == (0, 1, 1)


def test_numbers_may_be_equal_within_a_tolerance(project: Project) -> None:
    before = pl.DataFrame({"id": [1, 2, 3], "x": [0.3, 1e9, 1.0]})
    after = pl.DataFrame({"id": [1, 2, 3], "x": [0.1 + 0.2, 1e9 + 0.5, 1.1]})
    assert compared(project, before, after, key="id").changed == 3
    diff = project.datasets.diff("dogs@v1", "dogs@v2", key="id", tolerance=1e-9)
    assert diff.to_dict()["changed"] == [{"key": 3, "changes": {"x": [1.0, 1.1]}}]
    with pytest.raises(BadInput, match="between 0 and 1"):
        project.datasets.diff("dogs@v1", "dogs@v2", key="id", tolerance=-1)
    project.datasets.commit("keyless", before.drop("id"))
    project.datasets.commit("keyless", after.drop("id"))
    with pytest.raises(BadInput, match="--key"):
        project.datasets.diff("keyless@v1", "keyless@v2", tolerance=0.1)


def test_a_key_that_is_none_is_refused_with_what_there_is(project: Project) -> None:
    compared(project, DOGS, DOGS.head(1))
    with pytest.raises(BadInput, match=r"nam.*did you mean name"):
        project.datasets.diff("dogs@v1", "dogs@v2", key="nam")
    lists = pl.DataFrame({"tags": [["a"], ["b"]], "n": [1, 2]})
    project.datasets.commit("lists", lists)
    project.datasets.commit("lists", lists.head(1))
    with pytest.raises(BadInput, match="no key"):
        project.datasets.diff("lists@v1", "lists@v2", key="tags")
    with pytest.raises(NotFound):
        project.datasets.diff("dogs@v1", "dogs@v9")


def test_a_remembered_key_that_is_gone_is_said(project: Project) -> None:
    diff = compared(project, DOGS, DOGS.drop("id"), committed_key="id")
    assert diff.table.matched == "whole rows"
    assert "the key id is not in both versions" in to_text(view(diff))
    assert diff.summary == "1 column removed"


def test_nested_and_binary_values_are_compared(project: Project) -> None:
    before = pl.DataFrame(
        {
            "id": [1, 2, 3],
            "l": [[1, 2], None, [3]],
            "s": [{"a": 1}, {"a": None}, None],
            "b": [b"x", b"y", None],
        }
    )
    after = before.with_columns(l=pl.Series([[1, 2], [], [3]]), b=pl.Series([b"x", b"z", None]))
    diff = compared(project, before, after, key="id")
    assert {name: column.changed for name, column in diff.columns.items()} == {
        "id": 0,
        "l": 1,
        "s": 0,
        "b": 1,
    }
    assert json.loads(json.dumps(diff.to_dict()))["changed"] == [
        {"key": 2, "changes": {"l": [None, []], "b": ["79", "7a"]}}
    ]
    whole = project.datasets.diff(
        project.datasets.commit("w", before.drop("id")), project.datasets.commit("w", after.drop("id"))
    )
    assert (whole.added, whole.removed) == (1, 1)


def test_pandas_tables_and_csv_files_are_compared_with_each_other(project: Project, tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": ["007", "8"], "score": [0.5, np.nan], "kind": pd.Categorical(["a", "b"])})
    frame.to_csv(tmp_path / "dogs.csv", index=False)
    diff = compared(project, frame, tmp_path / "dogs.csv", key="id")
    assert (diff.changed, diff.added, diff.removed) == (0, 0, 0)
    assert [(one.kind, one.column) for one in diff.table.schema] == [("retyped", "kind")]


def test_tables_without_rows_or_common_columns(project: Project) -> None:
    empty = DOGS.clear()
    assert compared(project, DOGS, empty, key="id").summary == "3 rows removed"
    back = project.datasets.commit("dogs", DOGS)
    assert project.datasets.diff("dogs@v2", back, key="id").summary == "3 rows added"
    other = project.datasets.commit("other", pl.DataFrame({"z": [1, 2]}))
    strangers = project.datasets.diff(back, other)
    assert (strangers.added, strangers.removed) == (2, 3)
    assert "share no column" in to_text(view(strangers))


def test_a_shift_is_judged_as_drift_judges_it(project: Project) -> None:
    rng = np.random.default_rng(7)
    before = pl.DataFrame(
        {"id": range(5_000), "moved": rng.normal(size=5_000), "still": rng.normal(size=5_000),
         "city": rng.choice(["a", "b", "c"], 5_000), "when": [date(2024, 1, 1)] * 5_000}
    )  # fmt: skip
    after = before.with_columns(
        moved=pl.col("moved") + 0.5,
        still=pl.col("still") + rng.normal(scale=1e-6, size=5_000),
        city=pl.when(pl.col("id") < 2_000).then(pl.lit("a")).otherwise("city"),
        when=pl.lit(date(2025, 1, 1)),
    )
    diff = compared(project, before, after, committed_key="id")
    shifted = {name: column.shifted for name, column in diff.columns.items()}
    assert shifted == {"id": False, "moved": True, "still": False, "city": True, "when": False}
    report = project.drift("dogs@v1", "dogs@v2")
    shift = diff.columns["moved"].shift
    assert shift.effect == pytest.approx(report.columns["moved"].effect)
    assert shift.method == report.columns["moved"].method
    assert diff.columns["city"].shift.effect == pytest.approx(report.columns["city"].effect)
    assert sum(shift.distribution.after) == pytest.approx(1)


def test_what_becomes_missing_is_a_shift(project: Project) -> None:
    before = pl.DataFrame({"id": range(1_000), "x": [1.0, 2.0] * 500})
    after = before.with_columns(x=pl.when(pl.col("id") % 5 == 0).then(None).otherwise(pl.col("x")))
    diff = compared(project, before, after, committed_key="id")
    assert diff.columns["x"].missing == (0, 200)
    assert diff.columns["x"].shift.status == "missing share"
    assert "0 → 200" in to_text(view(diff))


def test_examples_are_limited_and_in_the_order_of_the_rows(project: Project) -> None:
    before = pl.DataFrame({"id": range(1_000), "x": range(1_000), "y": range(1_000)})
    after = before.with_columns(x=pl.col("x") + (pl.col("id") > 100), y=pl.col("y") * 2)
    diff = compared(project, before, after.sample(fraction=1, shuffle=True, seed=1), committed_key="id")
    assert diff.changed == 999
    told = diff.to_dict()
    assert [row["key"] for row in told["changed"]] == list(range(1, 11))
    assert all(set(row["changes"]) == {"y"} for row in told["changed"])
    assert diff.columns["x"].changed == 899
    assert diff.columns["x"].examples[0].key == (101,)
    assert "the first 10 of 999" in to_text(view(diff))


def test_folders_are_compared_by_path_and_the_tables_in_them_by_rows(
    project: Project, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    (folder / "sub").mkdir(parents=True)
    (folder / "dogs.csv").write_text("id,name\n1,Cleo\n2,Bo\n")
    (folder / "sub" / "same.bin").write_bytes(b"same")
    (folder / "old.txt").write_text("old")
    (folder / "bad.csv").write_text("a\n1\n")
    before = project.datasets.commit("files", folder)
    (folder / "dogs.csv").write_text("id,name\n1,Cleo\n2,Bob\n3,Zed\n")
    (folder / "old.txt").unlink()
    (folder / "new.txt").write_text("new")
    (folder / "bad.csv").write_bytes(b"a\n\xff\xfe\xfa\n")
    diff = project.datasets.diff(before, project.datasets.commit("files", folder))
    assert (diff.files.added, diff.files.removed) == (("new.txt",), ("old.txt",))
    assert diff.files.changed == ("bad.csv", "dogs.csv")
    assert diff.files.unchanged == 1
    assert [(table.path, table.summary) for table in diff.tables] == [("dogs.csv", "1 row changed, 1 added")]
    assert diff.summary == "2 files changed, 1 added, 1 removed; in dogs.csv: 1 row changed, 1 added"
    assert "bad.csv is not compared row by row" in to_text(view(diff))
    assert json.loads(json.dumps(diff.to_dict()))["tables"]["dogs.csv"]["changed"] == [
        {"key": 2, "changes": {"name": ["Bo", "Bob"]}}
    ]
    assert diff.plot(path="dogs.csv").series[0].y == (1,)


def test_files_that_are_no_tables_and_versions_of_different_kinds(project: Project, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"1")
    one = project.datasets.commit("model", tmp_path / "model.bin")
    (tmp_path / "model.bin").write_bytes(b"22")
    two = project.datasets.commit("model", tmp_path / "model.bin")
    assert project.datasets.diff(one, two).summary == "1 file changed"
    table = project.datasets.commit("dogs", DOGS)
    mixed = project.datasets.diff(one, table)
    assert not mixed.same
    assert mixed.tables == ()
    with pytest.raises(BadInput, match="no table"):
        project.datasets.diff(one, two, key="id")
    with pytest.raises(BadInput, match="nothing to draw"):
        project.datasets.diff(one, two).plot()


def test_names_and_values_of_any_kind_are_only_text(project: Project) -> None:
    evil = "<script>alert(1)</script>"
    before = pl.DataFrame(
        {"id": [1, 2], evil: ["a", "b\nc"], "*": [1, 2], "^.*$": [1, 2], "": ["x", "y"], "0": [1, 2]}
    )
    after = before.with_columns(
        pl.Series(evil, [evil, "😀\x1b[31m"]), pl.Series("*", [1, 3]), pl.Series("", ["x", "z"])
    )
    diff = compared(project, before, after, key="id")
    assert {name for name, column in diff.columns.items() if column.changed} == {evil, "*", ""}
    html, text = to_html(view(diff)), to_text(view(diff))
    assert "<script" not in html
    assert "\x1b" not in text + html
    assert "😀" in text
    assert max(map(len, text.splitlines())) <= 80


def test_the_picture_shows_changed_values_and_one_column_on_both_sides(project: Project) -> None:
    diff = compared(project, DOGS, DOGS.with_columns(age=pl.Series([4, 50, 60])), key="id")
    assert diff.plot().series[0].x == ("age",)
    assert diff.plot().series[0].y == (2,)
    shape = diff.plot("age")
    assert [one.name for one in shape.series] == ["dogs@v1", "dogs@v2"]
    with pytest.raises(BadInput, match="did you mean age"):
        diff.plot("agee")
    whole = project.datasets.diff("dogs@v1", "dogs@v2", key=None)
    assert whole.plot().kind == "bar"


def test_an_index_without_a_name_is_compared(project: Project) -> None:
    before = pd.DataFrame({"id": [1, 2], "x": [1, 2]}, index=["anna", "bob"])
    after = pd.DataFrame({"id": [1, 2], "x": [1, 2]}, index=["anna", "carl"])
    diff = compared(project, before, after, committed_key="id")
    assert diff.summary == "1 row changed"
    (row,) = diff.table.changed_rows
    assert row.changes == {"(index 0)": ("bob", "carl")}
    assert "only how" not in to_text(view(diff))
    plain = compared(project, before, after.reset_index(drop=True), name="cats")
    assert [(one.kind, one.column) for one in plain.table.schema] == [("removed", "(index 0)")]


def test_what_is_not_how_values_are_written_is_not_called_so(project: Project) -> None:
    before = pl.DataFrame({"id": [1, 2], "x": [1.0, 2.0]})
    after = pl.DataFrame({"id": [1, 2], "x": [1.01, 2.0]})
    diff = compared(project, before, after, committed_key="id", tolerance=0.1)
    assert diff.same
    assert diff.table.tolerated == 1
    said = " ".join(to_text(view(diff)).split())
    assert "1 value differs by no more than the tolerance, and counts as equal" in said
    assert "how" not in said
    names = ["a", "b"]
    kinds = [pd.DataFrame({"k": pd.Categorical(names, categories=list(order))}) for order in ("abc", "cba")]
    lists = compared(project, *kinds, name="cats")
    assert lists.same
    assert "which categories there may be" in " ".join(to_text(view(lists)).split())


@pytest.mark.parametrize(
    "values",
    [["TRUE", "FALSE"], ["2024-01-01 00:00:00", "2024-01-02T10:00:00.5"], ["1e3", "2e-5"], ["+1", " 2"],
     ["1", "NA"],
     ["2024-01-01T00:00:00Z", "2024-01-01T10:00:00Z"], ["1.50", "2.0"]],
)  # fmt: skip
def test_one_new_word_in_a_column_of_a_csv_changes_one_cell(
    project: Project, tmp_path: Path, values: list[str]
) -> None:
    for last in (values[0], "maybe"):
        lines = [f"{number},{value}" for number, value in enumerate([*values, last])]
        (tmp_path / "t.csv").write_text("id,x\n" + "\n".join(lines) + "\n")
        project.datasets.commit("t", tmp_path / "t.csv", key="id")
    diff = project.datasets.diff("t@v1", "t@v2")
    assert [(row.key, dict(row.changes)) for row in diff.table.changed_rows] == [
        ((2,), {"x": (values[0], "maybe")})
    ]
    assert [one.kind for one in diff.table.schema] == ["retyped"]


def test_unsigned_and_nested_numbers_of_another_type_are_compared(project: Project) -> None:
    """polars makes integers of 128 bits of both, which numpy has not."""
    before = pl.DataFrame({"q": [1, 2]})
    after = pl.DataFrame({"q": pl.Series([1, 3], dtype=pl.UInt64)})
    diff = compared(project, before, after)
    assert (diff.added, diff.removed) == (1, 1)
    lists = compared(
        project,
        pl.DataFrame({"id": [1, 2], "l": [[1], [2]]}),
        pl.DataFrame({"id": [1, 2], "l": [[1.0], [2.5]]}),
        name="lists",
    )
    assert [row.key for row in lists.table.changed_rows] == [(2,)]


def test_a_table_that_polars_gives_up_at_is_named(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def panics(*_: object, **__: object) -> None:
        raise pl.exceptions.PanicException("no such zone")

    project.datasets.commit("dogs", pl.DataFrame({"id": [1]}))
    project.datasets.commit("dogs", pl.DataFrame({"id": [2]}))
    monkeypatch.setattr("jupyter_mlops.datasets.diff.comparison.Side", panics)
    with pytest.raises(BadInput, match="polars cannot read dogs: no such zone"):
        project.datasets.diff("dogs@v1", "dogs@v2")


def test_as_many_rows_are_kept_and_shown_as_one_asks_for(project: Project, capsys, monkeypatch) -> None:
    rows = 400
    before = pl.DataFrame({"id": range(rows), "x": range(rows), **{f"c{n}": [n] * rows for n in range(9)}})
    after = before.with_columns(pl.col("x") + (pl.col("id") < 59)).filter(pl.col("id") < 360)
    diff = compared(project, before, after, committed_key="id")
    assert len(diff.rows("changed")) == 10
    every = project.datasets.diff("dogs@v1", "dogs@v2", rows=None)
    assert every.rows().to_dict("list")["id"] == list(range(59))
    assert list(every.rows().columns) == ["id", "column", "before", "after"]
    assert every.rows("removed")["id"].tolist() == list(range(360, 400))
    assert set(every.rows("removed").columns) == set(before.columns)
    assert every.rows("added").empty
    with pytest.raises(BadInput, match="changed, added or removed"):
        every.rows("moved")
    with pytest.raises(BadInput, match="no number of rows"):
        project.datasets.diff("dogs@v1", "dogs@v2", rows=0)
    # no column is left out where a page can scroll
    assert "c8" in to_html(view(diff))
    monkeypatch.setenv("MLOPS_ACTOR", ANN)
    words = ["data", "diff", "dogs@v1", "dogs@v2", "--project", str(project.root)]
    assert cli.run([*words, "--rows", "25"]) == 0
    said = capsys.readouterr().out
    assert "the first 25 of 59" in said
    assert "the first 25 of 40" in said
    assert "and 9 more" not in said
    assert cli.run([*words, "--all", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (len(told["changed"]), len(told["removed"])) == (59, 40)


@pytest.mark.parametrize("limit", [None, 60_000])
def test_all_rows_are_kept_in_parts_too(project: Project, monkeypatch, limit: int | None) -> None:
    if limit is not None:
        monkeypatch.setattr(memory, "available", lambda: limit)
    before = pl.DataFrame({"id": range(9_000), "x": [0.5] * 9_000})
    after = before.filter(pl.col("id") % 100 != 7).with_columns(x=pl.col("x") + (pl.col("id") % 90 == 0))
    diff = compared(project, before, after, committed_key="id")
    every = project.datasets.diff("dogs@v1", "dogs@v2", rows=None)
    assert every.rows("removed")["id"].tolist() == [place for place in range(9_000) if place % 100 == 7]
    assert every.rows()["id"].tolist() == list(range(0, 9_000, 90))
    assert len(diff.table.removed_rows) == 10


def test_a_file_with_another_name_is_renamed(project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    for name in ("a", "b", "c"):
        (folder / f"{name}.txt").write_text(name * 10)
    (folder / "empty.txt").touch()
    project.datasets.commit("notes", folder)
    (folder / "a.txt").rename(folder / "first.txt")
    (folder / "b.txt").unlink()
    (folder / "d.txt").write_text("d")
    (folder / "empty.txt").rename(folder / "void.txt")
    project.datasets.commit("notes", folder)
    diff = project.datasets.diff("notes@v1", "notes@v2")
    assert diff.files.renamed == (("a.txt", "first.txt"),)
    assert (diff.files.added, diff.files.removed) == (("d.txt", "void.txt"), ("b.txt", "empty.txt"))
    assert diff.summary == "2 files added, 2 removed, 1 renamed"
    assert diff.to_dict()["files"]["renamed"] == [["a.txt", "first.txt"]]
    assert "a.txt" in to_text(view(diff))


def test_what_did_not_change_is_said_as_it_is(project: Project) -> None:
    before = pl.DataFrame({"id": range(100), "x": range(100), "y": range(100)})
    shorter = before.head(60).with_columns(x=pl.col("x") * 2)
    diff = compared(project, before, shorter, committed_key="id")
    said = " ".join(to_text(view(diff)).split())
    assert "No value changed" not in said
    alone = compared(project, before, before.with_columns(x=pl.col("x") * 2), name="cats", committed_key="id")
    assert "No value changed: y" in to_text(view(alone))
    for colour in ("grey", "blue"):
        assert colour not in said
    assert "dogs@v1 first, then dogs@v2" in said
    assert "identifier, not tested" in said
    assert "differ by nature: they are not tested" in said


@pytest.mark.parametrize(("rows", "key"), [(20, "name"), (2, "id")])
def test_neither_a_wrong_key_nor_few_rows_load_the_tests_of_shifts(
    project: Project, rows: int, key: str
) -> None:
    for last in (50, 60):
        project.datasets.commit("dogs", pl.DataFrame({"id": [*range(rows), last]}))
    code = f"""
import contextlib, sys
from jupyter_mlops import open
from jupyter_mlops.errors import BadInput
project = open({str(project.root)!r}, "ann@example.com")
with contextlib.suppress(BadInput):
    project.datasets.diff("dogs@v1", "dogs@v2", key={key!r})
print("scipy.stats" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_comparison_knows_its_page(project: Project) -> None:
    diff = compared(project, pl.DataFrame({"id": [1]}), pl.DataFrame({"id": [2]}))
    assert diff.path == "data/dogs/2/diff/1"
    project.datasets.commit("cats", pl.DataFrame({"id": [1]}))
    assert project.datasets.diff("dogs@v2", "cats@v1").path == "data/cats/1/diff/dogs/2"


def test_what_is_printed_is_what_the_command_line_shows(project: Project) -> None:
    diff = compared(project, DOGS, DOGS.with_columns(age=pl.col("age") + 1), committed_key="id")
    assert str(diff) == to_text(view(diff))
    assert repr(diff).startswith("DatasetDiff(")
    version = project.datasets.get("dogs")
    assert str(version).splitlines()[0].startswith("dogs@v2 · 3 rows")
    assert "dogs@v1" in str(project.datasets.remove("dogs@v1"))
