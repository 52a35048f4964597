"""The notebook to execute, read once, with what it declares. Used by ``execute`` and ``resume``."""

from __future__ import annotations

import ast
import io
import json
import os
import re
import tokenize
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import BadInput, NotFound, SourceChanged, close_matches
from ..plain import storable
from ..tracking.capture import without_magics

TAG = "parameters"
_DATASET = re.compile(r"#\s*dataset\b")
_TYPE = re.compile(r"#\s*type:\s*([^\s#]+)")
_WORDS = {"int", "float", "bool", "str", "list", "dict"}
_ALIKE = {
    "List": "list",
    "Sequence": "list",
    "tuple": "list",
    "Tuple": "list",
    "Dict": "dict",
    "Mapping": "dict",
}
UNKNOWN: Any = object()


@dataclass(frozen=True, slots=True)
class Parameter:
    """One declared parameter. ``type`` is empty where neither annotation nor default tells it.

    ``default`` is ``UNKNOWN`` where it is computed. ``dataset`` is set by a comment ``# dataset`` behind it.
    """

    name: str
    type: str = ""
    optional: bool = False
    default: Any = UNKNOWN
    dataset: bool = False


@dataclass(frozen=True, slots=True)
class Notebook:
    """A notebook as it was when it was read.

    ``parameters`` is ``None`` where no cell is tagged ``parameters``. ``overwritten`` are the names that a
    further cell with that tag assigns.
    """

    name: str
    data: bytes = field(repr=False)
    kernel: str
    codes: tuple[str, ...] = field(repr=False)
    parameters: Mapping[str, Parameter] | None
    overwritten: frozenset[str] = frozenset()

    def defaults(self) -> dict[str, Any]:
        """Return the declared defaults that are written out in the cell."""
        declared = self.parameters or {}
        return {name: each.default for name, each in declared.items() if each.default is not UNKNOWN}


def find_notebook(given: str | Path, root: Path) -> Path:
    """Return the notebook's path: as given from here, else below the project; raises ``NotFound``."""
    try:
        path = Path(storable(str(given), "the notebook's path")).expanduser()
        for place in (Path.cwd() / path, root / path):
            if place.is_file():
                return place.resolve()
        there = next((place for place in (Path.cwd() / path, root / path) if os.path.lexists(place)), None)
        here = sorted(file.name for file in (Path.cwd() / path).parent.glob("*.ipynb"))
    except (OSError, ValueError, RuntimeError) as error:
        raise BadInput(
            f"{str(given)!r} is no path of a notebook", "name a file such as train.ipynb"
        ) from error
    if there is not None:
        what = "a folder" if there.is_dir() else "no file" if there.exists() else "a link to nothing"
        raise BadInput(f"'{given}' is {what}", "name a file such as train.ipynb")
    hint = close_matches(path.name, here, "name a file such as train.ipynb")
    raise NotFound(f"there is no notebook '{given}'", hint)


def read_notebook(path: Path, name: str) -> Notebook:
    """Read the notebook at ``path``.

    Raises ``BadInput`` for what is none, ``SourceChanged`` if it changes.
    """
    try:
        before = path.stat()
        data = path.read_bytes()
        after = path.stat()
    except OSError as error:
        raise BadInput(
            f"{path} cannot be read: {error.strerror or error}", "check who may read it"
        ) from error
    if (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, after.st_size):
        raise SourceChanged(f"{path} changed while it was read", "repeat when it is saved")
    return parse_notebook(data, name)


def parse_notebook(data: bytes, name: str) -> Notebook:
    """Return the notebook that ``data`` holds; raises ``BadInput`` for what is none."""
    try:
        document = _of_this_age(json.loads(data), data, name)
        cells = document["cells"]
        # what nbformat would refuse when the run has begun
        if not all(isinstance(each["metadata"], Mapping) for each in (document, *cells)):
            raise TypeError
        sources = [(cell["cell_type"] == "code", _source(cell)) for cell in cells]
        codes = [source for is_code, source in sources if is_code]
        information = document["metadata"]
        if not isinstance(information.get("papermill", {}), Mapping):
            raise TypeError
        tagged = [_source(cell) for cell in cells if cell["cell_type"] == "code" and TAG in _tags(cell)]
        kernel = information.get("kernelspec", {})
        language = kernel.get("language") or information.get("language_info", {}).get("name") or "python"
    except BadInput:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        what = "is empty" if not data.strip() else "is no notebook"
        hint = "save it in Jupyter once; notebooks of format 4 are executed"
        raise BadInput(f"{name} {what}", hint) from error
    if str(language).lower() not in ("python", "ipython"):
        raise BadInput(f"{name} is written in {language}", "notebooks in Python are executed")
    parameters = _declared(tagged[0], name) if tagged else None
    # parameters are injected behind the first tagged cell, as papermill does it
    later = frozenset(name for code in tagged[1:] for name in _assigned(code))
    return Notebook(name, data, str(kernel.get("name") or "python3"), tuple(codes), parameters, later)


def check_kernel(notebook: Notebook) -> None:
    """Raise ``BadInput`` unless the notebook's kernel is installed and speaks Python."""
    if _is_plain(notebook.kernel):
        return
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    manager = KernelSpecManager()
    try:
        spec = manager.get_kernel_spec(notebook.kernel)
    except NoSuchKernel as error:
        known = sorted(manager.find_kernel_specs())
        raise BadInput(
            f"{notebook.name} asks for the kernel '{notebook.kernel}', which is not installed here",
            close_matches(notebook.kernel, known, f"installed: {', '.join(known) or 'none'}"),
        ) from error
    if spec.language and spec.language.lower() != "python":
        raise BadInput(
            f"{notebook.name} runs in a {spec.language} kernel", "notebooks in Python are executed"
        )


