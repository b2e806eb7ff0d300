"""From a program in floating point to one of 8-bit integers: weights, biases, and how sums become outputs.

Weights are symmetric, with steps of their own for each output; what lies between layers has one step and one zero
(Jacob et al. 2018, "Quantization and Training of Neural Networks", section 2). The zeros cost nothing where sums are
made, since what they add is known and part of the bias, and twice as many steps are left for what a ReLU makes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from steerage.errors import UnsupportedLayer
from steerage.micro.calibrate import HIGH, LOW, Scheme
from steerage.micro.fixed import LARGEST_WEIGHT, Part, Reals, factors, rows
from steerage.micro.floats import activated
from steerage.micro.ir import (
    Act,
    Activate,
    Affine,
    Bins,
    Combine,
    Conv,
    Features,
    Gate,
    Gather,
    Join,
    Linear,
    Op,
    Pixels,
    Pool,
    Program,
    Quantization,
    Quantize,
    Rescale,
    Softmax,
    Stack,
    Upright,
    Value,
    Weights,
    live,
)
from steerage.micro.ramps import encoded, ramp_between
from steerage.micro.rescale import BYTE, REACH, of_average, of_product, of_sum, scale_and_zero
from steerage.micro.storage import Layer

SCORE_STEPS = 2.0**20  # that the largest bias of the last layer has at most


def quantized(program: Program, scheme: Scheme) -> Program:
    """``program`` with integers in place of numbers.

    Scores that a linear layer makes are 32-bit integers with one step for all; other outputs have 8 bits. The
    quantization of the output says what they stand for.
    """
    return _Walk(program, scheme).run()


def weight_steps(program: Program, scheme: Scheme) -> dict[Layer, Tensor]:
    """What one step of each layer's integer weights is of its own: float64, to be broadcast over them."""
    walk = _Walk(program, scheme)
    walk.run()
    return walk.steps


def is_cut(act: Act | None, one: Quantization) -> bool:
    """Whether an activation does no more than what the ends of a quantization do."""
    if act is None:
        return True
    low, high = {"relu": (0.0, np.inf), "clip": act.numbers}.get(act.kind, (np.inf, np.inf))
    half, ends = one.scale[0] / 2, _real(one)
    return bool(ends[0] >= low - half and ends[-1] <= high + half)


@final
class _Walk:
    def __init__(self, program: Program, scheme: Scheme) -> None:
        self.program, self.scheme = program, scheme
        self.ops: list[Op] = []
        image = len(program.input.shape) == 3
        self.input = replace(program.input, quantization=scheme.values[program.input]) if image else program.input
        self.image = self.input  # what layers read of it
        self.made: dict[Value, Value] = {program.input: self.input}  # floats that stay such, and the input
        self.whole: dict[Value, Value] = {}  # integers, by what they were
        self.makers: dict[Value, Op] = {op.output: op for op in program.ops}
        onto = [op.onto for op in program.ops if isinstance(op, Linear) and op.onto is not None]
        self.partial = set(onto)
        self.steps: dict[Layer, Tensor] = {}
        self.readers = Counter(value for op in program.ops for value in op.inputs)
        self.columns = encoded(program, scheme)

    def run(self) -> Program:
        for op in self.program.ops:
            if isinstance(op, Upright):
                self.image = replace(op.output, quantization=self.scheme.values[op.output])
                self.made[op.output] = self.image
                self.add(replace(op, x=self.input, output=self.image))
            elif op in self.columns:
                self.add(replace(self.columns[op], x=self.input, output=self.new(op.output)))
            elif isinstance(op, Features | Bins) or (isinstance(op, Join | Gather) and self._stays_float(op)):
                self.made[op.output] = op.output
                self.ops.append(op)
            elif op.output not in self.partial:
                _RULES[type(op)](self, op)
        output = self.program.output
        made = self.made[output] if isinstance(self.makers.get(output), Softmax) else self.value(output)
        return Program(self.input, made, live(self.ops, made))

    def _stays_float(self, op: Join | Gather) -> bool:
        return all(value in self.made and value is not self.program.image for value in op.inputs)

    def value(self, old: Value) -> Value:
        """The integers that a value became; floats become them now."""
        if old not in self.whole:
            name = "image" if old is self.program.image else f"{old.name} quantized"
            output = Value(name, (old.size,), "int8", self.scheme.values[old])
            self.ops.append(Quantize(name, self.made[old], output))
            self.whole[old] = output
        return self.whole[old]

    def read(self, old: Value) -> Value:
        """As a layer reads it: an image of bytes as it is."""
        return self.image if old.dtype == "uint8" else self.value(old)

    def new(self, old: Value) -> Value:
        """Integers for what an operation makes."""
        self.whole[old] = replace(old, dtype="int8", quantization=self.scheme.values[old])
        return self.whole[old]

    def is_scores(self, value: Value) -> bool:
        """Whether a value is what the network returns, before a softmax if there is one, and nothing else."""
        last = self.makers.get(self.program.output)
        ends = {self.program.output, *([last.x] if isinstance(last, Softmax) else [])}
        return value in ends and self.readers[value] == int(isinstance(last, Softmax))

    def add(self, op: Op) -> None:
        self.ops.append(op)


