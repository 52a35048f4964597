"""The session of autologging: what is fitted, asked and measured becomes part of the run it happens in.

A model is told by the object it is, never by which was the last: metrics of two models do not mix. Told of
calls by ``patches``.
"""

from __future__ import annotations

import contextlib
import re
import threading
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING, Any

from ...runs.tracking import context
from . import pictures, scores

if TYPE_CHECKING:
    from ...charts import Figure
    from ...runs import ActiveRun

_FITS = ("fit", "fit_predict")
_MOST_MODELS, _MOST_ANSWERS, _MOST_PARAMETERS = 25, 200, 150
_TRUTHS = ("y_true", "labels_true", "y")
_ANSWERS = ("y_pred", "y_score", "y_prob", "y_proba", "labels_pred", "labels", "pred_decision")
_SETS = re.compile(
    r"(?:^|_)(train|training|val|valid|validation|test|testing|holdout|dev|eval|oos)(?=$|_|\d)", re.IGNORECASE
)
_CALLED = {"train": "training", "testing": "test"}
_EXAMPLE_ROWS = 5


@dataclass(frozen=True, slots=True)
class Options:
    """What is recorded beside parameters and what the user's code computes anyway."""

    scores: bool = True
    models: bool = True
    pictures: bool = True


@dataclass(slots=True)
class Model:
    """An estimator in a run: its label sets it apart from the others that the run fits."""

    estimator: Callable[[], Any]
    run: str
    kind: str
    label: str
    data: Callable[[], Any] = lambda: None
    known: dict[str, Any] = field(default_factory=dict)
    drawn: set[str] = field(default_factory=set)

    def named(self, name: str) -> str:
        """Return the name under which something of this model is recorded."""
        return f"{self.label}.{name}" if self.label else name


