"""Doubt: which notebooks may run in a forked kernel, and what is imported for them beforehand.

A fork is as good as a fresh process only if nothing that the notebook does before an import can change what
that import gives. This module reads the notebook for it; what can only be seen when importing, the template
sees. Doubt costs a second or two, a wrong result more.
"""

from __future__ import annotations

import ast
import os
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec

_PACKAGE = "jupyter_mlops"
# what each notebook that tracks itself loads of this package
_OWN = ("jupyter_mlops.project", "jupyter_mlops.runs.tracking.context", "jupyter_mlops.runs.tracker")
_HARMLESS = {
    "matplotlib",
    "load_ext",
    "reload_ext",
    "config",
    "time",
    "timeit",
    "mlops",
    "precision",
    "xmode",
}
_HARMLESS_CELLS = {"time", "timeit", "capture", "html", "markdown", "latex", "svg", "javascript", "js"}
_WATCHED = {
    ("os", "environ"),
    ("os", "putenv"),
    ("os", "unsetenv"),
    ("os", "chdir"),
    ("os", "system"),
    ("os", "fork"),
    ("sys", "path"),
    ("sys", "modules"),
    ("sys", "meta_path"),
    ("sys", "path_hooks"),
    ("importlib", "reload"),
    ("importlib", "invalidate_caches"),
    ("logging", "captureWarnings"),
}
_WATCHED_MODULES = {"warnings", "subprocess", "site", "dotenv", "ctypes", "locale", "builtins"}


@dataclass(frozen=True, slots=True)
class Reading:
    """What a template imports for a notebook, or ``why`` there is none for it.

    ``seeded`` is set where the notebook seeds random generators before its last import.
    """

    modules: tuple[str, ...] = ()
    why: str = ""
    seeded: bool = False


def read(codes: Sequence[str]) -> Reading:
    """Return what can be imported before the cells ``codes`` run, or why they must not be warm."""
    if sys.platform != "linux" or not hasattr(os, "pidfd_open"):
        return Reading(why="kernels are forked on Linux only")
    cells = [_Cell(code) for code in codes]
    last = max((at for at, cell in enumerate(cells) if cell.imports), default=-1)
    seeded = False
    for at, cell in enumerate(cells[: last + 1]):
        until = cell.imports[-1].lineno if at == last else None
        seeded |= cell.seeds
        if what := cell.touches(until):
            return Reading(why=f"the notebook uses {what} before its last import")
    found: dict[str, None] = {}
    for cell in cells:
        for node in cell.first_imports:
            found |= dict.fromkeys(_installed_modules(node))
    return Reading(tuple(found), seeded=seeded)


class _Cell:
    """One code cell, read as Python with the lines that only IPython understands taken out."""

    def __init__(self, code: str) -> None:
        self._lines = code.splitlines()
        first = next((at for at, line in enumerate(self._lines) if line.strip()), None)
        self._magics: list[tuple[int, str]] = []
        self._cell_magic = ""
        if first is not None and self._lines[first].startswith("%%"):
            self._cell_magic = self._lines[first][2:].split(" ")[0].strip()
            self._lines[first] = ""
        for at, line in enumerate(self._lines):
            bare = line.strip()
            if bare.startswith(("%", "!", "?")) or bare.endswith("?"):
                self._magics.append((at + 1, bare))
                self._lines[at] = line[: len(line) - len(line.lstrip())] + "pass"
        self._broken = False
        python = not self._cell_magic or self._cell_magic in ("time", "timeit", "capture")
        try:
            self._tree = ast.parse("\n".join(self._lines) if python else "")
        except (SyntaxError, ValueError, RecursionError):
            # such as `files = !ls`: what it does is not known here
            self._tree, self._broken = ast.Module([], []), "import" in code
        self.imports = [node for node in _outside_functions(self._tree) if _is_import(node)]
        self.imports.sort(key=lambda node: node.lineno)

    @property
    def first_imports(self) -> list[ast.stmt]:
        """The imports that are executed whatever happens: not those below an ``if``."""
        found: list[ast.stmt] = []
        for node in self._tree.body:
            found += [
                each for each in (node.body if isinstance(node, ast.Try) else [node]) if _is_import(each)
            ]
        return found

    @property
    def seeds(self) -> bool:
        """Whether something is called here that sounds like the seeding of a generator."""
        called = [node.func for node in ast.walk(self._tree) if isinstance(node, ast.Call)]
        names = [getattr(func, "attr", getattr(func, "id", "")) for func in called]
        return any("seed" in name or name in ("setstate", "set_state") for name in names)

    def touches(self, until: int | None) -> str:
        """Return what is used here, up to a line, that can change what an import gives."""
        if self._broken:
            return "what cannot be read as Python"
        if self._cell_magic and self._cell_magic not in _HARMLESS_CELLS:
            return f"%%{self._cell_magic}"
        for line, magic in self._magics:
            word = magic.lstrip("%").split(" ")[0]
            if until is not None and line > until:
                continue
            if magic.startswith("!"):
                return "a shell command"
            if magic.startswith("%") and word not in _HARMLESS:
                return f"%{word}"
        for node in ast.walk(self._tree):
            early = until is None or getattr(node, "lineno", 0) <= until
            if early and (what := _touched(node)):
                return what
        return ""


