"""How long an import takes, ours beside MLflow's, in fresh interpreters, turn by turn.

Usage: python benchmarks/startup.py [PYTHON_WITH_MLFLOW]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

ROUNDS = 7


def seconds(python: str, statement: str) -> float:
    """Return how long ``python`` takes to run ``statement``, beyond starting and stopping."""
    started = time.perf_counter()
    subprocess.run([python, "-c", statement], check=True, stdout=subprocess.DEVNULL)
    whole = time.perf_counter() - started
    started = time.perf_counter()
    subprocess.run([python, "-c", "pass"], check=True)
    return max(whole - (time.perf_counter() - started), 0.0)


def main() -> None:
    peer = sys.argv[1] if len(sys.argv) > 1 else sys.executable
    jobs = {
        "import jupyter_mlops": (sys.executable, "import jupyter_mlops"),
        "mlops --help": (sys.executable, "from jupyter_mlops.cli import run; run(['--help'])"),
        "import mlflow": (peer, "import mlflow"),
    }
    taken: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(ROUNDS):
        for name, (python, statement) in jobs.items():
            taken[name].append(seconds(python, statement))
    medians = {name: statistics.median(times) for name, times in taken.items()}
    for name, median in medians.items():
        print(
            f"{name:24} {median * 1000:9.1f} ms   {median / medians['import mlflow']:7.4f} of import mlflow"
        )


if __name__ == "__main__":
    main()
