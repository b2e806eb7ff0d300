"""Errors that a user can cause, each with a one-line message that says the rule, the value and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class SteerageError(Exception):
    """Base of every error that is the user's to mend; the command line prints it and exits with code 2."""


class BadArgument(SteerageError, ValueError):
    """An option or argument outside its range."""


class BadData(SteerageError):
    """A data set that cannot be read, or that holds nothing to learn from."""


class BadSpace(SteerageError):
    """A search space, or a point of one, that is not well formed."""


class BadBundle(SteerageError):
    """A saved network or checkpoint that is damaged, incomplete, or of an unknown version."""


class RunConflict(SteerageError):
    """A run directory that belongs to other settings, other data, or another live process."""


class UnsupportedLayer(SteerageError):
    """A layer or operation that the requested step cannot handle; it is left alone."""


class ExportMismatch(SteerageError):
    """An exported network whose predictions differ from PyTorch's."""


class TrainingFailed(SteerageError):
    """A training whose loss stopped being finite, or whose network cannot be built."""


class MissingDependency(SteerageError, ImportError):
    """An optional package that is needed for what was asked; the message has the install line."""


class MissingTool(SteerageError):
    """A program of the system, such as a compiler, that is needed for what was asked; the message says which."""


class InfeasibleBudget(SteerageError):
    """No network of the search space fits the budget.

    ``constraint`` is the name of the bound (``"max_params"``), ``limit`` its value, ``smallest`` the smallest cost
    found under it, and ``values`` the hyperparameters that reach ``smallest``. A search that knows no names says
    ``"violation"``, 0, and the smallest violation. ``message`` replaces the one that is made of these.
    """

    def __init__(
        self,
        constraint: str,
        limit: float,
        smallest: float,
        values: Mapping[str, Any],
        *,
        message: str | None = None,
    ) -> None:
        super().__init__(
            message
            or f"{constraint}={limit:g} cannot be met: the smallest network found needs {smallest:g}; "
            f"raise {constraint} to at least {smallest:g}"
        )
        self.constraint, self.limit, self.smallest, self.values = constraint, limit, smallest, dict(values)
