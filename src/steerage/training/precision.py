"""Where bfloat16 autocast is used."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import nn

from steerage.training.recipe import Precision


def uses_bfloat16(model: nn.Module, precision: Precision) -> bool:
    """Whether ``model`` trains under bfloat16 autocast.

    ``"auto"`` is a rule and not a measurement, so that a seed gives the same network every time: convolutional
    networks, on CPUs with matrix units for bfloat16 (AMX). Vector instructions alone lose more to the casts than they
    gain (``benchmarks/precision.py``), and so do small linear layers.
    """
    if precision != "auto":
        return precision == "bfloat16"
    return native_bfloat16() and any(isinstance(module, (nn.Conv1d, nn.Conv2d)) for module in model.modules())


@lru_cache(maxsize=1)
def native_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 matrices in hardware."""
    try:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()) and bool(torch.cpu._is_amx_tile_supported())
    except (AttributeError, RuntimeError):
        return False
