"""A person in JupyterLab opens the quickstart, runs it, looks at its runs, and comes back another day.

It takes a while: a real JupyterLab in a real browser runs the whole notebook, once for all that is looked at.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from jupyter_mlops.demo.story import example_notebooks

from ..runs.conftest import WriteNotebook, eventually, write_notebook

__all__ = ["write_notebook"]

SECONDS = 300
QUICKSTART = "01_quickstart.ipynb"
# what others say of themselves: JupyterLab asks for the news of its extensions, and there may be no network;
# a box of ipywidgets that is scrolled out of view while its children are being made cannot add them, and one
# that is gone by the time a posted message reaches it has no view to hand it to
_OTHERS = (
    "Failed to load resource",
    "net::ERR_",
    "Could not add child view to box",
    "Cannot read properties of null (reading 'widgets')",
    "Cannot read properties of null (reading 'processLuminoMessage')",
)


class Lab:
    """A JupyterLab that serves one folder."""

    def __init__(self, folder: Path, url: str, token: str) -> None:
        self.folder = folder
        self.url = url
        self._token = token

    def page(self, name: str) -> str:
        """Return where a notebook is opened, in a workspace of its own."""
        place = f"doc/workspaces/{secrets.token_hex(4)}/tree/{name}"
        return f"{self.url}{place}?reset&token={self._token}"

    def ask(self, method: str, path: str) -> Any:
        """Ask the server itself."""
        headers = {"Authorization": f"token {self._token}"}
        with urlopen(Request(f"{self.url}{path}", method=method, headers=headers), timeout=60) as answer:
            return json.loads(answer.read() or "null")


@contextmanager
def serving(place: Path) -> Iterator[Lab]:
    """Serve the example notebooks with a JupyterLab that keeps all it keeps below ``place``."""
    folder = place / "folder"
    folder.mkdir()
    for notebook in example_notebooks().glob("*.ipynb"):
        shutil.copy(notebook, folder)
    token = secrets.token_hex(16)
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MLOPS_", "SLACK_", "JUPYTER", "PYTEST_"))
    }
    places = ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR")
    more = {f"JUPYTER_{name}": str(place / name) for name in places} | {
        "JUPYTERLAB_SETTINGS_DIR": str(place / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(place / "workspaces"),
        "IPYTHONDIR": str(place / "ipython"),
        "JUPYTER_TOKEN": token,
        "MLOPS_ACTOR": "ann@example.com",
        "MLOPS_UPKEEP": "off",
    }
    words = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.port=0"]
    words += ["--ServerApp.ip=127.0.0.1", f"--ServerApp.root_dir={folder}"]
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(words, env=kept | more, cwd=folder, stdout=log, stderr=log)
    try:
        written = eventually(lambda: next((place / "RUNTIME_DIR").glob("jpserver-*.json"), None), 120)
        url = eventually(lambda: written.read_text("utf-8") and json.loads(written.read_text("utf-8"))["url"])
        yield Lab(folder, url, token)
    finally:
        process.terminate()  # it ends its kernels first
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """The machine's Chromium, driven by Playwright."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None and not os.environ.get("MLOPS_REQUIRE_CHROMIUM"):
        pytest.skip("chromium is not installed")
    if not os.environ.get("MLOPS_REQUIRE_CHROMIUM"):
        pytest.importorskip("jupyterlab")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def complaints() -> list[str]:
    """What the browser complains about."""
    return []


def opened(chromium: Any, lab: Lab, complaints: list[str], name: str = QUICKSTART) -> Any:
    """Open a notebook and return the page."""
    page = chromium.new_page(viewport={"width": 1180, "height": 1000})
    page.set_default_timeout(60_000)
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(lab.page(name))
    page.wait_for_selector(".jp-Notebook .jp-CodeCell")
    return page


def run_all(page: Any) -> None:
    """Run all cells and wait until the last one is done."""
    from playwright.sync_api import expect

    page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]")
    first = page.locator(".jp-CodeCell .jp-InputPrompt").first
    for _ in range(3):  # a JupyterLab that is still busy with its own start may drop a click
        page.locator(".jp-Notebook .jp-Cell").first.click()
        page.click('.lm-MenuBar-itemLabel:text-is("Run")')
        page.click('.lm-Menu-itemLabel:text-is("Run All Cells")')
        with suppress(AssertionError):
            expect(first).not_to_have_text(re.compile(r"\[ \]"), timeout=20_000)
            break
    last = page.locator(".jp-CodeCell").last.locator(".jp-InputPrompt").first
    raised = page.locator("[data-mime-type='application/vnd.jupyter.error']")
    done = page.locator(".jp-InputPrompt", has_text=re.compile(r"\[\d+\]")).and_(last)
    expect(done.or_(raised).first).to_be_visible(timeout=SECONDS * 1000)
    assert raised.all_inner_texts() == []
    expect(last).to_have_text(re.compile(r"\[\d+\]"))


