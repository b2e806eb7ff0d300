from __future__ import annotations

import pytest
import torch
from torch import nn

from steerage.data import TaskSpec
from steerage.nn import Residual
from steerage.space import Value, Values
from steerage.templates import Cnn
from steerage.templates.cnn import stage_range


def image(side: int, channels: int = 1) -> TaskSpec:
    return TaskSpec("classification", "image", (channels, side, side), 10, 5000)


def point(spec: TaskSpec, **changes: Value) -> Values:
    return {**Cnn().baseline(spec), **changes}


@pytest.mark.parametrize(
    ("side", "stages"), [(1, (1, 1)), (2, (1, 1)), (4, (2, 2)), (8, (2, 3)), (28, (2, 3)), (32, (2, 3)), (96, (2, 5))]
)
def test_the_size_of_the_image_bounds_the_stages(side: int, stages: tuple[int, int]) -> None:
    assert stage_range(image(side)) == stages


@pytest.mark.parametrize("pooling", ["max", "avg", "stride"])
@pytest.mark.parametrize(("head", "size"), [("gap", 7), ("flatten", 3), ("hidden", 3)])
def test_stages_halve_the_image_and_flattening_heads_once_more(pooling: str, head: str, size: int) -> None:
    spec = image(28)
    model = Cnn().build(point(spec, stages=3, pooling=pooling, head=head), spec)
    side = size + (pooling == "stride" and size == 3)  # strides round up, pools down
    assert model.get_submodule("features")(torch.zeros(2, 1, 28, 28)).shape == (2, 128, side, side)


def test_channels_grow_from_stage_to_stage() -> None:
    spec = image(32, channels=3)
    model = Cnn().build(point(spec, stages=3, channels=8, growth=1.5, blocks=2), spec)
    outputs = [module.out_channels for module in model.modules() if isinstance(module, nn.Conv2d)]
    assert outputs == [8, 8, 12, 12, 18, 18]


def test_only_blocks_that_keep_their_shape_are_residual() -> None:
    spec = image(28)
    model = Cnn().build(point(spec, stages=2, blocks=3, residual=True), spec)
    kinds = [isinstance(module, Residual) for module in model.get_submodule("features")]  # type: ignore[arg-type]
    assert kinds == [False, True, True, False, False, True, True, False]


def test_the_first_block_is_never_separable() -> None:
    spec = image(28)
    model = Cnn().build(point(spec, stages=2, blocks=1, separable=True), spec)
    assert [m.groups for m in model.modules() if isinstance(m, nn.Conv2d)] == [1, 32, 1]


@pytest.mark.parametrize(
    ("base", "gene", "values"),
    [
        ({"head": "gap"}, "hidden", (16, 64)),
        ({"blocks": 1, "growth": 1.5}, "residual", (True, False)),
    ],
)
def test_genes_without_effect_make_no_other_point(
    base: dict[str, Value], gene: str, values: tuple[Value, Value]
) -> None:
    spec = image(28)
    keys = {Cnn().space(spec).key(point(spec, **{**base, gene: value})) for value in values}
    assert len(keys) == 1


@pytest.mark.parametrize(
    ("base", "gene", "values"),
    [
        ({"blocks": 1, "growth": 1.0, "pooling": "max"}, "residual", (True, False)),
        ({"blocks": 2}, "residual", (True, False)),
        ({"head": "hidden"}, "hidden", (16, 64)),
        ({}, "separable", (True, False)),
        ({}, "pooling", ("max", "stride")),
    ],
)
def test_genes_with_an_effect_make_another_point(
    base: dict[str, Value], gene: str, values: tuple[Value, Value]
) -> None:
    spec = image(28)
    keys = {Cnn().space(spec).key(point(spec, **{**base, gene: value})) for value in values}
    assert len(keys) == 2


def test_one_pixel_and_oblong_images_work() -> None:
    for shape in ((1, 1, 1), (2, 1, 9), (3, 5, 40)):
        spec = TaskSpec("classification", "image", shape, 4, 100)
        for values in Cnn().space(spec).sample_sobol(16, seed=0):
            assert Cnn().build(values, spec).eval()(torch.zeros(1, *shape)).shape == (1, 4)
