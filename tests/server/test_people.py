"""Who is let in, and as whom: personal links, cookies, and servers that cannot tell people apart."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jupyter_server.auth import IdentityProvider, PasswordIdentityProvider, User
from jupyter_server.auth.identity import LegacyIdentityProvider
from traitlets.config import Config

import jupyter_mlops
from jupyter_mlops.project import Project, open_project
from jupyter_mlops.server.identity import (
    LINKS_FILE,
    PeopleIdentityProvider,
    page_links,
    tells_people_apart,
)
from tests.conftest import ANN, BO, CI, CY, DEE, POLICY, MakeProject

from .conftest import SHARED_TOKEN, Served

Serve = Callable[..., Served]


def test_everybody_with_a_role_has_a_link_and_services_have_none(project: Project) -> None:
    links = page_links(project, "http://127.0.0.1:8888/base/")
    assert set(links) == {ANN, BO, CY, DEE}
    assert CI not in links
    assert len({link.partition("token=")[2] for link in links.values()}) == 4
    assert links[BO].startswith("http://127.0.0.1:8888/base/mlops/?token=")
    assert page_links(project, "http://127.0.0.1:8888/base/") == links


def test_the_file_of_links_is_for_its_owner_only(make_project: MakeProject) -> None:
    project = make_project()
    page_links(project, "http://127.0.0.1/")
    mode = stat.S_IMODE(os.stat(project.state / LINKS_FILE).st_mode)
    assert mode == 0o600


def test_a_link_makes_one_exactly_that_person(serve: Serve, make_project: MakeProject) -> None:
    served = serve(make_project(), people=True)
    bo, dee = served.person(BO), served.person(DEE)
    assert bo.get("mlops/api/whoami").json() | {"source": ""} == {
        "name": BO,
        "proof": "jupyter",
        "source": "",
        "role": "approver",
        "service": False,
    }
    assert dee.get("mlops/api/whoami").json()["name"] == DEE


def test_the_token_leaves_the_address_and_the_rest_of_it_stays(
    serve: Serve, make_project: MakeProject
) -> None:
    served = serve(make_project(), people=True)
    link = page_links(served.project, served.url)[BO]
    reply = served.anonymous().get("mlops/audit?about=policy&" + link.partition("?")[2])
    assert (reply.status, reply.headers["Location"]) == (302, "/a%40b/mlops/audit?about=policy")


def test_an_unknown_token_is_refused_even_beside_a_good_cookie(
    serve: Serve, make_project: MakeProject
) -> None:
    served = serve(make_project(), people=True)
    assert served.anonymous().get("mlops/?token=made-up").status == 403
    assert served.person(BO).get("mlops/?token=made-up").status == 403
    assert served.script("made-up").get("mlops/api/whoami").status == 403
    assert served.script(SHARED_TOKEN).get("mlops/api/whoami").status == 403


def test_without_a_link_one_is_told_how_to_get_one(serve: Serve, make_project: MakeProject) -> None:
    served = serve(make_project(), people=True)
    reply = served.anonymous().get("mlops/")
    assert reply.status == 302
    login = served.anonymous().get(reply.headers["Location"].removeprefix("/a%40b/"))
    assert login.status == 403
    assert "your own link" in login.text


def test_a_cookie_is_worth_nothing_once_its_link_is_withdrawn(
    serve: Serve, make_project: MakeProject
) -> None:
    served = serve(make_project(), people=True)
    bo, dee = served.person(BO), served.person(DEE)
    file = served.project.state / LINKS_FILE
    links = json.loads(file.read_text("utf-8"))
    file.write_text(json.dumps({**links, BO: "another token"}), "utf-8")
    assert bo.get("mlops/api/whoami").status == 403
    assert dee.get("mlops/api/whoami").status == 200


def test_who_leaves_the_policy_loses_the_link(make_project: MakeProject, opened: list[Any]) -> None:
    project = make_project()
    before = page_links(project, "http://127.0.0.1/")
    (project.root / "mlops.toml").write_text(POLICY.replace('"bo@example.com", ', ""), "utf-8")
    edited = open_project(project.root, actor=ANN)
    opened.append(edited)
    with edited.people.write(edited.people.role_of(ANN)) as transaction:
        edited.people.record(transaction, edited.config.policy)
    after = page_links(edited, "http://127.0.0.1/")
    assert set(before) - set(after) == {BO}
    assert after[CY] == before[CY]


def test_on_the_page_server_people_get_the_page_and_nothing_else_of_jupyter(
    serve: Serve, make_project: MakeProject
) -> None:
    served = serve(make_project(), people=True)
    bo = served.person(BO)
    page = bo.get("mlops/audit")
    assert page.status == 200
    form = {"X-XSRFToken": bo.form_token(page)}
    assert bo.get("api/contents").status == 403
    assert bo.get(f"files/.mlops/{LINKS_FILE}").status == 403
    assert bo.ask("api/kernels", "POST", b"{}", form).status == 403
    assert bo.ask("api/sessions", "POST", b"{}", form).status == 403


def test_a_shared_token_tells_nobody_apart_so_one_is_the_local_actor(
    serve: Serve, make_project: MakeProject, monkeypatch: Any
) -> None:
    monkeypatch.setenv("MLOPS_ACTOR", DEE)
    served = serve(make_project())
    assert served.script().get("mlops/api/whoami").json()["name"] == DEE
    assert served.script().get("mlops/api/whoami").json()["proof"] == "local"


class NamesPeople(IdentityProvider):
    """A provider as JupyterHub's: it asks somebody else who that is."""

    def get_user(self, handler: Any) -> User | None:
        name = handler.request.headers.get("X-Hub-User")
        return User(name) if name else None


