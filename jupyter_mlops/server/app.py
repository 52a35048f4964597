"""The extension application: settings, threads and routes. Jupyter Server makes one and stops it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from jinja2 import Environment
from jupyter_server.extension.application import ExtensionApp, ExtensionAppJinjaMixin
from markupsafe import Markup, escape
from traitlets import Integer

from ..people import Actor
from ..project import Project
from ..views.formats import ago
from .projects import OpenProjects
from .routes import routes

_HERE = Path(__file__).parent
Answer = TypeVar("Answer")


def said(text: str) -> Markup:
    """Return a hint as HTML: escaped, with what stands in `backticks` or on lines of its own made code."""
    safe = str(escape(text))
    if "\n" in safe:
        return Markup('<code class="lines">{}</code>').format(Markup(safe))  # noqa: S704 escaped above
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", safe))  # noqa: S704 escaped above


class MLOpsApp(ExtensionAppJinjaMixin, ExtensionApp):
    """Serves the page at ``mlops/`` and the REST interface at ``mlops/api/``."""

    name = "jupyter_mlops"
    extension_url = "/mlops/"
    load_other_extensions = True
    static_paths = [str(_HERE / "static")]  # noqa: RUF012 how traitlets wants it
    template_paths = [str(_HERE / "pages")]  # noqa: RUF012

    threads = Integer(
        4, min=1, max=64, config=True, help="How many requests may work on the project at a time."
    )

    def initialize_settings(self) -> None:
        """Make the threads and the projects that every request shares."""
        server: Any = self.serverapp
        self.projects = OpenProjects(server.root_dir)
        self.workers = ThreadPoolExecutor(self.threads, thread_name_prefix="mlops-page")
        environment: Environment = self.settings[f"{self.name}_jinja2_env"]
        environment.trim_blocks = environment.lstrip_blocks = True
        environment.filters.update(ago=ago, said=said)

    def initialize_handlers(self) -> None:
        """Add the routes of page and REST interface."""
        self.handlers.extend(routes())

    async def in_project(self, actor: Actor | None, work: Callable[[Project], Answer]) -> Answer:
        """Return ``work(project)``, done on a worker thread: the event loop touches no facts."""

        def job() -> Answer:
            with self.projects.lease(actor) as project:
                return work(project)

        return await asyncio.get_running_loop().run_in_executor(self.workers, job)

    async def stop_extension(self) -> None:
        """Let the requests under way finish, then close the projects."""
        await asyncio.to_thread(self.workers.shutdown, wait=True, cancel_futures=True)
        await asyncio.to_thread(self.projects.close)