def _real(one: Quantization) -> Tensor:
    """What each of -128 to 127 stands for."""
    return torch.from_numpy((np.arange(LOW, HIGH + 1) - one.zero) * one.scale)


def _table(act: Act, x: Quantization, y: Quantization) -> Act:
    """An activation from one quantization to another."""
    made = activated(act, _real(x)).numpy() / y.scale + y.zero
    return Act("table", tuple(np.floor(made + 0.5).clip(LOW, HIGH).tolist()))


def _before(act: Act | None, after: Quantization, own: Quantization) -> tuple[Act | None, Quantization]:
    """An activation in integers, and the quantization of what it takes; ``own``: that of the latter."""
    if act is None or is_cut(act, after):
        return None, after
    return _table(act, own, after), own


def _linear(walk: _Walk, op: Linear) -> None:
    chain = [op]
    while (onto := chain[0].onto) is not None:
        first = walk.makers[onto]
        assert isinstance(first, Linear)
        chain.insert(0, first)
    inputs = [walk.read(one.x) for one in chain]
    folded = [_folded(one, x) for one, x in zip(chain, inputs, strict=True)]
    bias = chain[0].weights.bias
    offset = np.zeros(op.weights.shape[0]) if bias is None else bias.numpy()
    scores = op.act is None and walk.is_scores(op.output)
    if scores:  # as fine as the sums of the coarsest row
        finest = [np.abs(part.weights).max(initial=0.0) / LARGEST_WEIGHT / 8 for part in folded]
        step = max(*finest, np.abs(offset).max(initial=0.0) / SCORE_STEPS) or 1.0
        act, sums = None, Quantization(np.array([step]), np.zeros(1))
        output = replace(op.output, dtype="int32", quantization=sums)
        walk.whole[op.output] = output
    else:
        output = walk.new(op.output)
        act, sums = _before(op.act, walk.scheme.values[op.output], walk.scheme.stages[op, "sum"])
    scale, zero = scale_and_zero(sums)
    made = rows([replace(part, weights=part.weights / scale) for part in folded], offset / scale + zero)
    before: Value | None = None
    for place, (one, x, values) in enumerate(zip(chain, inputs, made.values, strict=True)):
        last = place == len(chain) - 1
        walk.steps[one] = torch.from_numpy(made.steps[:, None] * scale / _scales(x))
        weights = Weights(
            torch.from_numpy(values),
            one.weights.active,
            torch.from_numpy(made.bias) if place == 0 else None,
            torch.from_numpy(made.codes) if last else None,
        )
        target = output if last else replace(one.output, dtype="int32")
        walk.add(Linear(one.label, x, target, weights, before, act if last else None))
        before = target


def _scales(x: Value) -> Reals:
    assert x.quantization is not None
    return x.quantization.scale


def _folded(op: Layer, x: Value) -> Part:
    """Weights of a linear layer for steps of its input."""
    assert x.quantization is not None
    values = op.weights.values.numpy()
    scale, zero = (np.broadcast_to(each, values.shape[1]) for each in (x.quantization.scale, x.quantization.zero))
    return Part(values * scale, zero, BYTE if x.dtype == "uint8" else REACH)


def _conv(walk: _Walk, op: Conv) -> None:
    mine, stages = walk.scheme.values[op.output], walk.scheme.stages
    then, added = _before(op.then, mine, stages.get((op, "added"), mine))
    apart = op.plus is not None or (op.pool is not None and op.pooling != "max")
    line = stages[op, "act"] if apart else mine
    act, sums = _before(op.act, line, stages[op, "sum"])
    rescale: Rescale | None = None
    plus = None if op.plus is None else walk.value(op.plus)
    if plus is not None and plus.quantization is not None:
        rescale = of_sum(line, plus.quantization, added)
    elif apart and op.pool is not None:
        rescale = of_average(line, mine, op.pool[0] * op.pool[1])
    x, part, mean = _as_read(walk, op)
    scale, zero = scale_and_zero(sums)
    bias = np.zeros(op.weights.shape[0]) if op.weights.bias is None else op.weights.bias.numpy()
    made = rows([replace(part, weights=part.weights / scale)], bias / scale + zero)
    walk.steps[op] = torch.from_numpy(made.steps * scale / _scales(x)).reshape(-1, 1, 1, 1)
    values = torch.from_numpy(made.values[0]).reshape(op.weights.shape)
    weights = Weights(values, op.weights.active, torch.from_numpy(made.bias), torch.from_numpy(made.codes))
    output = walk.new(op.output)
    whole = replace(op, x=x, output=output, weights=weights, act=act, mean=mean)
    walk.add(replace(whole, plus=plus, then=then, rescale=rescale))


