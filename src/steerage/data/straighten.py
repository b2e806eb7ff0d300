"""Drawn images put upright and in the middle, by their moments, before a network sees them.

What a small network has to learn about slants and places takes connections that it could use for shapes, and the
moments of an image tell both (Casey 1970, "Moment normalization of handprinted characters", IBM Journal of Research and
Development 14; LeCun et al. 1998, "Gradient-based learning applied to document recognition", section III, deslants
MNIST by them). It costs no parameters, and a microcontroller does it in integers alone: what comes out is the same
everywhere, bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEAST_SIDE = 16  # pixels; resampling blurs what is drawn in fewer of them
MOST = 2**31 // 255  # numbers of an image times its longer side: integers of 64 bits are enough for their moments
POINT = 16  # bits of fractions in slants and centres
AT_ONCE = 500  # images; bounds memory
FINE = 8  # bits of fractions by which neighbouring pixels are mixed


@final
@dataclass(frozen=True)
class Straighten:
    """``background``: pixel value of what is not drawn, whole, in [0, 255]."""

    background: int

    def module(self) -> nn.Module:
        """Images (n, c, h, w) of pixels in [0, 255] -> float32 of the same shape, whole numbers.

        What is drawn no longer leans to a side, and its centre is that of the image. Empty images stay as they are.
        """
        return _Straightened(float(self.background))

    def of_bytes(self, images: Tensor) -> Tensor:
        """What ``module`` makes of images uint8 (n, c, h, w), as bytes."""
        module = self.module()
        parts = [module(part).to(torch.uint8) for part in torch.split(images, AT_ONCE)]
        return torch.cat(parts) if parts else images

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Straighten:
        """Inverse of ``dataclasses.asdict``.

        Raises: KeyError, TypeError or ValueError when something is missing or wrong.
        """
        background = int(document["background"])
        if not 0 <= background <= 255:
            raise ValueError(f"need a background in [0, 255], got {background}")
        return cls(background)


def can_straighten(shape: tuple[int, ...]) -> bool:
    """Whether images of a shape (c, h, w) are neither too small for it nor too large."""
    channels, height, width = shape
    return min(height, width) >= LEAST_SIDE and channels * height * width * max(height, width) <= MOST


class _Straightened(nn.Module):
    """In whole numbers throughout, held in double precision, since ONNX has no shifts of signed integers."""

    def __init__(self, background: float) -> None:
        super().__init__()
        self.background = background

    def forward(self, x: Tensor) -> Tensor:
        _, channels, height, width = x.shape
        drawn = x.to(torch.float32) - self.background
        row, start = _places(drawn)  # (n, h) each
        top, left = ((place / 2**FINE).floor() for place in (row, start))
        down, across = (
            (place - whole * 2**FINE).float()[:, None, :, None] for place, whole in ((row, top), (start, left))
        )
        # Two lines of background on each side: further outside there is nothing else.
        around, stride = F.pad(drawn, (2, 2, 2, 2)).flatten(2), width + 4
        columns = torch.arange(width, dtype=torch.float64, device=x.device)
        index = (top.clamp(-2, height) + 2)[:, :, None] * stride + (left[:, :, None] + columns).clamp(-2, width) + 2
        places = index.long().flatten(1)[:, None].expand(-1, channels, -1)

        def between(at: int) -> Tensor:
            """Pixels at an offset from the places, mixed with those to the right of them."""
            here, right = (around[:, :, begin:].gather(2, places).view_as(drawn) for begin in (at, at + 1))
            mixed: Tensor = (right - here) * across + here * 2.0**FINE
            return mixed

        upper = between(0)
        both = (between(stride) - upper) * down + upper * 2.0**FINE
        upright: Tensor = (both * 4.0**-FINE + 0.5).floor() + self.background
        return upright


def _places(drawn: Tensor) -> tuple[Tensor, Tensor]:
    """Where the rows of images (n, c, h, w) come from, and the first pixel of each: (n, h) each, in 1 / 2**8 pixels."""
    _, _, height, width = drawn.shape
    mass = drawn.abs().sum(dim=1).double()  # (n, h, w)
    rows, columns = (torch.arange(size, dtype=torch.float64, device=drawn.device) for size in (height, width))
    # Sums of products, and no products of matrices, which would be taken for layers where a graph is quantized.
    by_row, weighted = mass.sum(dim=2), (mass * columns).sum(dim=2)  # (n, h)
    total, down, across = by_row.sum(dim=1), (by_row * rows).sum(dim=1), weighted.sum(dim=1)
    any_mass = total.clamp_min(1.0)
    tall = (by_row * rows.square()).sum(dim=1) - (down * down / any_mass).floor()
    leaning = (weighted * rows).sum(dim=1) - (across * down / any_mass).floor()
    there = (total > 0) & (tall > 0)  # something, on more than one row
    unit = float(2**POINT)
    slant = torch.where(there, (leaning * unit / tall.clamp_min(1.0)).trunc().clamp(-unit, unit), 0.0)
    x, y = (
        torch.where(there, (moment * unit / any_mass).floor(), (size - 1) * unit / 2)
        for moment, size in ((across, width), (down, height))
    )
    first_row = y - (height - 1) * unit / 2
    first = x - (width - 1) * unit / 2 - (slant * (height - 1) / 2).floor()
    half, fine = 2.0 ** (POINT - FINE - 1), 2.0 ** (POINT - FINE)
    row = rows * 2**FINE + ((first_row + half) / fine).floor()[:, None]
    return row, ((rows * slant[:, None] + first[:, None] + half) / fine).floor()
