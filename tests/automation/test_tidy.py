"""What a commit leaves for later is done in the background, by one process that ends by itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from jupyter_mlops.automation.tidy import main, tidy_up
from jupyter_mlops.datasets import preparation
from jupyter_mlops.project import Project
from tests.conftest import MakeProject


@pytest.fixture
def big(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every table a big one."""
    monkeypatch.setattr(preparation, "DESCRIBED_AT_ONCE", 0)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    path.write_text("a,b\n1,x\n2,y\n")
    return path


def until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 90
    while not done():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.05)


@pytest.mark.usefixtures("big")
def test_a_commit_of_a_big_table_is_described_by_a_process_of_its_own(
    make_project: MakeProject, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project()
    monkeypatch.delenv("MLOPS_UPKEEP")
    assert not project.datasets.commit("t", table).described
    until(lambda: project.datasets.get("t").described)
    assert project.datasets.get("t").findings.rows == 2  # type: ignore[union-attr]  # described by now
    with FileLock(project.state / "tidy.lock", timeout=60):
        pass  # the process has let go of it: it is done


@pytest.mark.usefixtures("big")
@pytest.mark.parametrize("how", ["environment", "file"])
def test_it_can_be_switched_off(
    make_project: MakeProject, table: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    sent: list[tuple[str, ...]] = []
    monkeypatch.setattr("jupyter_mlops.errand.send", lambda *words: sent.append(words))
    if how == "file":
        monkeypatch.delenv("MLOPS_UPKEEP")
    project = make_project('[data]\nupkeep = "off"\n' if how == "file" else '[project]\nname = "p"\n')
    project.datasets.commit("t", table)
    assert sent == []
    other = make_project('[project]\nname = "p"\n')
    monkeypatch.delenv("MLOPS_UPKEEP", raising=False)
    other.datasets.commit("t", table)
    assert sent == [("jupyter_mlops.automation.tidy", str(other.root))]


def test_a_small_table_leaves_nothing_to_do(
    make_project: MakeProject, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[str, ...]] = []
    monkeypatch.setattr("jupyter_mlops.errand.send", lambda *words: sent.append(words))
    monkeypatch.delenv("MLOPS_UPKEEP")
    project = make_project()
    project.datasets.commit("t", table)
    table.write_text("a,b\n1,x\n2,z\n")
    project.datasets.commit("t", table)
    assert sent == []


@pytest.mark.usefixtures("big")
def test_only_one_tidies_and_what_cannot_be_read_holds_nothing_up(project: Project, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("a\n1,2\n")
    (tmp_path / "good.csv").write_text("a\n" + "1\n" * 100)
    project.datasets.commit("bad", tmp_path / "bad.csv")
    project.datasets.commit("good", tmp_path / "good.csv")
    if not project.config.store:
        with FileLock(project.state / "tidy.lock"):
            main(str(project.root))
        assert not project.datasets.get("good").described
    tidy_up(project)
    assert project.datasets.get("good").described
    assert project.datasets.undescribed() == ()
    main(str(tmp_path / "nothing here"))
