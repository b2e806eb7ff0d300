"""Templates: search spaces with their builders."""

from __future__ import annotations

from steerage.templates.cnn import Cnn
from steerage.templates.mlp import Mlp
from steerage.templates.mobile import Mobile
from steerage.templates.recipe_genes import plain_recipe, recipe_genes
from steerage.templates.registry import TEMPLATES, load_template, template_for
from steerage.templates.resnet import ResNet
from steerage.templates.signal import Signal
from steerage.templates.template import RECIPE_GENES, LayerShape, Template, architecture, batch_size

__all__ = [
    "RECIPE_GENES",
    "TEMPLATES",
    "Cnn",
    "LayerShape",
    "Mlp",
    "Mobile",
    "ResNet",
    "Signal",
    "Template",
    "architecture",
    "batch_size",
    "load_template",
    "plain_recipe",
    "recipe_genes",
    "template_for",
]
