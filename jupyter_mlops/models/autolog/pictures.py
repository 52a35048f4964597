"""Pictures that fit an estimator's kind, as figures. Used by autologging sessions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from ...charts import Figure, Rule, bar, heatmap, line, parallel, scatter
from .scores import Seen, head

_MOST_POINTS, _MOST_STEPS = 800, 150
_MOST_CLASSES, _MOST_CURVES = 40, 10
_MOST_FEATURES, _MOST_CANDIDATES = 20, 200


def pictures_of(answers: Seen, what: str) -> Iterator[tuple[str, Figure]]:
    """Yield the pictures of answers on data that is called ``what``, each with its name."""
    if answers.y is not None and answers.y.ndim != 1:
        return
    if answers.kind == "classifier":
        if len(answers.classes) <= _MOST_CLASSES:
            yield "confusion-matrix", _confusion(answers, what)
        if answers.ranks is not None and answers.ranks.shape[1] == len(answers.classes):
            yield "roc", _roc(answers, what)
            yield "precision-recall", _precision_recall(answers, what)
    elif answers.kind == "regressor":
        yield "predicted", _predicted(answers, what)
        yield "residuals", _residuals(answers, what)
    elif answers.kind == "clusterer":
        yield "cluster-sizes", _sizes(answers)
        if (figure := _clusters(answers)) is not None:
            yield "clusters", figure


def importance_of(estimator: Any) -> Figure | None:
    """Return the weights of the features, the heaviest first, where the estimator has one for each."""
    import numpy as np

    last = estimator[-1] if hasattr(estimator, "steps") else estimator
    weights = getattr(last, "feature_importances_", None)
    what = "Importance of features"
    if weights is None:
        weights, what = getattr(last, "coef_", None), "Coefficients of features"
    if weights is None:
        return None
    values = np.asarray(weights, dtype=float)
    if values.ndim == 2 and values.shape[0] == 1:
        values = values[0]
    if values.ndim != 1 or not len(values):
        return None
    names = _features(estimator, last, len(values))
    order = sorted(range(len(values)), key=lambda at: -abs(values[at]))[:_MOST_FEATURES]
    left = len(values) - len(order)
    subtitle = f"{left} lighter ones are left out" if left else ""
    drawn = [float(values[at]) for at in order]
    return bar(what, [names[at] for at in order], drawn, horizontal=True, subtitle=subtitle)


def search_of(results: Mapping[str, Any], score: str) -> Figure | None:
    """Return the candidates of a search as parallel coordinates: their parameters and their mean score."""
    names = [name for name in results if name.startswith("param_")]
    mean = results.get(f"mean_test_{score}")
    if mean is None or not names:
        return None
    order = sorted(range(len(mean)), key=lambda at: -mean[at] if mean[at] == mean[at] else float("inf"))
    lines = {
        f"candidate {at + 1}": [*(_plain(results[name][at]) for name in names), mean[at]]
        for at in order[:_MOST_CANDIDATES]
    }
    axes = [*(name.removeprefix("param_") for name in names), f"mean {score}"]
    best = [f"candidate {order[0] + 1}"]
    return parallel("Candidates of the search", axes, lines, color_by=axes[-1], highlight=best)


def folds_of(scores: Mapping[str, Any]) -> Figure | None:
    """Return the scores of a cross-validation, fold by fold."""
    series = {name: (range(1, len(values) + 1), values) for name, values in scores.items()}
    if not series:
        return None
    return scatter("Scores by fold", series, x_label="fold", y_label="score")


def _confusion(answers: Seen, what: str) -> Figure:
    from sklearn.metrics import confusion_matrix

    counts = confusion_matrix(answers.y, answers.labels, labels=list(answers.classes))
    rows = {str(name): row.tolist() for name, row in zip(answers.classes, counts, strict=True)}
    title = f"Confusion matrix, {what}"
    return heatmap(title, map(str, answers.classes), rows, x_label="predicted", y_label="actual")


def _roc(answers: Seen, what: str) -> Figure:
    from sklearn.metrics import roc_curve

    curves = {}
    for name, truth, rank in _one_against_rest(answers):
        false, true, _ = roc_curve(truth, rank)
        curves[name] = _thinned(false, true)
    curves["by chance"] = ([0.0, 1.0], [0.0, 1.0])
    labels = {"x_label": "false positives, share", "y_label": "true positives, share"}
    return line(f"ROC, {what}", curves, x_label=labels["x_label"], y_label=labels["y_label"])


def _precision_recall(answers: Seen, what: str) -> Figure:
    from sklearn.metrics import precision_recall_curve

    curves = {}
    for name, truth, rank in _one_against_rest(answers):
        precision, recall, _ = precision_recall_curve(truth, rank)
        curves[name] = _thinned(recall[::-1], precision[::-1])
    return line(f"Precision and recall, {what}", curves, x_label="recall", y_label="precision")


def _one_against_rest(answers: Seen) -> Iterator[tuple[str, Any, Any]]:
    two = len(answers.classes) == 2
    for at, name in list(enumerate(answers.classes))[:_MOST_CURVES]:
        if two and at == 0:
            continue
        truth = answers.y == name
        if truth.any() and not truth.all():
            yield str(name), truth, answers.ranks[:, at]


def _predicted(answers: Seen, what: str) -> Figure:
    actual, said = _some(answers.y), _some(answers.labels)
    return scatter(
        f"Predicted and actual, {what}",
        {"predicted": (actual, said), "if it were right": (actual, actual)},
        x_label="actual",
        y_label="predicted",
    )


def _residuals(answers: Seen, what: str) -> Figure:
    said = _some(answers.labels)
    missed = [float(y) - float(p) for y, p in zip(_some(answers.y), said, strict=True)]
    return scatter(
        f"Residuals, {what}",
        {"actual less predicted": (said, missed)},
        x_label="predicted",
        y_label="actual less predicted",
        rules=[Rule("right", 0.0)],
    )


def _sizes(answers: Seen) -> Figure:
    counts: dict[str, int] = {}
    for label in sorted(answers.labels.tolist()):
        name = "none" if label == -1 else str(label)
        counts[name] = counts.get(name, 0) + 1
    shown = dict(sorted(counts.items(), key=lambda item: -item[1])[:_MOST_CLASSES])
    return bar("Sizes of clusters", list(shown), list(shown.values()), x_label="cluster", y_label="members")


def _clusters(answers: Seen) -> Figure | None:
    """Return the members on the two axes along which they differ most."""
    import numpy as np

    points = np.asarray(_dense(head(answers.X, _MOST_POINTS)), dtype=float)
    if points.ndim != 2 or points.shape[1] < 2 or len(points) < 3 or not np.isfinite(points).all():
        return None
    centred = points - points.mean(axis=0)
    spread = centred.std(axis=0)
    centred = centred / np.where(spread > 0, spread, 1.0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    flat = centred @ axes[:2].T
    labels = answers.labels[: len(points)]
    shown = {
        "in none" if label == -1 else f"cluster {label}": (flat[labels == label, 0], flat[labels == label, 1])
        for label in sorted(set(labels.tolist()))[:_MOST_CURVES]
    }
    return scatter("Clusters", shown, x_label="first principal axis", y_label="second principal axis")


def _features(estimator: Any, last: Any, count: int) -> list[str]:
    with suppress(Exception):
        if last is not estimator:
            found = [str(name) for name in estimator[:-1].get_feature_names_out()]
            if len(found) == count:
                return found
    found = [str(name) for name in getattr(estimator, "feature_names_in_", ())]
    return found if len(found) == count else [f"x{at}" for at in range(count)]


def _some(values: Any) -> list[float]:
    step = max(1, -(-len(values) // _MOST_POINTS))
    return [float(value) for value in values[::step]]


def _thinned(x: Any, y: Any) -> tuple[list[float], list[float]]:
    step = max(1, -(-len(x) // _MOST_STEPS))
    kept = [*range(0, len(x) - 1, step), len(x) - 1]
    return [float(x[at]) for at in kept], [float(y[at]) for at in kept]


def _dense(values: Any) -> Any:
    return values.toarray() if hasattr(values, "toarray") else values


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return value.item() if hasattr(value, "item") and getattr(value, "shape", ()) == () else repr(value)[:40]
