"""A project is a folder: found by walking up, opened in somebody's name, completed but never overwritten."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import jupyter_mlops as mlops
from jupyter_mlops.errors import NotFound, ProjectNotFound, Refused
from jupyter_mlops.people import Role
from jupyter_mlops.project import Project, open_project
from tests.conftest import ANN, BO, POLICY, MakeProject


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLOPS_PROJECT", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_init_makes_a_project_and_its_actor_the_admin(nowhere: Path) -> None:
    with mlops.init(nowhere / "churn", actor=ANN) as project:
        assert project.people.whoami().role == "admin"
        assert (nowhere / "churn" / "mlops.toml").exists()
        assert (nowhere / "churn" / ".mlops" / ".gitignore").read_text() == "*\n"
        assert project.audit.verify().ok
        assert [event.verb for event in project.events()] == ["policy.applied"]


def test_init_again_changes_nothing(nowhere: Path) -> None:
    mlops.init(nowhere, actor=ANN).close()
    before = (nowhere / "mlops.toml").read_text()
    with mlops.init(nowhere, actor=BO) as project:
        assert (nowhere / "mlops.toml").read_text() == before
        assert len(list(project.events())) == 1
        assert project.people.whoami().role == "none"


def test_init_keeps_a_file_and_only_adds_the_missing_admin(nowhere: Path) -> None:
    (nowhere / "mlops.toml").write_text("# ours\n[people]\nviewer = ['dee@example.com'] # a friend\n")
    with mlops.init(nowhere, actor=ANN) as project:
        text = (nowhere / "mlops.toml").read_text()
        assert "# ours" in text
        assert "# a friend" in text
        assert project.people.role_of("dee@example.com") is Role.VIEWER
        assert project.people.role_of(ANN) is Role.ADMIN
        assert not project.people.in_force().file_differs


def test_a_project_is_found_from_inside_and_by_name(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlops.init(nowhere, actor=ANN).close()
    inner = nowhere / "a" / "b"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    with mlops.open(actor=ANN) as project:
        assert project.root == nowhere
    monkeypatch.chdir("/")
    with pytest.raises(ProjectNotFound, match="mlops init"):
        mlops.open(actor=ANN)
    monkeypatch.setenv("MLOPS_PROJECT", str(nowhere))
    mlops.open(actor=ANN).close()
    with pytest.raises(ProjectNotFound):
        mlops.open(inner, actor=ANN)


def test_who_acts_is_looked_for_in_order(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlops.init(nowhere, actor=ANN).close()
    monkeypatch.setenv("HOME", str(nowhere))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(nowhere / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")

    def acting() -> tuple[str, str]:
        with open_project(nowhere) as project:
            return project.actor.name, project.actor.source

    assert acting()[1] == "user@host"
    subprocess.run(["git", "config", "--global", "user.email", "git@example.com"], check=True)
    assert acting() == ("git@example.com", "git")
    with open_project(nowhere) as project:
        from jupyter_mlops.project import set_whoami

        set_whoami(project, "set@example.com")
    assert acting() == ("set@example.com", "whoami --set")
    monkeypatch.setenv("JUPYTERHUB_USER", "hub@example.com")
    assert acting() == ("hub@example.com", "$JUPYTERHUB_USER")
    monkeypatch.setenv("MLOPS_ACTOR", "env@example.com")
    assert acting() == ("env@example.com", "$MLOPS_ACTOR")
    with open_project(nowhere, actor=BO) as project:
        assert (project.actor.name, project.actor.proof) == (BO, "local")


def test_the_role_is_checked_inside_the_write(project: Project, as_actor: Callable[..., Project]) -> None:
    dee = as_actor(project, "dee@example.com")
    with pytest.raises(Refused, match="needs the role contributor"), dee.people.write(Role.CONTRIBUTOR) as tx:
        tx.event("never", "x")
    stranger = as_actor(project, "eve@example.com")
    with pytest.raises(Refused, match="has no role"):
        stranger.people.require(Role.VIEWER)
    assert [event.verb for event in project.events()] == ["policy.applied"]


def test_emails_are_compared_without_case(project: Project) -> None:
    assert project.people.role_of("Bo@Example.com") is Role.APPROVER
    assert project.people.role_of("CI") is Role.NONE
    assert project.people.role_of("ci") is Role.CONTRIBUTOR


def test_an_edited_policy_does_not_count_until_it_is_applied(
    project: Project, as_actor: Callable[..., Project]
) -> None:
    edited = POLICY.replace('viewer = ["dee@example.com"]', 'viewer = ["dee@example.com", "eve@example.com"]')
    (project.root / "mlops.toml").write_text(edited)
    again = as_actor(project, ANN)
    assert again.people.in_force().file_differs
    assert again.people.role_of("eve@example.com") is Role.NONE


def test_a_store_without_a_policy_says_what_to_do(make_project: MakeProject) -> None:
    project = make_project()
    (project.state / "store.sqlite").rename(project.state / "gone.sqlite")
    for suffix in ("-wal", "-shm"):
        (project.state / f"store.sqlite{suffix}").unlink(missing_ok=True)
    with open_project(project.root, actor=ANN) as fresh, pytest.raises(NotFound, match="mlops init"):
        fresh.people.whoami()
