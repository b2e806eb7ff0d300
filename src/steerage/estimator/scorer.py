"""Selection by size."""

from __future__ import annotations

from typing import Any

from sklearn.pipeline import Pipeline

from steerage.errors import BadArgument

_INSIDE = ("best_estimator_", "regressor_", "estimator_")  # of searches, transformed targets, and other wrappers


def parameters_scorer(estimator: Any, X: Any = None, y: Any = None) -> float:
    """Minus the number of parameters of a fitted estimator's network, so that greater is better; rows are not read.

    A scorer for ``cross_validate`` and ``GridSearchCV``; it finds the network at the end of a pipeline as well.
    Raises: BadArgument for an estimator without one.
    """
    found = estimator
    while not hasattr(found, "network_"):
        inside = [getattr(found, name) for name in _INSIDE if hasattr(found, name)]
        if isinstance(found, Pipeline):
            inside = [found.steps[-1][1]]
        if not inside:
            raise BadArgument(f"parameters_scorer needs a fitted network, and {type(estimator).__name__} has none")
        found = inside[0]
    return -float(found.network_.cost.params)
