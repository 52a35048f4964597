"""What a notebook does before its last import decides whether its kernel may be forked."""

from __future__ import annotations

import sys

import pytest

from jupyter_mlops.runs.execution.warm.doubt import read

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="kernels are forked on Linux only")


@pytest.mark.parametrize(
    ("cells", "what"),
    [
        (["import os\nos.environ['A'] = '1'", "import numpy"], "os.environ"),
        (["from os import environ", "import numpy"], "os.environ"),
        (["import os as system\nsystem.environ['A'] = '1'\nimport numpy"], "os"),
        (["import sys\nsys.path.insert(0, 'lib')\nimport numpy"], "sys.path"),
        (["import warnings\nwarnings.simplefilter('ignore')", "import numpy"], "warnings"),
        (["from warnings import filterwarnings\nimport numpy"], "warnings"),
        (["%env A=1", "import numpy"], "%env"),
        (["%set_env A 1\nimport numpy"], "%set_env"),
        (["%pip install x", "import numpy"], "%pip"),
        (["!pip install x", "import numpy"], "a shell command"),
        (["%cd lib", "import numpy"], "%cd"),
        (["%%bash\necho", "import numpy"], "%%bash"),
        (["from dotenv import load_dotenv\nload_dotenv()\nimport numpy"], "dotenv"),
        (["exec('import os')", "import numpy"], "exec"),
        (["files = !ls\nimport json", "import numpy"], "what cannot be read as Python"),
        (["def f():\n    import os\n    os.chdir('/')", "import numpy"], "os.chdir"),
        (["if True:\n    import subprocess\n    subprocess.run(['x'])\nimport numpy"], "subprocess"),
    ],
)
def test_what_could_change_an_import_makes_the_kernel_cold(cells: list[str], what: str) -> None:
    assert read(cells).why == f"the notebook uses {what} before its last import"


@pytest.mark.parametrize(
    "cells",
    [
        ["import os, warnings\nimport numpy", "os.environ['A'] = '1'\nwarnings.simplefilter('ignore')"],
        ["%matplotlib inline\nimport numpy", "!ls", "%env A=1"],
        ["# os.environ\nx = 'sys.path'", "import numpy"],
        ["%%time\nimport numpy"],
        ["def later():\n    import scipy", "import os\nprint(os.getpid())", "import numpy"],
    ],
)
def test_what_comes_after_the_last_import_changes_none(cells: list[str]) -> None:
    reading = read(cells)
    assert reading.why == ""
    assert reading.modules == ("numpy",)


def test_installed_modules_that_are_imported_whatever_happens_are_preloaded() -> None:
    reading = read(
        [
            "from __future__ import annotations\nimport numpy as np, json",
            "from sklearn.linear_model import Ridge",
            "from sklearn import metrics\nfrom scipy import *",
            "try:\n    import polars\nexcept ImportError:\n    import pandas",
            "if np:\n    import matplotlib",
            "def f():\n    import pyarrow",
            "import nowhere_to_be_found\nfrom . import neighbour",
        ]
    )
    assert reading.modules == (
        "numpy",
        "sklearn.linear_model",
        "sklearn",
        "sklearn.metrics",
        "scipy",
        "polars",
    )


def test_modules_of_the_project_are_never_preloaded(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "features.py").write_text("made = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert read(["import features\nimport tests.conftest\nimport numpy"]).modules == ("numpy",)


def test_this_package_is_preloaded_with_what_tracking_needs() -> None:
    assert "jupyter_mlops.runs.tracking.context" in read(["import jupyter_mlops as mlops"]).modules


def test_elsewhere_than_on_linux_every_kernel_is_cold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert read(["import numpy"]).why == "kernels are forked on Linux only"


def test_seeding_before_the_last_import_is_seen() -> None:
    assert read(["import numpy as np\nnp.random.seed(1)", "import sklearn"]).seeded
    assert not read(["import numpy as np", "import sklearn", "np.random.seed(1)"]).seeded
