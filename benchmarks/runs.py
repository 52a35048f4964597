"""Runs: sweeps beside papermill, tracking and search beside MLflow, in one run and one table.

Usage: python benchmarks/runs.py [MLFLOW_PYTHON] [--quick] [--only GROUP[,GROUP]…]

MLFLOW_PYTHON is the interpreter of a virtual environment of its own with MLflow 3.17, whose client works
straight on SQLite; without it only our numbers are shown. papermill is the one that this environment has. A
row is OK where ours is at least the asked multiple as fast, or at most the asked multiple as slow. What is
equal for both: the machine at the same time, warm files, no server in between. What is not: a run of ours
keeps what made it (sources, environment, git's state) and chains an event to its history.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from rows import Row, show

GROUPS = {"sweep": "runs_sweep", "tracking": "runs_tracking", "search": "runs_search"}


def main() -> None:
    """Run the groups and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("mlflow", nargs="?", default="", metavar="MLFLOW_PYTHON")
    parser.add_argument("--quick", action="store_true", help="less of everything, to see that it works")
    parser.add_argument("--only", default=",".join(GROUPS), metavar="GROUP[,GROUP]")
    options = parser.parse_args()
    groups = options.only.split(",")
    if unknown := set(groups) - set(GROUPS):
        parser.error(f"no group {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}")
    if options.mlflow and not Path(options.mlflow).is_file():
        parser.error(f"{options.mlflow} is no interpreter")
    os.environ["MLOPS_UPKEEP"] = "off"
    sys.path.insert(0, str(Path(__file__).parent))

    def rows() -> Iterator[Row | str]:
        for group in groups:
            yield from importlib.import_module(GROUPS[group]).rows(options.quick, options.mlflow)

    short = show(rows())
    print(f"short: {', '.join(short)}" if short else "as asked", flush=True)


if __name__ == "__main__":
    main()
