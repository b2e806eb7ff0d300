"""Where a program begins: what the preprocessing of a network makes of its owner's rows."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor

from steerage.data.dataset import Preprocess
from steerage.data.images import ImagePreprocess
from steerage.data.signals import SignalPreprocess
from steerage.data.tabular import CLIP, Column, TablePreprocess
from steerage.errors import UnsupportedLayer
from steerage.micro.held import Held, Part
from steerage.micro.ir import Features, Hot, Number, Upright, Value


@final
@dataclass(frozen=True, eq=False)
class Start:
    """The input, the ``first`` operation on it if there is one, and the network's input tensor.

    ``signal``: tensors (channels, length) of the network are maps, as ``as_map`` makes them.
    """

    input: Value
    first: Features | Upright | None
    held: Held
    signal: bool = False


def as_map(sizes: Sequence[int], other: int) -> tuple[int, int]:
    """Sizes along a signal as those of a map with a single row; ``other``: across it.

    A map with a row for each moment would need less memory and many more instructions: the code's inner loops go along
    rows.
    """
    (along,) = sizes
    return (other, int(along))


def start(preprocess: Preprocess, *, read: Set[int] | None = None, clipped: bool = False) -> Start:
    """Beginning of a program behind ``preprocess``.

    ``read``: features that anything reads; all where not given. ``clipped``: numbers of a table stay in its units.
    Raises: UnsupportedLayer for preprocessing of another kind.
    """
    if isinstance(preprocess, TablePreprocess):
        return _table(preprocess, read, clipped)
    if isinstance(preprocess, ImagePreprocess):
        mean, std = _float32(preprocess.mean), _float32(preprocess.std)
        x = image = Value("x", preprocess.input_shape, preprocess.dtype)
        first = None
        if preprocess.straighten is not None:
            image = Value("upright", x.shape, x.dtype)
            first = Upright("upright", x, image, preprocess.straighten.background)
        return Start(x, first, Held(image.shape, (Part(image, None, 1.0 / std, -mean / std, raw=True),)))
    if isinstance(preprocess, SignalPreprocess):
        mean, std = _float32(preprocess.mean), _float32(preprocess.std)
        signal = Value("x", (preprocess.channels, *as_map((preprocess.length,), 1)))
        return Start(signal, None, Held(signal.shape, (Part(signal, None, 1.0 / std, -mean / std, raw=True),)), True)
    raise UnsupportedLayer(f"preprocessing of the kind {type(preprocess).__name__} has no C form")


def can_clip(preprocess: Preprocess) -> bool:
    """Whether scaling may be left to what reads the numbers: not where a mean is so large that digits would be lost."""
    columns = preprocess.columns if isinstance(preprocess, TablePreprocess) else ()
    return all(abs(column.mean) <= CLIP * column.std for column in columns if _is_number(column))


def _is_number(column: Column) -> bool:
    return not column.one_hot and column.log_unit == 0.0


def _table(preprocess: TablePreprocess, read: Set[int] | None, clipped: bool) -> Start:
    numbers: list[Number] = []
    logs: list[Number] = []
    missing: list[int] = []
    hot: list[Hot] = []
    places: dict[str, list[int]] = {"numbers": [], "logs": [], "missing": [], "hot": []}
    feature = 0
    for at, column in enumerate(preprocess.columns):
        if column.one_hot:
            continue
        if read is None or feature in read:
            kind, into = ("numbers", numbers) if _is_number(column) else ("logs", logs)
            into.append(Number(at, column.fill, column.mean, column.std, column.log_unit))
            places[kind].append(feature)
        feature += 1
    for at, column in enumerate(preprocess.columns):
        if column.indicator:
            if read is None or feature in read:
                missing.append(at)
                places["missing"].append(feature)
            feature += 1
    for at, column in enumerate(preprocess.columns):
        if column.one_hot:
            if column.one_hot > 127:
                raise UnsupportedLayer(
                    f"column {column.name!r} has {column.one_hot} codes, and C tables have room for 127"
                )
            codes = range(feature, feature + column.one_hot)
            if read is None or not read.isdisjoint(codes):
                hot.append(Hot(at, column.one_hot, round(column.fill)))
                places["hot"] += codes
            feature += column.one_hot
    order = np.array([place for group in places.values() for place in group], dtype=np.int64)
    x, output = Value("x", preprocess.input_shape), Value("features", (len(order),))
    made = Features("features", x, output, tuple(numbers), tuple(logs), tuple(missing), tuple(hot), clipped)
    part = Part(output, order)
    if clipped:
        scale, shift = torch.ones(len(order), dtype=torch.float64), torch.zeros(len(order), dtype=torch.float64)
        mean, std = _float32([one.mean for one in numbers]), _float32([one.std for one in numbers])
        scale[: len(numbers)], shift[: len(numbers)] = 1.0 / std, -mean / std
        part = Part(output, order, scale, shift)
    return Start(x, made, Held(preprocess.output_shape, (part,)))


def _float32(numbers: object) -> Tensor:
    """As the preprocessing in PyTorch has them, in double precision."""
    return torch.tensor(numbers, dtype=torch.float32).double()
