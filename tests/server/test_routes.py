"""Every route: closed to strangers, authorised by name, safe against other sites, one shape of error."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from jupyter_server.auth import AllowAllAuthorizer

from jupyter_mlops.server.routes import routes
from tests.conftest import ANN, BO, MakeProject

from .conftest import Served

Serve = Callable[..., Served]
METHODS = ("get", "post", "put", "patch", "delete")


def addresses() -> list[tuple[str, str]]:
    """Return a method and an address for everything that the extension answers."""
    found = []
    for pattern, handler in routes():
        path = re.sub(r"\(\[0-9\][^)]*\)", "1", pattern)
        path = re.sub(r"\(\[\^/\]\+\)", "thing", path)
        path = path.replace("(?:/.*)?", "/nowhere").replace("/.*", "/nowhere").replace("/?", "").lstrip("/")
        found += [(method, path) for method in METHODS if method in vars(handler)]
    assert len(found) > 40
    return found


def test_every_route_is_closed_to_strangers(serve: Serve, make_project: MakeProject) -> None:
    stranger = serve(make_project()).anonymous()
    for method, path in addresses():
        reply = stranger.ask(path, method.upper(), b"{}" if method != "get" else None)
        if method == "get" and "/api" not in path:
            assert reply.status == 302, path
            assert "/login?next=" in reply.headers["Location"], path
        else:
            assert reply.status == 403, path


def test_every_route_is_closed_to_strangers_where_people_have_links(
    serve: Serve, make_project: MakeProject
) -> None:
    stranger = serve(make_project(), people=True).anonymous()
    for method, path in addresses():
        reply = stranger.ask(path, method.upper(), b"{}" if method != "get" else None)
        assert reply.status == (302 if method == "get" and "/api" not in path else 403), path


class Recording(AllowAllAuthorizer):
    """Says no to everything and remembers what it was asked."""

    asked: list[tuple[str, str, str]] = []  # noqa: RUF012 shared with the test on purpose

    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        self.asked.append((handler.request.method, action, resource))
        return False


def test_every_route_asks_jupyter_whether_this_user_may(
    serve: Serve, make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Recording, "asked", [])
    script = serve(make_project(), authorizer_class=Recording).script()
    for method, path in addresses():
        before = len(Recording.asked)
        reply = script.ask(path, method.upper(), b"{}" if method != "get" else None)
        assert reply.status == 403, path
        ((asked_method, action, resource),) = Recording.asked[before:]
        changes = method == "post" and path.rpartition("/")[2] in ("approve", "reject", "acknowledge")
        assert (asked_method, action) == (method.upper(), "write" if changes else "read"), path
        assert resource.startswith("jupyter_mlops:"), path
    nouns = {resource.partition(":")[2] for _, _, resource in Recording.asked}
    assert nouns == {"overview", "runs", "data", "models", "approvals", "alerts", "audit", "policy", "page"}


def test_a_cookie_alone_changes_nothing(serve: Serve, make_project: MakeProject) -> None:
    """Another site can make a browser send its cookie, but does not know the form's token."""
    served = serve(make_project(), people=True)
    bo = served.person(BO)
    token = bo.form_token(bo.get("mlops/audit"))
    for method, path in addresses():
        if method == "post":
            assert bo.submit(path, {"reason": "because"}).status == 403, path
            assert bo.post(path).status == 403, path
            assert bo.submit(path, {"reason": "because", "_xsrf": "guessed"}).status == 403, path
    assert bo.submit("mlops/audit/verify", {"_xsrf": token}).status == 200
    assert bo.post("mlops/api/approvals/thing/approve", **{"X-XSRFToken": token}).status == 404


def test_requests_from_other_origins_are_refused(serve: Serve, make_project: MakeProject) -> None:
    served = serve(make_project(), people=True)
    bo = served.person(BO)
    fields = {"_xsrf": bo.form_token(bo.get("mlops/audit"))}
    for origin in ("http://evil.example", served.url.partition("/a%40b")[0] + ".evil.example", "null"):
        assert bo.submit("mlops/audit/verify", fields, Origin=origin).status == 404, origin
        assert bo.get("mlops/api/audit", Origin=origin).status == 404, origin


