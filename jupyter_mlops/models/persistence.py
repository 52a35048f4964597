"""The model store: an estimator as a folder of bytes, known by its digest. Used by ``Models`` and by runs."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import BadInput, Damaged
from . import skops_format
from .signature import Signature, inputs_known_by, inputs_of, outputs_of

if TYPE_CHECKING:
    from ..objects import Objects

MODEL, DESCRIPTION, EXAMPLE = "model.skops", "model.json", "input_example.json"
_EXAMPLE_ROWS = 20


@dataclass(frozen=True, slots=True)
class SavedModel:
    """A stored estimator: the digest of its folder, its size, and what ``model.json`` says of it."""

    digest: str
    bytes: int
    detail: Mapping[str, Any]


class ModelStore:
    """Saves estimators to ``objects`` and loads them, against the allow-list that ``trust`` answers then."""

    def __init__(self, objects: Objects, trust: Callable[[], tuple[str, ...]]) -> None:
        self._objects = objects
        self._trust = trust

    def save(self, estimator: Any, input_example: Any = None) -> SavedModel:
        """Store a fitted ``estimator`` with its signature and the first rows of ``input_example``.

        It is loaded back before it counts, and must answer to the example. Raises ``UnsafeModel`` for types
        that the project does not allow, ``BadInput`` for what is no fitted estimator.
        """
        import numpy
        import sklearn
        import skops

        _refuse_unfitted(estimator)
        data = skops_format.dumps(estimator)
        restored = skops_format.loads(data, self._trust())
        frame = None if input_example is None else _frame(input_example).head(_EXAMPLE_ROWS)
        if frame is not None:
            _try(restored, input_example)
        output, classes = outputs_of(restored)
        inputs = inputs_known_by(restored) if frame is None else inputs_of(frame)
        kind = type(estimator)
        detail = {
            "format": "skops",
            "framework": "sklearn",
            "estimator": f"{kind.__module__}.{kind.__qualname__}",
            "versions": {
                "python": platform.python_version(),
                "numpy": numpy.__version__,
                "scikit-learn": sklearn.__version__,
                "skops": skops.__version__,
            },
            "signature": Signature(inputs, output, classes).to_dict(),
        }
        files = {DESCRIPTION: _json(detail), MODEL: data}
        if frame is not None:
            files[EXAMPLE] = _json(_rows(frame))
        return SavedModel(self._put(files), sum(len(content) for content in files.values()), detail)

    def load(self, digest: str) -> Any:
        """Return the estimator stored as ``digest``, its bytes verified and its types on the allow-list."""
        return skops_format.loads(self._read(digest, MODEL), self._trust())

    def verify(self, digest: str) -> None:
        """Raise ``Damaged`` unless every stored byte of the model is what was stored."""
        for entry in self._objects.tree(digest):
            self._objects.read(entry.digest)

    def refuse_unsafe(self, digest: str) -> None:
        """Raise ``UnsafeModel`` if the model holds types that the project does not allow now."""
        skops_format.refuse_what_is_not_allowed(self._read(digest, MODEL), self._trust())

    def saved(self, digest: str) -> SavedModel:
        """Return what ``save`` returned for the model stored as ``digest``."""
        size = sum(entry.size for entry in self._objects.tree(digest))
        return SavedModel(digest, size, json.loads(self._read(digest, DESCRIPTION)))

    def example(self, digest: str) -> Any:
        """Return the rows stored as input example, as a DataFrame, or ``None`` if there are none."""
        import pandas as pd

        if EXAMPLE not in self._files(digest):
            return None
        stored = json.loads(self._read(digest, EXAMPLE))
        frame = pd.DataFrame(stored["rows"], columns=stored["columns"])
        return frame.astype(dict(zip(stored["columns"], stored["types"], strict=True)))

    def _put(self, files: Mapping[str, bytes]) -> str:
        from ..objects import Entry

        with self._objects.batch() as batch:
            entries = [
                Entry(path, 0o644, len(content), batch.put_bytes(content))
                for path, content in sorted(files.items())
            ]
            return batch.put_tree(entries)

    def _files(self, digest: str) -> dict[str, str]:
        return {entry.path: entry.digest for entry in self._objects.tree(digest)}

    def _read(self, digest: str, path: str) -> bytes:
        files = self._files(digest)
        if path not in files:
            raise Damaged(f"the stored model {digest[:15]} has no {path}")
        return self._objects.read(files[path])


def _refuse_unfitted(estimator: Any) -> None:
    from sklearn.base import BaseEstimator
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    if isinstance(estimator, type) or not isinstance(estimator, BaseEstimator):
        what = f"the class {estimator.__name__}" if isinstance(estimator, type) else type(estimator).__name__
        raise BadInput(f"{what} is no scikit-learn estimator", "give a fitted estimator or pipeline")
    try:
        check_is_fitted(estimator)
    except NotFittedError:
        raise BadInput(
            f"this {type(estimator).__name__} is not fitted", "call its fit() before you log or register it"
        ) from None


def _frame(example: Any) -> Any:
    """Return ``example`` as a DataFrame; the columns of an array are called x0, x1, …"""
    import numpy as np
    import pandas as pd

    if isinstance(example, pd.DataFrame):
        return example
    if hasattr(example, "to_pandas"):
        return example.to_pandas()
    array = np.asarray(example)
    if array.ndim != 2 or array.dtype == object:
        raise BadInput(
            f"an input example is a table, not {type(example).__name__} with {array.ndim} dimension(s)",
            "give a few rows of what the model was trained on, such as X_test.head()",
        )
    return pd.DataFrame(array, columns=[f"x{position}" for position in range(array.shape[1])])


def _try(estimator: Any, example: Any) -> None:
    answer = getattr(estimator, "predict", None) or getattr(estimator, "transform", None)
    if answer is None or not len(example):
        return
    try:
        answer(example[:_EXAMPLE_ROWS])
    except Exception as error:  # whatever the estimator says is what its author needs to read
        raise BadInput(
            f"the model does not answer to its input example: {' '.join(str(error).split())[:300]}",
            "give rows with the columns that it was fitted on",
        ) from error


def _rows(frame: Any) -> dict[str, Any]:
    return {
        "columns": [str(name) for name in frame.columns],
        "types": [str(dtype) for dtype in frame.dtypes],
        "rows": [[_plain(value) for value in row] for row in frame.itertuples(index=False, name=None)],
    }


def _plain(value: Any) -> Any:
    if hasattr(value, "isoformat"):
        return None if str(value) == "NaT" else value.isoformat()
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _json(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