def _as_read(walk: _Walk, op: Conv) -> tuple[Value, Part, Tensor | None]:
    """Input of a convolution, its weights for steps of that, and what stands for zero in each channel of an image."""
    outputs, inputs, height, width = op.weights.shape
    x = walk.value(op.x) if op.mean is None else walk.image
    assert x.quantization is not None
    scale, zero = (1.0, float(LOW)) if x.dtype == "uint8" else scale_and_zero(x.quantization)
    flat = op.weights.values.numpy().reshape(outputs, -1) * scale
    if op.mean is None:
        return x, Part(flat, np.full(1, zero), REACH), None
    means = op.mean.numpy() / scale + zero
    group = np.arange(outputs) // (outputs // op.groups)
    channels = group[:, None] * inputs + np.arange(inputs)  # that each output reads
    zeros = np.repeat(means[channels], height * width, axis=1)
    return x, Part(flat, zeros, REACH), torch.from_numpy(np.rint(means).clip(LOW, HIGH))


def _pool(walk: _Walk, op: Pool) -> None:
    x, output = walk.value(op.x), walk.new(op.output)
    assert x.quantization is not None and output.quantization is not None
    rescale = None
    if op.kind == "average":
        rescale = of_average(x.quantization, output.quantization, op.window.kernel[0] * op.window.kernel[1])
    walk.add(replace(op, x=x, output=output, rescale=rescale))


def _combine(walk: _Walk, op: Combine) -> None:
    x, y, output = walk.value(op.x), walk.value(op.y), walk.new(op.output)
    assert x.quantization is not None and y.quantization is not None and output.quantization is not None
    if op.kind == "multiply":
        rescale = of_product(x.quantization, y.quantization, output.quantization)
    else:
        sign = 1.0 if op.kind == "add" else -1.0
        rescale = of_sum(x.quantization, y.quantization, output.quantization, sign)
    walk.add(replace(op, x=x, y=y, output=output, rescale=rescale))


def _gate(walk: _Walk, op: Gate) -> None:
    x, gate, output = walk.value(op.x), walk.value(op.gate), walk.new(op.output)
    assert x.quantization is not None and gate.quantization is not None and output.quantization is not None
    rescale = of_product(x.quantization, gate.quantization, output.quantization)
    walk.add(replace(op, x=x, gate=gate, output=output, rescale=rescale))


def _affine(walk: _Walk, op: Affine) -> None:
    x, output = walk.value(op.x), walk.new(op.output)
    assert x.quantization is not None and output.quantization is not None
    x_scale, x_zero = scale_and_zero(x.quantization)
    scale, zero = scale_and_zero(output.quantization)
    real = op.scale.numpy() * (x_scale / scale)
    found = factors(real[None], op.shift.numpy() / scale + zero - real * x_zero, (REACH,))
    factor, shift = torch.from_numpy(found.factors[0]), torch.from_numpy(found.bias)
    walk.add(Affine(op.label, x, output, factor, shift, found.shift))


def _pixels(walk: _Walk, op: Pixels) -> None:
    output = walk.new(op.output)
    assert output.quantization is not None
    scale, zero = scale_and_zero(output.quantization)
    real, mean = op.scale.numpy() / scale, op.mean.numpy()
    if op.x.dtype == "uint8":
        found = factors(real[None], zero - real * mean, (BYTE,))
        factor, bias = torch.from_numpy(found.factors[0]), torch.from_numpy(found.bias)
        walk.add(Pixels(op.label, walk.image, output, bias, factor, found.shift))
    else:
        steps, means = np.broadcast_to(1.0 / real, len(mean)), np.broadcast_to(mean - zero / real, len(mean))
        ramps = [ramp_between(float(at), float(step)) for at, step in zip(means, steps, strict=True)]
        known = tuple(ramp for ramp in ramps if ramp is not None)
        if len(known) < len(ramps):
            raise UnsupportedLayer(
                f"{op.label}: a channel whose mean is more than 8,192 standard deviations from zero has no form in "
                "integers; subtract most of it from the data"
            )
        walk.add(replace(op, x=walk.image, output=output, ramps=known))


def _activate(walk: _Walk, op: Activate) -> None:
    x, output = walk.value(op.x), walk.new(op.output)
    assert x.quantization is not None and output.quantization is not None
    walk.add(replace(op, x=x, output=output, act=_table(op.act, x.quantization, output.quantization)))


def _moved(walk: _Walk, op: Any) -> None:
    """What only moves numbers."""
    if isinstance(op, Gather):
        walk.add(replace(op, x=walk.value(op.x), output=walk.new(op.output)))
    else:
        walk.add(replace(op, inputs=tuple(map(walk.value, op.inputs)), output=walk.new(op.output)))


def _softmax(walk: _Walk, op: Softmax) -> None:
    walk.made[op.output] = op.output
    walk.add(replace(op, x=walk.value(op.x)))


_RULES: Mapping[type[Op], Callable[[_Walk, Any], None]] = {
    Linear: _linear,
    Conv: _conv,
    Pool: _pool,
    Combine: _combine,
    Gate: _gate,
    Affine: _affine,
    Pixels: _pixels,
    Activate: _activate,
    Gather: _moved,
    Stack: _moved,
    Join: _moved,
    Softmax: _softmax,
}
