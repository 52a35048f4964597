"""A laboratory for each test process, a project to spoil, and a fast place for both."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .laboratory import Laboratory, built
from .stories import begun

if os.name != "posix":
    collect_ignore_glob = ["test_*.py"]

MakeRoot = Callable[[], Path]


@pytest.fixture(scope="session")
def plain_laboratory() -> Iterator[Laboratory]:
    """Runs stories that can be killed at a moment."""
    with Laboratory(None) as laboratory:
        yield laboratory


@pytest.fixture(scope="session")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    """Runs stories that can be killed or failed at any call; at Python's alone where there is no compiler."""
    library = built(tmp_path_factory.mktemp("library"))
    if isinstance(library, str) and os.environ.get("MLOPS_REQUIRE_COMPILER"):
        pytest.fail(library)
    with Laboratory(None if isinstance(library, str) else library) as laboratory:
        assert laboratory.sees_calls or isinstance(library, str)
        yield laboratory


@pytest.fixture(scope="session")
def recorder(laboratory: Laboratory) -> Laboratory:
    """Runs stories whose every call is recorded."""
    if not laboratory.sees_calls:
        pytest.skip("calls are recorded by a library that needs Linux and a C compiler")
    return laboratory


@pytest.fixture(scope="session")
def workshop() -> Iterator[Path]:
    """A folder in memory where there is one: a killed process loses nothing there either, and it is fast."""
    memory = Path("/dev/shm")
    fast = memory if memory.is_dir() and os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="faults-", dir=fast) as folder:
        yield Path(folder).resolve()


@pytest.fixture(scope="session")
def beginning(workshop: Path) -> Path:
    """The project with which every story begins, and its remote beside it; copied, never changed."""
    root = workshop / "beginning" / "project"
    begun(root)
    return root


@pytest.fixture
def make_root(beginning: Path, workshop: Path) -> Iterator[MakeRoot]:
    """Make a fresh copy of the beginning; the last one made is removed when the next is."""
    folder = Path(tempfile.mkdtemp(dir=workshop))

    def make() -> Path:
        shutil.rmtree(folder)
        return copied(beginning, folder)

    yield make
    shutil.rmtree(folder)


def copied(beginning: Path, folder: Path) -> Path:
    """Copy a project and its remote to the new ``folder``, and return where the project is."""
    shutil.copytree(beginning.parent, folder, symlinks=True, dirs_exist_ok=True)
    settings = folder / beginning.name / "mlops.toml"
    settings.write_text(settings.read_text().replace(str(beginning.parent), str(folder)))
    return folder / beginning.name
