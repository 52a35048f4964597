"""Two runs side by side: down to environment, sources and the cells of their executed notebooks."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from jupyter_mlops.project import Project
from jupyter_mlops.runs.comparing.line_diff import line_diff
from jupyter_mlops.runs.comparing.notebook_diff import notebook_diff
from jupyter_mlops.views import to_html, to_markdown, to_text, view
from jupyter_mlops.views.executed import anchor_of, notebook_frame, notebook_page
from tests.conftest import MakeProject

from .conftest import WriteNotebook

DOT = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
PLOT = "figure = plot_the_curve(loss)\nfigure.show()"


def code(source: str, *outputs: dict[str, Any], id: str = "x", **metadata: Any) -> dict[str, Any]:
    return {"cell_type": "code", "id": id, "source": source, "outputs": list(outputs), "metadata": metadata}


def printed(text: str) -> dict[str, Any]:
    return {"output_type": "stream", "name": "stdout", "text": text}


def pictured(data: bytes) -> dict[str, Any]:
    shown = {"image/png": base64.b64encode(data).decode(), "text/plain": "<Figure>"}
    return {"output_type": "display_data", "data": shown, "metadata": {}}


def notebook(*cells: dict[str, Any]) -> dict[str, Any]:
    return {"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def test_cells_that_changed_came_and_went() -> None:
    one = notebook(
        code("C = 1\nx = 2"),
        code("print(C)", printed("1\nsame\n")),
        code("gone()\nforever()"),
        code(PLOT, pictured(DOT)),
    )
    other = notebook(
        code("C = 10\nx = 2\ny = 3"),
        code("print(C)", printed("10\nsame\n")),
        code(PLOT, pictured(DOT + b"!")),
        code("came = 'late'"),
    )
    found = notebook_diff(one, other)
    assert [(cell.kind, cell.before, cell.after) for cell in found.cells] == [
        ("changed", 0, 0),
        ("changed", 1, 1),
        ("removed", 2, None),
        ("changed", 3, 2),
        ("added", None, 3),
    ]
    first, second, _, picture, _ = found.cells
    assert first.source == (("-", "C = 1"), ("+", "C = 10"), (" ", "x = 2"), ("+", "y = 3"))
    assert second.output == (("-", "1"), ("+", "10"), (" ", "same"))
    assert not second.source
    assert [(one.before, one.after) for one in picture.pictures] == [(DOT, DOT + b"!")]
    assert found.equal == 0


def test_what_says_nothing_is_no_difference() -> None:
    one = notebook(
        code("parameters", tags=["injected-parameters"]),
        code("bar()", printed("10%\r50%\r100%\n"), id="a", papermill={"duration": 1.0}),
        code("obj", printed("<Thing at 0x7f01aabbccdd>\n")),
        {"cell_type": "markdown", "source": "Exception!", "metadata": {"tags": ["papermill-error-cell-tag"]}},
    )
    other = notebook(
        code("bar()", printed("\x1b[32m100%\x1b[0m\n"), id="b", papermill={"duration": 2.0}),
        code("obj", printed("<Thing at 0x7f09ffffffff>\n")),
    )
    found = notebook_diff(one, other)
    assert not found
    assert found.equal == 2
    assert "no cell differs" in view(found).summary


def test_long_texts_are_compared_at_their_ends() -> None:
    many = "\n".join(f"line {number}" for number in range(200_000))
    found = notebook_diff(
        notebook(code("x", printed(many + "\nend 1"))), notebook(code("x", printed(many + "\nend 2")))
    )
    (cell,) = found.cells
    assert ("-", "end 1") in cell.output
    assert ("+", "end 2") in cell.output
    assert len(cell.output) < 20


def test_unchanged_lines_far_away_are_left_out() -> None:
    lines = [str(number) for number in range(50)]
    changed = [*lines[:25], "new", *lines[25:]]
    assert line_diff("\n".join(lines), "\n".join(changed)) == (
        ("…", "23 equal lines"),
        (" ", "23"),
        (" ", "24"),
        ("+", "new"),
        (" ", "25"),
        (" ", "26"),
        ("…", "23 equal lines"),
    )
    assert line_diff("a\n", "a") == ()


def test_two_runs_are_compared_down_to_what_made_them_differ(
    make_project: MakeProject, write_notebook: WriteNotebook
) -> None:
    project: Project = make_project()
    module = project.root / "features.py"
    module.write_text("def scale(x):\n    return x\n", "utf-8")
    path = write_notebook(
        project.root / "train.ipynb",
        "C = 1.0",
        "import features\nimport jupyter_mlops as mlops\nprint('<b>', features.scale(C))",
        "for step in range(3):\n    mlops.log_metric('loss', C / (step + 1), step)",
    )
    (one,) = project.runs.execute(path, {"C": 1.0}, experiment="e")
    module.write_text("def scale(x):\n    return x * 2\n", "utf-8")
    (other,) = project.runs.execute(path, {"C": 4.0}, experiment="e")
    assert (one.status, other.status) == ("finished", "finished")
    found = project.runs.compare(one, other)
    (source,) = found.sources
    assert source.path == "features.py"
    assert ("+", "    return x * 2") in source.lines
    assert found.notebook is not None
    assert [cell.number for cell in found.notebook.cells] == [2]
    assert {row.name for row in found.rows if row.differs and row.group == "parameter"} == {"C"}
    assert [course.metric for course in found.courses] == ["loss"]
    assert found.missing == ()
    said = to_text(view(found))
    for part in ("features.py (changed)", "+     return x * 2", "- <b> 1.0", "+ <b> 8.0", "loss"):
        assert part in said
    assert "<b>" not in to_html(view(found))
    assert "```diff" in to_markdown(view(found))
    assert found.to_dict()["notebook"]["equal"] == 2


def test_an_executed_notebook_is_drawn_without_anything_that_acts() -> None:
    hostile = {
        "text/html": "<script>alert(1)</script><img src=https://evil.example/x.png>",
        "text/plain": "x",
    }
    document = notebook(
        code("injected", tags=["injected-parameters"], id="p"),
        {**code("", id="lines"), "source": ["a = 1\n", "b = 2"]},
        code("1 + 1", {"output_type": "display_data", "data": hostile, "metadata": {}}, id="first"),
        code("bad", {"output_type": "error", "ename": "E", "evalue": "v", "traceback": ["tb"]}, id="second"),
    )
    page = notebook_page(document, "</title><script>")
    assert "default-src 'none'" in page
    assert "</title><script>" not in page
    assert f'id="{anchor_of(document, 2)}"' in page
    frame = notebook_frame(document, 'a "title"')
    assert frame.startswith('<iframe sandbox=""')
    # the whole page is one attribute: nothing in it can end the tag
    assert frame.count('"') == 8
    assert anchor_of(document, 7) == ""
    assert anchor_of(document, None) == ""


def test_outputs_no_browser_can_bear_are_left_out(tmp_path: Path) -> None:
    many = notebook(*(code("x", printed("y" * 1_000_000)) for _ in range(80)))
    page = notebook_page(many, "long")
    assert len(page) < 20_000_000
    assert "characters" in page
