from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from steerage.cost import count, dense_cost
from steerage.data import TaskSpec
from steerage.nn import PaddedResidual, Residual, SqueezeExcitation
from steerage.space import Value, Values
from steerage.templates import ResNet
from steerage.templates.resnet import stage_range


def image(side: int, channels: int = 3, outputs: int = 10) -> TaskSpec:
    return TaskSpec("classification", "image", (channels, side, side), outputs, 5000)


CIFAR, IMAGENET = image(32), image(224, outputs=1000)


def point(spec: TaskSpec, **changes: Value) -> Values:
    """Two stages of one basic block, unless changed."""
    blocks = {f"blocks{stage}": 1 for stage in range(stage_range(spec)[1])}
    return {**ResNet().baseline(spec), **blocks, "stages": min(2, stage_range(spec)[1]), "width": 8, **changes}


def on_paper(values: Values, spec: TaskSpec) -> Any:
    """The network without storage."""
    with torch.device("meta"):
        return ResNet().build(values, spec)


def parameters(model: nn.Module) -> int:
    """As papers count: with both affine parameters of each batch norm, which folding turns into one bias."""
    return sum(parameter.numel() for parameter in model.parameters())


def blocks_of(model: nn.Module) -> list[Any]:
    """Sums of the residual blocks, in order."""
    return [module for module in model.modules() if isinstance(module, Residual | PaddedResidual)]


# Parameters: torchvision's of the same name; with ten classes and a 3 x 3 stem, 11.17 M are those that are usual on
# CIFAR. MACs: He et al., table 1 (basic blocks), and 4.1 G and 7.8 G with the stride in the 3 x 3 convolution.
@pytest.mark.parametrize(
    ("name", "params", "gigamacs"),
    [
        ("resnet18", 11_689_512, 1.8),
        ("resnet34", 21_797_672, 3.7),
        ("resnet50", 25_557_032, 4.1),
        ("resnet101", 44_549_160, 7.8),
    ],
)
def test_networks_of_imagenet_cost_what_is_published(name: str, params: int, gigamacs: float) -> None:
    model = on_paper(ResNet().named(IMAGENET)[name], IMAGENET)
    assert parameters(model) == params
    assert round(count(model, IMAGENET.input_shape).macs / 1e9, 1) == gigamacs


# Megaparameters: He et al., table 6. MACs: those of option A that the literature on pruning quotes (41 M, ..., 253 M).
@pytest.mark.parametrize(
    ("depth", "params", "millions", "megamacs"),
    [
        (20, 269_722, 0.27, 41),
        (32, 464_154, 0.46, 69),
        (44, 658_586, 0.66, 97),
        (56, 853_018, 0.85, 125),
        (110, 1_727_962, 1.73, 253),
    ],
)
def test_networks_of_cifar_cost_what_is_published(depth: int, params: int, millions: float, megamacs: int) -> None:
    model = on_paper(ResNet().named(CIFAR)[f"resnet{depth}"], CIFAR)
    assert parameters(model) == params
    assert round(params / 1e6, 2) == millions
    assert round(count(model, CIFAR.input_shape).macs / 1e6) == megamacs


def test_resnet18_with_the_stem_of_cifar() -> None:
    model = on_paper(ResNet().named(CIFAR)["resnet18"], CIFAR)
    assert parameters(model) == 11_173_962
    assert round(count(model, CIFAR.input_shape).macs / 1e9, 2) == 0.56


def test_resnet20_with_projections_has_two_of_them_more() -> None:
    """Option B: 2,752 parameters more than option A, which is that of the paper's networks for CIFAR."""
    model = on_paper({**ResNet().named(CIFAR)["resnet20"], "shortcut": "projection"}, CIFAR)
    assert parameters(model) == 272_474
    assert sum(block.shortcut is not None for block in blocks_of(model)) == 2


