"""The signature of a model: the columns it takes and what it answers. Inferred by ``ModelStore``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_KINDS = {"b": "boolean", "i": "integer", "u": "integer", "f": "number", "M": "datetime", "m": "duration"}
# what a caller of the old model may send is understood by a new model that takes one of these
_WIDER = {
    "boolean": {"integer", "number"},
    "integer": {"number"},
    "text": {"category"},
    "category": {"text"},
}
_MOST_CLASSES = 1_000


@dataclass(frozen=True, slots=True)
class Column:
    """One input: its name and type, in words: boolean integer number text category datetime duration."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Signature:
    """What goes in and what comes out. ``inputs`` is empty when nothing told the columns.

    ``output`` is ``class``, ``number``, ``cluster``, ``array``, or empty when unknown; ``classes`` are the
    answers of a classifier, as text.
    """

    inputs: tuple[Column, ...] = ()
    output: str = ""
    classes: tuple[str, ...] = ()

    def __str__(self) -> str:
        columns = ", ".join(f"{column.name} {column.type}".rstrip() for column in self.inputs)
        return f"({columns or '…'}) -> {self.output or '…'}"

    def to_dict(self) -> dict[str, Any]:
        """Return the signature as JSON-ready types."""
        return {
            "inputs": [{"name": column.name, "type": column.type} for column in self.inputs],
            "output": self.output,
            "classes": list(self.classes),
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Signature:
        """Return the signature that ``to_dict`` described."""
        return cls(
            tuple(Column(column["name"], column["type"]) for column in document["inputs"]),
            document["output"],
            tuple(document["classes"]),
        )

    def breaks(self, former: Signature) -> list[str]:
        """Return what stops callers of a model with the ``former`` signature from using this one."""
        mine = {column.name: column.type for column in self.inputs}
        theirs = {column.name: column.type for column in former.inputs}
        problems = [f"needs a new column {name}" for name in mine if name not in theirs]
        problems += [f"no longer takes {name}" for name in theirs if name not in mine]
        for name in theirs.keys() & mine.keys():
            before, now = theirs[name], mine[name]
            if before and now and before != now and now not in _WIDER.get(before, ()):
                problems.append(f"takes {name} as {now}, not {before}")
        if self.output != former.output:
            problems.append(
                f"answers {self.output or 'something unknown'}, not {former.output or 'something unknown'}"
            )
        elif set(self.classes) != set(former.classes):
            problems.append(f"knows the classes {', '.join(self.classes)}, not {', '.join(former.classes)}")
        return sorted(problems)


def inputs_of(example: Any) -> tuple[Column, ...]:
    """Return the columns of a DataFrame."""
    return tuple(Column(str(name), _word(dtype)) for name, dtype in example.dtypes.items())


def inputs_known_by(estimator: Any) -> tuple[Column, ...]:
    """Return the columns that a fitted estimator remembers; their types are unknown."""
    names = getattr(estimator, "feature_names_in_", None)
    return () if names is None else tuple(Column(str(name), "") for name in names)


def outputs_of(estimator: Any) -> tuple[str, tuple[str, ...]]:
    """Return what kind of answer ``estimator`` gives, and the classes it chooses from."""
    from sklearn.base import is_classifier, is_clusterer, is_regressor

    if is_classifier(estimator):
        classes = getattr(estimator, "classes_", ())
        return "class", tuple(str(label) for label in list(classes)[:_MOST_CLASSES])
    if is_regressor(estimator):
        return "number", ()
    if is_clusterer(estimator):
        return "cluster", ()
    return ("array" if hasattr(estimator, "transform") or hasattr(estimator, "predict") else ""), ()


def _word(dtype: Any) -> str:
    name = str(dtype)
    if name == "category":
        return "category"
    if name in ("object", "str") or name.startswith("string"):
        return "text"
    return _KINDS.get(getattr(dtype, "kind", ""), name)
