"""DriftPolicy: when a difference between samples is an alarm. Called by ``monitoring`` for a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import BadInput
from .tests import benjamini_hochberg


@dataclass(frozen=True, slots=True)
class Evidence:
    """One test of a batch: its probability without a difference, its effect, and the effect that matters."""

    p_value: float
    effect: float
    floor: float


@dataclass(frozen=True, slots=True)
class DriftPolicy:
    """An alarm needs enough data, significance controlled over the whole batch, and an effect that matters.

    Parameters
    ----------
    alpha
        The share of false alarms among all alarms, controlled over the batch after Benjamini and Hochberg.
    least_rows, enough_rows
        Below ``least_rows`` values nothing is computed; below ``enough_rows`` there is no verdict.
    numeric_floor
        The Kolmogorov-Smirnov D that matters: 0.05 is about an eighth of a standard deviation.
    categorical_floor
        The corrected Cramér's V that matters.
    missing_floor
        The change of the share of missing values that matters.
    """

    alpha: float = 0.05
    least_rows: int = 10
    enough_rows: int = 30
    numeric_floor: float = 0.05
    categorical_floor: float = 0.1
    missing_floor: float = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise BadInput(f"alpha {self.alpha!r} is not between 0 and 1", "0.05 is the usual choice")
        for name in ("numeric_floor", "categorical_floor", "missing_floor"):
            if not 0 <= getattr(self, name) <= 1:
                raise BadInput(
                    f"{name} {getattr(self, name)!r} is not between 0 and 1", "effects are between 0 and 1"
                )
        if not 1 <= self.least_rows <= self.enough_rows:
            raise BadInput(
                f"least_rows {self.least_rows!r} and enough_rows {self.enough_rows!r} are not in order",
                "1 <= least_rows <= enough_rows",
            )

    def judge(self, batch: Sequence[Evidence]) -> list[tuple[float, bool]]:
        """Return for each test of the batch its adjusted probability, and whether it is an alarm."""
        adjusted = benjamini_hochberg([one.p_value for one in batch])
        return [
            (p_value, p_value <= self.alpha and one.effect >= one.floor)
            for p_value, one in zip(adjusted, batch, strict=True)
        ]
