"""A real Jupyter Server with the extension, on a real project, asked over HTTP as browsers and scripts do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

# by name: the plugin's hooks would run every async test of this repository on its own loop
from pytest_jupyter.jupyter_core import (  # noqa: F401
    echo_kernel_spec,
    jp_asyncio_loop,
    jp_config_dir,
    jp_data_dir,
    jp_env_config_path,
    jp_env_jupyter_path,
    jp_environ,
    jp_home_dir,
    jp_kernel_dir,
    jp_runtime_dir,
    jp_system_config_path,
    jp_system_jupyter_path,
)
from pytest_jupyter.jupyter_server import (  # noqa: F401
    jp_argv,
    jp_base_url,
    jp_configurable_serverapp,
    jp_http_port,
    jp_logging_stream,
    jp_nbconvert_templates,
    jp_server_cleanup,
    jp_web_app,
)
from pytest_jupyter.pytest_tornasync import http_server, http_server_port  # noqa: F401
from tornado.httpserver import HTTPServer
from traitlets.config import Config

from jupyter_mlops.project import Project
from jupyter_mlops.server.identity import page_links
from jupyter_mlops.server.page import READY_FILE

SHARED_TOKEN = "shared-by-everybody"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


@dataclass
class Reply:
    """One answer of the server."""

    status: int
    text: str
    headers: Mapping[str, str]

    def json(self) -> Any:
        """Return the body read as JSON."""
        return json.loads(self.text)


@dataclass
class Browser:
    """Somebody at the server: keeps cookies, follows no redirect, sends exactly what it is told to."""

    url: str
    token: str = ""
    cookies: CookieJar = field(default_factory=CookieJar)

    def __post_init__(self) -> None:
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(self.cookies), _NoRedirect
        )

    def ask(
        self,
        path: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send one request to ``path`` below the server's base URL."""
        request = urllib.request.Request(self.url + path, body, dict(headers or {}), method=method)
        if self.token:
            request.add_header("Authorization", f"token {self.token}")
        try:
            with self._opener.open(request, timeout=60) as answer:
                return Reply(answer.status, answer.read().decode(errors="replace"), answer.headers)
        except urllib.error.HTTPError as refusal:
            with refusal:
                return Reply(refusal.code, refusal.read().decode(), refusal.headers)

    def get(self, path: str, **headers: str) -> Reply:
        """Send a GET."""
        return self.ask(path, headers=headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Reply:
        """Send a POST with a JSON body."""
        return self.ask(
            path, "POST", json.dumps(body or {}).encode(), {"Content-Type": "application/json", **headers}
        )

    def submit(self, path: str, fields: Mapping[str, str], **headers: str) -> Reply:
        """Send a form, with nothing added."""
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.ask(path, "POST", urlencode(fields).encode(), {**kind, **headers})

    def form_token(self, page: Reply) -> str:
        """Return the XSRF token that the page's forms carry."""
        found = re.search(r'name="_xsrf" value="([^"]+)"', page.text)
        assert found, "the page has no form"
        return found.group(1)


@dataclass
class Served:
    """The running server and who can go there."""

    url: str
    project: Project

    def anonymous(self) -> Browser:
        """Somebody without cookie or token."""
        return Browser(self.url)

    def script(self, token: str = SHARED_TOKEN) -> Browser:
        """Somebody who sends the token with every request."""
        return Browser(self.url, token)

    def person(self, name: str) -> Browser:
        """A person in a browser, come through the link that is theirs."""
        browser = Browser(self.url)
        link = page_links(self.project, self.url)[name]
        assert browser.get(link.removeprefix(self.url)).status == 302, (
            "the link becomes a cookie and a clean address"
        )
        return browser


@pytest.fixture
def jp_server_config() -> Config:
    # the terminals' own routes do not pass the strict checks that ours are held to
    extensions = {"jupyter_mlops.server": True, "jupyter_server_terminals": False}
    return Config({"ServerApp": {"jpserver_extensions": extensions}})


@pytest.fixture
def jp_root_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


@pytest.fixture
def serve(
    jp_asyncio_loop: asyncio.AbstractEventLoop,  # noqa: F811
    jp_server_config: Config,
    jp_configurable_serverapp: Callable[..., Any],  # noqa: F811
    http_server_port: Any,  # noqa: F811
) -> Iterator[Callable[..., Served]]:
    """Start the server on a project: ``serve(project, people=True)`` knows each person by their link."""
    stopping = contextlib.ExitStack()

    def start(project: Any, people: bool = False, base_url: str = "/a%40b/", **settings: Any) -> Served:
        own = jp_server_config.ServerApp
        own.update(allow_unauthenticated_access=False, **settings)
        if people:
            own.identity_provider_class = "jupyter_mlops.server.identity.PeopleIdentityProvider"
            own.authorizer_class = "jupyter_mlops.server.identity.PageAuthorizer"
            page_links(project, "")
        else:
            jp_server_config.IdentityProvider.token = SHARED_TOKEN
        app = jp_configurable_serverapp(config=jp_server_config, base_url=base_url, root_dir=project.root)
        socket = http_server_port[0]

        async def listen() -> HTTPServer:
            server = HTTPServer(app.web_app)
            server.add_socket(socket)
            return server

        server = jp_asyncio_loop.run_until_complete(listen())
        thread = threading.Thread(target=jp_asyncio_loop.run_forever, name="server", daemon=True)
        thread.start()

        @stopping.callback
        def stop() -> None:
            jp_asyncio_loop.call_soon_threadsafe(jp_asyncio_loop.stop)
            thread.join()
            server.stop()
            jp_asyncio_loop.run_until_complete(server.close_all_connections())

        return Served(f"http://127.0.0.1:{socket.getsockname()[1]}{base_url}", project)

    with stopping:
        yield start


@dataclass
class PageProcess(Served):
    """The page's own server, as a process."""

    process: subprocess.Popen[bytes]
    log: Path


@pytest.fixture
def page_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Project], PageProcess]]:
    """Start the page's own server on a project and wait until it says that it is ready."""
    monkeypatch.setenv("HOME", str(tmp_path))
    processes: list[subprocess.Popen[bytes]] = []
    log = tmp_path / "page.log"

    def start(project: Project) -> PageProcess:
        with log.open("wb") as output:
            command = [sys.executable, "-m", "jupyter_mlops.server", "--project", str(project.root)]
            process = subprocess.Popen(command, stdout=output, stderr=output, cwd=tmp_path)
        processes.append(process)
        ready = project.state / READY_FILE
        deadline = time.monotonic() + 60
        while not ready.is_file():
            assert process.poll() is None, log.read_text("utf-8")
            assert time.monotonic() < deadline, "the page did not start in time"
            time.sleep(0.05)
        return PageProcess(json.loads(ready.read_text("utf-8"))["url"], project, process, log)

    yield start
    for process in processes:
        process.kill()
        process.wait()
