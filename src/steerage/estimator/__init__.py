"""scikit-learn estimators: a synthesis behind ``fit``, the network that it delivers behind ``predict``."""

from __future__ import annotations

from steerage.estimator.estimators import SteerageClassifier, SteerageRegressor
from steerage.estimator.scorer import parameters_scorer

__all__ = ["SteerageClassifier", "SteerageRegressor", "parameters_scorer"]
