"""Scores of an estimator on data, those that fit its kind. Used by autologging sessions."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

MOST_ROWS = 20_000
_MOST_FOR_SILHOUETTE = 2_000


@dataclass(frozen=True, slots=True)
class Seen:
    """An estimator's answers on some data: ``labels`` predicted, and ``ranks``, one column a class."""

    kind: str
    X: Any
    y: Any
    labels: Any
    ranks: Any = None
    probable: bool = False
    classes: tuple[Any, ...] = ()


def kind_of(estimator: Any) -> str:
    """Return ``classifier``, ``regressor``, ``clusterer``, ``outliers``, ``predictor``, or "" for others."""
    from sklearn import base

    for kind, ask in (
        ("classifier", base.is_classifier),
        ("regressor", base.is_regressor),
        ("clusterer", base.is_clusterer),
        ("outliers", base.is_outlier_detector),
    ):
        with suppress(Exception):
            if ask(estimator):
                return kind
    return "predictor" if callable(getattr(estimator, "predict", None)) else ""


def seen(estimator: Any, kind: str, X: Any, y: Any) -> Seen | None:
    """Return what ``estimator`` answers to the first rows of the data, or ``None`` if it answers nothing."""
    import numpy as np

    X, y = head(X, MOST_ROWS), None if y is None else head(y, MOST_ROWS)
    if kind == "clusterer":
        labels = getattr(estimator, "labels_", None)
        if labels is None or len(labels) != _rows(X):
            labels = labels[:MOST_ROWS] if labels is not None else None
        if labels is None and hasattr(estimator, "predict"):
            labels = estimator.predict(X)
        return None if labels is None else Seen(kind, X, None, np.asarray(labels))
    if kind not in ("classifier", "regressor") or y is None or not hasattr(estimator, "predict"):
        return None
    truth = np.asarray(y)
    labels = np.asarray(estimator.predict(X))
    if truth.ndim == 2 and truth.shape[1] == 1:
        truth = truth.ravel()
    if kind == "regressor":
        return Seen(kind, X, truth, labels)
    classes = tuple(np.asarray(getattr(estimator, "classes_", np.unique(truth))).tolist())
    ranks, probable = None, False
    if truth.ndim == 1:
        for name in ("predict_proba", "decision_function"):
            if callable(ask := getattr(estimator, name, None)):
                ranks, probable = np.asarray(ask(X)), name == "predict_proba"
                if ranks.ndim == 1:
                    ranks = np.column_stack([-ranks, ranks])
                break
    return Seen(kind, X, truth, labels, ranks, probable, classes)


def scores_of(estimator: Any, answers: Seen) -> dict[str, float]:
    """Return the usual scores by name; one that cannot be computed on this data is left out."""
    from sklearn import metrics

    found: dict[str, float] = {}

    def add(name: str, function: Any, *args: Any, **options: Any) -> None:
        with suppress(Exception):
            value = float(function(*args, **options))
            if not math.isnan(value):
                found[name] = value

    y, labels, ranks = answers.y, answers.labels, answers.ranks
    if answers.kind == "classifier":
        add("accuracy", metrics.accuracy_score, y, labels)
        for name in ("precision", "recall", "f1"):
            function = getattr(metrics, f"{name}_score")
            add(name, function, y, labels, average="weighted", zero_division=0)
        if ranks is not None and ranks.ndim == 2 and ranks.shape[1] == len(answers.classes):
            if len(answers.classes) == 2:
                add("roc_auc", metrics.roc_auc_score, y, ranks[:, 1])
            elif answers.probable:
                add(
                    "roc_auc",
                    metrics.roc_auc_score,
                    y,
                    ranks,
                    multi_class="ovr",
                    labels=list(answers.classes),
                )
            if answers.probable:
                add("log_loss", metrics.log_loss, y, ranks, labels=list(answers.classes))
    elif answers.kind == "regressor":
        add("r2", metrics.r2_score, y, labels)
        add("mae", metrics.mean_absolute_error, y, labels)
        add("rmse", metrics.root_mean_squared_error, y, labels)
    elif answers.kind == "clusterer":
        found["clusters"] = float(len({label for label in labels.tolist() if label != -1}))
        X, some = head(answers.X, _MOST_FOR_SILHOUETTE), labels[:_MOST_FOR_SILHOUETTE]
        add("silhouette", metrics.silhouette_score, X, some)
        if hasattr(estimator, "inertia_"):
            add("inertia", lambda: estimator.inertia_)
    return found


def name_of(function: str, arguments: Mapping[str, Any]) -> str | None:
    """Return what a metric function of scikit-learn measures: ``accuracy``; ``None`` for other functions."""
    if not function.endswith(("_score", "_error", "_loss", "_deviance")):
        return None
    name, average = function.removesuffix("_score"), arguments.get("average")
    return f"{name}_{average}" if isinstance(average, str) and average != usual_average(function) else name


def usual_average(function: str) -> Any:
    """Return how a metric function averages unless told."""
    import inspect

    from sklearn import metrics

    known = inspect.signature(getattr(metrics, function)).parameters.get("average")
    return None if known is None else known.default


def head(values: Any, most: int) -> Any:
    """Return the first ``most`` rows."""
    rows = getattr(values, "iloc", values)
    return rows[:most]


@contextmanager
def quietly() -> Iterator[None]:
    """Keep warnings away that are about our own calls."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _rows(values: Any) -> int:
    shape = getattr(values, "shape", None)
    return int(shape[0]) if shape else len(values)
