"""Gates: named conditions, computed by us on declared data, never taken from logs. Asked by ``Registry``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..config import Evaluation, Gate
from ..errors import BadConfig, BadInput, MLOpsError, close_matches
from ..models import Models, ModelVersion
from ..value import Value
from .subject import Promotion, digest

if TYPE_CHECKING:
    from ..datasets import Datasets


@dataclass(frozen=True, slots=True)
class GateResult:
    """One gate's answer. ``value`` and ``threshold`` are ``None`` where nothing was measured on ``rows``."""

    name: str
    passed: bool
    value: float | None
    threshold: float | None
    rows: int
    explanation: str

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as JSON-ready types."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class GateReport(Value):
    """Whether ``alias`` may move to ``model``: every gate's answer, and the data that they judged by."""

    model: str
    model_digest: str
    alias: str
    results: tuple[GateResult, ...]
    data: str
    data_digest: str
    rows: int
    holder: str

    @property
    def passed(self) -> bool:
        """Whether every gate passed; true where none is declared."""
        return all(result.passed for result in self.results)

    @property
    def failed(self) -> tuple[str, ...]:
        """The names of the gates that did not pass."""
        return tuple(result.name for result in self.results if not result.passed)

    @property
    def digest(self) -> str:
        """The SHA-256 of the report; equal models, data and gates give equal digests."""
        return digest(self._document())

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON-ready types."""
        return {**self._document(), "passed": self.passed, "digest": self.digest}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> GateReport:
        """Return the report that ``to_dict`` described."""
        fields = {key: value for key, value in document.items() if key not in ("passed", "digest", "results")}
        return cls(results=tuple(GateResult(**result) for result in document["results"]), **fields)

    def _document(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "model_digest": self.model_digest,
            "alias": self.alias,
            "results": [result.to_dict() for result in self.results],
            "data": self.data,
            "data_digest": self.data_digest,
            "rows": self.rows,
            "holder": self.holder,
        }


class Judge:
    """Judges one promotion on the data and versions that its subject names, whatever happens meanwhile."""

    def __init__(
        self, models: Models, datasets: Datasets, subject: Promotion, evaluation: Evaluation | None
    ) -> None:
        self._models = models
        self._datasets = datasets
        self._subject = subject
        self._evaluation = evaluation
        self._scores: dict[tuple[str, str], tuple[float, str]] = {}
        self._frame: Any = None

    def report(self, gates: tuple[Gate, ...]) -> GateReport:
        """Return the answers of ``gates``. Raises ``BadInput`` where no data is declared for a scorer."""
        subject = self._subject
        version = self._models.get(subject.ref)
        if any(gate.scorer for gate in gates):
            self._frame = self._table(gates)
        results = tuple(self._judge(gate, version) for gate in gates)
        return GateReport(
            model=subject.ref,
            model_digest=subject.model_digest,
            alias=subject.alias,
            results=results,
            data=subject.data,
            data_digest=subject.data_digest,
            rows=0 if self._frame is None else len(self._frame),
            holder=subject.holder,
        )

    def _judge(self, gate: Gate, version: ModelVersion) -> GateResult:
        if gate.signature:
            return self._compatible(gate, version)
        scorer = str(gate.scorer)
        value, trouble = self._score(version, scorer)
        threshold, against = gate.at_least, ""
        if gate.not_worse_than:
            ref = self._subject.compared.get(gate.not_worse_than, "")
            if not ref:
                explanation = f"{scorer} {_shown(value)}; nothing holds {gate.not_worse_than} yet"
                return self._result(gate, not trouble, value, None, trouble or explanation)
            other, their_trouble = self._score(self._models.get(ref), scorer)
            trouble = trouble or their_trouble
            threshold, against = other - gate.margin, f" ({ref} has {_shown(other)})"
        if trouble:
            return self._result(gate, False, value, threshold, trouble)
        passed = threshold is not None and value >= threshold
        return self._result(
            gate,
            passed,
            value,
            threshold,
            f"{scorer} {_shown(value)}, {'at least' if passed else 'not even'} {_shown(threshold)}{against}",
        )

    def _compatible(self, gate: Gate, version: ModelVersion) -> GateResult:
        if not self._subject.holder:
            return self._result(gate, True, None, None, f"nothing holds {self._subject.alias} yet", rows=0)
        holder = self._models.get(self._subject.holder)
        for each in (version, holder):
            if not each.signature.inputs:
                why = f"{each.ref} has no signature; log or register it with an input_example"
                return self._result(gate, False, None, None, why, rows=0)
        broken = version.signature.breaks(holder.signature)
        why = (
            f"callers of {holder.ref} can call it"
            if not broken
            else f"against {holder.ref}: {'; '.join(broken)}"
        )
        return self._result(gate, not broken, None, None, why, rows=0)

    def _table(self, gates: tuple[Gate, ...]) -> Any:
        name, evaluation = self._subject.model, self._evaluation
        asked = ", ".join(gate.name for gate in gates if gate.scorer)
        if evaluation is None:
            raise BadInput(
                f"{self._subject.alias} asks for {asked}, and no data is declared to judge {name} on",
                f"under [models.{name}] in mlops.toml: "
                f'evaluate = {{ data = "{name}-holdout@golden", target = "…" }}, then `mlops policy apply`',
            )
        frame = self._datasets.get(self._subject.data).load("pandas")
        if evaluation.target not in getattr(frame, "columns", ()):
            columns = [str(column) for column in getattr(frame, "columns", ())]
            raise BadInput(
                f"{self._subject.data} has no column '{evaluation.target}' to judge {name} by",
                close_matches(evaluation.target, columns, f"its columns: {', '.join(columns[:10])}"),
            )
        if not len(frame):
            raise BadInput(
                f"{self._subject.data} has no rows to judge {name} on", "declare data that has some"
            )
        return frame

    def _score(self, version: ModelVersion, scorer: str) -> tuple[float, str]:
        """Return the score of ``version`` and, where there is none, why."""
        key = (version.digest, scorer)
        if key not in self._scores:
            self._scores[key] = self._measured(version, scorer)
        return self._scores[key]

    def _measured(self, version: ModelVersion, scorer: str) -> tuple[float, str]:
        from sklearn.metrics import get_scorer, get_scorer_names

        try:
            measure = get_scorer(scorer)
        except ValueError:
            raise BadConfig(
                f"'{scorer}' is no scorer of scikit-learn",
                close_matches(scorer, get_scorer_names(), "see sklearn.metrics.get_scorer_names()"),
            ) from None
        target = self._evaluation.target if self._evaluation else ""
        known = [column.name for column in version.signature.inputs]
        lacking = [name for name in known if name not in self._frame.columns]
        whole_array = lacking == known == [f"x{position}" for position in range(len(known))]
        if lacking and not whole_array:
            return (
                math.nan,
                f"{version.ref} needs {', '.join(lacking)}, which {self._subject.data} does not have",
            )
        rest = self._frame.drop(columns=[target])
        features = rest.to_numpy() if whole_array else rest[known] if known else rest
        estimator = version.load()
        try:
            value = float(measure(estimator, features, self._frame[target]))
        except MLOpsError:
            raise
        except (
            Exception
        ) as error:  # an estimator may fail in any way; the gate then has not passed, and says why
            return (
                math.nan,
                f"{scorer} of {version.ref} could not be computed: {' '.join(str(error).split())[:200]}",
            )
        return value, "" if math.isfinite(value) else f"{scorer} of {version.ref} is {value}"

    def _result(
        self,
        gate: Gate,
        passed: bool,
        value: float | None,
        threshold: float | None,
        explanation: str,
        rows: int | None = None,
    ) -> GateResult:
        counted = len(self._frame) if rows is None else rows
        return GateResult(gate.name, passed, _finite(value), _finite(threshold), counted, explanation)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _shown(value: float | None) -> str:
    return "nothing" if value is None else f"{value:.4g}"
