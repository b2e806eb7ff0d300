"""Made-up rows of the kind that a network was trained on, to compare an export with."""

from __future__ import annotations

import torch
from torch import Tensor

from steerage.data.dataset import Preprocess
from steerage.data.images import ImagePreprocess
from steerage.data.signals import SignalPreprocess
from steerage.data.tabular import Column, TablePreprocess

MISSING_SHARE = 0.1


def example_rows(preprocess: Preprocess, n: int, *, generator: torch.Generator) -> Tensor:
    """Encoded rows, float32 ``(n, *preprocess.input_shape)``, with the training data's scale, categories and gaps."""
    if isinstance(preprocess, TablePreprocess):
        columns = [_column(column, n, generator) for column in preprocess.columns]
        rows = torch.stack(columns, dim=1)
        return rows.masked_fill(torch.rand(rows.shape, generator=generator) < MISSING_SHARE, torch.nan)
    noise = torch.randn(n, *preprocess.input_shape, generator=generator)
    if isinstance(preprocess, ImagePreprocess):
        mean, std = (torch.tensor(values).reshape(-1, 1, 1) for values in (preprocess.mean, preprocess.std))
        noise = noise * std + mean
        return noise.round().clamp(0, 255) if preprocess.dtype == "uint8" else noise
    if isinstance(preprocess, SignalPreprocess):
        mean, std = (
            torch.tensor(values, dtype=torch.float32).reshape(-1, 1) for values in (preprocess.mean, preprocess.std)
        )
        return noise * std + mean
    return noise


def _column(column: Column, n: int, generator: torch.Generator) -> Tensor:
    if column.kind == "category":
        return torch.randint(len(column.categories), (n,), generator=generator).float()
    shaped = torch.randn(n, generator=generator, dtype=torch.float64) * column.std + column.mean
    if column.log_unit:
        shaped = shaped.sign() * shaped.abs().expm1() * column.log_unit
    return shaped.float()
