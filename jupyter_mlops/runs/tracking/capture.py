"""What a run was made of: git state, interpreter and distributions, the project's own source files.

Called where the code runs: in the tracked process, or in the notebook's kernel at its end. No value of an
environment variable is kept.
"""

from __future__ import annotations

import ast
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from .installed import distributions


@dataclass(frozen=True, slots=True)
class GitState:
    """The commit of the working copy, and whether files differ from it; ``None`` where there is no git."""

    commit: str | None = None
    dirty: bool | None = None


def git_state(root: Path) -> GitState:
    """Return the commit checked out in ``root`` and whether anything below it differs."""
    commit = _git(root, "rev-parse", "--verify", "HEAD")
    if commit is None:
        return GitState()
    changes = _git(root, "--no-optional-locks", "status", "--porcelain", "--", ".")
    return GitState(commit, None if changes is None else bool(changes))


def git_folder(root: Path) -> Path | None:
    """Return where git keeps its files for the working copy at ``root``; ``None`` without git."""
    folder = _git(root, "rev-parse", "--absolute-git-dir")
    return None if folder is None else Path(folder)


def environment() -> dict[str, Any]:
    """Return the interpreter, the platform and the installed distributions.

    ``hashing`` says whether texts have the same hash in every process, and so sets the same order.
    """
    return {
        **_machine(),
        "executable": sys.executable,
        "hashing": "fixed" if _hashes_are_fixed() else "random",
        "distributions": distributions(),
    }


@cache
def _machine() -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
    }


def _hashes_are_fixed() -> bool:
    fixed = os.environ.get("PYTHONHASHSEED", "random") not in ("", "random")
    return fixed or not sys.flags.hash_randomization


def imported_sources(codes: Iterable[str], folder: Path, root: Path) -> list[str]:
    """Return the project's own source files that ``codes`` would import, found without executing anything.

    For notebooks whose kernel is gone and cannot be asked.
    """
    found: set[Path] = set()
    waiting = [(code, folder) for code in codes]
    while waiting:
        code, place = waiting.pop()
        for name, level in _imports(code):
            base = place
            for _ in range(level - 1):
                base = base.parent
            for start in {base} if level else {folder, root}:
                for file in _module_files(start, name):
                    if file not in found:
                        found.add(file)
                        waiting.append((_text(file), file.parent))
    return _own(found, root)


def report(target: str) -> None:
    """Write the environment to the file ``target``; evaluated in the notebook's kernel."""
    Path(target).write_text(json.dumps(environment()), "utf-8")


def _own(files: Iterable[Path], root: Path) -> list[str]:
    prefixes = [Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve()]
    foreign = [prefix for prefix in prefixes if not root.is_relative_to(prefix)]
    found = set()
    for file in files:
        path = file.resolve()
        if path.suffix != ".py" or not path.is_relative_to(root) or not path.is_file():
            continue
        below = path.relative_to(root)
        if "site-packages" in below.parts or any(part.startswith(".") for part in below.parts):
            continue
        if not any(path.is_relative_to(prefix) for prefix in foreign):
            found.add(below.as_posix())
    return sorted(found)


def _imports(code: str) -> list[tuple[str, int]]:
    try:
        tree = ast.parse(without_magics(code))
    except SyntaxError:
        return []
    found: list[tuple[str, int]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, 0) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            found.append((module, node.level))
            found += [(f"{module}.{alias.name}".strip("."), node.level) for alias in node.names]
    return found


def without_magics(code: str) -> str:
    """Return ``code`` with the lines that only IPython understands left empty, for Python to parse."""
    if code.lstrip().startswith("%%"):
        return ""
    lines = ["" if line.lstrip().startswith(("%", "!", "?")) else line for line in code.splitlines()]
    return "\n".join(lines)


def _module_files(start: Path, name: str) -> list[Path]:
    found: list[Path] = []
    place = start
    for part in name.split(".") if name else []:
        place = place / part
        found += [file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file()]
    return found


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _git(root: Path, *words: str) -> str | None:
    try:
        answer = subprocess.run(
            ["git", *words],  # noqa: S607 the user's own git, as their shell finds it
            cwd=root,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None
