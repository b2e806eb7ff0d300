"""Programs of integers run exactly as the generated code computes them: the model that it is compared with."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from steerage.micro.interpret import Arithmetic, as_vector, beside, run, shaped, widened
from steerage.micro.ir import (
    Act,
    Activate,
    Affine,
    Combine,
    Conv,
    Encode,
    Gate,
    Linear,
    Pixels,
    Pool,
    Program,
    Quantization,
    Quantize,
    Rescale,
    Softmax,
    Window,
)
from steerage.micro.ramps import encode, ramp_of, ramped

BATCH = 256  # rows at a time


def compute(program: Program, rows: Tensor) -> Tensor:
    """What an integer program returns for encoded ``rows``: float64 (n, outputs), whole numbers but for probabilities.

    The numbers are the generated code's, bit for bit; only logarithms of columns and probabilities come from
    mathematical libraries, which differ in the last digit.
    """
    rows = rows if program.input.dtype == "float32" else rows.double()
    with torch.no_grad():
        return torch.cat([run(program, batch, ARITHMETIC).double() for batch in torch.split(rows, BATCH)])


def dequantized(program: Program, integers: Tensor) -> Tensor:
    """The numbers that outputs stand for: float64 (n, outputs)."""
    one = program.output.quantization
    return integers if one is None else (integers - torch.from_numpy(one.zero)) * torch.from_numpy(one.scale)


def _narrow(x: Tensor) -> Tensor:
    return x.clamp(-128, 127)


def _shifted(x: Tensor, shift: int | Tensor) -> Tensor:
    """Whole numbers below 2**53 shifted right."""
    return (x * 2.0 ** -torch.as_tensor(shift, dtype=torch.float64)).floor()


def _stored(sums: Tensor, codes: Tensor | None) -> Tensor:
    """Sums (n, outputs, ...) in steps of the output."""
    if codes is None:
        return sums
    upper, lower = (each.reshape(-1, *[1] * (sums.ndim - 2)) for each in (8 + codes // 32, codes % 32))
    return _shifted(sums * upper, lower)


def _activated(act: Act | None, x: Tensor) -> Tensor:
    if act is None:
        return x
    return torch.tensor(act.numbers, dtype=torch.float64)[x.long() + 128]


def _linear(op: Linear, x: Tensor, onto: Tensor | None = None) -> Tensor:
    sums = as_vector(x).double() @ op.weights.values.T
    before = op.weights.bias if onto is None else as_vector(onto)
    assert before is not None
    sums = sums + before
    made = _stored(sums, op.weights.codes)
    return made if op.output.dtype == "int32" else _activated(op.act, _narrow(made))


def _conv(op: Conv, x: Tensor, plus: Tensor | None = None) -> Tensor:
    if op.mean is not None:
        # The image without what stands for its zeros, which is added again after zeros were put around it.
        x = (x - 128 if op.x.dtype == "uint8" else _quantized(op.x.quantization, x)).double()
        zero = op.mean[:, None, None]
    else:
        zero = torch.full((1, 1, 1), _zero(op), dtype=torch.float64)
    around = (op.window.padding[1],) * 2 + (op.window.padding[0],) * 2
    sums = F.conv2d(
        F.pad(x - zero, around) + zero, op.weights.values, op.weights.bias, op.window.stride, groups=op.groups
    )
    y = _narrow(_stored(sums[:, :, : op.computed[0], : op.computed[1]], op.weights.codes))
    y = _activated(op.act, y)
    if op.pool is not None:
        y = _pooled(y, Window(op.pool, op.pool), op.rescale)
    if plus is not None and op.rescale is not None:
        y = _rescaled(op.rescale, y, widened(plus, y.shape[1], op.plus_stride, op.rescale.y_zero))
        y = _activated(op.then, y)
    return y


def _zero(op: Conv | Pool) -> float:
    assert op.x.quantization is not None
    return float(op.x.quantization.zero[0])


def _quantized(one: Quantization | None, x: Tensor) -> Tensor:
    """Floats in steps; those of a vector may have steps of their own."""
    assert one is not None
    if len(one.scale) == 1:
        return ramped(ramp_of(one), x)
    flat = as_vector(x)
    return torch.stack([ramped(ramp_of(one, place), flat[:, place]) for place in range(flat.shape[1])], dim=1)


def _rescaled(how: Rescale, x: Tensor, y: Tensor | float = 0.0) -> Tensor:
    return _narrow(_shifted(x * how.factor + y * how.other + how.bias, how.shift))


def _pooled(x: Tensor, window: Window, rescale: Rescale | None) -> Tensor:
    """The largest, or an average."""
    if rescale is None:
        around = (window.padding[1],) * 2 + (window.padding[0],) * 2
        return F.max_pool2d(F.pad(x, around, value=-128), window.kernel, window.stride)
    return _rescaled(rescale, _summed(x - rescale.x_zero, window))


def _summed(x: Tensor, window: Window) -> Tensor:
    return F.avg_pool2d(x, window.kernel, window.stride, window.padding, divisor_override=1).round()


def _pool(op: Pool, x: Tensor) -> Tensor:
    if op.kind != "inside":
        return _pooled(x, op.window, op.rescale)
    count = _summed(torch.ones_like(x), op.window)
    return ((2 * _summed(x + 128, op.window) + count) / (2 * count)).floor() - 128


def _combine(op: Combine, x: Tensor, y: Tensor) -> Tensor:
    assert op.rescale is not None
    how = op.rescale
    if op.kind == "multiply":
        return _rescaled(how, (x - how.x_zero) * (shaped(y, op.x.shape) - how.y_zero))
    return _rescaled(how, x, beside(op, y, how.y_zero))


def _gate(op: Gate, x: Tensor, gate: Tensor) -> Tensor:
    assert op.rescale is not None
    return _rescaled(op.rescale, (x - op.rescale.x_zero) * (as_vector(gate)[:, :, None, None] - op.rescale.y_zero))


def _affine(op: Affine, x: Tensor) -> Tensor:
    scale, shift = op.scale, op.shift
    if x.ndim == 4 and scale.numel() == x.shape[1]:
        scale, shift = scale[:, None, None], shift[:, None, None]
    else:
        x = as_vector(x)
    return _narrow(_shifted(x * scale + shift, op.bits))


def _pixels(op: Pixels, x: Tensor) -> Tensor:
    mean, scale = op.mean[:, None, None], op.scale[:, None, None]
    if op.x.dtype == "uint8":
        return _narrow(_shifted(x * scale + mean, op.shift))
    return torch.stack([ramped(ramp, x[:, channel]) for channel, ramp in enumerate(op.ramps)], dim=1)


def _softmax(op: Softmax, x: Tensor) -> Tensor:
    assert op.x.quantization is not None
    return (as_vector(x) * float(op.x.quantization.scale[0])).softmax(dim=1)


ARITHMETIC: Arithmetic = {
    Quantize: lambda op, x: _quantized(op.output.quantization, x),
    Encode: encode,
    Linear: _linear,
    Conv: _conv,
    Pool: _pool,
    Combine: _combine,
    Gate: _gate,
    Affine: _affine,
    Pixels: _pixels,
    Activate: lambda op, x: _activated(op.act, x),
    Softmax: _softmax,
}
