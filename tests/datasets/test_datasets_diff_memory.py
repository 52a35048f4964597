"""Tables compared by a process that may take little memory: in parts, within its limit, or not at all."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from jupyter_mlops.project import Project

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts what is set aside")

ROWS = 600_000
COMPARED = """
import json, resource, sys
resource.setrlimit(resource.RLIMIT_DATA, (int(sys.argv[1]),) * 2)
import jupyter_mlops as mlops
from jupyter_mlops.errors import MLOpsError
with mlops.open() as project:
    try:
        told = project.datasets.diff("t@v1", "t@v2").to_dict()
    except MLOpsError as error:
        told = error.to_dict()
taken = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmData"))
print(json.dumps([told, 1024 * int(taken)]))
"""


def compared_within(limit: int, folder: Path) -> tuple[dict, int]:
    """Compare both versions in a process of its own; return what it says, and what counts in the end."""
    done = subprocess.run(
        [sys.executable, "-c", COMPARED, str(limit)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert not done.returncode, done.stderr
    told, taken = json.loads(done.stdout)
    return told, taken


@pytest.fixture
def tables(make_project, tmp_path: Path) -> Project:
    """Two versions of a table that is one row group, in another order, 1 % changed."""
    project = make_project()
    rng = np.random.default_rng(5)
    before = pl.DataFrame(
        {"id": range(ROWS), "x": rng.normal(size=ROWS), "n": rng.integers(0, 10**6, ROWS),
         "city": rng.choice(["a", "b", "c"], ROWS)}
    ).with_columns(name=pl.format("somebody whose number is {}", "id"))  # fmt: skip
    after = before.with_columns(x=pl.when(pl.col("id") < ROWS // 100).then(pl.col("x") + 3).otherwise("x"))
    new = before.head(500).with_columns(pl.col("id") + ROWS)
    after = pl.concat([after.tail(ROWS - 100), new]).sample(fraction=1, shuffle=True, seed=2)
    for number, table in enumerate((before, after)):
        table.write_parquet(tmp_path / f"{number}.parquet", row_group_size=ROWS)
        project.datasets.commit("t", tmp_path / f"{number}.parquet", key="id")
    return project


def test_a_limit_makes_no_difference_but_to_shifts_which_are_estimates(tables: Project) -> None:
    whole = json.loads(json.dumps(tables.datasets.diff("t@v1", "t@v2").to_dict()))
    assert whole["counts"] == {"added": 500, "removed": 100, "changed": 5_900, "unchanged": 594_000}
    cut, taken = compared_within(600_000_000, tables.root)
    assert taken < 600_000_000
    for name, column in whole["columns"].items():
        there = cut["columns"][name]
        if column["shift"] is not None and column["shift"]["effect"] is not None:
            assert (column["shift"].pop("estimate"), there["shift"].pop("estimate")) == (False, True)
            effects = column["shift"].pop("effect"), there["shift"].pop("effect")
            assert effects[1] == pytest.approx(effects[0], abs=1e-3)
            for shift in (column["shift"], there["shift"]):
                del shift["p_value"], shift["adjusted_p"], shift["distribution"]
        assert there == column
    assert {**cut, "columns": 0} == {**whole, "columns": 0}


def test_nothing_is_set_aside_that_is_not_used(tables: Project) -> None:
    """The allocator of pyarrow would take a gigabyte at once, which a limit counts as if it were used."""
    told, taken = compared_within(4_000_000_000, tables.root)
    assert told["counts"]["changed"] == 5_900
    assert taken < 1_000_000_000


def test_a_limit_that_is_too_small_is_one_line(tables: Project) -> None:
    for limit in (430_000_000, 200_000_000):
        told, _ = compared_within(limit, tables.root)
        assert told["code"] == "failed"
        assert "MB are left of the memory that this process may take" in told["message"]
        assert "ulimit -d" in told["hint"]
