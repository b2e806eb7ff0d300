"""A network as a program of 8-bit integers, calibrated on rows like those that it will see."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import final

import torch
from torch import Tensor

from steerage.bundle import Network
from steerage.data.dataset import Task
from steerage.data.images import ImagePreprocess
from steerage.errors import BadArgument, UnsupportedLayer
from steerage.export.c.tuning import tuned
from steerage.growprune.compact import compact
from steerage.micro import Program, build
from steerage.micro.calibrate import Scheme, measure, scheme
from steerage.micro.integers import compute, dequantized
from steerage.micro.ir import Conv, Linear, Softmax, Value
from steerage.micro.quantize import quantized
from steerage.seeds import generator

TOLERATED = 0.003  # error of the integers beyond that of the network itself
LEAST = 20  # rows of which some can be held out


@final
@dataclass(frozen=True, eq=False)
class Quantized:
    """``program``: the network in floating point, its scores for output. ``scheme``: how its numbers become integers.

    ``errors``: on rows held out, by "float", "calibrated", and "tuned" where the weights were trained on for it; empty
    where there were no labels. ``tuned``: whether these are the weights.
    """

    program: Program
    scheme: Scheme
    errors: Mapping[str, float] = field(default_factory=dict)
    tuned: bool = False

    def integers(self, *, softmax: bool = False) -> Program:
        """The program that code is generated from; ``softmax``: it returns probabilities."""
        program = self.program
        if softmax:
            output = Value("probabilities", (program.output.size,))
            last = Softmax("softmax", program.output, output)
            program = replace(program, ops=(*program.ops, last), output=output)
        return quantized(program, self.scheme)

    def scores(self, rows: Tensor) -> Tensor:
        """Scores of the integer program for encoded rows: float64 (n, outputs)."""
        program = self.integers()
        return dequantized(program, compute(program, rows))


def quantize(network: Network, rows: Tensor, *, labels: Tensor | None = None, seed: int = 0) -> Quantized:
    """``network`` in integers whose ranges are those of encoded calibration ``rows`` (n, *input), from the training.

    ``labels`` (n,): codes of classes, or targets in their own units, (n, targets) where there are several. With them, a
    fifth of the rows is held out, and where integers are wrong on more than 0.3 points of it beyond the network itself
    (or explain so much less of the target's variance), weights are trained on with the rounding, and kept where that
    helps.

    Raises: UnsupportedLayer for a network without C form; BadArgument for rows of another shape, or too few.
    """
    shape = tuple(network.preprocess.input_shape)
    if tuple(rows.shape[1:]) != shape or len(rows) == 0:
        raise BadArgument(f"calibration rows must be encoded rows of shape {('n', *shape)}, got {tuple(rows.shape)}")
    rows = rows.round().clamp(0, 255) if is_bytes(network) else rows
    program = float_program(network)
    if labels is None or len(rows) < LEAST:
        return Quantized(program, scheme(program, measure(program, rows)))
    order = torch.randperm(len(rows), generator=generator(seed, "int8 rows"))
    held, kept = order[: len(rows) // 5], order[len(rows) // 5 :]
    first = Quantized(program, scheme(program, measure(program, rows[kept])))

    task = network.spec.task

    def error(scores: Tensor) -> float:
        scores = network.in_units(scores) if task == "regression" else scores
        return error_of(scores, labels[held], task=task)

    errors = {"float": error(network.scores(rows[held]).double()), "calibrated": error(first.scores(rows[held]))}
    if errors["calibrated"] - errors["float"] <= TOLERATED:
        return replace(first, errors=errors)
    scores = network.scores(rows[kept])
    second = Quantized(*tuned(program, first.scheme, rows[kept], scores, numbers=task == "regression", seed=seed))
    errors["tuned"] = error(second.scores(rows[held]))
    better = errors["tuned"] < errors["calibrated"]
    return replace(second if better else first, errors=errors, tuned=better)


def error_of(scores: Tensor, labels: Tensor, *, task: Task) -> float:
    """Share of rows whose largest score is another class, or of labels (n, labels) that are wrongly on or off.

    In a regression the share of the target's variance that is not explained, of several targets (n, targets) the mean;
    ``scores`` (n, targets) are in their units.
    """
    if task == "multilabel":
        return ((scores > 0.0) != (labels > 0.5)).double().mean().item()
    if task == "classification":
        return (scores.argmax(dim=1) != labels).double().mean().item()
    wanted = labels.double().reshape(scores.shape)
    squared = (scores - wanted).square().mean(dim=0)
    spread = (wanted - wanted.mean(dim=0)).square().mean(dim=0)
    return (squared / spread).mean().item()


def is_bytes(network: Network) -> bool:
    """Whether the code takes images of bytes."""
    return isinstance(network.preprocess, ImagePreprocess) and network.preprocess.dtype == "uint8"


def float_program(network: Network) -> Program:
    """The compacted network as a program whose numbers have one scale each. Raises: UnsupportedLayer."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what cannot be compacted is refused below, or is as it should be
        model, masks = compact(network.model, network.spec.input_shape, masks=dict(network.masks))
    with torch.no_grad():
        program = build(model, network.preprocess, masks=masks, clip=False)
    for op in program.ops:
        if isinstance(op, Linear | Conv) and not bool(op.weights.values.isfinite().all()):
            raise UnsupportedLayer(f"{op.label} has weights that are not finite, and no integers stand for them")
    return program
