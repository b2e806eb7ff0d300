"""Muon: momentum whose steps are made orthogonal, so that all directions of a layer are learnt at one pace.

Jordan et al. 2024 (https://kellerjordan.github.io/posts/muon), with steps as long as those of AdamW so that both take
one learning rate and weight decay (Liu et al., arXiv 2502.16982, section 2.2).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

MOMENTUM = 0.95
LENGTH = 0.2  # root mean square of a step of AdamW
ROUNDS, COEFFICIENTS = 5, (3.4445, -4.7750, 2.0315)  # of the Newton-Schulz iteration


def muon_(
    parameters: list[Tensor], gradients: list[Tensor], moments: list[list[Tensor]], lr: float, steps: int
) -> None:
    """One update of weights of two dimensions or more, in place; ``moments``: the momentum of each."""
    (momentum,) = moments
    torch._foreach_lerp_(momentum, gradients, 1.0 - MOMENTUM)
    directions = torch._foreach_lerp(gradients, momentum, MOMENTUM)
    by_shape: dict[tuple[int, int], list[int]] = {}
    for index, direction in enumerate(directions):
        by_shape.setdefault((len(direction), direction[0].numel()), []).append(index)
    for (rows, columns), indices in by_shape.items():
        steps_of = orthogonal(torch.stack([directions[index].reshape(rows, columns) for index in indices]))
        length = LENGTH * max(rows, columns) ** 0.5
        for index, step in zip(indices, steps_of, strict=True):
            parameters[index].add_(step.view_as(parameters[index]), alpha=-lr * length)


def orthogonal(matrices: Tensor) -> Tensor:
    """About the nearest orthogonal ones of (batch, rows, columns): all singular values are between 0.7 and 1.2.

    Each round multiplies ``x`` from the left by a polynomial of its square ``x @ x.mT``. All polynomials commute, so
    the rounds run on squares alone, and ``x`` is multiplied once at the end: filters have nine times as many columns as
    rows, which makes that 2.7 times cheaper. float32: squares of small singular values drown in less.
    """
    a, b, c = COEFFICIENTS
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp_min(1e-7)
    square = x @ x.mT
    product: Tensor | None = None
    for turn in range(ROUNDS):
        polynomial = torch.baddbmm(square, square, square, beta=b, alpha=c)
        polynomial.diagonal(dim1=1, dim2=2).add_(a)
        product = polynomial if product is None else polynomial @ product
        if turn < ROUNDS - 1:
            square = polynomial @ square @ polynomial
    assert product is not None
    result: Tensor = product @ x
    return result.mT if tall else result


def suits(model: nn.Module) -> list[nn.Parameter]:
    """Weights that are matrices between layers: not of the last layer, whose rows are classes, nor of single filters.

    Shared ones once, in module order.
    """
    layers: Sequence[nn.Module] = [one for one in model.modules() if isinstance(one, (nn.Linear, nn.Conv1d, nn.Conv2d))]
    inner = [one for one in layers[:-1] if getattr(one, "groups", 1) == 1]
    return list(dict.fromkeys(one.weight for one in inner if isinstance(one.weight, nn.Parameter)))
