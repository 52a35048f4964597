"""Search by Optuna: a study made anew from what is recorded, asked for one more set. Used by ``Strategy``."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from random import Random
from typing import TYPE_CHECKING, Any

from ...errors import BadInput
from .space import Axes, Axis, Choice

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

    from .strategy import Trial


def check_installed() -> None:
    """Raise ``BadInput``, with the command to install it, where Optuna is not there."""
    if find_spec("optuna") is None:
        raise BadInput("Optuna is not installed", "pip install 'jupyter-mlops[optuna]'")


def suggested(axes: Axes, seed: int, trials: Sequence[Trial], goal: str) -> dict[str, Any]:
    """Return the set that Optuna's TPE sampler tries after ``trials``; equal trials give an equal set."""
    import optuna

    # the sampler's own state is lost between processes: a seed of its own for each question
    sampler = optuna.samplers.TPESampler(seed=Random(f"{seed}:{len(trials)}").getrandbits(32))  # noqa: S311 no secret
    distributions = {name: _distribution(axis) for name, axis in axes}
    with _quiet():
        study = optuna.create_study(
            direction="maximize" if goal == "maximize" else "minimize", sampler=sampler
        )
        for trial in trials:
            study.add_trial(_frozen(trial, axes, distributions))
        found = study.ask(distributions).params
    return {name: _value(axis, found[name]) for name, axis in axes}


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna from telling of studies on the error output."""
    from optuna import logging

    before = logging.get_verbosity()
    logging.set_verbosity(logging.WARNING)
    try:
        yield
    finally:
        logging.set_verbosity(before)


def _distribution(axis: Axis) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(axis, Choice):
        # by index: Optuna takes plain values only, and 1 and True would be one to it
        return CategoricalDistribution(range(len(axis.values)))
    if axis.whole:
        return IntDistribution(int(axis.low), int(axis.high), log=axis.log)
    return FloatDistribution(axis.low, axis.high, log=axis.log)


def _frozen(trial: Trial, axes: Axes, distributions: dict[str, BaseDistribution]) -> FrozenTrial:
    from optuna.trial import TrialState, create_trial

    known = trial.value is not None and not math.isnan(trial.value)
    states = {"running": TrialState.RUNNING, "pruned": TrialState.PRUNED}
    state = states.get(trial.state, TrialState.FAIL)
    if trial.state == "finished" and known:
        state = TrialState.COMPLETE
    return create_trial(
        state=state,
        value=trial.value if state in (TrialState.COMPLETE, TrialState.PRUNED) and known else None,
        params={name: _internal(axis, trial.drawn[name]) for name, axis in axes},
        distributions=distributions,
        intermediate_values=dict(trial.course),
    )


def _internal(axis: Axis, value: Any) -> Any:
    if not isinstance(axis, Choice):
        return value
    # by how they are written: True is 1 to Python, and NaN is not itself
    return [repr(each) for each in axis.values].index(repr(value))


def _value(axis: Axis, found: Any) -> Any:
    return axis.values[found] if isinstance(axis, Choice) else found
