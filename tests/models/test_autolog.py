"""What scikit-learn fits inside a run is recorded with it, once, and training never suffers from it."""

from __future__ import annotations

import inspect
import json
import pickle
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator

import numpy as np
import pytest
from sklearn import base, metrics, model_selection
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.cluster import KMeans
from sklearn.datasets import make_classification, make_regression
from sklearn.ensemble import BaggingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import jupyter_mlops as mlops
from jupyter_mlops.models.autolog import patches
from jupyter_mlops.project import Project
from jupyter_mlops.runs import Run

X, y = make_classification(200, 6, random_state=0)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)


@pytest.fixture(autouse=True)
def autologged() -> Iterator[None]:
    mlops.autolog()
    yield
    mlops.autolog(disable=True)


def recorded(project: Project, train) -> Run:
    """Return the run in which ``train()`` ran."""
    with project.runs.start("auto") as run:
        train()
    found = project.runs.get(run.id)
    assert found.status == "finished"
    return found


def test_a_pipeline_is_recorded_once_with_its_parameters_scores_model_and_pictures(project: Project) -> None:
    def train() -> None:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.5)).fit(X_train, y_train)
        model.score(X_test, y_test)

    run = recorded(project, train)
    assert run.parameters["logisticregression__C"] == 0.5
    assert run.parameters["standardscaler__with_mean"] is True
    assert run.tags == {"estimator": "Pipeline"}
    assert run.metrics["training_accuracy"] == pytest.approx(
        run.artifacts["model"].load().score(X_train, y_train)
    )
    assert run.metrics["test_accuracy"] == pytest.approx(run.artifacts["model"].load().score(X_test, y_test))
    assert len(run.history("training_accuracy")) == len(run.history("test_accuracy")) == 1
    assert set(run.artifacts) == {
        "model", "features", "training-confusion-matrix", "training-roc", "training-precision-recall",
        "test-confusion-matrix", "test-roc", "test-precision-recall",
    }  # fmt: skip
    matrix = run.artifacts["test-confusion-matrix"].load()
    assert sum(sum(row.y) for row in matrix.series) == len(y_test)


def test_metrics_go_to_the_model_that_answered_however_they_were_imported(project: Project) -> None:
    def train() -> None:
        weak = LogisticRegression(C=1e-6).fit(X_train, y_train)
        strong = LogisticRegression(C=10).fit(X_train, y_train)
        X_valid, y_valid = X_test, y_test
        by_weak, by_strong = weak.predict(X_valid), strong.predict(X_valid)
        accuracy_score(y_valid, by_strong)  # the last that was fitted, then the first
        f1_score(y_valid, by_weak, average="macro")
        roc_auc_score(y_valid, weak.predict_proba(X_valid)[:, 1])
        metrics.accuracy_score(y_valid, np.array(by_weak))  # nobody's answer: it was copied

    run = recorded(project, train)
    assert "LogisticRegression-2.test_accuracy" not in run.metrics
    strong = LogisticRegression(C=10).fit(X_train, y_train)
    assert run.metrics["LogisticRegression-2.valid_accuracy"] == strong.score(X_test, y_test)
    assert {name for name in run.metrics if name.startswith("valid_")} == {"valid_f1_macro", "valid_roc_auc"}
    assert run.parameters["LogisticRegression__C"] == 1e-6
    assert run.parameters["LogisticRegression-2.C"] == 10
    assert {"model", "LogisticRegression-2.model"} <= set(run.artifacts)


def test_a_search_is_one_model_with_its_best_parameters_and_a_picture_of_all(project: Project) -> None:
    search = GridSearchCV(
        LogisticRegression(), {"C": [0.01, 1.0], "fit_intercept": [True, False]}, cv=3, n_jobs=2
    )
    run = recorded(project, lambda: search.fit(X_train, y_train))
    assert run.parameters["best__C"] == search.best_params_["C"]
    assert "estimator__C" not in run.parameters
    assert run.metrics["cv_accuracy"] == pytest.approx(search.best_score_)
    assert len(run.history("training_accuracy")) == 1
    assert len(run.artifacts["search-results"].load()) == 4
    assert {"C", "fit_intercept", "mean score"} <= set(run.artifacts["search"].load().axes)
    assert isinstance(run.artifacts["model"].load(), LogisticRegression)


