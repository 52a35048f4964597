"""Rows compared against a plain dictionary of rows, in memory and in parts on disk, whatever the values."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

from jupyter_mlops.datasets.diff import memory, tally
from jupyter_mlops.datasets.diff import spill as parts
from jupyter_mlops.errors import StoreFailed
from jupyter_mlops.project import Project
from jupyter_mlops.views import to_text, view

VALUES = {
    "small": (pl.Int64, st.integers(-3, 3)),
    "long": (pl.Int64, st.integers(-(2**63), 2**63 - 1)),
    "float": (pl.Float64, st.sampled_from([0.0, -0.0, 1.5, math.nan, math.inf, 1e300])),
    "text": (pl.String, st.sampled_from(["", "a", "b", "<script>", "x" * 20, "é\n"])),
    "bool": (pl.Boolean, st.booleans()),
    "list": (pl.List(pl.Int64), st.lists(st.integers(0, 2), max_size=2)),
}
KEYS = [name for name in VALUES if name != "list"]
Pair = tuple[pl.DataFrame, pl.DataFrame, list[str]]
numbers = itertools.count(1)


@st.composite
def pairs(draw: st.DrawFn) -> Pair:
    """Two tables of the same columns that share some rows, and their key, which may repeat or be none."""
    kinds = [*draw(st.lists(st.sampled_from(KEYS), max_size=2))]
    keys = [f"k{place}" for place in range(len(kinds))]
    kinds += draw(st.lists(st.sampled_from(list(VALUES)), min_size=1, max_size=3))
    names = [*keys, *(f"c{place}" for place in range(len(kinds) - len(keys)))]
    row = st.tuples(*(st.one_of(st.none(), VALUES[kind][1]) for kind in kinds))
    before = draw(st.lists(row, max_size=8))
    again = st.sampled_from(before) if before else row
    after = draw(st.permutations(draw(st.lists(st.one_of(row, again), max_size=8))))
    schema = {name: VALUES[kind][0] for name, kind in zip(names, kinds, strict=True)}
    return (
        pl.DataFrame(before, schema=schema, orient="row"),
        pl.DataFrame(after, schema=schema, orient="row"),
        keys,
    )


def comparable(value: Any) -> Any:
    """NaN is one value, and so are both zeros."""
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else value + 0.0
    return tuple(value) if isinstance(value, list) else value


def expected(before: pl.DataFrame, after: pl.DataFrame, keys: list[str]) -> dict[str, Any]:
    """The same comparison with dictionaries."""
    rows = [[tuple(map(comparable, row)) for row in frame.rows()] for frame in (before, after)]
    places = [before.columns.index(key) for key in keys] or range(before.width)
    sides: list[dict[Any, list[Any]]] = [defaultdict(list), defaultdict(list)]
    for side, some in zip(sides, rows, strict=True):
        for row in some:
            side[tuple(row[place] for place in places)].append(row)
    found: Counter[str] = Counter()
    cells: Counter[str] = Counter()
    for key in {**sides[0], **sides[1]}:
        old, new = sides[0].get(key, []), sides[1].get(key, [])
        if len(old) > 1 or len(new) > 1:
            found["repeated"] += bool(keys)
            found["removed"] += (Counter(old) - Counter(new)).total()
            found["added"] += (Counter(new) - Counter(old)).total()
        elif old and new:
            differ = [name for name, a, b in zip(before.columns, old[0], new[0], strict=True) if a != b]
            cells.update(differ)
            found["changed"] += bool(differ)
        else:
            found["removed"] += len(old)
            found["added"] += len(new)
    told = {name: found[name] for name in ("added", "removed", "changed", "repeated")}
    rest = not (told["added"] or told["removed"] or told["changed"])
    return told | {"cells": dict(cells), "reordered": rest and rows[0] != rows[1]}


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    from jupyter_mlops.project import init_project

    root = tmp_path_factory.mktemp("shelf")
    project = init_project(root, actor="ann@example.com")
    yield project
    project.close()


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(pair=pairs(), in_parts=st.booleans())
def test_it_is_what_dictionaries_of_rows_would_say(shelf: Project, pair: Pair, in_parts: bool) -> None:
    before, after, keys = pair
    name = f"t{next(numbers)}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "_LEAST_ROWS", 3)
        if in_parts:
            patch.setattr(memory, "available", lambda: 1)
        versions = [
            shelf.datasets.commit(f"{name}{side}", table)
            for side, table in zip("ab", (before, after), strict=True)
        ]
        diff = shelf.datasets.diff(*versions, key=keys or None)
    want = expected(before, after, keys)
    if diff.table is None:
        assert versions[0].digest == versions[1].digest
        assert want == {
            "added": 0,
            "removed": 0,
            "changed": 0,
            "repeated": want["repeated"],
            "cells": {},
            "reordered": False,
        }
        return
    table = diff.table
    cells = {column.name: column.changed for column in table.columns.values() if column.changed}
    got = {name: getattr(table, name) for name in ("added", "removed", "changed", "repeated")}
    reordered = table.reordered and not table.changed
    assert got | {"cells": cells, "reordered": reordered} == want
    assert table.unchanged + table.changed + table.removed == before.height
    assert table.unchanged + table.changed + table.added == after.height
    assert len(table.added_rows) == min(table.added, 10)


@pytest.mark.parametrize("key", [["id"], ["text"], ["id", "text"], None])
@pytest.mark.parametrize("shuffled", [False, True])
def test_in_memory_and_in_parts_say_the_same_of_many_rows(
    make_project, monkeypatch, key: list[str] | None, shuffled: bool
) -> None:
    rows = 20_000
    before = pl.DataFrame({"id": range(rows)}).with_columns(
        text=pl.format("customer {} of the shop", "id"), x=pl.col("id") * 0.5, kind=pl.col("id") % 7
    )
    after = before.filter(pl.col("id") % 200 != 0).with_columns(
        x=pl.when(pl.col("id") % 100 == 1).then(pl.col("x") + 1).otherwise(pl.col("x"))
    )
    new = before.head(50).with_columns(id=pl.col("id") + rows, text=pl.lit("new ") + pl.col("text"))
    after = pl.concat([after, new])
    if shuffled:
        after = after.sample(fraction=1, shuffle=True, seed=3)
    project = make_project()
    versions = [project.datasets.commit("t", table) for table in (before, after)]
    whole = project.datasets.diff(*versions, key=key)
    assert whole.table.matched == ("key given" if key else "key inferred")
    assert (whole.changed, whole.added, whole.removed) == (200, 50, 100)
    monkeypatch.setattr(memory, "available", lambda: 1_000_000)
    cut = project.datasets.diff(*versions, key=key)
    one, other = whole.to_dict(), cut.to_dict()
    assert one == other


def test_a_hash_that_is_the_same_for_all_rows_hides_nothing(make_project, monkeypatch) -> None:
    """Rows are brought together by hashes: with the worst of hashes, the answer is the same."""
    flat = pl.DataFrame.hash_rows
    monkeypatch.setattr(pl.DataFrame, "hash_rows", lambda self, *seeds: flat(self) % 3)
    single = pl.Series.hash
    monkeypatch.setattr(pl.Series, "hash", lambda self, *seeds: single(self) % 2)
    before = pl.DataFrame({"k": [f"key {place}" for place in range(40)], "v": range(40)})
    after = (
        before.reverse().with_columns(v=pl.when(pl.col("v") == 7).then(70).otherwise(pl.col("v"))).head(39)
    )
    project = make_project()
    versions = [project.datasets.commit("t", table) for table in (before, after)]
    keyed = project.datasets.diff(*versions, key="k")
    assert (keyed.changed, keyed.added, keyed.removed) == (1, 0, 1)
    assert keyed.to_dict()["changed"] == [{"key": "key 7", "changes": {"v": [7, 70]}}]
    whole = project.datasets.diff(*versions)
    assert (whole.changed, whole.added, whole.removed) == (0, 1, 2)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such limits")
def test_a_process_that_may_have_little_memory_says_so() -> None:
    code = """
