"""Completion of ``%mlops`` lines in IPython and Jupyter. Registered and removed with the extension."""

from __future__ import annotations

import re
from typing import Any

from ..commands.completion import complete
from ..errors import MLOpsError

_LINE = re.compile(r"^\s*(?:[\w.,\s]+=\s*)?%%?mlops(?:\s+(?P<line>.*))?$", re.DOTALL)


class Matcher:
    """Answers for lines that hold ``%mlops``: verbs, options, refs, variables and files."""

    matcher_api_version = 2
    matcher_identifier = "mlops.matcher"
    matcher_priority = 100.0

    def __init__(self, ipython: Any) -> None:
        self._ipython = ipython

    def __call__(self, context: Any) -> dict[str, Any]:
        """Return IPython's matcher result; nothing, for a line that is not ours."""
        from IPython.core.completer import SimpleCompletion

        match = _LINE.match(context.text_until_cursor)
        if match is None or match.group("line") is None:
            return {"completions": []}
        found = complete(match.group("line"), self._project, self._ipython.user_ns)
        return {
            "completions": [SimpleCompletion(word, type="param") for word in found.words],
            "matched_fragment": found.fragment,
            "suppress": True,
            "ordered": True,
        }

    def _project(self) -> Any:
        magics = self._ipython.magics_manager.registry.get("MLOpsMagics")
        try:
            return magics.project() if magics is not None else None
        except MLOpsError:
            return None  # completion outside a project offers verbs only
