"""Genes that set how a candidate is trained; every template may add them to its own."""

from __future__ import annotations

from optuna.distributions import BaseDistribution, FloatDistribution

from steerage.data.dataset import TaskSpec
from steerage.space import Value


def recipe_genes(spec: TaskSpec) -> dict[str, BaseDistribution]:
    """Learning rate, decoupled weight decay; label smoothing for classes, noise on tables, changes to other inputs."""
    genes: dict[str, BaseDistribution] = {
        "lr": FloatDistribution(1e-3, 3e-2, log=True),
        "weight_decay": FloatDistribution(1e-4, 0.5, log=True),
    }
    if spec.task == "classification":
        genes["label_smoothing"] = FloatDistribution(0.0, 0.1, step=0.05)
    if spec.kind == "table":
        genes["input_noise"] = FloatDistribution(0.0, 0.2, step=0.05)
    if spec.kind in ("image", "signal"):
        genes["augment"] = FloatDistribution(0.0, 1.5, step=0.5)
    return genes


def residual_recipe(spec: TaskSpec) -> dict[str, Value]:
    """``plain_recipe`` with what suits residual networks under Muon, their default (``benchmarks/recipes.py``)."""
    return {**plain_recipe(spec), "lr": 1.2e-2, "weight_decay": 0.1}


def plain_recipe(spec: TaskSpec) -> dict[str, Value]:
    """Values of ``recipe_genes`` that are common practice with AdamW."""
    values: dict[str, Value] = {"lr": 1e-3, "weight_decay": 1e-2}
    if spec.task == "classification":
        values["label_smoothing"] = 0.0
    if spec.kind == "table":
        values["input_noise"] = 0.0
    if spec.kind in ("image", "signal"):
        values["augment"] = 1.0
    return values
