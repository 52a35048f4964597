"""Estimators as bytes: stored without pickle, loaded through the allow-list or not at all."""

from __future__ import annotations

import io
import json
import pickle
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.cluster import KMeans
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from jupyter_mlops.errors import BadInput, Damaged, UnsafeModel
from jupyter_mlops.models import Column, ModelStore
from jupyter_mlops.models.persistence import MODEL
from jupyter_mlops.objects import Entry, Objects
from jupyter_mlops.objects.blob import raw_digest
from jupyter_mlops.objects.packs.pack import pack_path

FRAME = pd.DataFrame(
    {"age": [31, 42, 53, 64] * 5, "balance": [0.5, 1.5, 2.5, 9.0] * 5, "plan": ["a", "b"] * 10}
)
CHURNED = ["no", "yes"] * 10
TREE = "sklearn.tree._tree.Tree"
Make = Callable[..., ModelStore]


class Shouting(ClassifierMixin, BaseEstimator):
    """A classifier that skops does not know."""

    def fit(self, X: Any, y: Any) -> Shouting:
        self.classes_ = np.unique(y)
        return self

    def predict(self, X: Any) -> Any:
        return np.repeat(self.classes_[:1], len(X))


def churn_model(c: float = 1.0) -> Pipeline:
    columns = make_column_transformer((OneHotEncoder(), ["plan"]), (StandardScaler(), ["age", "balance"]))
    return make_pipeline(columns, LogisticRegression(C=c)).fit(FRAME, CHURNED)


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return Objects(tmp_path / "objects")


@pytest.fixture
def store(objects: Objects) -> ModelStore:
    return ModelStore(objects, lambda: ())


def stored_as(objects: Objects, content: bytes) -> str:
    """Store ``content`` where a model's file belongs, as somebody who writes to the folder could."""
    with objects.batch() as batch:
        return batch.put_tree([Entry(MODEL, 0o644, len(content), batch.put_bytes(content))])


def test_a_pipeline_comes_back_as_it_was(store: ModelStore) -> None:
    model = churn_model()
    saved = store.save(model, FRAME.head())
    restored = store.load(saved.digest)
    assert np.array_equal(restored.predict_proba(FRAME), model.predict_proba(FRAME))
    assert saved.bytes > 1_000
    assert saved == store.saved(saved.digest)


def test_the_same_model_has_the_same_digest_in_every_process(store: ModelStore) -> None:
    here = store.save(churn_model(), FRAME.head()).digest
    assert store.save(churn_model(), FRAME.head()).digest == here
    assert store.save(churn_model(c=2.0), FRAME.head()).digest != here
    script = (
        "import pathlib, sys, tempfile; sys.path.insert(0, sys.argv[1])\n"
        "from test_persistence import *\n"
        "with tempfile.TemporaryDirectory() as folder:\n"
        "    store = ModelStore(Objects(pathlib.Path(folder)), lambda: ())\n"
        "    sys.stdout.write(store.save(churn_model(), FRAME.head()).digest)"
    )
    there = subprocess.run(
        [sys.executable, "-c", script, str(Path(__file__).parent)], capture_output=True, text=True, check=True
    )
    assert there.stdout == here


def test_the_signature_tells_columns_types_and_answers(store: ModelStore) -> None:
    detail = store.save(churn_model(), FRAME.head()).detail
    assert detail["signature"] == {
        "inputs": [
            {"name": "age", "type": "integer"},
            {"name": "balance", "type": "number"},
            {"name": "plan", "type": "text"},
        ],
        "output": "class",
        "classes": ["no", "yes"],
    }
    assert detail["estimator"] == "sklearn.pipeline.Pipeline"
    assert set(detail["versions"]) == {"python", "numpy", "scikit-learn", "skops"}


@pytest.mark.parametrize(
    ("estimator", "output"),
    [(LinearRegression(), "number"), (KMeans(2, n_init=1), "cluster"), (StandardScaler(), "array")],
)
def test_what_a_model_answers_is_known_without_an_example(
    store: ModelStore, estimator: Any, output: str
) -> None:
    numbers = FRAME[["age", "balance"]]
    signature = store.save(estimator.fit(numbers, np.arange(20.0))).detail["signature"]
    assert signature["output"] == output
    assert [column["name"] for column in signature["inputs"]] == ["age", "balance"]
    assert store.example(store.save(estimator).digest) is None


