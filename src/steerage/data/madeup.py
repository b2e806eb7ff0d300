"""Rows made up from those of a table: each takes some of its columns from a row that is much like it.

After Bucila, Caruana & Niculescu-Mizil, "Model compression" (KDD 2006), whose MUNGE mixes neighbours as well.
"""

from __future__ import annotations

import torch
from torch import Tensor

NEIGHBOURS = 5
AMONG = 8192  # rows in which neighbours are looked for, drawn at random; time and memory grow with the rows alone
CHUNK = 1024  # rows at a time
SHARE = 0.3  # of the columns come from the neighbour


def made_up(x: Tensor, columns: Tensor, *, times: int, seed: int) -> tuple[Tensor, Tensor]:
    """``times`` made-up rows for each of ``x`` (n, features), n >= 2, and which row each was made from, int64.

    ``columns`` (features,): of which column of the table a feature tells; those of one column are taken together, so
    that a category stays one. Raises: ValueError for fewer than two rows.
    """
    if len(x) < 2:
        raise ValueError(f"to mix rows takes two of them, got {len(x)}")
    generator = torch.Generator().manual_seed(seed)
    near = _neighbours(x, generator)
    parts = []
    for _ in range(times):
        chosen = near[torch.arange(len(x)), torch.randint(near.shape[1], (len(x),), generator=generator)]
        taken = torch.rand(len(x), int(columns.max()) + 1, generator=generator) < SHARE
        parts.append(torch.where(taken[:, columns], x[chosen], x))
    return torch.cat(parts), torch.arange(len(x)).repeat(times)


def _neighbours(x: Tensor, generator: torch.Generator) -> Tensor:
    """The nearest rows of each row, itself left out: int64 (n, neighbours), fewer where there are few rows."""
    among = torch.randperm(len(x), generator=generator)[:AMONG]
    count, found = min(NEIGHBOURS, len(among) - 1), []
    for begin in range(0, len(x), CHUNK):
        part = x[begin : begin + CHUNK]
        distances = torch.cdist(part, x[among])
        itself = torch.arange(begin, begin + len(part)).unsqueeze(1) == among
        nearest = distances.masked_fill_(itself, torch.inf).topk(count, dim=1, largest=False).indices
        found.append(among[nearest])
    return torch.cat(found)
