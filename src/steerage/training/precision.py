"""Where bfloat16 autocast is used."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import nn

from steerage.training.recipe import Precision


def uses_bfloat16(model: nn.Module, precision: Precision) -> bool:
    """Whether ``model`` trains under bfloat16 autocast.

    ``"auto"`` is a rule and not a measurement, so that a seed gives the same network every time: convolutional
    networks, on CPUs that multiply in bfloat16. Filters of single channels lose more to the casts than they gain
    (``benchmarks/precision.py``), and so do small linear layers.
    """
    if precision != "auto":
        return precision == "bfloat16"
    layers = [module for module in model.modules() if isinstance(module, (nn.Conv1d, nn.Conv2d))]
    return native_bfloat16() and bool(layers) and all(layer.groups == 1 for layer in layers)


@lru_cache(maxsize=1)
def native_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 numbers in hardware: by AMX, or the vector instructions of AVX512_BF16.

    Where neither is there, PyTorch computes the same in float32 and casts, which takes longer than float32 alone.
    """
    try:
        multiplies = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()) and bool(multiplies)
    except (AttributeError, RuntimeError):
        return False
