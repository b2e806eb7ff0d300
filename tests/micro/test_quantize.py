"""Programs of integers: what they stand for, and training that knows what rounding brings."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from networks import network, pruned
from steerage.bundle import Network, load_network
from steerage.bundle.zoo import network_folder
from steerage.data import load_labelled
from steerage.export.c.quantized import error_of, quantize
from steerage.export.c.tuning import tuned
from steerage.export.examples import example_rows
from steerage.micro import build
from steerage.micro.aware import Aware
from steerage.micro.calibrate import Scheme, quantization
from steerage.micro.floats import evaluate
from steerage.micro.integers import compute, dequantized
from steerage.micro.ir import Conv, Linear, Program, Quantization
from steerage.micro.quantize import quantized


def rows_of(net: Network, n: int) -> Tensor:
    return example_rows(net.preprocess, n, generator=torch.Generator().manual_seed(1))


def some(template: str) -> Network:
    torch.manual_seed(0)
    return pruned(network(template, **({"bins": 4, "skips": True} if template == "mlp" else {})), 0.5)


@pytest.mark.parametrize("template", ["mlp", "cnn", "resnet", "mobile"])
@pytest.mark.parametrize("clip", [True, False])
def test_a_program_run_in_floating_point_returns_what_the_network_does(template: str, clip: bool) -> None:
    net = some(template)
    with torch.no_grad():
        program = build(net.model, net.preprocess, masks=net.masks, clip=clip)
        assert torch.allclose(evaluate(program, rows_of(net, 9)), net.scores(rows_of(net, 9)), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("template", ["mlp", "cnn", "resnet", "mobile"])
def test_integers_stand_for_nearly_the_same_scores(template: str) -> None:
    net = some(template)
    rows = rows_of(net, 100)
    made, wanted = quantize(net, rows).scores(rows), net.scores(rows).double()
    assert (made - wanted).abs().mean() < 0.05 * wanted.std()


def test_all_values_between_layers_have_eight_bits_and_weights_a_step_for_each_output() -> None:
    program = quantize(some("resnet"), rows_of(some("resnet"), 20)).integers()
    layers = [op for op in program.ops if isinstance(op, Linear | Conv)]
    assert {op.output.dtype for op in program.ops} == {"int8", "int32"}
    assert program.output.dtype == "int32"
    for op in layers:
        assert bool((op.weights.values == op.weights.values.round()).all())
        assert op.weights.values.abs().max() <= 127
        assert op.weights.codes is not None and op.weights.codes.shape == op.weights.shape[:1]
        assert bool((op.weights.values[~op.weights.active] == 0).all())


@pytest.mark.parametrize(("low", "high"), [(0.0, 3.0), (-1.0, 2.0), (-5.0, 0.0), (0.3, 0.7), (0.0, 0.0)])
def test_a_range_has_a_step_that_is_zero_exactly(low: float, high: float) -> None:
    one = quantization((low, high))
    zero, scale = one.zero.item(), one.scale.item()
    assert zero == round(zero) and -128 <= zero <= 127
    assert (-128 - zero) * scale <= min(low, 0.0) + scale / 2
    assert (127 - zero) * scale >= max(high, 0.0) - scale / 2


def test_what_a_relu_makes_has_all_steps() -> None:
    net = some("cnn")
    made = quantize(net, rows_of(net, 30))
    relus = [op for op in made.program.ops if isinstance(op, Conv | Linear) and op.act is not None]
    assert relus and all(made.scheme.values[op.output].zero.item() == -128 for op in relus)


@pytest.mark.parametrize("template", ["cnn", "resnet"])
def test_training_computes_with_the_rounding_of_the_integers(template: str) -> None:
    net = some(template)
    rows = rows_of(net, 100)
    made = quantize(net, rows)
    with torch.no_grad():
        aware = Aware(made.program, made.scheme)(rows).double()
    off = (made.scores(rows) - aware).abs().mean()
    assert off < 0.5 * (made.scores(rows) - net.scores(rows).double()).abs().mean()


def coarse(scheme: Scheme, times: float) -> Scheme:
    """Steps so many times as wide as they should be, but for those of pixels."""

    def wide(one: Quantization) -> Quantization:
        return one if one.scale.item() == 1.0 else Quantization(one.scale * times, one.zero)

    stages = {place: wide(one) for place, one in scheme.stages.items()}
    return Scheme({value: wide(one) for value, one in scheme.values.items()}, stages)


def test_training_on_repairs_what_rounding_broke_and_wakes_no_weight() -> None:
    net = load_network(network_folder("zoo:digits-1500"))
    rows = net.preprocess.encode(load_digits().images.astype("uint8"))
    wanted = net.scores(rows)
    made = quantize(net, rows)
    scheme = coarse(made.scheme, 96.0)  # one or two bits are left

    def off(program: Program, scheme: Scheme) -> float:
        found = replace(made, program=program, scheme=scheme).scores(rows)
        return error_of(found, wanted.argmax(1), task="classification")

    program, after = tuned(made.program, scheme, rows, wanted, numbers=False, steps=100)
    assert off(program, after) < 0.7 * off(made.program, scheme)
    for op in program.ops:
        if isinstance(op, Linear | Conv):
            assert bool((op.weights.values[~op.weights.active] == 0).all())


def test_labels_tell_what_rounding_costs() -> None:
    net = some("cnn")
    rows = rows_of(net, 100)
    made = quantize(net, rows, labels=net.scores(rows).argmax(1))
    assert made.errors["float"] == 0.0
    assert 0.0 <= made.errors["calibrated"] <= 1.0
    assert made.tuned == (made.errors.get("tuned", 1.0) < made.errors["calibrated"])
    assert quantize(net, rows).errors == {}


def test_the_error_of_a_regression_is_the_variance_that_is_not_explained() -> None:
    labels = torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert error_of(labels[:, None].double(), labels, task="regression") == 0.0
    assert error_of(torch.full((4, 1), 2.5).double(), labels, task="regression") == 1.0
    two = torch.stack([labels, 100.0 * labels], dim=1)
    guess = torch.stack([labels, torch.full((4,), 250.0)], dim=1).double()
    assert error_of(guess, two, task="regression") == 0.5  # the mean of 0 and 1


def test_scores_of_integers_are_those_of_the_program() -> None:
    net = some("mlp")
    rows = rows_of(net, 5)
    made = quantize(net, rows)
    program = quantized(made.program, made.scheme)
    assert torch.equal(dequantized(program, compute(program, rows)), made.scores(rows))


def test_digits_are_told_apart_as_well_by_integers() -> None:
    net = load_network(network_folder("zoo:digits-1500"))
    known = {"preprocess": net.preprocess, "classes": net.classes, "target_name": None, "task": net.spec.task}
    made = quantize(net, load_labelled("digits", **known, part="train")[0])  # type: ignore[arg-type]
    rows, labels = load_labelled("digits", **known)  # type: ignore[arg-type]
    assert labels is not None
    wrong, wrong_floats = (
        error_of(scores, labels, task=net.spec.task) for scores in (made.scores(rows), net.scores(rows))
    )
    assert wrong <= wrong_floats + 0.003