class Session:
    """Records what user code does with estimators."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._guard = threading.RLock()
        self._models: dict[int, Model] = {}
        self._labels: dict[str, set[str]] = {}
        self._answers: deque[tuple[Any, Model, Any, str]] = deque(maxlen=_MOST_ANSWERS)
        self._told: set[str] = set()

    def called(
        self, method: str, estimator: Any, arguments: Mapping[str, Any], result: Any, frame: FrameType
    ) -> None:
        """Record that user code called a method of an estimator."""
        if (run := _running(warn=method in _FITS)) is None:
            return
        with self._guard:
            if method in _FITS:
                self._fitted(run, estimator, arguments)
            elif (model := self._model_of(run, estimator)) is not None:
                data = arguments.get("X")
                what = _set_of(data, model, frame)
                if method == "score":
                    self._scored(run, model, estimator, what, data, arguments.get("y"), result)
                elif (held := _weak(result)) is not None:
                    self._answers.append((held, model, _weak(data), what))

    def measured(self, function: str, arguments: Mapping[str, Any], frame: FrameType) -> None:
        """Record what a metric function says of the answers of a model that was fitted in this run."""
        name = scores.name_of(function, arguments)
        if name is None or (run := _running()) is None:
            return
        from sklearn import metrics

        with self._guard:
            found = self._answer_in(arguments)
            if found is None or found[0].run != run.id:
                return
            model, data, what = found
            with scores.quietly():
                value = getattr(metrics, function)(**arguments)
            if isinstance(value, float | int) or getattr(value, "shape", None) == ():
                run.log_metric(model.named(f"{what}_{name}"), float(value))
            truth = next((arguments[key] for key in _TRUTHS if arguments.get(key) is not None), None)
            estimator = model.estimator()
            if data is not None and truth is not None and estimator is not None:
                self._each([lambda: self._draw(run, model, estimator, what, data, truth)])

    def cross_validated(self, function: str, arguments: Mapping[str, Any], result: Any) -> None:
        """Record the scores of a cross-validation: mean, spread, and a picture of the folds."""
        import numpy as np

        if (run := _running(warn=True)) is None:
            return
        estimator = arguments["estimator"]
        with self._guard:
            model = self._enter(run, estimator, scores.kind_of(estimator))
            if model is None:
                return
            self._parameters(run, model, estimator)
            by_name = result if isinstance(result, Mapping) else {"test_score": result}
            folds = {
                _scoring(name.removeprefix("test_"), arguments.get("scoring"), model.kind): np.asarray(values)
                for name, values in by_name.items()
                if name.startswith("test_")
            }
            for name, values in folds.items():
                run.log_metrics(
                    {
                        model.named(f"cv_{name}"): float(values.mean()),
                        model.named(f"cv_{name}_std"): float(values.std()),
                    }
                )
            self._keep(run, model, [("cross-validation", pictures.folds_of(folds))])

    def failed(self, error: Exception) -> None:
        """Say, once for each reason, that something was not recorded; training goes on."""
        said = " ".join(str(error).split())[:300] or type(error).__name__
        if said not in self._told:
            self._told.add(said)
            # where warnings are errors, even this one must not stop the training
            with contextlib.suppress(Warning):
                warnings.warn(f"autolog: not recorded: {said}", stacklevel=2)

    def _fitted(self, run: ActiveRun, estimator: Any, arguments: Mapping[str, Any]) -> None:
        kind = scores.kind_of(estimator)
        if not kind or (model := self._enter(run, estimator, kind)) is None:
            return
        data, truth = arguments.get("X"), arguments.get("y")
        model.data = _weak(data) or _nothing
        model.drawn.clear()
        steps: list[Callable[[], None]] = [lambda: self._parameters(run, model, estimator)]
        if hasattr(estimator, "cv_results_"):
            steps.append(lambda: self._searched(run, model, estimator))
        chosen = getattr(estimator, "best_estimator_", estimator)
        if self._options.scores and data is not None and hasattr(chosen, "predict"):
            steps.append(lambda: self._score(run, model, chosen, "training", data, truth))
        if self._options.pictures:
            steps.append(lambda: self._keep(run, model, [("features", pictures.importance_of(chosen))]))
            if data is not None:
                steps.append(lambda: self._draw(run, model, chosen, "training", data, truth))
        if self._options.models and not (chosen is estimator and getattr(estimator, "refit", True) is False):
            steps.append(lambda: self._keep_model(run, model, chosen, data))
        self._each(steps)

    def _scored(
        self, run: ActiveRun, model: Model, estimator: Any, what: str, data: Any, truth: Any, result: Any
    ) -> None:
        asked = {"classifier": "accuracy", "regressor": "r2"}.get(model.kind, "score")
        if hasattr(estimator, "cv_results_"):
            asked = _scoring("score", getattr(estimator, "scoring", None), model.kind)
        with contextlib.suppress(TypeError, ValueError):
            run.log_metric(model.named(f"{what}_{asked}"), float(result))
        steps: list[Callable[[], None]] = []
        if self._options.scores and data is not None:
            steps.append(lambda: self._score(run, model, estimator, what, data, truth, (asked,)))
        if data is not None:
            steps.append(lambda: self._draw(run, model, estimator, what, data, truth))
        self._each(steps)

    def _score(
        self,
        run: ActiveRun,
        model: Model,
        estimator: Any,
        what: str,
        data: Any,
        truth: Any,
        known: Iterable[str] = (),
    ) -> None:
        answers = scores.seen(estimator, model.kind, data, truth)
        if answers is not None:
            found = scores.scores_of(estimator, answers)
            run.log_metrics(
                {model.named(f"{what}_{name}"): value for name, value in found.items() if name not in known}
            )

    def _draw(self, run: ActiveRun, model: Model, estimator: Any, what: str, data: Any, truth: Any) -> None:
        """Keep the pictures of one set of data, once."""
        if not self._options.pictures or what in model.drawn:
            return
        model.drawn.add(what)
        answers = scores.seen(estimator, model.kind, data, truth)
        if answers is not None:
            made = pictures.pictures_of(answers, what)
            self._keep(run, model, ((f"{what}-{name}", figure) for name, figure in made))

    def _searched(self, run: ActiveRun, model: Model, search: Any) -> None:
        import pandas

        results = search.cv_results_
        refit = search.refit if isinstance(search.refit, str) else "score"
        name = _scoring(refit, getattr(search, "scoring", None), model.kind)
        best = getattr(search, "best_index_", None)
        if best is not None:
            run.log_metrics(
                {
                    model.named(f"cv_{name}"): float(results[f"mean_test_{refit}"][best]),
                    model.named(f"cv_{name}_std"): float(results[f"std_test_{refit}"][best]),
                }
            )
            found = {f"best__{key}": value for key, value in getattr(search, "best_params_", {}).items()}
            self._log_parameters(run, model, found)
        table = pandas.DataFrame(results)
        for column in table.columns:
            if table[column].dtype == object:
                table[column] = table[column].map(str)
        run.log_artifact(table, model.named("search-results"))
        if self._options.pictures:
            self._keep(run, model, [("search", pictures.search_of(results, refit))])

    def _parameters(self, run: ActiveRun, model: Model, estimator: Any) -> None:
        given = estimator.get_params(deep=True)
        inner = [name for name, value in given.items() if hasattr(value, "get_params")]
        searched = _searched_names(estimator)
        plain = {
            name if "__" in name or model.label else f"{type(estimator).__name__}__{name}": value
            for name, value in given.items()
            if name not in inner and name not in ("steps", "transformers") and name not in searched
        }
        self._log_parameters(run, model, dict(list(plain.items())[:_MOST_PARAMETERS]))
        if not model.label:
            run.set_tags({"estimator": type(estimator).__name__})

    def _log_parameters(self, run: ActiveRun, model: Model, values: Mapping[str, Any]) -> None:
        fresh = {
            name: _described(value)
            for key, value in values.items()
            if (name := model.named(key)) not in run.parameters
        }
        if fresh:
            run.log_parameters(fresh)

    def _keep(self, run: ActiveRun, model: Model, made: Iterable[tuple[str, Figure | None]]) -> None:
        for name, figure in made:
            if figure is not None and self._options.pictures:
                run.log_artifact(figure, model.named(name))

    def _keep_model(self, run: ActiveRun, model: Model, estimator: Any, data: Any) -> None:
        example = None
        with contextlib.suppress(Exception):
            example = scores.head(data, _EXAMPLE_ROWS)
            example = (
                example if getattr(example, "ndim", 0) == 2 and not hasattr(example, "toarray") else None
            )
        run.log_model(estimator, example, model.named("model"))

    def _each(self, steps: Iterable[Callable[[], None]]) -> None:
        """Take the steps; one that fails does not keep the others from being taken."""
        for step in steps:
            try:
                with scores.quietly():
                    step()
            except Exception as error:
                self.failed(error)

    def _enter(self, run: ActiveRun, estimator: Any, kind: str) -> Model | None:
        """Return the model that an estimator is in this run; a new one gets a label of its own."""
        if (known := self._model_of(run, estimator)) is not None:
            if _same_settings(known, estimator):
                return known
            del self._models[id(estimator)]
        taken = self._labels.setdefault(run.id, set())
        if len(taken) >= _MOST_MODELS:
            self.failed(
                RuntimeError(f"more than {_MOST_MODELS} models in run {run.id}: the rest is left out")
            )
            return None
        name = type(estimator).__name__
        label = "" if not taken else next(
            each
            for each in (name, *(f"{name}-{number}" for number in range(2, _MOST_MODELS + 3)))
            if each not in taken
        )  # fmt: skip
        taken.add(label)
        if not label:
            taken.add(name)
        self._models = {key: one for key, one in self._models.items() if one.estimator() is not None}
        model = Model(weakref.ref(estimator), run.id, kind, label)
        model.known = _settings(estimator)
        self._models[id(estimator)] = model
        return model

    def _model_of(self, run: ActiveRun, estimator: Any) -> Model | None:
        model = self._models.get(id(estimator))
        if model is None or model.estimator() is not estimator or model.run != run.id:
            return None
        return model

    def _answer_in(self, arguments: Mapping[str, Any]) -> tuple[Model, Any, str] | None:
        """Return which model gave one of ``arguments`` as an answer, to what data."""
        for key in _ANSWERS:
            value = arguments.get(key)
            if value is None:
                continue
            for held, model, data, what in reversed(self._answers):
                answer = held()
                # a column of probabilities is a view of them
                if answer is not None and (answer is value or getattr(value, "base", None) is answer):
                    return model, data() if data else None, what
        return None


def _running(warn: bool = False) -> ActiveRun | None:
    run = context.current_run()
    if run is None:
        if warn:
            context.log_metrics({})  # says once that there is no run
        return None
    return None if run.ended else run


def _set_of(data: Any, model: Model, frame: FrameType) -> str:
    """Return what the user calls data: ``training``, ``test``, ``valid``, as the variable's name says."""
    if data is not None and model.data() is data:
        return "training"
    for scope in (frame.f_locals, frame.f_globals):
        for name, value in list(scope.items()):
            if value is data and not name.startswith("_") and (match := _SETS.search(name)):
                word = match.group(1).lower()
                return _CALLED.get(word, word)
    return "test"


