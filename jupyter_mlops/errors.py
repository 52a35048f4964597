"""Everything that can go wrong, as one tree. Raised where it is known, translated once at each face.

MLOpsError                      500  exit 3
├── BadInput (ValueError)       400  exit 2   the request makes no sense as typed
│   ├── BadConfig                             mlops.toml or the environment does
│   └── UnsafeModel             422  exit 2   a model holds types that may not be loaded
├── NotFound (KeyError)         404  exit 2   a name or ref that does not exist
│   └── ProjectNotFound         404  exit 2
├── Conflict                    409  exit 1   not now: already voted, already decided, changed meanwhile
├── Refused (PermissionError)   403  exit 1   this actor may not do this
├── Failed                      500  exit 3   the operation was right and did not succeed
│   ├── SourceChanged                         the source changed while it was read
│   ├── Damaged                               stored bytes are not what was stored
│   └── StoreFailed                           the store could not be read or written
└── Unreachable                 503  exit 3   another system does not answer
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class MLOpsError(Exception):
    """Base of every error: one line that says what is wrong, and a hint that says what to do."""

    code = "error"
    status = 500
    exit_status = 3

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return told(self.message, self.hint)

    def to_dict(self) -> dict[str, str]:
        """Return the error envelope that REST, ``--json`` and Slack share."""
        return {"code": self.code, "message": self.message, "hint": self.hint}


class BadInput(MLOpsError, ValueError):
    code, status, exit_status = "bad_input", 400, 2


class BadConfig(BadInput):
    code = "bad_config"


class UnsafeModel(BadInput):
    code, status = "unsafe_model", 422


class NotFound(MLOpsError, KeyError):
    code, status, exit_status = "not_found", 404, 2


class ProjectNotFound(NotFound):
    code = "project_not_found"


class Conflict(MLOpsError):
    code, status, exit_status = "conflict", 409, 1


class Refused(MLOpsError, PermissionError):
    code, status, exit_status = "refused", 403, 1


class Failed(MLOpsError):
    code, status, exit_status = "failed", 500, 3


class SourceChanged(Failed):
    code = "source_changed"


class Damaged(Failed):
    code = "damaged"


class StoreFailed(Failed):
    code = "store_failed"


class Unreachable(MLOpsError):
    code, status, exit_status = "unreachable", 503, 3


def told(message: str, hint: str) -> str:
    """Return what is wrong, and the hint after a dash, unless that begins on a line of its own."""
    if not hint:
        return message
    return f"{message}{hint}" if hint.startswith("\n") else f"{message} — {hint}"


def close_matches(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return the hint "did you mean …?" for a misspelt ``word``, or ``otherwise`` when nothing is close."""
    matches = difflib.get_close_matches(word, list(known), n=3, cutoff=0.5)
    return f"did you mean {' or '.join(matches)}?" if matches else otherwise
