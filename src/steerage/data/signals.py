"""Signals over time (windows of sensor readings, say) as arrays: their layout, normalization and augmentation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn

from steerage.data.raw import as_array
from steerage.errors import BadArgument, BadData

# Normalization constants need no more windows than this.
_SAMPLE = 10_000


@final
@dataclass(frozen=True)
class SignalPreprocess:
    """Per-channel normalization, and the shape that encoded signals have.

    ``mean``, ``std``: one per channel, in the units of the signal.
    """

    channels: int
    length: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.channels, self.length)

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self.input_shape

    def encode(self, raw: Any) -> Tensor:
        """Signals -> float32 ``(n, channels, length)``.

        ``raw``: array or tensor ``(n, channels, length)``, ``(n, length, channels)``, or ``(n, length)`` of one
        channel. Where both could be, channels come first. Raises: BadData for other shapes and for NaN.
        """
        array = _finite(as_array(raw, "signals"))
        shape = array.shape[1:]
        if shape == (self.length,) and self.channels == 1:
            array = array[:, None]
        elif shape == (self.length, self.channels) != self.input_shape:
            array = array.transpose(0, 2, 1)
        elif shape != self.input_shape:
            raise BadData(
                f"signals must have shape (n, {self.channels}, {self.length}) or (n, {self.length}, {self.channels}), "
                f"got {array.shape}; a single one needs a leading axis of 1"
            )
        return torch.tensor(np.ascontiguousarray(array), dtype=torch.float32)

    def module(self) -> nn.Module:
        """Encoded signals (n, channels, length) -> normalized float32 of the same shape."""
        return _Normalize(self.mean, self.std)

    def to_json(self) -> dict[str, Any]:
        return {"kind": "signal", **asdict(self), "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> SignalPreprocess:
        """Inverse of ``to_json``. Raises: KeyError, TypeError or ValueError when something is missing or wrong."""
        channels, length = int(document["channels"]), int(document["length"])
        mean = tuple(float(value) for value in document["mean"])
        std = tuple(float(value) for value in document["std"])
        if not len(mean) == len(std) == channels or min(std) <= 0:
            raise ValueError(f"need {channels} means and as many positive stds")
        return cls(channels, length, mean, std)


class _Normalize(nn.Module):
    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).reshape(1, -1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).reshape(1, -1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return (x.to(torch.float32) - self.mean) / self.std


def fit_signals(signals: np.ndarray) -> SignalPreprocess:
    """Normalization constants of training signals float32 (n, channels, length)."""
    sample = signals[:: max(1, len(signals) // _SAMPLE)].astype(np.float64)
    mean, std = sample.mean(axis=(0, 2)), sample.std(axis=(0, 2))
    std = np.where(std > 1e-12 * np.maximum(1.0, np.abs(mean)), std, 1.0)
    _, channels, length = signals.shape
    return SignalPreprocess(channels, length, tuple(map(float, mean)), tuple(map(float, std)))


def as_signals(raw: Any) -> np.ndarray:
    """Training signals (n, channels, length), (n, length, channels) or (n, length) -> float32 (n, channels, length).

    The shorter axis is the channels; the first of two equal ones. Raises: BadData.
    """
    array = _finite(as_array(raw, "signals"))
    if array.ndim == 2:
        array = array[:, None]
    if array.ndim != 3:
        raise BadData(f"signals must have shape (n, channels, length) or (n, length), got {array.shape}")
    if array.shape[2] < array.shape[1]:
        array = array.transpose(0, 2, 1)
    if array.shape[1] == 0:
        raise BadData(f"signals must have channels and steps, got shape {array.shape}")
    return np.ascontiguousarray(array, dtype=np.float32)


def _finite(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "uifb":
        raise BadData(f"signals must be an array of numbers, got type {array.dtype}; give float32")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        row = int(np.argwhere(~np.isfinite(array))[0][0])
        raise BadData(f"signals must be finite, got NaN or infinity in row {row}; remove or mend such rows")
    return array


@final
@dataclass(frozen=True)
class SignalAugment:
    """How far a normalized signal may be changed; zero everywhere (the default) is no change.

    ``shift``: in time, as a fraction of the length, in [0, 0.5]; the value at the end comes in from outside.
    ``scale``: of each channel, 0.1 is 0.9 to 1.1 times its distance from the mean, in [0, 1). ``jitter``: standard
    deviation of noise on each value, over that of the channel, in [0, 1]. Raises: BadArgument for other values.
    """

    shift: float = 0.0
    scale: float = 0.0
    jitter: float = 0.0

    def __post_init__(self) -> None:
        for name, top in {"shift": 0.5, "scale": 0.99, "jitter": 1.0}.items():
            value = getattr(self, name)
            if not 0 <= value <= top:
                raise BadArgument(f"SignalAugment.{name} must be in [0, {top:g}], got {value}")

    @property
    def active(self) -> bool:
        """Whether anything is changed at all."""
        return self != SignalAugment()

    def scaled(self, strength: float) -> SignalAugment:
        """All of it times ``strength`` >= 0, up to the limits; 0 is none."""
        shift, scale, jitter = strength * self.shift, strength * self.scale, strength * self.jitter
        return SignalAugment(min(0.5, shift), min(0.9, scale), min(1.0, jitter))

    def apply(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Normalized signals ``x`` float32 (n, channels, length), each changed at random; of the same shape.

        The generator must be on the CPU.
        """
        n, channels, length = x.shape
        most = min(round(self.shift * length), length - 1)
        if most:
            start = torch.randint(-most, most + 1, (n, 1), generator=generator)
            places = (torch.arange(length) + start).clamp(0, length - 1)  # (n, length)
            x = x.gather(2, places[:, None].expand(-1, channels, -1).to(x.device))
        if self.scale:
            factors = 1 + (torch.rand(n, channels, 1, generator=generator) * 2 - 1) * self.scale
            x = x * factors.to(x.device)
        if self.jitter:
            x = x + self.jitter * torch.randn(x.shape, generator=generator).to(x.device)
        return x


# Small changes that leave the class of nearly any window as it is; the search may take none of it, or more.
MODEST = SignalAugment(shift=0.05, scale=0.1, jitter=0.05)
