"""Runs on the page: ordered by a click, ticked and compared; sweeps to choose from; what runs kept."""

from __future__ import annotations

import io
import math
import re
import urllib.request
import zipfile
from collections.abc import Callable
from email.message import Message
from html import unescape
from pathlib import Path
from urllib.parse import quote

import nbformat
import pytest

from jupyter_mlops.project import Project
from jupyter_mlops.runs import Run
from tests.conftest import BO, MakeProject

from .conftest import Browser, Served
from .stories import VERIFIED

Serve = Callable[..., Served]
SCRIPT = "<script>parent.document.title = 'taken'</script>"
PICTURE = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"


@pytest.fixture
def rated(make_project: MakeProject) -> Project:
    """A project with three runs that differ in one parameter, each with a curve."""
    project = make_project(VERIFIED)
    for rate in (0.1, 0.3, 0.2):
        with project.runs.start("rates", parameters={"rate": rate, "odd": None if rate > 0.2 else ""}) as run:
            for step in range(3):
                run.log_metric("score", rate * step, step)
    return project


def page(browser: Browser, path: str) -> str:
    """Return the page at ``path``, which is there."""
    answer = browser.get(f"mlops/{path}")
    assert answer.status == 200, answer.text
    return answer.text


def ids(text: str) -> list[str]:
    """Return the runs that can be ticked, in the order of the page."""
    return re.findall(r'type="checkbox" name="run" value="(\w+)"', text)


def head_of(text: str, column: str) -> str:
    """Return where the head of a column leads."""
    found = re.search(rf'<th[^>]*><a href="([^"]+)">{column}[ ▾▴]*</a>', text)
    assert found, f"{column} is no link"
    return unescape(found[1]).partition("/mlops/")[2]


def test_a_click_on_a_column_orders_by_it_and_another_turns_it_round(serve: Serve, rated: Project) -> None:
    bo = serve(rated, people=True).person(BO)
    low, high, middle = (run.id for run in reversed(rated.runs.search()))
    text = page(bo, "runs?where=parameters.rate+%3E+0.15&experiment=rates")
    assert ids(text) == [middle, high]
    down = page(bo, head_of(text, "score"))
    assert ids(down) == [high, middle]  # the filter stays
    assert 'aria-sort="descending"' in down
    assert ids(page(bo, head_of(down, "score"))) == [middle, high]
    assert ids(page(bo, head_of(page(bo, "runs"), "rate"))) == [low, middle, high]


def test_ticked_runs_are_compared(serve: Serve, rated: Project) -> None:
    bo = serve(rated, people=True).person(BO)
    runs = [run.id for run in rated.runs.search()]
    assert re.search(
        r'<form class="choose" method="get" action="[^"]*/mlops/runs/compare">', page(bo, "runs")
    )
    two = page(bo, f"runs/compare?run={runs[0]}&run={runs[1]}")
    assert f"comparison of {runs[0]} and {runs[1]}" in two
    several = page(bo, "runs/compare?" + "&".join(f"run={id}" for id in runs))
    assert "comparison of 3 runs" in several
    assert all(f'/mlops/runs/{id}"' in several for id in runs)
    assert several.count("<img") == 1, "their curves are one picture"
    # a parameter that was set to nothing is not one that is missing
    assert ">none<" in several
    assert ">&quot;&quot;<" in several
    one = bo.get(f"mlops/runs/compare?run={runs[0]}")
    assert (one.status, "two runs or more" in one.text) == (400, True)
    many = bo.get("mlops/runs/compare?" + "&".join(f"run={number}" for number in range(21)))
    assert (many.status, "too many" in many.text) == (400, True)


def test_what_a_run_lacks_is_not_called_none(rated: Project) -> None:
    from jupyter_mlops.views import to_text, view

    with rated.runs.start("other", parameters={"odd": None}) as run:
        run.log_metric("score", math.nan)
    told = to_text(view(rated.runs.compare(run.id, rated.runs.search("parameters.rate = 0.2")[0].id)))
    rate = next(line for line in told.split("\n") if line.startswith("rate"))
    assert rate.split() == ["rate", "–", "0.2"]
    assert "NaN" in told


def test_sweeps_are_told_apart_and_none_is_left_out(serve: Serve, rated: Project) -> None:
    code = "import jupyter_mlops as mlops\nfor step in range(3): mlops.log_metric('score', rate * step, step)"
    cells = [
        nbformat.v4.new_code_cell("rate = 0.1", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell(code),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), rated.root / "rates.ipynb")
    grid = {"rate": [0.1, 0.2, 0.3]}
    swept = rated.runs.execute(rated.root / "rates.ipynb", grid=grid, maximize="score", experiment="swept")
    single = rated.runs.execute(rated.root / "rates.ipynb", experiment="single", wait=False)
    bo = serve(rated, people=True).person(BO)
    text = page(bo, "runs")
    assert f"sweep {swept.id}</a>" in text
    assert f"sweep {single.id}</a>" not in text, "what tried nothing stands in the list of runs"
    every = page(bo, "sweeps")
    assert all(f">{one.id}</a>" in every for one in (swept, single))
    assert f">{single.id}</a>" not in page(bo, "sweeps?experiment=swept")

    shown = page(bo, f"sweeps/{swept.id}")
    assert ids(shown) == [run.id for run in sorted(swept, key=lambda run: -run.metrics["score"])]
    assert shown.count("<h2>Curves") == 1
    assert ids(page(bo, head_of(shown, "rate"))) == [run.id for run in swept]
    asked = re.search(r'href="[^"]*/mlops/(sweeps/[^"]*importance=1)', shown)
    assert asked
    assert "What score depends on" in page(bo, unescape(asked[1]))
    # the best is not compared with itself
    best, worst = (page(bo, run.path) for run in (swept.best(), swept[0]))
    assert "Compare with the best" not in best
    assert "Compare with the best" in worst


