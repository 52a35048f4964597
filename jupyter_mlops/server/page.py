"""The page's own server: Jupyter Server on this machine with nothing but the page, a link for each person.

Started by ``mlops up`` as ``python -m jupyter_mlops.server``; any other Jupyter serves the page by itself.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

from ..project import Project

READY_FILE = "page.json"


def page_command(root: Path, port: int = 0) -> list[str]:
    """Return the command that serves the page of the project at ``root``; port 0 is any free one.

    The process writes ``.mlops/page.json`` with its ``url`` and the ``links`` of its people once it answers.
    """
    return [sys.executable, "-m", "jupyter_mlops.server", "--project", str(root), "--port", str(port)]


def run_page(project: Project, port: int = 0, on_ready: Callable[[str], None] | None = None) -> None:
    """Serve the page on 127.0.0.1 until the process is told to end; needs the main thread.

    ``on_ready`` gets the server's URL, for ``page_links``, once it answers.
    """
    from jupyter_server.serverapp import ServerApp
    from traitlets.config import Config

    from .identity import LINKS_FILE, PageAuthorizer, PeopleIdentityProvider, page_links

    own = project.state / "page"
    own.mkdir(mode=0o700, exist_ok=True)
    ready = project.state / READY_FILE
    ready.unlink(missing_ok=True)
    # before anybody can come: nobody is let in without a link
    page_links(project, "http://127.0.0.1/")
    config = Config()
    config.ServerApp.update(
        ip="127.0.0.1",
        port=port,
        root_dir=str(project.root),
        default_url="/mlops/",
        open_browser=False,
        answer_yes=True,
        # people get no further than the page, whoever runs the process
        allow_root=True,
        allow_unauthenticated_access=False,
        identity_provider_class=PeopleIdentityProvider,
        authorizer_class=PageAuthorizer,
        cookie_secret_file=str(own / "cookie-secret"),
        jpserver_extensions={"jupyter_mlops.server": True},
        terminals_enabled=False,
        log_level="WARN",
    )
    config.PeopleIdentityProvider.links_file = str(project.state / LINKS_FILE)
    server = ServerApp.instance(config=config, runtime_dir=str(own), no_browser_open_file=True)
    server.initialize(argv=[], find_extensions=False)
    url = f"http://127.0.0.1:{server.port}/"

    def announce() -> None:
        draft = ready.with_suffix(".new")
        draft.touch(mode=0o600)
        draft.write_text(json.dumps({"url": url, "links": page_links(project, url)}) + "\n", "utf-8")
        draft.replace(ready)
        if on_ready is not None:
            on_ready(url)

    server.io_loop.add_callback(announce)
    try:
        server.start()
    finally:
        ready.unlink(missing_ok=True)