import resource
from jupyter_mlops.datasets.diff import memory, tally
free = memory.available()
resource.setrlimit(resource.RLIMIT_DATA, (1 << 30, 1 << 30))
print(free > 0, 0 < memory.available() < 1 << 30)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]


def test_a_big_text_file_is_read_once_and_compared_by_columns(make_project, monkeypatch, tmp_path) -> None:
    rows = 3_000
    before = pl.DataFrame({"id": range(rows), "name": [f"name {place}" for place in range(rows)]})
    before.write_csv(tmp_path / "before.csv")
    before.with_columns(name=pl.when(pl.col("id") < 5).then(pl.lit("x")).otherwise("name")).write_csv(
        tmp_path / "after.csv"
    )
    project = make_project()
    versions = [
        project.datasets.commit("t", tmp_path / f"{side}.csv", key="id") for side in ("before", "after")
    ]
    monkeypatch.setattr(memory, "available", lambda: 200_000)
    diff = project.datasets.diff(*versions)
    assert diff.summary == "5 rows changed"
    assert diff.columns["name"].examples[4].before == "name 4"


def test_two_thousand_columns_are_compared(make_project) -> None:
    before = pl.DataFrame({"id": [1, 2], **{f"c{place}": [place, place] for place in range(2_000)}})
    after = before.with_columns(c77=pl.Series([77, -1]), c1999=pl.Series([0, 0]))
    project = make_project()
    versions = [project.datasets.commit("wide", table, key="id") for table in (before, after)]
    diff = project.datasets.diff(*versions)
    assert [column.name for column in diff.table.changed_columns] == ["c1999", "c77"]
    assert diff.changed == 2


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such limits")
def test_a_disk_that_takes_no_more_is_said_and_nothing_is_left_behind(make_project, monkeypatch) -> None:
    import resource
    import signal

    rows = 200_000
    before = pl.DataFrame({"id": range(rows), "x": [0.5] * rows})
    project = make_project()
    versions = [project.datasets.commit("t", table, key="id") for table in (before, before.head(rows - 1))]
    monkeypatch.setattr(memory, "available", lambda: 1_000_000)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    # from here on no file may grow, as if the disk were full
    monkeypatch.setattr(
        "jupyter_mlops.datasets.diff.comparison.count_spilled",
        lambda *these, **others: (
            resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1])),
            parts.count_spilled(*these, **others),
        ),
    )
    try:
        with pytest.raises(StoreFailed, match="the disk did not take"):
            project.datasets.diff(*versions)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert list((project.objects.folder / "tmp").iterdir()) == []
    monkeypatch.undo()
    assert project.datasets.diff(*versions).summary == "1 row removed"


