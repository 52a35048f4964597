"""Artifacts: whatever a run makes is kept by name, comes back as it was, and is seen where it can be."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy
import pytest

from jupyter_mlops.charts import Figure, line
from jupyter_mlops.errors import BadInput, Damaged
from jupyter_mlops.runs.tracking.pictures import Picture


@pytest.fixture
def project(make_project) -> Any:
    return make_project()


def kept(project, *sources: Any) -> dict[str, Any]:
    """Log ``(source, name)`` pairs in a run and return what is read back."""
    with project.runs.start("tries") as run:
        for source, name in sources:
            run.log_artifact(source, name)
    return dict(project.runs.get(run.id).artifacts)


def test_lists_dicts_and_texts_are_kept_as_such(project) -> None:
    report = {"auc": numpy.float64(0.5), "odd": [math.inf, None, "☃"], "nested": {"a": (1, 2)}}
    found = kept(
        project,
        (report, None),
        ([1, 2], "numbers"),
        ("one\ntwo\n", "notes.md"),
        (b"\x00\x01", "raw.bin"),
    )
    assert found["data.json"].load() == {"auc": 0.5, "odd": [math.inf, None, "☃"], "nested": {"a": [1, 2]}}
    assert found["numbers"].load() == [1, 2]
    assert found["notes.md"].load() == "one\ntwo\n"
    assert found["raw.bin"].load() == b"\x00\x01"
    assert not any(artifact.has_picture for artifact in found.values())
    assert all(artifact.picture() is None for artifact in found.values())
    with project.runs.start("tries") as run:
        run.log_text("no line break", "short.txt")
        with pytest.raises(BadInput, match=r"artifact data.json is a object"):
            run.log_artifact({"a": object()})
    assert project.runs.get(run.id).artifacts["short.txt"].load() == "no line break"


def test_an_empty_file_is_a_file_too(project, tmp_path: Path) -> None:
    (tmp_path / "errors.log").touch()
    found = kept(project, (tmp_path / "errors.log", None), (str(tmp_path / "errors.log"), "logs/again"))
    assert {name: artifact.load() for name, artifact in found.items()} == {
        "errors.log": b"",
        "logs/again": b"",
    }
    assert found["errors.log"].checkout(tmp_path / "out.log").read_bytes() == b""
    (status,) = kept(project, ("/proc/self/status", None)).values()
    assert b"Name:" in status.load()


def test_figures_of_matplotlib_become_pictures(project, tmp_path: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot
    from sklearn.metrics import ConfusionMatrixDisplay

    figure, axes = pyplot.subplots()
    axes.plot([1, 2])
    display = ConfusionMatrixDisplay(numpy.array([[3, 1], [0, 4]])).plot()
    found = kept(
        project,
        (figure, "plain"),
        (axes, "axes.svg"),
        (figure, "paper.pdf"),
        (display, "confusion.png"),
    )
    pyplot.close("all")
    assert {artifact.kind for artifact in found.values()} == {"picture"}
    shown = {name: artifact.picture().media for name, artifact in found.items()}
    assert shown == {
        "plain.png": "image/png",
        "axes.svg": "image/svg+xml",
        "paper.pdf": "image/png",
        "confusion.png": "image/png",
    }
    assert found["paper.pdf"].load().startswith(b"%PDF")
    told = found["plain.png"].detail["picture"]
    assert told["width"] > 100
    assert told["digest"] == found["plain.png"].digest
    roots = {digest for _, digest, _ in project.runs.roots()}
    assert {artifact.detail["picture"]["digest"] for artifact in found.values()} <= roots


def test_images_and_image_files_are_pictures(project, tmp_path: Path) -> None:
    from PIL import Image

    image = Image.new("CMYK", (30, 20))
    image.convert("RGB").save(tmp_path / "photo.jpg")
    (tmp_path / "liar.png").write_text("not an image")
    found = kept(
        project,
        (image, None),
        (Image.new("RGB", (3, 2)), "plots/🎨/red"),
        (tmp_path / "photo.jpg", None),
        (tmp_path / "liar.png", None),
        ((tmp_path / "photo.jpg").read_bytes(), "again.jpg"),
    )
    assert found["image.png"].detail["picture"]["width"] == 30
    assert found["plots/🎨/red.png"].picture().media == "image/png"
    photo = found["photo.jpg"]
    assert (photo.kind, photo.picture().media) == ("file", "image/jpeg")
    assert photo.picture().data == photo.load()
    assert photo.digest == found["again.jpg"].digest  # kept once
    assert not found["liar.png"].has_picture
    target = found["plots/🎨/red.png"].checkout(tmp_path)
    assert target == tmp_path / "red.png"
    assert target.read_bytes() == found["plots/🎨/red.png"].load()


class Altair:
    """What altair's charts can do, as far as it matters."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
            "data": {"values": [{"x": 1, "y": 2}]},
            "mark": "point",
            "encoding": {"x": {"field": "x"}, "y": {"field": "y"}},
        }

    def configure_view(self) -> None: ...