def test_cross_validation_records_mean_and_spread_and_not_the_fits_of_the_folds(project: Project) -> None:
    model, scored = LogisticRegression(), {}

    def train() -> None:
        scored["f1"] = cross_val_score(model, X, y, cv=4, scoring="f1")
        cross_validate(model, X, y, cv=3, scoring=["accuracy", "roc_auc"], n_jobs=2)

    run = recorded(project, train)
    assert run.metrics["cv_f1"] == pytest.approx(scored["f1"].mean())
    assert run.metrics["cv_f1_std"] == pytest.approx(scored["f1"].std())
    assert {"cv_accuracy", "cv_roc_auc"} <= set(run.metrics)
    assert not [name for name in run.metrics if "training" in name]
    assert "model" not in run.artifacts


def test_pictures_fit_the_kind_of_estimator(project: Project) -> None:
    numbers, target = make_regression(80, 4, random_state=0)
    run = recorded(project, lambda: LinearRegression().fit(numbers, target))
    assert {"training-residuals", "training-predicted", "features"} <= set(run.artifacts)
    assert run.metrics["training_r2"] > 0.99
    run = recorded(project, lambda: KMeans(3, n_init=1, random_state=0).fit_predict(X))
    assert {"training-clusters", "training-cluster-sizes"} <= set(run.artifacts)
    assert run.metrics["training_clusters"] == 3
    run = recorded(project, lambda: StandardScaler().fit_transform(X))
    assert not run.parameters
    assert not run.artifacts


class Stubborn(ClassifierMixin, BaseEstimator):
    """An estimator of the user's own: it fits another one, and cannot be stored."""

    def __init__(self, C: float = 1.0) -> None:
        self.C = C

    def fit(self, X, y):
        self.inner_ = LogisticRegression(C=self.C).fit(X, y)
        self.classes_ = self.inner_.classes_
        return self

    def predict(self, X):
        return self.inner_.predict(X)


