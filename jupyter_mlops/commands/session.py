"""The session: what a face knows when it calls a verb. Made by each face, read by the verbs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import BadInput
from ..people import Actor
from ..project import Project, open_project

_VARIABLE = re.compile(r"\{([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\}")
_MARK = "\x00{}\x00"
_MARKED = re.compile("\x00([0-9]+)\x00")


@dataclass(slots=True)
class Session:
    """One call of a verb: who calls, on which project, with which variables of a notebook in reach.

    ``status`` is the exit status that the verb's value means, ``interrupted`` what to do after Ctrl-C.
    """

    project: Project | None = None
    path: str | None = None
    actor: str | Actor | None = None
    namespace: Mapping[str, Any] = field(default_factory=dict)
    as_json: bool = False
    debug: bool = False
    status: int = 0
    interrupted: str = ""
    opened: bool = False
    _objects: list[Any] = field(default_factory=list)

    def open(self) -> Project:
        """Return the project, opened on first use."""
        if self.project is None:
            self.project = open_project(self.path, self.actor)
            self.opened = True
        return self.project

    def close(self) -> None:
        """Close the project if this session opened it."""
        if self.opened and self.project is not None:
            self.project.close()
            self.project, self.opened = None, False

    def substitute(self, words: list[str]) -> list[str]:
        """Replace ``{name}`` and ``{name.attribute}``, a whole word or value, by what they hold.

        Plain values are written out; any other object travels as a mark that ``given`` turns back.
        """
        return [self._word(word) for word in words]

    def given(self, word: str) -> Any:
        """Return the object that a marked ``word`` stands for, or the word itself."""
        match = _MARKED.fullmatch(word)
        return self._objects[int(match.group(1))] if match else word

    def refuse_objects(self, arguments: Mapping[str, Any]) -> None:
        """Raise ``BadInput`` if an argument that is text was given a variable's object."""
        for name, value in arguments.items():
            for word in value if isinstance(value, tuple) else (value,):
                if isinstance(word, str) and (mark := _MARKED.search(word)):
                    held = type(self._objects[int(mark.group(1))]).__name__
                    raise BadInput(
                        f"{name} is text, and the variable holds a {held}", "give text, or a name's attribute"
                    )

    def source(self, word: str) -> Any:
        """Return what ``word`` names as a source of data: a marked object, a variable, or a path.

        Raises ``BadInput`` where a variable and a path of the same name exist.
        """
        value = self.given(word)
        if value is not word or word not in self.namespace or not word.isidentifier():
            return value
        if Path(word).exists():
            raise BadInput(
                f"'{word}' is a variable and a path",
                f"write {{{word}}} for the variable or ./{word} for the path",
            )
        return self.namespace[word]

    def _word(self, word: str) -> str:
        before, equals, value = word.rpartition("=")
        match = _VARIABLE.fullmatch(value)
        if not match:
            return word
        found = self._lookup(match.group(1))
        if isinstance(found, bool | int | float | str | Path):
            return f"{before}{equals}{found}"
        self._objects.append(found)
        return f"{before}{equals}{_MARK.format(len(self._objects) - 1)}"

    def _lookup(self, dotted: str) -> Any:
        name, *attributes = dotted.split(".")
        if name not in self.namespace:
            raise BadInput(f"there is no variable '{name}' here", "define it first")
        found = self.namespace[name]
        for attribute in attributes:
            if attribute.startswith("_") or not hasattr(found, attribute):
                raise BadInput(f"'{name}' has no attribute '{attribute}'")
            found = getattr(found, attribute)
        return found
