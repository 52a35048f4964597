"""Versions of data: the `mlops data` commands beside DVC's on the same files, turn by turn, in one run.

Usage: python benchmarks/datasets.py [DVC] [--repeat N] [--quick] [--only GROUP[,GROUP]…] [--folder FOLDER]

DVC is the command of a DVC 3.67 in a virtual environment of its own; without it only our times are shown.
Every time is of a whole command, from the start of its process to its end, and the median of N rounds, each
with a fresh project; the two take turns at being first. A row is OK where ours is at most the asked multiple
of the other. Peak memory is the largest resident set of our process.

What is equal for both: the files, which lie warm in the page cache, a disk whose dirty pages were written out
(`sync`) before every command, no analytics, no network. What is not: ours verifies what it wrote and makes it
durable (fsync) before it says so, DVC does neither. Our background upkeep is off (MLOPS_UPKEEP=off), so what
it would do later never runs beside a timed command; the job "describe" times that work by itself.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import tables

MLOPS = str(Path(sys.executable).parent / "mlops")
OURS, THEIRS = "ours", "DVC"
MB = 1e6


@dataclass(frozen=True)
class Sizes:
    """How much data the jobs get."""

    files: int
    csv: int
    rows: int
    wide: tuple[int, int]
    long: int
    edited: int
    versions: tuple[int, ...]


FULL = Sizes(20_000, 1 << 30, 2_150_000, (400, 500_000), 10_000_000, 240_000, (10, 100, 1_000))
QUICK = Sizes(400, 8 << 20, 20_000, (40, 20_000), 50_000, 10_000, (2, 5))


@dataclass(frozen=True)
class Took:
    """One finished command: its wall-clock seconds and the largest resident set of its process in bytes."""

    seconds: float
    peak: float


class Shown:
    """The table that grows as jobs finish."""

    def __init__(self) -> None:
        self.short: list[str] = []
        print(f"{'job':58} {'ours':>9} {'other':>9} {'ratio':>7} {'asked':>8} {'':5} {'peak MB':>8}")

    def row(
        self,
        job: str,
        ours: float,
        other: float | None,
        unit: str,
        asked: float | None,
        peak: float | None = None,
    ) -> None:
        """Print one line; ``asked`` is the largest allowed ratio of ours to the other."""
        ratio = ours / other if other else None
        verdict = ""
        if asked is not None and ratio is not None:
            verdict = "OK" if ratio <= asked else "short"
            if verdict == "short":
                self.short.append(job)
        compared = "–" if ratio is None else f"{ratio:.3f}"
        figures = f"{_number(ours, unit):>9} {_number(other, unit):>9} {compared:>7}"
        bound = "" if asked is None else f"≤ {asked:g}"
        memory = "" if peak is None else f"{peak / MB:.0f}"
        print(f"{job:58} {figures} {bound:>8} {verdict:5} {memory:>8}", flush=True)

    def note(self, text: str) -> None:
        """Print a line that is no row."""
        print(text, flush=True)


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return "–"
    return f"{value:.2f} s" if unit == "s" else f"{value / MB:.2f} MB"


class CommandFailed(Exception):
    """A command that was to be timed ended with an error."""


class Runner:
    """A small process that starts the commands and times them.

    The kernel counts to a command's peak memory that of the process which started it, until it runs: this
    one holds tables.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", RUNNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, command: list[str], folder: Path, environment: dict[str, str]) -> Took:
        """Run ``command`` in ``folder`` after all dirty pages are on the disk, and return what it took."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([command, str(folder), environment]), file=self._process.stdin, flush=True)
        status, seconds, peak, said = json.loads(self._process.stdout.readline())
        if status:
            raise CommandFailed(f"{' '.join(command)} failed:\n{said[-2000:]}")
        return Took(seconds, peak)


RUNNER = """
import json, os, subprocess, sys, tempfile, time
for line in sys.stdin:
    command, folder, environment = json.loads(line)
    os.sync()
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL,
                                   stdout=output, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        said = output.read().decode(errors="replace")
    print(json.dumps([process.returncode, seconds, used.ru_maxrss * 1024, said]), flush=True)
