"""Random changes to training images that leave the class as it is, a whole batch at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from steerage.errors import BadArgument

Fill = Literal["zeros", "border", "reflect"]
KNOTS = 4  # control points of an elastic distortion across the image, besides those beyond its edges
SPLINE_RMS = 0.479**0.5  # of the sum that cubic B-splines make of control points of variance 1, along one axis


@dataclass(frozen=True)
class Augment:
    """How far an image may be changed; zero everywhere (the default) is no change.

    ``shift``: fraction of the size, in [0, 0.5]. ``rotate``, ``shear``: degrees, in [0, 90). ``scale``: 0.1 is 0.9 to
    1.1 times, in [0, 1). ``elastic``: how far pixels move along either axis by a distortion that is smooth over a
    quarter of the image, root mean square as a fraction of the size, in [0, 0.2]. ``flip``: left-right, for half of the
    images. ``cutout``: side of an erased square as a fraction of the size, in [0, 1]. ``fill``: what comes in from
    outside; ``"zeros"``, the nearest edge pixel (``"border"``), or the image mirrored (``"reflect"``).
    Raises: BadArgument for values outside these ranges.
    """

    shift: float = 0.0
    rotate: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    elastic: float = 0.0
    flip: bool = False
    cutout: float = 0.0
    fill: Fill = "zeros"

    def __post_init__(self) -> None:
        limits = {"shift": 0.5, "rotate": 89.9, "scale": 0.99, "shear": 89.9, "elastic": 0.2, "cutout": 1.0}
        for name, top in limits.items():
            value = getattr(self, name)
            if not 0 <= value <= top:
                raise BadArgument(f"Augment.{name} must be in [0, {top:g}], got {value}")
        if self.fill not in ("zeros", "border", "reflect"):
            raise BadArgument(f"Augment.fill must be 'zeros', 'border' or 'reflect', got {self.fill!r}")

    @property
    def active(self) -> bool:
        """Whether anything is changed at all."""
        return any(bool(getattr(self, field.name)) for field in fields(self) if field.name != "fill")


def scaled(augment: Augment, strength: float) -> Augment:
    """``augment`` with its distances and angles multiplied by ``strength`` >= 0, up to their limits; 0 is none."""
    if strength == 0:
        return Augment(fill=augment.fill)
    return replace(
        augment,
        shift=min(0.5, strength * augment.shift),
        rotate=min(89.0, strength * augment.rotate),
        scale=min(0.9, strength * augment.scale),
        shear=min(89.0, strength * augment.shear),
        elastic=min(0.2, strength * augment.elastic),
        cutout=min(1.0, strength * augment.cutout),
    )


def apply(x: Tensor, augment: Augment, generator: torch.Generator) -> Tensor:
    """Images ``x`` (n, c, h, w), each changed at random within ``augment``; a new tensor of the same shape.

    float32 in, float32 out. uint8 stays uint8 when only whole-pixel shifts and flips are asked, else becomes float32.
    The generator must be on the CPU; the same state gives the same images on every device.
    """
    if not augment.active or len(x) == 0:
        return x
    if augment.rotate or augment.scale or augment.shear or augment.elastic:
        x = _affine(x.float(), augment, generator)
    elif augment.shift or augment.flip:
        x = _crop_flip(x, augment, generator)
    return _cutout(x.float(), augment, generator) if augment.cutout else x


def _uniform(n: int, limit: float, generator: torch.Generator) -> Tensor:
    return (torch.rand(n, generator=generator) * 2 - 1) * limit


def _affine(x: Tensor, augment: Augment, generator: torch.Generator) -> Tensor:
    """One bilinear resampling that rotates, scales, shears, shifts, flips and distorts at once."""
    n, _, height, width = x.shape
    angle = _uniform(n, math.radians(augment.rotate), generator)
    shear = _uniform(n, math.radians(augment.shear), generator).tan()
    zoom = 1 / (1 + _uniform(n, augment.scale, generator))
    across, down = _uniform(n, augment.shift, generator), _uniform(n, augment.shift, generator)
    mirror = torch.ones(n)
    if augment.flip:
        mirror = (torch.rand(n, generator=generator) < 0.5).float() * 2 - 1
    cos, sin = angle.cos() * zoom, angle.sin() * zoom
    # Output pixel -> input pixel, in the units of affine_grid: each axis runs from -1 to 1, hence the aspect ratio
    # between the axes and the factor 2 on shifts.
    aspect = height / width
    theta = torch.stack(
        [
            torch.stack([cos * mirror, (cos * shear - sin) * aspect, 2 * across], dim=1),
            torch.stack([sin * mirror / aspect, sin * shear + cos, 2 * down], dim=1),
        ],
        dim=1,
    ).to(x.device)  # (n, 2, 3)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)  # (n, h, w, 2)
    if augment.elastic:
        grid = grid + _distortion(n, height, width, augment.elastic, generator).to(x.device)
    padding = {"zeros": "zeros", "border": "border", "reflect": "reflection"}[augment.fill]
    return F.grid_sample(x, grid, mode="bilinear", padding_mode=padding, align_corners=False)


def _distortion(n: int, height: int, width: int, elastic: float, generator: torch.Generator) -> Tensor:
    """Smooth random displacements in the units of a sampling grid: (n, h, w, 2).

    Cubic B-splines over random control points a quarter of the image apart: a kernel as wide as the Gaussian of Simard
    et al. 2003 (Best practices for convolutional neural networks, section 2), 4 pixels of 28, for two small products.
    """
    points = torch.randn(n, 2, KNOTS + 3, KNOTS + 3, generator=generator)
    moved = _splines(height) @ points @ _splines(width).T  # (n, 2, h, w)
    return (2.0 * elastic / SPLINE_RMS**2) * moved.permute(0, 2, 3, 1)


def _splines(size: int) -> Tensor:
    """How much each control point counts at each pixel of an axis: (size, KNOTS + 3)."""
    place = (torch.arange(size) + 0.5) * KNOTS / size
    away = (place[:, None] - torch.arange(-1, KNOTS + 2)).abs()
    return torch.where(away < 1, 2 / 3 - away**2 + away**3 / 2, (2 - away).clamp_min(0) ** 3 / 6)


def _crop_flip(x: Tensor, augment: Augment, generator: torch.Generator) -> Tensor:
    """Shifts by whole pixels and flips, without interpolation."""
    n, _, height, width = x.shape
    down, rows = _shifts(n, height, augment, generator)
    across, columns = _shifts(n, width, augment, generator)
    if augment.flip:
        mirror = torch.rand(n, 1, generator=generator) < 0.5
        columns = torch.where(mirror, columns.flip(1), columns)
    index = rows[:, :, None] * width + columns[:, None, :]  # (n, h, w), into the flattened pixels
    index = index.reshape(n, 1, height * width).to(x.device)
    moved = x.reshape(n, -1, height * width).gather(2, index.expand(-1, x.shape[1], -1)).reshape(x.shape)
    if augment.fill == "zeros" and augment.shift:
        inside = down[:, :, None] & across[:, None, :]
        moved = moved * inside[:, None].to(moved)
    return moved


def _shifts(n: int, size: int, augment: Augment, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Source position of every pixel along one axis: whether it lies inside (n, size), and which one (n, size)."""
    most = min(round(augment.shift * size), size - 1)
    position = torch.arange(size) + torch.randint(-most, most + 1, (n, 1), generator=generator)
    inside = (position >= 0) & (position < size)
    if augment.fill == "reflect":
        position = position.abs()
        position = torch.where(position >= size, 2 * (size - 1) - position, position)
    return inside, position.clamp(0, size - 1)


