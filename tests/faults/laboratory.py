"""The laboratory: runs stories in children and lets the world end at a moment of one's choice."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

HERE = Path(__file__).parent
CREATE, WRITE, SYNC, NAME, REMOVE, FOLDER, LENGTH = 1, 2, 4, 8, 16, 32, 64


@dataclass(frozen=True)
class Outcome:
    """How a story ended: exit status (negative: the signal), what it told, how many calls were seen."""

    status: int
    told: list[str]
    calls: int
    seconds: float


class Laboratory:
    """One child that waits for orders. With ``library`` it sees every call that changes a file."""

    def __init__(self, library: Path | None) -> None:
        environment = dict(os.environ, MLOPS_UPKEEP="off", TQDM_DISABLE="1", PYTHONDONTWRITEBYTECODE="1")
        environment["PYTHONPATH"] = os.pathsep.join(
            [str(HERE.parents[1]), *filter(None, [environment.get("PYTHONPATH")])]
        )
        if library is not None:
            environment["LD_PRELOAD"] = str(library)
        self._child = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.child"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.sees_calls = bool(self._answer()["ready"])

    def run(self, story: str, root: Path, *, given: dict[str, Any] | None = None, **order: Any) -> Outcome:
        """Run ``story`` on the project at ``root``; ``given`` are arguments of the story.

        ``acks=N, after=SECONDS`` kills it so long after it told its Nth line; ``mode="kill", at=N`` at the
        Nth call; ``mode="fail", at=N, error=ERRNO, sticky=False`` lets that call fail, or all from then on;
        ``mode="record", log=PATH`` writes down every call; ``deaf=TEXT`` skips the syncs of paths that hold
        the text. Calls below ``watched`` count, which is ``root`` where it is not given.
        """
        assert self._child.stdin is not None
        order |= {"story": story, "root": str(root), "given": given or {}}
        print(json.dumps(order), file=self._child.stdin, flush=True)
        return Outcome(**self._answer())

    def close(self) -> None:
        """End the child."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.close()
        self._child.wait(30)
        self._child.stdout.close()

    def __enter__(self) -> Laboratory:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _answer(self) -> dict[str, Any]:
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            raise RuntimeError(f"the laboratory's child ended with status {self._child.wait()}")
        return dict(json.loads(line))


def built(folder: Path) -> Path | str:
    """Compile the library that sees calls; returns where it is, or why it cannot be."""
    if not sys.platform.startswith("linux"):
        return "calls are intercepted with LD_PRELOAD, which is Linux's"
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return "there is no C compiler to build the library that intercepts calls"
    library = folder / "calls.so"
    subprocess.run(
        [compiler, "-O1", "-shared", "-fPIC", "-o", library, HERE / "calls.c", "-lpthread"],
        check=True,
        capture_output=True,
    )
    return library
