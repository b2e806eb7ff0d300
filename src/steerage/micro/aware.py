"""Training of a program that is to become integers: it computes with the rounding that they bring.

Gradients pass a rounding as if it was not there, and stop where a number leaves its range (Jacob et al. 2018,
section 3; Bengio et al. 2013, "Estimating or Propagating Gradients Through Stochastic Neurons", section 4).
"""

from __future__ import annotations

from dataclasses import replace
from typing import final

from torch import Tensor, nn

from steerage.micro.calibrate import HIGH, LOW, Scheme
from steerage.micro.fixed import LARGEST_WEIGHT
from steerage.micro.floats import Stage, evaluate
from steerage.micro.ir import Conv, Features, Linear, Op, Program, Quantization
from steerage.micro.quantize import is_cut, weight_steps
from steerage.micro.storage import Layer


@final
class Aware(nn.Module):
    """``program`` with the rounding of ``scheme``: encoded rows (n, *input) -> scores float32 (n, outputs).

    Dormant weights stay dormant. ``refresh`` is to be called now and then, as weights move: the steps of a layer's
    weights follow from them.
    """

    def __init__(self, program: Program, scheme: Scheme) -> None:
        super().__init__()
        self.program, self.scheme = program, scheme
        layers = [op for op in program.ops if isinstance(op, Linear | Conv)]
        self.weights = nn.ParameterList([op.weights.values.float() for op in layers])
        biased = [op for op in layers if op.weights.bias is not None]
        self.biases = nn.ParameterList([op.weights.bias.float() for op in biased if op.weights.bias is not None])
        self._bias: dict[Op, Tensor] = dict(zip(biased, self.biases, strict=True))
        self._weight: dict[Op, Tensor] = dict(zip(layers, self.weights, strict=True))
        self._partial = {op.onto for op in program.ops if isinstance(op, Linear)}
        self._steps: dict[Op, Tensor] = {}
        self.refresh()

    def refresh(self) -> None:
        """Steps of weights as they are now."""
        program, scheme = self.trained()
        found = weight_steps(program, scheme)
        pairs = zip(self.program.ops, program.ops, strict=True)
        self._steps = {old: found[new].float() for old, new in pairs if isinstance(new, Linear | Conv)}

    def trained(self) -> tuple[Program, Scheme]:
        """The program with its weights as they are now, and the scheme for it."""
        ops = {op: self._with_weights(op) for op in self.program.ops}
        stages = {(ops[op], stage): one for (op, stage), one in self.scheme.stages.items()}
        return replace(self.program, ops=tuple(ops.values())), Scheme(self.scheme.values, stages)

    def forward(self, rows: Tensor) -> Tensor:
        return evaluate(self.program, rows, look=self._look, weights=self._rounded_weights)

    def _with_weights(self, op: Op) -> Op:
        if not isinstance(op, Linear | Conv):
            return op
        bias = self._bias.get(op)
        values = (self._weight[op].detach() * op.weights.active).double()
        bias = None if bias is None else bias.detach().double()
        return replace(op, weights=replace(op.weights, values=values, bias=bias))

    def _rounded_weights(self, op: Layer) -> tuple[Tensor, Tensor | None]:
        steps = self._steps[op]
        whole = _straight(self._weight[op] * op.weights.active / steps, -LARGEST_WEIGHT, LARGEST_WEIGHT)
        return whole * steps, self._bias.get(op)

    def _look(self, op: Op, stage: Stage, made: Tensor) -> Tensor:
        one = self._rounding(op, stage)
        if one is None:
            return made
        scale, zero = float(one.scale[0]), float(one.zero[0])
        return (_straight(made / scale + zero, LOW, HIGH) - zero) * scale

    def _rounding(self, op: Op, stage: Stage) -> Quantization | None:
        """The quantization of what an operation makes at a stage; None where it stays a sum, or a float."""
        after = self.scheme.values[op.output]
        own = self.scheme.stages[op, stage]
        if isinstance(op, Features) or op.output in self._partial or op.output is self.program.output:
            return None
        if stage == "output":
            return after
        if stage == "sum" and isinstance(op, Linear):
            return None if is_cut(op.act, after) else own
        assert isinstance(op, Conv)
        apart = op.plus is not None or (op.pool is not None and op.pooling != "max")
        if stage == "sum":
            return None if is_cut(op.act, self.scheme.stages[op, "act"] if apart else after) else own
        if stage == "act":
            return own if apart else None
        return None if is_cut(op.then, after) else own


def _straight(x: Tensor, low: float, high: float) -> Tensor:
    """The nearest integer in [low, high], whose gradient is that of x inside."""
    inside = x.clamp(low, high)
    return inside + ((inside + 0.5).floor() - inside).detach()