def _scoring(name: str, scoring: Any, kind: str) -> str:
    if name != "score":
        return name
    if isinstance(scoring, str):
        return scoring
    return {"classifier": "accuracy", "regressor": "r2"}.get(kind, "score") if scoring is None else "score"


def _searched_names(estimator: Any) -> set[str]:
    """Return the parameters that a search tries: their values in its estimator are not those of the best."""
    tried = getattr(estimator, "param_grid", None) or getattr(estimator, "param_distributions", None) or ()
    grids = [tried] if isinstance(tried, Mapping) else list(tried)
    return {f"estimator__{name}" for grid in grids if isinstance(grid, Mapping) for name in grid}


def _settings(estimator: Any) -> dict[str, str]:
    with contextlib.suppress(Exception):
        return {
            name: repr(value)[:500]
            for name, value in estimator.get_params(deep=True).items()
            if not hasattr(value, "get_params") and name not in ("steps", "transformers")
        }
    return {}


def _same_settings(model: Model, estimator: Any) -> bool:
    return model.known == _settings(estimator)


def _described(value: Any) -> Any:
    return getattr(value, "__qualname__", None) or value if callable(value) else value


def _weak(value: Any) -> Any:
    with contextlib.suppress(TypeError):
        return weakref.ref(value)
    return None


def _nothing() -> None:
    return None
