"""The magics ``%mlops`` and ``%%mlops``: parse a line with the verb tree, call the verb, return its value."""

from __future__ import annotations

import os
import shlex
from typing import Any

import click
from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, magics_class, needs_local_scope, no_var_expand

from ..audience import attended
from ..commands import Session, command_tree
from ..errors import BadInput, MLOpsError
from ..project import Project, find_root, open_project
from .track import track


@magics_class
class MLOpsMagics(Magics):
    """Holds the project open between cells; opens another when the folder or the environment names one."""

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        self._project: Project | None = None

    @no_var_expand
    @needs_local_scope
    @line_cell_magic
    def mlops(self, line: str, cell: str | None = None, local_ns: dict[str, Any] | None = None) -> Any:
        """MLOps in the notebook: `%mlops` shows the project, `%mlops --help` the verbs.

        Variables: `{name}` or `{name.attribute}` as a whole word or value.
        `%%mlops track EXPERIMENT` records a cell.
        """
        shell: Any = self.shell
        namespace = {**shell.user_ns, **(local_ns or {})}
        session = Session(namespace=namespace)
        try:
            words = session.substitute(_split(line))
            if cell is not None:
                session.project = self.project()
                return track(shell, session, words, cell)
            if words[:1] == ["autolog"]:
                return _autolog(words[1:])
            if words == ["approvals"]:
                from .panel import ApprovalsPanel, pending

                return ApprovalsPanel(self.project()) if attended() else pending(self.project())
            if words == ["runs"]:
                return self.project().runs.leaderboard()
            return self._call(session, words)
        except MLOpsError as error:
            raise UsageError(str(error)) from None

    def project(self, path: str | None = None) -> Project:
        """Return the project that a verb typed now acts on."""
        root = find_root(path)
        if self._project is None or self._project.root != root or not self._project.state.exists():
            self.close()
            self._project = open_project(root)
        return self._project

    def close(self) -> None:
        """Close the project."""
        if self._project is not None:
            self._project.close()
            self._project = None

    def _call(self, session: Session, words: list[str]) -> Any:
        if words[:1] != ["init"] and "--help" not in words and "-h" not in words:
            named = words[words.index("--project") + 1] if "--project" in words[:-1] else None
            session.project = self.project(named)
        try:
            value = command_tree().main(words, prog_name="%mlops", standalone_mode=False, obj=session)
        except click.exceptions.Exit:
            return None
        except click.UsageError as error:
            raise UsageError(error.format_message()) from None
        except click.Abort as stopped:
            raise KeyboardInterrupt(*getattr(stopped.__cause__, "__notes__", ())) from None
        if session.opened:
            self.close()
            self._project = session.project
        if isinstance(value, int):
            return None
        if session.as_json:
            return value.to_dict()
        return value


def _autolog(words: list[str]) -> None:
    from ..models.autolog import autolog
    from ..runs.tracking.context import open_projects_with

    open_projects_with(open_project)  # as the package does it for who asks there
    if words not in ([], ["on"], ["off"]):
        raise BadInput(f"autolog takes no {' '.join(words)}", "%mlops autolog, or %mlops autolog off")
    autolog(disable=words == ["off"])


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line, posix=os.name == "posix")
    except ValueError as error:
        raise BadInput(f"the line cannot be read: {error}", "close every quote") from None
