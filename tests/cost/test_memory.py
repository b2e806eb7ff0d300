"""Flash and RAM of generated code, before there is a trained network."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from networks import network, pruned
from steerage.cost.memory import Memory, memory, memory_of
from steerage.errors import UnsupportedLayer
from steerage.export.c.generate import layout_of
from steerage.export.c.quantized import quantize
from steerage.export.examples import example_rows
from steerage.micro.build import Units
from steerage.micro.codesize import CORES
from steerage.templates import TEMPLATES


@pytest.mark.parametrize(
    ("template", "genes"),
    [
        ("mlp", {}),
        ("mlp", {"skips": True, "activation": "gelu"}),
        ("cnn", {}),
        ("resnet", {"width": 8}),
        ("mobile", {"width": 0.25}),
    ],
)
def test_bytes_are_known_without_weights(template: str, genes: dict[str, Any]) -> None:
    net = network(template, **genes)
    for module in net.model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)  # some begin at zero, and channels that are always zero are cut out
    with torch.device("meta"):
        bare = TEMPLATES[template].build(net.architecture.values, net.spec)  # type: ignore[union-attr]
    assert memory(bare, net.preprocess) == memory_of(layout_of(net))
    int8 = quantize(net, example_rows(net.preprocess, 30, generator=torch.Generator().manual_seed(0)))
    assert memory(bare, net.preprocess, int8=True) == memory_of(layout_of(net, int8=int8))


def test_bytes_of_a_pattern_of_connections_are_those_of_the_code() -> None:
    for template in ("mlp", "cnn"):
        net = pruned(network(template), 0.9)  # every unit alive, so that none is cut out
        assert memory(net.model, net.preprocess, masks=net.masks) == memory_of(layout_of(net))
        fresh = replace(net, model=TEMPLATES[template].build(net.architecture.values, net.spec))  # type: ignore[union-attr]
        assert memory(fresh.model, net.preprocess, masks=net.masks) == memory_of(layout_of(net))


def test_fewer_connections_need_less_flash_and_the_same_scratch() -> None:
    net = network()
    sizes = [memory(net.model, net.preprocess, masks=pruned(net, density).masks) for density in (1.0, 0.5, 0.1)]
    assert sizes[0].flash > sizes[1].flash > sizes[2].flash
    assert sizes[0].scratch == sizes[1].scratch


def test_by_hand() -> None:
    net = network()
    features = net.spec.input_shape[0]
    one = memory(nn.Linear(features, 3), net.preprocess)
    columns = (
        3 * (1 + 4 + 4 + 4) + 1 + 3
    )  # numbers: place, fill, low, high; missing: a place; category: place, codes, fill
    assert one.tables == columns + 3 * features * 4 + 3 * 4
    assert one.scratch == 4 * (features + 3)


def test_a_regression_and_probabilities_have_their_price() -> None:
    net = network(activation="tanh")
    plain = memory(net.model, net.preprocess)
    assert memory(net.model, net.preprocess, softmax=True).library > plain.library
    assert memory(net.model, net.preprocess, units=Units(5.0, 2.0)) == plain


@pytest.mark.parametrize("core", CORES)
def test_every_core_has_an_estimate(core: str) -> None:
    net = network("cnn")
    found = memory(net.model, net.preprocess, core=core)  # type: ignore[arg-type]
    assert found.code > 500
    assert (found.library > 1000) is (core != "cortex-m4")
    assert found.tables == memory(net.model, net.preprocess).tables
    assert Memory(**found.to_json()) == found
    assert found.flash == found.tables + found.code + found.library


def test_speed_may_cost_flash() -> None:
    net = pruned(network(width=32), 0.1)
    small, fast = (memory(net.model, net.preprocess, masks=net.masks, prefer=prefer) for prefer in ("flash", "speed"))  # type: ignore[arg-type]
    assert fast.flash > small.flash


def test_what_has_no_c_form_has_no_price() -> None:
    net = network()
    with pytest.raises(UnsupportedLayer, match="LayerNorm"):
        memory(nn.Sequential(nn.LayerNorm(net.spec.input_shape[0])), net.preprocess)
