"""Where the demo plays: in a folder of its own, found again after any kill, and in nobody else's project."""

from __future__ import annotations

from pathlib import Path

import pytest

from jupyter_mlops.cli import run as mlops
from jupyter_mlops.demo import flights, story
from jupyter_mlops.errors import Failed


class Killed(BaseException):
    """The process is gone: nothing of it runs any more."""


def _killed(*_: object, **__: object) -> None:
    raise Killed


def test_it_leaves_other_projects_and_files_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLOPS_ACTOR", story.ANN)
    mine = tmp_path / "mine"
    assert mlops(["init", str(mine)]) == 0
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "todo.txt").touch()
    capsys.readouterr()
    for folder, says in (
        (mine, "holds another project"),
        (notes, "not empty"),
        (notes / "todo.txt", "is a file"),
    ):
        before = sorted(tmp_path.rglob("*.*"))
        assert mlops(["demo", str(folder)]) == 2
        err = capsys.readouterr().err
        assert says in err
        assert "name another folder" in err
        assert sorted(tmp_path.rglob("*.*")) == before


@pytest.mark.parametrize("moment", ["pathlib.Path.replace", "shutil.copyfile"])
def test_killed_while_it_lays_out_its_folder_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    folder = tmp_path / "demo"

    def tell() -> None:
        story.tell(folder, lambda _: None, lambda _: None)

    with monkeypatch.context() as patched:
        patched.setattr(moment, _killed)
        with pytest.raises(Killed):
            tell()

    def enough(*_: object) -> None:
        raise Failed("the folder is there")

    monkeypatch.setattr(flights, "departures", enough)
    with pytest.raises(Failed, match="the folder is there"):
        tell()
    assert (folder / "mlops.toml").read_text() == story.POLICY
    assert (folder / "train.ipynb").exists()