def test_a_provider_that_names_people_vouches_for_them(serve: Serve, make_project: MakeProject) -> None:
    served = serve(make_project(), identity_provider_class=NamesPeople)
    known = served.anonymous().get("mlops/api/whoami", **{"X-Hub-User": BO}).json()
    assert (known["name"], known["proof"], known["role"]) == (BO, "jupyter", "approver")
    assert served.anonymous().get("mlops/api/whoami").status == 403


def test_jupyters_own_providers_name_nobody() -> None:
    assert not tells_people_apart(IdentityProvider(token="x"))
    assert not tells_people_apart(PasswordIdentityProvider(token="x"))
    assert not tells_people_apart(LegacyIdentityProvider(token="x"))
    assert tells_people_apart(PeopleIdentityProvider(links_file="x"))
    assert tells_people_apart(NamesPeople())


def test_the_extension_is_found_by_the_name_that_the_wheel_enables(
    serve: Serve, make_project: MakeProject, jp_server_config: Config, monkeypatch: Any
) -> None:
    monkeypatch.setenv("MLOPS_ACTOR", ANN)
    extensions = {"jupyter_mlops": True, "jupyter_server_terminals": False}
    jp_server_config.ServerApp.jpserver_extensions = extensions
    assert serve(make_project()).script().get("mlops/api/whoami").status == 200
    enabled = Path(jupyter_mlops.__file__).parent / "_data/jupyter_server_config.d/jupyter_mlops.json"
    assert json.loads(enabled.read_text("utf-8")) == {
        "ServerApp": {"jpserver_extensions": {"jupyter_mlops": True}}
    }


def test_who_has_no_role_sees_how_to_get_one_and_nothing_else(
    serve: Serve, make_project: MakeProject, monkeypatch: Any
) -> None:
    monkeypatch.setenv("MLOPS_ACTOR", "stranger@example.com")
    served = serve(make_project())
    for path in ("mlops/", "mlops/runs", "mlops/models/fraud/1", "mlops/approvals/a8c2", "mlops/audit"):
        reply = served.script().get(path)
        assert reply.status == 403, path
        assert "stranger@example.com" in reply.text
        assert "mlops policy apply" in reply.text
        assert ANN in reply.text
    for path in (
        "runs",
        "data",
        "models",
        "approvals",
        "alerts",
        "audit",
        "audit/verify",
        "status",
        "policy",
    ):
        reply = served.script().get(f"mlops/api/{path}")
        assert (reply.status, reply.json()["code"]) == (403, "refused"), path


def test_a_project_made_while_the_server_runs_is_found(
    serve: Serve, make_project: MakeProject, monkeypatch: Any
) -> None:
    monkeypatch.setenv("MLOPS_ACTOR", ANN)
    project = make_project()
    file = project.root / "mlops.toml"
    toml = file.read_text("utf-8")
    file.unlink()
    served = serve(project)
    missing = served.script().get("mlops/api/whoami")
    assert (missing.status, missing.json()["code"]) == (404, "project_not_found")
    assert "mlops init" in served.script().get("mlops/").text
    file.write_text(toml, "utf-8")
    assert served.script().get("mlops/api/whoami").status == 200


def test_a_project_above_the_servers_folder_is_found(
    serve: Serve, make_project: MakeProject, monkeypatch: Any
) -> None:
    monkeypatch.setenv("MLOPS_ACTOR", ANN)
    project = make_project()
    below = project.root / "notebooks" / "drafts"
    below.mkdir(parents=True)

    class Below:
        root, state = below, project.state

    served = serve(Below)
    assert served.script().get("mlops/api/whoami").json()["name"] == ANN
