"""The page's own server: Jupyter Server on this machine with nothing but the page, a link for each person.

Started by ``mlops up`` as ``python -m jupyter_mlops.server``; any other Jupyter serves the page by itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from ..project import Project

READY_FILE = "page.json"


def run_page(project: Project, port: int = 0, on_ready: Callable[[str], None] | None = None) -> None:
    """Serve the page on 127.0.0.1 until the process is told to end; needs the main thread.

    Once it answers, ``on_ready`` gets the server's URL, and ``.mlops/page.json`` holds it with the link of
    each person, readable by its owner only, until the server ends.
    """
    from jupyter_server.serverapp import ServerApp
    from traitlets.config import Config

    from .identity import LINKS_FILE, PageAuthorizer, PeopleIdentityProvider, page_links, write_private

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
    told = json.dumps({"url": url, "links": page_links(project, url)}, indent=1)

    def announce() -> None:
        write_private(ready, told)
        if on_ready is not None:
            on_ready(url)

    server.io_loop.add_callback(announce)
    try:
        server.start()
    finally:
        ready.unlink(missing_ok=True)
