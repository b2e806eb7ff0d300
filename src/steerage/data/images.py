"""Images as arrays: the shape and type they are kept in, and their normalization."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from steerage.data.imagefiles import cells_of, is_image_frame, read_images
from steerage.data.raw import as_array
from steerage.data.straighten import Straighten, can_straighten
from steerage.errors import BadData

PixelType = Literal["uint8", "float32"]

# Normalization constants need no more images than this.
_SAMPLE = 10_000


@dataclass(frozen=True)
class ImagePreprocess:
    """Per-channel normalization, what comes before it, and the shape and pixel type that encoded images have.

    ``mean``, ``std``: one per channel, in the units of the pixels. ``dtype``: of encoded training images.
    ``straighten``: what is done to bytes before that, if anything.
    """

    channels: int
    height: int
    width: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    dtype: PixelType
    straighten: Straighten | None = None

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.channels, self.height, self.width)

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self.input_shape

    def encode(self, raw: Any) -> Tensor:
        """Images -> uint8 or float32 ``(n, channels, height, width)``.

        ``raw``: array or tensor ``(n, h, w)``, ``(n, h, w, c)``, ``(n, c, h, w)`` or ``(n, c * h * w)``; or a DataFrame
        with a column of encoded image files, which are brought to the size of the training images.
        Raises: BadData for other shapes, NaN, or values that are plainly on another scale than the training images'.
        """
        if is_image_frame(raw):
            return torch.from_numpy(read_images(*cells_of(raw), shape=(self.channels, self.height, self.width)))
        array = pixels(raw)
        array = self._arrange(array)
        if self.dtype == "float32":
            return _tensor(array.astype(np.float32, copy=False))
        if array.dtype != np.uint8 and array.size:
            low, high = float(array.min()), float(array.max())
            whole = bool((array == np.round(array)).all())
            if whole and low >= 0 and high <= 255:
                array = array.astype(np.uint8)
            elif high <= 1 and max(self.mean) > 2:
                raise BadData(
                    f"images must have the scale of the training images (mean {max(self.mean):.4g}), "
                    f"got values in [{low:.4g}, {high:.4g}]; multiply them back to the original range"
                )
        return _tensor(array if array.dtype == np.uint8 else array.astype(np.float32, copy=False))

    def _arrange(self, array: np.ndarray) -> np.ndarray:
        """Any accepted layout -> (n, c, h, w)."""
        n, (channels, height, width) = len(array), self.input_shape
        if array.shape[1:] == (height, width, channels):
            return array.transpose(0, 3, 1, 2)
        fits = array.shape[1:] == self.input_shape or (channels == 1 and array.shape[1:] == (height, width))
        if not fits and array.shape[1:] != (channels * height * width,):
            raise BadData(
                f"images must have shape (n, {height}, {width}, {channels}) or (n, {channels}, {height}, {width}), "
                f"got {array.shape}; a single image needs a leading axis of 1"
            )
        return array.reshape(n, channels, height, width)

    def module(self) -> nn.Module:
        """Encoded images (n, c, h, w) -> normalized float32 of the same shape, of straightened ones if they are."""
        normalize = self.normalize()
        return normalize if self.straighten is None else nn.Sequential(self.straighten.module(), normalize)

    def normalize(self) -> nn.Module:
        """The last part of ``module``: images (n, c, h, w) -> normalized float32 of the same shape."""
        return _Normalize(self.mean, self.std)

    def to_json(self) -> dict[str, Any]:
        document = {"kind": "image", **asdict(self), "mean": list(self.mean), "std": list(self.std)}
        if self.straighten is None:
            del document["straighten"]  # as files had it before there was any
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> ImagePreprocess:
        """Inverse of ``to_json``. Raises: KeyError, TypeError or ValueError when something is missing or wrong."""
        channels, height, width = (int(document[name]) for name in ("channels", "height", "width"))
        mean = tuple(float(value) for value in document["mean"])
        std = tuple(float(value) for value in document["std"])
        if not len(mean) == len(std) == channels or not min(std) > 0 or document["dtype"] not in ("uint8", "float32"):
            raise ValueError(f"need {channels} means, {channels} positive stds and a pixel type of uint8 or float32")
        how = document.get("straighten")
        straighten = None if how is None else Straighten.from_json(how)
        if straighten is not None and (document["dtype"] != "uint8" or not can_straighten((channels, height, width))):
            raise ValueError("only images of bytes, neither too small nor too large, can be straightened")
        return cls(channels, height, width, mean, std, document["dtype"], straighten)


def _tensor(array: np.ndarray) -> Tensor:
    contiguous = np.ascontiguousarray(array)
    # Torch cannot mark a tensor as read-only, so memory that must not be written is copied.
    return torch.from_numpy(contiguous if contiguous.flags.writeable else contiguous.copy())


class _Normalize(nn.Module):
    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).reshape(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).reshape(1, -1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return (x.to(torch.float32) - self.mean) / self.std


def fit_images(images: np.ndarray, straighten: Straighten | None = None) -> ImagePreprocess:
    """Normalization constants of training images uint8 | float32 (n, c, h, w), which are upright if they are to be."""
    sample = images[:: max(1, len(images) // _SAMPLE)].astype(np.float32)
    mean = sample.mean(axis=(0, 2, 3), dtype=np.float64)
    std = sample.std(axis=(0, 2, 3), dtype=np.float64)
    std = np.where(std > 1e-6, std, 1.0)
    _, channels, height, width = images.shape
    dtype: PixelType = "uint8" if images.dtype == np.uint8 else "float32"
    return ImagePreprocess(channels, height, width, tuple(map(float, mean)), tuple(map(float, std)), dtype, straighten)


def pixels(raw: Any) -> np.ndarray:
    """An array or tensor of finite numbers, any shape of 2 to 4 axes. Raises: BadData."""
    array = as_array(raw, "images")
    if array.dtype == bool:
        array = array.astype(np.uint8)
    if array.dtype.kind not in "uif":
        raise BadData(f"images must be an array of numbers, got type {array.dtype}; give uint8 or float32 pixels")
    if not 2 <= array.ndim <= 4:
        raise BadData(f"images must have shape (n, h, w), (n, h, w, c) or (n, c, h, w), got {array.shape}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        row = int(np.argwhere(~np.isfinite(array))[0][0])
        raise BadData(f"images must be finite, got NaN or infinity in image {row}; remove or mend such images")
    return array


def as_images(raw: Any) -> np.ndarray:
    """Training images (n, h, w), (n, h, w, c) or (n, c, h, w) -> uint8 or float32 (n, c, h, w), layout by axis sizes.

    Integer types become uint8 where all values lie in 0..255.
    An axis of 1, 3 or 4 is the channels; the last one, if it could be either.
    Raises: BadData.
    """
    array = pixels(raw)
    if array.ndim == 2:
        raise BadData(f"images must have 3 or 4 axes, got shape {array.shape}")
    if array.size == 0:
        raise BadData(f"images must have pixels, got shape {array.shape}")
    if array.ndim == 3:
        array = array[:, None]
    elif not _channels_first(array.shape):
        array = array.transpose(0, 3, 1, 2)
    if array.dtype.kind in "ui" and array.dtype != np.uint8 and array.min() >= 0 and array.max() <= 255:
        array = array.astype(np.uint8)
    return np.ascontiguousarray(array, dtype=np.uint8 if array.dtype == np.uint8 else np.float32)


def _channels_first(shape: tuple[int, ...]) -> bool:
    usual = (1, 3, 4)
    if shape[3] in usual or shape[1] in usual:
        return shape[3] not in usual
    return shape[1] < shape[3]