"""


class Side:
    """A fresh project of ours, or a fresh repository of DVC's, with a folder for data inside."""

    def __init__(self, kind: str, folder: Path, dvc: str, runner: Runner) -> None:
        self.kind, self.folder, self.dvc, self.runner = kind, folder, dvc, runner
        folder.mkdir(parents=True)
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("MLOPS_", "DVC_"))}
        if kind == OURS:
            self.environment = plain | {"MLOPS_UPKEEP": "off", "MLOPS_ACTOR": "benchmark"}
            self.run("init")
            return
        state = folder.with_name(folder.name + "-state")
        self.environment = plain | {
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(state / "site"),
            "DVC_GLOBAL_CONFIG_DIR": str(state / "global"),
            "DVC_SYSTEM_CONFIG_DIR": str(state / "system"),
        }
        subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
        self.run("init", "--quiet")
        for setting in (("core.analytics", "false"), ("core.check_update", "false")):
            self.run("config", *setting)

    def run(self, *arguments: str) -> Took:
        """Run one command of this side."""
        return self.runner.run(
            [MLOPS if self.kind == OURS else self.dvc, *arguments], self.folder, self.environment
        )

    def python(self, code: str, *arguments: str) -> Took:
        """Run a script in our interpreter."""
        return self.runner.run([sys.executable, "-c", code, *arguments], self.folder, self.environment)

    def add(self, name: str) -> Took:
        """Make what is at ``name`` the next version."""
        if self.kind == OURS:
            return self.run("data", "commit", Path(name).stem, name)
        return self.run("add", "--quiet", name)

    def checkout(self, name: str, *flags: str) -> Took:
        """Bring back what was removed at ``name``."""
        if self.kind == OURS:
            return self.run("data", "checkout", Path(name).stem, "--to", name, *flags)
        return self.run("checkout", "--quiet", f"{name}.dvc")

    def link(self, name: str) -> Took:
        """Bring back what was removed at ``name`` as links to read-only bytes, made once before this."""
        if self.kind == OURS:
            self.checkout(name, "--link")
            removed(self.folder / name)
            return self.checkout(name, "--link")
        self.run("config", "cache.type", "hardlink")
        return self.checkout(name)

    def stored(self) -> int:
        """Return how many bytes the kept versions take."""
        folder = self.folder / (".mlops/objects/packs" if self.kind == OURS else ".dvc/cache")
        return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def removed(path: Path) -> None:
    """Remove what a checkout is to bring back."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


class Bench:
    """The jobs, each of which prints its rows."""

    def __init__(self, folder: Path, sizes: Sizes, rounds: int, dvc: str, pause: float) -> None:
        self.folder, self.sizes, self.rounds, self.dvc, self.pause = folder, sizes, rounds, dvc, pause
        self.runner = Runner()
        self.real = tables.departures()
        self.shown = Shown()

    def side(self, kind: str, folder: Path) -> Side:
        """Return a fresh side."""
        return Side(kind, folder, self.dvc, self.runner)

    def clear(self) -> None:
        """Remove what a job left that did not come to its end."""
        for path in self.folder.iterdir():
            removed(path)

    def settle(self) -> None:
        """Wait until files written just now are older than the seconds that a stat cache must distrust."""
        time.sleep(self.pause)

    def sides(self, each: Callable[[Side, dict[str, Took]], None]) -> tuple[dict[str, list[Took]], ...]:
        """Call ``each`` with a fresh side of ours and of DVC's, by turns, and return what was noted."""
        noted: dict[str, dict[str, list[Took]]] = {OURS: {}, THEIRS: {}}
        kinds = [OURS, THEIRS] if self.dvc else [OURS]
        for number in range(self.rounds):
            for kind in kinds[:: -1 if number % 2 else 1]:
                place = self.folder / f"{kind}-{number}"
                took: dict[str, Took] = {}
                each(self.side(kind, place), took)
                for job, one in took.items():
                    noted[kind].setdefault(job, []).append(one)
                shutil.rmtree(place)
        return noted[OURS], noted[THEIRS]

    def compare(
        self, jobs: dict[str, tuple[str, float | None]], each: Callable[[Side, dict[str, Took]], None]
    ) -> None:
        """Run ``each`` on both sides and print a row for every job: its title and the asked ratio."""
        ours, theirs = self.sides(each)
        for job, (title, asked) in jobs.items():
            self.shown.row(
                title,
                _median(ours[job]),
                _median(theirs[job]) if job in theirs else None,
                "s",
                asked,
                max(one.peak for one in ours[job]),
            )

    def small(self) -> None:
        """Many small files."""
        made = self.folder / "made"
        tables.write_small_files(self.real, made, self.sizes.files)
        files = f"{self.sizes.files:,} files of 4 KiB"

        def each(side: Side, took: dict[str, Took]) -> None:
            data = side.folder / "files"
            shutil.copytree(made, data)
            self.settle()
            took["first"] = side.add("files")
            self.settle()
            took["same"] = side.add("files")
            victim = sorted(data.rglob("*.txt"))[self.sizes.files // 2]
            replaced(victim, victim.read_bytes()[::-1])
            self.settle()
            took["one"] = side.add("files")
            removed(data)
            took["checkout"] = side.checkout("files")

        self.compare(
            {
                "first": (f"first commit of {files}", 0.25),
                "same": ("the same again, unchanged", 0.25),
                "one": ("the same again, one file of them changed", 0.25),
                "checkout": (f"checkout of the {files}", 0.5),
            },
            each,
        )
        removed(made)

    def big(self) -> None:
        """One big CSV file."""
        made = self.folder / "flights.csv"
        tables.write_csv(self.real, made, self.sizes.csv)
        size = f"{made.stat().st_size / 2**20:,.0f} MiB CSV"

        def each(side: Side, took: dict[str, Took]) -> None:
            data = side.folder / made.name
            shutil.copyfile(made, data)
            self.settle()
            took["first"] = side.add(made.name)
            if side.kind == OURS:
                took["describe"] = side.run("data", "show", "flights")
            removed(data)
            took["checkout"] = side.checkout(made.name)
            removed(data)
            took["link"] = side.link(made.name)

        self.compare(
            {
                "first": (f"first commit of a {size}", 1.0),
                "describe": ("  its rows, types and profiles, once, at first need", None),
                "checkout": (f"checkout of the {size}", 3.0),
                "link": ("the same by --link (DVC: cache.type hardlink)", 1.0),
            },
            each,
        )
        removed(made)

    def next(self) -> None:
        """The next version of a CSV file with rows inserted in its middle."""
        before, after = (tables.text_of(table) for table in tables.inserted(self.real, self.sizes.rows))
        grown: dict[str, list[int]] = {OURS: [], THEIRS: []}

        def each(side: Side, took: dict[str, Took]) -> None:
            data = side.folder / "flights.csv"
            data.write_bytes(before)
            side.add(data.name)
            stored = side.stored()
            replaced(data, after)
            self.settle()
            took["next"] = side.add(data.name)
            grown[side.kind].append(side.stored() - stored)

        title = f"next version of a {len(before) / MB:.0f} MB CSV, 1 % of rows inserted mid-file"
        self.compare({"next": (title, 0.5)}, each)
        theirs = statistics.median(grown[THEIRS]) if grown[THEIRS] else None
        self.shown.row("  bytes that it adds", statistics.median(grown[OURS]), theirs, "B", 0.03)

    def seven(self) -> None:
        """Seven versions of one table, and what they take after ``compact``."""
        ours = self.side(OURS, self.folder / "ours")
        theirs = self.side(THEIRS, self.folder / "theirs") if self.dvc else None
        took: dict[str, list[float]] = {OURS: [], THEIRS: []}
        for number, (_, table) in enumerate(tables.history(self.real, self.sizes.rows)):
            text = tables.text_of(table)
            sides = [side for side in (ours, theirs) if side is not None]
            for side in sides[:: -1 if number % 2 else 1]:
                replaced(side.folder / "flights.csv", text)
                self.settle()
                took[side.kind].append(side.add("flights.csv").seconds)
        size = f"{len(text) / MB:.0f} MB CSV"
        self.shown.row(
            f"seven versions of a {size}, the seven commits",
            sum(took[OURS]),
            sum(took[THEIRS]) or None,
            "s",
            None,
        )
        plain, other = ours.stored(), theirs.stored() if theirs else None
        self.shown.row("  bytes of the seven as committed", plain, other, "B", None)
        compacted = ours.run("data", "compact")
        self.shown.row("  mlops data compact", compacted.seconds, None, "s", None, compacted.peak)
        self.shown.row("  bytes of the seven after compact", ours.stored(), other, "B", 0.1)
        text_again = ours.folder / "again.csv"
        checked = ours.run("data", "checkout", "flights", "--to", text_again.name)
        if text_again.read_bytes() != text:
            raise SystemExit("the last of the seven versions came back different")
        self.shown.row(
            "  checkout of the last one from its deltas", checked.seconds, None, "s", None, checked.peak
        )
        for side in (ours, theirs):
            if side is not None:
                shutil.rmtree(side.folder)

    def wide(self) -> None:
        """One column of a wide Parquet file."""
        columns, rows = self.sizes.wide
        made = self.folder / "wide.parquet"
        tables.write_wide(self.real, made, columns, rows)
        name = f"feature_{columns // 2:03}"

        def each(side: Side, took: dict[str, Took]) -> None:
            data = side.folder / made.name
            shutil.copyfile(made, data)
            self.settle()
            side.add(made.name)
            removed(data)
            if side.kind == OURS:
                took["column"] = side.python(LOAD_COLUMN, name)
                took["whole"] = side.python(LOAD_WHOLE)
                took["checkout"] = side.checkout(made.name)
                removed(data)
            else:
                took["checkout"] = side.checkout(made.name)
            read = side.python(READ_WHOLE) if data.exists() else None
            if read is not None:
                took["read"] = Took(took["checkout"].seconds + read.seconds, read.peak)

        ours, theirs = self.sides(each)
        size = made.stat().st_size / 2**20
        asked = _median(theirs["read"]) if theirs else None
        title = f"load() of one of {columns} columns, {size:,.0f} MiB Parquet"
        self.shown.row(
            title, _median(ours["column"]), asked, "s", 0.1, max(one.peak for one in ours["column"])
        )
        self.shown.note("  (other: dvc checkout, then pandas reads the file)")
        self.shown.row(
            "  load() of all of it",
            _median(ours["whole"]),
            asked,
            "s",
            None,
            max(one.peak for one in ours["whole"]),
        )
        removed(made)

    def diff(self) -> None:
        """A keyed comparison of two long tables, beside polars full joins of the same two files."""
        paths = before, after, shuffled = [
            self.folder / f"{name}.parquet" for name in ("before", "after", "shuffled")
        ]
        tables.write_long_pair(before, after, shuffled, self.sizes.long)
        side = self.side(OURS, self.folder / "ours")
        for name, path in (("same", before), ("same", after), ("mixed", before), ("mixed", shuffled)):
            shutil.copyfile(path, side.folder / f"{name}.parquet")
            side.run("data", "commit", name, f"{name}.parquet", "--key", "id")
        for name, path, title in (
            ("same", after, "rows in the same order"),
            ("mixed", shuffled, "rows in another order"),
        ):
            taken: dict[str, list[Took]] = {"diff": [], "join": [], "streaming": []}
            for _ in range(self.rounds):
                taken["diff"].append(side.run("data", "diff", f"{name}@v1", f"{name}@v2", "--key", "id"))
                taken["join"].append(side.python(FULL_JOIN, str(before), str(path), "plain"))
                taken["streaming"].append(side.python(FULL_JOIN, str(before), str(path), "streaming"))
            rows = f"{self.sizes.long:,}"
            self.shown.row(
                f"keyed diff, two tables of {rows} rows, {title}",
                _median(taken["diff"]),
                _median(taken["join"]),
                "s",
                1.2,
                max(one.peak for one in taken["diff"]),
            )
            self.shown.row(
                "  the same beside polars' streaming engine",
                _median(taken["diff"]),
                _median(taken["streaming"]),
                "s",
                None,
            )
        self.shown.note(
            "  (other: a plain polars full join, read_parquet and DataFrame.join on its default "
            "engine, that counts added, removed and changed; below it a lazy query on the streaming engine)"
        )
        limited = side.python(UNDER_A_LIMIT, MLOPS, "data", "diff", "mixed@v1", "mixed@v2", "--key", "id")
        self.shown.row(
            "  the same, in another order, with 10^9 bytes of data allowed",
            limited.seconds,
            None,
            "s",
            None,
            limited.peak,
        )
        shutil.rmtree(side.folder)
        for path in paths:
            removed(path)

    def remote(self) -> None:
        """Push to a folder and pull from it."""
        made = self.folder / "flights.csv"
        tables.write_csv(self.real, made, self.sizes.csv)
        size = f"{made.stat().st_size / 2**20:,.0f} MiB CSV"

        def each(side: Side, took: dict[str, Took]) -> None:
            shared, data = side.folder / "shared", side.folder / made.name
            shared.mkdir()
            shutil.copyfile(made, data)
            self.settle()
            side.add(made.name)
            if side.kind == OURS:
                side.run("data", "remote", "add", "shared", str(shared))
                took["push"] = side.run("data", "push", "flights", "--remote", "shared")
                other = self.side(OURS, side.folder / "clone")
                other.run("data", "remote", "add", "shared", str(shared))
                took["pull"] = other.run("data", "pull", "flights", "--remote", "shared")
                return
            side.run("remote", "add", "--default", "shared", str(shared))
            took["push"] = side.run("push", "--quiet")
            shutil.rmtree(side.folder / ".dvc" / "cache")
            took["pull"] = side.run("fetch", "--quiet")

        self.compare(
            {
                "push": (f"push of the {size} to a folder", None),
                "pull": ("pull of it into another project (DVC: fetch)", None),
            },
            each,
        )
        removed(made)

    def scaling(self) -> None:
        """Whether cost grows with what changed or with what is there."""
        side = self.side(OURS, self.folder / "ours")
        data = side.folder / "flights.csv"
        lines = tables.text_of(tables.flights(self.real, self.sizes.edited)).splitlines(keepends=True)
        size = sum(map(len, lines)) / MB
        self.shown.note(f"\nVersions of a {size:.0f} MB CSV, 20 neighbouring rows changed in each:")
        titles = ("commit", "checkout", "diff of 2", "list", "added", "stored")
        self.shown.note(f"{'versions there':>14}" + "".join(f"{title:>10}" for title in titles))
        number = 0
        for wanted in self.sizes.versions:
            edits = wanted - number - self.rounds
            if edits > 0:
                side.python(COMMIT_EDITS, str(number), str(edits), data.name, str(self.sizes.edited))
                number += edits
            if not number:
                raise SystemExit("more rounds than versions")
            lines = data.read_bytes().splitlines(keepends=True)
            taken: dict[str, list[Took]] = {name: [] for name in ("commit", "checkout", "diff", "list")}
            before = side.stored()
            for _ in range(self.rounds):
                number += 1
                tables.edited(lines, number)
                replaced(data, b"".join(lines))
                self.settle()
                taken["commit"].append(side.add(data.name))
                taken["checkout"].append(
                    side.run("data", "checkout", f"flights@v{number - 1}", "--to", "out.csv")
                )
                removed(side.folder / "out.csv")
                taken["diff"].append(
                    side.run("data", "diff", f"flights@v{number - 1}", f"flights@v{number}", "--key", "id")
                )
                taken["list"].append(side.run("data", "list"))
            times = "".join(f"{_median(one):>8.2f} s" for one in taken.values())
            added = (side.stored() - before) / self.rounds / 1e3
            self.shown.note(f"{number:>14,}{times}{added:>7.0f} KB{side.stored() / MB:>7.1f} MB")
        shutil.rmtree(side.folder)


LOAD_COLUMN = """
import sys, jupyter_mlops as mlops
with mlops.open() as project:
    project.datasets.get("wide").load(columns=[sys.argv[1]])
"""
LOAD_WHOLE = """
import jupyter_mlops as mlops
with mlops.open() as project:
    project.datasets.get("wide").load()
"""
READ_WHOLE = """
import pandas
pandas.read_parquet("wide.parquet")
"""
FULL_JOIN = """
import sys
import polars as pl
before, after, engine = sys.argv[1:]
names = ("customer", "amount", "channel", "score")
read = pl.scan_parquet if engine == "streaming" else pl.read_parquet
joined = read(before).join(read(after), on="id", how="full", suffix="_after")
changed = [(pl.col(name) != pl.col(f"{name}_after")).sum().alias(name) for name in names]
only = [pl.col(name).is_null().sum() for name in ("id", "id_after")]
counted = joined.select(*only, *changed)
print(counted.collect(engine="streaming") if engine == "streaming" else counted)
"""
UNDER_A_LIMIT = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_DATA, (10**9, 10**9))
os.execv(sys.argv[1], sys.argv[1:])
"""
COMMIT_EDITS = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
import jupyter_mlops as mlops, tables
first, edits, name, rows = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
lines = (
    name.read_bytes() if first else tables.text_of(tables.flights(tables.departures(), rows))
).splitlines(keepends=True)
with mlops.open() as project:
    for number in range(first + 1, first + edits + 1):
        tables.edited(lines, number)
        name.write_bytes(b"".join(lines))
        project.datasets.commit("flights", name)
"""


