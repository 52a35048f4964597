"""``python -m jupyter_mlops.server``: serve the page of one project until told to end."""

from __future__ import annotations

import os

import click

from ..lifeline import follow_parent
from ..project import open_project
from .page import run_page


@click.command()
@click.option(
    "--project", "path", metavar="PATH", help="The project's folder; else $MLOPS_PROJECT, else the nearest."
)
@click.option("--port", type=click.IntRange(0, 65_535), default=0, show_default=True, help="0: any free one.")
def main(path: str | None, port: int) -> None:
    """Serve the page of one project on 127.0.0.1."""
    follow_parent()
    with open_project(path) as project:
        # the handlers look for the project in the environment before they look at folders
        os.environ["MLOPS_PROJECT"] = str(project.root)
        run_page(project, port, click.echo)


if __name__ == "__main__":
    main()
