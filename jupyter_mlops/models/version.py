"""Model versions and models, as values. Returned by ``Models``; shown by ``views``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import Failed
from ..value import Value
from .persistence import ModelStore
from .signature import Signature


@dataclass(frozen=True, slots=True)
class ModelVersion(Value):
    """One registered model: ``fraud@v3``. ``author`` made the run it comes from, ``actor`` registered it."""

    name: str
    number: int
    digest: str
    run: str | None
    author: str
    actor: str
    at: str
    signature: Signature
    bytes: int
    framework: str
    estimator: str
    aliases: tuple[str, ...] = field(default=(), compare=False)
    note: str = field(default="", compare=False)
    _files: ModelStore | None = field(default=None, compare=False, repr=False)

    @property
    def ref(self) -> str:
        """How the version is written."""
        return f"{self.name}@v{self.number}"

    @property
    def path(self) -> str:
        """Where it is in the page."""
        return f"models/{self.name}/{self.number}"

    def load(self) -> Any:
        """Return the estimator, its bytes verified and its types checked against the allow-list."""
        return self._store().load(self.digest)

    def example(self) -> Any:
        """Return the input example as a DataFrame, or ``None`` if none was given."""
        return self._store().example(self.digest)

    def to_dict(self) -> dict[str, Any]:
        """Return the version as JSON-ready types."""
        return {
            "ref": self.ref,
            "name": self.name,
            "number": self.number,
            "digest": self.digest,
            "run": self.run,
            "author": self.author,
            "actor": self.actor,
            "at": self.at,
            "aliases": list(self.aliases),
            "signature": self.signature.to_dict(),
            "bytes": self.bytes,
            "framework": self.framework,
            "estimator": self.estimator,
            "note": self.note,
        }

    def _store(self) -> ModelStore:
        if self._files is None:
            raise Failed(
                f"{self.ref} was not read from a project", f'project.models.get("{self.ref}").load()'
            )
        return self._files


@dataclass(frozen=True, slots=True)
class Model(Value):
    """A line of versions: its ``latest`` one, how many there are, and which number holds which alias."""

    name: str
    latest: ModelVersion
    versions: int
    aliases: Mapping[str, int]

    @property
    def ref(self) -> str:
        """How the model is written."""
        return self.name

    @property
    def path(self) -> str:
        """Where it is in the page."""
        return f"models/{self.name}"

    def to_dict(self) -> dict[str, Any]:
        """Return the model as JSON-ready types."""
        return {
            "name": self.name,
            "latest": self.latest.to_dict(),
            "versions": self.versions,
            "aliases": dict(self.aliases),
        }
