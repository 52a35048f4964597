"""The active run: a ``Run`` that is being recorded, with the ``log_*`` verbs. Made by ``Tracker``."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from ...datasets import Datasets, DatasetVersion
from ...errors import BadInput, Failed
from ...objects import Objects
from ...refs import parse_ref
from ..artifact import Artifact, SaveModel, stored, stored_text
from ..plain import checked_name, described, named, storable
from ..run import Run
from .pen import Pen
from .records import Records

if TYPE_CHECKING:
    from ..sweeps.pruning import Judge


_FIELDS = tuple(field.name for field in fields(Run))


class ActiveRun(Run):
    """A run while it runs.

    What is logged is stored at once, and seen in this value at once; threads may share it. What else there
    is to know of the run is read when somebody asks for it: most blocks do not, neither before nor after.
    """

    __slots__ = (
        "__weakref__",
        "_datasets",
        "_fixed",
        "_guard",
        "_judge",
        "_objects",
        "_pen",
        "_read",
        "_records",
        "_save_model",
        "failure",
    )
    _datasets: Datasets
    _fixed: dict[str, str]
    _guard: threading.RLock
    _judge: Judge | None
    _pen: Pen
    _read: Callable[[], Run]
    _records: Records
    _objects: Objects
    _save_model: SaveModel | None
    failure: BaseException | None

    def __init__(
        self,
        known: Mapping[str, Any],
        read: Callable[[], Run],
        pen: Pen,
        records: Records,
        objects: Objects,
        datasets: Datasets,
        fixed: Mapping[str, str],
        save_model: SaveModel | None,
    ) -> None:
        """Make the run of which ``known``, its id among it, is known; ``read`` returns all that is stored."""
        self._see(
            **known,
            _read=read,
            _pen=pen,
            _records=records,
            _objects=objects,
            _datasets=datasets,
            _fixed=dict(fixed),
            _save_model=save_model,
            _guard=threading.RLock(),
            _judge=None,
            failure=None,
        )
        _active.add(self)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name not in _FIELDS:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            with self._guard:
                run = self._read()
                for each in _FIELDS:
                    if not self._has(each):
                        self._see(**{each: getattr(run, each)})
                self._see(metrics=dict(self.metrics))
            return object.__getattribute__(self, name)

    def over(self, read: Callable[[], Run]) -> None:
        """Be what ``read`` returns, when somebody asks: the run has ended."""
        with self._guard:
            self._see(_read=read)
            for name in _FIELDS:
                if name != "id" and self._has(name):
                    object.__delattr__(self, name)

    def forked(self) -> None:
        """Begin anew in a child process, where nobody will ever give back a lock of the parent's threads."""
        object.__setattr__(self, "_guard", threading.RLock())
        self._pen.forked()

    def close(self) -> None:
        """Log no more metrics."""
        with self._guard:
            self._pen.close()

    def log_metric(self, key: str, value: Any, step: int | None = None) -> None:
        """Append one value of a metric; without ``step`` it is one after the last.

        A value that was logged survives the process at once. A training loop may call this a million times.
        """
        with self._guard:
            number = self._pen.one(key, value, step)
            if key in self.metrics:
                self.metrics[key] = number  # type: ignore[index]  # a dict of our own, see refresh
            else:  # whoever goes through the old one meanwhile is not disturbed
                self._see(metrics={**self.metrics, key: number})

    def log_metrics(self, values: Mapping[str, Any], step: int | None = None) -> None:
        """Append one value of each metric, all at the same ``step``."""
        with self._guard:
            read = self._pen.several(named(values, "metrics"), step)
            if read:
                self._see(metrics={**self.metrics, **read})

    def report(self, value: Any, step: int) -> None:
        """Append one value of the metric that decides the sweep, and raise ``Pruned`` if the run is hopeless.

        Where no metric is declared the value is logged as ``objective``, and no run is hopeless.
        """
        from ..sweeps.pruning import judge_of

        with self._guard:
            judge = self._judge or judge_of(self)
            object.__setattr__(self, "_judge", judge)
            self.log_metric(judge.metric, value, step)
            judge.judge(self.metrics[judge.metric], int(step))

    def log_parameters(self, values: Mapping[str, Any]) -> None:
        """Add parameters; raises ``Conflict`` if one has another value already."""
        read = {
            checked_name(key, "a parameter"): described(value, f"parameter {key}")
            for key, value in named(values, "parameters").items()
        }
        with self._guard:
            self._records.parameters(self.id, read)
            self._see(parameters={**read, **self.parameters})

    def set_tags(self, values: Mapping[str, Any]) -> None:
        """Set tags, as texts; a tag that is set again changes."""
        read = {
            checked_name(key, "a tag"): storable(str(value), f"tag {key}")
            for key, value in named(values, "tags").items()
        }
        if read:
            with self._guard:
                self._records.tags(self.id, read)
                self._see(tags={**self.tags, **read})

    def log_input(self, ref: str | DatasetVersion, name: str | None = None) -> DatasetVersion:
        """Record that a dataset version is an input, under ``name`` or the dataset's name.

        Loads do it by themselves.
        """
        version = self.version(ref)
        self.saw_read(version, name)
        return version

    def log_artifact(self, source: Any, name: str | None = None) -> Artifact:
        """Keep a file, folder, table, figure, list or dict under ``name``; the same name again replaces it.

        Figures of matplotlib, PIL, plotly, altair and whatever shows itself in a notebook are kept with a
        picture. A text with line breaks is kept as text, any other names a path.
        """
        if name is not None:
            _check_artifact(name)
        with self._objects.holding():  # until the fact is there, nothing else keeps the bytes
            return self._kept(stored(self._objects, source, name), free=name is None)

    def log_text(self, text: str, name: str = "text.txt") -> Artifact:
        """Keep a text under ``name``; the same name again replaces it."""
        _check_artifact(name)
        with self._objects.holding():
            return self._kept(stored_text(self._objects, text, name), free=False)

    def log_model(self, estimator: Any, input_example: Any = None, name: str = "model") -> Artifact:
        """Keep a fitted estimator, without pickle, with its signature and rows of ``input_example``."""
        _check_artifact(name)
        if self._save_model is None:
            raise Failed("models cannot be stored here", "open the run through a project")
        with self._objects.holding():
            saved = self._save_model(estimator, input_example)
            return self._kept(Artifact(name, "model", saved.digest, saved.bytes, saved.detail), free=False)

    def fail(self, error: BaseException) -> None:
        """Have the run end as failed with ``error`` although nothing is raised."""
        object.__setattr__(self, "failure", error)

    def version(self, ref: str | DatasetVersion) -> DatasetVersion:
        """Return the version that ``ref`` means inside this run: what the run's inputs fix comes first.

        A bare name or ``@latest`` is the version that an input fixes; an alias is, where the
        input was asked for by it.
        """
        if isinstance(ref, DatasetVersion):
            return ref
        parsed = parse_ref(ref, "data")
        if parsed.number is not None:
            return self._datasets.get(ref)
        found = self._datasets.get(self._fixed_for(ref) or ref)
        self._records.meant(self.id, ref, found)
        return found

    def _fixed_for(self, ref: str) -> str | None:
        """Return the version at which the run's inputs fix an alias or bare name, if they do."""
        parsed = parse_ref(ref, "data")
        wanted = {fixed for asked, fixed in self._fixed.items() if asked == ref}
        if not wanted:
            wanted = {
                fixed
                for asked, fixed in self._fixed.items()
                if parse_ref(fixed, "data").name == parsed.name
                and (parsed.alias in (None, "latest") or parse_ref(asked, "data").alias == parsed.alias)
            }
        if len(wanted) > 1:
            raise BadInput(
                f"the run's inputs fix {parsed.name} at {' and '.join(sorted(wanted))}",
                f"say which one: load_dataset({sorted(wanted)[0]!r})",
            )
        return wanted.pop() if wanted else None

    def saw_read(self, version: DatasetVersion, name: str | None = None) -> None:
        """Record that ``version`` was read."""
        chosen = checked_name(name, "an input") if name is not None else version.name
        with self._guard:
            if version.ref not in self.inputs.values():
                known = self._records.input(self.id, chosen, version)
                self._see(inputs={**self.inputs, known: version.ref})

    def saw_commit(self, version: DatasetVersion) -> None:
        """Record that ``version`` was committed."""
        with self._guard:
            if version.ref not in self.outputs:
                self._records.output(self.id, version)
                self._see(outputs=(*self.outputs, version.ref))

    def _kept(self, artifact: Artifact, free: bool) -> Artifact:
        with self._guard:
            kept = self._records.artifact(self.id, artifact, free)
            self._see(artifacts={**self.artifacts, kept.name: kept})
        return kept

    def _has(self, name: str) -> bool:
        try:
            object.__getattribute__(self, name)
        except AttributeError:
            return False
        return True

    def _see(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)


def _check_artifact(name: str) -> None:
    # its last part names the file that a checkout writes
    if checked_name(name, "an artifact").rpartition("/")[2] in ("", ".", ".."):
        raise BadInput(f"{name!r} cannot name an artifact", "end it with the name of a file")


_active: weakref.WeakSet[ActiveRun] = weakref.WeakSet()


def _in_child() -> None:
    for run in list(_active):
        run.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