@pytest.fixture
def kept(make_project: MakeProject, tmp_path: Path) -> tuple[Project, Run]:
    """A run that kept something of every kind, some of it with names and contents that mean harm."""
    import pandas

    project = make_project(VERIFIED)
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "a&b?.txt").write_text("deep inside", "utf-8")
    (folder / "x.bin").write_bytes(b"\x00\x01")
    (tmp_path / "report.html").write_text(f"<h1>report</h1>{SCRIPT}", "utf-8")
    (tmp_path / "blob.bin").write_bytes(bytes(range(256)) * 8_000)
    with project.runs.start("keeps") as run:
        run.log_artifact({"a": [1, None]}, "conf.json")
        run.log_artifact("first\nsecond", "sub/notes #1?.txt")
        run.log_artifact(pandas.DataFrame({"n": range(30)}), "table")
        run.log_artifact(folder, "folder")
        run.log_artifact(PICTURE, "evil.svg")
        for name in ("report.html", "blob.bin"):
            run.log_artifact(tmp_path / name)
    return project, project.runs.get(run.id)


def fetched(browser: Browser, run: Run, name: str, query: str = "") -> tuple[Message, bytes]:
    """Return the headers and bytes of an artifact as the page's own links ask for it."""
    address = f"{browser.url}mlops/runs/{run.id}/artifacts/{quote(quote(name, safe=''))}/content{query}"
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(browser.cookies))
    with opener.open(address, timeout=60) as answer:
        return answer.headers, answer.read()


def test_every_artifact_has_a_page_that_its_run_leads_to(serve: Serve, kept: tuple[Project, Run]) -> None:
    project, run = kept
    bo = serve(project, people=True).person(BO)
    text = page(bo, run.path)
    links = re.findall(rf'href="[^"]*/mlops/(runs/{run.id}/artifacts/[^"]+)"', text)
    assert len(links) == len(run.artifacts) == 7
    pages = {link: page(bo, unescape(link)) for link in links}
    assert all(">Download</a>" in one for one in pages.values())
    said = " ".join(pages.values())
    for what in ("first\nsecond", "&quot;a&quot;: [", "30 rows, 1 column", "deep/a&amp;b?.txt"):
        assert what in said, what
    assert SCRIPT not in said
    assert bo.get(f"mlops/runs/{run.id}/artifacts/nothing").status == 404


@pytest.mark.parametrize(
    ("name", "media", "shown"),
    [
        ("conf.json", "application/json", True),
        ("sub/notes #1?.txt", "text/plain; charset=utf-8", True),
        ("report.html", "text/html; charset=utf-8", True),
        ("evil.svg", "image/svg+xml", True),
        ("table", "application/octet-stream", False),
        ("folder", "application/zip", False),
        ("blob.bin", "application/octet-stream", False),
    ],
)
def test_foreign_content_is_shown_in_a_sandbox_or_saved(
    serve: Serve, kept: tuple[Project, Run], name: str, media: str, shown: bool
) -> None:
    project, run = kept
    bo = serve(project, people=True).person(BO)
    saved, _ = fetched(bo, run, name, "?download=1")
    assert saved["Content-Disposition"].startswith("attachment; filename*=UTF-8''")
    answer, _ = fetched(bo, run, name)
    assert answer["Content-Disposition"].startswith("inline; " if shown else "attachment; ")
    assert answer["Content-Type"] == media
    assert answer["X-Content-Type-Options"] == "nosniff"
    policy = [part.strip() for part in answer["Content-Security-Policy"].split(";")]
    assert "sandbox" in policy, "no scripts, no origin"
    assert "default-src 'none'" in policy
    assert not [part for part in policy if part.startswith("script-src") or "allow-" in part]


def test_bytes_come_as_they_were_kept(serve: Serve, kept: tuple[Project, Run]) -> None:
    project, run = kept
    served = serve(project, people=True)
    bo = served.person(BO)
    assert fetched(bo, run, "blob.bin")[1] == bytes(range(256)) * 8_000
    assert fetched(bo, run, "sub/notes #1?.txt")[1] == b"first\nsecond"
    with zipfile.ZipFile(io.BytesIO(fetched(bo, run, "folder")[1])) as packed:
        assert sorted(packed.namelist()) == ["deep/a&b?.txt", "x.bin"]
        assert packed.read("x.bin") == b"\x00\x01"
    inside = "?path=" + quote("deep/a&b?.txt", safe="")
    assert fetched(bo, run, "folder", inside)[1] == b"deep inside"
    content = f"mlops/runs/{run.id}/artifacts/conf.json/content"
    assert bo.get(content.replace("conf.json", "folder") + "?path=../../mlops.toml").status == 404
    assert served.anonymous().get(content).status in (302, 401, 403)


def test_who_has_no_role_gets_no_artifact_and_no_notebook(serve: Serve, kept: tuple[Project, Run]) -> None:
    project, run = kept
    somebody = serve(project).script()  # let in by Jupyter, named by no policy
    for path in ("artifacts/conf.json", "artifacts/conf.json/content", "notebook/content"):
        answer = somebody.get(f"mlops/runs/{run.id}/{path}")
        assert (answer.status, "no role in this project yet" in answer.text) == (403, True), path