def replaced(path: Path, content: bytes) -> None:
    """Put a new file with ``content`` in place of the one at ``path``, which may be a link."""
    temporary = path.with_name(path.name + ".new")
    temporary.write_bytes(content)
    temporary.replace(path)


def _median(taken: list[Took]) -> float:
    return statistics.median(one.seconds for one in taken)


def main() -> None:
    groups = ("small", "big", "next", "seven", "wide", "diff", "remote", "scaling")
    parser = argparse.ArgumentParser(description="Times the dataset store beside DVC.")
    parser.add_argument(
        "dvc", nargs="?", default="", help="the dvc command, in a virtual environment of its own"
    )
    parser.add_argument("--repeat", type=int, default=3, help="rounds of every job; the median counts")
    parser.add_argument(
        "--quick", action="store_true", help="small data: shows that it runs, not how fast it is"
    )
    parser.add_argument("--only", default=",".join(groups), help=f"jobs: {', '.join(groups)}")
    parser.add_argument(
        "--folder", type=Path, default=Path(), help="on the disk to be measured (10 GB are needed)"
    )
    arguments = parser.parse_args()
    chosen = arguments.only.split(",")
    if unknown := set(chosen) - set(groups):
        parser.error(f"no such job: {', '.join(sorted(unknown))}")
    dvc = str(Path(arguments.dvc).absolute()) if arguments.dvc else ""
    started = time.perf_counter()
    rounds = 1 if arguments.quick else arguments.repeat
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=arguments.folder) as folder:
        print(*described(dvc, rounds), sep="\n", end="\n\n")
        sizes, pause = (QUICK, 0.0) if arguments.quick else (FULL, 2.1)
        bench = Bench(Path(folder).resolve(), sizes, rounds, dvc, pause)
        for group in chosen:
            try:
                getattr(bench, group)()
            except CommandFailed as error:
                bench.shown.short.append(f"{group} (failed)")
                bench.shown.note(str(error))
            bench.clear()
    missed = f"short: {'; '.join(bench.shown.short)}" if bench.shown.short else "no row is short"
    print(f"\n{missed}; {time.perf_counter() - started:.0f} s in all")
    if any(job.endswith("(failed)") for job in bench.shown.short):
        raise SystemExit(1)


def described(dvc: str, rounds: int) -> Iterator[str]:
    """Yield the lines that say what was measured, and how."""
    version = (
        subprocess.run([dvc, "--version"], capture_output=True, text=True).stdout.strip()
        if dvc
        else "not given"
    )
    yield f"DVC {version}; {os.cpu_count()} cores; whole commands, ours and DVC's by turns"
    yield f"times are medians of {rounds} rounds"
    yield "both: files warm in the page cache, disk idle (sync) before each command, no analytics"
    yield "ours: fsync and verification on, MLOPS_UPKEEP=off in timed parts; DVC: its defaults, no fsync"
    yield "ratio: ours to the other, smaller is better; data: real flights redrawn with noise (see tables.py)"


if __name__ == "__main__":
    main()
