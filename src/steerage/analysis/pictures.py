"""Small pictures as text that fits into JSON and HTML."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 160  # pixels of a picture at most; larger matrices are averaged


def png(values: NDArray[np.uint8]) -> str:
    """PNG in base64 of grey (height, width) or colour (height, width, 3) pixels."""
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode("ascii")


def shades(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Numbers (height, width), not negative, as greys: 0 where they are 0, 255 at their largest."""
    top = float(values.max(initial=0.0))
    return np.ceil(255.0 * values / top).astype(np.uint8) if top > 0 else np.zeros(values.shape, np.uint8)


def shrunk(values: NDArray[np.float64], side: int = SIDE) -> NDArray[np.float64]:
    """Means of blocks of (height, width), so that neither side is longer than ``side``."""
    for axis in (0, 1):
        block = -(-values.shape[axis] // side)
        if block > 1:
            starts = np.arange(0, values.shape[axis], block)
            sums = np.add.reduceat(values, starts, axis=axis)
            counts = np.diff([*starts, values.shape[axis]])
            values = sums / np.expand_dims(counts, 1 - axis)
    return values
