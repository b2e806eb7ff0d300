"""Small finished networks, untrained, with real preprocessing, for the tests of what is done with them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from torch import nn

from steerage.bundle import FromFactory, FromTemplate, Network
from steerage.cost import count
from steerage.data.dataset import Preprocess, TaskSpec
from steerage.data.images import ImagePreprocess, fit_images
from steerage.data.signals import fit_signals
from steerage.data.tablefit import fit_table
from steerage.templates import TEMPLATES

TABLE = pd.DataFrame(
    {"a": np.linspace(-3, 9, 40), "b": [1.0, np.nan] * 20, "c": ["x", "y", "z", None] * 10, "d": np.arange(40) ** 2}
)
SIGNALS = np.sin(np.arange(30 * 3 * 40)).reshape(30, 3, 40) * 5
IMAGES = (np.arange(30 * 8 * 8).reshape(30, 8, 8) * 37 % 251).astype(np.uint8)


def network(template: str = "mlp", *, regression: bool = False, **genes: int | float | str | bool) -> Network:
    preprocess: Preprocess = fit_table(TABLE)
    if template != "mlp":
        preprocess = fit_signals(SIGNALS) if template == "signal" else fit_images(IMAGES[:, None])
    outputs = 1 if regression else 3
    spec = TaskSpec(
        task="regression" if regression else "classification",
        kind="table" if template == "mlp" else "signal" if template == "signal" else "image",
        input_shape=preprocess.output_shape,
        outputs=outputs,
        rows=40,
    )
    values = {**TEMPLATES[template].baseline(spec), **genes}
    model = TEMPLATES[template].build(values, spec)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):  # as after a training
            assert module.running_mean is not None
            module.running_mean.normal_()
    return Network(
        model=model,
        architecture=FromTemplate(template, values),
        spec=spec,
        preprocess=preprocess,
        cost=count(model, spec.input_shape),
        classes=() if regression else ("2", "10", "-7"),
        target_name="fault",
        target_mean=100.0 if regression else 0.0,
        target_std=10.0 if regression else 1.0,
        error={"validation": 0.25},
    )


def rows(net: Network) -> Any:
    return {"image": IMAGES, "signal": SIGNALS, "table": TABLE}[net.spec.kind]


def pruned(net: Network, density: float = 0.5) -> Network:
    masks = {name: torch.rand_like(p) < density for name, p in net.model.named_parameters() if p.ndim > 1}
    with torch.no_grad():
        for name, mask in masks.items():
            net.model.get_parameter(name).mul_(mask)
    return replace(net, masks=masks)


def around(
    model: nn.Module, shape: tuple[int, ...], *, outputs: int = 4, dtype: Literal["uint8", "float32"] = "uint8"
) -> Network:
    """A network for images around any module, whose norms are as after a training."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2.0)
    mean, std = (110.0, 60.0) if dtype == "uint8" else (0.4, 0.3)
    preprocess = ImagePreprocess(*shape, mean=(mean,) * shape[0], std=(std,) * shape[0], dtype=dtype)
    spec = TaskSpec("classification", "image", shape, outputs, 100)
    classes = tuple(map(str, range(outputs)))
    return Network(model, FromFactory("net.py:Net"), spec, preprocess, count(model, shape), classes=classes)