def _is_plain(kernel: str) -> bool:
    """Return whether a file says all there is to ask: looking takes 5 ms, loading jupyter_client 200."""
    from jupyter_core.paths import jupyter_path

    for folder in jupyter_path("kernels"):
        try:
            spec = json.loads((Path(folder) / kernel / "kernel.json").read_bytes())
            return spec["language"].lower() == "python" and "kernel_provisioner" not in spec["metadata"]
        except FileNotFoundError:
            continue
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return False
    return False


def _of_this_age(document: Any, data: bytes, name: str) -> Any:
    """Return a notebook's document in format 4; older ones are read as Jupyter reads them."""
    age = document.get("nbformat", 4)
    if not isinstance(age, int) or age > 4:
        raise BadInput(f"{name} is a notebook of format {age}", "notebooks up to format 4 are executed")
    if age == 4:
        return document
    import nbformat

    try:
        return nbformat.reads(data.decode("utf-8"), as_version=4)  # type: ignore[no-untyped-call]
    except Exception as error:  # of the many ways in which a document of 2013 can be broken, each its own
        raise BadInput(
            f"{name} is a notebook of format {age} that cannot be read", "save it in Jupyter once"
        ) from error


def _tags(cell: Mapping[str, Any]) -> list[Any]:
    tags = cell.get("metadata", {}).get("tags", [])
    return tags if isinstance(tags, list) else []


def _assigned(code: str) -> set[str]:
    """Return the names that ``code`` assigns at top level; nothing where it cannot be read."""
    try:
        tree = ast.parse(without_magics(code))
    except SyntaxError:
        return set()
    targets: list[ast.expr] = []
    for statement in tree.body:
        if isinstance(statement, ast.Assign):
            targets += statement.targets
        elif isinstance(statement, ast.AnnAssign | ast.AugAssign):
            targets.append(statement.target)
    return {node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)}


def _source(cell: Mapping[str, Any]) -> str:
    source = cell["source"]
    return storable("".join(source if isinstance(source, list) else [source]), "a cell")


def _declared(code: str, name: str) -> dict[str, Parameter]:
    cleaned = without_magics(code)
    try:
        tree = ast.parse(cleaned)
    except SyntaxError as error:
        raise BadInput(
            f"the parameters cell of {name} cannot be read: {error.msg} in line {error.lineno}",
            "write one assignment a line, such as C = 1.0",
        ) from error
    comments = _comments(cleaned)
    found: dict[str, Parameter] = {}
    for statement in tree.body:
        comment = comments.get(statement.end_lineno or 0, "")
        dataset = bool(_DATASET.search(comment)) if _TYPE.match(comment) else bool(_DATASET.match(comment))
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            default = UNKNOWN if statement.value is None else _literal(statement.value)
            word, optional = _annotated(statement.annotation)
            if not word:
                word = _type_of(default)
            found[statement.target.id] = Parameter(
                statement.target.id, word, optional or default is None, default, dataset
            )
        elif isinstance(statement, ast.Assign):
            default = _literal(statement.value)
            told, optional = _commented(comment)
            for target in statement.targets:
                for node in ast.walk(target):
                    if isinstance(node, ast.Name):
                        value = default if node is target else UNKNOWN
                        word = (told if node is target else "") or _type_of(value)
                        found[node.id] = Parameter(node.id, word, optional or value is None, value, dataset)
    return found


def _literal(node: ast.expr) -> Any:
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return UNKNOWN
    if isinstance(value, tuple):
        return list(value)
    return value if value is None or isinstance(value, bool | int | float | str | list | dict) else UNKNOWN


def _type_of(value: Any) -> str:
    return type(value).__name__ if type(value).__name__ in _WORDS else ""


def _annotated(node: ast.expr) -> tuple[str, bool]:
    """Return the type's word and whether ``None`` is allowed; an empty word for what is not known here."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        try:
            return _annotated(ast.parse(node.value, mode="eval").body)
        except SyntaxError:
            return "", False
    if isinstance(node, ast.Constant) and node.value is None:
        return "", True
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _either([node.left, node.right])
    if isinstance(node, ast.Attribute):
        node = ast.Name(node.attr)
    if isinstance(node, ast.Name):
        word = _ALIKE.get(node.id, node.id)
        return (word if word in _WORDS else ""), False
    if isinstance(node, ast.Subscript):
        base = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if base == "Optional":
            return _annotated(parts[0])[0], True
        if base == "Union":
            return _either(parts)
        if base == "Literal":
            words = {_type_of(_literal(part)) for part in parts}
            return (words.pop() if len(words) == 1 else ""), False
        return _annotated(node.value)
    return "", False


def _commented(comment: str) -> tuple[str, bool]:
    """Return the type that a comment such as ``# type: float  the learning rate`` declares."""
    match = _TYPE.match(comment)
    if match is None:
        return "", False
    try:
        return _annotated(ast.parse(match.group(1), mode="eval").body)
    except SyntaxError:
        return "", False


def _either(parts: list[ast.expr]) -> tuple[str, bool]:
    read = [_annotated(part) for part in parts]
    words = [word for word, _ in read if word]
    optional = any(empty for _, empty in read)
    # two types that texts could be read as: neither is declared
    return (words[0] if len(words) == 1 else ""), optional


def _comments(code: str) -> dict[int, str]:
    found: dict[int, str] = {}
    if "#" not in code:
        return found
    try:
        for token in tokenize.generate_tokens(io.StringIO(code).readline):
            if token.type == tokenize.COMMENT:
                found[token.start[0]] = token.string
    except (tokenize.TokenError, IndentationError):
        return found
    return found