def test_what_cannot_be_recorded_is_said_once_and_training_goes_on(project: Project) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        run = recorded(project, lambda: [Stubborn().fit(X, y), Stubborn(2.0).fit(X, y)])
    said = [str(one.message) for one in told]
    assert len(said) == 1, said
    assert said[0].startswith("autolog: not recorded: the model holds types")
    assert run.parameters["Stubborn__C"] == 1.0
    assert not [name for name in run.parameters if "LogisticRegression" in name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mlops.autolog()  # forgets what it said
        recorded(project, lambda: Stubborn().fit(X, y))


def test_errors_of_the_training_are_its_own(project: Project) -> None:
    with (
        pytest.raises(ValueError, match="inconsistent numbers of samples"),
        project.runs.start("auto") as run,
    ):
        LogisticRegression().fit(X, y[:-1])
    assert project.runs.get(run.id).status == "failed"
    assert not project.runs.get(run.id).parameters
    with project.runs.start("auto"):
        LogisticRegression().fit(X_train, y_train)
    with pytest.raises(ValueError, match="average"):
        f1_score([0, 1, 2], [0, 1, 2])


def test_outside_of_runs_it_is_said_once_that_nothing_is_recorded(project: Project) -> None:
    code = (
        "import warnings, sys\n"
        "import jupyter_mlops as mlops\n"
        "from sklearn.linear_model import LogisticRegression\n"
        "mlops.autolog()\n"
        "with warnings.catch_warnings(record=True) as told:\n"
        "    warnings.simplefilter('always')\n"
        "    model = LogisticRegression().fit([[0.0], [1.0]], [0, 1])\n"
        "    model.score([[0.0]], [0])\n"
        "    LogisticRegression().fit([[0.0], [1.0]], [0, 1])\n"
        "print([str(one.message) for one in told])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "['no run: not recorded']", done.stderr


def test_everything_can_be_undone() -> None:
    mlops.autolog(disable=True)

    def methods() -> dict[tuple[str, str], object]:
        kinds = [BaseEstimator, base.ClassifierMixin, base.RegressorMixin, base.ClusterMixin]
        kinds += list(patches._kinds(BaseEstimator))
        return {
            (f"{k.__module__}.{k.__qualname__}", m): vars(k).get(m) for k in kinds for m in patches.METHODS
        }

    before, checked = methods(), model_selection.cross_val_score
    inner = vars(model_selection.GridSearchCV.__mro__[1])["predict"].fn
    mlops.autolog()
    mlops.autolog(pictures=False)
    assert methods() != before
    assert cross_val_score is not checked  # also the name that this module imported
    mlops.autolog(disable=True)
    mlops.autolog(disable=True)
    assert methods() == before
    assert cross_val_score is checked is model_selection.cross_val_score
    assert vars(model_selection.GridSearchCV.__mro__[1])["predict"].fn is inner
    assert "__init_subclass__" not in vars(BaseEstimator)


def test_estimators_stay_what_they_are() -> None:
    assert list(inspect.signature(LogisticRegression.fit).parameters) == ["self", "X", "y", "sample_weight"]
    assert LogisticRegression.fit.__doc__
    assert clone(Stubborn(3.0)).get_params() == {"C": 3.0}
    scorer = metrics.make_scorer(f1_score, average="macro")
    assert pickle.loads(pickle.dumps(scorer))._kwargs == {"average": "macro"}
    assert pickle.loads(pickle.dumps(cross_val_score)) is cross_val_score
    assert isinstance(pickle.loads(pickle.dumps(LogisticRegression().fit(X, y))), LogisticRegression)


def test_a_class_made_in_a_notebook_can_be_sent_to_other_processes(tmp_path) -> None:
    code = (
        "import jupyter_mlops as mlops\n"
        "from sklearn.base import BaseEstimator, ClassifierMixin\n"
        "from sklearn.linear_model import LogisticRegression\n"
        "from sklearn.datasets import make_classification\n"
        "from sklearn.model_selection import cross_val_score\n"
        f"project = mlops.init({str(tmp_path)!r}, actor='ann@example.com')\n"
        "mlops.autolog()\n"
        "class Mine(LogisticRegression):\n"
        "    def fit(self, X, y):\n"
        "        return super().fit(X, y)\n"
        "if __name__ == '__main__':\n"
        "    X, y = make_classification(60, random_state=0)\n"
        "    with project.runs.start('auto') as run:\n"
        "        cross_val_score(Mine(), X, y, cv=2, n_jobs=2)\n"
        "    print(sorted(project.runs.get(run.id).metrics))\n"
        "    project.close()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "['cv_accuracy', 'cv_accuracy_std']", done.stderr


def test_fits_of_worker_threads_are_part_of_the_whole_and_those_of_own_threads_are_not(
    project: Project,
) -> None:
    from joblib import parallel_backend

    def train() -> None:
        with parallel_backend("threading", n_jobs=2):
            BaggingClassifier(LogisticRegression(), n_estimators=4, n_jobs=2).fit(X, y)
        thread = threading.Thread(target=lambda: LogisticRegression().fit(X, y))
        thread.start()
        thread.join()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        run = recorded(project, train)
    assert run.tags["estimator"] == "BaggingClassifier"
    assert {name.partition(".")[0] for name in run.metrics if "." in name} == {"LogisticRegression"}
    assert len(run.history("training_accuracy")) == 1


def test_a_loop_over_many_models_does_not_flood_the_run(project: Project) -> None:
    mlops.autolog(models=False, pictures=False, scores=False)
    with pytest.warns(UserWarning, match="more than 25 models in run"):
        run = recorded(project, lambda: [LogisticRegression().fit(X[:20], y[:20]) for _ in range(40)])
    assert len({name.rpartition(".")[0] for name in run.parameters}) < 30


def test_an_executed_notebook_is_recorded_too(project: Project) -> None:
    cells = [
        "from sklearn.datasets import make_classification\n"
        "from sklearn.linear_model import LogisticRegression\n"
        "from sklearn.metrics import accuracy_score\n"
        "from sklearn.model_selection import train_test_split\n",
        "%load_ext jupyter_mlops\n%mlops autolog",
        "X, y = make_classification(200, 6, random_state=0)\n"
        "X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)\n"
        "model = LogisticRegression(C=2.0).fit(X_train, y_train)",
        "accuracy_score(y_test, model.predict(X_test))",
    ]
    made = [
        {
            "cell_type": "code",
            "source": cell,
            "metadata": {},
            "outputs": [],
            "execution_count": None,
            "id": f"c{at}",
        }
        for at, cell in enumerate(cells)
    ]
    document = {"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (project.root / "train.ipynb").write_text(json.dumps(document), "utf-8")
    (run,) = project.runs.execute(project.root / "train.ipynb")
    assert run.status == "finished", run.error
    assert run.parameters["LogisticRegression__C"] == 2.0
    assert {"training_accuracy", "test_accuracy"} <= set(run.metrics)
    assert {"model", "test-roc"} <= set(run.artifacts)
    executed = run.executed_notebook()
    assert executed is not None
    assert not [
        out for cell in executed["cells"] for out in cell["outputs"] if out["output_type"] == "stream"
    ]


def test_the_magic_turns_it_on_and_off() -> None:
    from IPython.testing.globalipapp import get_ipython, start_ipython

    shell = start_ipython() or get_ipython()
    shell.run_line_magic("load_ext", "jupyter_mlops")
    shell.run_line_magic("mlops", "autolog off")
    assert not hasattr(LogisticRegression.fit, patches._MARK)
    shell.run_line_magic("mlops", "autolog")
    assert hasattr(LogisticRegression.fit, patches._MARK)