@pytest.mark.parametrize("added", [0, 100])
def test_shifts_of_a_large_table_are_those_of_all_its_rows(make_project, monkeypatch, added: int) -> None:
    """A sample of other rows on each side would see a shift where nothing changed."""
    monkeypatch.setattr(tally, "SAMPLE", 2_000)
    rows = 60_000
    rng = np.random.default_rng(3)
    before = pl.DataFrame(
        {"id": range(rows), "x": rng.normal(size=rows), "y": rng.normal(size=rows).round(3),
         "few": rng.integers(0, 3, rows), "city": rng.choice(["a", "b", "c"], rows),
         "still": rng.random(rows)}
    )  # fmt: skip
    first = pl.col("id") < 1_000
    after = before.with_columns(
        x=pl.when(first).then(pl.col("x") + 1).otherwise("x"),
        few=pl.when(first).then(7).otherwise("few"),
        city=pl.when(first).then(pl.lit("d")).otherwise("city"),
    )
    after = pl.concat([after, before.head(added).with_columns(pl.col("id") + rows, pl.col("y") * 3)])
    after = after.sample(fraction=1, shuffle=True, seed=1)
    project = make_project()
    versions = [project.datasets.commit("t", table, key="id") for table in (before, after)]
    whole = project.datasets.diff(*versions)
    for name in ("x", "y"):
        expected = stats.ks_2samp(before[name], after[name], method="asymp")
        shift = whole.columns[name].shift
        if not added and name == "y":
            assert shift is None
            continue
        assert shift.effect == pytest.approx(expected.statistic, rel=1e-9)
        assert shift.p_value == pytest.approx(expected.pvalue, rel=1e-6)
        assert not shift.estimate
    for name in ("few", "city"):
        table = pd.crosstab(
            np.repeat(["before", "after"], [rows, rows + added]),
            np.concatenate([before[name], after[name]]),
        )
        shift = whole.columns[name].shift
        assert shift.p_value == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue)
        assert shift.method == "chi-square"
    text = " ".join(to_text(view(whole)).split())
    assert "from 2,000 evenly spaced rows of each" in text
    assert "estimate" not in text
    assert whole.to_dict()["distributions_sampled"] == 2_000

    monkeypatch.setattr(memory, "available", lambda: 1_000_000)
    cut = project.datasets.diff(*versions)
    assert (cut.changed, cut.added) == (whole.changed, whole.added)
    for name in ("x", "few", "city"):
        shift = cut.columns[name].shift
        assert shift.estimate
        assert shift.effect == pytest.approx(whole.columns[name].shift.effect, abs=1e-3)
        assert shift.method == whole.columns[name].shift.method
    if added:
        assert cut.columns["still"].shift.effect < 2 * added / rows
    else:
        assert cut.columns["still"].shift is None
    text = " ".join(to_text(view(cut)).split())
    assert "≈ is an estimate, because the tables do not fit into memory" in text


def test_values_that_change_places_shift_nothing(make_project, monkeypatch) -> None:
    monkeypatch.setattr(tally, "SAMPLE", 1_000)
    rows = 20_000
    before = pl.DataFrame({"id": range(rows), "x": pl.Series(range(rows)) % 1000})
    after = before.with_columns(x=pl.when(pl.col("id") < 2_000).then((pl.col("x") + 1) % 1000).otherwise("x"))
    project = make_project()
    versions = [project.datasets.commit("t", table, key="id") for table in (before, after)]
    diff = project.datasets.diff(*versions)
    assert diff.columns["x"].changed == 2_000
    assert diff.columns["x"].shift.effect == 0
    assert diff.columns["x"].shift.p_value == 1