def test_squeeze_and_excitation_makes_se_resnet50() -> None:
    """Hu et al., arXiv 1709.01507, section 4: 2 / r times the sum of squared widths more, and here the biases."""
    model = on_paper({**ResNet().named(IMAGENET)["resnet50"], "squeeze": True}, IMAGENET)
    assert parameters(model) == 28_088_024


@pytest.mark.parametrize("spec", [CIFAR, IMAGENET], ids=["cifar", "imagenet"])
def test_names_say_how_many_layers_there_are_without_the_shortcuts(spec: TaskSpec) -> None:
    for name, values in ResNet().named(spec).items():
        modules = on_paper(values, spec).named_modules()
        layers = [path for path, module in modules if isinstance(module, nn.Conv2d | nn.Linear)]
        assert sum("shortcut" not in path for path in layers) == int(name.removeprefix("resnet"))


@pytest.mark.parametrize(("side", "stages"), [(1, (1, 1)), (2, (2, 2)), (4, (2, 3)), (8, (2, 4)), (224, (2, 4))])
def test_the_size_of_the_image_bounds_the_stages(side: int, stages: tuple[int, int]) -> None:
    assert stage_range(image(side)) == stages


def test_tiny_images_have_the_named_networks_that_fit() -> None:
    assert set(ResNet().named(image(8))) >= {"resnet18", "resnet20"}
    assert set(ResNet().named(image(4))) == {"resnet20", "resnet32", "resnet44", "resnet56", "resnet110"}
    assert not ResNet().named(image(2))


@pytest.mark.parametrize(("side", "stem", "after"), [(64, "large", 16), (64, "small", 64), (32, "small", 32)])
def test_the_stem_quarters_large_images_only(side: int, stem: str, after: int) -> None:
    spec = image(side)
    has_gene = "stem" in ResNet().space(spec).names
    assert has_gene == (side >= 64)
    values = point(spec, **({"stem": stem} if has_gene else {}))
    features: Any = ResNet().build(values, spec).get_submodule("features")
    first = features[: 1 + (stem == "large")]
    assert first(torch.zeros(2, 3, side, side)).shape == (2, 8, after, after)


