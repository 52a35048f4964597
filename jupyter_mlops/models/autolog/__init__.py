"""Autologging of scikit-learn: what is fitted inside a run is recorded with it. Called by notebooks."""

from __future__ import annotations

from ...errors import BadInput
from . import patches
from .session import Options, Session


def autolog(
    disable: bool = False, *, scores: bool = True, models: bool = True, pictures: bool = True
) -> None:
    """Record what scikit-learn fits from now on: parameters, scores, the model, and pictures of it.

    Of an estimator that fits others (a pipeline, a search, a cross-validation) the whole is recorded, once.
    Training goes on as if nothing were recorded, and what cannot be recorded is said once. Outside of runs
    nothing is recorded.

    Parameters
    ----------
    disable
        Leave scikit-learn as it was.
    scores
        Compute scores on the training data after each fit, and more than one where ``score`` is called.
    models
        Keep the fitted model.
    pictures
        Keep pictures that fit the estimator: confusion matrix, ROC, residuals, clusters, search.
    """
    for name, value in {"disable": disable, "scores": scores, "models": models, "pictures": pictures}.items():
        if not isinstance(value, bool):
            raise BadInput(f"{name} is {value!r}", "say True or False")
    if disable:
        patches.undo()
    else:
        patches.apply(Session(Options(scores, models, pictures)))
