"""The command line as people and CI use it: output, JSON, one line and a status for every mistake."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas
import pytest

from jupyter_mlops.cli import run as mlops
from jupyter_mlops.project import Project
from tests.conftest import ANN, POLICY, MakeProject

Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def say(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Say:
    """Type one command in a project's folder; return its status, output and errors."""
    project = make_project()
    monkeypatch.chdir(project.root)
    monkeypatch.setenv("MLOPS_ACTOR", ANN)
    pandas.DataFrame({"id": range(20), "x": [v / 3 for v in range(20)]}).to_csv("data.csv", index=False)

    def typed(*words: str) -> tuple[int, str, str]:
        status = mlops(list(words))
        out, err = capsys.readouterr()
        return status, out, err

    return typed


def test_a_lone_noun_lists_and_a_bare_command_shows_the_project(say: Say) -> None:
    assert say("data", "commit", "customers", "data.csv", "-m", "first")[0] == 0
    assert say("data") == say("data", "list")
    status, out, _ = say()
    assert status == 0
    assert "customers" in out


def test_json_is_pinned_for_listings_and_values(say: Say) -> None:
    say("data", "commit", "customers", "data.csv", "--key", "id")
    status, out, _ = say("data", "list", "--json")
    assert status == 0
    assert list(json.loads(out)) == ["items"]
    assert json.loads(out)["items"][0]["name"] == "customers"
    _, out, _ = say("--json", "data", "show", "customers")
    shown = json.loads(out)
    assert {
        "ref",
        "name",
        "number",
        "digest",
        "kind",
        "rows",
        "bytes",
        "columns",
        "profile",
        "parents",
    } <= set(shown)
    _, out, _ = say("audit", "verify", "--json")
    assert set(json.loads(out)) == {"ok", "entries", "head", "fault"}
    _, out, _ = say("whoami", "--json")
    assert set(json.loads(out)) == {"name", "proof", "source", "role", "service"}
    _, out, _ = say("audit", "log", "--json")
    event = json.loads(out)["items"][0]
    assert set(event) == {"seq", "at", "actor", "proof", "verb", "about", "data", "prev", "hash"}


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (("dta",), 2, "did you mean data"),
        (("data", "commt", "x", "y"), 2, "did you mean commit"),
        (("data", "commit", "x"), 2, "Missing argument"),
        (("data", "commit", "x", "nowhere.csv"), 2, "nowhere.csv"),
        (("data", "commit", "x", "empty.csv"), 2, "empty"),
        (("data", "commit", "a@b", "data.csv"), 2, "cannot name"),
        (("data", "show", "custmers"), 2, "did you mean customers"),
        (("data", "show", "customers@v9"), 2, "v9"),
        (("data", "show", "customers@goldn"), 2, "goldn"),
        (("models", "show", "nothing"), 2, "nothing"),
        (("promote", "fraud", "production"), 2, "fraud"),
        (("run", "nowhere.ipynb"), 2, "nowhere.ipynb"),
        (("run", "nowhere.ipynb", "-p", "novalue"), 2, "key=value"),
        (("runs", "list", "--where", "metrics.auc >"), 2, "column"),
        (("approve", "zzzz"), 2, "zzzz"),
        (("--project", "/", "status"), 2, "mlops init"),
    ],
)
def test_every_mistake_is_one_line_with_a_status_and_changes_nothing(
    say: Say, words: tuple[str, ...], status: int, says: str
) -> None:
    Path("empty.csv").touch()
    say("data", "commit", "customers", "data.csv")
    say("data", "alias", "customers@v1", "golden")
    before = say("audit", "verify", "--json")[1]
    got, out, err = say(*words)
    assert got == status, err
    assert says in err
    assert err.startswith("mlops: ")
    assert "Traceback" not in err
    assert out == ""
    assert say("audit", "verify", "--json")[1] == before


def test_a_traceback_only_with_debug(say: Say) -> None:
    assert "Traceback" not in say("data", "show", "nothing")[2]
    assert "Traceback" in say("data", "show", "nothing", "--debug")[2]


def test_errors_in_json_share_the_envelope(say: Say) -> None:
    _, _, err = say("data", "show", "nothing", "--json")
    assert set(json.loads(err)["error"]) == {"code", "message", "hint"}


def test_somebody_without_a_role_may_do_nothing(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_ACTOR", "eve@example.com")
    status, _, err = say("data", "list")
    assert (status, "has no role" in err) == (1, True)
    status, out, _ = say("whoami")
    assert status == 0
    assert "eve@example.com" in out


def test_an_edited_policy_is_pointed_out_and_not_used(say: Say) -> None:
    Path("mlops.toml").write_text(POLICY + "\n[aliases.shadow]\n")
    assert "mlops policy apply" in say("status")[1]
    assert say("policy", "apply")[0] == 0
    assert "mlops policy apply" not in say("status")[1]


def test_init_needs_no_project_and_says_what_it_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLOPS_PROJECT", raising=False)
    monkeypatch.setenv("MLOPS_ACTOR", ANN)
    assert mlops(["init"]) == 0
    out = capsys.readouterr().out
    assert f"mlops.toml written; you act as {ANN} ($MLOPS_ACTOR)" in " ".join(out.split())
    assert (tmp_path / "mlops.toml").exists()


def test_whoami_is_remembered(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.root)
    assert mlops(["whoami", "--set", "zoe@example.com"]) == 0
    assert (project.state / "actor").read_text() == "zoe@example.com\n"


def test_drift_raises_one_alert_when_asked_and_tells_by_its_status(say: Say) -> None:
    for name, shift in (("before", 0.0), ("after", 4.0)):
        pandas.DataFrame({"x": [v % 50 / 10 + shift for v in range(1000)]}).to_csv(f"{name}.csv", index=False)
        say("data", "commit", "sales", f"{name}.csv")
    assert say("drift", "sales@v1", "sales@v2")[0] == 0
    assert json.loads(say("alerts", "--json")[1]) == {"items": []}
    for _ in range(2):
        assert say("drift", "sales@v1", "sales@v2", "--alert", "--fail-on-drift")[0] == 1
    (alert,) = json.loads(say("alerts", "--json")[1])["items"]
    assert alert["title"] == "sales@v2 drifted from sales@v1"
    assert say("drift", "sales@v1", "sales@v1", "--fail-on-drift")[0] == 0
    assert say("alerts", "acknowledge", alert["id"])[0] == 0
    assert say("alerts", "acknowledge", alert["id"])[0] == 1