def complained(complaints: list[str]) -> list[str]:
    return [said for said in complaints if not re.sub(r"^\w*Error: ", "", said).startswith(_OTHERS)]


def cell_of(page: Any, source: str) -> Any:
    """Return the code cell that holds ``source``, scrolled into view."""
    cell = page.locator(".jp-CodeCell").filter(has=page.locator(".jp-InputArea", has_text=source))
    cell.first.scroll_into_view_if_needed()
    return cell.first


def column(cell: Any, name: str) -> list[float]:
    """Return what a column of the panel holds, from top to bottom."""
    box = cell.locator(".widget-vbox", has=cell.page.locator(f":scope > button:has-text('{name}')")).last
    return [float(text) for text in box.locator(".widget-html").inner_text().split()]


def ranked(values: list[float], descending: bool) -> bool:
    return len(values) == 12 and values == sorted(values, reverse=descending)


@pytest.mark.timeout(2 * SECONDS)
def test_the_quickstart_in_jupyterlab(chromium: Any, tmp_path: Path, complaints: list[str]) -> None:
    from playwright.sync_api import expect

    with serving(tmp_path) as lab:
        page = opened(chromium, lab, complaints)
        run_all(page)
        assert page.locator(".jp-CodeCell .jp-InputPrompt", has_text="[ ]").count() == 0
        assert page.locator("[data-mime-type='application/vnd.jupyter.error']").count() == 0
        assert page.locator("[data-mime-type='application/vnd.jupyter.stderr']").count() == 0

        board = cell_of(page, "board = runs.leaderboard()")
        expect(board.locator(".widget-checkbox:visible")).to_have_count(12)
        eventually(lambda: ranked(column(board, "auc"), descending=True))
        for descending in (True, False):
            board.get_by_role("button", name="loss").click()
            expect(board.get_by_role("button", name=f"loss {'▾' if descending else '▴'}")).to_be_visible()
            eventually(lambda: ranked(column(board, "loss"), descending=descending))  # noqa: B023 at once

        board.locator(".widget-dropdown select").select_option(label="loss")
        board.get_by_role("button", name="Curves").click()
        expect(board.locator(".widget-html").locator("svg, img").last).to_be_visible()
        for place in (0, 5):
            board.locator(".widget-checkbox input").nth(place).click()
        expect(board.get_by_text("2 ticked")).to_be_visible()
        board.get_by_role("button", name="Compare").click()
        expect(board.get_by_text("comparison of")).to_be_visible()

        curves = (
            cell_of(page, 'runs.plot("line", "loss")')
            .locator(".jp-RenderedHTMLCommon img, .vega-embed canvas, .vega-embed svg")
            .first
        )
        expect(curves).to_be_visible()
        box = curves.bounding_box()
        assert box["width"] > 300
        assert box["height"] > 150
        assert complained(complaints) == []


def test_a_saved_panel_is_its_table_when_the_kernel_is_gone(
    chromium: Any, tmp_path: Path, complaints: list[str], write_notebook: WriteNotebook
) -> None:
    from playwright.sync_api import expect

    with serving(tmp_path) as lab:
        notebook = write_notebook(
            lab.folder / "again.ipynb",
            "%load_ext jupyter_mlops\nimport jupyter_mlops as mlops\nproject = mlops.init('.')",
            "for depth in (3, 4):\n    with project.runs.start('tries', {'depth': depth}) as run:\n"
            "        run.log_metric('auc', depth / 10)",
            "project.runs.leaderboard()",
            parameters=False,
        )
        page = opened(chromium, lab, complaints, notebook.name)
        run_all(page)
        panel = cell_of(page, "project.runs.leaderboard()")
        expect(panel.locator(".widget-checkbox:visible")).to_have_count(2)
        expect(panel.locator("table").get_by_text("depth")).to_be_hidden()
        page.keyboard.press("Control+s")
        eventually(lambda: "widget-view+json" in notebook.read_text("utf-8"))
        assert complained(complaints) == []
        page.close()
        for session in lab.ask("GET", "api/sessions"):
            lab.ask("DELETE", f"api/sessions/{session['id']}")

        page = opened(chromium, lab, complaints, notebook.name)
        panel = cell_of(page, "project.runs.leaderboard()")
        expect(panel.locator("table").get_by_text("depth")).to_be_visible()
        expect(panel.locator(".jp-OutputArea-output:visible")).to_have_count(1)