def _cutout(x: Tensor, augment: Augment, generator: torch.Generator) -> Tensor:
    """Erases one square per image: zeros, or the image's own mean colour where black is no background."""
    n, _, height, width = x.shape
    side = augment.cutout
    rows = _covered(n, height, side, generator)
    columns = _covered(n, width, side, generator)
    hole = (rows[:, :, None] & columns[:, None, :])[:, None].to(x.device)  # (n, 1, h, w)
    paint = torch.zeros((), device=x.device) if augment.fill == "zeros" else x.mean(dim=(2, 3), keepdim=True)
    return torch.where(hole, paint, x)


def _covered(n: int, size: int, side: float, generator: torch.Generator) -> Tensor:
    centre = torch.rand(n, 1, generator=generator) * size
    return (torch.arange(size) + 0.5 - centre).abs() < side * size / 2


def augment_for(x: Tensor) -> Augment:
    """The augmentation that suits training images ``x`` (n, c, h, w), judged from a sample of them.

    Drawn things on a constant background (digits, letters) are moved, turned and scaled a little and never mirrored;
    colour photographs are shifted and mirrored; other grey images are only shifted.
    """
    sample = sample_of(x)
    _, channels, height, width = sample.shape
    if min(height, width) < 4:
        return Augment()
    background = background_of(sample)
    if background is None:
        return Augment(shift=0.125, flip=channels == 3, fill="reflect")
    fill: Fill = "zeros" if background == 0 else "border"
    if min(height, width) < 16:
        return Augment(shift=0.07, rotate=12, scale=0.12, shear=8, fill=fill)
    return Augment(shift=0.07, rotate=10, scale=0.1, shear=8, fill=fill)


def sample_of(x: Tensor) -> Tensor:
    """Some 2,000 of images ``x`` (n, c, h, w), or all of fewer: float32."""
    return x[:: max(1, len(x) // 2000)].float()


def background_of(sample: Tensor) -> float | None:
    """The value that nearly all corner pixels of images ``sample`` (n, c, h, w) share, or None."""
    corners = sample[:, :, [0, 0, -1, -1], [0, -1, 0, -1]].flatten()
    value = float(corners.median())
    spread = float(sample.max() - sample.min())
    same = (corners - value).abs() <= 0.02 * spread
    return value if spread > 0 and float(same.float().mean()) > 0.9 else None