def test_an_input_example_keeps_its_types_and_its_first_rows(store: ModelStore) -> None:
    frame = FRAME.assign(
        since=pd.date_range("2025-01-01", periods=20, tz="UTC"),
        kind=pd.Categorical(["x", "y"] * 10),
        score=np.nan,
    )
    keep = make_column_transformer(("passthrough", ["age"]))
    digest = store.save(make_pipeline(keep, LogisticRegression()).fit(frame, CHURNED), frame).digest
    pd.testing.assert_frame_equal(store.example(digest), frame.head(20), check_categorical=False)


def test_polars_and_arrays_are_examples_too(store: ModelStore) -> None:
    numbers = FRAME[["age", "balance"]]
    by_array = LogisticRegression().fit(numbers.to_numpy(), CHURNED)
    names = [
        column["name"] for column in store.save(by_array, numbers.to_numpy()).detail["signature"]["inputs"]
    ]
    assert names == ["x0", "x1"]
    by_polars = LogisticRegression().fit(numbers, CHURNED)
    inputs = store.save(by_polars, pl.from_pandas(numbers)).detail["signature"]["inputs"]
    assert [Column(**each) for each in inputs] == [Column("age", "integer"), Column("balance", "number")]


@pytest.mark.parametrize("example", [FRAME[["age"]], [1, 2, 3], {"age": 3}, np.zeros((2, 2, 2))])
def test_an_example_that_the_model_does_not_take_is_refused(store: ModelStore, example: Any) -> None:
    with pytest.raises(BadInput, match="example"):
        store.save(churn_model(), example)


def test_types_outside_the_allow_list_are_named_with_the_line_that_allows_them(objects: Objects) -> None:
    allowed: list[str] = ["mine.Known"]
    store = ModelStore(objects, lambda: tuple(allowed))
    forest = RandomForestClassifier(n_estimators=2, random_state=0).fit(FRAME[["age"]], CHURNED)
    with pytest.raises(UnsafeModel, match=f"does not allow: {TREE}") as refused:
        store.save(forest)
    line = next(part for part in refused.value.hint.split("   ") if part.startswith("types = "))
    assert tomllib.loads(line)["types"] == ["mine.Known", TREE]
    allowed[:] = tomllib.loads(line)["types"]
    assert isinstance(store.load(store.save(forest).digest), RandomForestClassifier)


def test_a_type_that_is_no_longer_allowed_is_no_longer_loaded(objects: Objects) -> None:
    forest = RandomForestClassifier(n_estimators=2, random_state=0).fit(FRAME[["age"]], CHURNED)
    digest = ModelStore(objects, lambda: (TREE,)).save(forest).digest
    strict = ModelStore(objects, lambda: ())
    for use in (strict.load, strict.refuse_unsafe):
        with pytest.raises(UnsafeModel, match=TREE):
            use(digest)


def test_classes_of_the_notebook_are_refused_even_when_allowed(
    objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Shouting, "__module__", "__main__")
    monkeypatch.setattr(sys.modules["__main__"], "Shouting", Shouting, raising=False)
    model = make_pipeline(StandardScaler(), Shouting()).fit(FRAME[["age"]], CHURNED)
    for trust in ((), ("__main__.Shouting",)):
        with pytest.raises(UnsafeModel, match="from __main__") as refused:
            ModelStore(objects, lambda trust=trust: trust).save(model)
        assert "move Shouting to a module" in refused.value.hint


def test_a_class_of_a_module_needs_only_to_be_allowed(objects: Objects) -> None:
    name = f"{Shouting.__module__}.Shouting"
    model = Shouting().fit(FRAME, CHURNED)
    with pytest.raises(UnsafeModel, match="does not allow"):
        ModelStore(objects, lambda: ()).save(model)
    store = ModelStore(objects, lambda: (name,))
    assert list(store.load(store.save(model).digest).predict(FRAME[:2])) == ["no", "no"]


