"""The wheel brings all that Jupyter discovers, the pages, the migrations and the example notebooks."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_wheel_holds_everything(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    data = f"{wheel.name.split('-py3')[0]}.data/data"
    expected = {
        f"{data}/etc/jupyter/jupyter_server_config.d/jupyter_mlops.json",
        "jupyter_mlops/_data/example_notebooks/01_quickstart.ipynb",
        "jupyter_mlops/_data/example_notebooks/02_train.ipynb",
        "jupyter_mlops/py.typed",
        "slackbot/py.typed",
        "slackbot/migrations/__init__.py",
    }
    assert expected <= names
    for folder in ("jupyter_mlops", "slackbot"):
        for file in (ROOT / folder).rglob("*"):
            inside = file.relative_to(ROOT).as_posix()
            if file.is_file() and file.suffix in {".py", ".sql", ".html", ".css", ".js"}:
                assert inside in names
    assert not [name for name in names if name.startswith("tests/")]
