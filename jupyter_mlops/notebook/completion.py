"""Completion of ``%mlops`` lines in IPython and Jupyter. Registered and removed with the extension."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from IPython.core.completer import SimpleCompletion, context_matcher

from ..commands.completion import complete
from ..errors import MLOpsError
from ..project import Project

IDENTIFIER = "mlops.matcher"
_LINE = re.compile(r"^\s*(?:[\w.,\s]+=\s*)?%%?mlops(?:\s+(?P<line>.*))?$", re.DOTALL)


def matcher(ipython: Any, project: Callable[[], Project]) -> Any:
    """Return a matcher for lines that hold ``%mlops``: verbs, options, refs, variables and files."""

    def here() -> Project | None:
        try:
            return project()
        except MLOpsError:
            return None  # outside a project there are verbs only

    @context_matcher(identifier=IDENTIFIER, priority=100)  # type: ignore[untyped-decorator]  # ships no types
    def match(context: Any) -> Any:
        found = _LINE.match(context.text_until_cursor)
        if found is None or found.group("line") is None:
            return {"completions": []}
        completions = complete(found.group("line"), here, ipython.user_ns)
        return {
            "completions": [SimpleCompletion(word, type="param") for word in completions.words],
            "matched_fragment": completions.fragment,
            "suppress": True,
            "ordered": True,
        }

    return match
