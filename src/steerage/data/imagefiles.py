"""Image files (PNG, JPEG and what else Pillow reads) -> one array, whether they lie in a folder or inside a table."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from PIL import Image, UnidentifiedImageError

from steerage.data.bounds import MAX_BYTES, MAX_PIXELS
from steerage.data.raw import listed, notice
from steerage.errors import BadData

IMAGE_COLUMNS = ("image", "img")
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm"})

# Pillow knows more formats, of which some run other programs (EPS), and most have never been asked for.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM", "JPEG2000")

Shape = tuple[int, int, int]


def image_column(schema: pa.Schema) -> str | None:
    """Name of the column with encoded images (``{bytes, path}`` or bytes), or None for an ordinary table."""
    for name in IMAGE_COLUMNS:
        if schema.names.count(name) == 1:
            kind = schema.field(name).type
            if _is_binary(kind) or (pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0):
                return name
    return None


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def bytes_of(column: pa.ChunkedArray) -> list[bytes | None]:
    """The encoded images of a column, in row order; None where a row has none."""
    struct = pa.types.is_struct(column.type)
    chunks = (chunk.field("bytes") if struct else chunk for chunk in column.chunks)
    return [cell for chunk in chunks for cell in chunk.to_pylist()]


def is_image_frame(raw: Any) -> bool:
    """Whether ``raw`` is a DataFrame with a column of encoded images."""
    return isinstance(raw, pd.DataFrame) and any(name in raw.columns for name in IMAGE_COLUMNS)


def cells_of(frame: pd.DataFrame) -> tuple[list[bytes | None], list[str]]:
    """Encoded images of a DataFrame, and a name for each by which an error can point to it."""
    name = next(name for name in IMAGE_COLUMNS if name in frame.columns)
    cells = [cell.get("bytes") if isinstance(cell, dict) else cell for cell in frame[name]]
    return cells, [f"row {label}" for label in frame.index]


def read_images(
    items: Sequence[bytes | Path | None], names: Sequence[str], *, shape: Shape | None = None
) -> np.ndarray:
    """uint8 (n, c, h, w): grey (1 channel) when every image is grey, else RGB.

    ``shape`` (c, h, w) brings all images to it. Without it images of unlike sizes are resized to the median size, with
    a warning. ``names``: one per item, for error messages.
    Raises: BadData naming an item that is no image, or has too many pixels, which is noticed before they are in memory;
    BadData when all images together exceed 8 GB.
    """
    if not items:
        raise BadData("a set of images must not be empty; check the path")
    if shape is None:
        array = _read_alike(items, names)
        if array is not None:
            return array
        shape = _common_shape(items, names)
    channels, height, width = shape
    _check_memory(len(items), shape)
    array = np.empty((len(items), height, width, channels), dtype=np.uint8)
    for row, image in enumerate(_opened(items, names)):
        converted = _converted(image, channels)
        if converted.size != (width, height):
            converted = converted.resize((width, height), Image.Resampling.BILINEAR)
        array[row] = np.asarray(converted).reshape(height, width, channels)
    return np.ascontiguousarray(array.transpose(0, 3, 1, 2))


def _read_alike(items: Sequence[bytes | Path | None], names: Sequence[str]) -> np.ndarray | None:
    """The quick way, when all images have the size and colours of the first one; None when they have not."""
    array: np.ndarray | None = None
    size, grey = (0, 0), False
    for row, image in enumerate(_opened(items, names)):
        if array is None:
            size, grey = image.size, _is_grey(image)
            shape = (1 if grey else 3, size[1], size[0])
            _check_memory(len(items), shape)
            array = np.empty((len(items), size[1], size[0], shape[0]), dtype=np.uint8)
        if image.size != size or _is_grey(image) != grey:
            return None
        array[row] = np.asarray(_converted(image, array.shape[3])).reshape(array.shape[1:])
    return None if array is None else np.ascontiguousarray(array.transpose(0, 3, 1, 2))


def _common_shape(items: Sequence[bytes | Path | None], names: Sequence[str]) -> Shape:
    sizes, grey = [], True
    for image in _opened(items, names, decode=False):
        sizes.append(image.size)
        grey = grey and _is_grey(image)
    width, height = (max(1, int(side)) for side in np.median(np.array(sizes), axis=0))
    different = sorted(set(sizes))
    if len(different) > 1:
        shown = listed((f"{w}x{h}" for w, h in different), 4)
        notice(f"images have {len(different)} sizes ({shown}): all are resized to the median, {width}x{height}")
    return (1 if grey else 3, height, width)


def _opened(
    items: Sequence[bytes | Path | None], names: Sequence[str], *, decode: bool = True
) -> Iterator[Image.Image]:
    for item, name in zip(items, names, strict=True):
        if item is None:
            raise BadData(f"{name} must hold an image, got nothing; remove it")
        try:
            with _unread(item) as image:
                width, height = image.size
                if width * height > MAX_PIXELS:
                    raise BadData(f"{name} must have at most {MAX_PIXELS:,} pixels, got {width}x{height}; resize it")
                if decode:
                    image.load()
                yield image
        except BadData:
            raise
        except UnidentifiedImageError as error:
            raise BadData(
                f"{name} must be an image, but is damaged or of an unknown format; mend or remove it"
            ) from error
        except Image.DecompressionBombError as error:
            raise BadData(f"{name} is too large to be read ({error}); resize it") from error
        except Exception as error:  # decoders raise whatever they stumble over
            what = str(error) or type(error).__name__
            raise BadData(f"{name} must be an image, but cannot be read ({what}); mend or remove it") from error


def _unread(item: bytes | Path) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # there is a bound of our own
        return Image.open(io.BytesIO(item) if isinstance(item, bytes) else item, formats=_formats())


@cache
def _formats() -> tuple[str, ...]:
    """Those of ``FORMATS`` that this Pillow reads."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _is_grey(image: Image.Image) -> bool:
    return image.mode in ("1", "L", "LA") or image.mode.startswith("I")


def _converted(image: Image.Image, channels: int) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits; Pillow's own conversion would cut off everything above 255
        image = Image.fromarray((np.asarray(image).clip(0, 65535) // 257).astype(np.uint8))
    mode = "L" if channels == 1 else "RGB"
    if image.mode == mode:
        return image
    return image.convert("RGBA").convert(mode) if image.mode == "P" else image.convert(mode)


def _check_memory(n: int, shape: Shape) -> None:
    size = n * shape[0] * shape[1] * shape[2]
    if size > MAX_BYTES:
        raise BadData(
            f"images must fit into {MAX_BYTES // 10**9} GB of memory, "
            f"got {n} of {shape[2]}x{shape[1]} ({size / 1e9:.0f} GB); resize them"
        )