class Plotly:
    """What plotly's figures can do without the program that draws them."""

    def to_plotly_json(self) -> dict[str, Any]:
        return {"data": []}

    def to_json(self) -> str:
        return json.dumps(self.to_plotly_json())


class Shown:
    """Something that shows itself in a notebook."""

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {"text/plain": "shown", "image/svg+xml": "<svg xmlns='http://www.w3.org/2000/svg'/>"}


class Broken:
    def savefig(self, *_: Any, **__: Any) -> None:
        raise RuntimeError("no renderer\nat all")


def test_charts_of_other_libraries_are_kept_as_they_describe_themselves(project) -> None:
    found = kept(project, (Altair(), "points"), (Plotly(), None), (Shown(), "own"))
    assert found["points"].load() == Altair().to_dict()
    assert found["points"].detail["format"] == "vega-lite"
    assert b"<svg" in found["points"].picture().data
    assert found["figure"].load() == {"data": []}
    assert not found["figure"].has_picture
    assert found["own.svg"].picture() == Picture(
        "image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg'/>"
    )
    roots = {digest for _, digest, _ in project.runs.roots()}
    assert found["points"].detail["picture"]["digest"] in roots
    with (
        project.runs.start("tries") as run,
        pytest.raises(BadInput, match=r"the Broken could not be drawn: no renderer"),
    ):
        run.log_artifact(Broken())


def test_a_figure_of_ours_comes_back_whole(project) -> None:
    figure = line("loss", {"a": ([0, 1], [2.0, 1.0])})
    found = kept(project, (figure, None))
    assert found["figure"].picture() == figure
    assert isinstance(found["figure"].load(), Figure)


def test_names_may_be_anything_but_no_way_out(project, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    names = ["🚀", "../../up.txt", "a/b/c", "C:\\x", "con", "a;b#c?d", "'; DROP TABLE runs; --"]
    found = kept(project, *((tmp_path / "a.txt", name) for name in names))
    assert sorted(found) == sorted(names)
    out = tmp_path / "out"
    out.mkdir()
    for artifact in found.values():
        assert artifact.checkout(out).parent == out
    with project.runs.start("tries") as run:
        for name in ("..", "a/..", "a/", "/"):
            with pytest.raises(BadInput, match="cannot name an artifact"):
                run.log_artifact(tmp_path / "a.txt", name)


def test_a_folder_of_many_files_is_kept_once(project, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    for number in range(10_000):
        file = folder / f"{number % 100:02}" / f"{number}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"content {number % 5000}")
    found = kept(project, (folder, None), (folder, "again"))
    assert found["many"].detail == {"files": 10_000}
    assert found["many"].digest == found["again"].digest
    read = found["many"].load()
    assert (read / "07" / "107.txt").read_text() == "content 107"
    assert sum(1 for path in read.rglob("*") if path.is_file()) == 10_000


def test_damaged_bytes_are_never_handed_out(project, tmp_path: Path) -> None:
    found = kept(project, (b"the very bytes" * 100, "raw.bin"))
    for pack in (project.state / "objects" / "packs").rglob("*.pack"):
        data = bytearray(pack.read_bytes())
        for place in range(len(data) // 4, len(data)):
            data[place] ^= 0xFF
        pack.chmod(0o644)
        pack.write_bytes(bytes(data))
    with pytest.raises(Damaged):
        found["raw.bin"].load()
