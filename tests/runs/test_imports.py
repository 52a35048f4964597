"""The source of what a process imports is kept as it was imported."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from jupyter_mlops.runs.tracking.imports import collected, laid_out, recording


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder that Python imports from; what is imported from it is forgotten after the test."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        del sys.modules[name]


def python(code: str, *arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
    )


def test_what_was_imported_is_kept_though_the_file_changes_or_goes(root: Path) -> None:
    (root / "changing_features.py").write_text("RATE = 1\n")
    (root / "vanishing_features.py").write_text("RATE = 2\n")
    with recording(root) as recorder:
        importlib.import_module("changing_features")
        importlib.import_module("vanishing_features")
        (root / "changing_features.py").write_text("RATE = 100\n")
        (root / "vanishing_features.py").unlink()
        found = recorder.loaded()
    assert found.files["changing_features.py"] == b"RATE = 1\n"
    assert found.files["vanishing_features.py"] == b"RATE = 2\n"
    assert not found.notes


def test_a_module_edited_since_it_was_imported_is_pointed_out(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = root / "early_features.py"
    file.write_text("RATE = 1\n")
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    importlib.import_module("early_features")  # before anybody recorded
    file.write_text("RATE = 12345\n")
    with recording(root) as recorder:
        found = recorder.loaded()
    assert found.files["early_features.py"] == b"RATE = 12345\n"
    assert found.notes == ("early_features.py was edited after it was imported: the edited text is kept",)


def test_packages_lazy_imports_and_modules_outside_of_the_project_are_kept(
    root: Path, tmp_path: Path
) -> None:
    package = root / "src" / "lazy_package"
    (package / "deep").mkdir(parents=True)
    (package / "__init__.py").write_text("def later():\n    from .deep import lowest\n    return lowest\n")
    (package / "deep" / "__init__.py").write_text("")
    (package / "deep" / "lowest.py").write_text("")
    library = tmp_path / "library"
    library.mkdir()
    (library / "shared_tools.py").write_text("")
    code = (
        "import sys\n"
        "from jupyter_mlops.runs.tracking.imports import begin\n"
        "begin(sys.argv[1], sys.argv[2])\n"
        "sys.path[:0] = [sys.argv[1] + '/src', sys.argv[3]]\n"
        "import shared_tools, lazy_package\n"
        "lazy_package.later()\n"
    )
    assert python(code, root, tmp_path / "work", library).stderr == ""
    found = collected(tmp_path / "work")
    assert found is not None
    assert set(found.files) == {
        "outside/library/shared_tools.py",
        "src/lazy_package/__init__.py",
        "src/lazy_package/deep/__init__.py",
        "src/lazy_package/deep/lowest.py",
    }
    assert found.paths == ("outside/library", "src")


def test_what_is_installed_is_not_kept(root: Path) -> None:
    foreign = root / ".venv" / "lib" / "site-packages"
    foreign.mkdir(parents=True)
    (foreign / "bought_module.py").write_text("")
    sys.path.insert(0, str(foreign))
    try:
        with recording(root) as recorder:
            importlib.import_module("bought_module")
            importlib.import_module("colorsys")
            found = recorder.loaded()
    finally:
        sys.path.remove(str(foreign))
    assert not [path for path in found.files if "bought" in path or "colorsys" in path]


def test_recording_leaves_tracebacks_and_the_loader_as_they_were(root: Path) -> None:
    from importlib.machinery import SourceFileLoader

    before = SourceFileLoader.path_stats
    (root / "broken_module.py").write_text("def f(:\n")
    with recording(root), pytest.raises(SyntaxError) as told:
        importlib.import_module("broken_module")
    assert SourceFileLoader.path_stats is before
    assert not [entry for entry in told.traceback if "jupyter_mlops" in str(entry.path)]


def test_a_killed_process_leaves_what_it_had_imported(root: Path, tmp_path: Path) -> None:
    (root / "first_module.py").write_text("one = 1\n")
    code = (
        "import os, sys, signal\n"
        "from jupyter_mlops.runs.tracking.imports import begin\n"
        "begin(sys.argv[1], sys.argv[2])\n"
        "import first_module\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = python(code, root, tmp_path / "work", cwd=root)
    assert done.returncode == -9, done.stderr
    found = collected(tmp_path / "work")
    assert found is not None
    assert found.files == {"first_module.py": b"one = 1\n"}
    assert collected(tmp_path / "never") is None


def test_kept_sources_come_before_those_of_today(root: Path, tmp_path: Path) -> None:
    """Also where the notebook itself puts today's folder first, and with data that lies beside a module."""
    (root / "src" / "pack").mkdir(parents=True)
    (root / "src" / "pack" / "__init__.py").write_text("")
    (root / "src" / "pack" / "rates.py").write_text("RATE = 'today'\n")
    (root / "src" / "pack" / "words.txt").write_text("stop words of today")
    (root / "src" / "other.py").write_text("NAME = 'today, for none was kept'\n")
    sources = {
        "src/pack/__init__.py": b"",
        "src/pack/rates.py": (
            b"from pathlib import Path\nRATE = 'kept'\n"
            b"WORDS = (Path(__file__).parent / 'words.txt').read_text()\n"
        ),
        "src/deleted.py": b"NAME = 'kept'\n",
    }
    work = tmp_path / "work"
    kept = laid_out(sources, root, work)
    code = (
        "import sys\n"
        "from jupyter_mlops.runs.tracking.imports import begin\n"
        "begin(sys.argv[1], sys.argv[2], sys.argv[3], ['src'])\n"
        "sys.path.insert(0, sys.argv[1] + '/src')\n"
        "import other, deleted\n"
        "from pack.rates import RATE, WORDS\n"
        "print([RATE, WORDS, other.NAME, deleted.NAME])\n"
    )
    done = python(code, root, work, kept)
    assert done.stdout.strip() == str(["kept", "stop words of today", "today, for none was kept", "kept"]), (
        done.stderr
    )
    found = collected(work)
    assert found is not None
    assert found.files == {**sources, "src/other.py": b"NAME = 'today, for none was kept'\n"}
    assert (root / "src" / "pack" / "rates.py").read_text() == "RATE = 'today'\n"
