"""Searching runs: the best by a metric with a filter beside MLflow's ``search_runs`` on SQLite; listings.

Equal for both: the same runs (10 parameters, 10 metrics and a tag each, made by the same random numbers and
written straight into the tables), one warm process that asks again and again, every value of the found runs
in the hand of the caller. The two take turns. The filter fits one run in ten. Run by ``benchmarks/runs.py``.
"""

from __future__ import annotations

import json
import os
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from rows import Row

SIZES, QUICK_SIZES = (100, 10_000, 100_000), (20, 200, 400)
ROUNDS, QUICK_ROUNDS = 15, 3
LETTERS = "23456789abcdefghjkmnpqrstuvwxyz"
FILTERS = {
    "parameters.p0 = 0.5": "params.p0 = '0.5'",
    "metrics.m1 < 0.1": "metrics.m1 < 0.1",
    "tags.team = 'a'": "tags.team = 'a'",
}
ACTOR = "benchmark@example.com"
TOML = f'[project]\nname = "benchmark"\n[people]\nadmin = ["{ACTOR}"]\n'
THEIRS = """
import json, sys, time
from mlflow.tracking import MlflowClient
client = MlflowClient("sqlite:///" + sys.argv[1])
experiment = client.create_experiment("churn")
print("ready", flush=True)
for line in sys.stdin:
    where, order, limit = json.loads(line)
    begun = time.perf_counter()
    runs = client.search_runs([experiment], filter_string=where, order_by=order, max_results=limit)
    found = [(run.info.run_id, run.data.params, run.data.metrics, run.data.tags) for run in runs]
    took = time.perf_counter() - begun
    print(json.dumps([took, [metrics["m0"] for _, _, metrics, _ in found]]), flush=True)
"""


def rows(quick: bool, mlflow: str) -> Iterator[Row | str]:
    """Yield the rows; ``mlflow`` is the interpreter that has it, or nothing."""
    sizes, rounds = (QUICK_SIZES, QUICK_ROUNDS) if quick else (SIZES, ROUNDS)
    small, middle, large = sizes
    with tempfile.TemporaryDirectory(prefix="benchmark-", ignore_cleanup_errors=True) as place:
        ours = {size: Ours(Path(place) / f"ours{size}", size) for size in sizes}
        theirs = Theirs(mlflow, Path(place) / "mlflow.sqlite", middle) if mlflow else None
        try:
            yield from _beside(ours[middle], theirs, middle, rounds)
            yield from _growing(ours[middle], ours[large], middle, large, rounds)
            yield from _listing(ours[small], ours[middle], small, middle, rounds)
            yield from _command(ours[middle], middle, quick)
        finally:
            for each in ours.values():
                each.close()
            if theirs:
                theirs.close()


def _beside(ours: Ours, theirs: Theirs | None, size: int, rounds: int) -> Iterator[Row | str]:
    for where, their_where in FILTERS.items():
        took: list[float] = []
        their_took: list[float] = []
        for round_ in range(rounds + 1):
            seconds, found = ours.search(where, "metrics.m0 desc", 50)
            if round_:
                took.append(seconds)
            if theirs and (round_ < 6 or round_ == 0):
                seconds, their_found = theirs.search(their_where, "metrics.m0 DESC", 50)
                if round_:
                    their_took.append(seconds)
                if found != their_found:
                    raise SystemExit(f"{where}: not the same runs as MLflow's")
        job = f"top 50 of {size:,} runs by a metric, {where}"
        yield Row(
            job,
            statistics.median(took),
            statistics.median(their_took) if theirs else None,
            "s",
            None if size < SIZES[1] else 80,
        )


def _growing(middle: Ours, large: Ours, few: int, many: int, rounds: int) -> Iterator[Row]:
    for where in FILTERS:
        one, other = _by_turns(partial(_best, where=where), large, middle, rounds)
        yield Row(f"the same of {many:,} runs, beside {few:,}, {where}", one, other, "s", 2, "at most")
    one, other = _by_turns(partial(_best, where=f"metrics.m1 < {20 / many}"), large, middle, rounds)
    yield Row(f"the same where 20 of {many:,} fit, beside {few:,}", one, other, "s", None, "at most")


def _best(project: Ours, where: str) -> float:
    return project.search(where, "metrics.m0 desc", 50)[0]


def _listing(small: Ours, middle: Ours, few: int, many: int, rounds: int) -> Iterator[Row]:
    limit = min(100, few)
    for order, what in (("metrics.m0 desc", "by a metric"), (None, "the newest")):
        one, other = _by_turns(partial(Ours.leaderboard, order=order, limit=limit), middle, small, rounds)
        job = f"leaderboard, first {limit} rows of {many:,} runs {what}, beside {few:,}"
        yield Row(job, one, other, "s", 1.5, "at most")


def _command(project: Ours, size: int, quick: bool) -> Iterator[str]:
    command = [str(Path(sys.executable).parent / "mlops"), "runs", "list", "--project", str(project.root)]
    command += ["--where", "parameters.p0 = 0.5", "--order", "metrics.m0 desc"]
    took = []
    for _ in range(1 if quick else 5):
        begun = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, env=os.environ | {"MLOPS_ACTOR": ACTOR})
        took.append(time.perf_counter() - begun)
    whole = statistics.median(took) * 1e3
    yield f"the whole command, `mlops runs list --where … --order …` of {size:,} runs: {whole:.0f} ms"