def test_a_name_that_only_looks_local_is_refused(serve: Serve, make_project: MakeProject) -> None:
    """A page elsewhere may point its own name at 127.0.0.1 and ask as if it were at home."""
    served = serve(make_project(), people=True)
    bo = served.person(BO)
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8888"):
        assert bo.get("mlops/", Host=host).status == 403, host
        assert bo.get("mlops/api/audit", Host=host).status == 403, host


def test_pages_let_no_foreign_code_run(serve: Serve, make_project: MakeProject) -> None:
    served = serve(make_project(), people=True)
    page = served.person(BO).get("mlops/audit")
    rules = dict(
        rule.strip().partition(" ")[::2] for rule in page.headers["Content-Security-Policy"].split(";")
    )
    assert rules["default-src"] == rules["script-src"] == rules["form-action"] == "'self'"
    assert rules["frame-ancestors"] == "'self'"
    assert rules["object-src"] == rules["base-uri"] == "'none'"
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    for tag in re.findall(r"<script[^>]*>", page.text):
        assert "src=" in tag
    assert not re.search(r"\son\w+=", page.text)


@pytest.mark.parametrize("base_url", ["/", "/user/x/", "/a%40b/"])
def test_the_page_lives_under_whatever_base_url(
    serve: Serve, make_project: MakeProject, base_url: str
) -> None:
    served = serve(make_project(), people=True, base_url=base_url)
    bo = served.person(BO)
    page = bo.get("mlops/")
    assert page.status == 200
    addresses = re.findall(r'(?:href|src|action)="([^"#]*)"', page.text)
    assert len(addresses) > 8
    for address in addresses:
        if not address.startswith("data:"):
            assert address.startswith(base_url), address
            assert bo.get(address.removeprefix(base_url)).status == 200, address


def test_every_error_of_the_rest_interface_has_one_shape(
    serve: Serve, make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_ACTOR", ANN)
    served = serve(make_project())
    ann, stranger = served.script(), served.anonymous()
    cases = [
        (stranger.get("mlops/api/runs"), 403, "refused"),
        (ann.get("mlops/api/nowhere"), 404, "not_found"),
        (ann.get("mlops/api/models/nothing/1"), 404, "not_found"),
        (ann.get("mlops/api/data/nothing/1"), 404, "not_found"),
        (ann.get("mlops/api/runs/zzzzzzzz"), 404, "not_found"),
        (ann.get("mlops/api/approvals/zzzz"), 404, "not_found"),
        (ann.post("mlops/api/alerts/zzzz/acknowledge"), 404, "not_found"),
        (ann.get("mlops/api/runs?where=metrics.auc+>"), 400, "bad_input"),
        (ann.get("mlops/api/runs?limit=many"), 400, "bad_input"),
        (ann.get("mlops/api/runs?project=/etc"), 400, "bad_input"),
        (ann.get("mlops/api/whoami?set=bo@example.com"), 400, "bad_input"),
        (ann.get("mlops/api/audit?about=" + "a" * 5000), 400, "bad_input"),
        (ann.get("mlops/api/models/..%2F..%2Fetc/1"), 400, "bad_input"),
        (ann.get("mlops/api/runs/%00%30%00"), 400, "bad_input"),
        (ann.ask("mlops/api/runs", "DELETE"), 405, "method_not_allowed"),
        (ann.submit("mlops/api/approvals/zzzz/approve", {}), 400, "bad_input"),
        (ann.post("mlops/api/approvals/zzzz/approve", ["no object"]), 400, "bad_input"),
        (ann.post("mlops/api/approvals/zzzz/approve", {"reason": 1}), 400, "bad_input"),
        (ann.post("mlops/api/approvals/zzzz/approve", {"actor": BO}), 400, "bad_input"),
        (ann.post("mlops/api/approvals/zzzz/reject"), 400, "bad_input"),
        (
            ann.ask("mlops/api/approvals/zzzz/approve", "POST", b"{", {"Content-Type": "application/json"}),
            400,
            "bad_input",
        ),
    ]
    for reply, status, code in cases:
        assert reply.status == status, reply.text
        envelope = reply.json()
        assert set(envelope) == {"code", "message", "hint"}
        assert envelope["code"] == code, envelope
        assert envelope["message"]


def test_looking_changes_nothing(serve: Serve, make_project: MakeProject) -> None:
    served = serve(make_project(), people=True)
    bo = served.person(BO)
    before = list(served.project.events())
    for method, path in addresses():
        if method == "get":
            assert bo.get(path).status in (200, 400, 404), path
    assert list(served.project.events()) == before