def test_a_lambda_is_refused_with_a_way_out(store: ModelStore) -> None:
    model = make_pipeline(FunctionTransformer(lambda x: x), LogisticRegression()).fit(FRAME[["age"]], CHURNED)
    with pytest.raises(UnsafeModel, match="lambda") as refused:
        store.save(model)
    assert "module" in refused.value.hint


@pytest.mark.parametrize(
    ("what", "says"),
    [
        (LogisticRegression(), "not fitted"),
        (make_pipeline(StandardScaler(), LogisticRegression()), "not fitted"),
        (LogisticRegression, "the class LogisticRegression"),
        ({"coef": 1}, "dict is no scikit-learn estimator"),
        (None, "NoneType"),
    ],
)
def test_what_is_no_fitted_estimator_is_refused(
    store: ModelStore, objects: Objects, what: Any, says: str
) -> None:
    with pytest.raises(BadInput, match=says):
        store.save(what)
    assert not objects.folder.exists()


class Canary:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("dump", [pickle.dumps, lambda value: _joblib(value)])
def test_a_pickle_in_place_of_the_model_is_never_loaded(
    store: ModelStore, objects: Objects, tmp_path: Path, dump: Callable[[Any], bytes]
) -> None:
    canary = tmp_path / "executed"
    with pytest.raises(UnsafeModel, match="never loaded from pickle"):
        store.load(stored_as(objects, dump(Canary(canary))))
    assert not canary.exists()


def _joblib(value: Any) -> bytes:
    buffer = io.BytesIO()
    joblib.dump(value, buffer)
    return buffer.getvalue()


def _altered(store: ModelStore, objects: Objects, **options: Any) -> bytes:
    """Return a stored model's file written again, with its schema or its zip changed."""
    digest = store.save(LogisticRegression().fit(FRAME[["age"]], CHURNED)).digest
    entry = next(entry for entry in objects.tree(digest) if entry.path == MODEL)
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(objects.read(entry.digest))) as old,
        zipfile.ZipFile(buffer, "w", options.get("compression", zipfile.ZIP_STORED)) as new,
    ):
        for name in old.namelist():
            content = old.read(name)
            if name == "schema.json" and "schema" in options:
                content = json.dumps(options["schema"](json.loads(content))).encode()
            new.writestr(options.get("prefix", "") + name if name != "schema.json" else name, content)
    return buffer.getvalue()


def test_a_poisoned_schema_makes_nothing_and_is_named(store: ModelStore, objects: Objects) -> None:
    def poisoned(schema: dict[str, Any]) -> dict[str, Any]:
        return {**schema, "__module__": "subprocess", "__class__": "Popen"}

    with pytest.raises(UnsafeModel, match=r"subprocess\.Popen"):
        store.load(stored_as(objects, _altered(store, objects, schema=poisoned)))


@pytest.mark.parametrize(
    "how", [{"compression": zipfile.ZIP_DEFLATED}, {"prefix": "../"}, {"prefix": "C:\\"}]
)
def test_a_zip_that_we_did_not_write_is_refused(
    store: ModelStore, objects: Objects, how: dict[str, Any]
) -> None:
    with pytest.raises(UnsafeModel, match="not written by this project"):
        store.load(stored_as(objects, _altered(store, objects, **how)))


def test_an_untouched_copy_of_the_same_file_is_loaded(store: ModelStore, objects: Objects) -> None:
    assert store.load(stored_as(objects, _altered(store, objects))).classes_.tolist() == ["no", "yes"]


def test_damaged_bytes_are_found_before_they_are_used(store: ModelStore, objects: Objects) -> None:
    digest = store.save(churn_model(), FRAME.head()).digest
    entry = next(entry for entry in objects.tree(digest) if entry.path == MODEL)
    place = objects.index.find(raw_digest(objects.chunks(entry.digest)[0][0]))
    assert place is not None
    file = pack_path(objects.folder, place.pack)
    content = bytearray(file.read_bytes())
    content[place.offset + place.length - 1] ^= 1
    file.write_bytes(content)
    for use in (store.load, store.verify):
        with pytest.raises(Damaged):
            use(digest)


def test_a_folder_without_a_model_is_damaged(store: ModelStore, objects: Objects) -> None:
    with objects.batch() as batch:
        digest = batch.put_tree([])
    with pytest.raises(Damaged, match=MODEL):
        store.load(digest)
