"""DriftReport: what a comparison of two tables found. Returned by ``drift``, kept by alerts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ..charts import Figure, Rule, bar, grouped_bar, histogram
from ..errors import BadInput, close_matches
from ..statistics import DriftPolicy
from ..value import Value

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Distribution:
    """Shares of the rows on both sides: between ``edges`` for numbers, of ``labels`` for categories.

    The outermost bins of numbers hold their tails too.
    """

    reference: tuple[float, ...]
    current: tuple[float, ...]
    edges: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding(Value):
    """Something worth knowing beside the tests. Only an alarm makes its column drifted."""

    kind: str
    column: str
    message: str
    alarm: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as JSON-ready types."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class ColumnDrift(Value):
    """One column's test, its probability, its effect and the verdict.

    ``effect`` is Kolmogorov-Smirnov's D or Cramér's V; ``strength`` is the largest effect as a multiple of
    the floor from which it matters. ``missing`` are the shares of missing values in reference and current.
    """

    name: str
    kind: str
    status: str
    drifted: bool = False
    method: str = ""
    statistic: float | None = None
    p_value: float | None = None
    adjusted_p: float | None = None
    effect: float | None = None
    floor: float | None = None
    strength: float = 0.0
    missing: tuple[float, float] = (0.0, 0.0)
    missing_p: float | None = None
    distribution: Distribution | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the column's result as JSON-ready types."""
        return _listed(asdict(self))


@dataclass(frozen=True, slots=True)
class DriftReport(Value):
    """Whether ``current`` still looks like ``reference``, which columns do not, and what else was noticed."""

    reference: str | None
    current: str | None
    rows: tuple[int, int]
    drifted: bool
    columns: Mapping[str, ColumnDrift]
    findings: tuple[Finding, ...]
    tests: int
    policy: DriftPolicy

    @property
    def drifted_columns(self) -> tuple[ColumnDrift, ...]:
        """The columns that drifted, the strongest first."""
        return tuple(sorted((c for c in self.columns.values() if c.drifted), key=lambda c: -c.strength))

    @property
    def summary(self) -> str:
        """The verdict in one line."""
        total = len(self.columns)
        of = f"{total} column" if total == 1 else f"{total} columns"
        drifted = [column.name for column in self.drifted_columns]
        if not drifted:
            return f"no drift in {of}"
        named = ", ".join(drifted[:5]) + (f" and {len(drifted) - 5} more" if len(drifted) > 5 else "")
        return f"{len(drifted)} of {of} drifted: {named}"

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON-ready types; ``from_dict`` reads it back."""
        return {
            "reference": self.reference,
            "current": self.current,
            "rows": list(self.rows),
            "drifted": self.drifted,
            "summary": self.summary,
            "columns": {name: column.to_dict() for name, column in self.columns.items()},
            "findings": [finding.to_dict() for finding in self.findings],
            "tests": self.tests,
            "policy": asdict(self.policy),
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> DriftReport:
        """Return the report that ``to_dict`` wrote, such as the one an alert keeps."""
        return cls(
            reference=plain["reference"],
            current=plain["current"],
            rows=(plain["rows"][0], plain["rows"][1]),
            drifted=plain["drifted"],
            columns={name: _column(column) for name, column in plain["columns"].items()},
            findings=tuple(Finding(**finding) for finding in plain["findings"]),
            tests=plain["tests"],
            policy=DriftPolicy(**plain["policy"]),
        )

    def to_pandas(self) -> pd.DataFrame:
        """Return one row for each column, the distributions left out."""
        import pandas as pd

        left_out = {"distribution", "missing"}
        rows = [
            {key: value for key, value in column.to_dict().items() if key not in left_out}
            | {"missing_reference": column.missing[0], "missing_current": column.missing[1]}
            for column in self.columns.values()
        ]
        return pd.DataFrame(rows).set_index("name")

    def plot(self, column: str | None = None) -> Figure:
        """Return the picture of all columns' effects against their floors, or of one column on both sides."""
        return self._overview() if column is None else self._of(column)

    def _overview(self) -> Figure:
        ranked = sorted(self.columns.values(), key=lambda one: (-one.strength, one.name))
        shown = [one for one in ranked if one.method or one.drifted]
        names = self._sides()
        skipped = len(ranked) - len(shown)
        parts = [
            self.summary.partition(":")[0],
            f"{self.tests} tests, α {self.policy.alpha:g} over all of them",
        ]
        if skipped:
            parts.append(f"{skipped} not tested")
        return bar(
            f"Drift of {names[1]} from {names[0]}",
            [one.name for one in shown],
            [one.strength for one in shown],
            y_label="effect, as a multiple of the floor from which it matters",
            rules=[Rule("floor", 1.0)],
            highlight=[one.name for one in shown if one.drifted],
            subtitle=" · ".join(parts),
            horizontal=True,
        )

    def _of(self, name: str) -> Figure:
        if name not in self.columns:
            raise BadInput(f"the report has no column {name!r}", close_matches(name, self.columns))
        column = self.columns[name]
        shares = column.distribution
        said = [column.status]
        if column.effect is not None and column.method:
            said.append(f"{'V' if column.method == 'chi-square' else 'D'} = {column.effect:.3g}")
        if column.adjusted_p is not None:
            said.append("p < 1e-12" if column.adjusted_p < 1e-12 else f"p = {column.adjusted_p:.2g}")
        if any(column.missing):
            said.append("missing {:.1%} → {:.1%}".format(*column.missing))
        words: dict[str, Any] = {"x_label": name, "y_label": "share of rows", "subtitle": " · ".join(said)}
        if shares is None:
            return histogram(name, [], {}, **words)
        sides = self._sides()
        both = {sides[0]: shares.reference, sides[1]: shares.current}
        if shares.edges:
            return histogram(name, shares.edges, both, **words)
        return grouped_bar(name, shares.labels, both, **words)

    def _sides(self) -> tuple[str, str]:
        names = self.reference or "reference", self.current or "current"
        return names if names[0] != names[1] else ("reference", "current")


def _column(plain: Mapping[str, Any]) -> ColumnDrift:
    shares = plain["distribution"]
    made = None if shares is None else Distribution(**{key: tuple(values) for key, values in shares.items()})
    return ColumnDrift(**{**plain, "missing": tuple(plain["missing"]), "distribution": made})


def _listed(plain: dict[str, Any]) -> dict[str, Any]:
    """Return ``plain`` with lists for tuples, as JSON would have them."""
    return {
        key: list(value) if isinstance(value, tuple) else _listed(value) if isinstance(value, dict) else value
        for key, value in plain.items()
    }
