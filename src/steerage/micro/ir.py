"""The intermediate representation: values, and typed operations that make one of them from others.

Feature maps are stored row by row, ``[y][channel][x]``: an operation that goes down an image, one row after the other,
leaves rows behind that its result can be written over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Shape = tuple[int, ...]  # of one row: (n,) or (channels, height, width)
DType = Literal["float32", "uint8", "int8", "int32"]
BYTES: Mapping[DType, int] = {"float32": 4, "uint8": 1, "int8": 1, "int32": 4}
Ints = NDArray[np.int64]


@final
@dataclass(frozen=True, eq=False)
class Quantization:
    """What integers stand for: ``(q - zero) * scale``. Both float64, (1,), or (n,) for each number of a vector."""

    scale: NDArray[np.float64]
    zero: NDArray[np.float64]


@final
@dataclass(frozen=True, eq=False)
class Value:
    """What an operation returns for one row. ``quantization``: of integers; None of sums that are not complete."""

    name: str
    shape: Shape
    dtype: DType = "float32"
    quantization: Quantization | None = None

    @property
    def size(self) -> int:
        """Numbers in it."""
        return int(np.prod(self.shape))

    @property
    def bytes(self) -> int:
        """Memory that it takes."""
        return self.size * BYTES[self.dtype]


@final
@dataclass(frozen=True)
class Act:
    """An activation; ``numbers`` are its parameters, such as the slope of a leaky ReLU.

    Of integers: "table", with what each of -128 to 127 becomes.
    """

    kind: str
    numbers: tuple[float, ...] = ()


@final
@dataclass(frozen=True)
class Rescale:
    """``(factor * x + other * y + bias) >> shift``, of two integers or of one; of a product, ``factor`` is its own.

    ``x_zero``, ``y_zero``: what stands for zero in x and y.
    """

    factor: int
    bias: int
    shift: int
    other: int = 0
    x_zero: int = 0
    y_zero: int = 0


@final
@dataclass(frozen=True, eq=False)
class Weights:
    """A matrix (outputs, inputs) or kernels (outputs, inputs of a group, height, width), and biases (outputs,).

    float64; ``active`` says where the pattern of connections allows a weight, and elsewhere it is zero.

    Of integers: values in [-127, 127], a bias of 32 bits, and ``codes``, uint8 (outputs,): how a sum becomes an output
    (see ``fixed``), None where it is kept.
    """

    values: Tensor
    active: Tensor
    bias: Tensor | None
    codes: Tensor | None = None

    @property
    def shape(self) -> Shape:
        """Of the values."""
        return tuple(self.values.shape)


@final
@dataclass(frozen=True)
class Window:
    """Places of a kernel on a map, each pair (y, x); zeros lie around the map."""

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)

    def places(self, shape: Shape) -> tuple[int, int]:
        """Rows and columns of what it makes of a map (channels, height, width)."""
        sizes = zip(shape[1:], self.kernel, self.stride, self.padding, strict=True)
        rows, columns = ((n + 2 * padding - kernel) // stride + 1 for n, kernel, stride, padding in sizes)
        return rows, columns


Kind = Literal["max", "average", "inside"]  # "inside": an average that does not count the zeros around the map


@final
@dataclass(frozen=True)
class Number:
    """A column of numbers: the place in the input, what stands for missing, and how it is scaled."""

    at: int
    fill: float
    mean: float
    std: float
    log_unit: float = 0.0


@final
@dataclass(frozen=True)
class Hot:
    """A column of category codes that becomes ``codes`` numbers, one of them 1 at most; ``fill``: code of missing."""

    at: int
    codes: int
    fill: int


@final
@dataclass(frozen=True, eq=False)
class Features:
    """Encoded row of a table (NaN = missing) -> numbers, logarithms, missing-indicators, one-hot codes, side by side.

    With ``clipped`` the numbers stay in the units of the table, at most 8 standard deviations from their mean: their
    reader scales them.
    """

    label: str
    x: Value
    output: Value
    numbers: tuple[Number, ...]
    logs: tuple[Number, ...]
    missing: tuple[int, ...]
    hot: tuple[Hot, ...]
    clipped: bool

    @property
    def inputs(self) -> tuple[Value, ...]:
        return (self.x,)


@final
@dataclass(frozen=True)
class Ramp:
    """A float in steps of 8 bits: ``((x * 2**power - start) * factor) >> 22``, rounded, between -128 and 127."""

    start: int
    factor: int
    power: int


@final
@dataclass(frozen=True)
class Column:
    """A column of numbers in steps; ``filled``: where it is missing."""

    at: int
    ramp: Ramp
    filled: int


@final
@dataclass(frozen=True)
class Flag:
    """``on`` where the column ``at`` has the category ``code``, ``fill`` being that of missing, else ``off``.

    ``code`` None: where it is missing.
    """

    at: int
    code: int | None
    fill: int
    off: int
    on: int


@final
@dataclass(frozen=True, eq=False)
class Encode:
    """Encoded row of a table (NaN = missing) -> numbers, missing-indicators, one-hot codes, flags, side by side.

    All are integers; ``off``, ``on``: what stands for 0 and 1 in indicators and one-hot codes. Codes are whole numbers;
    fractions are cut off.
    """

    label: str
    x: Value
    output: Value
    columns: tuple[Column, ...]
    missing: tuple[int, ...]
    hot: tuple[Hot, ...]
    off: int
    on: int
    flags: tuple[Flag, ...] = ()

    @property
    def inputs(self) -> tuple[Value, ...]:
        return (self.x,)


@final
@dataclass(frozen=True, eq=False)
class Upright:
    """Image of bytes [channel][y][x] -> one of the same shape, put upright (``steerage.data.straighten``)."""

    label: str
    x: Value
    output: Value
    background: int

    @property
    def inputs(self) -> tuple[Value, ...]:
        return (self.x,)


@final
@dataclass(frozen=True, eq=False)
class Pixels:
    """Image [channel][y][x] -> map: ``(pixel - mean) * scale`` per channel, float64 (channels,) each.

    Of bytes that become integers: ``(pixel * scale + mean) >> shift``; of floats that do, by ``ramps``, one a channel.
    """

    label: str
    x: Value
    output: Value
    mean: Tensor
    scale: Tensor
    shift: int = 0
    ramps: tuple[Ramp, ...] = ()

    @property
    def inputs(self) -> tuple[Value, ...]:
        return (self.x,)


@final
@dataclass(frozen=True, eq=False)
class Quantize:
    """Floats as integers, in the quantization of the output."""

    label: str
    x: Value
    output: Value

    @property
    def inputs(self) -> tuple[Value, ...]:
        return (self.x,)


@final
@dataclass(frozen=True, eq=False)
class Linear:
    """``act(weights @ x + bias)``; with ``onto``, a partial sum, in place of the bias."""

    label: str
    x: Value
    output: Value
    weights: Weights
    onto: Value | None = None
    act: Act | None = None

    @property
    def inputs(self) -> tuple[Value, ...]:
        return (self.x,) if self.onto is None else (self.x, self.onto)

    @property
    def bare(self) -> bool:
        """Whether no activation follows."""
        return self.act is None


@final
@dataclass(frozen=True, eq=False)
class Conv:
    """Convolution, activation, and a pooling of ``pool`` pixels into one.

    ``mean``: float64 (channels,), subtracted from the pixels of an image [channel][y][x]; None for a map. ``feeds``:
    its output is not stored, the convolution after it gets one row after the other, when it needs them; ``fed``: that
    is where its input comes from. ``plus``: a map that is added, each ``plus_stride``-th pixel of it, to as many
    channels as it has; then comes the activation ``then``. What is added to is not pooled.

    Of integers, ``mean`` is what stands for zero in each channel of an image; ``rescale`` makes outputs of the sums of
    an average pooling, or of the convolution and what is added to it.
    """

    label: str
    x: Value
    output: Value
    weights: Weights
    window: Window
    groups: int = 1
    act: Act | None = None
    pool: tuple[int, int] | None = None
    pooling: Kind = "max"
    mean: Tensor | None = None
    feeds: bool = False
    fed: bool = False
    plus: Value | None = None
    plus_stride: int = 1
    then: Act | None = None
    rescale: Rescale | None = None

    @property
    def inputs(self) -> tuple[Value, ...]:
        return (self.x,) if self.plus is None else (self.x, self.plus)

    @property
    def bare(self) -> bool:
        """Whether it is a convolution and nothing else."""
        return self.act is None and self.pool is None and self.plus is None

    @property
    def computed(self) -> tuple[int, int]:
        """Rows and columns that are convolved: those that a pooling would leave out are not."""
        rows, columns = self.window.places(self.x.shape)
        high, wide = self.pool or (1, 1)
        return rows // high * high, columns // wide * wide

    @property
    def loads(self) -> bool:
        """Whether rows of the input are copied beside zeros before they are read."""
        return self.fed or self.mean is not None or self.window.padding != (0, 0)

    @property
    def padded(self) -> int:
        """Numbers per channel in a row as it is read."""
        if not self.loads:
            return self.x.shape[2]
        read = (self.computed[1] - 1) * self.window.stride[1] + self.window.kernel[1]
        # What feeds it makes whole rows, even if their ends are not read.
        return max(read, self.window.padding[1] + self.x.shape[2]) if self.fed else read


@final
@dataclass(frozen=True, eq=False)
class Pool:
    """Pooling of a map."""

    label: str
    x: Value
    output: Value
    window: Window
    kind: Kind
    rescale: Rescale | None = None

    @property
    def inputs(self) -> tuple[Value, ...]:
        return (self.x,)


@final
@dataclass(frozen=True, eq=False)
class Combine:
    """``x + y``, ``x - y`` or ``x * y``, number by number, of two values of one size.

    Of two maps, ``y`` may have fewer channels, which are then the first of ``x``; and of ``y`` each ``stride``-th
    pixel is taken.
    """

    label: str
    kind: Literal["add", "subtract", "multiply"]
    x: Value
    y: Value
    output: Value
    stride: int = 1
    rescale: Rescale | None = None

    @property
    def inputs(self) -> tuple[Value, ...]:
        return (self.x, self.y)

    @property
    def padded(self) -> bool:
        """Whether ``y`` is not number by number beside ``x``."""
        maps = len(self.x.shape) == len(self.y.shape) == 3
        return maps and (self.stride != 1 or self.x.shape != self.y.shape)


@final
@dataclass(frozen=True, eq=False)
class Gate:
    """A map, each channel times its number in ``gate`` (channels,)."""

    label: str
    x: Value
    gate: Value
    output: Value
    rescale: Rescale | None = None

    @property
    def inputs(self) -> tuple[Value, ...]:
        return (self.x, self.gate)


@final
@dataclass(frozen=True, eq=False)
class Affine:
    """``x * scale + shift``: float64, one each per channel of a map, or per number; of integers ``>> bits``, too."""

    label: str
    x: Value
    output: Value
    scale: Tensor
    shift: Tensor
    bits: int = 0

    @property
    def inputs(self) -> tuple[Value, ...]:
        return (self.x,)


@final
@dataclass(frozen=True, eq=False)
class Activate:
    """An activation by itself."""

    label: str
    x: Value
    output: Value
    act: Act

    @property
    def inputs(self) -> tuple[Value, ...]:
        return (self.x,)


@final
@dataclass(frozen=True)
class Run:
    """Neighbouring bins of the input at the place ``at``; ``edges`` (bins + 1,) ascend."""

    at: int
    edges: tuple[float, ...]


@final
@dataclass(frozen=True, eq=False)
class Bins:
    """Piecewise-linear encoding: for each bin of each run, how far the input has come through it, in [0, 1]."""

    label: str
    x: Value
    output: Value
    runs: tuple[Run, ...]

    @property
    def inputs(self) -> tuple[Value, ...]:
        return (self.x,)


@final
@dataclass(frozen=True, eq=False)
class Gather:
    """The numbers of ``x`` at the places ``index``; without them, a copy."""

    label: str
    x: Value
    output: Value
    index: Ints | None = None

    @property
    def inputs(self) -> tuple[Value, ...]:
        return (self.x,)


@final
@dataclass(frozen=True, eq=False)
class Stack:
    """Maps of one height and width, one's channels after the other's."""

    label: str
    inputs: tuple[Value, ...]
    output: Value


@final
@dataclass(frozen=True, eq=False)
class Join:
    """Vectors side by side in memory. Nothing is done: their makers write where they belong."""

    label: str
    inputs: tuple[Value, ...]
    output: Value


@final
@dataclass(frozen=True, eq=False)
class Softmax:
    """Probabilities from scores."""

    label: str
    x: Value
    output: Value

    @property
    def inputs(self) -> tuple[Value, ...]:
        return (self.x,)


Op: TypeAlias = (
    Features
    | Encode
    | Upright
    | Pixels
    | Quantize
    | Linear
    | Conv
    | Pool
    | Combine
    | Gate
    | Affine
    | Activate
    | Bins
    | Gather
    | Stack
    | Join
    | Softmax
)


@final
@dataclass(frozen=True, eq=False)
class Program:
    """Operations in order, from the ``input``, which its owner keeps and nobody writes to, to the ``output``."""

    input: Value
    output: Value
    ops: tuple[Op, ...]

    @property
    def image(self) -> Value:
        """What is read in place of the input, which is no map of ours even where it is an image."""
        first = self.ops[0] if self.ops else None
        return first.output if isinstance(first, Upright) else self.input

    @property
    def quantized(self) -> bool:
        """Whether it computes with integers."""
        return any(is_whole(op) for op in self.ops)


def is_whole(op: Op) -> bool:
    """Whether an operation makes integers of a network of such; an image of bytes is one of floats, too."""
    return op.output.dtype in ("int8", "int32")


def runs(op: Quantize) -> list[int]:
    """Places where the quantization of the output changes, from 0 to the end."""
    one = op.output.quantization
    assert one is not None
    steps = np.stack([np.broadcast_to(each, op.output.size) for each in (one.scale, one.zero)])
    return [0, *(np.flatnonzero((np.diff(steps) != 0).any(axis=0)) + 1).tolist(), op.output.size]


def stored_inputs(step: Sequence[Op]) -> list[Value]:
    """What operations that are done together read from memory."""
    made = {op.output for op in step}
    return [value for value in dict.fromkeys(value for op in step for value in op.inputs) if value not in made]


def steps(ops: Sequence[Op]) -> list[tuple[Op, ...]]:
    """``ops`` that are done one after the other; convolutions that feed each other are done together."""
    found: list[tuple[Op, ...]] = []
    fed: tuple[Op, ...] = ()
    for op in ops:
        fed = (*fed, op)
        if not (isinstance(op, Conv) and op.feeds):
            found.append(fed)
            fed = ()
    return found


def live(ops: Sequence[Op], output: Value) -> tuple[Op, ...]:
    """``ops`` without those that the output does not need."""
    needed, kept = {output}, []
    for op in reversed(ops):
        if op.output in needed:
            kept.append(op)
            needed.update(op.inputs)
    return tuple(kept[::-1])
