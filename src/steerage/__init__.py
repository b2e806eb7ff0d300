"""Neural-network synthesis: global search for an architecture, then grow-and-prune to a budget."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from steerage import errors
from steerage._version import __version__
from steerage.errors import SteerageError

if TYPE_CHECKING:
    from steerage.bundle import Network, save_network
    from steerage.bundle import load_network as load
    from steerage.cost.budget import Budget
    from steerage.data import Dataset, dataset_from_arrays, load_dataset
    from steerage.estimator import SteerageClassifier, SteerageRegressor, parameters_scorer
    from steerage.growprune.run import GrowPrune
    from steerage.search.sampler import SteerageSampler
    from steerage.space import Space
    from steerage.synthesis.local import grow_and_prune
    from steerage.synthesis.main import Interrupted, Result, refine, synthesize
    from steerage.synthesis.own_network import OwnNetwork
    from steerage.templates import Template

__all__ = [
    "Budget",
    "Dataset",
    "GrowPrune",
    "Interrupted",
    "Network",
    "OwnNetwork",
    "Result",
    "Space",
    "SteerageClassifier",
    "SteerageError",
    "SteerageRegressor",
    "SteerageSampler",
    "Template",
    "__version__",
    "dataset_from_arrays",
    "errors",
    "grow_and_prune",
    "load",
    "load_dataset",
    "parameters_scorer",
    "refine",
    "save_network",
    "synthesize",
]

# Imported when first asked for: torch alone takes a second, which --help and a look at the version should not.
_HOMES = {
    "Budget": "cost.budget",
    "Dataset": "data",
    "GrowPrune": "growprune.run",
    "Interrupted": "synthesis.main",
    "Network": "bundle",
    "OwnNetwork": "synthesis.own_network",
    "Result": "synthesis.main",
    "Space": "space",
    "SteerageClassifier": "estimator",
    "SteerageRegressor": "estimator",
    "SteerageSampler": "search.sampler",
    "Template": "templates",
    "dataset_from_arrays": "data",
    "grow_and_prune": "synthesis.local",
    "load": "bundle",
    "load_dataset": "data",
    "parameters_scorer": "estimator",
    "refine": "synthesis.main",
    "save_network": "bundle",
    "synthesize": "synthesis.main",
}
_ELSEWHERE = {"load": "load_network"}  # public names that are called otherwise where they live


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), _ELSEWHERE.get(name, name))
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