@pytest.mark.parametrize(("block", "width"), [("basic", 1), ("bottleneck", 4)])
@pytest.mark.parametrize("shortcut", ["pad", "projection"])
def test_stages_halve_the_image_and_widen(shortcut: str, block: str, width: int) -> None:
    spec = image(9)
    values = point(spec, stages=3, blocks1=2, growth=1.5, block=block, shortcut=shortcut)
    features: Any = ResNet().build(values, spec).get_submodule("features")
    x, shapes = torch.zeros(2, 3, 9, 9), []
    for module in features:
        x = module(x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes == [(8, 9, 9), *[(n * width, s, s) for n, s in ((8, 9), (12, 5), (12, 5), (18, 3))]]


@pytest.mark.parametrize(
    ("block", "shortcut", "kinds"),
    [
        ("basic", "pad", ["identity", "identity", "pad", "identity"]),
        ("basic", "projection", ["identity", "identity", "projection", "identity"]),
        ("bottleneck", "pad", ["pad", "identity", "pad", "identity"]),
    ],
)
def test_only_blocks_that_change_the_shape_have_another_shortcut(block: str, shortcut: str, kinds: list[str]) -> None:
    model = ResNet().build(point(CIFAR, blocks0=2, blocks1=2, block=block, shortcut=shortcut), CIFAR)
    found = [
        "pad" if isinstance(module, PaddedResidual) else "identity" if module.shortcut is None else "projection"
        for module in blocks_of(model)
    ]
    assert found == kinds


@pytest.mark.parametrize("squeeze", [False, True])
@pytest.mark.parametrize("block", ["basic", "bottleneck"])
def test_blocks_begin_as_their_shortcut(block: str, squeeze: bool) -> None:
    model = ResNet().build(point(CIFAR, blocks0=3, block=block, squeeze=squeeze), CIFAR).eval()
    features: Any = model.get_submodule("features")
    x = torch.randn(2, 3, 6, 6)
    after_one, after_three = features[:2](x), features[:4](x)
    assert after_one.abs().max() > 0.1
    assert torch.equal(after_three, after_one)


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
@pytest.mark.parametrize("shortcut", ["pad", "projection"])
def test_every_channel_learns_from_the_first_step(block: str, shortcut: str) -> None:
    """A channel that is zero on all images has no gradient behind a ReLU: nothing would ever bring it back."""
    model = ResNet().build(point(CIFAR, stages=3, blocks0=2, block=block, shortcut=shortcut), CIFAR)
    model(torch.randn(16, 3, 32, 32)).square().sum().backward()
    for one in blocks_of(model):
        norm = one.body.get_submodule("last.norm")
        assert (norm.weight.grad != 0.0).all()
        assert (norm.bias.grad != 0.0).all()


def test_the_classifier_has_hidden_layers() -> None:
    model = ResNet().build(point(CIFAR, hidden_layers=2, hidden=24, dropout=0.2), CIFAR)
    sizes = [(m.in_features, m.out_features) for m in model.modules() if isinstance(m, nn.Linear)]
    assert sizes == [(16, 24), (24, 24), (24, 10)]


def test_squeeze_and_excitation_is_in_every_block() -> None:
    model = ResNet().build(point(CIFAR, blocks0=2, squeeze=True), CIFAR)
    gates: list[Any] = [module.gate for module in model.modules() if isinstance(module, SqueezeExcitation)]
    assert [gate.reduce.in_channels for gate in gates] == [8, 8, 16]


@pytest.mark.parametrize(
    ("side", "base", "gene", "values", "points"),
    [
        (32, {"stages": 2}, "blocks2", (1, 5), 1),
        (32, {"stages": 3}, "blocks2", (1, 5), 2),
        (1, {}, "growth", (1.0, 2.0), 1),
        (32, {}, "growth", (1.0, 2.0), 2),
        (32, {"hidden_layers": 0}, "hidden", (16, 64), 1),
        (32, {"hidden_layers": 1}, "hidden", (16, 64), 2),
        (1, {"blocks0": 4}, "shortcut", ("pad", "projection"), 1),
        (1, {"block": "bottleneck"}, "shortcut", ("pad", "projection"), 2),
        (32, {"growth": 1.0}, "shortcut", ("pad", "projection"), 2),
        (64, {}, "stem", ("small", "large"), 2),
    ],
)
def test_genes_make_another_point_where_they_have_an_effect(
    side: int, base: dict[str, Value], gene: str, values: tuple[Value, Value], points: int
) -> None:
    spec = image(side)
    both = [point(spec, **{**base, gene: value}) for value in values]
    assert len({ResNet().space(spec).key(one) for one in both}) == points
    assert len({str(on_paper(one, spec)) for one in both}) == points


def test_the_cost_on_paper_is_that_of_the_network() -> None:
    """On images of odd sides and with the stem of large ones, for points that no other test builds."""
    for shape in ((3, 65, 70), (1, 13, 9), (2, 1, 9)):
        spec = TaskSpec("classification", "image", shape, 7, 1000)
        for values in ResNet().space(spec).sample_sobol(24, seed=5):
            assert count(on_paper(values, spec), shape) == dense_cost(ResNet(), values, spec), values


def test_one_pixel_and_oblong_images_work() -> None:
    for shape in ((1, 1, 1), (2, 1, 9), (3, 5, 40)):
        spec = TaskSpec("classification", "image", shape, 4, 100)
        for values in ResNet().space(spec).sample_sobol(6, seed=0):
            shallow = {**values, **{name: min(2, int(values[name])) for name in values if name.startswith("blocks")}}
            assert ResNet().build(shallow, spec).eval()(torch.zeros(1, *shape)).shape == (1, 4)