def _is_import(node: ast.AST) -> bool:
    return isinstance(node, ast.Import) or (isinstance(node, ast.ImportFrom) and node.module != "__future__")


def _outside_functions(tree: ast.Module) -> Iterator[ast.stmt]:
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.stmt):
            yield node
        waiting += ast.iter_child_nodes(node)


def _touched(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        pair = (node.value.id, node.attr)
        if pair in _WATCHED:
            return ".".join(pair)
        if node.value.id in _WATCHED_MODULES:
            return node.value.id
    if isinstance(node, ast.ImportFrom) and node.module:
        if node.module.partition(".")[0] in _WATCHED_MODULES:
            return node.module
        for alias in node.names:
            if (node.module, alias.name) in _WATCHED:
                return f"{node.module}.{alias.name}"
    if isinstance(node, ast.Import):
        for alias in node.names:
            top = alias.name.partition(".")[0]
            # under another name its uses would not be seen
            if alias.asname and (top in _WATCHED_MODULES or top in {"os", "sys", "importlib"}):
                return alias.name
    if isinstance(node, ast.Name) and node.id in ("exec", "eval", "get_ipython", "__import__"):
        return node.id
    return ""


def _installed_modules(node: ast.stmt) -> list[str]:
    """Return the modules of installed distributions that an import statement loads."""
    names: list[str] = []
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names if alias.name != "*")]
    if not names:
        return []
    top = names[0].partition(".")[0]
    if top == _PACKAGE:
        return [_PACKAGE, *_OWN]
    found = []
    for name in names:
        if _is_installed(name.partition(".")[0]) and _is_module(name):
            found.append(name)
    return found


def _is_installed(top: str) -> bool:
    spec = _spec(top)
    if spec is None:
        return False
    places = [spec.origin] if spec.origin else list(spec.submodule_search_locations or ())
    return any(place and place.startswith(f"{root}{os.sep}") for place in places for root in _roots())


@cache
def _roots() -> frozenset[str]:
    return frozenset(sysconfig.get_path(name) for name in ("purelib", "platlib"))


def _is_module(name: str) -> bool:
    """Return whether ``name`` is a module, looked up in folders: nothing is imported to find out."""
    top, *rest = name.split(".")
    spec = _spec(top)
    if not rest:
        return spec is not None
    folders = list(spec.submodule_search_locations or ()) if spec else []
    for part in rest[:-1]:
        folders = [os.path.join(folder, part) for folder in folders]
    # a folder without __init__.py is found too, but what is no package has nothing to load
    found = PathFinder.find_spec(rest[-1], folders)
    return found is not None and found.origin is not None


def _spec(top: str) -> ModuleSpec | None:
    try:
        return find_spec(top)
    except (ImportError, ValueError):
        return None