def _by_turns(ask: Callable[[Ours], float], one: Ours, other: Ours, rounds: int) -> tuple[float, float]:
    ask(one), ask(other)
    pairs = [(ask(one), ask(other)) for _ in range(rounds)]
    return statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)


class Ours:
    """A project with so many runs, asked in this process."""

    def __init__(self, root: Path, size: int) -> None:
        from jupyter_mlops.project import init_project

        self.root = root
        root.mkdir()
        (root / "mlops.toml").write_text(TOML, "utf-8")
        self.project = init_project(root, actor=ACTOR)
        runs, parameters, metrics, tags = _made(size)
        with self.project.store.bookkeeping() as tx:
            tx.many(
                "INSERT INTO runs (id, number, experiment, kind, status, host, actor, proof, at, started_at, "
                "ended_at) VALUES (:id, :number, 'churn', 'tracked', 'finished', 'elsewhere', 'benchmark', "
                "'local', :at, :at, :at)",
                [
                    {"id": id, "number": number, "at": f"2026-11-21T10:00:00.{number:06}Z"}
                    for number, id in enumerate(runs, 1)
                ],
            )
            tx.many(
                "INSERT INTO run_parameters (run, name, value, number) VALUES (:run, :name, :value, :number)",
                [{"run": r, "name": n, "value": json.dumps(v), "number": v} for r, n, v in parameters],
            )
            tx.many(
                "INSERT INTO run_metrics (run, name, value, step) VALUES (:run, :name, :value, 0)",
                [{"run": r, "name": n, "value": v} for r, n, v in metrics],
            )
            tx.many(
                "INSERT INTO run_tags (run, name, value) VALUES (:run, :name, :value)",
                [{"run": r, "name": n, "value": v} for r, n, v in tags],
            )

    def search(self, where: str, order: str | None, limit: int) -> tuple[float, list[float]]:
        """Return how long a search took, and the metric of what it found."""
        begun = time.perf_counter()
        runs = self.project.runs.search(where, order, limit)
        found = [(run.id, run.parameters, run.metrics, run.tags) for run in runs]
        return time.perf_counter() - begun, [metrics["m0"] for _, _, metrics, _ in found]

    def leaderboard(self, order: str | None, limit: int) -> float:
        """Return how long it took to find the first rows and to show them."""
        from jupyter_mlops.views import to_html, view

        begun = time.perf_counter()
        runs = self.project.runs.search("", order, limit)
        to_html(view(runs))
        return time.perf_counter() - begun

    def close(self) -> None:
        self.project.close()


class Theirs:
    """MLflow with so many runs in its SQLite file, asked in a process of its own."""

    def __init__(self, python: str, path: Path, size: int) -> None:
        self._process = subprocess.Popen(
            [python, "-c", THEIRS, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._read()
        runs, parameters, metrics, tags = _made(size)
        with sqlite3.connect(path) as connection:
            experiment = connection.execute(
                "SELECT experiment_id FROM experiments WHERE name = 'churn'"
            ).fetchone()[0]
            connection.executemany(
                "INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, "
                "status, start_time, end_time, source_version, lifecycle_stage, artifact_uri, experiment_id) "
                "VALUES (?, ?, 'LOCAL', 'train.ipynb', '', 'ann', 'FINISHED', ?, ?, '', 'active', 'none', ?)",
                [(id, id, 10**12 + at, 10**12 + at + 1, experiment) for at, id in enumerate(runs)],
            )
            connection.executemany(
                "INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)",
                [(name, str(value), run) for run, name, value in parameters],
            )
            for table in ("metrics", "latest_metrics"):
                connection.executemany(
                    f"INSERT INTO {table} (key, value, timestamp, run_uuid, step, is_nan) "
                    "VALUES (?, ?, 0, ?, 0, 0)",
                    [(name, value, run) for run, name, value in metrics],
                )
            connection.executemany(
                "INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)",
                [(name, value, run) for run, name, value in tags],
            )
        connection.close()

    def search(self, where: str, order: str, limit: int) -> tuple[float, list[float]]:
        """Return how long a search took, and the metric of what it found."""
        if self._process.stdin is None:
            raise SystemExit("MLflow's process has no input")
        self._process.stdin.write(json.dumps([where, [order], limit]) + "\n")
        self._process.stdin.flush()
        took, found = json.loads(self._read())
        return float(took), list(found)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()

    def _read(self) -> str:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise SystemExit(f"MLflow's process ended with {self._process.wait()}")
        return line


def _made(
    size: int,
) -> tuple[list[str], list[tuple[str, str, float]], list[tuple[str, str, float]], list[Any]]:
    """Return ids, parameters, metrics and tags of so many runs; the same at every call."""
    drawn = random.Random(7)
    runs = ["".join(drawn.choices(LETTERS, k=8)) for _ in range(size)]
    parameters, metrics, tags = [], [], []
    for run in runs:
        parameters.append((run, "p0", drawn.randrange(1, 11) / 10))
        parameters += [(run, f"p{at}", drawn.random()) for at in range(1, 10)]
        metrics += [(run, f"m{at}", drawn.random()) for at in range(10)]
        tags.append((run, "team", drawn.choice("abcdefghij")))
    return runs, parameters, metrics, tags
