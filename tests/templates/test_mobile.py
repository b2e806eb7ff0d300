from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from steerage.cost import count, dense_cost
from steerage.data import TaskSpec
from steerage.nn import Residual, SqueezeExcitation
from steerage.space import Value, Values
from steerage.templates import Mobile
from steerage.templates.mobile import halving_range


def image(side: int, channels: int = 3, outputs: int = 10) -> TaskSpec:
    return TaskSpec("classification", "image", (channels, side, side), outputs, 5000)


CIFAR, IMAGENET = image(32), image(224, outputs=1000)


def point(spec: TaskSpec, **changes: Value) -> Values:
    """Five stages of one block, a quarter as wide as published, unless changed."""
    blocks = {f"blocks{stage}": 1 for stage in range(7)}
    return {**Mobile().baseline(spec), **blocks, "stages": 5, "width": 0.25, "last": 32, **changes}


def on_paper(values: Values, spec: TaskSpec) -> Any:
    """The network without storage."""
    with torch.device("meta"):
        return Mobile().build(values, spec)


def parameters(model: nn.Module) -> int:
    """As papers count: with both affine parameters of each batch norm, which folding turns into one bias."""
    return sum(parameter.numel() for parameter in model.parameters())


def sides(values: Values, spec: TaskSpec) -> list[int]:
    """Pixels across after the stem and after each block."""
    x, found = torch.zeros(1, *spec.input_shape, device="meta"), []
    for name, module in on_paper(values, spec).features.named_children():
        x = module(x)
        if name != "last":
            found.append(x.shape[-1])
    return found


def test_mobilenetv2_costs_what_is_published() -> None:
    """3.4 M parameters and 300 M MACs in table 4 of arXiv 1801.04381; torchvision's has 3,504,872."""
    model = on_paper(Mobile().named(IMAGENET)["mobilenetv2"], IMAGENET)
    assert parameters(model) == 3_504_872
    assert round(count(model, IMAGENET.input_shape).macs / 1e6) == 301
    assert sum(isinstance(module, Residual) for module in model.modules()) == 10
    assert model.get_submodule("head.dropout").p == 0.2


def test_the_width_multiplier_is_that_of_the_paper() -> None:
    """97 M MACs in the authors' table of models; 1,968,680 parameters in torchvision's form."""
    values = {**Mobile().named(IMAGENET)["mobilenetv2"], "width": 0.5}
    model = on_paper(values, IMAGENET)
    assert parameters(model) == 1_968_680
    assert round(count(model, IMAGENET.input_shape).macs / 1e6) == 97


@pytest.mark.parametrize(("side", "halvings", "last"), [(8, 1, 4), (28, 3, 4), (32, 3, 4), (64, 4, 4), (224, 5, 7)])
def test_small_images_are_halved_less_often(side: int, halvings: int, last: int) -> None:
    spec = image(side)
    values = Mobile().named(spec)["mobilenetv2"]
    assert values["halvings"] == halvings
    assert sides(values, spec)[-1] == last
    assert parameters(on_paper(values, spec)) == 3_504_872 - 1281 * 990


@pytest.mark.parametrize(
    ("halvings", "expected"),
    [(1, [32, 32, 32, 32, 16, 16]), (3, [32, 32, 16, 8, 4, 4]), (4, [16, 16, 8, 4, 2, 2])],
)
def test_the_first_places_keep_the_size_where_there_are_fewer_halvings(halvings: int, expected: list[int]) -> None:
    assert sides(point(CIFAR, halvings=halvings), CIFAR) == expected


@pytest.mark.parametrize(
    ("side", "halvings"),
    [(1, (0, 0)), (2, (1, 1)), (8, (1, 3)), (32, (1, 5)), (33, (1, 5)), (65, (2, 5)), (224, (3, 5)), (4000, (5, 5))],
)
def test_the_size_of_the_image_bounds_the_halvings(side: int, halvings: tuple[int, int]) -> None:
    assert halving_range(image(side)) == halvings


def test_only_the_first_stage_is_never_expanded() -> None:
    model = Mobile().build(point(CIFAR, stages=3, expansion=3), CIFAR)
    channels = [m.groups for m in model.modules() if isinstance(m, nn.Conv2d) and m.groups > 1]
    assert channels == [8, 24, 24]
    assert [name for name in dict(model.named_modules()) if name.endswith(".expand")] == [
        f"features.{block}.expand" for block in ("stage1_block0", "stage2_block0")
    ]


def test_blocks_that_keep_their_shape_are_residual_and_linear_at_their_end() -> None:
    model = Mobile().build(point(CIFAR, stages=3, blocks1=2, blocks2=2, halvings=1), CIFAR)
    children = model.get_submodule("features").named_children()
    residual = [name for name, module in children if isinstance(module, Residual)]
    assert residual == ["stage0_block0", "stage1_block0", "stage1_block1", "stage2_block1"]
    body: Any = model.get_submodule("features.stage1_block1.body")
    assert [name for name, _ in body.project.named_children()] == ["conv", "norm"]


def test_squeeze_and_excitation_is_of_the_expanded_channels() -> None:
    model = Mobile().build(point(CIFAR, stages=3, width=1.0, expansion=6, squeeze=True), CIFAR)
    gates = [module.gate[1] for module in model.modules() if isinstance(module, SqueezeExcitation)]
    assert [(gate.in_channels, gate.out_channels) for gate in gates] == [(32, 8), (96, 24), (144, 40)]


@pytest.mark.parametrize(
    ("side", "base", "gene", "values", "points"),
    [
        (32, {"stages": 3}, "blocks3", (1, 3), 1),
        (32, {"stages": 4}, "blocks3", (1, 3), 2),
        (32, {"stages": 2}, "halvings", (2, 5), 1),
        (32, {"stages": 2}, "halvings", (1, 2), 2),
        (224, {"stages": 2}, "halvings", (3, 5), 1),
        (32, {"stages": 2}, "expansion", (1, 2), 2),
        (32, {"stages": 2}, "width", (0.25, 0.5), 2),
    ],
)
def test_genes_make_another_point_where_they_have_an_effect(
    side: int, base: dict[str, Value], gene: str, values: tuple[Value, Value], points: int
) -> None:
    spec = image(side)
    both = [point(spec, **{**base, gene: value}) for value in values]
    assert len({Mobile().space(spec).key(one) for one in both}) == points
    assert len({str(on_paper(one, spec)) for one in both}) == points


def test_the_cost_on_paper_is_that_of_the_network() -> None:
    """On images of odd sides, for points that no other test builds."""
    for shape in ((3, 65, 70), (1, 13, 9), (2, 1, 9)):
        spec = TaskSpec("classification", "image", shape, 7, 1000)
        for values in Mobile().space(spec).sample_sobol(24, seed=5):
            assert count(on_paper(values, spec), shape) == dense_cost(Mobile(), values, spec), values


def test_one_pixel_and_oblong_images_work() -> None:
    for shape in ((1, 1, 1), (2, 1, 9), (3, 5, 40)):
        spec = TaskSpec("classification", "image", shape, 4, 100)
        for values in Mobile().space(spec).sample_sobol(6, seed=0):
            assert Mobile().build(values, spec).eval()(torch.zeros(1, *shape)).shape == (1, 4)
